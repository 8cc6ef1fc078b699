/**
 * A transport over two streams of the Web. Knows no types of the DOM: the interfaces that it needs are written down in
 * `Connection`.
 */
import type { WebReadableLike, WebWritableLike } from "../../Connection.ts"
import type { Transport } from "../../Transport.ts"
import * as Bytes from "../base/bytes.ts"
import { blockBytes, firstSlab } from "../base/defaults.ts"
import { type Source, SourceReadable, type Target, TargetWritable } from "./halves.ts"
import { PairTransport } from "./pair.ts"

const nothing = (): void => {}

/** A reader of the Web, of either kind. */
interface WebReader {
  read(view?: Uint8Array): Promise<{ readonly done: boolean; readonly value?: unknown }>
  cancel(reason?: unknown): Promise<void>
}

/** What is asked of a stream is refused, if it is no stream of bytes. */
const readBytes = (readable: WebReadableLike): WebReader | undefined => {
  try {
    return (readable as { getReader(options: object): WebReader }).getReader({ mode: "byob" })
  } catch {
    return undefined
  }
}

const sourceOf = (readable: WebReadableLike): Source => {
  const bytes = readBytes(readable)
  if (bytes !== undefined) return new ByteSource(bytes)
  const reader = readable.getReader() as WebReader
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return done ? undefined : [bytesOf(value)]
    },
    cancel: cancelling(reader)
  }
}

// not waited for: it may never finish, and whatever it says there is nobody to tell
const cancelling = (reader: WebReader) => (reason: Error | undefined) => quietly(() => reader.cancel(reason))

/** Streams of the Web carry memory in all its forms. */
const bytesOf = (chunk: unknown): unknown => {
  if (ArrayBuffer.isView(chunk)) {
    return Bytes.from(chunk) ?? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  }
  return chunk instanceof ArrayBuffer ? new Uint8Array(chunk) : chunk
}

/**
 * A stream of bytes is read into memory that goes there and comes back: it gives no more than that holds, however much it
 * has. The memory grows and shrinks with what comes, so that one that waits for little keeps little.
 */
class ByteSource implements Source {
  readonly cancel: Source["cancel"]
  private readonly reader: WebReader
  private memory: ArrayBuffer | undefined = undefined
  private capacity = firstSlab

  constructor(reader: WebReader) {
    this.reader = reader
    this.cancel = cancelling(reader)
  }

  async next(): Promise<ReadonlyArray<unknown> | undefined> {
    const memory = this.memory ?? new ArrayBuffer(this.capacity)
    this.memory = undefined
    const { done, value } = await this.reader.read(new Uint8Array(memory))
    if (done) return undefined
    // the memory has not left: this reader is of another kind, and has chunks of its own
    if (memory.byteLength > 0 || !(value instanceof Uint8Array)) return [bytesOf(value)]
    return [this.take(value)]
  }

  /** What lies in the memory that has come back: in a copy, where most of that is left. */
  private take(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    const { byteLength } = bytes.buffer
    let capacity = firstSlab
    while (capacity < blockBytes && capacity < 2 * length) capacity *= 2
    this.capacity = capacity
    if (2 * length > byteLength) return bytes
    const copy = Bytes.copy(bytes)
    if (byteLength === capacity) this.memory = bytes.buffer as ArrayBuffer
    return copy
  }
}

const targetOf = (writable: WebWritableLike): { readonly target: Target; readonly broken: Promise<unknown> } => {
  const writer = writable.getWriter()
  // possibly by others: a socket of Cloudflare's ends its output by itself once its input has ended
  let closed = false
  writer.closed.then(() => (closed = true), nothing)
  return {
    target: {
      // a copy of its own, in plain memory
      write: async (chunk) => {
        try {
          await writer.write(chunk as Uint8Array<ArrayBuffer>)
        } catch (error) {
          // nobody takes anything any more, and nothing has failed
          throw closed ? undefined : error
        }
      },
      end: async () => {
        try {
          await writer.close()
        } catch (error) {
          await writer.closed.catch(() => {
            throw error
          })
        }
      },
      abort: (reason) => quietly(() => writer.abort(reason))
    },
    broken: writer.closed
  }
}

const quietly = (call: () => Promise<unknown>): void => {
  try {
    call().catch(nothing)
  } catch {
    // it is not heard of any more either way
  }
}

export const toTransport = (readable: WebReadableLike, writable: WebWritableLike): Transport => {
  const source = sourceOf(readable)
  try {
    const { broken, target } = targetOf(writable)
    const output = new TargetWritable(target)
    broken.then(nothing, (error: unknown) => output.failed(error))
    return new PairTransport({ readable: new SourceReadable(source), writable: output })
  } catch (error) {
    // nobody else can let go of it
    source.cancel(error as Error)
    throw error
  }
}
