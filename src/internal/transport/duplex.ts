/**
 * A transport over anything that behaves like a Node `Duplex`. Knows no Node:
 * the interface that it needs is written down in `Connection`.
 */
import type { DuplexLike, ReadableLike, WritableLike } from "../../Connection.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { toFailure } from "./failure.ts"
import { Linger } from "./linger.ts"
import { cutOff, isLetGo, isOver, letGo, lossOf, lossOfOutput, resetOf } from "./resetToLoss.ts"
import { type InputOwner, StreamInput } from "./streamInput.ts"
import { nextTurn } from "../runtime/turn.ts"
import type { ConnectionInfo, Failure, Handler, Transport } from "../../Transport.ts"

export const nobody: Handler = {
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onWriteFailure: () => {},
  onClose: () => {}
}

export const readMethods = ["on", "pause", "resume", "read", "destroy"] as const
export const writeMethods = ["on", "write", "end", "destroy"] as const

export const checkedDuplex = (operation: string, duplex: DuplexLike): DuplexLike =>
  Argument.stream(operation, "duplex", "a Node Duplex", duplex, [...readMethods, ...writeMethods])

/** By default sockets of Node's end their output as soon as the peer has ended: what is still to be sent would be lost. */
export const keepHalfOpen = (stream: WritableLike): void => {
  if (stream.allowHalfOpen === false) Reflect.set(stream, "allowHalfOpen", true)
}

/** Where nobody is left to be told of a failure. */
export const destroyQuietly = (stream: ReadableLike | WritableLike, error?: Error): void => {
  try {
    stream.destroy(error)
  } catch {
    // it is not heard of any more either way
  }
}

/** The reader of the other end must not take a stream that was cut off for complete. Never throws. */
export const breakOff = (stream: ReadableLike | WritableLike): void => {
  const { connecting, remoteAddress, resetAndDestroy, writableEnded, writableFinished } =
    stream as Partial<WritableLike> & {
      readonly connecting?: boolean
      readonly remoteAddress?: string
      resetAndDestroy?(): unknown
    }
  // A socket that is none of TCP is a pipe, of which the other end hears no error. On Deno, where it is one of a child
  // process, an error ends this process: nobody can hear it.
  if (connecting === false && remoteAddress === undefined) return destroyQuietly(stream)
  // one that is about to end its output would never close
  const ending = writableEnded === true && writableFinished !== true
  try {
    if (typeof resetAndDestroy === "function" && !ending) resetAndDestroy.call(stream)
  } catch {
    // it is gone
  }
  destroyQuietly(stream, new Error("this side has aborted the connection"))
}

/** Whether the process stays for what a stream stands for. Not all of them say that it does. */
export const holdProcess = (stream: object, held: boolean): void => {
  const { ref, unref } = stream as { ref?(): unknown; unref?(): unknown }
  if (held) ref?.call(stream)
  else unref?.call(stream)
}

/** Where a connection is, which costs something to say: it is said when somebody asks. */
export interface Place {
  readonly info: ConnectionInfo
}

const nowhere: Place = { info: { local: undefined, remote: undefined } }

export class DuplexTransport<D extends DuplexLike = DuplexLike> implements Transport, InputOwner {
  private readonly place: Place
  protected readonly duplex: D
  protected handler: Handler = nobody
  protected readEnded = false
  protected failure: Failure | undefined = undefined
  private attached = false
  /** The stream is no more, and that has been told, if only to nobody. */
  private over = false
  /** What is read of the stream. Sockets do without: they say nothing but bytes. */
  private input: StreamInput | undefined = undefined
  /** Set once this side has closed: nobody else hears of it then. */
  protected linger: Linger | undefined = undefined
  /** How many writes the stream was given, and how many it has passed on: some call twice for one. */
  private given = 0
  private passedOn = 0

  constructor(duplex: D, place = nowhere) {
    this.duplex = duplex
    this.place = place
    // from the start: a stream may break before anyone attaches
    this.listenForErrors()
    keepHalfOpen(duplex)
  }

  get info(): ConnectionInfo {
    return this.place.info
  }

  protected listenForErrors(): void {
    this.input = new StreamInput(this.duplex, this)
    this.duplex.on("error", (error: unknown) => this.broke(error))
    this.duplex.on(letGo, () => this.tellLetGo())
  }

  protected listen(): void {
    this.duplex.on("data", (chunk: unknown) => this.arrived(chunk))
    this.duplex.on("end", () => this.inputEnded())
    this.duplex.on("close", () => this.streamClosed())
  }

  broke(error: unknown): void {
    this.failure ??= toFailure(error)
    // some streams never say that they are closed; and some say it within a call made to this
    queueMicrotask(() => this.streamClosed())
  }

