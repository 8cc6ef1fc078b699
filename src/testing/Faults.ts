/**
 * The faults of a network, as data.
 *
 * A script is an array of faults. It can be written down, printed, and kept with a failing test. Property tests
 * generate and shrink scripts: Effect's own `Arbitrary` from `schema`, fast-check from `arbitrary`.
 *
 * **When to use**
 *
 * - One fault, to see what a program does about it: `reset`, `fin`, `stall`, `vanish`, `refuse` and the like.
 * - A host that is cut off or crashes, at a time: `cut`, `crash`.
 * - Any faults, to state a law: `schema` with `it.effect.prop` of `@effect/vitest`, `arbitrary` with fast-check.
 *
 * **Example** (A script)
 *
 * ```ts
 * import * as Faults from "effect-byte-streams/testing/Faults"
 *
 * const script: Faults.Script = [
 *   Faults.stall({ from: "server", after: 10, millis: 500 }),
 *   Faults.reset({ from: "server", after: 20 })
 * ]
 *
 * console.log(Faults.format(script)) // => #1: stall for 500 ms after 10 B from the server, reset after 20 B from the server
 * ```
 *
 * @see `TestNetwork.simulate`, which runs a program with a script.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Argument from "../internal/base/argument.ts"
import * as Defaults from "../internal/base/defaults.ts"
import { checkHost, kinds as allKinds, ofConnections, ofHosts } from "../internal/testing/network/faults.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * A place in a connection: behind a number of bytes of one direction, which still arrive.
 *
 * @see {@link reset}, {@link fin}, {@link stall}, {@link vanish}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Place {
  /** The number of the connection, counted from 1 in the order of connecting. Default 1. */
  readonly connection?: number | undefined
  /** The side whose bytes are counted. */
  readonly from: "client" | "server"
  /** The number of bytes that still arrive. */
  readonly after: number
}

/**
 * One fault.
 *
 * **Details**
 *
 * On the way, behind `after` bytes of one direction:
 *
 * - `Reset`: something between the two breaks the connection. Both ends see a reset, behind the bytes that reached
 *   them. One that has read the other's end sees a broken pipe instead, once it sends more.
 * - `Fin`: the output ends too early. The receiver sees the end, and later bytes of the sender go nowhere.
 * - `Stall`: nothing passes in this direction for `millis`, or `"forever"`. The sender is held up once its buffer is
 *   full.
 * - `Vanish`: nothing passes in either direction any more, and neither side is told: a half-open connection.
 *
 * On connecting:
 *
 * - `Refuse`: nobody listens there (`ECONNREFUSED`).
 * - `ConnectTimeout`: nobody answers. The client gives up after its `connectTimeout`.
 * - `HostNotFound`: the name has no address (`ENOTFOUND`).
 * - `AcceptError`: the server's accept fails with `code`. The client is connected, and waits. The server accepts it,
 *   and all later clients, after `retryAfter` milliseconds.
 *
 * To hosts (`TestNetwork.host`), `at` milliseconds after the network began:
 *
 * - `Cut`: nothing passes between two hosts for `millis`, or `"forever"`. See `TestNetwork.cut`.
 * - `Crash`: a host stops in the middle of whatever it does. See `TestNetwork.crash`.
 *
 * @see {@link Script}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Fault =
  | {
      readonly _tag: "Reset" | "Fin" | "Vanish"
      /** The number of the connection, counted from 1 in the order of connecting. */
      readonly connection: number
      /** The side whose bytes are counted. */
      readonly from: "client" | "server"
      /** The number of bytes that still arrive. */
      readonly after: number
    }
  | {
      readonly _tag: "Stall"
      /** The number of the connection, counted from 1 in the order of connecting. */
      readonly connection: number
      /** The side whose bytes are counted. */
      readonly from: "client" | "server"
      /** The number of bytes that still arrive. */
      readonly after: number
      /** The length of the stall, in milliseconds. */
      readonly millis: number | "forever"
    }
  | {
      readonly _tag: "Refuse" | "ConnectTimeout" | "HostNotFound"
      /** The number of the connection, counted from 1 in the order of connecting. */
      readonly connection: number
    }
  | {
      readonly _tag: "AcceptError"
      /** The number of the connection, counted from 1 in the order of connecting. */
      readonly connection: number
      /** The system's code of the failure. */
      readonly code: "EMFILE" | "ENFILE" | "ENOBUFS" | "ENOMEM"
      /** The time after which the accept is tried again, in milliseconds. */
      readonly retryAfter: number
    }
  | {
      readonly _tag: "Cut"
      /** The names of the two hosts. */
      readonly between: readonly [string, string]
      /** The time of the cut, in milliseconds since the network began. */
      readonly at: number
      /** The length of the cut, in milliseconds. */
      readonly millis: number | "forever"
    }
  | {
      readonly _tag: "Crash"
      /** The name of the host. */
      readonly host: string
      /** The time of the crash, in milliseconds since the network began. */
      readonly at: number
      /** The fate of its connections. */
      readonly connections: "reset" | "vanish"
    }

