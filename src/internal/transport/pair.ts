/**
 * A transport over two of Node's streams, one to read and one to write, such as
 * the pipes of a child process. They end and break apart: what becomes of the
 * one says nothing of the other.
 */
import type { ReadableLike, WritableLike } from "../../Connection.ts"
import type { ConnectionInfo, Failure, Handler, Transport } from "../../Transport.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { breakOff, destroyQuietly, holdProcess, keepHalfOpen, nobody, readMethods, writeMethods } from "./duplex.ts"
import { toFailure } from "./failure.ts"
import { whenCutOff } from "./httpBody.ts"
import { Linger } from "./linger.ts"
import { isLetGo, letGo, lossOf, lossOfOutput } from "./resetToLoss.ts"
import { type InputOwner, StreamInput } from "./streamInput.ts"

export interface StreamPair {
  readonly readable: ReadableLike
  readonly writable: WritableLike
}

export const checkedPair = (operation: string, pair: StreamPair): StreamPair => {
  const { readable, writable } = Argument.record(operation, "pair", pair) as Partial<StreamPair>
  return {
    readable: Argument.stream(operation, "readable", "a Node Readable", readable!, readMethods),
    writable: Argument.stream(operation, "writable", "a Node Writable", writable!, writeMethods)
  }
}

export class PairTransport implements Transport, InputOwner {
  readonly info: ConnectionInfo = { local: undefined, remote: undefined }
  private readonly readable: ReadableLike
  private readonly writable: WritableLike
  private readonly input: StreamInput
  private handler: Handler = nobody
  private reading: "open" | "ended" | "broken" = "open"
  private readFailure: Failure | undefined = undefined
  private writing: "open" | "finished" | "broken" = "open"
  private writeFailure: Failure | undefined = undefined
  /** The writable has yet to pass on what it was given last. */
  private holding = false
  /** How many writes the writable was given, and how many it has passed on: as over a `Duplex`. */
  private given = 0
  private passedOn = 0
  private closing = false
  private aborted = false
  /** Set once this side has closed: nobody else hears of it then. */
  private linger: Linger | undefined = undefined

  constructor({ readable, writable }: StreamPair) {
    this.readable = readable
    this.writable = writable
    this.input = new StreamInput(readable, this)
    // from the start: a stream may break before anyone attaches
    readable.on("error", (error: unknown) => this.refused(error))
    whenCutOff(readable, (error) => this.refused(error))
    writable.on("error", (error: unknown) => this.outputBroke(error))
    writable.on(letGo, () => this.outputBroke(undefined))
    keepHalfOpen(writable)
  }

  attach(handler: Handler): void {
    this.handler = handler
    const { readable, writable } = this
    readable.on("data", (chunk: unknown) => this.arrived(chunk))
    readable.on("end", () => this.inputEnded())
    readable.on("close", () => this.inputClosed())
    writable.on("finish", () => this.outputFinished())
    writable.on("close", () => this.outputClosed())
    // what has happened already is not said again by the streams
    if (isLetGo(writable)) this.outputBroke(undefined)
    if (this.writeFailure !== undefined) queueMicrotask(() => this.tellWriteFailure())
    if (readable.readableEnded) queueMicrotask(() => this.inputEnded())
    else if (readable.destroyed || this.readFailure !== undefined) queueMicrotask(() => this.inputGone())
    else this.resume()
  }

  // ------------------------------------------------------------------------
  // the input
  // ------------------------------------------------------------------------

  private arrived(chunk: unknown): void {
    // nobody is left to whom it matters
    if (this.linger !== undefined) this.linger.onData()
    else if (this.handler !== nobody && this.reading === "open") this.input.arrived(chunk)
  }

  received(bytes: Uint8Array): void {
    this.handler.onData(bytes)
  }

  refused(error: unknown): void {
    this.readFailure ??= toFailure(error)
    // some streams never say that they are closed; and some say it within a call made to this
    queueMicrotask(() => this.inputGone())
  }

  private inputEnded(): void {
    if (this.reading !== "open" || !this.input.ended()) return
    this.reading = "ended"
    this.handler.onEnd()
    this.inputOver()
  }

  private inputClosed(): void {
    // only the end is an end
    if (this.reading === "open") this.inputGone()
  }

  /** The readable is no more. */
  private inputGone(): void {
    // what it has read ahead is for the handler that attaches
    if (this.reading !== "open" || (this.handler === nobody && !this.closing)) return
    if (!this.closing) this.input.rescue()
    this.reading = "broken"
    const failure = (this.readFailure ??= lossOf(this.readable, undefined, false)!)
    this.letGoOfReadable()
    const { handler } = this
    if (handler.onReadFailure !== undefined) handler.onReadFailure(failure)
    else if (handler !== nobody) {
      this.abort()
      return handler.onClose(failure)
    }
    this.inputOver()
  }

