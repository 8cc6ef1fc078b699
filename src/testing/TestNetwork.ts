/**
 * A network in memory: the whole `Network` service, deterministic, slow and broken on demand.
 *
 * **When to use**
 *
 * - `simulate`: a program on a network of its own, in time that passes by itself. For most tests, and for properties.
 * - `layer`, `layerWith`: the network as a layer, in the time of a `TestClock` or of the real clock.
 * - `host`: a machine of its own in such a network, which `cut` cuts off from others, and `crash` stops.
 * - `pair`: two connected ends, without a network. `lockstep`: the same without any buffer between them.
 * - `StreamReader.fromBytes` and `StreamReader.make`: a parser alone needs no network.
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
 * @stability unstable
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
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Connection from "../Connection.ts"
import { lazily } from "../internal/base/lazily.ts"
import * as Argument from "../internal/base/argument.ts"
import * as Defaults from "../internal/base/defaults.ts"
import { checkPair, isHostFault } from "../internal/testing/network/faults.ts"
import { MemoryHost, type Parts } from "../internal/testing/network/host.ts"
import * as LockStep from "../internal/testing/network/lockStep.ts"
import { MemoryNetwork } from "../internal/testing/network/memoryNetwork.ts"
import { remember, timelineOf as timelineOnWire, Wire } from "../internal/testing/network/wire.ts"
import type { LoadTls } from "../internal/transport/tlsEngine.ts"
import { VirtualTime } from "../internal/testing/time/virtualTime.ts"
import { Network } from "../Network.ts"
import type * as Faults from "./Faults.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * The sizes of the pieces in which written bytes arrive.
 *
 * **Details**
 *
 * - `"asIs"`: as the transport of the sender was given them, as far as there was room.
 * - `"oneByte"`: each byte alone.
 * - `"halves"`: each of the pieces of `"asIs"` in two halves.
 * - `"random"`: pieces of random size, small ones as often as large ones.
 * - `offsets`: pieces that end at given offsets, and otherwise as `"asIs"`.
 *
 * @see {@link Path}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Chunking =
  | "asIs"
  | "oneByte"
  | "halves"
  | "random"
  | {
      /** Pieces of random size, small ones as often as large ones. */
      readonly random: {
        /** The seed of the sizes. Default: the seed of the network. */
        readonly seed?: number | undefined
        /** The size of the largest piece, in bytes. Default 4,096. */
        readonly max?: number | undefined
        /** An alias of `max`, which takes precedence. */
        readonly most?: number | undefined
      }
    }
  | {
      /** The offsets at which pieces end, in bytes from the beginning of the direction. */
      readonly offsets: ReadonlyArray<number>
    }

/**
 * The properties of one direction.
 *
 * @see {@link WireOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Path {
  /** The time that everything takes to arrive: bytes, ends, resets, and connecting. Default 0. */
  readonly latency?: Duration.Input | undefined
  /**
   * The speed, in bytes a second. A piece arrives when its last byte does, so slow paths want small pieces. Default: no
   * bound.
   */
  readonly bandwidth?: number | undefined
  /** The sizes of the pieces in which bytes arrive. Default `"asIs"`. */
  readonly chunking?: Chunking | undefined
  /**
   * The highest number of bytes that may be on their way, or unread by the receiving program. The sending transport
   * keeps any further bytes. Default 65,536.
   */
  readonly capacity?: number | undefined
}

/**
 * The properties of the wire between two ends.
 *
 * @see {@link Options} for a whole network, {@link PairOptions} for a pair.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface WireOptions {
  /** The seed of everything random. The same seed gives the same run. Default 1. */
  readonly seed?: number | undefined
  /** The direction from the side that connected. Default: the defaults of `Path`. */
  readonly fromClient?: Path | undefined
  /** The direction from the side that accepted. Default: the defaults of `Path`. */
  readonly fromServer?: Path | undefined
  /** The faults, as a script. Default: none. */
  readonly faults?: Faults.Script | undefined
}

