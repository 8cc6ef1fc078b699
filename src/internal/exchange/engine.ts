/**
 * One connection that many fibers ask and are answered on: who is sent next, whose an answer is, and what becomes of all of
 * them when it is over.
 *
 * A batch waits at the gate until it is its turn. It is written and queued for its answers in one step, so that no
 * interruption comes between the two: one that was not written is never sent, one that was has its answers awaited, by
 * somebody or by nobody. One fiber reads. It never reads further than the answers that are awaited ask for where somebody
 * else is to have the connection behind them.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Connection } from "../../Connection.ts"
import type { Closed } from "../../Exchange.ts"
import type { Decoder } from "../../Frame.ts"
import type { LostCause, StreamTimeout } from "../../StreamError.ts"
import type { StreamReader } from "../../StreamReader.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import { EncodeFailed, IncompleteRead, ProtocolViolation, RequestLost } from "../base/errors.ts"
import { notNow, Operation } from "../runtime/operation.ts"
import { SessionConnection } from "../session/connection.ts"
import { type Bounded, Bounds } from "./bounds.ts"
import type { Batch, Call, Desk } from "./call.ts"
import { type Full, Held } from "./held.ts"
import {
  isInOtherHands,
  isStreamFailure,
  lostBehind,
  lostCauseOf,
  peeked,
  refusalOf,
  takenOf,
  unwritable
} from "./lost.ts"
import type { Options } from "./options.ts"
import type { Order } from "./order.ts"
import { Room } from "./room.ts"
import { writeCalls } from "./writeRun.ts"

type State =
  /** `accepting`: calls are taken; `draining`: no more; `released`: another has the connection. */
  { readonly _tag: "Accepting" | "Draining" } | { readonly _tag: "Over"; readonly closed: Closed }

const accepting: State = { _tag: "Accepting" }
const draining: State = { _tag: "Draining" }

export class Engine<Request, Answer> implements Desk, Bounded {
  readonly connection: Connection
  readonly reader: StreamReader
  readonly writer: StreamWriter
  readonly order: Order<Request, Answer>
  readonly services: Context.Context<never>
  /** How it ended, once it has. */
  readonly closed = Deferred.makeUnsafe<Closed>()
  /** When something was sent last, on the scale of `bounds.now`, where that is to be noted. */
  sentAt = 0

  private readonly options: Options<Request, Answer>
  private state: State = accepting
  /** Those who wait for their turn, in the order in which they came. */
  private readonly gate = new Set<Batch<Request, Answer, RequestLost>>()
  /** The batch that has the connection to itself, for good if it is over. */
  holder: Batch<Request, Answer, RequestLost> | undefined = undefined
  /** Those behind whom no more calls are taken. */
  private readonly leaving = new Set<Batch<Request, Answer, RequestLost>>()
  private readonly room: Room
  private pumping = false
  /** The fiber that reads, unless another has the connection. */
  private loop: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private reading = false
  /** Whether an answer was among what was read just now. */
  private wasAnswered = false
  /** Whether what was written and has not left may still do so, although it is over. */
  private leaves = false
  readonly held: Held<Answer>
  readonly bounds: Bounds

  constructor(
    connection: Connection,
    order: Order<Request, Answer>,
    options: Options<Request, Answer>,
    services: Context.Context<never>
  ) {
    this.connection = connection
    this.reader = connection.reader
    this.writer = connection.writer
    this.order = order
    this.options = options
    this.services = services
    const atEndOfTurn = connection instanceof SessionConnection ? connection.session.atEndOfTurn : undefined
    // it goes on reading then, see `isReadBy`
    this.held = new Held(connection.closed, services, () => this.loop?.interruptUnsafe())
    this.room = new Room(
      this.writer,
      services,
      () => this.goOn(),
      (cause) => this.lose(lostCauseOf("call", cause))
    )
    this.bounds = new Bounds(options, this, services, atEndOfTurn)
    this.sentAt = this.bounds.now
  }

  get isOver(): boolean {
    return this.state._tag === "Over"
  }

  /** What the peer, or the system, has taken of what was written: a sign of life where nothing is to be answered. */
  get taken(): number {
    return this.order.size > 0 ? 0 : takenOf(this.connection)
  }

  /** The batch that has it to itself as soon as answers of this side that are being written are. */
  get nextHolder(): Batch<Request, Answer, RequestLost> | undefined {
    const first = this.order.size > 0 ? undefined : this.gate.values().next().value
    return first?.alone === true ? first : undefined
  }

  // ------------------------------------------------------------------------
  // sending
  // ------------------------------------------------------------------------

