/** What becomes of the answers to a call: the last one is wanted, or all of them. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { CallError } from "../../Exchange.ts"
import type { RequestLost } from "../../StreamError.ts"
import { maxParts } from "../base/defaults.ts"
import { Batch, Call, type Receiver } from "./call.ts"
import type { Engine } from "./engine.ts"
import { Mailbox } from "./mailbox.ts"

export type AnyBatch = Batch<any, any, RequestLost>

/** The last answer, for whoever waits for the batch. */
class Last<Answer> implements Receiver<Answer, RequestLost> {
  readonly isFull = false
  readonly awaitRoom = Effect.void
  batch!: AnyBatch
  private readonly engine: Engine<any, any>

  constructor(engine: Engine<any, any>) {
    this.engine = engine
  }
  part(answer: Answer, last: boolean): void {
    if (last) this.engine.done(this.batch, Exit.succeed(answer))
  }
  fail(error: RequestLost): void {
    this.engine.done(this.batch, Exit.fail(error))
  }
}

/** One request, of whose answers the last is wanted. */
export const batchForLast = <Request, Answer>(
  engine: Engine<Request, Answer>,
  request: Request,
  expected: number
): Batch<Request, Answer, RequestLost> => {
  const receiver = new Last<Answer>(engine)
  const batch = new Batch([new Call<Request, Answer, RequestLost>(request, expected, receiver)])
  receiver.batch = batch
  return batch
}

/** All answers to one request, for whoever waits for the batch. */
export class Every<Answer> implements Receiver<Answer, RequestLost> {
  readonly isFull = false
  readonly awaitRoom = Effect.void
  batch!: AnyBatch
  private readonly engine: Engine<any, any>
  private readonly most: number
  private readonly answers: Array<Answer> = []

  constructor(engine: Engine<any, any>, most: number) {
    this.engine = engine
    this.most = most
  }
  part(answer: Answer, last: boolean): void {
    if (this.answers.length === this.most) return this.engine.violated(`more than ${this.most} answers to one request`)
    this.answers.push(answer)
    if (last) this.engine.done(this.batch, Exit.succeed(this.answers))
  }
  fail(error: RequestLost): void {
    this.engine.done(this.batch, Exit.fail(error))
  }
}

/** The last answers to several requests. */
export class All<Answer> {
  batch!: AnyBatch
  private readonly engine: Engine<any, any>
  private readonly answers: Array<Answer> = []
  private left: number

  constructor(engine: Engine<any, any>, count: number) {
    this.engine = engine
    this.answers.length = count
    this.left = count
  }
  receiver(index: number): Receiver<Answer, RequestLost> {
    return new OneOf(this, index)
  }
  put(index: number, answer: Answer): void {
    this.answers[index] = answer
    if (--this.left === 0) this.engine.done(this.batch, Exit.succeed(this.answers))
  }
  fail(error: RequestLost): void {
    this.engine.done(this.batch, Exit.fail(error))
  }
}

/** The last answer to one of several requests. */
class OneOf<Answer> implements Receiver<Answer, RequestLost> {
  readonly isFull = false
  readonly awaitRoom = Effect.void
  private readonly all: All<Answer>
  private readonly index: number

  constructor(all: All<Answer>, index: number) {
    this.all = all
    this.index = index
  }
  part(answer: Answer, last: boolean): void {
    if (last) this.all.put(this.index, answer)
  }
  fail(error: RequestLost): void {
    this.all.fail(error)
  }
}

/** All answers, for a stream. */
export class Parts<Answer> implements Receiver<Answer, RequestLost> {
  readonly mailbox = new Mailbox<Answer, CallError>(maxParts)
  readonly awaitRoom = this.mailbox.awaitRoom
  batch!: AnyBatch
  private readonly engine: Engine<any, any>

  constructor(engine: Engine<any, any>) {
    this.engine = engine
  }
  get isFull(): boolean {
    return this.mailbox.isFull
  }
  part(answer: Answer, last: boolean): void {
    this.mailbox.offer(answer)
    // from the first answer on it is the consumer's patience that counts
    this.engine.done(this.batch, Exit.void)
    if (last) this.mailbox.finish(Exit.fail(Cause.Done()))
  }
  fail(error: RequestLost): void {
    this.mailbox.finish(Exit.fail(error))
  }
}

/** None: what is sent has no answer. */
export const nobody: Receiver<any, any> = { isFull: false, awaitRoom: Effect.void, part: () => {}, fail: () => {} }
