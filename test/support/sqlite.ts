/** A `SqlClient` over Node's own SQLite, in memory: what Effect's SQL storage is compared with. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { Effect, Layer, Semaphore, Stream } from "effect"
import { SqlClient, SqlError, Statement } from "effect/sql"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { Connection } from "effect/sql/SqlConnection"

const make = Effect.gen(function* () {
  const database = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(":memory:")),
    (database) => Effect.sync(() => database.close())
  )
  const run = <A>(sql: string, params: ReadonlyArray<unknown>, arrays: boolean) =>
    Effect.gen(function* () {
      const safeIntegers = yield* SqlClient.SafeIntegers
      return yield* Effect.try({
        try: () => {
          const statement = database.prepare(sql)
          statement.setReadBigInts(safeIntegers)
          if (arrays) statement.setReturnArrays(true)
          return statement.all(...(params as Array<SQLInputValue>)) as unknown as ReadonlyArray<A>
        },
        catch: (cause) => new SqlError.SqlError({ reason: new SqlError.UnknownError({ cause }) })
      })
    })
  const connection: Connection = {
    execute: (sql, params) => run<any>(sql, params, false),
    executeRaw: (sql, params) => run(sql, params, false),
    executeValues: (sql, params) => run<ReadonlyArray<unknown>>(sql, params, true),
    executeValuesUnprepared: (sql, params) => run<ReadonlyArray<unknown>>(sql, params, true),
    executeUnprepared: (sql, params) => run<any>(sql, params, false),
    executeStream: () => Stream.die("not needed")
  }
  const one = yield* Semaphore.make(1)
  return yield* SqlClient.make({
    acquirer: Effect.succeed(connection),
    transactionAcquirer: Effect.as(
      Effect.acquireRelease(one.take(1), () => one.release(1)),
      connection
    ),
    compiler: Statement.makeCompilerSqlite(),
    driver: "node:sqlite",
    spanAttributes: []
  })
})

export const layerSqlite = Layer.effect(SqlClient.SqlClient)(make).pipe(Layer.provide(Reactivity.layer))
