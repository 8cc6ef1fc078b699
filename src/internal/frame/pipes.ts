/** Frames as pipes for streams of bytes that are no connection's. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Bytes from "../base/bytes.ts"
import type { EncodeFailed, IncompleteRead, LimitOverrun, MalformedFrame } from "../../StreamError.ts"
import type { Node } from "./node.ts"
import { encodeFailed, isDecodeError, PushDecoder } from "./run.ts"
import { Sink } from "./sink.ts"

type DecodeError = MalformedFrame | LimitOverrun | IncompleteRead

/** What a decoder throws, as a failure: a defect stays one. */
const attempt = <A>(decode: () => A): Effect.Effect<A, DecodeError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(decode())
    } catch (error) {
      return failed(error)
    }
  })

const failed = (error: unknown): Effect.Effect<never, DecodeError> =>
  isDecodeError(error) ? Effect.fail(error) : Effect.die(error)

/** Pulls bytes until there are messages. */
export const decode = <A, E, R>(
  node: Node<A>,
  pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, E, unknown, R>
): Effect.Effect<Pull.Pull<NonEmptyReadonlyArray<A>, E | DecodeError, void, R>> =>
  Effect.sync(() => {
    const decoder = new PushDecoder(node)
    let wrong: { readonly error: unknown } | undefined
    const push = (pieces: NonEmptyReadonlyArray<Uint8Array>): ReadonlyArray<A> => {
      const messages: Array<A> = []
      const add = (piece: Uint8Array): void => {
        for (const message of decoder.push(piece)) messages.push(message)
      }
      try {
        for (const piece of pieces) add(piece)
        if (decoder.isWrong) add(Bytes.empty)
      } catch (error) {
        if (messages.length === 0) throw error
        // told behind the messages in front of it
        wrong = { error }
      }
      return messages
    }
    const next: Pull.Pull<NonEmptyReadonlyArray<A>, E | DecodeError, void, R> = Effect.suspend(() => {
      if (wrong !== undefined) return failed(wrong.error)
      return Pull.catchDone(
        Effect.flatMap(pull, (pieces) =>
          Effect.flatMap(
            attempt(() => push(pieces)),
            (messages) => (messages.length === 0 ? next : Effect.succeed(messages as NonEmptyReadonlyArray<A>))
          )
        ),
        () =>
          Effect.andThen(
            attempt(() => decoder.end()),
            Cause.done()
          )
      )
    })
    return next
  })

/** The bytes of several messages. */
export const encode = <A>(
  node: Node<A>,
  values: ReadonlyArray<A>
): Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, EncodeFailed> =>
  Effect.suspend(() => {
    const sink = new Sink()
    try {
      for (const value of values) node.write(sink, value)
    } catch (thrown) {
      return Effect.fail(encodeFailed("encodeStream", node, thrown))
    }
    return Effect.succeed([sink.copy()])
  })
