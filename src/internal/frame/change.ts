/** A frame with values of another kind, or with a name. */
import * as Result from "effect/Result"
import { stop } from "./cursor.ts"
import { make, Misuse, type Node, type Steps, type Stepwise, writeField } from "./node.ts"
import { reasonOf } from "./progress.ts"
import { EncodeFault } from "./sink.ts"

/** What a function of the user's makes of a value; or why it does not. */
type Change<A, B> = (value: A) => Result.Result<B, string>

const tryChange = <A, B>(change: Change<A, B>, value: A, no: (reason: string, cause: unknown) => B): B => {
  let result: Result.Result<B, string>
  try {
    result = change(value)
  } catch (cause) {
    if (cause instanceof Misuse) throw cause
    return no(reasonOf(cause), cause)
  }
  return Result.isSuccess(result) ? result.success : no(String(result.failure), undefined)
}

export const changed = <A, B>(name: string, frame: Node<A>, decode: Change<A, B>, encode: Change<B, A>): Node<B> =>
  make<B>({
    name,
    min: frame.minBytes,
    max: frame.maxBytes,
    recursive: frame.recursive,
    read: (cursor) => {
      const { at } = cursor
      const value = frame.read(cursor)
      if (value === stop) return stop
      return tryChange<A, any>(decode, value as A, (reason, cause) => {
        // all of it was read: where it ends is known
        const extent = cursor.at - cursor.start
        cursor.malformed(reason, at, cause)
        cursor.fault!.extent = extent
        return stop
      })
    },
    steps:
      frame.steps === undefined
        ? undefined
        : function* (progress: Stepwise): Steps<any> {
            const at = progress.offset
            progress.last = true
            const value: A = yield frame
            return tryChange<A, any>(decode, value, (reason, cause) =>
              progress.malformed(reason, at, cause, progress.offset)
            )
          },
    write: (sink, value) =>
      frame.write(
        sink,
        tryChange<B, A>(encode, value, (reason, cause) => {
          throw new EncodeFault(reason, cause)
        })
      )
  })

export const named = <A>(name: string, frame: Node<A>): Node<A> =>
  make<A>({
    name,
    min: frame.minBytes,
    max: frame.maxBytes,
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
