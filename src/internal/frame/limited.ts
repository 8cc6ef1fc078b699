/** A frame with a bound on its bytes. */
import { stop } from "./cursor.ts"
import { make, type Node, type Steps, type Stepwise } from "./node.ts"
import { EncodeFault, type Sink } from "./sink.ts"

/** As `write`, of `limit` bytes at most. */
export const writeWithin = <A>(
  write: (sink: Sink, value: A) => void,
  limit: number
): ((sink: Sink, value: A) => void) =>
  limit === Infinity
    ? write
    : (sink, value) => {
        const before = sink.size
        write(sink, value)
        if (sink.size - before > limit) {
          throw new EncodeFault(`must have ${limit} bytes or less, got ${sink.size - before}`)
        }
      }

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
          const { at, bound, end } = cursor
          // one around it is as tight, and says so
          if (at + limit >= bound) return frame.read(cursor)
          // bytes behind the bound may not be there yet: what is told must not depend on them, but for a body, of which all are
          const isCut = !cursor.closed && end - at > limit
          if (isCut) cursor.end = at + limit
          cursor.bound = at + limit
          const value = frame.read(cursor)
          cursor.bound = bound
          cursor.end = end
          if (value !== stop) {
            if (cursor.at - at <= limit) return value
          } else if (cursor.fault !== undefined || cursor.deep || (!isCut && end - at + cursor.missing <= limit)) {
            return stop
          }
          cursor.at = at
          return cursor.tooLong(limit, undefined)
        },
        *steps(progress: Stepwise): Steps<any> {
          progress.bounded(limit)
          progress.last = true
          return yield frame
        },
        write: writeWithin(frame.write, limit)
      })
