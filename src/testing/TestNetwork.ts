/**
 * A network in memory: the whole `Network` service, for programs that need not
 * know. Deterministic, slow and broken on demand, in the time of Effect's
 * `Clock`.
 *
 * **Example** (A server that is cut off in the middle of its answer)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { openConnection, startServer } from "effect-byte-streams"
 * import * as Faults from "effect-byte-streams/testing/Faults"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const program = Effect.gen(function* () {
 *   yield* startServer({ port: 7000 }, ({ writer }) => writer.write("hello, world\n"))
 *   const { reader } = yield* openConnection({ host: "greeter.example", port: 7000 })
 *   return yield* Effect.flip(reader.readExactly(13))
 * })
 *
 * const error = await Effect.runPromise(
 *   TestNetwork.simulate(program, { faults: [Faults.fin({ from: "server", after: 5 })] })
 * )
 * console.log(error.message) // => readExactly: the stream ended after 5 of 13 bytes
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Connection from "../Connection.ts"
import * as LockStep from "../internal/testing/network/lockStep.ts"
import * as Internal from "../internal/testing/network/memoryNetwork.ts"
import { VirtualTime } from "../internal/testing/time/virtualTime.ts"
import { Network } from "../Network.ts"
import type * as Faults from "./Faults.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * How what is written arrives: as pieces of which size.
 *
 * **Details**
 *
 * - `"asIs"`: what the sender's transport was given at a time, as far as there was room.
 * - `"oneByte"`: each byte alone.
 * - `"halves"`: each of the above in two halves.
 * - `"random"`: pieces of 1 to `most` (default 4,096) bytes, small ones as likely as large ones, drawn from the
 *   network's seed or one of their own.
 * - `offsets`: cut behind these numbers of bytes, and nowhere else but where `"asIs"` would.
 *
 * @category models
 * @since 0.1.0
 */
export type Chunking =
  | "asIs"
  | "oneByte"
  | "halves"
  | "random"
  | { readonly random: { readonly seed?: number | undefined; readonly most?: number | undefined } }
  | { readonly offsets: ReadonlyArray<number> }

/**
 * What one direction is like.
 *
 * @category models
 * @since 0.1.0
 */
export interface Path {
  /** How long everything takes to arrive: bytes, ends, resets, and connecting. Default 0. */
  readonly latency?: Duration.Input | undefined
  /** Bytes a second. A piece arrives when its last byte does, so slow lines want small pieces. Default: no limit. */
  readonly bandwidth?: number | undefined
  /** Default `"asIs"`. */
  readonly chunking?: Chunking | undefined
  /**
   * How many bytes may be on their way, or lie unread by the receiving program, before the sending transport holds
   * on to what it is given. Default 65,536.
   */
  readonly capacity?: number | undefined
}

/**
 * What the wire between two ends is like.
 *
 * @category models
 * @since 0.1.0
 */
export interface WireOptions {
  /** All that is random comes from it. Default 1. */
  readonly seed?: number | undefined
  /** What the side that connected sends through. */
  readonly fromClient?: Path | undefined
  /** What the side that accepted sends through. */
  readonly fromServer?: Path | undefined
  /** What goes wrong. */
  readonly faults?: Faults.Script | undefined
}

/**
 * What a network is like.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends WireOptions {
  /**
   * The addresses of names; none means that the name is not found, `"Timeout"` that looking it up never ends. `localhost`
   * is `127.0.0.1`, and any other name has an address of its own, so that programs meet by name without being told.
   */
  readonly hosts?: Readonly<Record<string, string | ReadonlyArray<string>>> | undefined
  /** Addresses that answer in one way only, whoever listens there. */
  readonly addresses?: Readonly<Record<string, "Refused" | "Timeout" | "Unreachable">> | undefined
}

/**
 * The options of a pair: those of the wire, and of the connections at both ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface PairOptions extends WireOptions, Connection.Options {}

/**
 * Two connected ends. `left` is what the wire's options call the client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pair {
  readonly left: Connection.Connection
  readonly right: Connection.Connection
}

/**
 * Something that reached the other end, or happened on the way.
 *
 * @category models
 * @since 0.1.0
 */
