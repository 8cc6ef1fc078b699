/** A read: what it needs, how it answers, and what stands in its way. */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ReadError } from "../../StreamError.ts"
import { ClosedStream, StreamBusy } from "../base/errors.ts"
import { handOver, interrupted, nothing } from "../runtime/effectInternals.ts"
import { notNow, Operation } from "../runtime/operation.ts"
import { open } from "./end.ts"
import type { ReadBuffer, WaitingRead } from "./readBuffer.ts"

/** What reads are made of. */
export interface Source {
  readonly buffer: ReadBuffer
  /** How many milliseconds each of them may wait, where they have a bound of their own. */
  readonly bound: number | undefined
}

/** `WaitingRead` says what each member is for. What is defined here holds for most reads. */
export abstract class ReadOperation<A, E> extends Operation<A, E> implements WaitingRead<A, E> {
  // declared only: what is made for each call would pay for the definition of each field
  declare readonly buffer: ReadBuffer
  declare readonly count: number
  /** Only those that have a bound of their own have the field. */
  declare readonly bound: number | undefined
  abstract readonly name: string

  constructor(source: Source, count = 0) {
    super()
    this.buffer = source.buffer
    this.count = count
    if (source.bound !== undefined) this.bound = source.bound
  }

  abstract ready(): boolean
  abstract settle(): Exit.Exit<A, E | ReadError> | undefined
  get framed(): boolean {
    return true
  }
  get absorbs(): boolean {
    return true
  }
  /** With it a read takes part in `whenDraining: "endIdleReads"`; nothing else is needed for that. */
  get cleanEnd(): Exit.Exit<A, E> | undefined {
    return undefined
  }
  get target(): Uint8Array | undefined {
    return undefined
  }
  answerBy(_bytes: Uint8Array): A | typeof notNow {
    return notNow
  }
  passOn(_bytes: Uint8Array, _lent: boolean): boolean {
    return false
  }
  threshold(): number {
    return 0
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    const { buffer } = this
    if (buffer.isClosed) return this.broken() as never
    if (buffer.operation !== undefined) {
      return Exit.fail(new StreamBusy({ operation: this.name, holder: buffer.operation.name })) as never
    }
    if (interrupted(fiber)) return nothing(fiber)
    const broken = buffer.backpressure.takeDefect()
    if (broken !== undefined) return Exit.die(broken.defect) as never
    const exit = buffer.settle(this)
    return exit === undefined ? buffer.wait(this, fiber) : (handOver(exit, fiber) as Effect.Effect<A, E>)
  }

  /** The failure that the end of the stream means for a read, unless it is a clean end. */
  protected broken(): Exit.Exit<never, ReadError> | undefined {
    const { end } = this.buffer
    switch (end._tag) {
      case "closed":
        return Exit.fail(new ClosedStream({ operation: this.name, reason: end.reason }))
      case "lost":
        return Exit.fail(end.loss(this.name))
      default:
        return undefined
    }
  }

  /** Whether nothing comes any more, for whatever reason. */
  protected over(): boolean {
    return this.buffer.end !== open
  }
}
