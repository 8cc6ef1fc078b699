/** The client of PostgreSQL in examples/protocols, against a real server. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { NodeNetwork, StreamError } from "effect-byte-streams"
import { Effect, Exit, Fiber, type Layer, Redacted, Schema, Scope, Stream } from "effect"
import {
  connect,
  LoginFailed,
  type Options,
  type Postgres,
  PostgresError,
  Rows
} from "../../examples/protocols/postgres.ts"
import { authority } from "../support/certificates.ts"
import { start, startAll } from "../support/fibers.ts"
import { needs } from "../support/peers.ts"
import { type PostgresServer, postgresServer } from "../support/postgres.ts"
import { eventuallyEffect, within } from "../support/wait.ts"

const live = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Layer.Success<typeof NodeNetwork.layer>>) =>
  Effect.provide(Effect.scoped(effect), NodeNetwork.layer)

/** The error of the server that an effect fails with. */
const refusal = <A, R>(effect: Effect.Effect<A, unknown, R>): Effect.Effect<PostgresError, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, PostgresError)
    return error
  })

const bytes = (text: string) => new TextEncoder().encode(text)
const Numbers = Schema.Array(Schema.Struct({ n: Schema.NumberFromString }))
const Pid = Schema.Array(Schema.Struct({ pid: Schema.NumberFromString }))

