/** Several observers as one. */
import * as Context from "effect/Context"
import type { Observer } from "../../Observer.ts"

type Member = (...args: ReadonlyArray<any>) => unknown

/** Tells each of them, and fails, once all were told, with what the first that fails threw; or later, where that is later. */
const all =
  (members: ReadonlyArray<Member>): Member =>
  (...args) => {
    let failure: { readonly error: unknown } | undefined
    let later: Array<Promise<unknown>> | undefined
    for (const member of members) {
      try {
        const answer = member(...args)
        if (answer instanceof Promise) (later ??= []).push(answer)
      } catch (error) {
        failure ??= { error }
      }
    }
    const end = later === undefined ? undefined : Promise.all(later)
    if (failure === undefined) return end
    // one failure is told
    end?.catch(() => {})
    throw failure.error
  }

/** Those that an observer is made of. */
const parts = new WeakMap<Observer, ReadonlyArray<Observer>>()

/** Those that an observer stands for. What is asked for an answer is asked of each: one that throws has none. */
export const partsOf = (observer: Observer): ReadonlyArray<Observer> => parts.get(observer) ?? [observer]

export const mergeAll = (observers: ReadonlyArray<Observer>): Observer => {
  const told = <Name extends Exclude<keyof Observer, "handlerContext">>(name: Name): Pick<Observer, Name> => {
    const members = observers.flatMap((observer) => {
      const member = observer[name]
      // a method may use the object that it belongs to
      return member === undefined ? [] : [member.bind(observer) as Member]
    })
    if (members.length === 0) return {} as Pick<Observer, Name>
    return { [name]: members.length === 1 ? members[0] : all(members) } as unknown as Pick<Observer, Name>
  }
  const contexts = observers.filter((observer) => observer.handlerContext !== undefined)
  const merged: Observer = {
    ...told("onEvent"),
    ...told("onBytes"),
    ...told("onReadStarted"),
    ...told("onReadEnded"),
    ...(contexts.length === 0
      ? undefined
      : {
          // each adds to what those before it have made
          handlerContext: (connection, context) =>
            contexts.reduce(
              (made, observer) =>
                Context.merge(made, observer.handlerContext!(connection, Context.merge(context, made))),
              Context.empty()
            )
        })
  }
  parts.set(merged, observers.flatMap(partsOf))
  return merged
}
