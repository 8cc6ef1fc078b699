/** The client of Redis in examples/protocols, over a network in memory that breaks, and with servers that talk nonsense. */
import { assert, describe, it } from "@effect/vitest"
import { Frame, StreamError, startServer } from "effect-byte-streams"
import * as ExchangeLaws from "effect-byte-streams/testing/ExchangeLaws"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber, Option, Redacted, Schedule, Stream } from "effect"
import * as fc from "fast-check"
import { exchange, Redis, RedisError, reply, type Reply } from "../../examples/protocols/redis.ts"
import { chunkings } from "../support/chunkings.ts"
import { start } from "../support/fibers.ts"
import { bulk, MemoryRedis, nextCommand } from "../support/memoryRedis.ts"
import { forAll } from "../support/property.ts"

const address = { host: "redis.example", port: 6379 }
const options = { ...address, password: Redacted.make("secret"), database: 3 }

const serve = Effect.gen(function* () {
  const server = new MemoryRedis("secret", 3)
  yield* startServer({ port: address.port }, (connection) => Effect.ignore(server.serve(connection)))
  return server
})

describe("the commands of many fibers on one connection", () => {
  ExchangeLaws.suite(
    it,
    {
      shape: "pipelined",
      client: (connection, { maxInFlight }) =>
        Effect.map(exchange(connection, { maxInFlight, keepAlive: undefined }), ({ call, inFlight }) => ({
          call: (token) => Effect.map(call(["ECHO", token]), String),
          inFlight
        })),
      server: (connection) =>
        Effect.succeed({
          receive: Effect.map(
            nextCommand(connection),
            Option.map(([, token]) => ({ token: token! }))
          ),
          answer: (_, token) => connection.writer.write(bulk(token)),
          stray: (token) => connection.writer.write(bulk(token))
        }),
      sent: (error) => (error instanceof StreamError.RequestLost ? error.sent : undefined),
      isViolation: (error) => error instanceof StreamError.RequestLost && error.cause._tag === "ProtocolViolation"
    },
    { scenarios: 60 }
  )
})

const chunking = fc.constantFrom<TestNetwork.Chunking>("asIs", "oneByte", "halves", { random: { max: 40 } })