/**
 * The properties of a network.
 *
 * @see {@link simulate}, {@link layerWith}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options extends WireOptions {
  /**
   * The addresses of names. A name with no addresses is not found, and the look-up of one with `"Timeout"` never ends.
   * Default: `localhost` is `127.0.0.1`, and any other name has an address of its own, so programs meet by name.
   */
  readonly hosts?: Readonly<Record<string, string | ReadonlyArray<string>>> | undefined
  /** The addresses that answer in one way only, also where a program listens there. Default: none. */
  readonly addresses?: Readonly<Record<string, "Refused" | "Timeout" | "Unreachable">> | undefined
  /**
   * The highest number of times that the clock moves on. A program that goes on for longer waits for something that
   * nobody bounds, beside fibers that sleep again and again. Only of `simulate`. Default 250,000.
   */
  readonly maxSteps?: number | undefined
  /**
   * The highest number of tasks of fibers while no time passes. A program that needs more goes round in circles. A tenth
   * of them may be sleeps of length zero. Only of `simulate`. Default 1,000,000.
   */
  readonly maxTurns?: number | undefined
}

/**
 * The options of a pair: those of the wire, and those of the connections at both ends.
 *
 * @see {@link pair}, {@link lockstep}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface PairOptions extends WireOptions, Connection.Options {}

/**
 * Two connected ends.
 *
 * @see {@link pair}, {@link lockstep}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Pair {
  /** The end that the options call the client. */
  readonly left: Connection.Connection
  /** The end that the options call the server. */
  readonly right: Connection.Connection
}

/**
 * An event on the wire: something reached the other end, or happened on the way.
 *
 * @see {@link events}, {@link timeline}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface WireEvent {
  /** The time, in milliseconds since the first event. */
  readonly at: number
  /** The number of the connection, counted from 1. */
  readonly connection: number
  /** The side that sent it. */
  readonly from: "client" | "server"
  /** The kind of event. `stray` is for bytes whose receiver has let go. */
  readonly kind: "connect" | "accept" | "refuse" | "data" | "end" | "reset" | "fault" | "stray"
  /** The number of earlier bytes of this direction. Only of `data`. */
  readonly offset?: number | undefined
  /** The number of bytes. Only of `data` and `stray`. */
  readonly size?: number | undefined
  /** The first bytes, enough to recognise them. Only of `data`. */
  readonly bytes?: Uint8Array | undefined
  /** More about the event, in words. */
  readonly detail?: string | undefined
}

// ---------------------------------------------------------------------------
// services
// ---------------------------------------------------------------------------

/**
 * The service of a network in memory that tests ask about its events.
 *
 * @see {@link timeline}, {@link events}, {@link settled}
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class TestNetwork extends Context.Service<
  TestNetwork,
  {
    /** The seed of everything random. */
    readonly seed: number
    /** The faults, as a script. */
    readonly faults: Faults.Script
    /** The events so far. At least the last 20,000 are kept. */
    readonly events: Effect.Effect<ReadonlyArray<WireEvent>>
    /** The events so far, as a page to read, with the seed and the faults. */
    readonly timeline: Effect.Effect<string>
    /** Waits until nothing moves without time passing. See `settled` of this module. */
    readonly settled: Effect.Effect<void>
    /** The host of a name. See `host` of this module. */
    readonly host: (name: string) => Effect.Effect<Host>
    /** Cuts two hosts off from each other. See `cut` of this module. */
    readonly cut: (a: string, b: string) => Effect.Effect<void>
    /** Ends the cut between two hosts. See `heal` of this module. */
    readonly heal: (a: string, b: string) => Effect.Effect<void>
    /** Crashes a host. See `crash` of this module. */
    readonly crash: (name: string, options?: CrashOptions) => Effect.Effect<void>
  }
>()("effect-byte-streams/testing/TestNetwork") {}

