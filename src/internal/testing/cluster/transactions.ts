/**
 * One after the other: what is done together, and undone together where it fails.
 *
 * Nothing is held between two steps of a fiber but a transaction itself, which whoever opened it may never end: a host that
 * crashes in the middle is rolled back from outside.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Host } from "../../../testing/TestNetwork.ts"

interface Transaction {
  /** How to undo what was done, the last first. */
  readonly undo: Array<() => void>
}

const Current = Context.Reference<Transaction | undefined>("effect-byte-streams/testing/ClusterStorage/Transaction", {
  defaultValue: () => undefined
})

export class Transactions {
  private open: Transaction | undefined = undefined
  private readonly waiting = new Set<() => void>()
  /** What is done here goes on when a host has crashed. */
  private readonly context: Context.Context<never>

  constructor(context: Context.Context<never>) {
    this.context = context
  }

  /** Notes how to undo what is done now. */
  undoBy(undo: () => void): void {
    this.open?.undo.push(undo)
  }

  /** Does something in one step. What it throws undoes it. */
  step<A>(f: () => A): Effect.Effect<A, unknown> {
    return Effect.flatMap(Current, (mine) =>
      this.whenMine(mine, () => {
        const transaction = mine ?? this.begin()
        const mark = transaction.undo.length
        try {
          return Effect.succeed(f())
        } catch (error) {
          rollBack(transaction, mark)
          return Effect.fail(error)
        } finally {
          if (mine === undefined) this.end()
        }
      })
    )
  }

  /** Does what an effect does as one, unless it fails. */
  run<A, E, R>(effect: Effect.Effect<A, E, R>, host: Host | undefined): Effect.Effect<A, E, R> {
    const settle = (transaction: Transaction, mark: number, exit: Exit.Exit<A, E>) => {
      if (Exit.isFailure(exit) && this.open === transaction) rollBack(transaction, mark)
    }
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Current, (mine) =>
        mine === undefined
          ? Effect.flatMap(restore(this.whenMine(undefined, () => Effect.succeed(this.begin()))), (transaction) => {
              const watching = host === undefined ? undefined : this.watch(transaction, host)
              return Effect.onExit(restore(Effect.provideService(effect, Current, transaction)), (exit) =>
                Effect.suspend(() => {
                  settle(transaction, 0, exit)
                  if (this.open === transaction) this.end()
                  return watching === undefined ? Effect.void : Fiber.interrupt(watching)
                })
              )
            })
          : Effect.suspend(() => {
              const mark = mine.undo.length
              return Effect.onExit(restore(effect), (exit) => Effect.sync(() => settle(mine, mark, exit)))
            })
      )
    )
  }

  private watch(transaction: Transaction, host: Host): Fiber.Fiber<void> {
    return Effect.runForkWith(this.context)(
      Effect.andThen(
        host.crashed,
        Effect.sync(() => {
          if (this.open !== transaction) return
          rollBack(transaction, 0)
          this.end()
        })
      )
    )
  }

  private begin(): Transaction {
    return (this.open = { undo: [] })
  }

  private end(): void {
    this.open = undefined
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    for (const resume of waiting) resume()
  }

  /** Goes on once nobody else has a transaction open. */
  private whenMine<A, E>(mine: Transaction | undefined, next: () => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() =>
      this.open === mine
        ? next()
        : Effect.andThen(
            Effect.callback<void>((resume) => {
              const wake = () => resume(Effect.void)
              this.waiting.add(wake)
              return Effect.sync(() => void this.waiting.delete(wake))
            }),
            this.whenMine(mine, next)
          )
    )
  }
}

const rollBack = ({ undo }: Transaction, mark: number): void => {
  while (undo.length > mark) undo.pop()!()
}
