/** A frame with values of another kind, or with a name. */
import * as Result from "effect/Result"
import { stop } from "./cursor.ts"
import { make, Misuse, type Node, type Steps, type Stepwise, writeField } from "./node.ts"
import { reasonOf, shown } from "./progress.ts"
import { EncodeFault } from "./sink.ts"

/** What a function of the user's has thrown, as what is told. */
const refusal = (thrown: unknown): { readonly reason: string; readonly cause: unknown } => {
  if (thrown instanceof Misuse) throw thrown
  return { reason: reasonOf(thrown), cause: thrown instanceof EncodeFault ? thrown.cause : thrown }
}

/** Values of another kind, by functions that throw where there is none. */
export const transformed = <A, B>(
  name: string,
  frame: Node<A>,
  decode: (value: A) => B,
  encode: (value: B) => A,
  isBigint?: boolean
): Node<B> =>
  make<B>({
    name,
    min: frame.minBytes,
    max: frame.maxBytes,
    recursive: frame.recursive,
    isBigint,
    read: (cursor) => {
      const { at } = cursor
      const value = frame.read(cursor)
      if (value === stop) return stop
      try {
        return decode(value as A)
      } catch (thrown) {
        const { cause, reason } = refusal(thrown)
        // all of it was read: where it ends is known
        const extent = cursor.at - cursor.start
        cursor.malformed(reason, at, cause)
        cursor.fault!.extent = extent
        return stop
      }
    },
    steps:
      frame.steps === undefined
        ? undefined
        : function* (progress: Stepwise): Steps<any> {
            const at = progress.offset
            progress.last = true
            const value: A = yield frame
            try {
              return decode(value)
            } catch (thrown) {
              const { cause, reason } = refusal(thrown)
              return progress.malformed(reason, at, cause, progress.offset)
            }
          },
    write: (sink, value) => {
      let written: A
      try {
        written = encode(value)
      } catch (thrown) {
        const { cause, reason } = refusal(thrown)
        throw new EncodeFault(reason, cause)
      }
      frame.write(sink, written)
    }
  })

/** As `transformed`, by functions that say by a value where there is none. */
export const changed = <A, B>(
  name: string,
  frame: Node<A>,
  decode: (value: A) => Result.Result<B, string>,
  encode: (value: B) => Result.Result<A, string>,
  isBigint?: boolean
): Node<B> => transformed(name, frame, orThrow(decode), orThrow(encode), isBigint)

const orThrow =
  <A, B>(change: (value: A) => Result.Result<B, string>) =>
  (value: A): B => {
    const result = change(value)
    if (Result.isSuccess(result)) return result.success
    throw new EncodeFault(shown(result.failure))
  }

export const named = <A>(name: string, frame: Node<A>): Node<A> =>
  make<A>({
    name,
    min: frame.minBytes,
    max: frame.maxBytes,
    sure: frame.sure,
    recursive: frame.recursive,
    isVoid: frame.isVoid,
    isBigint: frame.isBigint,
    read: (cursor) => {
      const value = frame.read(cursor)
      return value === stop ? cursor.within(name, true) : value
    },
    steps:
      frame.steps === undefined
        ? undefined
        : function* (progress: Stepwise): Steps<any> {
            progress.key = name
            progress.last = true
            return yield frame
          },
    write: (sink, value) => writeField(sink, frame, name, value)
  })
