/** Readers that need no network: fed by hand, or from something that can be pulled. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import { ConnectionLost } from "../base/errors.ts"
import type { StreamReader } from "../../StreamReader.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import * as Bytes from "../base/bytes.ts"
import type { Flow } from "./backpressure.ts"
import { ReadBuffer } from "./readBuffer.ts"
import { BufferReader } from "./reader.ts"

interface LimitOption {
  readonly limit?: number | undefined
}

const makeBuffer = (operation: string, options: LimitOption | undefined, flow: Flow): ReadBuffer => {
  const limit = options === undefined ? undefined : Argument.record(operation, "options", options).limit
  return new ReadBuffer(limit === undefined ? Defaults.limit : Argument.limit(operation, limit), flow)
}

const nothing = (): void => {}

export const make = (
  options?: LimitOption & {
    readonly onPause?: (() => void) | undefined
    readonly onResume?: (() => void) | undefined
  }
) =>
  Effect.map(Effect.context<never>(), (services) => {
    const told = (name: "onPause" | "onResume") => {
      if (options?.[name] === undefined) return nothing
      const tell = Argument.func("StreamReader.make", name, options[name])
      return () => {
        const answer: unknown = tell()
        // an async function throws later, where nobody else would hear of it
        if (!(answer instanceof Promise)) return
        const complain = (error: unknown) => Effect.logError(`StreamReader.make: ${name} has failed`, error)
        answer.catch((error) => Effect.runForkWith(services)(complain(error)))
      }
    }
    const buffer = makeBuffer("StreamReader.make", options, { pause: told("onPause"), resume: told("onResume") })
    return {
      reader: new BufferReader(buffer) as StreamReader,
      feedUnsafe: (bytes: Uint8Array): boolean => {
        buffer.feed(Argument.bytes("feedUnsafe", bytes))
        return !buffer.paused
      },
      endUnsafe: () => buffer.feedEnd(),
      failUnsafe: (error: ConnectionLost) => {
        if ((error as ConnectionLost | null | undefined)?._tag !== "ConnectionLost") {
          throw Argument.wrongType("failUnsafe", "error", "a ConnectionLost", error)
        }
        const { cause, code, kind, peer } = error
        buffer.feedLoss((operation) => new ConnectionLost({ operation, kind, code, peer, cause }))
      }
    }
  })

export const fromBytes = (
  bytes: Uint8Array | string | Iterable<Uint8Array>,
  options?: LimitOption
): Effect.Effect<StreamReader> =>
  Effect.sync(() => {
    const buffer = makeBuffer("StreamReader.fromBytes", options, { pause: nothing, resume: nothing })
    const whole = typeof bytes === "string" ? Bytes.encode(bytes) : Bytes.from(bytes)
    if (whole !== undefined) buffer.feed(whole)
    else {
      for (const piece of Argument.iterable("StreamReader.fromBytes", bytes as Iterable<Uint8Array>)) {
        buffer.feed(Argument.bytes("StreamReader.fromBytes", piece))
      }
    }
    buffer.feedEnd()
    return new BufferReader(buffer)
  })

/** `operation` is the one that was called. */
export const fromPull = <E, R>(
  operation: string,
  pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, E, unknown, R>,
  options?: LimitOption
): Effect.Effect<StreamReader, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    if (!Effect.isEffect(pull)) throw Argument.wrongType(operation, "pull", "an Effect", pull)
    let flowing = true
    const room = Latch.makeUnsafe(true)
    const buffer = makeBuffer(operation, options, {
      pause: () => {
        flowing = false
        room.closeUnsafe()
      },
      // not at once: whoever pulls would feed in the middle of a read
      resume: () => {
        flowing = true
        queueMicrotask(() => {
          if (flowing) room.openUnsafe()
        })
      }
    })
    const fill = Effect.forever(
      Effect.andThen(
        room.await,
        // what was pulled is in the buffer before anyone can interrupt
        Effect.map(pull, (pieces) => {
          for (const piece of pieces) buffer.feed(Argument.bytes(operation, piece))
        })
      )
    )
    yield* Effect.forkScoped(
      Effect.onExit(fill, (exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit) || Pull.isDoneCause(exit.cause)) buffer.feedEnd()
          else {
            const cause = Cause.squash(exit.cause)
            buffer.feedLoss((operation) => new ConnectionLost({ operation, kind: "Unknown", cause }))
          }
        })
      )
    )
    // run before the pulling is interrupted, which would otherwise look like a loss
    yield* Effect.addFinalizer(() => Effect.sync(() => buffer.close("Closed")))
    return new BufferReader(buffer)
  })

/** The part of a web `ReadableStream` that is used; structural, so that no DOM types are needed. */
export interface ReadableStreamLike {
  /** Locks the stream, and returns what reads it. */
  getReader(): {
    /** The next piece, or the end. */
    read(): Promise<{
      /** Whether the stream has ended. */
      readonly done: boolean
      /** The piece, where the stream has not ended. */
      readonly value?: Uint8Array | undefined
    }>
    /** Tells the source that nobody will read on. */
    cancel(reason?: unknown): Promise<void>
    /** Unlocks the stream. */
    releaseLock(): void
  }
}

export const fromReadableStream = (
  stream: ReadableStreamLike,
  options?: LimitOption
): Effect.Effect<StreamReader, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (typeof (stream as Partial<ReadableStreamLike> | null | undefined)?.getReader !== "function") {
      throw Argument.wrongType("StreamReader.fromReadableStream", "stream", "a ReadableStream", stream)
    }
    const source = yield* Effect.acquireRelease(
      Effect.sync(() => stream.getReader()),
      // not waited for: it may never finish, and whatever it says there is nobody to tell
      (source) => Effect.sync(() => void source.cancel().catch(nothing))
    )
    const pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, unknown, unknown> = Effect.flatMap(
      Effect.tryPromise({ try: () => source.read(), catch: (error) => error }),
      (result): Pull.Pull<NonEmptyReadonlyArray<Uint8Array>> =>
        result.done ? Cause.done() : Effect.succeed([result.value ?? Bytes.empty])
    )
    return yield* fromPull("StreamReader.fromReadableStream", pull, options)
  })
