/** The client of PostgreSQL in examples/protocols, over a network in memory that breaks, and with servers that talk nonsense. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, startServer, StreamError } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Effect, Exit, Fiber, Redacted, Stream } from "effect"
import * as fc from "fast-check"
import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { connect, LoginFailed, type Postgres, PostgresError, Rows } from "../../examples/protocols/postgres.ts"
import * as Memory from "../support/memoryPostgres.ts"
import { forAll } from "../support/property.ts"
import { within } from "../support/wait.ts"

const address = { host: "postgres.example", port: 5432 }
const options = { address, user: "me" }

const chunking = fc.constantFrom<TestNetwork.Chunking>("asIs", "oneByte", "halves", { random: { max: 40 } })
const millis = (max: number) => fc.oneof(fc.constant(0), fc.integer({ min: 1, max }))
const ask = fc.record({
  rows: fc.boolean(),
  count: fc.integer({ min: 0, max: 5 }),
  /** Which of the texts is asked. */
  text: fc.constantFrom("", "", "x", "y"),
  /** How long the server takes. */
  millis: millis(100),
  pause: millis(40),
  /** When its caller leaves, if it does. */
  strike: fc.option(millis(120), { nil: undefined, freq: 2 })
})
const scenarioOf = (faults: fc.Arbitrary<Faults.Script>) =>
  fc.record({
    seed: fc.nat(),
    fromClient: chunking,
    fromServer: chunking,
    latency: millis(30),
    statements: fc.integer({ min: 0, max: 2 }),
    /** Each how many runs of a statement that has a name the server has forgotten it. */
    forgets: fc.constantFrom(1, 2, Infinity),
    callers: fc.array(fc.array(ask, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 }),
    faults
  })
type Scenario = ReturnType<typeof scenarioOf> extends fc.Arbitrary<infer A> ? A : never

const counts = { answered: 0, left: 0, cancelled: 0, lost: 0, forgotten: 0, repeated: 0 }

const run = ({
  callers,
  faults,
  forgets,
  fromClient,
  fromServer,
  latency,
  seed,
  statements
}: Scenario): Effect.Effect<void, unknown> => {
  const program = Effect.gen(function* () {
    const server = new Memory.MemoryPostgres()
    let runs = 0
    server.keeps = (name) => {
      const isKept = name === "" || ++runs % forgets !== 0
      if (!isKept) counts.forgotten++
      return isKept
    }
    yield* startServer({ port: address.port }, (connection) => Effect.ignore(server.serve(connection)))
    const postgres = yield* connect({ ...options, statements }).pipe(Effect.timeout("1 minute"), Effect.exit)
    if (Exit.isFailure(postgres)) {
      assert.isFalse(Cause.hasDies(postgres.cause))
      assert.isNotEmpty(faults)
      return
    }
    const caller = (asks: Scenario["callers"][number], number: number) =>
      Effect.gen(function* () {
        for (const [index, { count, millis, pause, rows, strike, text }] of asks.entries()) {
          yield* Effect.sleep(pause)
          const token = `${number}:${index}`
          const parameters = [token, count, millis] as const
          const client: Postgres = postgres.value
          const call = yield* Effect.forkChild(
            rows
              ? Stream.runCollect(client.rows(Rows, `echo${text}`, ...parameters))
              : client.query(Rows, `echo${text}`, ...parameters),
            { startImmediately: true }
          )
          if (strike !== undefined) {
            yield* Effect.sleep(strike)
            yield* Fiber.interrupt(call)
          }
          const exit = yield* Effect.exit(Effect.timeout(Fiber.join(call), "1 minute"))
          if (Exit.isSuccess(exit)) {
            counts.answered++
            assert.deepStrictEqual(
              exit.value,
              Array.from({ length: count }, (_, i) => ({ t: text + token, i: String(i) }))
            )
          } else if (Cause.hasInterruptsOnly(exit.cause)) {
            counts.left++
            assert.isDefined(strike)
          } else {
            counts.lost++
            assert.isFalse(Cause.hasDies(exit.cause), Cause.pretty(exit.cause))
            const error = Cause.squash(exit.cause)
            // nobody's cancel hits somebody else
            assert.notInstanceOf(error, PostgresError)
            assert.isNotEmpty(faults, String(error))
            if (error instanceof StreamError.RequestLost && error.sent === "No")
              assert.notInclude(server.seen, text + token)
          }
        }
      })
    yield* Effect.forEach(callers, caller, { concurrency: "unbounded", discard: true })
    for (const token of server.cancelled) {
      const [number, index] = token.replace(/^[xy]/, "").split(":").map(Number)
      assert.isDefined(callers[number!]![index!]!.strike)
    }
    counts.cancelled += server.cancelled.length
    counts.repeated += runs
    // and the one without a name
    assert.isAtMost(server.most, statements + 1)
    assert.strictEqual(new Set(server.seen).size, server.seen.length)
  })
  return TestNetwork.simulate(Effect.scoped(program), {
    seed,
    faults,
    fromClient: { chunking: fromClient, latency },
    fromServer: { chunking: fromServer, latency }
  })
}

