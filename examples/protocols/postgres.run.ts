/** Talks to a server of its own: PostgreSQL has to be installed. Usage: npm run example:postgres */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Schema, Stream } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import { startPostgres } from "../gateway/postgres.ts"
import { connect, Rows } from "./postgres.ts"

const Colors = Schema.Array(Schema.Struct({ name: Schema.String, lightness: Schema.NumberFromString }))
const Numbers = Schema.Array(Schema.Struct({ n: Schema.NumberFromString }))

const program = Effect.gen(function* () {
  const path = yield* startPostgres
  const postgres = yield* connect({ address: { path }, user: "postgres" })

  yield* postgres.script("create table colors (name text primary key, lightness int)")
  const lines = new TextEncoder().encode("black\t0\nblue\t30\nwhite\t100\n")
  const [copied] = yield* postgres.copyIn("copy colors from stdin", Stream.make(lines))
  yield* Console.log("copied in:", copied?.command)
  yield* Console.log("typed:", yield* postgres.query(Colors, "select * from colors where lightness > $1", 10))

  const refused = yield* Effect.flip(postgres.query(Rows, "insert into colors values ($1, $2)", "blue", 1))
  if (refused._tag === "PostgresError") yield* Console.log("refused:", refused.code, refused.message)

  const sum = postgres.rows(Numbers, "select generate_series(1, 1000000) as n").pipe(
    Stream.runFold(
      () => 0,
      (sum, { n }) => sum + n
    )
  )
  const asked = yield* Effect.forEach(
    Array.from({ length: 64 }, (_, i) => i),
    (i) => postgres.query(Numbers, "select $1::int as n", i),
    { concurrency: "unbounded" }
  )
  yield* Console.log(
    "64 fibers, each with its own answer:",
    asked.every(([row], i) => row?.n === i)
  )
  yield* Console.log("the sum of a million rows, which are nowhere all at once:", yield* sum)

  yield* postgres.script("listen news")
  yield* postgres.query(Rows, "select pg_notify($1, $2)", "news", "hello")
  const [news] = yield* Stream.runCollect(Stream.take(postgres.notifications, 1))
  yield* Console.log("notified:", news?.channel, news?.payload)

  const sleeping = yield* Effect.forkChild(postgres.query(Rows, "select pg_sleep(60)"), { startImmediately: true })
  yield* Fiber.interrupt(sleeping)
  yield* Console.log(
    "a minute's query is interrupted, and the server does something else:",
    yield* postgres.query(Numbers, "select 1 as n")
  )
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
