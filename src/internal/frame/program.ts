/** Decoders and encoders as programs and functions of the user, and a frame made of two halves. */
import { EncodeFailed } from "../base/errors.ts"
import { type Cursor, stop, type Stop } from "./cursor.ts"
import { limited, writeWithin } from "./limited.ts"
import { bound, make, Misuse, type Node, of, type Steps, type Stepwise } from "./node.ts"
import { reasonOf } from "./progress.ts"
import { mostByCalls, mostDeep } from "./recursion.ts"
import { EncodeFault, type Sink } from "./sink.ts"

/** Why a decoder writes nothing. */
export const onlyReads = "is a decoder, and cannot write"

const cannotWrite = (): never => {
  throw new EncodeFault(onlyReads)
}

const tooDeep = `programs nested more than ${mostDeep} deep`

function* refused(progress: Stepwise): Steps<any> {
  return progress.malformed(tooDeep)
}

export const gen = <A>(
  options: { readonly maxBytes: number | "unbounded" },
  program: () => Generator<any, A, any>
): Node<A> => {
  const max = bound("gen", "maxBytes", options?.maxBytes)
  return limited(
    make<A>({
      name: "gen",
      min: 0,
      max: Infinity,
      // what it reads depends on what it has read
      recursive: true,
      read: (cursor) => {
        cursor.entered++
        if (cursor.programs >= mostDeep) return cursor.malformed(tooDeep)
        if (cursor.depth + cursor.programs >= mostByCalls) return cursor.tooManyCalls()
        const steps = program()
        cursor.programs++
        let value: any = undefined
        while (value !== stop) {
          let next: IteratorResult<any, A>
          try {
            next = steps.next(value)
          } catch (cause) {
            if (cause instanceof Misuse) throw cause
            cursor.programs--
            return cursor.malformed(reasonOf(cause), cursor.at, cause)
          }
          if (next.done === true) {
            cursor.programs--
            return next.value
          }
          value = of<any>("gen", next.value).read(cursor)
        }
        cursor.programs--
        return cursor.within("", false)
      },
      steps: (progress) => {
        if (progress.programs >= mostDeep) return refused(progress)
        progress.programs++
        return program()
      },
      write: cannotWrite
    }),
    max
  )
}

export const decoder = <A>(options: {
  readonly maxBytes: number | "unbounded"
  readonly decode: (cursor: Cursor) => A | Stop
}): Node<A> => {
  const max = bound("decoder", "maxBytes", options?.maxBytes)
  const { decode } = options
  const read = (cursor: Cursor): A | Stop => {
    const { at } = cursor
    const value = decode(cursor)
    if (value === stop) {
      // it may have looked at everything
      cursor.looked += cursor.end - at
      // nobody could tell when to call it anew
      if (cursor.fault === undefined && !Number.isSafeInteger(cursor.missing)) {
        throw new RangeError(`decoder: more must be given a number of bytes, got ${cursor.missing}`)
      }
    } else if (!(Number.isInteger(cursor.at) && cursor.at >= at && cursor.at <= cursor.end)) {
      throw new RangeError(
        `decoder: decode left the cursor at ${cursor.at}, which is no place in the bytes from ${at} to ${cursor.end}`
      )
    }
    return value
  }
  return limited(make<A>({ name: "decoder", min: 0, max: Infinity, read, write: cannotWrite }), max)
}

const cannotRead = (): never => {
  throw new Error("an encoder cannot read")
}

export const encoder = <A>(options: { readonly encode: (sink: Sink, value: A) => void }): Node<A> => {
  const { encode } = options
  return make<A>({
    name: "encoder",
    min: 0,
    max: Infinity,
    read: cannotRead,
    write: (sink, value) => {
      try {
        encode(sink, value)
      } catch (thrown) {
        throw asFault(thrown)
      }
    }
  })
}

/** What the runners throw for a part of the value is wrong with the value. */
const asFault = (thrown: unknown): unknown => {
  if (!(thrown instanceof EncodeFailed)) return thrown
  const fault = new EncodeFault(thrown.reason, thrown.cause)
  fault.path = thrown.frame
  return fault
}

export const joined = <A>(options: { readonly decoder: unknown; readonly encoder: unknown }): Node<A> => {
  const reads = of<A>("make", options?.decoder)
  const writes = of<A>("make", options?.encoder)
  return make<A>({
    name: reads.name,
    min: reads.minBytes,
    max: reads.maxBytes,
    sure: reads.sure,
    recursive: reads.recursive,
    isVoid: reads.isVoid,
    isBigint: reads.isBigint,
    read: reads.read,
    steps: reads.steps,
    // what is longer could not be read again
    write: writeWithin(writes.write, reads.maxBytes)
  })
}
