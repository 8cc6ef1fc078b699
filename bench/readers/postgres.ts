/**
 * Asking PostgreSQL, as examples/protocols/postgres.ts does and as the clients that most programs use: one way of it a
 * process, on one connection. Started with the case, the way and the path of the server's socket, it counts answers or rows.
 */
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { basename, dirname } from "node:path"
import pg from "pg"
import postgres from "postgres"
import { connect, Rows } from "../../examples/protocols/postgres.ts"
import { type Work, workWhenAsked } from "./support/worked.ts"

const [what, way, path] = [process.argv[2]!, process.argv[3]!, process.argv[4]!]

const callers = 64
const rows = 200_000
const one = "select 1 as n"
const many = `select i, 'row number ' || i as name from generate_series(1, ${rows}) i`
/** All rows add up to this: their numbers, and the lengths of their names. */
const sum = 20_003_388_895

/** One answer to `one`, and all rows of `many`. */
interface Client {
  readonly query: () => Promise<unknown>
  readonly rows: () => Promise<number>
}

const check = (value: unknown, expected: unknown): void => {
  if (value !== expected) throw new Error(`expected ${String(expected)}, got ${String(value)}`)
}

const inCallers = async (query: () => Promise<unknown>, until: number): Promise<number> => {
  let answers = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      await query()
      answers++
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return answers
}

const whole = async (client: Client, until: number): Promise<number> => {
  let count = 0
  do {
    check(await client.rows(), sum)
    count += rows
  } while (performance.now() < until)
  return count
}

const worked = (client: Client): Work =>
  what === "rows" ? (until) => whole(client, until) : (until) => inCallers(client.query, until)

const ways: Record<string, () => Promise<Work>> = {
  example: async () => {
    const client = await connect({ address: { path }, user: "postgres" }).pipe(
      Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
      Effect.provide(NodeNetwork.layer),
      Effect.runPromise
    )
    if (what === "rows") {
      const added = Stream.runFold(
        client.rows(Rows, many),
        () => 0,
        (sum, { i, name }) => sum + Number(i) + name!.length
      )
      return (until) => whole({ query: async () => {}, rows: () => Effect.runPromise(added) }, until)
    }
    return (until) => {
      let answers = 0
      const caller = Effect.gen(function* () {
        while (performance.now() < until) {
          const [row] = yield* client.query(Rows, one)
          check(row!.n, "1")
          answers++
        }
      })
      const all = Effect.all(
        Array.from({ length: callers }, () => caller),
        { concurrency: "unbounded", discard: true }
      )
      return Effect.runPromise(Effect.map(all, () => answers))
    }
  },
  pg: async () => {
    const client = new pg.Client({
      host: dirname(path),
      port: Number(basename(path).split(".").at(-1)),
      user: "postgres"
    })
    await client.connect()
    return worked({
      query: async () => check((await client.query(one)).rows[0].n, 1),
      rows: async () => {
        let sum = 0
        for (const { i, name } of (await client.query(many)).rows) sum += i + name.length
        return sum
      }
    })
  },
  postgres: async () => {
    const sql = postgres({ path, user: "postgres", max: 1 } as never)
    return worked({
      query: async () => check((await sql`select 1 as n`)[0]!.n, 1),
      rows: async () => {
        let sum = 0
        for (const { i, name } of await sql.unsafe(many)) sum += i + name.length
        return sum
      }
    })
  }
}

workWhenAsked(ways[way]!())
