/** Frames that refer to themselves, and how deep they may. */
import { limited } from "./limited.ts"
import { bound, count, make, type Node, of, type Steps, type Stepwise } from "./node.ts"
import { EncodeFault } from "./sink.ts"

/** Deeper than this, what refers to itself is taken apart step by step: calls within calls have an end. */
export const mostByCalls = 200

/** Whether the calls have taken all the room that there is for them. */
export const isStackOverflow = (thrown: unknown): boolean =>
  thrown instanceof RangeError && thrown.message.startsWith("Maximum call stack size exceeded")

/** Values are written by calls within calls, however they were read. */
export const mostDeep = 1024

/** What a message that refers to itself has at most, where nothing else is said: 16 MiB. */
const mostNested = 16_777_216

export const suspend = <A>(
  frame: () => unknown,
  options: { readonly maxDepth: number; readonly maxBytes?: number | "unbounded" | undefined }
): Node<A> => {
  const maxDepth = count("suspend", "maxDepth", options?.maxDepth, 1)
  if (maxDepth > mostDeep) throw new RangeError(`suspend: maxDepth must be ${mostDeep} or less, got ${maxDepth}`)
  const max = bound("suspend", "maxBytes", options.maxBytes ?? mostNested)
  let known: Node<A> | undefined
  // not before it is needed: the frame that it stands for is made of this one
  const inner = (): Node<A> => (known ??= of<A>("suspend", frame()))
  const tooDeep = `nested more than ${maxDepth} deep`
  return limited(
    make<A>({
      name: "suspend",
      min: 0,
      max,
      recursive: true,
      read: (cursor) => {
        cursor.entered++
        if (cursor.depth >= maxDepth) return cursor.malformed(tooDeep)
        if (cursor.depth + cursor.programs >= mostByCalls) return cursor.tooManyCalls()
        cursor.depth++
        const value = inner().read(cursor)
        cursor.depth--
        return value
      },
      *steps(progress: Stepwise): Steps<any> {
        if (progress.depth >= maxDepth) return progress.malformed(tooDeep)
        progress.depth++
        progress.last = true
        return yield inner()
      },
      write: (sink, value) => {
        if (sink.depth >= maxDepth) throw new EncodeFault(tooDeep)
        sink.depth++
        try {
          inner().write(sink, value)
        } catch (thrown) {
          throw isStackOverflow(thrown) ? new EncodeFault("nested too deep to be written here", thrown) : thrown
        }
        sink.depth--
      }
    }),
    max
  )
}
