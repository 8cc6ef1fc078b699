/**
 * Streams that are none of Node's, as the two halves of a `PairTransport`: a source that is asked for what comes next,
 * and a target that is given one chunk after the other.
 */
import type { ReadableLike, WritableLike } from "../../Connection.ts"
import { maxPiecesInTurn } from "../base/defaults.ts"
import { nextTurn } from "../runtime/turn.ts"

/** Where bytes come from. */
export interface Source {
  /** The next pieces, or `undefined` at the end. Asked again once it has answered, and not before. */
  next(): Promise<ReadonlyArray<unknown> | undefined>
  /** Nobody asks any more. Never throws. */
  cancel(reason: Error | undefined): void
}

/** Where bytes go. */
export interface Target {
  /** Completes once the chunk was passed on. Asked again once it has answered, and not before. */
  write(chunk: Uint8Array): Promise<unknown>
  /** Completes once everything was passed on, and the end behind it. */
  end(): Promise<unknown>
  /** What was not passed on is dropped, and the other end shall not take what it got for complete. Never throws. */
  abort(reason: Error | undefined): void
}

/** What both halves have of a stream of Node's. */
abstract class Half {
  destroyed = false
  closed = false
  errored: Error | null = null
  private readonly listeners = new Map<string, Array<(...args: Array<any>) => void>>()

  on(event: string, listener: (...args: Array<any>) => void): this {
    const listeners = this.listeners.get(event)
    if (listeners === undefined) this.listeners.set(event, [listener])
    else listeners.push(listener)
    return this
  }

  protected emit(event: "data" | "end" | "finish" | "error", value?: unknown): void {
    const listeners = this.listeners.get(event)
    if (listeners !== undefined) for (const listener of listeners) listener(value)
  }

  /** Says that nothing more comes, behind all that is being said. */
  protected over(): void {
    queueMicrotask(() => {
      if (this.closed) return
      this.closed = true
      for (const listener of this.listeners.get("close") ?? []) listener()
    })
  }
}

export class SourceReadable extends Half implements ReadableLike {
  readableEnded = false
  private readonly source: Source
  private readonly ahead: Array<unknown> = []
  private flowing = false
  /** The source has yet to answer. */
  private asking = false
  private asked = 0

  constructor(source: Source) {
    super()
    this.source = source
  }

  pause(): void {
    this.flowing = false
  }

  resume(): void {
    this.flowing = true
    // not from within this call: the handler counts on it
    queueMicrotask(() => this.goOn())
  }

  read(): unknown {
    return this.ahead.shift() ?? null
  }

  destroy(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    if (!this.readableEnded) this.source.cancel(error)
    this.over()
  }

  private goOn(): void {
    while (this.flowing && this.ahead.length > 0) this.emit("data", this.ahead.shift())
    if (!this.flowing || this.asking || this.destroyed || this.readableEnded) return
    this.asking = true
    // a source that always has more would leave nobody else a turn
    if (++this.asked % maxPiecesInTurn === 0) nextTurn(() => this.ask())
    else this.ask()
  }

  private ask(): void {
    promised(() => this.source.next()).then(
      (pieces) => this.came(pieces),
      (error: unknown) => this.failed(error)
    )
  }

  private came(pieces: ReadonlyArray<unknown> | undefined): void {
    this.asking = false
    if (this.destroyed) return
    if (pieces === undefined) {
      this.readableEnded = true
      this.emit("end")
      return this.over()
    }
    // what comes while nobody listens stays here, and is all that does: nothing more is asked for
    for (const piece of pieces) this.ahead.push(piece)
    this.goOn()
  }

  private failed(reason: unknown): void {
    this.asking = false
    if (this.destroyed) return
    this.destroyed = true
    const error = reason ?? new Error("the stream has failed, and has not said why")
    this.errored = error as Error
    this.emit("error", error)
    this.over()
  }
}

export class TargetWritable extends Half implements WritableLike {
  writableEnded = false
  writableFinished = false
  private readonly target: Target

  constructor(target: Target) {
    super()
    this.target = target
  }

  write(chunk: Uint8Array, answer: (error?: Error | null) => void = () => {}): boolean {
    if (this.destroyed) queueMicrotask(() => answer(this.errored))
    else {
      promised(() => this.target.write(chunk)).then(
        () => answer(),
        (error: unknown) => {
          this.failed(error)
          answer(this.errored)
        }
      )
    }
    return false
  }

  end(): void {
    if (this.writableEnded || this.destroyed) return
    this.writableEnded = true
    promised(() => this.target.end()).then(
      () => {
        if (this.destroyed) return
        this.writableFinished = true
        this.emit("finish")
        this.over()
      },
      (error: unknown) => this.failed(error)
    )
  }

  destroy(error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    if (!this.writableFinished) this.target.abort(error)
    this.over()
  }

  /** Nothing can be written any more, and that is a loss. */
  failed(error: unknown): void {
    if (this.gone(error)) this.emit("error", error)
  }

  /** Nobody takes anything any more. Whether anything is lost by that is seen with the next write. */
  left(error: unknown): void {
    this.gone(error)
  }

  private gone(error: unknown): boolean {
    if (this.destroyed || this.writableFinished) return false
    this.destroyed = true
    this.errored = (error ?? null) as Error | null
    this.over()
    return true
  }
}

/** What a call promises. A call that throws has promised to fail. */
const promised = <A>(call: () => Promise<A>): Promise<A> => {
  try {
    return Promise.resolve(call())
  } catch (error) {
    return Promise.reject(error)
  }
}