export interface WireEvent {
  /** Milliseconds since the first event. */
  readonly at: number
  /** Which connection, counted from 1. */
  readonly connection: number
  /** Who sent it. */
  readonly from: "client" | "server"
  /** `stray`: bytes for a receiver that has let go. */
  readonly kind: "connect" | "accept" | "refuse" | "data" | "end" | "reset" | "fault" | "stray"
  /** Of `data`: how many bytes of this direction came before. */
  readonly offset?: number | undefined
  readonly size?: number | undefined
  /** Of `data`: its first bytes, enough to recognise it. */
  readonly bytes?: Uint8Array | undefined
  readonly detail?: string | undefined
}

// ---------------------------------------------------------------------------
// services
// ---------------------------------------------------------------------------

/**
 * What a test can ask a network in memory, beside using it.
 *
 * @category services
 * @since 0.1.0
 */
export class TestNetwork extends Context.Service<
  TestNetwork,
  {
    readonly seed: number
    readonly faults: Faults.Script
    /** What crossed the wire so far. At least the last 20,000 events are kept. */
    readonly events: Effect.Effect<ReadonlyArray<WireEvent>>
    /** The same, for people, with the seed and the faults. */
    readonly timeline: Effect.Effect<string>
    /** See `settled`. */
    readonly settled: Effect.Effect<void>
  }
>()("effect-byte-streams/testing/TestNetwork") {}

const serviceOf = (wire: Internal.Wire): TestNetwork["Service"] => ({
  seed: wire.seed,
  faults: wire.faults,
  events: Effect.sync(() => wire.recorder.events()),
  timeline: Effect.sync(() => wire.timeline()),
  settled: wire.settled
})

/**
 * What crossed the wire so far, as a page to read.
 *
 * @category combinators
 * @since 0.1.0
 */
export const timeline: Effect.Effect<string, never, TestNetwork> = Effect.flatMap(
  Effect.service(TestNetwork),
  (network) => network.timeline
)

/**
 * What crossed the wire so far, as data.
 *
 * @category combinators
 * @since 0.1.0
 */
export const events: Effect.Effect<ReadonlyArray<WireEvent>, never, TestNetwork> = Effect.flatMap(
  Effect.service(TestNetwork),
  (network) => network.events
)

/**
 * Waits until nothing moves any more without time passing: all that is due has
 * arrived, and what it set off has run. Before a `TestClock` is adjusted, so that
 * every program has come to the point where it waits for time. Where somebody
 * goes on and on it dies after 10 seconds of real time.
 *
 * @category combinators
 * @since 0.1.0
 */
export const settled: Effect.Effect<void, never, TestNetwork> = Effect.flatMap(
  Effect.service(TestNetwork),
  (network) => network.settled
)

// ---------------------------------------------------------------------------
// layers
// ---------------------------------------------------------------------------

const build = (options: Options): Effect.Effect<Context.Context<Network | TestNetwork>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Internal.MemoryNetwork(options)),
      (network) => Effect.sync(() => network.wire.stop())
    ),
    (network) =>
      Context.make(Network, Network.of({ connect: network.connect, listen: network.listen })).pipe(
        Context.add(TestNetwork, serviceOf(network.wire))
      )
  )

/**
 * A network in memory.
 *
 * **Details**
 *
 * Nothing is delivered inside the call that sends it: every piece arrives in a
 * turn of the fiber scheduler of its own, in the order of time, and of sending
 * where times are equal. Time is that of the `Clock` of whoever connects, so
 * under a `TestClock` a test adjusts it. One adjustment carries a whole
 * conversation through, however often the programs sleep and the network takes
 * its time on the way.
 *
 * Unix sockets are those of Linux: an abort is a clean end for the peer, unless
 * something that it had sent was not read, and paths fail for the same reasons.
 * There are no files and no directories, so that every directory exists.
 *
 * **Gotchas**
 *
 * A `TestClock` waits for fibers, and for nothing else. While it is adjusted it
 * runs ahead of a program that waits for a promise, a timer of the system, or
 * anything real.
 *
 * **Example** (Twenty minutes in one step)
 *
 * ```ts
 * import { Effect, Fiber, Option } from "effect"
 * import { openConnection, startServer } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 * import { TestClock } from "effect/testing"
 *
 * const conversation = Effect.gen(function* () {
 *   const { reader, writer } = yield* openConnection({ port: 7000 })
 *   for (let i = 0; i < 10; i++) {
 *     yield* Effect.sleep("1 minute")
 *     yield* writer.write(`${i}\n`)
 *     yield* reader.readUntil("\n")
 *   }
 * })
 *
 * const test = Effect.gen(function* () {
 *   yield* startServer({ port: 7000, gracePeriod: 0 }, ({ reader, writer }) =>
 *     Effect.gen(function* () {
 *       for (let line = yield* reader.readLineText; Option.isSome(line); line = yield* reader.readLineText) {
 *         yield* Effect.sleep("1 minute")
 *         yield* writer.write(`${line.value}\n`)
 *       }
 *     })
 *   )
 *   const talking = yield* Effect.forkChild(conversation)
 *   yield* TestNetwork.settled
 *   yield* TestClock.adjust("20 minutes")
 *   yield* Fiber.join(talking)
 *   console.log((yield* TestNetwork.events).at(-1)?.at) // => 1200000
 * })
 *
 * await Effect.runPromise(
 *   test.pipe(Effect.scoped, Effect.provide(TestNetwork.layer), Effect.provide(TestClock.layer()))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Network | TestNetwork> = Layer.effectContext(build({}))

/**
 * A network in memory that is like this.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Network | TestNetwork> => Layer.effectContext(build(options))

// ---------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------

/**
 * A program failed on a network in memory. The message has what it failed with,
 * the seed, the faults, and what crossed the wire.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunFailed extends Schema.TaggedError<RunFailed>("effect-byte-streams/testing/RunFailed")("RunFailed", {
  /** What the program failed with, in words. */
  reason: Schema.String,
  seed: Schema.Number,
  timeline: Schema.String,
  /** The program's error or defect. */
  cause: Schema.optional(Schema.Defect())
}) {
  override get message(): string {
    return `${this.reason}\n\n${this.timeline}`
  }
}

