/**
 * What can go wrong on a network, as data.
 *
 * A script is an array of faults. It can be written down, printed, kept with a
 * failing test, and generated and shrunk by a property test: by Effect's own
 * `Arbitrary` from `schema`, by fast-check from `arbitrary`.
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
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * Where in a connection something happens: behind `after` bytes of one
 * direction, which still arrive.
 *
 * @category models
 * @since 0.1.0
 */
export interface Place {
  /** Which connection of the network, counted from 1 in the order in which they were asked for. Default 1. */
  readonly connection?: number | undefined
  /** Whose bytes are counted. */
  readonly from: "client" | "server"
  /** How many of them still arrive. */
  readonly after: number
}

/**
 * One thing that goes wrong.
 *
 * **Details**
 *
 * On the way, behind `after` bytes of one direction:
 *
 * - `Reset`: something between the two breaks the connection. Both ends see a reset, behind what reached them before.
 * - `Fin`: the output ends too early. The receiver sees the end; what the sender writes from then on goes nowhere.
 * - `Stall`: nothing passes in this direction for `millis`, or `"forever"`. The sender is held up once its buffer is full.
 * - `Vanish`: nothing passes in either direction any more, and nobody is told: a half-open connection.
 *
 * On connecting:
 *
 * - `Refuse`: nobody listens there (`ECONNREFUSED`).
 * - `ConnectTimeout`: no answer at all; the client gives up after its `connectTimeout`.
 * - `HostNotFound`: the name has no address (`ENOTFOUND`).
 * - `AcceptError`: the server's accept fails with `code`. The client is connected, and waits; the server accepts it,
 *   and whoever else came meanwhile, `retryAfter` milliseconds later.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault =
  | {
      readonly _tag: "Reset" | "Fin" | "Vanish"
      readonly connection: number
      readonly from: "client" | "server"
      readonly after: number
    }
  | {
      readonly _tag: "Stall"
      readonly connection: number
      readonly from: "client" | "server"
      readonly after: number
      readonly millis: number | "forever"
    }
  | { readonly _tag: "Refuse" | "ConnectTimeout" | "HostNotFound"; readonly connection: number }
  | {
      readonly _tag: "AcceptError"
      readonly connection: number
      readonly code: "EMFILE" | "ENFILE" | "ENOBUFS" | "ENOMEM"
      readonly retryAfter: number
    }

/**
 * Everything that goes wrong in one run.
 *
 * @category models
 * @since 0.1.0
 */
export type Script = ReadonlyArray<Fault>

/**
 * The kinds of faults.
 *
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
 * The connection is reset behind `after` bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reset = (place: Place): Fault => at("Reset", place)

/**
 * The output of one side ends behind `after` bytes, whatever it goes on to write.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fin = (place: Place): Fault => at("Fin", place)

/**
 * Both sides lose sight of each other behind `after` bytes, and neither is told.
 *
 * @category constructors
 * @since 0.1.0
 */
export const vanish = (place: Place): Fault => at("Vanish", place)

/**
 * Nothing passes behind `after` bytes: for `millis`, or for ever if there are none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stall = (place: Place & { readonly millis?: number | undefined }): Fault => ({
  _tag: "Stall",
  connection: place.connection ?? 1,
  from: place.from,
  after: place.after,
  millis: place.millis ?? "forever"
})

interface Attempt {
  /** Which connection of the network, counted from 1 in the order in which they were asked for. Default 1. */
  readonly connection?: number | undefined
}

/**
 * Nobody listens.
 *
 * @category constructors
 * @since 0.1.0
 */
export const refuse = (attempt?: Attempt): Fault => ({ _tag: "Refuse", connection: attempt?.connection ?? 1 })

/**
 * Nobody answers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connectTimeout = (attempt?: Attempt): Fault => ({
  _tag: "ConnectTimeout",
  connection: attempt?.connection ?? 1
})

/**
 * The name has no address.
 *
 * @category constructors
 * @since 0.1.0
 */
export const hostNotFound = (attempt?: Attempt): Fault => ({
  _tag: "HostNotFound",
  connection: attempt?.connection ?? 1
})

/**
 * The server's accept fails, and is tried again after `retryAfter` milliseconds (default 1,000).
 *
 * @category constructors
 * @since 0.1.0
 */
export const acceptError = (
  attempt?: Attempt & {
    readonly code?: "EMFILE" | "ENFILE" | "ENOBUFS" | "ENOMEM" | undefined
    readonly retryAfter?: number | undefined
  }
): Fault => ({
  _tag: "AcceptError",
  connection: attempt?.connection ?? 1,
  code: attempt?.code ?? "EMFILE",
  retryAfter: attempt?.retryAfter ?? 1000
})

// ---------------------------------------------------------------------------
// generating
// ---------------------------------------------------------------------------