const serviceOf = (network: MemoryNetwork): TestNetwork["Service"] => {
  const { machines, wire } = network
  const between = (operation: string, a: string, b: string): readonly [string, string] => {
    const pair = checkPair(operation, "the hosts", [a, b])
    for (const name of pair) machines.get(operation, name)
    return pair
  }
  return {
    seed: wire.seed,
    faults: wire.faults,
    events: Effect.sync(() => wire.recorder.events()),
    timeline: Effect.sync(() => wire.timeline()),
    settled: wire.settled,
    host: (name) => Effect.contextWith((context) => Effect.sync(() => network.host(name, partsOfHost, context))),
    cut: (a, b) => Effect.sync(() => machines.cut(...between("TestNetwork.cut", a, b))),
    heal: (a, b) => Effect.sync(() => machines.heal(...between("TestNetwork.heal", a, b))),
    crash: (name, options) =>
      Effect.clockWith((clock) => {
        const { connections = "reset" } = options ?? {}
        Argument.oneOf("TestNetwork.crash", "connections", connections, ["reset", "vanish"])
        const machine = machines.get("TestNetwork.crash", name)
        const { life } = machine
        machine.crash(connections)
        // a host that crashes itself does nothing behind that
        return life instanceof MemoryHost && life.clock === clock ? Effect.never : Effect.void
      })
  }
}

const partsOfHost: Parts = {
  here: (host) => Context.make(CurrentHost, host),
  crashed: (host) => new HostCrashed({ host })
}

/**
 * The events so far, as a page to read, with the seed and the faults.
 *
 * @see {@link events} for data.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const timeline: Effect.Effect<string, never, TestNetwork> = Effect.flatMap(
  Effect.service(TestNetwork),
  (network) => network.timeline
)

/**
 * The events so far, as data. At least the last 20,000 are kept.
 *
 * @see {@link timeline} for a page to read.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const events: Effect.Effect<ReadonlyArray<WireEvent>, never, TestNetwork> = Effect.flatMap(
  Effect.service(TestNetwork),
  (network) => network.events
)

/**
 * Waits until nothing moves without time passing: everything due has arrived, and its effects have run.
 *
 * **When to use**
 *
 * Before a `TestClock` is adjusted, so that every program waits for time. `simulate` needs none of this.
 *
 * **Details**
 *
 * Programs that never stop moving make it die after 10 seconds of real time.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const settled: Effect.Effect<void, never, TestNetwork> = Effect.flatMap(
  Effect.service(TestNetwork),
  (network) => network.settled
)

// ---------------------------------------------------------------------------
// hosts
// ---------------------------------------------------------------------------

/**
 * A host crashed while a program ran on it. The error is for those who watch the host from outside, such as the test.
 *
 * @see {@link Host}, {@link crash}
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class HostCrashed extends Schema.TaggedError<HostCrashed>("effect-byte-streams/testing/HostCrashed")(
  "HostCrashed",
  {
    /** The name of the host. */
    host: Schema.String
  }
) {
  override get message(): string {
    return `the host ${JSON.stringify(this.host)} crashed`
  }
}

/**
 * The options of a crash.
 *
 * @see {@link crash}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface CrashOptions {
  /**
   * The fate of the host's connections. `"reset"`: the process dies, and its system resets them; whoever connects is
   * refused. `"vanish"`: the whole machine is gone, and nobody is told; whoever connects gets no answer. Default
   * `"reset"`.
   */
  readonly connections?: "reset" | "vanish" | undefined
}

