/** A real PostgreSQL: small queries of many callers, and many rows, beside the clients of it that most programs use. */
import { Effect, Exit, Scope } from "effect"
import { startPostgres } from "../../examples/gateway/postgres.ts"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { example, resultOf, type Worked } from "../support/protocols.ts"
import { sliced } from "../support/slices.ts"

/** The ways of `readers/postgres.ts`. */
const ways = [{ id: "postgres", title: "postgres (npm)" }, { id: "pg", title: "pg (npm)" }, example("postgres.ts")]

const suites = [
  { id: "protocols-postgres-calls", what: "calls", title: "select 1 by 64 callers, one connection" },
  { id: "protocols-postgres-rows", what: "rows", title: "200,000 rows of PostgreSQL, one connection" }
]

export const names = suites.map(({ id }) => id)

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  const chosen = suites.filter(({ id }) => wanted(options, id))
  if (chosen.length === 0) return
  const scope = Scope.makeUnsafe()
  const started = await Effect.runPromiseExit(Scope.provide(startPostgres, scope))
  if (Exit.isFailure(started)) {
    console.warn(`${chosen[0]!.id}: there is no PostgreSQL here`)
    return
  }
  try {
    for (const { id, title, what } of chosen) {
      const readers = ways.map((way) => new ReaderProcess<number, Worked>("postgres", what, way.id, started.value))
      let rounds: ReadonlyArray<ReadonlyArray<Worked>>
      try {
        rounds = await sliced(readers, options)
      } finally {
        await Promise.all(readers.map((reader) => reader.stop()))
      }
      onResult(resultOf(id, title, ways, rounds))
    }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
