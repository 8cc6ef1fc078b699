/**
 * Checks of arguments. A wrong one is a programming error: it throws, and the effect that asked dies with the message,
 * which names the operation, the argument, and what it was given.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Bytes from "./bytes.ts"

// ---------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------

/** A value as JavaScript spells it, with its type where the spelling does not tell. Not for secrets, nor for data. */
export const shown = (value: unknown): string => {
  switch (typeof value) {
    case "undefined":
    case "number":
      return String(value)
    case "string":
      return `${JSON.stringify(cut(value))} (string)`
    case "bigint":
      return `${value}n (bigint)`
    case "object":
      return value === null
        ? "null"
        : `${Array.isArray(value) ? `[${spelled(value)}]` : spelled(value)} (${classOf(value)})`
    default:
      return `${spelled(value)} (${typeof value})`
  }
}

const classOf = (value: object): string => {
  const { constructor } = value
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "object"
}

/** Not every object can be made text. */
const spelled = (value: unknown): string => {
  try {
    return cut(String(value))
  } catch {
    return Object.prototype.toString.call(value)
  }
}

const maxShown = 80
const cut = (text: string): string => (text.length > maxShown ? `${text.slice(0, maxShown)}…` : text)

/** For a value of the wrong type; one that is only out of range is a `RangeError`. */
export const wrongType = (operation: string, name: string, must: string, value: unknown): TypeError =>
  new TypeError(`${operation}: ${name} must be ${must}, got ${shown(value)}`)

const wrong = (operation: string, name: string, must: string, value: unknown, type: string): Error =>
  typeof value === type
    ? new RangeError(`${operation}: ${name} must be ${must}, got ${shown(value)}`)
    : wrongType(operation, name, must, value)

// ---------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------

const integer = (
  operation: string,
  name: string,
  must: string,
  value: unknown,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER
): number => {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value
  throw wrong(operation, name, must, value, "number")
}

export const count = (operation: string, name: string, value: unknown): number =>
  integer(operation, name, "an integer of 0 or more bytes", value, 0)

export const limit = (operation: string, value: unknown, name = "limit"): number =>
  value === Infinity ? value : integer(operation, name, "an integer above 0 bytes", value, 1)

/** A watermark. Without a bound it has to be spelled. */
export const mark = (operation: string, name: string, value: unknown): number =>
  value === Infinity ? value : integer(operation, name, "an integer of 0 or more bytes", value, 0)

export const port = (operation: string, value: unknown, name = "port"): number =>
  integer(operation, name, "an integer from 0 to 65535", value, 0, 65535)

/** How many of something that is no bytes. */
export const amount = (operation: string, name: string, value: unknown): number =>
  integer(operation, name, "an integer of 0 or more", value, 0)

export const positive = (operation: string, name: string, value: unknown): number =>
  integer(operation, name, "an integer above 0", value, 1)

/** Any number but those without a value or an end. */
export const finite = (operation: string, name: string, value: unknown): number => {
  if (typeof value === "number" && Number.isFinite(value)) return value
  throw wrong(operation, name, "a finite number", value, "number")
}

/** How much in a unit of time, without a bound if it is `Infinity`. */
export const rate = (operation: string, name: string, value: unknown): number => {
  if (typeof value === "number" && value > 0) return value
  throw wrong(operation, name, "a number above 0 bytes a second", value, "number")
}

/** An integer within bounds. */
export const between = (operation: string, name: string, value: unknown, least: number, most: number): number =>
  integer(operation, name, `an integer from ${least} to ${most}`, value, least, most)

// ---------------------------------------------------------------------------
// durations
// ---------------------------------------------------------------------------

const units = ["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"] as const