const explained = (cause: Cause.Cause<unknown>, network: TestNetwork["Service"]): Effect.Effect<never, RunFailed> =>
  Effect.flatMap(network.timeline, (timeline) => {
    const reason = Cause.prettyErrors(cause)
      .map((error) => `${error.name.slice(error.name.lastIndexOf("/") + 1)}: ${error.message}`)
      .join("\n")
    const failure = new RunFailed({ reason, seed: network.seed, timeline, cause: Cause.squash(cause) })
    // they are in the message: test runners that also print what an error holds need not say it twice
    for (const key of ["reason", "timeline"]) Object.defineProperty(failure, key, { enumerable: false })
    return Effect.fail(failure)
  })

/**
 * Adds to a failure the seed, the faults, and what crossed the wire.
 *
 * @category combinators
 * @since 0.1.0
 */
export const explain = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, RunFailed, R | TestNetwork> =>
  Effect.flatMap(Effect.service(TestNetwork), (network) =>
    Effect.catchCause(self, (cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause as Cause.Cause<never>) : explained(cause, network)
    )
  )

/**
 * Runs a program on a network of its own, in time of its own: the clock moves
 * on by itself whenever the program has nothing left to do but to wait. An hour
 * of latency takes no time, and nobody has to adjust a `TestClock`.
 *
 * **When to use**
 *
 * For properties, where each run must start anew and nobody knows how long the
 * generated faults will take.
 *
 * **Details**
 *
 * The scope of the program ends with it. A failure is `RunFailed`, which tells
 * the whole story. A program in which every fiber waits, and no time will change
 * that, fails too, instead of hanging.
 *
 * **Gotchas**
 *
 * Only for programs that do no real input or output: while they wait for that,
 * time here would rush on.
 *
 * Where one fiber waits for what cannot happen and another sleeps again and
 * again, a heartbeat perhaps, time goes on for ever, and so does the run:
 * `Effect.timeout` around the program ends it, and costs nothing here.
 *
 * **Example** (A day passes)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { openConnection, startServer } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const program = Effect.gen(function* () {
 *   yield* startServer({ port: 7000 }, ({ writer }) => writer.write("good morning\n"))
 *   const { reader } = yield* openConnection({ port: 7000, connectTimeout: "2 days" })
 *   return new TextDecoder().decode(yield* reader.readUntil("\n"))
 * })
 *
 * const line = await Effect.runPromise(TestNetwork.simulate(program, { fromServer: { latency: "1 day" } }))
 * console.log(line.trim()) // => good morning
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const simulate = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options?: Options
): Effect.Effect<A, RunFailed, Exclude<R, Network | TestNetwork | Scope.Scope>> =>
  Effect.flatMap(Effect.service(Scheduler.Scheduler), (scheduler) => {
    const time = new VirtualTime(scheduler)
    let stuck = false
    const run = Effect.gen(function* () {
      const services = yield* build(options ?? {})
      const fiber = yield* Effect.forkDetach(
        Effect.scoped(program).pipe(
          Effect.provideContext(
            services.pipe(Context.add(Clock.Clock, time.clock), Context.add(Scheduler.Scheduler, time.scheduler))
          )
        ) as Effect.Effect<A, E, Exclude<R, Network | TestNetwork | Scope.Scope>>
      )
      const exit = yield* Effect.callback<Exit.Exit<A, E>>((resume) => {
        time.onDeadlock = () => {
          // once more, and its finalizers wait as well: leave it
          if (stuck) return resume(Effect.succeed(Exit.interrupt()))
          stuck = true
          fiber.interruptUnsafe()
        }
        fiber.addObserver((exit) => resume(Effect.succeed(exit)))
        time.start()
        return Fiber.interrupt(fiber)
      }).pipe(Effect.ensuring(Effect.sync(() => time.stop())))
      if (Exit.isSuccess(exit)) return exit.value
      const cause = stuck ? Cause.die(new Error(deadlock)) : exit.cause
      return yield* explained(cause, Context.get(services, TestNetwork))
    })
    return Effect.scoped(run)
  })

const deadlock = "every fiber waits, and nothing is on its way that could wake one"

// ---------------------------------------------------------------------------
// pairs
// ---------------------------------------------------------------------------

/**
 * Two connected ends and nothing more. Both are aborted when the scope closes.
 *
 * **Example** (A parser against a slow peer)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const program = Effect.gen(function* () {
 *   const { left, right } = yield* TestNetwork.pair({ fromClient: { chunking: "oneByte" } })
 *   yield* left.writer.write("one\ntwo\n")
 *   yield* right.reader.readUntil("\n")
 *   return new TextDecoder().decode(yield* right.reader.readUntil("\n"))
 * })
 *
 * console.log((await Effect.runPromise(Effect.scoped(program))).trim()) // => two
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pair = (options?: PairOptions): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const wire = new Internal.Wire("TestNetwork.pair", options ?? {})
    const link = yield* connect(wire)
    return yield* ends(wire, link, options)
  })

/**
 * Two connected ends without any buffer between them: a write is complete when
 * the other end has read it, and a read takes from the writer no more than it
 * needs. What works here waits for nothing that it was not promised.
 *
 * **Details**
 *
 * `write` and `writeAll` wait for the reader; `writeUnsafe` cannot. `capacity`
 * has no meaning here.
 *
 * @category constructors
 * @since 0.1.0
 */