describe("the queries of many fibers, some of whom leave", () => {
  it.live("nobody is given, or hit by, what is another's, however slow a cancel is", () =>
    Effect.gen(function* () {
      const all = yield* forAll(scenarioOf(fc.constant([])), run, { numRuns: 150, interruptAfterTimeLimit: 10_000 })
      assert.strictEqual(counts.lost, 0)
      if (!all) return
      assert.isAbove(counts.answered, 100)
      assert.isAbove(counts.left, 30)
      assert.isAbove(counts.cancelled, 20)
      assert.isAbove(counts.repeated, 30)
      assert.isAbove(counts.forgotten, 8)
    })
  )

  it.live("nor when connections break, those of cancels among them: what was not sent is known to be", () =>
    Effect.gen(function* () {
      const faults = Faults.arbitrary(fc, {
        connections: 4,
        maxBytes: 700,
        maxMillis: 2000,
        maxFaults: 3,
        kinds: ["Reset", "Fin", "Vanish", "Stall", "Refuse"]
      }) as fc.Arbitrary<Faults.Script>
      const all = yield* forAll(scenarioOf(faults), run, { numRuns: 150, interruptAfterTimeLimit: 10_000 })
      if (all) assert.isAbove(counts.lost, 30)
    })
  )
})

/** What a client is told by a server that says `reply` to the first query, and then ends. */
const told = (reply: Uint8Array, chunking: TestNetwork.Chunking = "asIs") =>
  TestNetwork.simulate(
    Effect.gen(function* () {
      yield* startServer({ port: address.port }, (connection) =>
        Effect.gen(function* () {
          yield* Memory.opening(connection)
          yield* connection.writer.write(Buffer.concat([Memory.login(0), Memory.ready]))
          yield* Memory.next(connection)
          yield* connection.writer.write(reply)
        }).pipe(Effect.ignore)
      )
      const postgres = yield* connect(options)
      const exit = yield* Effect.exit(Effect.timeout(postgres.query(Rows, "select"), "1 minute"))
      assert.isTrue(Exit.isSuccess(exit) || !Cause.hasDies(exit.cause))
      return exit
    }).pipe(Effect.scoped),
    { fromServer: { chunking } }
  )

const failureOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

