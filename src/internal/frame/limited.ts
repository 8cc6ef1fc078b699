/** A frame with a bound on its bytes. */
import { type Cursor, stop, type Stop } from "./cursor.ts"
import { make, type Node, type Steps, type Stepwise } from "./node.ts"
import { EncodeFault } from "./sink.ts"

const tooLong = (cursor: Cursor, at: number, limit: number): Stop => {
  cursor.at = at
  return cursor.tooLong(limit, undefined)
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
          const { at, end } = cursor
          // bytes behind the bound may not be there yet: what is told must not depend on them, but for a body, of which all are
          const isCut = !cursor.closed && end - at > limit
          if (isCut) cursor.end = at + limit
          const value = frame.read(cursor)
          cursor.end = end
          if (value === stop) {
            if (isCut && cursor.fault === undefined && !cursor.deep) return tooLong(cursor, at, limit)
            if (cursor.fault !== undefined || cursor.deep || cursor.end - at + cursor.missing <= limit) return stop
          } else if (cursor.at - at <= limit) return value
          return tooLong(cursor, at, limit)
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