/**
 * A host: a `Network` of its own name and address, and what a program on it sees of the world until it crashes.
 *
 * @see {@link host}, {@link crash}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Host {
  /** The name. Others connect to it, unless the options give it other addresses. */
  readonly name: string
  /** The first of its addresses. */
  readonly address: string
  /** Connects from this host. Never answers after a crash. */
  readonly connect: Network["Service"]["connect"]
  /**
   * Listens on this host: on its own addresses, on `localhost`, or on all interfaces. Any other address fails with
   * `ListenFailed`, kind `AddressNotAvailable`. Ports and paths are the host's own. Never answers after a crash.
   */
  readonly listen: Network["Service"]["listen"]
  /** The time on the host. After a crash it wakes nobody. */
  readonly clock: Clock.Clock
  /** Completes when the host crashes. Interrupting it is safe. */
  readonly crashed: Effect.Effect<void>
  /**
   * Runs a program as a process on this host: with its network, its clock, and a scope that ends with the program.
   *
   * Fails with `HostCrashed` at a crash. The program then stops where it is: it is not interrupted, and none of its
   * finalizers runs. An interruption from outside interrupts the program, and waits for its finalizers or for a crash.
   */
  readonly run: <A, E, R>(
    program: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | HostCrashed, Exclude<R, Network | Scope.Scope>>
  /**
   * A service that is somewhere else, such as a database, as this host uses it. Its effects, and the effects that its
   * methods return, never answer after a crash. What was asked for before may still happen, or may not. Anything else
   * passes unchanged, streams as well.
   */
  readonly through: <S extends object>(
    service: S,
    options?: {
      /**
       * The name of the host that the service is on. While the two are cut off from each other, or that host is down,
       * requests and answers wait. Default: nowhere, so that it can always be reached.
       */
      readonly at?: string | undefined
    }
  ) => S
}

/**
 * The host that a program runs on. `undefined` outside of `Host.run`.
 *
 * **When to use**
 *
 * For services that are given to hosts, and answer nobody who has crashed.
 *
 * @see {@link Host}
 *
 * @stability unstable
 * @category references
 * @since 0.1.0
 */
export const CurrentHost: Context.Reference<Host | undefined> = Context.Reference<Host | undefined>(
  "effect-byte-streams/testing/TestNetwork/CurrentHost",
  { defaultValue: () => undefined }
)

/**
 * A host of a name: a machine with a network, and with time, of its own.
 *
 * **When to use**
 *
 * For programs of several machines, which are cut off from each other, and crash.
 *
 * **Details**
 *
 * - The first call makes the host, and later ones return it. After a crash the next call starts it again: with the same
 *   name and address, and with nothing that ran there before.
 * - Its address is that of its name, as `Options.hosts` has it, or one of its own. No two hosts have the same address.
 * - `localhost` is the host itself. Any name that no host has leads to those who listen without a host, as everywhere.
 * - Time on the host is that of the fiber that calls this.
 * - A name without an address is a defect, and so is an address that another host has.
 *
 * **Example** (Two machines)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { openConnection, startServer } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 *
 * const program = Effect.gen(function* () {
 *   const alpha = yield* TestNetwork.host("alpha")
 *   const beta = yield* TestNetwork.host("beta")
 *   const serving = startServer({ port: 7000 }, ({ info, writer }) => writer.write(`${info.remote !== undefined}\n`))
 *   yield* Effect.forkScoped(alpha.run(Effect.andThen(serving, Effect.never)))
 *   const asking = Effect.gen(function* () {
 *     const { reader } = yield* openConnection({ host: "alpha", port: 7000 })
 *     return yield* reader.readExactly(5)
 *   })
 *   return new TextDecoder().decode(yield* beta.run(asking))
 * })
 *
 * console.log((await Effect.runPromise(TestNetwork.simulate(program))).trim()) // => true
 * ```
 *
 * @see {@link cut}, {@link crash}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const host = (name: string): Effect.Effect<Host, never, TestNetwork> =>
  Effect.flatMap(Effect.service(TestNetwork), (network) => network.host(name))

/**
 * Cuts two hosts off from each other: nothing passes between them, in either direction, until `heal`.
 *
 * **Details**
 *
 * Connections see what TCP would let them see:
 *
 * - Bytes and ends that have not arrived wait, and arrive after `heal`, in order, and none twice. Neither side is told.
 *   A sender is held up once its buffer is full.
 * - A reset is sent once, and is lost. The peer is told by the answer to what it sends after `heal`.
 * - Connecting gets no answer, and asks again, at least once a second, until `heal` or its `connectTimeout`.
 *
 * **Gotchas**
 *
 * - Systems give up after some minutes. Here a connection waits for ever, unless the program bounds it
 *   (`timeouts.idle`).
 * - A program that is on no host is never cut off from anybody. Give the client of a test a host as well.
 *
 * @see {@link heal}, {@link crash}
 * @see `Faults.cut`, for a cut in a script.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const cut = (a: string, b: string): Effect.Effect<void, never, TestNetwork> =>
  Effect.flatMap(Effect.service(TestNetwork), (network) => network.cut(a, b))

/**
 * Ends the cut between two hosts. What waited arrives one latency later. Without a cut it does nothing.
 *
 * @see {@link cut}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const heal = (a: string, b: string): Effect.Effect<void, never, TestNetwork> =>
  Effect.flatMap(Effect.service(TestNetwork), (network) => network.heal(a, b))

/**
 * Crashes a host: everything that runs on it stops in the middle of whatever it does.
 *
 * **Details**
 *
 * - Its clock wakes nobody any more, and what `Host.through` gave it never answers. No finalizer runs.
 * - Nobody listens there. The paths of its Unix sockets stay behind.
 * - Its connections are reset, or vanish without a word, as the options say. A peer of a connection that vanished is
 *   told by a reset when it sends something after the host has started again.
 * - `Host.run` fails with `HostCrashed`. `host` starts the host again.
 * - On a host that crashed before it does nothing. A program that crashes its own host does nothing behind that.
 *
 * **Gotchas**
 *
 * What a program shares with others in memory, such as a `Ref` or a `Queue` of the test, it shares after a crash as
 * well. A fiber that waits for one can be resumed by others, until it next sleeps, yields, or uses the network.
 *
 * @see {@link host}, {@link CrashOptions}
 * @see `Faults.crash`, for a crash in a script.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const crash = (name: string, options?: CrashOptions): Effect.Effect<void, never, TestNetwork> =>
  Effect.flatMap(Effect.service(TestNetwork), (network) => network.crash(name, options))

// ---------------------------------------------------------------------------
// layers
// ---------------------------------------------------------------------------

/** TLS is that of Node, and is loaded at its first use. */
const loadTls: LoadTls = lazily(() => import("../internal/node/tls/handshake.ts"))