  submit(batch: Batch<Request, Answer, RequestLost>): void {
    if (this.state !== accepting) return batch.finish(Exit.fail(this.refusal()))
    this.options.onSubmit?.(batch)
    this.bounds.called(batch)
    // nobody is in front of it
    if (!batch.alone && !this.pumping && this.gate.size === 0 && this.hasRoomFor(batch)) return this.pump(batch)
    this.gate.add(batch)
    this.pump()
  }

  private hasRoomFor({ alone, calls }: Batch<Request, Answer, RequestLost>): boolean {
    const { maxInFlight, unasked } = this.options
    if (alone) return this.order.size === 0 && !unasked.some(({ isAnswered }) => isAnswered)
    const room = maxInFlight - this.order.size
    return this.room.isThere && this.holder === undefined && room >= Math.min(calls.length, maxInFlight)
  }

  /** The error of a call that is not taken any more. */
  private refusal(): RequestLost {
    return refusalOf(this.state._tag === "Over" ? this.state.closed : undefined)
  }

  /** Sends those whose turn it is, behind the `first`. */
  pump(first?: Batch<Request, Answer, RequestLost>): void {
    // what is sent may fail, and who hears of that may ask for something
    if (this.pumping) return
    this.pumping = true
    try {
      if (first !== undefined) this.send(first)
      while (this.gate.size > 0 && this.holder === undefined && !this.isOver) {
        const batch: Batch<Request, Answer, RequestLost> = this.gate.values().next().value!
        if (!this.hasRoomFor(batch)) break
        this.gate.delete(batch)
        // what it waited for has come
        if (this.order.size === 0) this.bounds.idle()
        if (!batch.alone) {
          this.send(batch)
          continue
        }
        this.holder = batch
        this.reading = false
        batch.sent = true
        // which may have given it back by the time in which this returns
        batch.finish(Exit.void)
      }
    } finally {
      this.pumping = false
    }
    if (this.gate.size > 0 || !this.room.isThere) this.settle()
    // who had it to himself has given it back, and nobody else has it: what comes is everybody's again
    if (!this.reading && this.holder === undefined) this.start()
  }

  /**
   * Where nothing is in flight, who waits for room, or until answers of this side have been read, waits for the peer. Without
   * room, the time in which they do counts as one where they give up and others come.
   */
  private settle(): void {
    if (this.order.size > 0) return
    if (this.gate.size > 0 && this.holder === undefined) this.bounds.awaited()
    else if (this.room.isThere || this.holder !== undefined) this.bounds.idle()
    else this.bounds.pause()
  }

  /** Writes a batch, and queues it for its answers. */
  private send(batch: Batch<Request, Answer, RequestLost>): void {
    const { order } = this
    const { calls } = batch
    let hasRoom: boolean
    try {
      hasRoom = writeCalls(this.writer, this.options.request, calls, order)
    } catch (thrown) {
      this.bounds.over(batch)
      if (thrown instanceof EncodeFailed) return batch.finish(Exit.fail(unwritable(thrown)))
      if (!isStreamFailure(thrown)) return batch.finish(Exit.die(thrown))
      batch.finish(Exit.fail(new RequestLost({ sent: "No", cause: thrown })))
      return this.lose(thrown)
    }
    batch.sent = true
    if (this.options.notesSending) {
      this.sentAt = this.bounds.now
      batch.sentAt = this.bounds.peerTime
    }
    const { state } = this
    if (state._tag === "Over") {
      // the write has met the end of the connection, and everybody else was told of it
      for (const call of calls) this.failCall(call, state.closed)
      return batch.finish(Exit.fail(this.lostError(calls[0]!, state.closed)))
    }
    let awaited = 0
    for (const call of calls) {
      if (call.expected === 0) continue
      order.add(call)
      awaited++
    }
    if (order.size > 0) this.bounds.awaited()
    if (!hasRoom) this.room.note(false)
    if (awaited === 0) this.done(batch, Exit.void)
  }

  /** Writes a request that has no answer, before those that wait, for one that is in flight. */
  sendNow(request: Request): void {
    this.room.note(this.writer.writeFrameUnsafe(this.options.request, request))
  }

  /** There may be room now, or one less who waits for it. */
  private goOn(): void {
    this.pump()
    this.settle()
  }

  /** A batch has all it waited for. */
  done(batch: Batch<Request, Answer, RequestLost>, exit: Exit.Exit<any, any>): void {
    this.bounds.over(batch)
    batch.finish(exit)
  }

  // ------------------------------------------------------------------------
  // giving up
  // ------------------------------------------------------------------------

  /** The caller is gone. One that was not sent never is; the answers of one that was are awaited, and dropped. */
  giveUp(batch: Batch<Request, Answer, RequestLost>): void {
    this.bounds.over(batch)
    if (this.gate.delete(batch)) {
      // not in the step of the fiber that is interrupted
      queueMicrotask(() => {
        batch.givenBack.openUnsafe()
        this.goOn()
      })
      return
    }
    if (this.holder === batch) queueMicrotask(() => this.giveBack(batch))
    else for (const call of batch.calls) this.abandon(call)
  }

