/**
 * A transport without a socket, which does what a test tells it to: it takes or holds what is written, and delivers
 * data, the end, a failure or a close by hand. It holds the session to the contract of `Transport`, by throwing.
 */
import { Connection, type StreamReader, type StreamWriter, type Transport } from "effect-byte-streams"
import { Effect, type Scope } from "effect"
import { bytes, text } from "./bytes.ts"

/** Whether the system takes a write of so many bytes at once. */
export type Takes = (size: number) => boolean

export type Call = "attach" | "pause" | "resume" | "write" | "end" | "close" | "abort"

const always: Takes = () => true
const never: Takes = () => false

export class FakeTransport implements Transport.Transport {
  readonly info: Transport.ConnectionInfo = { local: undefined, remote: undefined }
  /** Every call, in order. */
  readonly calls: Array<Call> = []
  /** A copy of what each `write` was given: one entry a system call. */
  readonly writes: Array<Uint8Array> = []
  /** Shown the very memory of each write. */
  onWrite: ((chunks: ReadonlyArray<Uint8Array>) => void) | undefined = undefined
  /** Asked at each write whether it is taken at once. What is not is held until `drain`. */
  takes: Takes

  /** How many bytes of what it holds it says the system has yet to take. */
  unsent: number | undefined = undefined

  private handler: Transport.Handler | undefined = undefined
  private held: ReadonlyArray<Uint8Array> | undefined = undefined
  private readonly taken: Array<Uint8Array> = []
  private ended = false
  private over = false
  private lending = false

  constructor(takes: Takes | boolean = true) {
    this.takes = takes === true ? always : takes === false ? never : takes
  }

  // ------------------------------------------------------------------------
  // what the session calls
  // ------------------------------------------------------------------------

  attach(handler: Transport.Handler): void {
    if (this.handler !== undefined) throw new Error("attach: called twice")
    this.calls.push("attach")
    this.handler = handler
  }

  pause(): void {
    if (!this.over) this.calls.push("pause")
  }

  resume(): void {
    if (!this.over) this.calls.push("resume")
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    if (this.held !== undefined) throw new Error("write: the transport still holds what it was given before")
    if (this.ended) throw new Error("write: the output has ended")
    if (this.over) throw new Error("write: the connection is over")
    const run = concat(chunks)
    if (run.length === 0) throw new Error("write: nothing to write")
    this.calls.push("write")
    this.writes.push(run)
    this.onWrite?.(chunks)
    if (this.takes(run.length)) {
      this.taken.push(run)
      return true
    }
    this.held = chunks
    return false
  }

  /** Not noted: it may be asked for at any read, and changes nothing but whose memory it is. */
  lend(): void {
    this.lending = true
  }

  end(): void {
    this.calls.push("end")
    this.ended = true
  }

  close(): void {
    if (this.held !== undefined) throw new Error("close: the transport still holds what it was given")
    this.calls.push("close")
    this.over = true
  }

  abort(): void {
    this.calls.push("abort")
    this.over = true
    this.held = undefined
  }

  // ------------------------------------------------------------------------
  // what a test does
  // ------------------------------------------------------------------------

  /** Whether a write is held. */
  get holding(): boolean {
    return this.held !== undefined
  }

  /** All that the system has taken. */
  get sent(): Uint8Array {
    return concat(this.taken)
  }

  get sentText(): string {
    return text(this.sent)
  }

  /** What each `write` was given, as text. */
  get writesText(): ReadonlyArray<string> {
    return this.writes.map(text)
  }

  /** How often a call was made. */
  count(call: Call): number {
    return this.calls.filter((made) => made === call).length
  }

  /** From now on writes are taken at once. */
  accept(): void {
    this.takes = always
  }

  /** From now on writes are held. */
  hold(): void {
    this.takes = never
  }

  /** The system takes what is held, as it is in memory now. */
  drain(): void {
    if (this.held === undefined) throw new Error("drain: nothing is held")
    this.taken.push(concat(this.held))
    this.held = undefined
    this.deliver((handler) => handler.onDrain())
  }

  /** Takes what is held, and all that is held behind it, until nothing is. */
  drainAll(): void {
    while (this.held !== undefined) this.drain()
  }

  push(data: Uint8Array | string): void {
    // a copy: what is pushed belongs to the session, unless it is lent
    const given = typeof data === "string" ? bytes(data) : data.slice()
    this.deliver((handler) => {
      if (!this.lending || handler.onLent === undefined) return handler.onData(given)
      handler.onLent(given)
      given.fill(0xee)
    })
  }

  pushEnd(): void {
    this.deliver((handler) => handler.onEnd())
  }

  /** Writing has become impossible; reading goes on. */
  failWriting(failure: Transport.Failure = broken): void {
    this.held = undefined
    this.deliver((handler) => handler.onWriteFailure(failure))
  }

  /** Reading has become impossible; writing goes on. */
  failReading(failure: Transport.Failure = reset): void {
    this.deliver((handler) => handler.onReadFailure?.(failure))
  }

  /** The connection is gone: in good order, or for a reason. */
  lose(failure: Transport.Failure | undefined = reset): void {
    this.gone(failure)
  }

  /** The connection is gone in good order. */
  vanish(): void {
    this.gone(undefined)
  }

  private gone(failure: Transport.Failure | undefined): void {
    this.deliver((handler) => handler.onClose(failure))
    this.over = true
    this.held = undefined
  }

  private deliver(call: (handler: Transport.Handler) => void): void {
    // as the contract says: nothing is delivered once the session has let go
    if (!this.over && this.handler !== undefined) call(this.handler)
  }
}

/** A reset by the peer. */
export const reset: Transport.Failure = { kind: "Reset", code: "ECONNRESET" }
/** What writing to a connection meets whose peer is gone. */
const broken: Transport.Failure = { kind: "BrokenPipe", code: "EPIPE" }

export const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const out = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    // memory that was transferred meanwhile is empty, and not to be touched
    if (chunk.length > 0) out.set(chunk, at)
    at += chunk.length
  }
  return out
}

export interface Faked {
  readonly transport: FakeTransport
  readonly connection: Connection.Connection
  readonly reader: StreamReader.StreamReader
  readonly writer: StreamWriter.StreamWriter
}

/** A connection over a fake transport, which is aborted at the end of the test, whatever it still holds. */
export const fake = (
  options?: Connection.Options & { readonly takes?: Takes | boolean | undefined }
): Effect.Effect<Faked, never, Scope.Scope> =>
  Effect.gen(function* () {
    const faked = yield* fakeOfScope(options)
    yield* Effect.addFinalizer(() => faked.connection.abort)
    return faked
  })

/** A connection over a fake transport, which ends as its scope says. */
export const fakeOfScope = (
  options?: Connection.Options & { readonly takes?: Takes | boolean | undefined }
): Effect.Effect<Faked, never, Scope.Scope> =>
  Effect.suspend(() => {
    const { takes, ...rest } = options ?? {}
    const transport = new FakeTransport(takes)
    return Effect.map(Connection.fromTransport(transport, rest), (connection) => ({
      transport,
      connection,
      reader: connection.reader,
      writer: connection.writer
    }))
  })