const make = (options: Options): Effect.Effect<MemoryNetwork, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new MemoryNetwork(options, loadTls)),
    (network) => Effect.sync(() => network.wire.stop())
  )

const servicesOf = (network: MemoryNetwork): Context.Context<Network | TestNetwork> =>
  Context.make(Network, Network.of(network.nameless)).pipe(Context.add(TestNetwork, serviceOf(network)))

const build = (options: Options): Effect.Effect<Context.Context<Network | TestNetwork>, never, Scope.Scope> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.map(make(options), (network) => {
      network.begin(context)
      return servicesOf(network)
    })
  )

/**
 * A network in memory, as a layer.
 *
 * **When to use**
 *
 * For tests with a runner of their own, such as `it.effect` with its `TestClock`. `simulate` needs no clock to be
 * adjusted.
 *
 * **Details**
 *
 * - Nothing is delivered inside the call that sends it. Each piece arrives in a turn of its own of the fiber scheduler.
 *   Pieces come in the order of time, then of sending.
 * - Time is that of the connecting fiber's `Clock`, so a test adjusts a `TestClock`. One adjustment carries a whole
 *   conversation through, however often programs sleep and the network takes its time.
 * - Unix sockets are those of Linux. An abort is a clean end for the peer, unless bytes that it had sent were unread,
 *   and paths fail for the same reasons. There are no files: every directory exists.
 *
 * **Gotchas**
 *
 * A `TestClock` waits for fibers, and for nothing else. During an adjustment it runs ahead of a program that waits for
 * a promise, a timer of the system, or anything real.
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
 * @see {@link layerWith} to set options.
 * @see {@link simulate}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Network | TestNetwork> = Layer.effectContext(build({}))

/**
 * A network in memory with options, as a layer.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Network | TestNetwork> => Layer.effectContext(build(options))

// ---------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------

/**
 * A program failed on a network in memory. The message has the failure, the seed, the faults, and the events on the
 * wire.
 *
 * @see {@link simulate}, {@link explain}
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class RunFailed extends Schema.TaggedError<RunFailed>("effect-byte-streams/testing/RunFailed")("RunFailed", {
  /** The failure of the program, in words. */
  reason: Schema.String,
  /** The seed of the run, to see it again. */
  seed: Schema.Number,
  /** The seed, the faults and the events, as a page to read. */
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
 * Adds the seed, the faults and the events on the wire to a failure.
 *
 * **When to use**
 *
 * For tests on `layer`. `simulate` does it by itself.
 *
 * @see {@link RunFailed}
 *
 * @stability unstable
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
 * Runs a program on a network of its own, in time of its own.
 *
 * The clock moves on by itself whenever the program has nothing left to do but to wait. An hour of latency takes no
 * time, and no `TestClock` has to be adjusted.
 *
 * **When to use**
 *
 * For most tests. Above all for properties: each run starts anew, and generated faults take any time.
 *
 * **Details**
 *
 * - The scope of the program ends with it.
 * - A failure is a `RunFailed`, with the seed, the faults and the events on the wire.
 * - A program that does not end fails as well, instead of hanging. Its message says what waits: connections with the
 *   operations that wait on them, attempts to connect, cuts, and the names of `Effect.fn` and of spans.
 *     - Every fiber waits, and no time will change it.
 *     - It goes on and on while no time passes, such as in a loop of sleeps of length zero: `maxTurns`.
 *     - Something waits for good beside fibers that sleep again and again, such as a heartbeat: `maxSteps`.
 * - Such a program is interrupted. Finalizers that do not end either are left alone.
 *
 * **Gotchas**
 *
 * The program must do no real input or output: time would rush on while it waits.
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
 * @see {@link layer}, {@link pair}, {@link Options}
 *
 * @stability unstable
 * @category running
 * @since 0.1.0
 */