  /** Nobody wants the answers of a call any more. */
  abandon(call: Call<Request, Answer, RequestLost>): void {
    if (call.receiver === undefined) return
    call.receiver = undefined
    if (this.isOver || call.ended) return
    const { onAbandoned } = this.options
    if (onAbandoned !== undefined) {
      // not in the step of a fiber that is interrupted
      queueMicrotask(() => {
        if (this.isOver || call.ended) return
        try {
          onAbandoned(call)
        } catch (thrown) {
          this.lose(lostCauseOf("cancel", Cause.die(thrown)))
        }
      })
    }
    const { next } = this.order
    // the peer has nothing to say to it before its turn
    if (next === undefined || next === call) this.bounds.unwanted(call)
  }

  /** A call has lost its place to another, though its answers may have yet to come. */
  forget(call: Call<Request, Answer, RequestLost>): void {
    this.bounds.ended(call)
    this.lessInFlight()
  }

  // ------------------------------------------------------------------------
  // reading
  // ------------------------------------------------------------------------

  start(): void {
    if (this.reading || this.isOver) return
    this.reading = true
    // it was told to stop, and has not yet
    if (this.loop !== undefined) return
    const reading = Effect.matchCauseEager(
      Effect.whileLoop({
        while: () => this.reading,
        body: () => this.nextRead(),
        step: (answer) => this.onRead(answer)
      }),
      {
        onFailure: (cause) => this.onReadFailure(cause),
        onSuccess: () => {}
      }
    )
    // what is there is given out before this returns, and who is told may want to have the connection
    const loop = Effect.withFiber((fiber) => {
      this.isReadBy(fiber)
      return reading
    })
    this.isReadBy(Effect.runForkWith(this.services)(loop))
  }

  private isReadBy(loop: Fiber.Fiber<unknown, unknown>): void {
    if (this.loop === loop || loop.pollUnsafe() !== undefined) return
    this.loop = loop
    // also of one that is interrupted, which ends without a word
    loop.addObserver(() => {
      if (this.loop !== loop) return
      this.loop = undefined
      if (!this.reading) return
      // it was told to go on when it had stopped, and had not ended yet
      this.reading = false
      this.start()
    })
  }

  /** Stops reading; nothing of a message is lost. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.reading = false
    const { loop } = this
    return loop === undefined ? Effect.void : Fiber.interrupt(loop)
  })

  private decoder(): Decoder<Answer> | undefined {
    const { response } = this.options
    if (typeof response !== "function") return response
    const { next } = this.order
    return next === undefined ? undefined : response(next.request as Request)
  }

  private nextRead(): Effect.Effect<Answer | typeof notNow, unknown> {
    if (!this.held.isEmpty) return Effect.as(this.held.wait, notNow)
    const decoder = this.decoder()
    // what comes is for a request that is sent meanwhile, or for nobody
    return decoder === undefined ? Effect.as(peeked(this.reader), notNow) : this.reader.readFrame(decoder)
  }

  private onRead(answer: Answer | typeof notNow): void {
    this.takeAll(answer)
    if (!this.wasAnswered) return
    this.wasAnswered = false
    // once for all that came together: asking the clock costs as much as an answer does
    this.bounds.answered()
  }

  private takeAll(answer: Answer | typeof notNow): void {
    if (answer === notNow) {
      const held = this.held.take()
      if (held !== undefined) {
        this.bounds.waits = false
        this.dispatch(held.message)
      } else if (this.decoder() === undefined) {
        this.violated("an answer that nobody asked for")
      }
    } else this.dispatch(answer)
    // what else is there costs no step of the fiber
    while (this.reading && this.held.isEmpty) {
      const decoder = this.decoder()
      const read = decoder === undefined ? undefined : this.reader.readFrame(decoder)
      if (!(read instanceof Operation)) return
      const next: Answer | typeof notNow = read.tryNow()
      if (next === notNow) return
      this.dispatch(next)
    }
  }

  /** Gives a message to whoever it is for. */
  private dispatch(message: Answer): void {
    for (const unasked of this.options.unasked) {
      if (!unasked.is(message)) continue
      if (!unasked.offer(message, this.held.hasAll)) this.hold(message, unasked)
      return
    }
    const { order } = this
    const call = order.find(message) as Call<Request, Answer, RequestLost> | string | undefined
    if (call === undefined) return
    if (typeof call === "string") return this.violated(call)
    const { expected, receiver } = call
    if (receiver?.isFull === true && !this.held.hasAll) return this.hold(message, receiver)
    call.answered++
    const last = expected === undefined ? this.options.isLast!(message, call.request) : call.answered === expected
    this.wasAnswered = true
    if (last) {
      call.ended = true
      order.remove(call)
      this.bounds.ended(call)
      const { next } = order
      if (next !== undefined && next.receiver === undefined) this.bounds.unwanted(next)
    }
    receiver?.part(message, last)
    if (!last) return
    // it may have been one too many
    if (this.state._tag === "Over") this.failCall(call, this.state.closed)
    this.lessInFlight()
  }