  attach(handler: Handler): void {
    const first = !this.attached
    this.attached = true
    this.handler = handler
    const { duplex } = this
    if (first) {
      if (duplex.readableEnded) this.endedBefore()
      this.listen()
    }
    // what has happened already is not said again by the stream
    if (isLetGo(duplex)) this.tellLetGo()
    const closed = this.over || isOver(duplex)
    if (!closed && !this.readEnded) this.flow()
    else {
      queueMicrotask(() => {
        if (this.readEnded) this.handler.onEnd()
        if (closed) this.streamClosed()
      })
    }
  }

  /** Sets the stream going. Sockets of Node's that are this library's own nobody else has listened to. */
  private flow(): void {
    if (this.input === undefined) this.duplex.resume()
    else this.input.resume()
  }

  private tellLetGo(): void {
    // not from within what the stream calls
    queueMicrotask(() => this.handler.onWriteFailure(lossOfOutput(this.duplex)))
  }

  private endedBefore(): void {
    const reset = resetOf(this.duplex)
    if (reset === undefined) this.readEnded = true
    else this.refused(reset)
  }

  arrived(chunk: unknown): void {
    // nobody is left to whom it matters
    if (this.handler === nobody) return
    const { linger } = this
    if (linger !== undefined && this.handler === linger) linger.onData()
    else if (this.readEnded) this.refused(new Error("the stream went on behind its end"))
    else this.input!.arrived(chunk)
  }

  received(bytes: Uint8Array): void {
    this.handler.onData(bytes)
  }

  refused(error: unknown): void {
    this.broke(error)
    destroyQuietly(this.duplex)
  }

  inputEnded(): void {
    if (this.readEnded) return
    if (this.linger !== undefined) {
      this.readEnded = true
      // a stream may not be destroyed from within what it calls
      return nextTurn(() => this.destroyWhenFinished())
    }
    if (this.input?.ended() === false || this.endIsReset()) return
    this.readEnded = true
    this.handler.onEnd()
    if (isLetGo(this.duplex)) nextTurn(() => destroyQuietly(this.duplex))
  }

  streamClosed(): void {
    // what a paused stream has read ahead is delivered before its loss
    if (!this.readEnded && this.handler !== nobody && this.linger === undefined) this.rescue()
    this.gone()
  }

  /** Whether what looks like the end is none, and the loss has been seen to. */
  protected endIsReset(): boolean {
    return false
  }

  /** The stream is no more. */
  private gone(): void {
    this.over = true
    const { handler } = this
    this.handler = nobody
    if (handler === nobody) return
    handler.onClose(lossOf(this.duplex, this.failure, this.complete))
  }

  /** Whether both directions have ended. */
  private get complete(): boolean {
    return this.readEnded && this.duplex.writableFinished !== false
  }

  protected rescue(): void {
    this.input!.rescue()
  }

  pause(): void {
    this.input!.pause()
  }

  resume(): void {
    this.input!.resume()
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    // it would break, with what is unread
    if (isLetGo(this.duplex)) return false
    // The reader of the other end may be given this very memory: only a copy is safe. And one for all, so that what the
    // stream does with it begins within this call, and what it throws is caught.
    const number = ++this.given
    this.duplex.write(Bytes.joined(chunks), (error) => {
      // not from within this call: the handler counts on it
      queueMicrotask(() => this.acknowledged(number, error))
    })
    return false
  }

  private acknowledged(number: number, error: Error | null | undefined): void {
    const { duplex } = this
    // a stream that is gone may call as if all were well
    if (duplex.destroyed) this.broke(cutOff(duplex))
    else if (error !== null && error !== undefined) this.broke(error)
    else if (number > this.passedOn) {
      this.passedOn = number
      this.handler.onDrain()
    }
  }

  end(): void {
    if (!this.duplex.writableEnded) this.duplex.end()
  }

  close(unread = false): void {
    const { duplex } = this
    if (this.linger !== undefined) return
    const linger = new Linger({
      heard: unread,
      safe: this.safeToLetGo,
      holdProcess: (held) => holdProcess(duplex, held),
      letGo: () => destroyQuietly(duplex)
    })
    this.linger = linger
    this.handler = linger
    if (duplex.destroyed) return linger.over()
    this.end()
    if (this.readEnded) return this.destroyWhenFinished()
    this.flow()
    this.whenFinished(() => linger.everythingSent())
  }

  private whenFinished(act: () => void): void {
    if (this.duplex.writableFinished === true) act()
    else this.duplex.on("finish", act)
  }

  /** Both directions are over: streams that do not let go by themselves are made to. */
  private destroyWhenFinished(): void {
    this.whenFinished(() => destroyQuietly(this.duplex))
  }

  /** Whether what the system has been given arrives, whatever the peer still sends. */
  protected get safeToLetGo(): boolean {
    return false
  }

  abort(): void {
    this.handler = nobody
    this.reset()
  }

  /** Drops the connection at once. */
  protected reset(): void {
    breakOff(this.duplex)
  }
}