describe("a server that talks nonsense", () => {
  const { begun, columns, done, error, int32, message, ready, row } = Memory
  const raw = (letter: string, size: number, ...rest: ReadonlyArray<number>) =>
    Buffer.concat([Buffer.from(letter), int32(size), Buffer.from(rest)])
  const malformed: Record<string, Buffer> = {
    "a letter that nobody knows": message("?"),
    "a request for data": message("G", Buffer.from([0, 0, 0])),
    "a length that does not count itself": raw("C", 3),
    "a row of a negative length": raw("D", -1),
    "a row that ends in the number of its cells": raw("D", 5, 0),
    "a cell that is longer than its row": raw("D", 14, 0, 1, 0, 0, 0, 9, 97, 97, 97, 97),
    "a row with something behind its cells": raw("D", 11, 0, 1, 255, 255, 255, 255, 0),
    "a row of a negative number of cells with something behind": raw("D", 7, 255, 255, 0),
    "columns that are fewer than they say": raw("T", 6, 0, 1),
    "an error without an end": message("E", "C42"),
    "something behind the end of a statement": Buffer.concat([raw("1", 5, 0)])
  }
  for (const [what, bytes] of Object.entries(malformed)) {
    it.live(`${what} ends the connection as MalformedFrame, however it is cut`, () =>
      Effect.gen(function* () {
        for (const chunking of ["asIs", "oneByte"] as const) {
          const lost = failureOf(yield* told(Buffer.concat([begun, columns("a"), bytes]), chunking))
          assert.instanceOf(lost, StreamError.RequestLost)
          assert.strictEqual(lost.cause._tag, "MalformedFrame")
        }
      })
    )
  }

  it.live("what is too long is refused before it is kept", () =>
    Effect.gen(function* () {
      const row = failureOf(yield* told(raw("D", 2 ** 30)))
      assert.strictEqual((row as StreamError.RequestLost).cause._tag, "MalformedFrame")
      const command = failureOf(yield* told(raw("C", 2 ** 30)))
      assert.strictEqual((command as StreamError.RequestLost).cause._tag, "LimitOverrun")
    })
  )

  it.live("rows that are not as their columns were told are an error of protocol, and the connection goes on", () =>
    Effect.gen(function* () {
      const answer = Buffer.concat([begun, columns("a", "b"), row("1"), done("SELECT 1"), ready])
      const refused = failureOf(yield* told(answer))
      assert.instanceOf(refused, PostgresError)
      assert.strictEqual(refused.code, "08P01")
    })
  )

  it.live("an error is told behind the end of its answer, and without an end the loss is; a last word is told", () =>
    Effect.gen(function* () {
      const whole = failureOf(yield* told(Buffer.concat([error("42000"), ready])))
      assert.strictEqual((whole as PostgresError).code, "42000")
      const last = failureOf(yield* told(error("57P01", "FATAL")))
      assert.strictEqual((last as PostgresError).code, "57P01")
      assert.instanceOf(failureOf(yield* told(Buffer.concat([begun, columns("a")]))), StreamError.RequestLost)
    })
  )

  it.live("any bytes in place of some of an answer: an answer, or an error that has a type, and an end", () =>
    Effect.gen(function* () {
      const answer = Buffer.concat([begun, columns("a", "b"), row("1", null), row("x", "y"), done("SELECT 2"), ready])
      const seen = { answers: 0, errors: 0 }
      const change = fc.record({ at: fc.nat(answer.length - 1), byte: fc.nat(255) })
      const changed = fc.record({ changes: fc.array(change, { maxLength: 3 }), cut: fc.nat(answer.length), chunking })
      const all = yield* forAll(
        changed,
        ({ changes, chunking, cut }) => {
          const bytes = Buffer.from(answer)
          for (const { at, byte } of changes) bytes[at] = byte
          return Effect.map(told(cut % 4 === 0 ? bytes.subarray(0, cut) : bytes, chunking), (exit) => {
            if (Exit.isSuccess(exit)) seen.answers++
            else seen.errors++
          })
        },
        { numRuns: 400 }
      )
      if (!all) return
      assert.isAbove(seen.answers, 20)
      assert.isAbove(seen.errors, 100)
    })
  )
})