  private hold(message: Answer, full: Full): void {
    this.held.put(message, full)
    this.bounds.waits = this.held.isOurs
  }

  private lessInFlight(): void {
    if (this.order.size === 0) this.bounds.idle()
    if (this.gate.size > 0) this.pump()
  }

  private onReadFailure(cause: Cause.Cause<unknown>): void {
    if (this.isOver || (Cause.hasInterruptsOnly(cause) && !this.reading)) return
    const lost = lostCauseOf("call", cause)
    if (lost instanceof IncompleteRead && lost.partial.length === 0 && this.order.size === 0) {
      return this.finish({ _tag: "PeerEof" })
    }
    this.lose(lost)
  }

  violated(reason: string): void {
    this.lose(new ProtocolViolation({ reason }))
  }

  // ------------------------------------------------------------------------
  // bounds
  // ------------------------------------------------------------------------

  /** A caller's patience is over. */
  expire(batch: Batch<Request, Answer, RequestLost>, error: StreamTimeout): void {
    const waited = this.gate.delete(batch)
    if (!waited) for (const call of batch.calls) this.abandon(call)
    batch.finish(Exit.fail(error))
    if (waited) this.pump()
  }

  // ------------------------------------------------------------------------
  // having it to oneself
  // ------------------------------------------------------------------------

  /** The batch that had the connection to itself gives it back. */
  giveBack(batch: Batch<Request, Answer, RequestLost>): void {
    if (this.holder !== batch) return
    this.holder = undefined
    batch.givenBack.openUnsafe()
    // the next one may have it to himself too, and what comes is his then
    this.pump()
  }

  // ------------------------------------------------------------------------
  // ending
  // ------------------------------------------------------------------------

  /** No more calls are taken. Those in front of the batch are answered first. */
  submitLast(batch: Batch<Request, Answer, RequestLost>): void {
    if (this.state._tag === "Over") return batch.finish(Exit.fail(this.refusal()))
    this.state = draining
    this.leaving.add(batch)
    this.gate.add(batch)
    this.pump()
  }

  /** Calls are taken again, unless somebody else is to be the last as well. */
  accept(batch: Batch<Request, Answer, RequestLost>): void {
    this.leaving.delete(batch)
    if (this.leaving.size === 0 && this.state === draining) this.state = accepting
  }

  /** It is over in good order, or because of what the peer did. Nothing is in flight. */
  finish(closed: Closed): void {
    if (this.state._tag === "Over") return
    this.state = { _tag: "Over", closed }
    this.end(closed)
  }

  /** The connection is not used any more, and is reset, if it is still ours. Everybody who waits is told, at once. */
  lose(cause: LostCause): void {
    if (this.state._tag === "Over") return
    const closed: Closed = { _tag: "Lost", cause }
    this.state = { _tag: "Over", closed }
    this.leaves = isInOtherHands(this.connection, cause)
    // nothing goes out from here on: what has not left by now never will, whoever else would run in between
    if (!this.leaves) Effect.runSyncExitWith(this.services)(this.connection.abort)
    this.end(closed)
  }

  private end(closed: Closed): void {
    this.reading = false
    this.bounds.stop()
    this.loop?.interruptUnsafe()
    this.held.stop()
    const inFlight = this.order.clear() as ReadonlyArray<Call<Request, Answer, RequestLost>>
    const waiting = [...this.gate]
    this.gate.clear()
    Deferred.doneUnsafe(this.closed, Exit.succeed(closed))
    this.holder?.givenBack.openUnsafe()
    for (const call of inFlight) this.failCall(call, closed)
    for (const batch of waiting) {
      batch.finish(Exit.fail(this.refusal()))
      batch.givenBack.openUnsafe()
    }
    const held = this.held.take()
    for (const unasked of this.options.unasked) {
      if (held !== undefined && unasked.is(held.message)) unasked.offer(held.message, true)
      unasked.finish(closed)
    }
  }

  /** No answer comes to a call that was written. */
  private failCall(call: Call<Request, Answer, RequestLost>, closed: Closed): void {
    call.receiver?.fail(this.lostError(call, closed))
    call.receiver = undefined
  }

  private lostError({ position }: Call<Request, Answer, RequestLost>, closed: Closed): RequestLost {
    return lostBehind(this.leaves ? undefined : position, this.writer, closed)
  }
}
