/**
 * The few byte operations on which everything else rests, each in the form
 * that is fastest on Node, with a portable fallback.
 */

/** The part of Node's `Buffer` that is used where it exists. */
interface NodeBuffer {
  readonly prototype: {
    indexOf(this: Uint8Array, byte: number, from: number): number
    utf8Write?(this: Uint8Array, text: string, offset: number, length: number): number
  }
  allocUnsafeSlow(size: number): Uint8Array<ArrayBuffer>
  from(memory: ArrayBufferLike, start: number, size: number): Uint8Array
  from(text: string, encoding: string): Uint8Array
  byteLength(text: string): number
}

const nodeBuffer: NodeBuffer | undefined = (globalThis as { Buffer?: NodeBuffer }).Buffer

/** Bytes that say nothing; shared, because there is nothing in it to change. */
export const empty: Uint8Array = new Uint8Array(0)

const search: (bytes: Uint8Array, byte: number, from: number) => number =
  // memchr behind a call of constant cost: above some 40 bytes it beats the engine's own search, below it hardly loses
  nodeBuffer === undefined
    ? (bytes, byte, from) => bytes.indexOf(byte, from)
    : (bytes, byte, from) => nodeBuffer.prototype.indexOf.call(bytes, byte, from)

/** The offset of `byte` at or after `from` and before `end`, or -1. Looks at nothing behind `end`. */
export const indexOfByte = (bytes: Uint8Array, byte: number, from: number, end: number = bytes.length): number => {
  if (end === bytes.length) return search(bytes, byte, from)
  const index = search(bytes.subarray(from, end), byte, 0)
  return index === -1 ? -1 : from + index
}

/** Fresh bytes whose content is yet to be written: the caller overwrites all of it. */
export const allocate: (size: number) => Uint8Array<ArrayBuffer> =
  nodeBuffer === undefined
    ? (size) => new Uint8Array(size)
    : (size) => new Uint8Array(nodeBuffer.allocUnsafeSlow(size).buffer)

/** A part of some memory, as a `Buffer` where there is one: Node's streams would make one of it otherwise. */
export const part: (memory: ArrayBufferLike, start: number, size: number) => Uint8Array =
  nodeBuffer === undefined
    ? (memory, start, size) => new Uint8Array(memory, start, size)
    : (memory, start, size) => nodeBuffer.from(memory, start, size)

/** What a typed array says that it is. No other value can say it, and no prototype has a part in it. */
const kindOf: (this: unknown) => string | undefined = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag
)!.get!

/**
 * `value`, if it is bytes. Those of another realm (`node:vm`, and with it some test runners) have a class of their own:
 * they become an array of this one over the same memory, so that nobody else has to know.
 */
export const from = (value: unknown): Uint8Array | undefined => {
  if (value instanceof Uint8Array) return value
  if (kindOf.call(value) !== "Uint8Array") return undefined
  const { buffer, byteLength, byteOffset } = value as Uint8Array
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** A `Uint8Array` and nothing more: `subarray` of a `Buffer` would be another, whose `slice` does not copy. */
export const plain = (bytes: Uint8Array): Uint8Array =>
  bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)

/** Copies all of `bytes` to a place in `target`. */
export const copyInto = (bytes: Uint8Array, target: Uint8Array, at: number): void => {
  const { length } = bytes
  // the call that `set` is costs more than a few bytes do
  if (length > 8) target.set(bytes, at)
  else for (let i = 0; i < length; i++) target[at + i] = bytes[i]!
}

/** The same bytes as a view that does not grow, whatever becomes of the memory below. */
export const fixed = (bytes: Uint8Array): Uint8Array => {
  const { buffer } = bytes as { readonly buffer: { readonly resizable?: boolean; readonly growable?: boolean } }
  return buffer.resizable === true || buffer.growable === true ? bytes.subarray(0, bytes.length) : bytes
}

/** A copy that shares no memory with the original. */
export const copy = (bytes: Uint8Array): Uint8Array => {
  const out = allocate(bytes.length)
  out.set(bytes)
  return out
}

/** As one array, which shares no memory with the chunks. */
export const joined = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  let size = 0
  for (let i = 0; i < chunks.length; i++) size += chunks[i]!.length
  const out = allocate(size)
  let at = 0
  for (let i = 0; i < chunks.length; i++) {
    out.set(chunks[i]!, at)
    at += chunks[i]!.length
  }
  return out
}

const encoder = new TextEncoder()

/** `text` as UTF-8. */
export const encode = (text: string): Uint8Array => encoder.encode(text)

/** The bytes that `text` was decoded from, by one of the encodings that Node has for its streams. */
export const encodeAs = (text: string, encoding: string): Uint8Array => {
  if (nodeBuffer === undefined) throw new TypeError(`expected a stream of bytes or of text, got one of ${encoding}`)
  return copy(nodeBuffer.from(text, encoding))
}

/** Writes `text` as UTF-8 at `at`, where `room` for it is certain (three bytes a UTF-16 unit). Returns bytes written. */
export const encodeInto = (text: string, target: Uint8Array, at: number): number => {
  const length = text.length
  if (length <= 48) {
    let i = 0
    for (; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 127) break
      target[at + i] = unit
    }
    if (i === length) return length
  }
  return encoder.encodeInto(text, target.subarray(at)).written
}

/** The first half of a surrogate pair at the end of `text`, whose other half may follow; or nothing. */
export const halfAtEnd = (text: string): string => {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last < 0xdc00 ? text.slice(-1) : ""
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Above so many bytes the engine's own decoder is the faster one. */
const maxByHand = 12

/** The text of UTF-8 from `start` on and before `end`. What is none becomes U+FFFD; a byte order mark stays. */
export const decode = (bytes: Uint8Array, start: number, end: number): string => {
  if (end - start <= maxByHand) {
    let text = ""
    let i = start
    for (; i < end; i++) {
      const byte = bytes[i]!
      if (byte > 127) break
      text += String.fromCharCode(byte)
    }
    if (i === end) return text
  }
  return decoder.decode(bytes.subarray(start, end))
}
