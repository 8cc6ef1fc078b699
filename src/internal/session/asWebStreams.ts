/**
 * A connection as two streams of the Web.
 *
 * Nothing is read before it is asked for, and what was read for a stream that has been cancelled meanwhile goes back to the
 * reader: what the streams have not handed on is still the connection's.
 */
import type * as Context from "effect/Context"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Closed, Connection, WebStreams } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { blockBytes, copiedBytes } from "../base/defaults.ts"
import { ClosedStream } from "../base/errors.ts"

export const toWebStreams = (connection: Connection, services: Context.Context<never>): WebStreams => {
  const run = Effect.runForkWith(services)
  /** The streams that go on. */
  const open = new Set<"readable" | "writable">(["readable", "writable"])
  const over = (half: "readable" | "writable"): Promise<void> => {
    open.delete(half)
    return open.size > 0 ? Promise.resolve() : settled(run(Effect.asVoid(connection.writer.close)))
  }

  return { readable: readableOf(connection, run, over), writable: writableOf(connection, run, over) }
}

type Run = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
type Over = (half: "readable" | "writable") => Promise<void>

/** What a fiber comes to, as a promise that fails with the very error. */
const settled = <A, E>(fiber: Fiber.Fiber<A, E>): Promise<A> =>
  new Promise((resolve, reject) => {
    fiber.addObserver((exit) => {
      if (exit._tag === "Success") resolve(exit.value)
      else reject(Cause.squash(exit.cause))
    })
  })

// ------------------------------------------------------------------------
// reading
// ------------------------------------------------------------------------

const readableOf = ({ reader }: Connection, run: Run, over: Over): WebStreams["readable"] => {
  let cancelled = false
  let reading: Fiber.Fiber<number | Uint8Array, ReadError> | undefined
  /** Told that the read which was going on when the stream was cancelled has ended. */
  let released: (() => void) | undefined

  /** Gives back what was read for nobody. */
  const giveBack = (bytes: Uint8Array): Effect.Effect<void> =>
    bytes.length === 0 ? Effect.void : Effect.ignore(reader.unread(Bytes.copy(bytes)))

  return new ReadableStream(
    {
      type: "bytes",
      pull: (controller: ReadableByteStreamController) =>
        new Promise<void>((resolve, reject) => {
          const request = controller.byobRequest
          const view = request?.view as Uint8Array | null | undefined
          const fiber = run<number | Uint8Array, ReadError>(
            view === null || view === undefined ? reader.read(blockBytes) : reader.readInto(view)
          )
          reading = fiber
          fiber.addObserver((exit: Exit.Exit<number | Uint8Array, ReadError>) => {
            reading = undefined
            if (cancelled) {
              const bytes = exit._tag === "Failure" ? Bytes.empty : exit.value
              run(giveBack(typeof bytes === "number" ? view!.subarray(0, bytes) : bytes)).addObserver(() => {
                resolve()
                released?.()
              })
              return
            }
            if (exit._tag === "Failure") {
              void over("readable")
              return reject(Cause.squash(exit.cause))
            }
            const { value } = exit
            const length = typeof value === "number" ? value : value.length
            if (length === 0) {
              controller.close()
              request?.respond(0)
              void over("readable")
            } else if (typeof value === "number") request!.respond(length)
            // the stream takes the memory away: it is nobody else's
            else controller.enqueue(Bytes.copy(value) as Uint8Array<ArrayBuffer>)
            resolve()
          })
        }),
      cancel: () => {
        cancelled = true
        if (reading === undefined) return over("readable")
        // whoever reads next finds the reader free, and everything in it
        const ended = new Promise<void>((resolve) => (released = resolve))
        reading.interruptUnsafe()
        return ended.then(() => over("readable"))
      }
    },
    // nothing is read ahead of who reads
    { highWaterMark: 0 }
  ) as WebStreams["readable"]
}

// ------------------------------------------------------------------------
// writing
// ------------------------------------------------------------------------

const writableOf = (connection: Connection, run: Run, over: Over): WebStreams["writable"] => {
  const { writer } = connection
  let aborted = false

  /** What was written is not complete, and must not look so. */
  const abort = (): Promise<void> => {
    aborted = true
    run(connection.abort)
    return over("writable")
  }

  return new WritableStream({
    start: (controller: WritableStreamDefaultController & { readonly signal?: AbortSignal }) => {
      // while a chunk waits the stream itself would wait for that, however long it takes
      controller.signal?.addEventListener("abort", () => void abort())
      const ended = Effect.flatMap(connection.closed, (closed) =>
        // where reads alone were lost, writing goes on
        Effect.map(writer.isClosing, (isOver) => {
          if (isOver && !aborted && closed._tag !== "PeerEof") controller.error(errorOf(closed))
        })
      )
      run(ended)
    },
    write: (chunk, controller) => {
      const bytes = bytesOf(chunk)
      if (bytes !== undefined) return settled<void, WriteError>(run(writer.write(bytes)))
      controller.error(Argument.wrongType("Connection.toWebStreams", "a chunk", "bytes or text", chunk))
      return abort()
    },
    close: () => settled(run(writer.writeEof)).then(() => over("writable")),
    abort
  })
}

/** Why nothing can be written any more. */
const errorOf = (closed: Exclude<Closed, { readonly _tag: "PeerEof" }>): unknown =>
  closed._tag === "Lost"
    ? closed.error
    : new ClosedStream({ operation: "write", reason: closed.outcome._tag === "Aborted" ? "Aborted" : "Closed" })

/** The bytes of a chunk. Memory that the writer would keep a view of is copied: it is the caller's again after the write. */
const bytesOf = (chunk: unknown): Uint8Array | string | undefined => {
  if (typeof chunk === "string") return chunk
  const bytes =
    chunk instanceof ArrayBuffer
      ? new Uint8Array(chunk)
      : ArrayBuffer.isView(chunk)
        ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
        : Bytes.from(chunk)
  return bytes !== undefined && bytes.length > copiedBytes ? Bytes.copy(bytes) : bytes
}