export const lockstep = (options?: PairOptions): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const demand = { left: new LockStep.Demand(), right: new LockStep.Demand() }
    const wire = new Internal.Wire("TestNetwork.lockstep", options ?? {}, {
      // one piece at a time: what is on its way is what the read has use for
      client: (occupied) => (occupied > 0 ? 0 : demand.right.bytes),
      server: (occupied) => (occupied > 0 ? 0 : demand.left.bytes)
    })
    const link = yield* connect(wire)
    const { left, right } = yield* ends(wire, link, { ...options, highWaterMark: 0, lowWaterMark: 0 })
    demand.left.follow(left, () => link.clockwork.soon(() => link.server.out.refill()))
    demand.right.follow(right, () => link.clockwork.soon(() => link.client.out.refill()))
    return { left: new LockStep.LockStepConnection(left), right: new LockStep.LockStepConnection(right) }
  })

const connect = (wire: Internal.Wire) =>
  Effect.gen(function* () {
    const clockwork = wire.clockwork(yield* Effect.context<never>())
    yield* Effect.addFinalizer(() => Effect.sync(() => wire.stop()))
    // one object each: the timeline is found by it
    const info = () => ({ local: undefined, remote: undefined })
    return wire.link(1, clockwork, { client: info(), server: info() })
  })

const ends = (
  wire: Internal.Wire,
  link: ReturnType<Internal.Wire["link"]>,
  options: Connection.Options | undefined
): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const left = yield* Connection.fromTransport(link.client, options)
    const right = yield* Connection.fromTransport(link.server, options)
    Internal.remember(left.info, wire)
    Internal.remember(right.info, wire)
    // nobody is left to see a good end, and none must be waited for
    yield* Effect.addFinalizer(() => Effect.andThen(left.abort, right.abort))
    return { left, right }
  })

/**
 * What crossed the wire of a `pair` or `lockstep`, as a page to read;
 * `undefined` for connections that are neither.
 *
 * @category combinators
 * @since 0.1.0
 */
export const timelineOf = (connection: Connection.Connection): string | undefined =>
  Internal.timelineOf(connection.info)
