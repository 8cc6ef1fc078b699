/** What Node's streams call chunks, as bytes. */
import * as Argument from "./argument.ts"
import * as Bytes from "./bytes.ts"

/** What is used of a stream to read it, whether it flows or is read ahead. */
export interface Chunked {
  read(): unknown
  readonly readableEncoding?: string | null | undefined
}

/** What is kept of a stream of text between two of its chunks. */
export interface Spelling {
  /** The first half of a character, of which the second comes with the next chunk. */
  half: string
}

/**
 * The bytes of a chunk. Of text they are those that the stream has decoded, and
 * UTF-8 where it was text from the start. Throws for what is neither.
 */
export const toBytes = (chunk: unknown, stream: Chunked, spelling: Spelling): Uint8Array => {
  if (typeof chunk !== "string") {
    const bytes = Bytes.from(chunk)
    if (bytes === undefined)
      throw new TypeError(`expected a stream of bytes or of text, got ${Argument.typeName(chunk)}`)
    return bytes
  }
  const encoding = stream.readableEncoding ?? "utf8"
  if (!/^utf-?8$/i.test(encoding)) return Bytes.encodeAs(chunk, encoding)
  const text = spelling.half + chunk
  const last = text.charCodeAt(text.length - 1)
  // a surrogate that another one may follow
  const whole = last >= 0xd800 && last < 0xdc00 ? text.length - 1 : text.length
  spelling.half = text.slice(whole)
  return Bytes.encode(text.slice(0, whole))
}

/** The bytes of what is left when nothing more comes: half a character is none. */
export const restOf = (spelling: Spelling): Uint8Array => {
  const { half } = spelling
  spelling.half = ""
  return half === "" ? Bytes.empty : Bytes.encode(half)
}

/** Takes what a stream has read ahead, and calls `take` with it, which answers whether to go on. */
export const drain = (stream: Chunked, take: (chunk: unknown) => boolean): void => {
  while (true) {
    const chunk = stream.read()
    if (chunk === null || chunk === undefined || !take(chunk)) break
  }
}

/** What a `StringDecoder` says of the bytes that it keeps for the rest of a character. */
interface Decoder {
  readonly lastChar?: unknown
  readonly lastNeed?: unknown
  readonly lastTotal?: unknown
}

/** The bytes of a character that a stream has yet to decode, as far as it shows them: it broke before the rest came. */
export const undecoded = (stream: object): Uint8Array => {
  const { _readableState: state } = stream as { readonly _readableState?: { readonly decoder?: Decoder | null } }
  const { lastChar, lastNeed, lastTotal } = state?.decoder ?? {}
  if (!(lastChar instanceof Uint8Array) || typeof lastNeed !== "number" || typeof lastTotal !== "number") {
    return Bytes.empty
  }
  return lastTotal > lastNeed ? Bytes.copy(lastChar.subarray(0, lastTotal - lastNeed)) : Bytes.empty
}