describe("the client of PostgreSQL, and postgres", needs("initdb", "postgres"), () => {
  const scope = Scope.makeUnsafe()
  let server: PostgresServer
  let options: Options
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.provide(postgresServer, scope))
    options = { address: { path: server.path }, user: server.user, password: server.password }
  }, 60_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  const client = Effect.suspend(() => connect(options))
  const pidOf = (postgres: Postgres) =>
    Effect.map(postgres.query(Pid, "select pg_backend_pid() as pid"), ([row]) => row!.pid)
  /** What the server's process does, as another connection sees it. */
  const activity = (watcher: Postgres, pid: number) =>
    Effect.map(
      watcher.query(Rows, "select state, wait_event, query from pg_stat_activity where pid = $1", pid),
      ([row]) => row
    )
  const becomes = (watcher: Postgres, pid: number, state: string) =>
    eventuallyEffect(
      `the process is ${state}`,
      Effect.map(activity(watcher, pid), (row) => row?.state === state)
    )

  describe("logging in", () => {
    it.live("over TLS, with a password that is proven and never said", () =>
      live(
        Effect.gen(function* () {
          const tls = { ca: authority.cert, serverName: "localhost" }
          const postgres = yield* connect({ ...options, address: { host: "127.0.0.1", port: server.port }, tls })
          const [row] = yield* postgres.query(Rows, "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
          assert.deepStrictEqual(row, { ssl: "t" })
        })
      )
    )

    it.live("a server whose certificate nobody vouches for, and one without TLS, get no name and no password", () =>
      live(
        Effect.gen(function* () {
          const tcp = { host: "127.0.0.1", port: server.port }
          const error = yield* Effect.flip(connect({ ...options, address: tcp, tls: { serverName: "localhost" } }))
          assert.deepInclude({ ...error }, { _tag: "TlsFailed", kind: "Certificate" })
          // PostgreSQL has none on a Unix socket
          const without = yield* Effect.flip(connect({ ...options, tls: {} }))
          assert.instanceOf(without, LoginFailed)
          assert.include(without.message, "no TLS")
        })
      )
    )

    it.live("refusals: a wrong password, none, one that would have to be said, no such database", () =>
      live(
        Effect.gen(function* () {
          const wrong = yield* refusal(connect({ ...options, password: Redacted.make("guess") }))
          assert.deepInclude({ ...wrong }, { code: "28P01", severity: "FATAL" })
          const none = yield* Effect.flip(connect({ ...options, password: undefined }))
          assert.include(none.message, "asks for a password")
          const said = yield* Effect.flip(connect({ ...options, user: "clear" }))
          assert.instanceOf(said, LoginFailed)
          const elsewhere = yield* refusal(connect({ ...options, database: "nowhere" }))
          assert.strictEqual(elsewhere.code, "3D000")
          const zero = yield* Effect.flip(connect({ ...options, user: "a\0database\0b" }))
          assert.strictEqual(zero._tag, "EncodeFailed")
        })
      )
    )

    it.live("a user that needs no password, and one whose password has other letters", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          yield* postgres.script("create role open login; create role zoë login password 'pässwörd ①'")
          const open = yield* connect({ address: options.address, user: "open", database: "postgres" })
          assert.deepStrictEqual(yield* open.query(Rows, "select current_user as me"), [{ me: "open" }])
          const other = yield* connect({
            ...options,
            user: "zoë",
            database: "postgres",
            password: Redacted.make("pässwörd ①")
          })
          assert.deepStrictEqual(yield* other.query(Rows, "select current_user as me"), [{ me: "zoë" }])
        })
      )
    )

    it.live("the end of the scope ends the session", () =>
      live(
        Effect.gen(function* () {
          const watcher = yield* client
          const pid = yield* Effect.scoped(Effect.flatMap(client, pidOf))
          yield* eventuallyEffect(
            "the process is gone",
            Effect.map(activity(watcher, pid), (row) => row === undefined)
          )
        })
      )
    )
  })

  describe("queries", () => {
    it.live("parameters are values, whatever they hold, and rows are what their schema says", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          const Person = Schema.Array(
            Schema.Struct({ name: Schema.String, age: Schema.NullOr(Schema.NumberFromString), p: Schema.String })
          )
          const name = "Robert'); drop table students;-- Zoë 🚀\n\\"
          const sql = `select $1::text as name, $2::int as age, $3::text as p`
          assert.deepStrictEqual(yield* postgres.query(Person, sql, name, 41, ""), [{ name, age: 41, p: "" }])
          assert.deepStrictEqual(yield* postgres.query(Person, sql, name, null, true), [{ name, age: null, p: "true" }])
          const [row] = yield* postgres.query(
            Rows,
            "select $1::int8 as big, $2::bool as is, 1.50 as n",
            2n ** 62n,
            false
          )
          assert.deepStrictEqual(row, { big: "4611686018427387904", is: "f", n: "1.50" })
          assert.deepStrictEqual(yield* postgres.query(Rows, "select where false"), [])
          assert.deepStrictEqual(yield* postgres.query(Rows, ""), [])
          const wrong = yield* Effect.flip(postgres.query(Numbers, "select 'x' as m"))
          assert.strictEqual(wrong._tag, "SchemaError")
        })
      )
    )

    it.live("refusals have their SQLSTATE, and the connection goes on", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          yield* postgres.script("create temp table t (n int primary key); insert into t values (1)")
          const unique = yield* refusal(postgres.query(Rows, "insert into t values ($1)", 1))
          assert.deepInclude({ ...unique }, { code: "23505", severity: "ERROR", constraint: "t_pkey" })
          assert.strictEqual(unique.detail, "Key (n)=(1) already exists.")
          assert.strictEqual((yield* refusal(postgres.query(Rows, "select * from nowhere"))).code, "42P01")
          assert.strictEqual((yield* refusal(postgres.query(Rows, "select $1::int", "x"))).code, "22P02")
          assert.strictEqual((yield* refusal(postgres.query(Rows, "select $1"))).code, "08P01")
          // behind rows that have come already
          const divided = postgres.rows(Numbers, "select 1 / (3000 - i) as n from generate_series(1, 4000) i")
          assert.strictEqual((yield* refusal(Stream.runDrain(divided))).code, "22012")
          assert.strictEqual((yield* Effect.flip(postgres.query(Rows, "select '\0'")))._tag, "EncodeFailed")
          assert.deepStrictEqual(yield* postgres.query(Numbers, "select n from t"), [{ n: 1 }])
        })
      )
    )

    it.live("a statement is parsed once, however many ask for it, and no more of them are kept than may be", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* connect({ ...options, statements: 3 })
          const kept = "select count(*) as n from pg_prepared_statements"
          const add = (n: number) => `select $1::int + ${n} as n`
          for (let round = 0; round < 3; round++) {
            for (let n = 0; n < 8; n++) {
              const all = yield* Effect.forEach(
                [1, 2, 3, 4],
                (i) => Effect.andThen(postgres.query(Numbers, add(n), i), postgres.query(Numbers, add(n), 10 * i)),
                { concurrency: "unbounded" }
              )
              assert.deepStrictEqual(
                all,
                [1, 2, 3, 4].map((i) => [{ n: 10 * i + n }])
              )
            }
          }
          assert.deepStrictEqual(yield* postgres.query(Numbers, `${kept} where from_sql is false`), [{ n: 3 }])
          const without = yield* connect({ ...options, statements: 0 })
          for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* without.query(Numbers, add(1), i), [{ n: i + 1 }])
          assert.deepStrictEqual(yield* without.query(Numbers, `${kept} where name <> ''`), [{ n: 0 }])
          const one = yield* client
          const parses = "select name, (generic_plans + custom_plans)::int as n from pg_prepared_statements"
          yield* Effect.repeat(one.query(Numbers, "select 1 as n"), { times: 4 })
          assert.include(
            (yield* one.query(Rows, parses)).map(({ n }) => n),
            "5"
          )
        })
      )
    )

    it.live("a statement that is not there any more, or has other columns by now, is parsed anew", () =>
      live(
        Effect.gen(function* () {
          const [postgres, other] = [yield* client, yield* client]
          yield* other.script(
            "drop table if exists changes; create table changes (a int); insert into changes values (1)"
          )
          const all = postgres.query(Rows, "select * from changes")
          for (let i = 0; i < 2; i++) assert.deepStrictEqual(yield* all, [{ a: "1" }])
          for (const what of ["discard all", "deallocate all"]) {
            yield* postgres.script(what)
            const many = yield* Effect.all(
              Array.from({ length: 10 }, () => all),
              { concurrency: "unbounded" }
            )
            for (const rows of many) assert.deepStrictEqual(rows, [{ a: "1" }])
          }
          yield* other.script("alter table changes rename a to b")
          for (let i = 0; i < 2; i++) assert.deepStrictEqual(yield* all, [{ b: "1" }])
          yield* other.script("alter table changes add c text")
          for (let i = 0; i < 2; i++) assert.deepStrictEqual(yield* all, [{ b: "1", c: null }])
          // what has failed with it cannot go on: the error is told, and the next one is answered
          yield* postgres.script("begin")
          yield* postgres.script("deallocate all")
          assert.strictEqual((yield* refusal(all)).code, "26000")
          yield* postgres.script("rollback")
          assert.deepStrictEqual(yield* all, [{ b: "1", c: null }])
          // nor is what a script says about statements of its own
          assert.strictEqual((yield* refusal(postgres.script("execute nothing"))).code, "26000")
          assert.strictEqual((yield* refusal(postgres.query(Rows, "execute nothing"))).code, "26000")
          // one that could not be parsed, and one whose first caller is gone, are parsed by the next
          yield* other.script("drop table changes")
          assert.strictEqual((yield* refusal(all)).code, "42P01")
          yield* other.script("create table changes (d int)")
          for (let i = 0; i < 2; i++) assert.deepStrictEqual(yield* all, [])
          const slow = postgres.query(Rows, "select pg_sleep($1)::text as s", "0.2")
          const first = yield* start(slow)
          yield* Fiber.interrupt(first)
          for (let i = 0; i < 2; i++) assert.deepStrictEqual(yield* slow, [{ s: "" }])
          yield* other.script("drop table changes")
        })
      )
    )

    it.live("a script is one transaction, and gives the results of each statement", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          const results = yield* postgres.script(
            "create temp table s (n int); insert into s values (1), (2); select n from s"
          )
          assert.deepStrictEqual(
            results.map(({ command }) => command),
            ["CREATE TABLE", "INSERT 0 2", "SELECT 2"]
          )
          assert.deepStrictEqual(results[2]!.rows, [{ n: "1" }, { n: "2" }])
          assert.strictEqual((yield* refusal(postgres.script("insert into s values (3); select 1 / 0"))).code, "22012")
          assert.deepStrictEqual(yield* postgres.query(Numbers, "select count(*) as n from s"), [{ n: 2 }])
        })
      )
    )

    it.live("rows come in their order, large ones among them, and the server waits for whoever takes them", () =>
      live(
        Effect.gen(function* () {
          const [postgres, watcher] = [yield* client, yield* client]
          const pid = yield* pidOf(postgres)
          const sql =
            "select i as n, repeat('x', case when i % 1000 = 0 then 300000 else 50 end) as x from generate_series(1, $1) i"
          const seen: Array<number> = []
          const first = yield* Effect.scoped(
            Effect.gen(function* () {
              const pull = yield* Stream.toPull(postgres.rows(Numbers, sql, 20_000))
              seen.push(...(yield* pull).map(({ n }) => n))
              // nobody takes any: the process waits until it can write
              yield* eventuallyEffect(
                "the server waits",
                Effect.map(activity(watcher, pid), (row) => row?.wait_event === "ClientWrite")
              )
              const before = seen.length
              for (let more = true; more;) {
                more = yield* Effect.match(pull, {
                  onFailure: () => false,
                  onSuccess: (rows) => {
                    seen.push(...rows.map(({ n }) => n))
                    return true
                  }
                })
              }
              return before
            })
          )
          assert.isBelow(first, 5000)
          assert.deepStrictEqual(
            seen,
            Array.from({ length: 20_000 }, (_, i) => i + 1)
          )
        })
      )
    )
  })

  describe("whoever leaves", () => {
    it.live("an interrupted query ends at the server, and the next one is not hit", () =>
      live(
        Effect.gen(function* () {
          const [postgres, watcher] = [yield* client, yield* client]
          const pid = yield* pidOf(postgres)
          for (let i = 0; i < 5; i++) {
            const slow = yield* start(postgres.query(Rows, "select pg_sleep(60)"))
            yield* becomes(watcher, pid, "active")
            yield* Fiber.interrupt(slow)
            assert.deepStrictEqual(yield* within("an answer", postgres.query(Numbers, "select 7 as n")), [{ n: 7 }])
          }
          assert.strictEqual(yield* pidOf(postgres), pid)
        })
      )
    )

    it.live("so do sixteen of them, one behind the other, and a stream of which ten rows were taken", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          const pid = yield* pidOf(postgres)
          const slow = yield* startAll(Array.from({ length: 16 }, () => postgres.query(Rows, "select pg_sleep(60)")))
          yield* Fiber.interruptAll(slow)
          assert.strictEqual(yield* within("an answer", pidOf(postgres)), pid)
          const some = Stream.take(postgres.rows(Numbers, "select generate_series(1, 100000000) as n"), 10)
          assert.strictEqual((yield* Stream.runCollect(some)).length, 10)
          assert.strictEqual(yield* within("an answer", pidOf(postgres)), pid)
        })
      )
    )

    it.live("over TLS the cancel is encrypted too", () =>
      live(
        Effect.gen(function* () {
          const tls = { ca: authority.cert, serverName: "localhost" }
          const postgres = yield* connect({ ...options, address: { host: "127.0.0.1", port: server.port }, tls })
          const slow = yield* start(postgres.query(Rows, "select pg_sleep(60)"))
          const watcher = yield* client
          yield* becomes(
            watcher,
            yield* Effect.map(watcher.query(Pid, "select pid from pg_stat_ssl where ssl"), (rows) => rows[0]!.pid),
            "active"
          )
          yield* Fiber.interrupt(slow)
          assert.deepStrictEqual(yield* within("an answer", postgres.query(Numbers, "select 7 as n")), [{ n: 7 }])
        })
      )
    )

    it.live(
      "one in front of others is not cancelled, for that would hit one of them: they are answered behind it",
      () =>
        live(
          Effect.gen(function* () {
            const postgres = yield* client
            const slow = yield* start(postgres.query(Rows, "select pg_sleep(0.3)"))
            const others = yield* startAll([1, 2, 3].map((n) => postgres.query(Numbers, "select $1::int as n", n)))
            yield* Fiber.interrupt(slow)
            assert.deepStrictEqual(yield* Effect.forEach(others, Fiber.join), [[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]])
          })
        )
    )

    it.live("64 callers, a third of them interrupted at any point: nobody is given, or hit by, what is another's", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          const counts = { answered: 0, interrupted: 0 }
          const caller = (number: number) =>
            Effect.gen(function* () {
              for (let i = 0; i < 30; i++) {
                const token = `${number}:${i}`
                const ask = Stream.runCollect(
                  postgres.rows(Rows, "select $1::text as t, i from generate_series(1, 3) i", token)
                )
                const query = i % 2 === 0 ? ask : postgres.query(Rows, "select $1::text as t, pg_sleep(0.0005)", token)
                const call = yield* Effect.forkChild(query, { startImmediately: true })
                if ((number + i) % 3 === 0) {
                  // at another point each time
                  for (let turns = (number * i) % 11; turns > 0; turns--) yield* Effect.yieldNow
                  const exit = yield* Fiber.interrupt(call).pipe(Effect.andThen(Fiber.await(call)))
                  if (Exit.isSuccess(exit)) for (const { t } of exit.value) assert.strictEqual(t, token)
                  else counts.interrupted++
                } else {
                  const rows = yield* Fiber.join(call)
                  assert.strictEqual(rows.length, i % 2 === 0 ? 3 : 1)
                  for (const { t } of rows) assert.strictEqual(t, token)
                  counts.answered++
                }
              }
            })
          yield* Effect.forEach(
            Array.from({ length: 64 }, (_, i) => i),
            caller,
            { concurrency: "unbounded", discard: true }
          )
          assert.isAbove(counts.answered, 1000)
          // the others were answered first, more of them where the machine is busy
          assert.isAbove(counts.interrupted, 100)
        })
      )
    )

    it.live("one caller at a time, interrupted after any time: no cancel hits the query behind it", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          for (let i = 0; i < 120; i++) {
            const call = yield* start(postgres.query(Rows, "select pg_sleep($1)", i % 3 === 0 ? 0 : 0.001))
            if (i % 2 === 0) yield* Effect.sleep((i % 7) / 3)
            yield* Fiber.interrupt(call)
            assert.deepStrictEqual(yield* postgres.query(Numbers, "select $1::int as n, pg_sleep(0.001)", i), [
              { n: i }
            ])
          }
        })
      )
    )
  })

  describe("when the server's process is killed", () => {
    it.live("in the middle of rows, with others behind it and nobody at all: all are told why", () =>
      live(
        Effect.gen(function* () {
          const [postgres, killer] = [yield* client, yield* client]
          const pid = yield* pidOf(postgres)
          const sql = "select i as n, pg_sleep(case when i > 3000 then 60 else 0 end) from generate_series(1, 4000) i"
          const seen: Array<number> = []
          const rows = yield* start(
            Stream.runForEach(postgres.rows(Numbers, sql), ({ n }) => Effect.sync(() => seen.push(n)))
          )
          const behind = yield* start(pidOf(postgres))
          yield* becomes(killer, pid, "active")
          yield* eventuallyEffect(
            "some rows have come",
            Effect.sync(() => seen.length > 1000)
          )
          yield* killer.query(Rows, "select pg_terminate_backend($1)", pid)
          assert.deepInclude({ ...(yield* refusal(Fiber.join(rows))) }, { code: "57P01", severity: "FATAL" })
          assert.strictEqual((yield* refusal(Fiber.join(behind))).code, "57P01")
          assert.strictEqual((yield* refusal(pidOf(postgres))).code, "57P01")
          // each that has come is there, in order
          assert.deepStrictEqual(
            seen,
            Array.from({ length: seen.length }, (_, i) => i + 1)
          )
        })
      )
    )

    it.live("while nobody asks for anything: the next caller is told why, and notifications end with it", () =>
      live(
        Effect.gen(function* () {
          const [postgres, killer] = [yield* client, yield* client]
          const heard = yield* start(Stream.runDrain(postgres.notifications))
          yield* killer.query(Rows, "select pg_terminate_backend($1)", yield* pidOf(postgres))
          assert.strictEqual((yield* refusal(within("the end", Fiber.join(heard)))).code, "57P01")
          assert.strictEqual((yield* refusal(pidOf(postgres))).code, "57P01")
        })
      )
    )
  })

  describe("NOTIFY", () => {
    it.live("what others say on a channel comes as a stream, beside queries and without any", () =>
      live(
        Effect.gen(function* () {
          const [postgres, other] = [yield* client, yield* client]
          yield* postgres.script("listen news")
          const heard = yield* start(Stream.runCollect(Stream.take(postgres.notifications, 40)))
          for (let i = 0; i < 20; i++) {
            yield* other.query(Rows, "select pg_notify('news', $1)", `theirs ${i}`)
            yield* postgres.query(Rows, "select pg_notify('news', $1)", `ours ${i}`)
          }
          const notifications = yield* within("all", Fiber.join(heard))
          const said = notifications.map(({ payload }) => payload)
          for (const who of ["theirs", "ours"]) {
            assert.deepStrictEqual(
              said.filter((one) => one.startsWith(who)),
              Array.from({ length: 20 }, (_, i) => `${who} ${i}`)
            )
          }
          const pids = [yield* pidOf(other), yield* pidOf(postgres)]
          for (const { channel, payload, process } of notifications) {
            assert.strictEqual(channel, "news")
            assert.strictEqual(process, pids[payload.startsWith("theirs") ? 0 : 1])
          }
        })
      )
    )

    it.live("nobody takes them: the oldest are dropped, and queries go on", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          yield* postgres.script("listen flood")
          yield* postgres.query(Rows, "select pg_notify('flood', i::text) from generate_series(1, 3000) i")
          yield* pidOf(postgres)
          const left = yield* Stream.runCollect(Stream.take(postgres.notifications, 1024))
          assert.deepStrictEqual(
            left.map(({ payload }) => Number(payload)),
            Array.from({ length: 1024 }, (_, i) => i + 1977)
          )
        })
      )
    )
  })

  describe("COPY", () => {
    const lines = (count: number) => Array.from({ length: count }, (_, i) => `${i}\tline ${i} é\\n\n`).join("")
    /** Cut anywhere, also within characters. */
    const pieces = (text: string, size: number) => {
      const all = bytes(text)
      return Stream.fromIterable(
        Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
      )
    }

    it.live("in and out: the bytes that went in come out, however they were cut", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          yield* postgres.script("create table copied (n int, t text)")
          const text = lines(5000)
          const [result] = yield* postgres.copyIn("copy copied from stdin", pieces(text, 777))
          assert.strictEqual(result!.command, "COPY 5000")
          const out = yield* Stream.runCollect(postgres.copyOut("copy (select * from copied order by n) to stdout"))
          assert.strictEqual(Buffer.concat(out).toString(), text)
          assert.strictEqual(
            (yield* refusal(Stream.runDrain(postgres.copyOut("copy nowhere to stdout")))).code,
            "42P01"
          )
          // left early
          const some = Stream.take(postgres.copyOut("copy (select generate_series(1, 100000000)) to stdout"), 3)
          assert.strictEqual(Buffer.concat(yield* Stream.runCollect(some)).toString(), "1\n2\n3\n")
          assert.deepStrictEqual(yield* within("an answer", postgres.query(Numbers, "select 7 as n")), [{ n: 7 }])
        })
      )
    )

    it.live(
      "data without an end that the server refuses ends at once; of data that fails, or is interrupted, nothing is left",
      () =>
        live(
          Effect.gen(function* () {
            const postgres = yield* client
            yield* postgres.script("create table fresh (n int)")
            const bad = Stream.forever(Stream.make(bytes("1\n"), bytes("x\n")))
            const refused = yield* within("a refusal", refusal(postgres.copyIn("copy fresh from stdin", bad)))
            assert.strictEqual(refused.code, "22P02")
            const broken = Stream.concat(Stream.make(bytes("1\n")), Stream.fail("no more"))
            assert.strictEqual(yield* Effect.flip(postgres.copyIn("copy fresh from stdin", broken)), "no more" as never)
            const endless = Stream.concat(Stream.make(bytes("1\n")), Stream.never)
            const copy = yield* start(postgres.copyIn("copy fresh from stdin", endless))
            yield* eventuallyEffect(
              "the copy has begun",
              Effect.map(
                postgres.query(Numbers, "select count(*) as n from pg_stat_progress_copy"),
                ([row]) => row!.n === 1
              )
            )
            yield* Fiber.interrupt(copy)
            yield* eventuallyEffect(
              "the copy is over",
              Effect.map(
                postgres.query(Numbers, "select count(*) as n from pg_stat_progress_copy"),
                ([row]) => row!.n === 0
              )
            )
            assert.deepStrictEqual(yield* postgres.query(Numbers, "select count(*) as n from fresh"), [{ n: 0 }])
            assert.strictEqual((yield* refusal(postgres.copyIn("copy nowhere from stdin", Stream.never))).code, "42P01")
          })
        )
    )

    it.live("a query that turns out to ask for data ends the connection, and gives nobody another's answer", () =>
      live(
        Effect.gen(function* () {
          const postgres = yield* client
          yield* postgres.script("create table asked (n int)")
          const calls = yield* startAll([
            postgres.query(Rows, "copy asked from stdin"),
            postgres.query(Rows, "select 1")
          ])
          for (const call of calls) {
            const error = yield* within("the end", Effect.flip(Fiber.join(call)))
            assert.instanceOf(error, StreamError.RequestLost)
            assert.strictEqual(error.cause._tag, "MalformedFrame")
          }
        })
      )
    )
  })
})
