/**
 * Counts work instead of time: how many bytes are copied, how many are looked at in a search, how many elements of
 * arrays are moved. It listens at the methods through which such work is done, so it is a lower bound, and tells what
 * grows faster than the input.
 */
import { Effect } from "effect"

export interface Work {
  /** Bytes that were copied from one array to another. */
  copied: number
  /** Bytes that were looked at in search of one. */
  searched: number
  /** Elements of plain arrays that were moved from one to another. */
  moved: number
}

type Methods = Record<string, (...args: Array<any>) => any>

/** Runs `effect` and counts what the process does meanwhile. */
export const counting = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, Work], E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(listen),
    ({ work }) => Effect.map(effect, (answer) => [answer, { ...work }] as const),
    ({ stop }) => Effect.sync(stop)
  )

const listen = () => {
  const work: Work = { copied: 0, searched: 0, moved: 0 }
  const search = (original: Methods[string]) =>
    function (this: Uint8Array, value: unknown, from: number = 0) {
      const found = original.call(this, value, from)
      work.searched += found === -1 ? Math.max(0, this.length - from) : found - from + 1
      return found
    }
  const typed = Object.getPrototypeOf(Uint8Array.prototype) as Methods
  const buffer = Buffer.prototype as unknown as Methods
  const restore = [
    replace(typed, "set", (set) => {
      return function (this: Uint8Array, source: Uint8Array, offset?: number) {
        work.copied += source.length
        set.call(this, source, offset)
      }
    }),
    replace(typed, "slice", (slice) => {
      return function (this: Uint8Array, start?: number, end?: number) {
        const out = slice.call(this, start, end)
        work.copied += out.length
        return out
      }
    }),
    replace(Array.prototype as unknown as Methods, "slice", (slice) => {
      return function (this: ReadonlyArray<unknown>, start?: number, end?: number) {
        const out = slice.call(this, start, end)
        work.moved += out.length
        return out
      }
    }),
    replace(typed, "indexOf", search),
    replace(buffer, "indexOf", search)
  ]
  return {
    work,
    stop: () => {
      for (const undo of restore) undo()
    }
  }
}

const replace = (owner: Methods, name: string, wrap: (original: Methods[string]) => Methods[string]): (() => void) => {
  const original = Object.getOwnPropertyDescriptor(owner, name)!
  Object.defineProperty(owner, name, { ...original, value: wrap(original.value) })
  return () => void Object.defineProperty(owner, name, original)
}