describe("a server that is not the right one", () => {
  const password = Redacted.make("secret")
  const iterations = 4096
  const host = "127.0.0.1"

  /** Logs in at a server that answers as `script` says to the client's first words of SCRAM, and to its proof. */
  const loggedIn = (script: {
    readonly challenge?: (nonce: string) => string
    readonly proof?: (right: string) => ReadonlyArray<Buffer>
    readonly first?: ReadonlyArray<Buffer>
  }) =>
    Effect.gen(function* () {
      const serve = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          const say = (...messages: ReadonlyArray<Buffer>) => connection.writer.write(Buffer.concat(messages))
          yield* Memory.opening(connection)
          if (script.first !== undefined) return yield* say(...script.first)
          yield* say(Memory.login(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
          const [, first] = yield* Memory.next(connection)
          const bare = first.toString().slice(first.indexOf("n,,") + 3)
          assert.strictEqual(first.readInt32BE("SCRAM-SHA-256\0".length), bare.length + 3)
          const nonce = bare.slice("n=,r=".length)
          const challenge = (script.challenge ?? ((nonce) => `r=${nonce}+,s=c2FsdA==,i=${iterations}`))(nonce)
          yield* say(Memory.login(11, challenge))
          const [, final] = yield* Memory.next(connection)
          const [withoutProof, proof] = final.toString().split(",p=")
          const salted = pbkdf2Sync("secret", "salt", iterations, 32, "sha256")
          const mac = (key: Buffer, data: string) => createHmac("sha256", key).update(data).digest()
          const signed = `${bare},${challenge},${withoutProof}`
          const stored = createHash("sha256").update(mac(salted, "Client Key")).digest()
          const signature = mac(stored, signed)
          const key = Buffer.from(proof!, "base64").map((byte, i) => byte ^ signature[i]!)
          assert.deepStrictEqual(createHash("sha256").update(key).digest(), stored)
          const right = `v=${mac(mac(salted, "Server Key"), signed).toString("base64")}`
          yield* say(...(script.proof ?? ((right) => [Memory.login(12, right), Memory.login(0), Memory.ready]))(right))
        })
      const server = yield* startServer({ host, port: 0 }, (connection) => Effect.ignore(serve(connection)))
      return yield* Effect.exit(
        within("an end", connect({ address: { host, port: server.port }, user: "me", password }))
      )
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))

  it.live("one that knows the password is believed", () =>
    Effect.map(loggedIn({}), (exit) => assert.isTrue(Exit.isSuccess(exit)))
  )

  const impostors: Record<string, Parameters<typeof loggedIn>[0]> = {
    "one that proves nothing": { proof: () => [Memory.login(0), Memory.ready] },
    "one whose proof is wrong": { proof: () => [Memory.login(12, "v=AAAA"), Memory.login(0), Memory.ready] },
    "one that says our own placeholder": {
      first: [Memory.login(10, "SCRAM-SHA-256\0\0"), Memory.login(12, "false"), Memory.login(0), Memory.ready]
    },
    "one that does not go on from our nonce": { challenge: () => "r=other,s=c2FsdA==,i=4096" },
    "one that adds nothing to our nonce": { challenge: (nonce) => `r=${nonce},s=c2FsdA==,i=4096` },
    "one that would have us work for hours": { challenge: (nonce) => `r=${nonce}+,s=c2FsdA==,i=1000000000` },
    "one that asks for no work": { challenge: (nonce) => `r=${nonce}+,s=c2FsdA==,i=0` },
    "one whose challenge is none": { challenge: () => "hello" },
    "one that wants the password said": { first: [Memory.login(3)] },
    "one that wants it in MD5": { first: [Memory.login(5, "salt")] },
    "one that knows other ways of SASL alone": { first: [Memory.login(10, "OTHER\0\0")] }
  }
  for (const [what, script] of Object.entries(impostors)) {
    it.live(`${what} is not`, () =>
      Effect.map(loggedIn(script), (exit) => assert.instanceOf(failureOf(exit), LoginFailed))
    )
  }

  it.live("what is said in plain text behind the answer to SSLRequest is not taken for the server's", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host, port: 0 }, (connection) =>
        Effect.andThen(
          Memory.opening(connection),
          connection.writer.write(Buffer.concat([Buffer.from("S"), Memory.login(0), Memory.ready]))
        ).pipe(Effect.andThen(connection.reader.read(1)), Effect.ignore)
      )
      const there = { host, port: server.port }
      const refused = yield* Effect.flip(connect({ address: there, user: "me", tls: { serverName: "localhost" } }))
      assert.deepInclude({ ...refused }, { _tag: "TlsFailed", kind: "InjectedPlaintext" })
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )
})