/**
 * All faults of one run.
 *
 * @see {@link format}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Script = ReadonlyArray<Fault>

/**
 * The kinds of faults.
 *
 * @see {@link Fault}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Kind = Fault["_tag"]

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

const at = <Tag extends "Reset" | "Fin" | "Vanish">(tag: Tag, place: Place): Fault => ({
  _tag: tag,
  connection: place.connection ?? 1,
  from: place.from,
  after: place.after
})

/**
 * Resets the connection behind `after` bytes. Both ends see a reset.
 *
 * @see {@link vanish} for a loss that nobody is told of.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const reset = (place: Place): Fault => at("Reset", place)

/**
 * Ends the output of one side behind `after` bytes. Its later bytes go nowhere.
 *
 * @see {@link reset}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fin = (place: Place): Fault => at("Fin", place)

/**
 * Lets nothing pass behind `after` bytes, in either direction, for ever. Neither side is told.
 *
 * @see {@link stall} for one direction, or for a time.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const vanish = (place: Place): Fault => at("Vanish", place)

/**
 * Lets nothing pass behind `after` bytes in one direction, for a time or for ever.
 *
 * @see {@link vanish} for both directions.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const stall = (
  place: Place & {
    /** The length of the stall, in milliseconds. Default: for ever. */
    readonly millis?: number | undefined
  }
): Fault => ({
  _tag: "Stall",
  connection: place.connection ?? 1,
  from: place.from,
  after: place.after,
  millis: place.millis ?? "forever"
})

/**
 * Which connection does not come about.
 *
 * @see {@link refuse}, {@link connectTimeout}, {@link hostNotFound}, {@link acceptError}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  /** The number of the connection, counted from 1 in the order of connecting. Default 1. */
  readonly connection?: number | undefined
}

/**
 * Refuses a connection: nobody listens there.
 *
 * @see {@link connectTimeout}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const refuse = (attempt?: Attempt): Fault => ({ _tag: "Refuse", connection: attempt?.connection ?? 1 })

/**
 * Leaves a connection without an answer. The client gives up after its `connectTimeout`.
 *
 * @see {@link refuse}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const connectTimeout = (attempt?: Attempt): Fault => ({
  _tag: "ConnectTimeout",
  connection: attempt?.connection ?? 1
})

/**
 * Lets the look-up of a name fail: the name has no address.
 *
 * @see {@link refuse}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const hostNotFound = (attempt?: Attempt): Fault => ({
  _tag: "HostNotFound",
  connection: attempt?.connection ?? 1
})

/**
 * Lets the server's accept of a connection fail. The client is connected, and waits.
 *
 * @see {@link Fault}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const acceptError = (
  attempt?: Attempt & {
    /** The system's code of the failure. Default `"EMFILE"`. */
    readonly code?: "EMFILE" | "ENFILE" | "ENOBUFS" | "ENOMEM" | undefined
    /** The time after which the accept is tried again, in milliseconds. Default 1,000. */
    readonly retryAfter?: number | undefined
  }
): Fault => ({
  _tag: "AcceptError",
  connection: attempt?.connection ?? 1,
  code: attempt?.code ?? "EMFILE",
  retryAfter: attempt?.retryAfter ?? Defaults.retryAfterMillis
})

