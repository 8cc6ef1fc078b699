/** Checks of arguments. A wrong one is a programming error: it throws, and the effect that asked dies with the message. */
import * as Bytes from "./bytes.ts"

export const count = (operation: string, name: string, value: unknown): number => {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${operation}: ${name} must be an integer of 0 or more bytes, got ${String(value)}`)
  }
  return value
}

export const limit = (operation: string, value: number): number => {
  if (value !== Infinity && (!Number.isSafeInteger(value) || value <= 0)) {
    throw new RangeError(`${operation}: limit must be an integer above 0 bytes, got ${String(value)}`)
  }
  return value
}

export const bytes = (operation: string, value: unknown): Uint8Array => {
  const bytes = Bytes.from(value)
  if (bytes === undefined) {
    throw new TypeError(`${operation}: expected a Uint8Array, got ${value === null ? "null" : typeof value}`)
  }
  return bytes
}

export const oneOf = <const A extends string>(
  operation: string,
  name: string,
  value: A,
  allowed: ReadonlyArray<A>
): A => {
  if (!allowed.includes(value)) {
    throw new RangeError(`${operation}: ${name} must be one of ${allowed.join(", ")}, got ${String(value)}`)
  }
  return value
}

/** Whether something is to be done. */
export const flag = (operation: string, name: string, value: unknown): boolean => {
  if (typeof value === "boolean") return value
  throw new TypeError(`${operation}: ${name} must be true or false, got ${String(value)} (${typeof value})`)
}

export const port = (operation: string, value: number): number => {
  if (!Number.isInteger(value) || value < 0 || value > 65535) {
    throw new RangeError(`${operation}: port must be an integer from 0 to 65535, got ${String(value)}`)
  }
  return value
}

/** The path of a Unix socket. A NUL in front makes it the name of an abstract one. */
export const path = (operation: string, value: unknown): string => {
  if (typeof value !== "string") {
    throw new TypeError(`${operation}: path must be a string, got ${value === null ? "null" : typeof value}`)
  }
  if (value === "" || value.indexOf("\0") > 0) {
    throw new RangeError(
      `${operation}: path must be a string that is not empty, without a NUL but in front, got ${JSON.stringify(value)}`
    )
  }
  return value
}

/** How many of something that is no bytes. */
export const amount = (operation: string, name: string, value: number): number => {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${operation}: ${name} must be an integer of 0 or more, got ${String(value)}`)
  }
  return value
}

export const positive = (operation: string, name: string, value: number): number => {
  if (!Number.isSafeInteger(value) || value <= 0) {
    throw new RangeError(`${operation}: ${name} must be an integer above 0, got ${String(value)}`)
  }
  return value
}

export const iterable = <A>(operation: string, value: Iterable<A>): Iterable<A> => {
  if (typeof (value as Partial<Iterable<A>> | null | undefined)?.[Symbol.iterator] !== "function") {
    throw new TypeError(
      `${operation}: expected a Uint8Array, a string or an iterable of Uint8Array, got ${value === null ? "null" : typeof value}`
    )
  }
  return value
}

/** A stream, by the methods of it that are used. */
export const stream = <A>(
  operation: string,
  expected: string,
  value: A,
  methods: ReadonlyArray<keyof A & string>
): A => {
  if (!methods.every((method) => typeof (value as Partial<A> | null | undefined)?.[method] === "function")) {
    throw new TypeError(`${operation}: expected ${expected}, or what behaves like one, got ${typeName(value)}`)
  }
  return value
}

/** What a value is, for a message that says so. */
export const typeName = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value
  const name = (value.constructor as { readonly name?: unknown } | undefined)?.name
  return typeof name === "string" && name !== "" ? `an object (${name})` : "an object"
}
