/** A transport over a `node:net` socket. */
import * as Fs from "node:fs"
import type * as Net from "node:net"
import { Readable } from "node:stream"
import type { Failure, Handler } from "../../Transport.ts"
import * as Bytes from "../base/bytes.ts"
import { nextTurn } from "../runtime/turn.ts"
import { readPart } from "../base/memory.ts"
import { DuplexTransport, type Place } from "../transport/duplex.ts"
import { toFailure } from "../transport/failure.ts"
import { finToEnd } from "../transport/finToEnd.ts"
import { peerReset } from "../transport/resetToLoss.ts"
import * as NodeInternals from "./nodeInternals.ts"
import * as SharedReadMemory from "./sharedReadMemory.ts"

// Up to libuv 1.51 (Node 22) a reset that arrives together with data is reported as the end of the stream, and the system
// still keeps it for the next read.
const [uvMajor = 0, uvMinor = 0] = process.versions.uv.split(".").map(Number)
const resetLooksLikeEnd = uvMajor === 1 && uvMinor < 52

const scratch = new Uint8Array(1)

/** The error that the system gives to a read behind the reported end, if it gives one. */
const behindTheEnd = (socket: Net.Socket): unknown => {
  const fd = NodeInternals.descriptorOf(socket)
  if (fd === undefined) return undefined
  try {
    Fs.readSync(fd, scratch, 0, 1, null)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN" ? undefined : error
  }
}

/** Where a socket keeps its transport. */
const owner = Symbol("effect-byte-streams/transport")

type Owned = Net.Socket & { [owner]: NodeTransport }

function onError(this: Net.Socket, error: unknown): void {
  ;(this as Owned)[owner].broke(error)
}
function onData(this: Net.Socket, chunk: Uint8Array | string): void {
  ;(this as Owned)[owner].arrived(chunk)
}
function onEnd(this: Net.Socket): void {
  ;(this as Owned)[owner].inputEnded()
}
function onClose(this: Net.Socket): void {
  ;(this as Owned)[owner].streamClosed()
}

/** As a socket wants to be given several chunks. */
const asWritten = (chunk: Uint8Array): { chunk: any; encoding: BufferEncoding } => ({
  chunk,
  encoding: "buffer" as BufferEncoding
})

// A copy of a few bytes costs less than the memory that Node allocates for them, and throws away. Of many it costs more: a
// socket that has brought little so often is taken to go on like that.
const fewBytes = 1024
const manyReads = 16

const writesDirectly = NodeInternals.has("write")
export const readsDirectly = NodeInternals.has("read")
const { pushToStream, writeDirectly, writeManyDirectly } = NodeInternals

function push(this: Net.Socket, chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
  return (this as Owned)[owner].pushed(chunk, encoding)
}

function onRead(this: Net.Socket, size: number): boolean {
  return (this as Owned)[owner].lent(readPart(size))
}

export class NodeTransport extends DuplexTransport<Net.Socket> {
  /** Reads go straight to the handler. */
  protected flowing = false
  private writing = false
  /** The system has yet to take what was written last. */
  protected holding = false
  protected writeFailed = false
  /** The output is to be ended once the system has taken everything. */
  private endIsDue = false
  /** A write may have met a reset, of which the system speaks no more. */
  private mayBeReset = false
  /** The end of the input waits for the answer to a write, which may have met a reset. */
  private endInDoubt = false
  /** The system has said so, behind what it had reported as the end. */
  private wasReset = false
  /** The socket has read the end of the input, which its stream may have yet to say. */
  private endIsRead = false
  /** Reads in a row that brought few bytes. */
  private smallReads = 0
  /** What the socket calls with each write, made with the first. */
  private onWritten: ((error?: Error | null) => void) | undefined = undefined
  /** What the stream says is listened to. */
  private hears = false

