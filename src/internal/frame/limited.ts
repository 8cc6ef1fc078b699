/** A frame with a bound on its bytes. */
import { stop } from "./cursor.ts"
import { make, type Node, type Steps, type Stepwise } from "./node.ts"
import { EncodeFault } from "./sink.ts"

/** As a frame that has `limit` bytes at most. */
export const limited = <A>(frame: Node<A>, limit: number): Node<A> =>
  limit === Infinity
    ? frame
    : make<A>({
        name: frame.name,
        min: Math.min(frame.minBytes, limit),
        max: limit,
        recursive: frame.recursive,
        isVoid: frame.isVoid,
        isBigint: frame.isBigint,
        read: (cursor) => {
          const { at } = cursor
          const value = frame.read(cursor)
          if (value === stop) {
            if (cursor.fault !== undefined || cursor.deep || cursor.end - at + cursor.missing <= limit) return stop
          } else if (cursor.at - at <= limit) return value
          cursor.at = at
          return cursor.tooLong(limit, undefined)
        },
        *steps(progress: Stepwise): Steps<any> {
          progress.bounded(limit)
          progress.last = true
          return yield frame
        },
        write: (sink, value) => {
          const before = sink.size
          frame.write(sink, value)
          if (sink.size - before > limit) {
            throw new EncodeFault(`must have ${limit} bytes or less, got ${sink.size - before}`)
          }
        }
      })