/**
 * Cuts two hosts off from each other, for a time or for ever.
 *
 * **Example** (A cut of five seconds)
 *
 * ```ts
 * import * as Faults from "effect-byte-streams/testing/Faults"
 *
 * console.log(Faults.format([Faults.cut({ between: ["a", "b"], at: 1000, millis: 5000 })])) // => a | b: cut at 1000 ms for 5000 ms
 * ```
 *
 * @see `TestNetwork.cut`, which a program calls at a moment of its choice.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const cut = (options: {
  /** The names of the two hosts. */
  readonly between: readonly [string, string]
  /** The time of the cut, in milliseconds since the network began. Default 0. */
  readonly at?: number | undefined
  /** The length of the cut, in milliseconds. Default: for ever. */
  readonly millis?: number | undefined
}): Fault => ({ _tag: "Cut", between: options.between, at: options.at ?? 0, millis: options.millis ?? "forever" })

/**
 * Crashes a host. A host that does not run at that time is left alone.
 *
 * @see `TestNetwork.crash`, which a program calls at a moment of its choice.
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const crash = (options: {
  /** The name of the host. */
  readonly host: string
  /** The time of the crash, in milliseconds since the network began. Default 0. */
  readonly at?: number | undefined
  /** The fate of its connections. Default `"reset"`. */
  readonly connections?: "reset" | "vanish" | undefined
}): Fault => ({ _tag: "Crash", host: options.host, at: options.at ?? 0, connections: options.connections ?? "reset" })

// ---------------------------------------------------------------------------
// generating
// ---------------------------------------------------------------------------

/**
 * The bounds of generated scripts.
 *
 * @see {@link schema}, {@link arbitrary}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Bounds {
  /** The number of connections that the program opens. Default 1. */
  readonly connections?: number | undefined
  /** The highest number of bytes that a direction carries. A fault behind more would never happen. Default 256. */
  readonly maxBytes?: number | undefined
  /**
   * The longest stall that ends, the longest cut that ends, the longest wait for an accept, and the latest time of a cut
   * or a crash, in milliseconds. Default 60,000.
   */
  readonly maxMillis?: number | undefined
  /** The highest number of faults. Default 3. */
  readonly maxFaults?: number | undefined
  /** The names of the hosts that crash, and are cut off from each other. Default: none. */
  readonly hosts?: ReadonlyArray<string> | undefined
  /** The kinds that may occur, one or more. Default: all; `Crash` with a host in `hosts`, and `Cut` with two. */
  readonly kinds?: ReadonlyArray<Kind> | undefined
}

const neededHosts = (kind: Kind): number => (kind === "Cut" ? 2 : kind === "Crash" ? 1 : 0)

const resolve = (operation: string, bounds: Bounds = {}) => {
  Argument.record(operation, "bounds", bounds)
  const {
    connections = Defaults.faultyConnections,
    maxBytes = Defaults.faultyBytes,
    maxFaults = Defaults.maxFaults,
    maxMillis = Defaults.faultyMillis
  } = bounds
  const given = bounds.hosts ?? []
  if (!Array.isArray(given)) throw Argument.wrongType(operation, "hosts", "an array of names", given)
  const hosts = [...new Set(given.map((host, index) => checkHost(operation, `hosts[${index}]`, host)))]
  const possible = [...ofConnections, ...ofHosts.filter((kind) => hosts.length >= neededHosts(kind))]
  const kinds = bounds.kinds ?? possible
  if (!Array.isArray(kinds) || kinds.length === 0) {
    throw Argument.wrongType(operation, "kinds", "an array of one kind or more", kinds)
  }
  for (const [index, kind] of kinds.entries()) {
    Argument.oneOf(operation, `kinds[${index}]`, kind, allKinds)
    if (hosts.length < neededHosts(kind)) {
      throw new TypeError(`${operation}: ${kind} needs ${neededHosts(kind)} names in hosts, got ${hosts.length}`)
    }
  }
  return {
    connections: Argument.positive(operation, "connections", connections),
    maxBytes: Argument.count(operation, "maxBytes", maxBytes),
    maxMillis: Argument.amount(operation, "maxMillis", maxMillis),
    maxFaults: Argument.amount(operation, "maxFaults", maxFaults),
    hosts,
    // each two of them once, in the order given
    pairs: hosts.flatMap((a, i) => hosts.slice(i + 1).map((b) => [a, b] as const)),
    kinds: kinds as ReadonlyArray<Kind>
  }
}