  // The stream machinery on top of a socket keeps queues of its own, in both directions, and pays for each read and each
  // write with a turn of `process.nextTick`. It is left out where there is nothing for it to do: what the socket reads is
  // taken from it in `push`, which it calls with it, and what is to be sent is given to `_write`, which is what would be
  // called in the end. So a write also learns at once whether the system took it, and a failed one does not tear down the
  // reading half, in which bytes may still lie that arrived before the peer reset the connection. Where Node's sockets are
  // not made like that, what they read is told by `data`, and what is to be sent goes through the stream.
  constructor(socket: Net.Socket, place: Place) {
    super(socket, place)
    if (readsDirectly) socket.push = push
    if (!writesDirectly) NodeInternals.hearWriteFailures(socket, (error, later) => this.failWriting(error, later))
  }

  // One listener for all sockets, which finds the transport of its own: the functions, and what they would close over,
  // are the larger part of what a transport weighs.
  protected override listenForErrors(): void {
    ;(this.duplex as Owned)[owner] = this
    this.duplex.on("error", onError)
  }

  protected override listen(): void {
    this.duplex.on("close", onClose)
    if (!this.hearsLate) this.hear()
  }

  /** Whether the stream is listened to only once it has been given something: nothing can have been read before. */
  protected get hearsLate(): boolean {
    return false
  }

  /** Listens to what the stream was given, and says later. */
  private hear(): void {
    if (this.hears) return
    this.hears = true
    this.duplex.on("data", onData)
    this.duplex.on("end", onEnd)
  }

  /** The socket has read, or has come to its end. */
  pushed(chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
    const socket = this.duplex
    // a paused stream keeps what still comes, and says when the socket has to stop
    if (chunk === null || !this.flowing || socket.readableLength > 0) {
      // one that is destroyed may say it of itself
      if (chunk === null && !socket.destroyed) this.endIsRead = true
      this.hear()
      return pushToStream.call(socket, chunk, encoding)
    }
    if (chunk.length > fewBytes) this.smallReads = 0
    else if (++this.smallReads === manyReads) this.lend()
    this.arrived(chunk)
    return true
  }

  override arrived(chunk: unknown): void {
    this.handler.onData(chunk as Uint8Array)
  }

  lend(): void {
    SharedReadMemory.share(this.duplex, onRead)
  }

  /** The socket has read into memory that is not to be kept. Returns whether it may go on. */
  lent(bytes: Uint8Array): boolean {
    const { handler } = this
    if (!this.flowing || this.duplex.readableLength > 0 || handler.onLent === undefined) {
      return this.pushed(Bytes.copy(bytes))
    }
    handler.onLent(bytes)
    return true
  }

  override pause(): void {
    this.flowing = false
    // Not the socket's own, which stops one that lends from reading at once: while it reads on, into what a stream may keep,
    // it also sees the connection break.
    Readable.prototype.pause.call(this.duplex)
  }

  override resume(): void {
    this.flowing = true
    this.duplex.resume()
  }

  protected override rescue(): void {
    const socket = this.duplex
    let chunk: Uint8Array | null
    while ((chunk = socket.read()) !== null) this.handler.onData(chunk)
    // some sockets read on while their stream is paused, to the end and to the failure behind it
    if (this.endIsRead) this.inputEnded()
  }

  override attach(handler: Handler): void {
    this.flowing = true
    super.attach(handler)
    // another handler was told of it, or nobody
    const { failure } = this
    if (this.writeFailed && failure !== undefined) process.nextTick(() => this.handler.onWriteFailure(failure))
  }

  private written(error: Error | null | undefined): void {
    // what cannot be sent is never taken
    if (error !== null && error !== undefined) return this.failWriting(error, this.holding)
    if (this.writeFailed) return
    this.writing = false
    // a socket that is gone calls as if all were well; what became of it is told with its close
    if (!this.holding || this.duplex.destroyed) return
    this.holding = false
    this.endBelieved()
    if (this.endIsDue) super.end()
    this.handler.onDrain()
  }

  override inputEnded(): void {
    // it may be said twice: as it is read, and by the stream
    if (this.endInDoubt) return
    if (!this.holding || this.safeToLetGo || NodeInternals.isLibuv(this.duplex)) return super.inputEnded()
    this.endInDoubt = true
    // the answer comes in the same turn, and it may come last
    nextTurn(() => this.endBelieved())
  }