/**
 * What generated scripts may contain.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bounds {
  /** How many connections the program opens. Default 1. */
  readonly connections?: number | undefined
  /** Up to how many bytes a direction carries: a fault behind more would never happen. Default 256. */
  readonly maxBytes?: number | undefined
  /** The longest stall that ends, and the longest wait for an accept. Default 60,000. */
  readonly maxMillis?: number | undefined
  /** How many faults at most. Default 3. */
  readonly maxFaults?: number | undefined
  /** Which kinds. Default: all. */
  readonly kinds?: ReadonlyArray<Kind> | undefined
}

const allKinds: ReadonlyArray<Kind> = [
  "Reset",
  "Fin",
  "Stall",
  "Vanish",
  "Refuse",
  "ConnectTimeout",
  "HostNotFound",
  "AcceptError"
]

const resolve = (bounds: Bounds | undefined) => ({
  connections: bounds?.connections ?? 1,
  maxBytes: bounds?.maxBytes ?? 256,
  maxMillis: bounds?.maxMillis ?? 60_000,
  maxFaults: bounds?.maxFaults ?? 3,
  kinds: bounds?.kinds ?? allKinds
})

const acceptCodes = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"] as const

/**
 * Scripts within bounds, as a schema: what `it.effect.prop` of `@effect/vitest`
 * and Effect's `Arbitrary` generate from and shrink towards no faults at all,
 * and what checks a script that comes from elsewhere.
 *
 * @category generators
 * @since 0.1.0
 */
export const schema = (bounds?: Bounds): Schema.Codec<Script> => {
  const { connections, kinds, maxBytes, maxFaults, maxMillis } = resolve(bounds)
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
    })
  }
  return Schema.Array(Schema.Union(kinds.map((kind) => faults[kind]))).check(Schema.isMaxLength(maxFaults))
}

/**
 * The part of the `fast-check` module that is used. It is handed in, so that
 * only those who have it need it.
 *
 * @category models
 * @since 0.1.0
 */
export interface FastCheck {
  integer(constraints: { readonly min: number; readonly max: number }): any
  constantFrom(...values: Array<any>): any
  oneof(...arbitraries: Array<any>): any
  record(model: any): any
  array(arbitrary: any, constraints: { readonly maxLength: number }): any
}

/**
 * What fast-check takes for an `Arbitrary` of its own, of scripts.
 *
 * @category models
 * @since 0.1.0
 */
export interface FastCheckArbitrary {
  generate(random: any, biasFactor: number | undefined): any
  canShrinkWithoutContext(value: unknown): value is Script
  shrink(value: Script, context: unknown): any
  filter(predicate: (script: Script) => boolean): any
  map(mapper: (script: Script) => any, unmapper?: (value: unknown) => Script): any
  chain(chainer: (script: Script) => any): any
}

/**
 * Scripts within bounds, as an arbitrary of fast-check. They shrink towards no
 * faults at all, and faults that are earlier.
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
 * @category generators
 * @since 0.1.0
 */
export const arbitrary = (fc: FastCheck, bounds?: Bounds): FastCheckArbitrary => {
  const { connections, kinds, maxBytes, maxFaults, maxMillis } = resolve(bounds)
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
    AcceptError: { connection, code: fc.constantFrom(...acceptCodes), retryAfter: millis }
  }
  const faults = kinds.map((kind) => fc.record({ _tag: fc.constantFrom(kind), ...fields[kind] }))
  return fc.array(fc.oneof(...faults), { maxLength: maxFaults })
}

// ---------------------------------------------------------------------------
// showing
// ---------------------------------------------------------------------------

/**
 * A script in words, one line a connection.
 *
 * @category combinators
 * @since 0.1.0
 */
export const format = (script: Script): string => {
  if (script.length === 0) return "no faults"
  const connections = new Map<number, Array<string>>()
  for (const fault of script) {
    const list = connections.get(fault.connection) ?? []
    connections.set(fault.connection, [...list, describe(fault)])
  }
  return Array.from(connections, ([connection, faults]) => `#${connection}: ${faults.join(", ")}`).join("\n")
}

const describe = (fault: Fault): string => {
  switch (fault._tag) {
    case "Reset":
      return `reset after ${fault.after} B from the ${fault.from}`
    case "Fin":
      return `end after ${fault.after} B from the ${fault.from}`
    case "Vanish":
      return `vanished after ${fault.after} B from the ${fault.from}`
    case "Stall":
      return `stall ${fault.millis === "forever" ? "for ever" : `for ${fault.millis} ms`} after ${fault.after} B from the ${fault.from}`
    case "Refuse":
      return "refused"
    case "ConnectTimeout":
      return "no answer"
    case "HostNotFound":
      return "host not found"
    case "AcceptError":
      return `accept fails with ${fault.code}, again after ${fault.retryAfter} ms`
  }
}