export const simulate = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options?: Options
): Effect.Effect<A, RunFailed, Exclude<R, Network | TestNetwork | Scope.Scope>> =>
  Effect.flatMap(Effect.service(Scheduler.Scheduler), (scheduler) => {
    const { maxSteps = Defaults.maxSteps, maxTurns = Defaults.maxTurns } = options ?? {}
    Argument.positive("TestNetwork.simulate", "maxSteps", maxSteps)
    Argument.positive("TestNetwork.simulate", "maxTurns", maxTurns)
    const maxEmptySleeps = Math.ceil(maxTurns * Defaults.maxEmptySleepShare)
    const time = new VirtualTime(scheduler, { maxEmptySleeps, maxSteps, maxTurns })
    let stuck: string | undefined
    const run = Effect.gen(function* () {
      const network = yield* make(options ?? {})
      const virtual = Context.make(Clock.Clock, time.clock).pipe(Context.add(Scheduler.Scheduler, time.scheduler))
      network.begin(virtual)
      const services = servicesOf(network)
      const fiber = yield* Effect.forkDetach(
        Effect.scoped(program).pipe(Effect.provideContext(Context.merge(services, virtual))) as Effect.Effect<
          A,
          E,
          Exclude<R, Network | TestNetwork | Scope.Scope>
        >
      )
      const exit = yield* Effect.callback<Exit.Exit<A, E>>((resume) => {
        time.onStuck = (reason) => {
          // once more, and its finalizers do not end either: leave it
          if (stuck !== undefined) {
            time.kill()
            return resume(Effect.succeed(Exit.interrupt()))
          }
          const waits = [...whereabouts(fiber), ...network.describe, ...time.describe]
          stuck = waits.length === 0 ? reason : `${reason}\nwhat waits:\n${waits.map((line) => `  ${line}`).join("\n")}`
          fiber.interruptUnsafe()
        }
        fiber.addObserver((exit) => resume(Effect.succeed(exit)))
        time.start()
        return Fiber.interrupt(fiber)
      }).pipe(Effect.ensuring(Effect.sync(() => (stuck === undefined ? time.stop() : time.kill()))))
      if (Exit.isSuccess(exit)) return exit.value
      const cause = stuck === undefined ? exit.cause : Cause.die(new Error(stuck))
      return yield* explained(cause, Context.get(services, TestNetwork))
    })
    return Effect.scoped(run)
  })

