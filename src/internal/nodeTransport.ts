/** A transport over a `node:net` socket. */
import * as Net from "node:net"
import { constants } from "node:os"
import type { ConnectionInfo, Failure, Handler } from "../Transport.ts"
import { DuplexTransport, toFailure } from "./duplexTransport.ts"

const [uvMajor = 0, uvMinor = 0] = process.versions.uv.split(".").map(Number)
const resetLooksLikeEnd = uvMajor === 1 && uvMinor < 52

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

const { _write: socketWrite, _writev: socketWritev } = Net.Socket.prototype

function write(this: Net.Socket, chunk: any, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
  socketWrite.call(this, chunk, encoding, (this as Owned)[owner].sending(callback))
}
function writev(
  this: Net.Socket,
  chunks: Array<{ chunk: any; encoding: BufferEncoding }>,
  callback: (error?: Error | null) => void
): void {
  socketWritev!.call(this, chunks, (this as Owned)[owner].sending(callback))
}

export class NodeTransport extends DuplexTransport<Net.Socket> {
  private writing = false
  private holding = false
  private writeFailed = false
  /** What the stream machinery wants to be told of a write. */
  private written: ((error?: Error | null) => void) | undefined = undefined

  constructor(socket: Net.Socket, info: ConnectionInfo) {
    super(socket, info)
    // The two methods that a Writable calls to send. Through them a write learns at once whether the system took it,
    // without a callback for each; and a failed write does not tear down the reading half, in which bytes may still
    // lie that arrived before the peer reset the connection.
    socket._write = write
    socket._writev = writev
  }

  // One listener for all sockets, which finds the transport of its own: the functions, and what they would close over,
  // are the larger part of what a transport weighs.
  protected override listenForErrors(): void {
    ;(this.duplex as Owned)[owner] = this
    this.duplex.on("error", onError)
  }

  protected override listen(): void {
    this.duplex.on("data", onData)
    this.duplex.on("end", onEnd)
    this.duplex.on("close", onClose)
  }

  /** The socket begins to write: what it calls once it has, in place of what the stream machinery wants called. */
  sending(callback: (error?: Error | null) => void): (error?: Error | null) => void {
    this.written = callback
    return this.onWritten
  }

  override attach(handler: Handler): void {
    super.attach(handler)
    // another handler was told of it, or nobody
    const { failure } = this
    if (this.writeFailed && failure !== undefined) process.nextTick(() => this.handler.onWriteFailure(failure))
  }

  private readonly onWritten = (error?: Error | null): void => {
    const written = this.written!
    if (error !== null && error !== undefined) this.failWriting(error)
    written()
    if (this.holding && !this.writing && !this.writeFailed && this.duplex.writableLength === 0) {
      this.holding = false
      this.handler.onDrain()
    }
  }

  private failWriting(error: Error): void {
    if (this.writeFailed) return
    this.writeFailed = true
    this.failure = toFailure(error)
    const failure: Failure = this.failure
    // possibly from within `write`, and the handler must not be called from there
    process.nextTick(() => {
      this.handler.onWriteFailure(failure)
      if (this.readEnded) this.duplex.destroy()
    })
  }

  /**
   * Up to libuv 1.51 (Node 22) a reset that arrives together with data is reported as the end of the stream. A socket
   * that was reset has no peer any more.
   */
  protected override endIsReset(): boolean {
    if (this.writeFailed && this.failure?.kind === "Reset") {
      // The write was told of the reset, and so the read is not any more. (A peer that had left in good order before we
      // wrote to it is a broken pipe, and its end is one.)
      this.duplex.destroy()
      return true
    }
    if (!resetLooksLikeEnd || this.duplex.writableEnded) return false
    const handle = (this.duplex as { readonly _handle?: { getpeername?(out: object): number } | null })._handle
    if (handle?.getpeername?.({}) !== -constants.errno.ENOTCONN) return false
    this.failure ??= { kind: "Reset", code: "ECONNRESET" }
    this.duplex.destroy()
    return true
  }

  override write(chunks: ReadonlyArray<Uint8Array>): boolean {
    const socket = this.duplex
    this.writing = true
    if (chunks.length === 1) socket.write(chunks[0]!)
    else {
      socket.cork()
      for (const chunk of chunks) socket.write(chunk)
      socket.uncork()
    }
    this.writing = false
    // the system takes what it can within the call; the rest it takes later
    if (socket.writableLength === 0 && !this.writeFailed) return true
    this.holding = true
    return false
  }

  /** Whether the system is about to end the output: libuv refuses to reset such a socket, and Node then never closes it. */
  protected shuttingDown(socket: Net.Socket): boolean {
    return socket.writableEnded && !socket.writableFinished
  }

  protected override reset(): void {
    const socket = this.duplex
    const unix = this.info.remote?._tag === "UnixPathAddress" || this.info.local?._tag === "UnixPathAddress"
    // it only marks the socket, and then waits for a peer that may never read
    if (!unix && !this.shuttingDown(socket)) socket.resetAndDestroy()
    socket.destroy()
  }
}