/** Effect takes an object without any of its units for no time at all, and a number that is none for 0. */
const parse = (value: unknown): Duration.Duration | undefined => {
  if (typeof value === "number") return Number.isNaN(value) ? undefined : Duration.millis(value)
  if (typeof value === "object" && value !== null && !Duration.isDuration(value)) {
    const parts: ReadonlyArray<unknown> = Array.isArray(value)
      ? value
      : units.map((unit) => (value as Record<string, unknown>)[unit]).filter((part) => part !== undefined)
    if (parts.length === 0 || !parts.every((part) => typeof part === "number" && !Number.isNaN(part))) return undefined
  }
  return Option.getOrUndefined(Duration.fromInput(value as Duration.Input))
}

/** A duration of 0 or more. */
export const duration = (operation: string, name: string, value: unknown): Duration.Duration => {
  const duration = parse(value)
  if (duration !== undefined && Duration.toMillis(duration) >= 0) return duration
  throw new RangeError(`${operation}: ${name} must be a duration of 0 or more${example}, got ${shown(value)}`)
}

/** A duration above 0. */
export const someTime = (operation: string, name: string, value: unknown): Duration.Duration => {
  const duration = parse(value)
  if (duration !== undefined && Duration.toMillis(duration) > 0) return duration
  throw new RangeError(`${operation}: ${name} must be a duration above 0${example}, got ${shown(value)}`)
}

const example = `, such as "5 seconds" or a number of milliseconds`

// ---------------------------------------------------------------------------
// others
// ---------------------------------------------------------------------------

export const bytes = (operation: string, value: unknown): Uint8Array => {
  const bytes = Bytes.from(value)
  if (bytes === undefined) {
    throw new TypeError(`${operation}: expected a Uint8Array, got ${value === null ? "null" : typeof value}`)
  }
  return bytes
}

export const iterable = <A>(operation: string, value: Iterable<A>): Iterable<A> => {
  if (typeof (value as Partial<Iterable<A>> | null | undefined)?.[Symbol.iterator] !== "function") {
    throw new TypeError(
      `${operation}: expected a Uint8Array, a string or an iterable of Uint8Array, got ${value === null ? "null" : typeof value}`
    )
  }
  return value
}

/** A stream, or a transport, by the methods of it that are used. */
export const stream = <A>(
  operation: string,
  name: string,
  must: string,
  value: A,
  methods: ReadonlyArray<keyof A & string>
): A => {
  if (methods.every((method) => typeof (value as Partial<A> | null | undefined)?.[method] === "function")) return value
  throw wrongType(operation, name, `${must}, or what behaves like one`, value)
}

/** What a value is, for a message that says so. */
export const typeName = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value
  const name = (value.constructor as { readonly name?: unknown } | undefined)?.name
  return typeof name === "string" && name !== "" ? `an object (${name})` : "an object"
}

export const oneOf = <const A extends string>(
  operation: string,
  name: string,
  value: A,
  allowed: ReadonlyArray<A>
): A => {
  if (allowed.includes(value)) return value
  throw wrong(operation, name, `one of ${allowed.map((one) => JSON.stringify(one)).join(", ")}`, value, "string")
}

/** Whether something is to be done. */
export const flag = (operation: string, name: string, value: unknown): boolean => {
  if (typeof value === "boolean") return value
  throw wrongType(operation, name, "true or false", value)
}

/** Text that is not empty. */
export const text = (operation: string, name: string, value: unknown): string => {
  if (typeof value === "string" && value !== "") return value
  throw wrong(operation, name, "text that is not empty", value, "string")
}

/** The path of a Unix socket. A NUL in front makes it the name of an abstract one. */
export const path = (operation: string, value: unknown): string => {
  if (typeof value === "string" && value !== "" && value.indexOf("\0") <= 0) return value
  throw wrong(operation, "path", "text that is not empty, without a NUL but in front", value, "string")
}

export const func = <A>(operation: string, name: string, value: A): A => {
  if (typeof value === "function") return value
  throw wrongType(operation, name, "a function", value)
}

/** An object with named options. */
export const record = <A extends object>(operation: string, name: string, value: A): A => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value
  throw wrongType(operation, name, "an object", value)
}