describe("the client, over a network that breaks", () => {
  const seen = { answered: 0, lost: 0, connections: 0, messages: 0 }

  it.live(
    "answers are those of their commands, counters count what was said, and all is as before after each loss",
    () =>
      Effect.gen(function* () {
        const scenario = fc.record({
          seed: fc.nat(),
          fromClient: chunking,
          fromServer: chunking,
          latency: fc.integer({ min: 0, max: 20 }),
          faults: Faults.arbitrary(fc, {
            connections: 4,
            maxBytes: 700,
            maxMillis: 2000,
            maxFaults: 8,
            kinds: ["Reset", "Fin", "Vanish", "Stall", "Refuse"]
          }) as fc.Arbitrary<Faults.Script>,
          pauses: fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 4, maxLength: 16 })
        })
        const all = yield* forAll(
          scenario,
          ({ faults, fromClient, fromServer, latency, pauses, seed }) => {
            const program = Effect.gen(function* () {
              const server = yield* serve
              // the first attempt may fail; later ones are the client's own
              const redis = yield* Effect.retry(Redis.make(options), Schedule.spaced("1 second"))
              const messages = yield* Effect.retry(redis.subscribe("news"), Schedule.spaced("1 second"))
              const listening = yield* start(Stream.runHead(Stream.filter(messages, (message) => message === "last")))
              const tally = { sure: 0, maybe: 0 }
              const caller = (number: number) =>
                Effect.gen(function* () {
                  for (let i = 0; i < 5; i++) {
                    const token = `${number}:${i}:${"x".repeat((number * 31 + i * 7) % 90)}`
                    const echo = yield* start(redis.call("ECHO", token))
                    yield* Effect.sleep(pauses[(number + i) % pauses.length]!)
                    if ((number + i) % 4 === 0) yield* Fiber.interrupt(echo)
                    const echoed = yield* Fiber.await(echo)
                    if (Exit.isSuccess(echoed)) assert.strictEqual(echoed.value, token)
                    const counted = yield* Effect.result(
                      redis.multi([
                        ["INCR", "n"],
                        ["ECHO", token]
                      ])
                    )
                    if (counted._tag === "Success") {
                      assert.strictEqual(counted.success[1], token)
                      tally.sure++
                      continue
                    }
                    const { failure } = counted
                    assert.strictEqual(failure._tag, "RequestLost")
                    seen.lost++
                    if (failure._tag === "RequestLost" && failure.sent === "Maybe") tally.maybe++
                  }
                })
              yield* Effect.forEach([1, 2, 3, 4], caller, { concurrency: "unbounded" })
              const count = server.counters.get("n") ?? 0
              assert.isAtLeast(count, tally.sure)
              assert.isAtMost(count, tally.sure + tally.maybe)
              assert.deepStrictEqual(server.wrongs, [])
              seen.answered += tally.sure
              // whatever has broken: it logs in, selects and subscribes again
              const last = yield* Effect.raceFirst(
                Fiber.join(listening),
                Effect.repeat(Effect.exit(redis.call("PUBLISH", "news", "last")), Schedule.spaced("1 second"))
              )
              assert.deepStrictEqual(last, Option.some("last"))
              seen.messages++
              seen.connections += server.connections
            })
            return TestNetwork.simulate(program, {
              seed,
              faults,
              fromClient: { chunking: fromClient, latency },
              fromServer: { chunking: fromServer, latency }
            })
          },
          { numRuns: 60 }
        )
        if (all) {
          assert.isAbove(seen.lost, 15)
          assert.isAbove(seen.answered, 450)
          assert.isAbove(seen.connections, 65)
          assert.isAtLeast(seen.messages, 60)
        }
      })
  )

  it.live("a server that is gone without a word is noticed, whether something is asked or not", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const server = yield* serve
        const redis = yield* Redis.make(options)
        const messages = yield* redis.subscribe("news")
        const error = yield* Effect.flip(redis.call("ECHO", "x".repeat(1000)))
        assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "Maybe" })
        assert.strictEqual(yield* redis.call("ECHO", "again"), "again")
        assert.strictEqual(server.connections, 2)
        // nothing is asked from here on, and the second connection goes as well
        yield* Effect.sleep("2 minutes")
        assert.strictEqual(server.connections, 3)
        server.publish("news", "hello")
        assert.deepStrictEqual(yield* Stream.runHead(messages), Option.some("hello"))
      }),
      {
        faults: [
          Faults.vanish({ connection: 1, from: "client", after: 400 }),
          Faults.vanish({ connection: 2, from: "client", after: 160 })
        ]
      }
    )
  )

  it.live("it is noticed as soon where callers go on asking", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serve
        const redis = yield* Redis.make(options)
        const calls: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let i = 0; i < 20; i++) {
          calls.push(yield* start(redis.call("ECHO", "x".repeat(50))))
          yield* Effect.sleep("3 seconds")
        }
        const ends = calls.map((call) => call.pollUnsafe()?._tag)
        // those of the first half minute are lost, those behind them are answered on a new connection
        assert.deepStrictEqual([ends[0], ends[5], ends[15]], ["Failure", "Failure", "Success"])
      }),
      { faults: [Faults.vanish({ connection: 1, from: "client", after: 110 })] }
    )
  )

  it.live("subscribers are told the end when the client's scope closes", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const server = yield* serve
        const collecting = yield* Effect.scoped(
          Effect.gen(function* () {
            const redis = yield* Redis.make(options)
            const collecting = yield* Effect.forkDetach(Stream.runCollect(yield* redis.subscribe("news")))
            server.publish("news", "one")
            yield* Effect.sleep("1 second")
            return collecting
          })
        )
        assert.deepStrictEqual(yield* Fiber.join(collecting), ["one"])
      })
    )
  )
})