const fates = ["reset", "vanish"] as const

const acceptCodes = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"] as const

/**
 * Scripts within bounds, as a schema.
 *
 * **When to use**
 *
 * With `it.effect.prop` of `@effect/vitest` and Effect's `Arbitrary`, which generate from it. They shrink towards no
 * faults at all. The schema also checks a script that comes from elsewhere.
 *
 * @see {@link arbitrary} for fast-check.
 *
 * @stability unstable
 * @category generators
 * @since 0.1.0
 */
export const schema = (bounds?: Bounds): Schema.Codec<Script> => {
  const { connections, hosts, kinds, maxBytes, maxFaults, maxMillis, pairs } = resolve("Faults.schema", bounds)
  const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const connection = between(1, connections)
  const place = { connection, from: Schema.Literals(["client", "server"]), after: between(0, maxBytes) }
  const faults: { readonly [K in Kind]: Schema.Codec<Fault> } = {
    Reset: Schema.TaggedStruct("Reset", place),
    Fin: Schema.TaggedStruct("Fin", place),
    Vanish: Schema.TaggedStruct("Vanish", place),
    Stall: Schema.TaggedStruct("Stall", {
      ...place,
      millis: Schema.Union([between(0, maxMillis), Schema.Literal("forever")])
    }),
    Refuse: Schema.TaggedStruct("Refuse", { connection }),
    ConnectTimeout: Schema.TaggedStruct("ConnectTimeout", { connection }),
    HostNotFound: Schema.TaggedStruct("HostNotFound", { connection }),
    AcceptError: Schema.TaggedStruct("AcceptError", {
      connection,
      code: Schema.Literals(acceptCodes),
      retryAfter: between(0, maxMillis)
    }),
    Cut: Schema.TaggedStruct("Cut", {
      between: Schema.Union(pairs.map((pair) => Schema.Tuple([Schema.Literal(pair[0]), Schema.Literal(pair[1])]))),
      at: between(0, maxMillis),
      millis: Schema.Union([between(0, maxMillis), Schema.Literal("forever")])
    }),
    Crash: Schema.TaggedStruct("Crash", {
      host: Schema.Literals(hosts),
      at: between(0, maxMillis),
      connections: Schema.Literals(fates)
    })
  }
  return Schema.Array(Schema.Union(kinds.map((kind) => faults[kind]))).check(Schema.isMaxLength(maxFaults))
}

/**
 * The part of the `fast-check` module that is used. A test hands the module in, so other tests need no fast-check.
 *
 * @see {@link arbitrary}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface FastCheck {
  /** Integers. */
  integer(constraints: {
    /** The lowest one. */
    readonly min: number
    /** The highest one. */
    readonly max: number
  }): any
  /** One of some values. */
  constantFrom(...values: Array<any>): any
  /** A value of one of some arbitraries. */
  oneof(...arbitraries: Array<any>): any
  /** Objects, by arbitraries of their fields. */
  record(model: any): any
  /** Arrays, by an arbitrary of their elements. */
  array(
    arbitrary: any,
    constraints: {
      /** The greatest length. */
      readonly maxLength: number
    }
  ): any
}

/**
 * The type of an arbitrary of scripts, as fast-check takes it.
 *
 * @see {@link arbitrary}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface FastCheckArbitrary {
  /** See fast-check. */
  generate(random: any, biasFactor: number | undefined): any
  /** See fast-check. */
  canShrinkWithoutContext(value: unknown): value is Script
  /** See fast-check. */
  shrink(value: Script, context: unknown): any
  /** The scripts for which the predicate holds. */
  filter(predicate: (script: Script) => boolean): any
  /** The scripts, changed by a function. */
  map(mapper: (script: Script) => any, unmapper?: (value: unknown) => Script): any
  /** The values of an arbitrary that depends on the script. */
  chain(chainer: (script: Script) => any): any
}

