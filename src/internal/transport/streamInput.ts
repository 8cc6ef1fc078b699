/**
 * The reading half of one of Node's streams: what the stream says and what it
 * has read ahead, as bytes, each of them once and in order.
 */
import type { ReadableLike } from "../../Connection.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { nextTurn } from "../runtime/turn.ts"
import { resetOf } from "./resetToLoss.ts"

/** The transport that an input belongs to. */
export interface InputOwner {
  received(bytes: Uint8Array): void
  /** The stream cannot be read on: it throws, or what it says is neither bytes nor text. Nothing behind that is heard. */
  refused(error: unknown): void
}

export class StreamInput {
  private readonly stream: ReadableLike
  private readonly owner: InputOwner
  /** The stream is meant to be paused. */
  private held = false
  /** What the stream says is not heard any more: it was taken from it, or makes no sense. */
  private deaf = false
  /** Of text, the first half of a character, of which the second comes with the next chunk. */
  private half = ""
  /** What is readable is heard of, and asked for. */
  private asking = false

  constructor(stream: ReadableLike, owner: InputOwner) {
    this.stream = stream
    this.owner = owner
  }

  /** The stream has said something. */
  arrived(chunk: unknown): void {
    if (this.deaf) return
    // somebody else has set it going again, as Node does with the output of a process that exits
    if (this.held) {
      try {
        this.stream.pause()
      } catch (error) {
        return this.refuse(error)
      }
    }
    this.take(chunk)
  }

  /** The stream has come to its end. `false`: that is none, for not all before it was understood. */
  ended(): boolean {
    if (this.deaf) return false
    this.finishText()
    const reset = resetOf(this.stream)
    if (reset !== undefined) this.refuse(reset)
    return reset === undefined
  }

  /** The stream is no more: what it has read ahead is taken from it. */
  rescue(): void {
    if (this.deaf) return
    // some say what is read from them as well
    this.deaf = true
    try {
      for (let chunk = this.stream.read(); chunk !== null && chunk !== undefined; chunk = this.stream.read()) {
        if (!this.take(chunk)) return
      }
    } catch (error) {
      return this.refuse(error)
    }
    this.finishText()
    const rest = undecoded(this.stream)
    if (rest.length > 0) this.owner.received(rest)
  }

  pause(): void {
    this.held = true
    this.stream.pause()
  }

  resume(): void {
    this.held = false
    this.stream.resume()
    if (!givesNothing(this.stream)) return
    // not from within this call: the handler counts on it
    if (this.asking) return queueMicrotask(() => this.takeReadable())
    // Node looks a moment later whether somebody who has left was the last
    nextTurn(() => {
      if (!this.asking && !this.held && !this.deaf && givesNothing(this.stream)) this.ask()
    })
  }

  /** Asks for what there is, now and whenever there is more. What is read the stream says as well. */
  private ask(): void {
    this.asking = true
    try {
      this.stream.on("readable", () => this.takeReadable())
    } catch (error) {
      return this.refuse(error)
    }
    this.takeReadable()
  }

  private takeReadable(): void {
    try {
      while (!this.held && !this.deaf && (this.stream.read() ?? null) !== null);
    } catch (error) {
      this.refuse(error)
    }
  }

  /** Passes on a chunk, and says whether it could. */
  private take(chunk: unknown): boolean {
    let bytes: Uint8Array
    try {
      bytes = this.toBytes(chunk)
    } catch (error) {
      this.refuse(error)
      return false
    }
    this.owner.received(bytes)
    return true
  }

  private refuse(error: unknown): void {
    this.deaf = true
    this.owner.refused(error)
  }

  /** Half a character is none. */
  private finishText(): void {
    const { half } = this
    this.half = ""
    if (half !== "") this.owner.received(Bytes.encode(half))
  }

  /** Of text they are the bytes that the stream has decoded, and UTF-8 where it was text from the start. */
  private toBytes(chunk: unknown): Uint8Array {
    if (typeof chunk !== "string") {
      const bytes = Bytes.from(chunk)
      if (bytes !== undefined) return bytes
      throw new TypeError(`expected a stream of bytes or of text, got ${Argument.typeName(chunk)}`)
    }
    const encoding = this.stream.readableEncoding ?? "utf8"
    if (!/^utf-?8$/i.test(encoding)) return Bytes.encodeAs(chunk, encoding)
    const text = this.half + chunk
    const last = text.charCodeAt(text.length - 1)
    // a surrogate that another one may follow
    const whole = last >= 0xd800 && last < 0xdc00 ? text.length - 1 : text.length
    this.half = text.slice(whole)
    return Bytes.encode(text.slice(0, whole))
  }
}

/** Whether a stream gives nothing by itself, although it should: somebody listens still for what is readable. */
const givesNothing = (stream: object): boolean =>
  (stream as { readonly readableFlowing?: unknown }).readableFlowing === false

/** What a `StringDecoder` says of the bytes that it keeps for the rest of a character. */
interface Decoder {
  readonly lastChar?: unknown
  readonly lastNeed?: unknown
  readonly lastTotal?: unknown
}

/** The bytes of a character that a stream has yet to decode, as far as it shows them: it broke before the rest came. */
const undecoded = (stream: object): Uint8Array => {
  const { _readableState: state } = stream as { readonly _readableState?: { readonly decoder?: Decoder | null } }
  const { lastChar, lastNeed, lastTotal } = state?.decoder ?? {}
  if (!(lastChar instanceof Uint8Array) || typeof lastNeed !== "number" || typeof lastTotal !== "number") {
    return Bytes.empty
  }
  return lastTotal > lastNeed ? Bytes.copy(lastChar.subarray(0, lastTotal - lastNeed)) : Bytes.empty
}