  private endBelieved(): void {
    if (!this.endInDoubt) return
    this.endInDoubt = false
    super.inputEnded()
  }

  override end(): void {
    // elsewhere the end overtakes what is on its way past the stream
    if (this.holding && writesDirectly && !NodeInternals.isLibuv(this.duplex)) this.endIsDue = true
    else super.end()
  }

  /** `later`: not within the call that wrote. */
  protected failWriting(error: Error, later = false): void {
    // what has closed says itself why
    if (this.writeFailed || this.duplex.destroyed) return
    this.writeFailed = true
    this.failure = toFailure(error)
    const failure: Failure = this.failure
    // What tries a failed write again is told of a reset by the first attempt, and by the second of a broken pipe. Over a
    // path no end is in doubt: what the peer has sent was all there when it left.
    const { duplex, safeToLetGo } = this
    this.mayBeReset = later && failure.kind === "BrokenPipe" && !safeToLetGo && !NodeInternals.isLibuv(duplex)
    if (this.endIsDue) super.end()
    // possibly from within `write`, and the handler must not be called from there
    process.nextTick(() => {
      this.handler.onWriteFailure(failure)
      if (this.readEnded) this.duplex.destroy()
    })
  }

  /** Whether what was reported as the end is a reset. To be asked while there is a socket. */
  protected isReset(): boolean {
    // A write was told of the reset, and so the read is not any more. (A peer that had left in good order before we wrote to
    // it is a broken pipe, and its end is one.)
    if (this.wasReset || (this.writeFailed && this.failure?.kind === "Reset")) return true
    if (this.mayBeReset) {
      this.failure = { ...peerReset, cause: this.failure?.cause }
      return true
    }
    const error = resetLooksLikeEnd ? behindTheEnd(this.duplex) : undefined
    if (error === undefined) return false
    // the system says it once
    this.wasReset = true
    this.failure ??= toFailure(error)
    return true
  }

  protected override endIsReset(): boolean {
    if (finToEnd({ reset: this.isReset() ? this.failure : undefined }) === undefined) return false
    this.duplex.destroy()
    return true
  }

  override write(chunks: ReadonlyArray<Uint8Array>): boolean {
    // past the stream not every runtime refuses what comes behind the end
    if (this.linger !== undefined) return true
    if (!writesDirectly) return this.writeToStream(chunks)
    const socket = this.duplex
    const onWritten = (this.onWritten ??= (error) => this.written(error))
    this.writing = true
    if (chunks.length === 1) writeDirectly.call(socket, chunks[0]!, "buffer" as BufferEncoding, onWritten)
    else writeManyDirectly.call(socket, chunks.map(asWritten), onWritten)
    // the system takes what it can within the call; the rest it takes later
    this.holding = this.writing
    return !this.writing
  }

  /** The public way. */
  private writeToStream(chunks: ReadonlyArray<Uint8Array>): boolean {
    const socket = this.duplex
    this.writing = true
    this.holding = true
    let within = true
    const onWritten = (error: Error | null | undefined) => {
      // not from within this call: the handler counts on it
      if (within) queueMicrotask(() => this.written(error))
      else this.written(error)
    }
    const last = chunks.length - 1
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i++) socket.write(chunks[i]!)
    socket.write(chunks[last]!, onWritten)
    if (last > 0) socket.uncork()
    within = false
    return false
  }

  /** Whether the system is about to end the output: libuv refuses to reset such a socket, and Node then never closes it. */
  protected shuttingDown(socket: Net.Socket): boolean {
    return socket.writableEnded && !socket.writableFinished
  }

  /** Over a path nothing is on its way: what was sent lies with the peer, and there is no reset. */
  protected override get safeToLetGo(): boolean {
    return this.info.remote?._tag === "UnixPathAddress" || this.info.local?._tag === "UnixPathAddress"
  }

  protected override reset(): void {
    const socket = this.duplex
    // it only marks the socket, and then waits for a peer that may never read
    if (!this.safeToLetGo && !this.shuttingDown(socket)) socket.resetAndDestroy()
    socket.destroy()
  }
}