describe("what a server may say", () => {
  /** A value, as it is written, and what it is read as. */
  const written: fc.Arbitrary<readonly [string, Reply]> = fc.letrec<{ any: readonly [string, Reply] }>((tie) => {
    const many = fc.array(tie("any"), { maxLength: 4 })
    const text = fc.string({ unit: "grapheme", maxLength: 40 })
    const word = fc.stringMatching(/^[ -~]{0,20}$/)
    const all = (items: ReadonlyArray<readonly [string, Reply]>) => items.map(([bytes]) => bytes).join("")
    const values = (items: ReadonlyArray<readonly [string, Reply]>) => items.map(([, value]) => value)
    return {
      any: fc.oneof(
        { maxDepth: 4 },
        word.map((word) => [`+${word}\r\n`, word] as const),
        word.map((word) => [`-ERR ${word}\r\n`, new RedisError({ code: "ERR", message: `ERR ${word}` })] as const),
        fc.integer().map((number) => [`:${number}\r\n`, number] as const),
        fc.bigInt({ min: 2n ** 53n, max: 2n ** 90n }).map((number) => [`(${number}\r\n`, number] as const),
        fc
          .double()
          .filter((number) => !Object.is(number, -0))
          .map((number) => [`,${String(number).replace("Infinity", "inf")}\r\n`, number] as const),
        text.map((text) => [bulk(text), text] as const),
        text.map((text) => [bulk(`txt:${text}`).replace("$", "="), text] as const),
        fc.boolean().map((truth) => [truth ? "#t\r\n" : "#f\r\n", truth] as const),
        fc.constant(["_\r\n", null] as const),
        many.map((items) => [`*${items.length}\r\n${all(items)}`, values(items)] as const),
        many.map((items) => [`~${items.length}\r\n${all(items)}`, new Set(values(items))] as const),
        fc
          .array(fc.tuple(tie("any"), tie("any")), { maxLength: 3 })
          .map(
            (entries) =>
              [
                `%${entries.length}\r\n${entries.map((entry) => all(entry)).join("")}`,
                new Map(entries.map(([[, key], [, value]]) => [key, value]))
              ] as const
          ),
        fc
          .tuple(tie("any"), tie("any"))
          .map(([note, value]) => [`|1\r\n+note\r\n${note[0]}${value[0]}`, value[1]] as const)
      )
    }
  }).any

  it.effect("is read as what it is, however it is cut", () =>
    forAll(
      written.chain(([text, value]) => fc.tuple(chunkings(Buffer.from(text).toString("latin1")), fc.constant(value))),
      ([pieces, value]) =>
        Effect.sync(() => {
          const decoder = Frame.makeDecoder(reply)
          const found = pieces.flatMap((piece) => decoder.push(Buffer.from(piece, "latin1")))
          assert.strictEqual(found.length, 1)
          decoder.end()
          assert.deepStrictEqual(found[0], value)
        }),
      { numRuns: 500 }
    )
  )

  it.effect("bytes are text where they are valid UTF-8, to the byte, and bytes elsewhere", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
    const textOrBytes = (bytes: Uint8Array<ArrayBuffer>) => {
      try {
        return strict.decode(bytes)
      } catch {
        return bytes
      }
    }
    const pieces = fc.oneof(
      fc.constantFrom("\ufeff", "\ufffd", "a", "\r\n", "é", "\u{1f600}").map((text) => new TextEncoder().encode(text)),
      fc.uint8Array({ maxLength: 3 }),
      fc.constant(new Uint8Array(100).fill(120))
    )
    return forAll(
      fc.array(pieces, { maxLength: 6 }).map((parts) => new Uint8Array(Buffer.concat(parts))),
      (bytes) =>
        Effect.sync(() => {
          const answer = Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")])
          const found = Frame.makeDecoder(reply).push(answer)
          const values = found.map((value) => (value instanceof Uint8Array ? new Uint8Array(value) : value))
          assert.deepStrictEqual(values, [textOrBytes(bytes)])
        }),
      { numRuns: 1000 }
    )
  })

  it.live("what is no RESP3, too deep, too many or too long closes the connection, with a typed error", () =>
    Effect.gen(function* () {
      const nonsense: ReadonlyArray<readonly [string, string]> = [
        ["HTTP/1.1 400 Bad Request\r\n", "MalformedFrame"],
        ["$-1\r\n", "MalformedFrame"],
        ["$?\r\n", "MalformedFrame"],
        ["$5\r\nhelloXX", "MalformedFrame"],
        ["$5\r\nhelloX\n", "MalformedFrame"],
        ["$5\r\nhello\rX", "MalformedFrame"],
        [":12a\r\n", "MalformedFrame"],
        ["(\r\n", "MalformedFrame"],
        ["_x\r\n", "MalformedFrame"],
        ["*1000001\r\n", "MalformedFrame"],
        ["%-1\r\n", "MalformedFrame"],
        ["*1\r\n".repeat(40), "MalformedFrame"],
        ["$67108865\r\n", "LimitOverrun"],
        [`+${"x".repeat(70_000)}`, "LimitOverrun"],
        ["$10\r\nhello", "IncompleteRead"]
      ]
      for (const [said, tag] of nonsense) {
        const found = yield* TestNetwork.simulate(
          Effect.gen(function* () {
            yield* startServer({ port: address.port }, (connection) =>
              Effect.gen(function* () {
                yield* nextCommand(connection)
                yield* connection.writer.write(said)
              })
            )
            return yield* Effect.flip(Redis.make(address))
          })
        )
        assert.deepStrictEqual([said, found._tag === "RequestLost" && found.cause._tag], [said, tag])
      }
    })
  )
})