  private inputOver(): void {
    if (this.writable.destroyed || isLetGo(this.writable)) this.outputClosed()
    this.settle()
  }

  // What a half throws is the loss of that half.

  pause(): void {
    try {
      if (this.reading === "open") this.input.pause()
    } catch (error) {
      this.refused(error)
    }
  }

  resume(): void {
    try {
      if (this.reading === "open") this.input.resume()
    } catch (error) {
      this.refused(error)
    }
  }

  // ------------------------------------------------------------------------
  // the output
  // ------------------------------------------------------------------------

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    // a stream that outlives an abort for a while, or cannot be destroyed, would send it
    if (this.closing) return true
    this.holding = true
    // about to be told; and a stream that its peer has let go of would break, with what is unread
    if (this.writing === "broken") return false
    const number = ++this.given
    try {
      // a copy, and one: as over a `Duplex`
      this.writable.write(Bytes.joined(chunks), (error) => {
        // not from within this call: the handler counts on it
        queueMicrotask(() => this.acknowledged(number, error))
      })
    } catch (error) {
      this.outputBroke(error)
    }
    return false
  }

  private acknowledged(number: number, error: Error | null | undefined): void {
    const { writable } = this
    // a stream that is gone may call as if all were well
    if (writable.destroyed) this.outputBroke(writable.errored ?? error)
    else if (error !== null && error !== undefined) this.outputBroke(error)
    else if (number > this.passedOn) {
      this.passedOn = number
      this.holding = false
      this.handler.onDrain()
    }
  }

  private outputBroke(error: unknown): void {
    // somebody else may have ended it
    if (this.writing === "broken" || (this.writing === "finished" && !this.holding)) return
    this.writing = "broken"
    this.writeFailure = error === null || error === undefined ? lossOfOutput(this.writable) : toFailure(error)
    queueMicrotask(() => this.tellWriteFailure())
  }

  private tellWriteFailure(): void {
    this.letGoOfWritable()
    this.handler.onWriteFailure(this.writeFailure!)
    this.settle()
  }

  private outputFinished(): void {
    if (this.writing !== "open") return
    this.writing = "finished"
    this.linger?.everythingSent()
    this.settle()
  }

  private outputClosed(): void {
    if (this.writing !== "open") return
    // The reader of the other end has left. As over a socket, writes are told of that, for the other half may have
    // much to say yet, and come to a good end; and to nobody, if there is nothing left to write.
    if (!this.holding && this.writable.writableEnded) this.outputFinished()
    else if (this.holding || this.reading !== "open") this.outputBroke(this.writable.errored)
  }

  end(): void {
    if (this.aborted) return
    const { writable } = this
    // what has happened already is not said again; and where nobody is left, nobody need be told of the end
    const over = writable.destroyed || writable.writableFinished === true
    if (over) return queueMicrotask(() => this.outputFinished())
    try {
      if (!writable.writableEnded) writable.end()
    } catch (error) {
      this.outputBroke(error)
    }
  }

  // ------------------------------------------------------------------------
  // both
  // ------------------------------------------------------------------------

  /** The last call, once both halves are over. */
  private settle(): void {
    if (this.reading === "open" || this.writing === "open") return
    this.linger?.over()
    this.letGoOfReadable()
    this.letGoOfWritable()
    const { handler } = this
    this.handler = nobody
    handler.onClose(this.readFailure ?? this.writeFailure)
  }

  // Streams that do not let go by themselves are made to, unless they have another half, which is somebody else's.

  private letGoOfReadable(): void {
    if ((this.readable as Partial<{ readonly writable: unknown }>).writable !== true) destroyQuietly(this.readable)
  }

  private letGoOfWritable(): void {
    if ((this.writable as Partial<{ readonly readable: unknown }>).readable !== true) destroyQuietly(this.writable)
  }

  close(unread = false): void {
    if (this.aborted) return
    this.handler = nobody
    this.closing = true
    const { readable, writable } = this
    this.linger ??= new Linger({
      heard: unread,
      safe: false,
      holdProcess: (held) => {
        holdProcess(readable, held)
        holdProcess(writable, held)
      },
      letGo: () => {
        destroyQuietly(readable)
        if (this.writing === "open") destroyQuietly(writable)
        else this.letGoOfWritable()
      }
    })
    if (this.writing === "open") this.end()
    else this.linger.everythingSent()
    // thrown away, so that a peer that still writes is not cut off
    if (!readable.destroyed) this.resume()
    this.settle()
  }

  abort(): void {
    this.fallSilent()
    breakOff(this.readable)
    breakOff(this.writable)
  }

  /** Nobody is told of anything any more, and what still arrives is thrown away. */
  protected fallSilent(): void {
    this.handler = nobody
    this.closing = true
    this.aborted = true
    this.linger?.over()
  }
}