/** Where a program is, as far as it has names: those of `Effect.fn` and of spans. */
const whereabouts = (fiber: Fiber.Fiber<unknown, unknown>): ReadonlyArray<string> => {
  const names: Array<string> = []
  let frame = fiber.getRef(References.CurrentStackFrame)
  for (; frame !== undefined && names.length < maxNames; frame = frame.parent) {
    // a function has two frames: where it is called, and where it is written
    if (!frame.name.endsWith(" (definition)")) names.push(frame.name)
  }
  return names.length === 0 ? [] : [`the program, in ${names.join(" in ")}`]
}

const maxNames = 10

// ---------------------------------------------------------------------------
// pairs
// ---------------------------------------------------------------------------

/**
 * Two connected ends, without a network. Both are aborted when the scope closes.
 *
 * **When to use**
 *
 * To test a protocol's two halves against each other, without listening and connecting.
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
 * @see {@link lockstep}, {@link timelineOf}, {@link simulate}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const pair = (options?: PairOptions): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const wire = new Wire("TestNetwork.pair", options ?? {}, loadTls)
    const link = yield* connect(wire)
    return yield* ends(wire, link, options)
  })

/**
 * Two connected ends without any buffer between them.
 *
 * A write is complete when the other end has read it. A read takes no more from the writer than it needs.
 *
 * **When to use**
 *
 * To see that a protocol does not rest on buffers: a program that works here waits for nothing that was not promised.
 *
 * **Details**
 *
 * `write` and `writeAll` wait for the reader. `writeUnsafe` cannot wait. `capacity` has no meaning here. A write that is
 * interrupted may have been accepted, and the rest of it is read then: elsewhere it would not have waited.
 *
 * @see {@link pair}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const lockstep = (options?: PairOptions): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const demand = { left: new LockStep.Demand(), right: new LockStep.Demand() }
    const wire = new Wire("TestNetwork.lockstep", options ?? {}, loadTls, {
      // one piece at a time: what is on its way is what the read has use for
      client: (occupied) => (occupied > 0 ? 0 : demand.right.bytes),
      server: (occupied) => (occupied > 0 ? 0 : demand.left.bytes)
    })
    const link = yield* connect(wire)
    const { left, right } = yield* ends(wire, link, { ...options, highWaterMark: 0, lowWaterMark: 0 })
    demand.left.follow(left, () => link.eventQueue.soon(() => link.server.out.refill()))
    demand.right.follow(right, () => link.eventQueue.soon(() => link.client.out.refill()))
    return { left: new LockStep.LockStepConnection(left), right: new LockStep.LockStepConnection(right) }
  })

const connect = (wire: Wire) =>
  Effect.gen(function* () {
    const fault = wire.faults.find(isHostFault)
    if (fault !== undefined) {
      throw new TypeError(`TestNetwork.pair: ${fault._tag} is a fault of hosts, and two ends alone have none`)
    }
    const eventQueue = wire.eventQueue(yield* Effect.context<never>())
    yield* Effect.addFinalizer(() => Effect.sync(() => wire.stop()))
    // one object each: the timeline is found by it
    const info = () => ({ local: undefined, remote: undefined })
    return wire.link(1, eventQueue, { client: info(), server: info() })
  })

const ends = (
  wire: Wire,
  link: ReturnType<Wire["link"]>,
  options: Connection.Options | undefined
): Effect.Effect<Pair, never, Scope.Scope> =>
  Effect.gen(function* () {
    const left = yield* Connection.fromTransport(link.client, options)
    const right = yield* Connection.fromTransport(link.server, options)
    remember(left.info, wire)
    remember(right.info, wire)
    // nobody is left to see a good end, and none must be waited for
    yield* Effect.addFinalizer(() => Effect.andThen(left.abort, right.abort))
    return { left, right }
  })

/**
 * The events on the wire of a `pair` or a `lockstep`, as a page to read. Other connections have none: `undefined`.
 *
 * @see {@link timeline} for a network.
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const timelineOf = (connection: Connection.Connection): string | undefined => timelineOnWire(connection.info)
