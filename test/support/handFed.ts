/** A reader that a test feeds by hand, what its source was told, and what its reads come to. */
import { StreamError, StreamReader } from "effect-byte-streams"
import { Effect } from "effect"
import { bytes, text } from "./bytes.ts"
import { publicOnly } from "./publicApi.ts"
import { failed, type Outcome, succeeded } from "./readRequests.ts"

export interface HandFed {
  readonly reader: StreamReader.StreamReader
  /** What the source was told, in order. */
  readonly flow: Array<"pause" | "resume">
  /** Feeds chunks one by one, and says whether the source may go on. */
  readonly feed: (...chunks: ReadonlyArray<string | Uint8Array>) => boolean
  /** Ends the stream. */
  readonly end: () => void
  /** Breaks the stream. */
  readonly lose: (error?: StreamError.ConnectionLost) => void
}

/** A reset by the peer. */
const reset = new StreamError.ConnectionLost({ operation: "source", kind: "Reset", code: "ECONNRESET" })

export const handFed = (options?: { readonly limit?: number }): Effect.Effect<HandFed> =>
  Effect.gen(function* () {
    const flow: Array<"pause" | "resume"> = []
    const { endUnsafe, failUnsafe, feedUnsafe, reader } = yield* StreamReader.make({
      ...options,
      onPause: () => void flow.push("pause"),
      onResume: () => void flow.push("resume")
    })
    return {
      reader,
      flow,
      feed: (...chunks) => {
        let goOn = true
        for (const chunk of chunks) goOn = feedUnsafe(typeof chunk === "string" ? bytes(chunk) : chunk)
        return goOn
      },
      end: endUnsafe,
      lose: (error = reset) => failUnsafe(error)
    }
  })

/**
 * Until a source knows what it was to be told by a read: at once, or where the library works on Effect's public API alone,
 * behind the step of the fiber that reads.
 */
export const flowTold: Effect.Effect<void> = publicOnly ? Effect.promise(() => Promise.resolve()) : Effect.void

/** What is buffered, as text. It stays there. */
export const held = (reader: StreamReader.StreamReader): Effect.Effect<string, StreamError.ReadError> =>
  Effect.flatMap(reader.buffered, (count) => (count === 0 ? Effect.succeed("") : Effect.map(reader.peek(count), text)))

// ---------------------------------------------------------------------------
// outcomes
// ---------------------------------------------------------------------------

/** What a read comes to, as data. */
export const outcome = <A, E, R>(read: Effect.Effect<A, E, R>): Effect.Effect<Outcome, never, R> =>
  Effect.match(read, { onSuccess: succeeded, onFailure: failed })

/** Bytes, or nothing at all. */
export const value = (value?: string): Outcome => ({ value })
export const some = (some: string): Outcome => ({ value: { some } })
export const none: Outcome = { value: null }
export const done: Outcome = { error: "Done" }

export const lost = (operation: string): Outcome => ({
  error: "ConnectionLost",
  operation,
  kind: "Reset",
  code: "ECONNRESET"
})

export const busy = (operation: string, holder: string): Outcome => ({ error: "StreamBusy", operation, holder })

export const incomplete = (operation: string, partial: string, expected?: number): Outcome => ({
  error: "IncompleteRead",
  operation,
  partial,
  ...(expected === undefined ? undefined : { expected })
})

/** The separator is there, but more than the limit comes before it. */
export const overrunFound = (operation: string, consumed: number, limit: number): Outcome => ({
  error: "LimitOverrun",
  operation,
  consumed,
  limit,
  found: true
})

/** No separator is in sight within the limit. */
export const overrunNotFound = (operation: string, consumed: number, limit: number): Outcome => ({
  error: "LimitOverrun",
  operation,
  consumed,
  limit,
  found: false
})