/**
 * Scripts within bounds, as an arbitrary of fast-check. They shrink towards no faults at all, and towards earlier ones.
 *
 * **When to use**
 *
 * In any test runner with fast-check. Use `schema` with `@effect/vitest`.
 *
 * **Example** (Every generated script is one)
 *
 * ```ts
 * import * as Faults from "effect-byte-streams/testing/Faults"
 * import fc from "fast-check"
 *
 * fc.assert(fc.property(Faults.arbitrary(fc, { maxFaults: 2 }), (script) => script.length <= 2))
 * ```
 *
 * @see {@link schema}, {@link Bounds}
 *
 * @stability unstable
 * @category generators
 * @since 0.1.0
 */
export const arbitrary = (fc: FastCheck, bounds?: Bounds): FastCheckArbitrary => {
  const { connections, hosts, kinds, maxBytes, maxFaults, maxMillis, pairs } = resolve("Faults.arbitrary", bounds)
  const connection = fc.integer({ min: 1, max: connections })
  const place = { connection, from: fc.constantFrom("client", "server"), after: fc.integer({ min: 0, max: maxBytes }) }
  const millis = fc.integer({ min: 0, max: maxMillis })
  const fields: { readonly [K in Kind]: Record<string, unknown> } = {
    Reset: place,
    Fin: place,
    Vanish: place,
    Stall: { ...place, millis: fc.oneof(millis, fc.constantFrom("forever")) },
    Refuse: { connection },
    ConnectTimeout: { connection },
    HostNotFound: { connection },
    AcceptError: { connection, code: fc.constantFrom(...acceptCodes), retryAfter: millis },
    Cut:
      pairs.length === 0
        ? {}
        : {
            between: fc.constantFrom(...pairs),
            at: millis,
            millis: fc.oneof(millis, fc.constantFrom("forever"))
          },
    Crash:
      hosts.length === 0 ? {} : { host: fc.constantFrom(...hosts), at: millis, connections: fc.constantFrom(...fates) }
  }
  const faults = kinds.map((kind) => fc.record({ _tag: fc.constantFrom(kind), ...fields[kind] }))
  return fc.array(fc.oneof(...faults), { maxLength: maxFaults })
}

// ---------------------------------------------------------------------------
// showing
// ---------------------------------------------------------------------------

/**
 * Returns a script in words, one line for each connection, for each pair of hosts and for each host.
 *
 * @see {@link Script}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const format = (script: Script): string => {
  if (script.length === 0) return "no faults"
  const victims = new Map<string, Array<string>>()
  for (const fault of script) {
    const victim = victimOf(fault)
    victims.set(victim, [...(victims.get(victim) ?? []), describe(fault)])
  }
  return Array.from(victims, ([victim, faults]) => `${victim}: ${faults.join(", ")}`).join("\n")
}

const victimOf = (fault: Fault): string => {
  switch (fault._tag) {
    case "Cut":
      return fault.between.toSorted().join(" | ")
    case "Crash":
      return fault.host
    default:
      return `#${fault.connection}`
  }
}

const lasting = (millis: number | "forever"): string => (millis === "forever" ? "for ever" : `for ${millis} ms`)

const describe = (fault: Fault): string => {
  switch (fault._tag) {
    case "Reset":
      return `reset after ${fault.after} B from the ${fault.from}`
    case "Fin":
      return `end after ${fault.after} B from the ${fault.from}`
    case "Vanish":
      return `vanished after ${fault.after} B from the ${fault.from}`
    case "Stall":
      return `stall ${lasting(fault.millis)} after ${fault.after} B from the ${fault.from}`
    case "Refuse":
      return "refused"
    case "ConnectTimeout":
      return "no answer"
    case "HostNotFound":
      return "host not found"
    case "AcceptError":
      return `accept fails with ${fault.code}, again after ${fault.retryAfter} ms`
    case "Cut":
      return `cut at ${fault.at} ms ${lasting(fault.millis)}`
    case "Crash":
      return `crash at ${fault.at} ms, connections ${fault.connections}`
  }
}
