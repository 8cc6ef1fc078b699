/** Calls, from the moment in which they ask for their turn until the last of their answers has come. */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import { interrupted, nothing, resume, runsAtOnce, suspend } from "../runtime/effectInternals.ts"
import { notNow, Operation } from "../runtime/operation.ts"

/** What becomes of the answers of a call. */
export interface Receiver<Answer, Error> {
  /** An answer; `last` says that none follows. */
  part(answer: Answer, last: boolean): void
  /** None comes any more. */
  fail(error: Error): void
  /** Whether nothing more may be given to it for now. */
  readonly isFull: boolean
  readonly awaitRoom: Effect.Effect<void>
}

/** One request, and what is still to be answered of it. */
export class Call<Request, Answer, Error> {
  readonly request: Request
  /** How many answers it has; `undefined` where only the last of them says so. */
  readonly expected: number | undefined
  /** How many have come. */
  answered = 0
  /** Whether the last has come. */
  ended = false
  /** `undefined` once nobody wants its answers: they are awaited all the same, and dropped. */
  receiver: Receiver<Answer, Error> | undefined
  /** How many bytes had been written in front of it, where that is known. */
  position: number | undefined = undefined
  /** What its answer is known by, where answers do not come in order. */
  id: number | undefined = undefined

  constructor(request: Request, expected: number | undefined, receiver: Receiver<Answer, Error>) {
    this.request = request
    this.expected = expected
    this.receiver = receiver
  }
}

const open = Latch.makeUnsafe(true)

/** Calls that are sent as one run, and the fiber that waits for them: for its turn, and then for all answers. */
export class Batch<Request, Answer, Error> {
  readonly calls: ReadonlyArray<Call<Request, Answer, Error>>
  /** Whether it waits to be sent until nothing is in flight, and nothing else is sent until it says so. */
  readonly alone: boolean
  /** Opens once one that is alone has the connection no longer, or will not have it. */
  readonly givenBack: Latch.Latch
  /** How it ended, once it has. */
  exit: Exit.Exit<any, any> | undefined = undefined
  /** Whether it was sent; of one that is alone, whether its turn has come. */
  sent = false
  /** When it was sent, in time of the peer, where that is noted. */
  sentAt: number | undefined = undefined
  /** When its caller stops waiting. */
  deadline = Infinity
  /** Told once nobody waits for it any more. */
  onOver: (() => void) | undefined = undefined
  private resume: ((exit: Exit.Exit<any, any>) => void) | undefined = undefined

  constructor(calls: ReadonlyArray<Call<Request, Answer, Error>>, alone = false) {
    this.calls = calls
    this.alone = alone
    this.givenBack = alone ? Latch.makeUnsafe(false) : open
  }

  /** The first exit is the one that counts. */
  finish(exit: Exit.Exit<any, any>): void {
    if (this.exit !== undefined) return
    this.exit = exit
    const { resume } = this
    this.resume = undefined
    this.over()
    resume?.(exit)
  }

  onFinish(resume: (exit: Exit.Exit<any, any>) => void): void {
    if (this.exit !== undefined) return resume(this.exit)
    this.resume = resume
  }

  /** Nobody waits any more. Whether it was still waited for. */
  abandon(): boolean {
    this.resume = undefined
    this.over()
    return this.exit === undefined
  }

  private over(): void {
    const { onOver } = this
    this.onOver = undefined
    onOver?.()
  }
}

/** Who sends batches, and finishes them. */
export interface Desk {
  submit(batch: Batch<any, any, any>): void
  giveUp(batch: Batch<any, any, any>): void
}

/** Submits a batch, and waits for it. Interrupting it gives the batch up. Each run is a batch of its own. */
export class Await<A, E> extends Operation<A, E> {
  private readonly desk: Desk
  private readonly make: () => Batch<any, any, any>

  constructor(desk: Desk, make: () => Batch<any, any, any>) {
    super()
    this.desk = desk
    this.make = make
  }

  tryNow(): typeof notNow {
    return notNow
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E> {
    const { desk } = this
    if (interrupted(fiber)) return nothing(fiber)
    if (!runsAtOnce(fiber)) {
      return Effect.callback<A, E>((resume) => {
        const batch = this.make()
        desk.submit(batch)
        batch.onFinish(resume)
        return Effect.sync(() => {
          if (batch.abandon()) desk.giveUp(batch)
        })
      })
    }
    const batch = this.make()
    desk.submit(batch)
    if (batch.exit !== undefined) return batch.exit
    if (interrupted(fiber)) {
      if (batch.abandon()) desk.giveUp(batch)
      return nothing(fiber)
    }
    batch.onFinish((exit) => resume(fiber, exit))
    return suspend(fiber, () => {
      if (batch.abandon()) desk.giveUp(batch)
    })
  }
}
