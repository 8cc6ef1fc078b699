/** The client of HTTP/2 in examples/protocols, over a network that breaks, and with servers that break the rules. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber, Option, Stream } from "effect"
import * as fc from "fast-check"
import { type Client, connect, Http2Error } from "../../examples/protocols/http2.ts"
import { start } from "../support/fibers.ts"
import {
  ACK,
  answer,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  framed,
  GOAWAY,
  goAwayOf,
  HEADERS,
  literal,
  PADDED,
  PING,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  type Script,
  script,
  SETTINGS,
  settings,
  uint32,
  WINDOW_UPDATE
} from "../support/http2.ts"
import { forAll } from "../support/property.ts"

const to = { host: "web.example", port: 80 }
const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const ok = literal([":status", "200"])

/** A client, and the server that it talks to, whose end of the first connection follows the script. */
const between = <A, E, B>(
  serve: (script: Script, connection: Connection.Connection) => Effect.Effect<A, E>,
  use: (client: Client) => Effect.Effect<B, unknown>,
  values: Readonly<Record<number, number>> = {},
  options: TestNetwork.Options = {}
) =>
  TestNetwork.simulate(
    Effect.gen(function* () {
      let served: Fiber.Fiber<A, unknown> | undefined
      yield* startServer({ port: to.port, onHandlerError: () => Effect.void }, (connection) =>
        Effect.gen(function* () {
          served = yield* Effect.forkChild(
            Effect.flatMap(script(connection, values), (script) => serve(script, connection))
          )
          yield* Fiber.await(served)
        })
      )
      const result = yield* Effect.scoped(Effect.flatMap(connect(to), use))
      return { result, served: yield* Fiber.join(served!) }
    }),
    options
  )

const refusalOf = (exit: Exit.Exit<unknown, unknown>): Http2Error => {
  assert(Exit.isFailure(exit))
  const [reason] = exit.cause.reasons
  assert(reason?._tag === "Fail" && reason.error instanceof Http2Error, String(exit.cause))
  return reason.error
}

describe("over a network that breaks", () => {
  const path = fc.record({
    latency: fc.constantFrom(0, 3),
    chunking: fc.constantFrom<TestNetwork.Chunking>("asIs", "halves", "oneByte", { random: { max: 60 } })
  })
  const scenario = fc.record({
    seed: fc.nat(),
    fromClient: path,
    fromServer: path,
    faults: Faults.arbitrary(fc, { maxBytes: 3000, maxFaults: 2, maxMillis: 3000 }) as fc.Arbitrary<Faults.Script>,
    streams: fc.integer({ min: 1, max: 6 }),
    window: fc.constantFrom(0, 1, 50, 65_535),
    goAway: fc.option(fc.integer({ min: 1, max: 25 }), { freq: 3, nil: undefined }),
    // what becomes of each request, how long its caller waits, and how much it sends
    requests: fc.array(
      fc.record({
        fate: fc.constantFrom("answered", "answered", "answered", "inPieces", "refused", "broken", "silence"),
        patience: fc.constantFrom(1, 5, 30, 5000, 5000),
        body: fc.constantFrom(0, 0, 1, 200)
      }),
      { minLength: 5, maxLength: 25 }
    )
  })
  type Scenario = typeof scenario extends fc.Arbitrary<infer A> ? A : never

  it.effect("answers are those of their requests, what is safe to retry was not acted on, and limits are kept to", () =>
    Effect.gen(function* () {
      const seen = { answered: 0, failed: 0, safe: 0, left: 0 }
      const all = yield* forAll(
        scenario,
        ({ goAway, requests, streams, window, ...options }: Scenario) =>
          TestNetwork.simulate(
            Effect.gen(function* () {
              // the tokens of requests that the server has acted on
              const acted = new Set<string>()
              const serve = ({ headers, next, send }: Script) =>
                Effect.gen(function* () {
                  const open = new Map<number, { token: string; room: number; got: number }>()
                  let last = 0
                  let room = 65_535
                  let gone = false
                  const finish = (id: number) =>
                    Effect.gen(function* () {
                      const { got, token } = open.get(id)!
                      const { fate } = requests[Number(token)]!
                      if (gone && id > last) return
                      if (fate === "refused") {
                        open.delete(id)
                        return yield* send(framed(RST_STREAM!, 0, id, uint32(7)))
                      }
                      acted.add(token)
                      const said = `${token}:${got}`
                      if (fate === "silence") return
                      open.delete(id)
                      if (fate === "broken") return yield* send(framed(RST_STREAM!, 0, id, uint32(2)))
                      if (fate === "answered") return yield* send(answer(id, said))
                      yield* send(framed(HEADERS!, 0, id), framed(CONTINUATION!, END_HEADERS!, id, ok))
                      for (const letter of said) {
                        yield* send(framed(DATA!, PADDED!, id, `\x03${letter}\0\0\0`))
                        yield* Effect.sleep(1)
                      }
                      yield* send(framed(DATA!, END_STREAM!, id))
                    })
                  for (let found = yield* next; found !== undefined; found = yield* next) {
                    const { flags, payload, stream, type } = found
                    const isLast = (flags & END_STREAM!) !== 0
                    if (type === PING && (flags & ACK!) === 0) yield* send(framed(PING!, ACK!, 0, payload))
                    if (type === RST_STREAM) open.delete(stream)
                    if (type === HEADERS) {
                      const token = headers(found)[":path"]!.slice(1)
                      if (!gone) last = stream
                      open.set(stream, { token, room: window, got: 0 })
                      assert.isAtMost(open.size, streams)
                      if (open.size === goAway && !gone) {
                        gone = true
                        yield* send(framed(GOAWAY!, 0, 0, uint32(last, 0)))
                      }
                      if (isLast) yield* finish(stream)
                      else if (window < 50) yield* send(framed(WINDOW_UPDATE!, 0, stream, uint32(50)))
                    }
                    if (type === DATA && payload.length > 0) {
                      const call = open.get(stream)
                      room -= payload.length
                      assert.isAtLeast(room, 0)
                      if (call === undefined) continue
                      call.got += payload.length
                      call.room -= payload.length
                      assert.isAtLeast(call.room + (window < 50 ? 50 * (1 + Math.floor(call.got / 50)) : call.got), 0)
                      yield* send(framed(WINDOW_UPDATE!, 0, stream, uint32(payload.length)))
                    }
                    if (type === DATA && isLast && open.has(stream)) yield* finish(stream)
                  }
                })
              yield* startServer({ port: to.port, onHandlerError: () => Effect.void }, (connection) =>
                Effect.flatMap(script(connection, { 3: streams, 4: window }), serve).pipe(
                  // the network breaks; what the script asserts does not
                  Effect.catch(() => Effect.void)
                )
              )
              const connected = yield* Effect.exit(connect({ ...to, connectTimeout: "1 minute" }))
              if (Exit.isFailure(connected)) return
              const client = connected.value
              const ask = (index: number) =>
                Effect.gen(function* () {
                  const { body, patience } = requests[index]!
                  const asking = client.fetch({
                    path: `/${index}`,
                    ...(body === 0 ? {} : { method: "POST", body: Stream.make(new Uint8Array(body)) })
                  })
                  const exit = yield* Effect.exit(Effect.timeoutOption(asking, patience))
                  if (Exit.isFailure(exit)) {
                    const error = refusalOf(exit)
                    seen.failed++
                    if (!error.safeToRetry) return
                    seen.safe++
                    // what the server does behind its back comes later
                    yield* Effect.sleep("10 seconds")
                    assert.isFalse(acted.has(`${index}`), `${index}: ${error.message}`)
                  } else if (Option.isSome(exit.value)) {
                    seen.answered++
                    assert.strictEqual(Buffer.from(exit.value.value.body).toString(), `${index}:${body}`)
                  } else seen.left++
                })
              yield* Effect.forEach(range(requests.length), ask, { concurrency: 8 })
            }),
            options
          ),
        { numRuns: 150 }
      )
      if (all) {
        assert.isAbove(seen.answered, 150)
        assert.isAbove(seen.failed, 100)
        assert.isAbove(seen.safe, 60)
        assert.isAbove(seen.left, 200)
      }
    })
  )

  it.effect("a server that falls silent is noticed while something is awaited of it, and not asked otherwise", () =>
    Effect.gen(function* () {
      const { result, served } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            const { payload } = yield* nextOf(PING!)
            yield* send(framed(PING!, ACK!, 0, payload))
            const types: Array<number> = []
            for (let found = yield* next; found !== undefined; found = yield* next) types.push(found.type)
            return types
          }),
        (client) =>
          Effect.gen(function* () {
            yield* Effect.sleep("10 minutes")
            const exit = yield* Effect.exit(client.fetch({ path: "/" }))
            return refusalOf(exit)
          })
      )
      assert.deepInclude({ ...result }, { code: "LOST", by: "network", connection: true, safeToRetry: false })
      assert.deepStrictEqual(served, [PING])
    })
  )

  it.effect("a server that says nothing at all is left after ten seconds", () =>
    Effect.gen(function* () {
      const error = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          yield* startServer({ port: to.port }, () => Effect.never)
          return yield* Effect.flip(connect(to))
        })
      )
      assert.deepInclude({ ...error }, { _tag: "Http2Error", code: "SETTINGS_TIMEOUT" })
    })
  )
})

describe("limits", () => {
  it.effect("a server that takes no request for now is waited for, and what is left meanwhile is never sent", () =>
    Effect.gen(function* () {
      const { result, served } = yield* between(
        ({ headers, nextOf, send }) =>
          Effect.gen(function* () {
            yield* Effect.sleep("20 seconds")
            yield* send(settings({ 3: 1 }))
            const paths: Array<unknown> = []
            for (const id of [1, 3]) {
              const found = yield* nextOf(HEADERS!)
              assert.strictEqual(found.stream, id)
              paths.push(headers(found)[":path"])
              yield* send(answer(id, "x"))
            }
            return paths
          }),
        (client) =>
          Effect.gen(function* () {
            const left = yield* start(client.fetch({ path: "/left" }))
            const all = yield* start(
              Effect.all(
                ["/a", "/b"].map((path) => client.fetch({ path })),
                { concurrency: 2 }
              )
            )
            yield* Effect.sleep("10 seconds")
            yield* Fiber.interrupt(left)
            return (yield* Fiber.join(all)).map(({ status }) => status)
          }).pipe(Effect.scoped),
        { 3: 0 }
      )
      assert.deepStrictEqual(
        [result, served],
        [
          [200, 200],
          ["/a", "/b"]
        ]
      )
    })
  )

  it.effect("windows are kept to when they shrink below nothing, and grow again", () =>
    Effect.gen(function* () {
      const { served } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            const size = (yield* nextOf(DATA!)).payload.length
            // of 1,000 bytes 1,000 are there: 600 less than nothing, and then 100 more than that
            yield* send(settings({ 4: 400 }), framed(WINDOW_UPDATE!, 0, 1, uint32(600)))
            yield* send(framed(PING!, 0, 0, "12345678"))
            const between: Array<number> = []
            for (let found = yield* next; found?.type !== PING; found = yield* next) between.push(found!.type)
            yield* send(framed(WINDOW_UPDATE!, 0, 1, uint32(100)))
            const more = (yield* nextOf(DATA!)).payload.length
            yield* send(framed(WINDOW_UPDATE!, 0, 1, uint32(1_000_000)))
            let rest = 0
            for (let found = yield* nextOf(DATA!); ; found = yield* nextOf(DATA!)) {
              rest += found.payload.length
              if ((found.flags & END_STREAM!) !== 0) break
            }
            yield* send(answer(1))
            return { between, more, rest, size }
          }),
        (client) => client.fetch({ method: "POST", path: "/", body: Stream.make(new Uint8Array(3000)) }),
        { 4: 1000 }
      )
      assert.deepStrictEqual(served, { size: 1000, between: [SETTINGS], more: 100, rest: 1900 })
    })
  )

  it.effect("a body comes as fast as it is read: the server is told of room only then", () =>
    Effect.gen(function* () {
      let read = 0
      const { served } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            yield* send(framed(HEADERS!, END_HEADERS!, 1, ok))
            let room = 262_144
            let sent = 0
            while (sent < 1_000_000) {
              while (room >= 1000) {
                yield* send(framed(DATA!, 0, 1, new Uint8Array(1000)))
                room -= 1000
                sent += 1000
              }
              const found = yield* next
              // as much again is in the hands of the reader
              assert.isAtMost(sent - read, 2 * 262_144)
              if (found!.type === PING) yield* send(framed(PING!, ACK!, 0, found!.payload))
              if (found!.type === WINDOW_UPDATE && found!.stream === 1)
                room += Buffer.from(found!.payload).readUInt32BE()
            }
            yield* send(framed(DATA!, END_STREAM!, 1))
            return sent
          }),
        (client) =>
          Effect.gen(function* () {
            const { body } = yield* client.request({ path: "/" })
            yield* Effect.sleep("1 minute")
            yield* Stream.runForEach(body, (chunk) =>
              Effect.delay(
                Effect.sync(() => (read += chunk.length)),
                10
              )
            )
          }).pipe(Effect.scoped)
      )
      assert.strictEqual(read, served)
    })
  )

  it.effect("what nobody reads any more is given back to the connection: unread bodies, late ones, and padding", () =>
    Effect.gen(function* () {
      const requests = 210
      const { result } = yield* between(
        ({ next, send }) =>
          Effect.gen(function* () {
            let room = 65_535
            const put = (id: number) =>
              Effect.gen(function* () {
                for (let sent = 0; sent < 8; sent++) {
                  room -= 16_384
                  assert.isAtLeast(room, 0)
                  yield* send(framed(DATA!, 0, id, new Uint8Array(16_384)))
                }
              })
            for (let found = yield* next; found !== undefined; found = yield* next) {
              const { payload, stream, type } = found
              if (type === WINDOW_UPDATE && stream === 0) room += Buffer.from(payload).readUInt32BE()
              if (type === HEADERS) {
                yield* send(framed(HEADERS!, END_HEADERS!, stream, ok))
                yield* put(stream)
              }
              // it was left: the rest was on its way
              if (type === RST_STREAM) yield* put(stream)
              if (type === PING) yield* send(framed(PING!, ACK!, 0, payload))
            }
          }),
        (client) =>
          Effect.gen(function* () {
            for (const _ of range(requests)) {
              yield* Effect.scoped(Effect.andThen(client.request({ path: "/" }), Effect.sleep(10)))
            }
            return requests
          })
      )
      assert.strictEqual(result, requests)
    })
  )

  it.effect("padding takes no room of its body: a server that pads is not held up", () =>
    Effect.gen(function* () {
      const { result } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            yield* send(head)
            let room = 262_144
            for (let sent = 0; sent < 3000; sent++) {
              while (room < 257) {
                const { payload, stream, type } = (yield* next)!
                if (type === WINDOW_UPDATE && stream === 1) room += Buffer.from(payload).readUInt32BE()
              }
              room -= 257
              const data = Buffer.alloc(257)
              data.set([255, 120])
              yield* send(framed(DATA!, PADDED!, 1, data))
            }
            yield* send(framed(DATA!, END_STREAM!, 1))
          }),
        (client) =>
          Effect.gen(function* () {
            const { body } = yield* client.request({ path: "/" })
            yield* Effect.sleep("10 seconds")
            return Buffer.concat(yield* Stream.runCollect(body)).toString()
          }).pipe(Effect.scoped)
      )
      assert.strictEqual(result, "x".repeat(3000))
    })
  )

  it.effect("all uploads together keep to the window of the connection, and pay for what they are told of room", () =>
    Effect.gen(function* () {
      const { result, served } = yield* between(
        ({ next, send }) =>
          Effect.gen(function* () {
            let most = 0
            let got = 0
            let ends = 0
            const seen = new Map<number, number>()
            const take = Effect.gen(function* () {
              const found = (yield* next)!
              if (found.type === DATA) {
                got += found.payload.length
                seen.set(found.stream, (seen.get(found.stream) ?? 0) + found.payload.length)
                if ((found.flags & END_STREAM!) !== 0) {
                  ends++
                  yield* send(answer(found.stream, `${seen.get(found.stream)}`))
                }
              }
              return found
            })
            while (got < 65_535) yield* take
            // nothing more comes while there is no room
            yield* send(framed(PING!, 0, 0, "12345678"))
            while ((yield* take).type !== PING) most = got
            const before = Math.max(got, most)
            // 2,000 small pieces, of which each is told twice
            for (let i = 0; i < 2000; i++) {
              const now = got
              yield* send(framed(WINDOW_UPDATE!, 0, 0, uint32(10)), framed(WINDOW_UPDATE!, 0, 1, uint32(1)))
              while (got === now) yield* take
            }
            yield* send(framed(WINDOW_UPDATE!, 0, 0, uint32(1_000_000)))
            // small pieces of room were for one upload after the other
            const [one, other] = [seen.get(3)!, seen.get(5)!]
            while (ends < 3) yield* take
            assert.isAtMost(Math.abs(one - other), 16_384)
            return before
          }),
        (client) =>
          Effect.forEach(
            range(3),
            () => client.fetch({ method: "POST", path: "/", body: Stream.make(new Uint8Array(50_000)) }),
            { concurrency: 3 }
          ),
        { 4: 1_000_000 }
      )
      assert.strictEqual(served, 65_535)
      assert.deepStrictEqual(
        result.map(({ body }) => Buffer.from(body).toString()),
        ["50000", "50000", "50000"]
      )
    })
  )

  it.effect("a request whose answer came before its end has its place until that, and no longer", () =>
    Effect.gen(function* () {
      const { result, served } = yield* between(
        ({ nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            yield* send(answer(1, "early"))
            let got = 0
            for (let found = yield* nextOf(DATA!); ; found = yield* nextOf(DATA!)) {
              got += found.payload.length
              if ((found.flags & END_STREAM!) !== 0) break
            }
            const { stream } = yield* nextOf(HEADERS!)
            yield* send(answer(stream, "next"))
            return [got, stream]
          }),
        (client) =>
          Effect.gen(function* () {
            const body = Stream.concat(
              Stream.make(new Uint8Array(10)),
              Stream.fromEffect(Effect.delay(Effect.succeed(new Uint8Array(5)), 100))
            )
            const first = yield* client.request({ method: "POST", path: "/", body })
            const next = yield* client.fetch({ path: "/" })
            return [first.status, Buffer.from(next.body).toString()]
          }).pipe(Effect.scoped),
        { 3: 1 }
      )
      assert.deepStrictEqual(
        [result, served],
        [
          [200, "next"],
          [15, 3]
        ]
      )
    })
  )

  it.effect(
    "a connection that the server ends is left once the last upload is done, though its answer was there before",
    () =>
      Effect.gen(function* () {
        const { served } = yield* between(
          ({ next, nextOf, send }) =>
            Effect.gen(function* () {
              yield* nextOf(HEADERS!)
              yield* send(framed(GOAWAY!, 0, 0, uint32(1, 0)), answer(1, "early"))
              let last = yield* nextOf(DATA!)
              for (let found: typeof last | undefined = last; found !== undefined; found = yield* next) last = found
              return [last.flags, yield* Effect.clockWith((clock) => clock.currentTimeMillis)]
            }),
          (client) =>
            Effect.gen(function* () {
              const body = Stream.concat(
                Stream.make(new Uint8Array(10)),
                Stream.fromEffect(Effect.delay(Effect.succeed(new Uint8Array(5)), 100))
              )
              yield* client.request({ method: "POST", path: "/", body })
              yield* Effect.sleep("1 minute")
            }).pipe(Effect.scoped)
        )
        assert.deepStrictEqual(served, [END_STREAM, 100])
      })
  )

  it.effect("a server that measures with a PING for each piece of a body is no flood", () =>
    Effect.gen(function* () {
      const { result } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            yield* send(head)
            let room = 262_144
            for (let sent = 0; sent < 1500; sent++) {
              while (room < 16_384) {
                const { payload, stream, type } = (yield* next)!
                if (type === WINDOW_UPDATE && stream === 1) room += Buffer.from(payload).readUInt32BE()
              }
              room -= 16_384
              yield* send(framed(DATA!, 0, 1, new Uint8Array(16_384)), framed(PING!, 0, 0, "12345678"))
            }
            yield* send(framed(DATA!, END_STREAM!, 1))
          }),
        (client) => Effect.map(client.fetch({ path: "/" }), ({ body }) => body.length)
      )
      assert.strictEqual(result, 1500 * 16_384)
    })
  )

  it.effect("nothing of a body is sent behind the reset of its request", () =>
    Effect.gen(function* () {
      const { served } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(DATA!)
            yield* send(framed(HEADERS!, END_HEADERS!, 1, literal(["a", "no status"])))
            yield* nextOf(RST_STREAM!)
            yield* send(framed(PING!, ACK!, 0, (yield* nextOf(PING!)).payload))
            const types: Array<number> = []
            for (let found = yield* next; found !== undefined; found = yield* next) types.push(found.type)
            return types
          }),
        (client) =>
          Effect.gen(function* () {
            const body = Stream.tick(100).pipe(Stream.map(() => new Uint8Array(10)))
            const exit = yield* Effect.exit(Effect.forkScoped(client.request({ method: "POST", path: "/", body })))
            yield* Effect.sleep("2 seconds")
            return exit
          }).pipe(Effect.scoped)
      )
      assert.deepStrictEqual(served, [GOAWAY])
    })
  )

  it.effect("an answer whose headers come in pieces ends where the first piece says so", () =>
    Effect.gen(function* () {
      const { result } = yield* between(
        ({ nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            const pieces = [ok.subarray(0, 3), ok.subarray(3, 5), ok.subarray(5)]
            yield* send(framed(HEADERS!, END_STREAM!, 1, pieces[0]!), framed(CONTINUATION!, 0, 1, pieces[1]!))
            yield* send(framed(CONTINUATION!, END_HEADERS!, 1, pieces[2]!))
          }),
        (client) => Effect.timeout(client.fetch({ path: "/" }), "1 second")
      )
      assert.deepStrictEqual([result.status, result.body.length], [200, 0])
    })
  )

  it.effect("of a connection that is lost, what waited for its turn was not sent, and may be sent elsewhere", () =>
    Effect.gen(function* () {
      const { result } = yield* between(
        ({ nextOf }, connection) => Effect.andThen(nextOf(HEADERS!), connection.abort),
        (client) => Effect.forEach(range(3), () => Effect.exit(client.fetch({ path: "/" })), { concurrency: 3 }),
        { 3: 1 }
      )
      assert.deepStrictEqual(
        result.map((exit) => [refusalOf(exit).code, refusalOf(exit).safeToRetry]),
        [
          ["LOST", false],
          ["LOST", true],
          ["LOST", true]
        ]
      )
    })
  )

  it.effect("a server that sends more than there is room for is left", () =>
    Effect.gen(function* () {
      const { result, served } = yield* between(
        ({ nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            yield* send(head, ...times(16, framed(DATA!, 0, 1, new Uint8Array(16_384))), framed(DATA!, 0, 1, "x"))
            return goAwayOf(yield* nextOf(GOAWAY!)).code
          }),
        (client) =>
          Effect.gen(function* () {
            const { body } = yield* client.request({ path: "/" })
            yield* Effect.sleep("1 second")
            return refusalOf(yield* Effect.exit(Stream.runDrain(body)))
          }).pipe(Effect.scoped)
      )
      assert.deepInclude({ ...result }, { code: "FLOW_CONTROL_ERROR", by: "client", connection: true })
      assert.strictEqual(served, 3)
    })
  )

  it.effect(
    "a request that is left keeps its place until the server has heard, so nobody makes us a flood of resets",
    () =>
      Effect.gen(function* () {
        const { served } = yield* between(
          ({ next, nextOf, send }) =>
            Effect.gen(function* () {
              const pings: Array<Uint8Array> = []
              let requests = 0
              for (let found = yield* next; pings.length < 2; found = yield* next) {
                if (found!.type === HEADERS) requests++
                if (found!.type === PING) pings.push(found!.payload)
              }
              yield* Effect.sleep("5 seconds")
              yield* send(...pings.map((payload) => framed(PING!, ACK!, 0, payload)))
              const third = yield* nextOf(HEADERS!)
              yield* send(answer(third.stream))
              return requests
            }),
          (client) =>
            Effect.gen(function* () {
              for (const _ of range(50)) yield* Effect.timeoutOption(client.fetch({ path: "/" }), 1)
              return yield* client.fetch({ path: "/" })
            }),
          { 3: 2 }
        )
        assert.strictEqual(served, 2)
      })
  )

  it.effect(
    "what was on its way when a request was left is no fault, and what comes behind the answer to that is one",
    () =>
      Effect.gen(function* () {
        const { result, served } = yield* between(
          ({ nextOf, send }) =>
            Effect.gen(function* () {
              yield* nextOf(RST_STREAM!)
              const { payload } = yield* nextOf(PING!)
              const late = [framed(HEADERS!, END_HEADERS!, 1, ok), framed(DATA!, 0, 1, "late")]
              yield* send(...late, framed(PING!, ACK!, 0, payload))
              yield* nextOf(HEADERS!)
              yield* send(answer(3, "fine"))
              yield* nextOf(HEADERS!)
              yield* send(framed(DATA!, 0, 1, "too late"))
              return goAwayOf(yield* nextOf(GOAWAY!))
            }),
          (client) =>
            Effect.gen(function* () {
              yield* Effect.timeoutOption(client.fetch({ path: "/left" }), 10)
              const { body } = yield* client.fetch({ path: "/" })
              assert.strictEqual(Buffer.from(body).toString(), "fine")
              return refusalOf(yield* Effect.exit(client.fetch({ path: "/" })))
            })
        )
        assert.strictEqual(result.code, "STREAM_CLOSED")
        assert.strictEqual(served.code, 5)
      })
  )

  it.effect("the last requests of a connection that the server ends are answered, and none begins behind them", () =>
    Effect.gen(function* () {
      const { result, served } = yield* between(
        ({ next, nextOf, send }) =>
          Effect.gen(function* () {
            for (const _ of range(3)) yield* nextOf(HEADERS!)
            yield* send(framed(GOAWAY!, 0, 0, uint32(0x7fff_ffff, 0)), framed(GOAWAY!, 0, 0, uint32(3, 0)))
            yield* Effect.sleep("1 second")
            yield* send(answer(3, "3"), answer(1, "1"))
            const types: Array<number> = []
            for (let found = yield* next; found !== undefined; found = yield* next) types.push(found.type)
            // the client leaves when the last one is answered, and not with its scope
            assert.isBelow(yield* Effect.clockWith((clock) => clock.currentTimeMillis), 5000)
            return types
          }),
        (client) =>
          Effect.gen(function* () {
            const ask = Effect.map(client.fetch({ path: "/" }), ({ body }) => Buffer.from(body).toString())
            const asking = yield* Effect.forEach(range(4), () => start(Effect.exit(ask)))
            yield* Effect.sleep(100)
            const late = refusalOf(yield* Effect.exit(ask))
            const exits = yield* Effect.forEach(asking, Fiber.join)
            yield* Effect.sleep("1 minute")
            return [...exits, Exit.fail(late)].map((exit) =>
              Exit.isSuccess(exit) ? exit.value : refusalOf(exit).safeToRetry
            )
          }).pipe(Effect.scoped),
        { 3: 3 }
      )
      assert.deepStrictEqual(result, ["1", "3", true, true, true])
      assert.notInclude(served, HEADERS)
    })
  )
})

/** What comes of a server that says `said` in the middle of a response: how the request ends, and what it is told. */
const given = (said: ReadonlyArray<Uint8Array>, options: TestNetwork.Options = {}) =>
  between(
    ({ next, nextOf, send }) =>
      Effect.gen(function* () {
        yield* nextOf(HEADERS!)
        // what is refused half-way is not read to its end
        yield* Effect.exit(send(...said))
        for (let found = yield* next; found !== undefined; found = yield* next) {
          if (found.type === GOAWAY) return { goAway: goAwayOf(found).code }
          if (found.type === RST_STREAM) return { reset: Buffer.from(found.payload).readUInt32BE() }
        }
        return {}
      }).pipe(Effect.catch(() => Effect.succeed({}))),
    (client) =>
      // what comes behind the answer is awaited as well
      Effect.tap(Effect.exit(Effect.timeout(client.fetch({ path: "/" }), "1 second")), () => Effect.sleep("1 second")),
    {},
    options
  )

const head = framed(HEADERS!, END_HEADERS!, 1, ok)
const times = (count: number, bytes: Uint8Array) => range(count).map(() => bytes)

describe("floods", () => {
  const floods: ReadonlyArray<readonly [string, ReadonlyArray<Uint8Array>]> = [
    ["PING (CVE-2019-9512)", times(1200, framed(PING!, 0, 0, "12345678"))],
    ["answers to PINGs that nobody sent", times(1200, framed(PING!, ACK!, 0, "12345678"))],
    ["SETTINGS (CVE-2019-9515)", times(1200, framed(SETTINGS!, 0, 0))],
    [
      "settings in few frames",
      times(2, settings({ 3: 1 })).concat(
        framed(SETTINGS!, 0, 0, Buffer.concat(times(1000, Buffer.from("000300000064", "hex"))))
      )
    ],
    ["answers to SETTINGS", times(1200, framed(SETTINGS!, ACK!, 0))],
    ["empty DATA (CVE-2019-9518)", [head, ...times(1200, framed(DATA!, 0, 1))]],
    ["DATA of padding alone", [head, ...times(1200, framed(DATA!, PADDED!, 1, "\x02\0\0"))]],
    [
      "CONTINUATION without bytes (CVE-2024-27316)",
      [framed(HEADERS!, 0, 1, ok), ...times(1200, framed(CONTINUATION!, 0, 1))]
    ],
    [
      "CONTINUATION with bytes",
      [framed(HEADERS!, 0, 1, ok), ...times(8, framed(CONTINUATION!, 0, 1, literal(["x", "y".repeat(16_000)])))]
    ],
    ["WINDOW_UPDATE", times(1200, framed(WINDOW_UPDATE!, 0, 0, uint32(1)))],
    ["WINDOW_UPDATE of a stream", times(1200, framed(WINDOW_UPDATE!, 0, 1, uint32(1)))],
    ["PRIORITY (CVE-2019-9513)", times(1200, framed(PRIORITY!, 0, 1, "\0\0\0\0\0"))],
    ["RST_STREAM (CVE-2019-9514, CVE-2023-44487)", times(1200, framed(RST_STREAM!, 0, 1, uint32(0)))],
    ["GOAWAY", times(1200, framed(GOAWAY!, 0, 0, uint32(1, 0)))],
    ["hints without an answer", times(1200, framed(HEADERS!, END_HEADERS!, 1, literal([":status", "103"])))],
    ["frames that nobody knows", times(1200, framed(99, 0, 1, "what?"))]
  ]

  it.effect("each of them ends the connection with ENHANCE_YOUR_CALM", () =>
    Effect.gen(function* () {
      for (const [name, said] of floods) {
        const { result, served } = yield* given(said)
        const isReset = name.startsWith("RST_STREAM")
        assert.deepStrictEqual([name, served], [name, { goAway: 11 }])
        // the first one has ended the request
        assert.strictEqual(refusalOf(result).code, isReset ? "NO_ERROR" : "ENHANCE_YOUR_CALM", name)
      }
    })
  )

  it.effect("as much as servers do is no flood: hundreds at once, and any number in time", () =>
    Effect.gen(function* () {
      const ends = floods.filter(([name]) => !/^(RST|GOAWAY|CONT|settings)/.test(name))
      for (const [name, said] of ends) {
        const some = said.slice(0, 400)
        const isOpen = some.includes(head)
        const { result } = yield* between(
          ({ nextOf, send }) =>
            Effect.gen(function* () {
              yield* nextOf(HEADERS!)
              for (const part of range(5)) {
                yield* send(...(part === 0 ? some : some.filter((frame) => frame !== head)))
                yield* Effect.sleep("5 seconds")
              }
              yield* send(isOpen ? framed(DATA!, END_STREAM!, 1, "fine") : answer(1, "fine"))
            }),
          (client) => client.fetch({ path: "/" })
        )
        assert.deepStrictEqual([name, Buffer.from(result.body).toString()], [name, "fine"])
      }
    })
  )

  it.effect("headers that grow when they are read are read, not kept, and end one response (an HPACK bomb)", () =>
    Effect.gen(function* () {
      // an entry of 4,000 bytes, and 16,000 times its number
      const big = "x".repeat(4000)
      const entry = Buffer.concat([
        Uint8Array.of(0x40, 1),
        Buffer.from("a"),
        Uint8Array.of(127, 0xa1, 0x1e),
        Buffer.from(big)
      ])
      const block = Buffer.concat([ok, entry, Buffer.alloc(12_000, 0xbe)])
      const { result, served } = yield* given([framed(HEADERS!, END_HEADERS!, 1, block)])
      assert.deepStrictEqual(served, { reset: 11 })
      assert.deepInclude({ ...refusalOf(result) }, { code: "ENHANCE_YOUR_CALM", connection: false })
    })
  )

  it.effect("small pieces of a body that nobody reads take no more memory than a few times their size", () =>
    Effect.gen(function* () {
      const pieces = times(60_000, framed(DATA!, 0, 1, "x"))
      const { served } = yield* between(
        ({ nextOf, send }) =>
          Effect.gen(function* () {
            yield* nextOf(HEADERS!)
            const before = process.memoryUsage()
            yield* send(head, ...pieces)
            yield* send(framed(PING!, 0, 0, "12345678"))
            yield* nextOf(PING!)
            const after = process.memoryUsage()
            yield* send(framed(DATA!, END_STREAM!, 1))
            // buffers are among it, also where a runtime does not count them by themselves
            return after.external - before.external
          }),
        (client) =>
          Effect.gen(function* () {
            const { body } = yield* client.request({ path: "/" })
            yield* Effect.sleep("1 minute")
            const read = yield* Stream.runCollect(body)
            assert.strictEqual(Buffer.concat(read).toString(), "x".repeat(60_000))
            // they were put together
            assert.isAtMost(read.length, 256)
          }).pipe(Effect.scoped)
      )
      assert.isBelow(served, 20_000_000)
    })
  )
})

describe("bad input", () => {
  const connectionFaults: ReadonlyArray<readonly [string, string, ...ReadonlyArray<Uint8Array>]> = [
    ["a frame of more than 16,384 bytes", "FRAME_SIZE_ERROR", head, framed(DATA!, 0, 1, new Uint8Array(16_385))],
    ["DATA on stream 0", "PROTOCOL_ERROR", framed(DATA!, 0, 0, "x")],
    ["HEADERS on stream 0", "PROTOCOL_ERROR", framed(HEADERS!, END_HEADERS!, 0, ok)],
    ["HEADERS on a stream of the server", "PROTOCOL_ERROR", framed(HEADERS!, END_HEADERS!, 2, ok)],
    ["HEADERS on a stream that was never opened", "PROTOCOL_ERROR", framed(HEADERS!, END_HEADERS!, 3, ok)],
    ["RST_STREAM of a stream that was never opened", "PROTOCOL_ERROR", framed(RST_STREAM!, 0, 5, uint32(0))],
    ["WINDOW_UPDATE of a stream that was never opened", "PROTOCOL_ERROR", framed(WINDOW_UPDATE!, 0, 5, uint32(1))],
    ["SETTINGS on a stream", "PROTOCOL_ERROR", framed(SETTINGS!, 0, 1)],
    ["PING on a stream", "PROTOCOL_ERROR", framed(PING!, 0, 1, "12345678")],
    ["GOAWAY on a stream", "PROTOCOL_ERROR", framed(GOAWAY!, 0, 1, uint32(0, 0))],
    ["RST_STREAM on stream 0", "PROTOCOL_ERROR", framed(RST_STREAM!, 0, 0, uint32(0))],
    ["a PING of 7 bytes", "FRAME_SIZE_ERROR", framed(PING!, 0, 0, "1234567")],
    ["a RST_STREAM of 5 bytes", "FRAME_SIZE_ERROR", framed(RST_STREAM!, 0, 1, "12345")],
    ["a WINDOW_UPDATE of 3 bytes", "FRAME_SIZE_ERROR", framed(WINDOW_UPDATE!, 0, 1, "123")],
    ["a PRIORITY of 4 bytes", "FRAME_SIZE_ERROR", framed(PRIORITY!, 0, 1, "1234")],
    ["a GOAWAY of 7 bytes", "FRAME_SIZE_ERROR", framed(GOAWAY!, 0, 0, "1234567")],
    ["SETTINGS of 5 bytes", "FRAME_SIZE_ERROR", framed(SETTINGS!, 0, 0, "12345")],
    ["an answer to SETTINGS that has some", "FRAME_SIZE_ERROR", framed(SETTINGS!, ACK!, 0, "123456")],
    ["a server that allows pushes", "PROTOCOL_ERROR", settings({ 2: 1 })],
    ["a window of more than 2^31 - 1", "FLOW_CONTROL_ERROR", settings({ 4: 0x8000_0000 })],
    ["frames of less than 16,384 bytes", "PROTOCOL_ERROR", settings({ 5: 16_383 })],
    ["frames of more than 2^24 - 1 bytes", "PROTOCOL_ERROR", settings({ 5: 16_777_216 })],
    [
      "a window of a stream that grows too large by settings",
      "FLOW_CONTROL_ERROR",
      framed(WINDOW_UPDATE!, 0, 1, uint32(0x7fff_ffff - 65_535)),
      settings({ 4: 65_536 })
    ],
    ["the window of the connection grows by nothing", "PROTOCOL_ERROR", framed(WINDOW_UPDATE!, 0, 0, uint32(0))],
    [
      "the window of the connection grows too large",
      "FLOW_CONTROL_ERROR",
      framed(WINDOW_UPDATE!, 0, 0, uint32(0x7fff_ffff))
    ],
    ["PUSH_PROMISE", "PROTOCOL_ERROR", framed(PUSH_PROMISE!, END_HEADERS!, 1, Buffer.concat([uint32(2), ok]))],
    ["CONTINUATION of nothing", "PROTOCOL_ERROR", framed(CONTINUATION!, END_HEADERS!, 1, ok)],
    [
      "a PING among the pieces of headers",
      "PROTOCOL_ERROR",
      framed(HEADERS!, 0, 1, ok),
      framed(PING!, 0, 0, "12345678")
    ],
    [
      "headers that go on on another stream",
      "PROTOCOL_ERROR",
      framed(HEADERS!, 0, 1, ok),
      framed(CONTINUATION!, END_HEADERS!, 3)
    ],
    ["more padding than bytes", "PROTOCOL_ERROR", head, framed(DATA!, PADDED!, 1, "\x05abcd")],
    ["padding of a frame without bytes", "PROTOCOL_ERROR", head, framed(DATA!, PADDED!, 1)],
    ["headers with more padding than bytes", "PROTOCOL_ERROR", framed(HEADERS!, END_HEADERS! | PADDED!, 1, "\x05abcd")],
    ["headers without room for their priority", "PROTOCOL_ERROR", framed(HEADERS!, END_HEADERS! | 0x20, 1, "abcd")],
    ["an index of nothing", "COMPRESSION_ERROR", framed(HEADERS!, END_HEADERS!, 1, "\x80")],
    ["an index beyond the table", "COMPRESSION_ERROR", framed(HEADERS!, END_HEADERS!, 1, "\xff\x50")],
    [
      "an integer without an end",
      "COMPRESSION_ERROR",
      framed(HEADERS!, END_HEADERS!, 1, "\xff\xff\xff\xff\xff\xff\xff\xff")
    ],
    ["a string that is cut", "COMPRESSION_ERROR", framed(HEADERS!, END_HEADERS!, 1, "\0\x05abc")],
    [
      "a table larger than was allowed",
      "COMPRESSION_ERROR",
      framed(HEADERS!, END_HEADERS!, 1, Buffer.from("3fe23f88", "hex"))
    ],
    [
      "Huffman's code for the end",
      "COMPRESSION_ERROR",
      framed(HEADERS!, END_HEADERS!, 1, Buffer.from("00017884ffffffff", "hex"))
    ],
    [
      "Huffman's code with wrong padding",
      "COMPRESSION_ERROR",
      framed(HEADERS!, END_HEADERS!, 1, Buffer.from("0001788110", "hex"))
    ],
    ["DATA behind the end of a response", "STREAM_CLOSED", answer(1, "x"), framed(DATA!, 0, 1, "y")],
    ["HEADERS behind the end of a response", "STREAM_CLOSED", answer(1, "x"), head]
  ]
  const answered = /behind the end/

  it.effect("what ends the connection does so with its code, however it is cut", () =>
    Effect.gen(function* () {
      for (const [name, code, ...said] of connectionFaults) {
        for (const chunking of ["asIs", ...(said.length < 10 ? (["halves", "oneByte"] as const) : [])] as const) {
          // a frame as long as that takes a while, a byte at a time
          if (chunking === "oneByte" && said.some(({ length }) => length > 10_000)) continue
          const { result, served } = yield* given(said, { fromServer: { chunking } })
          assert.strictEqual("goAway" in served ? codes[served.goAway!] : served, code, `${name}, ${chunking}`)
          if (answered.test(name) && Exit.isSuccess(result)) continue
          assert.deepInclude({ ...refusalOf(result) }, { code, by: "client", connection: true }, name)
        }
      }
    })
  )

  const codes = [
    ...["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED"],
    ...["FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"]
  ]
  const headers = (flags: number, ...fields: ReadonlyArray<readonly [string, string]>) =>
    framed(HEADERS!, END_HEADERS! | flags, 1, literal(...fields))
  const status = [":status", "200"] as const
  const requestFaults: ReadonlyArray<readonly [string, ...ReadonlyArray<Uint8Array>]> = [
    ["no status", headers(0, ["a", "b"])],
    ["no headers at all", headers(0)],
    ["a status of two digits", headers(0, [":status", "20"])],
    ["a status of letters", headers(0, [":status", "abc"])],
    ["a status of nothing", headers(0, [":status", ""])],
    ["two of them", headers(0, status, status)],
    ["a status behind a field", headers(0, ["a", "b"], status)],
    ["a pseudo-field of requests", headers(0, status, [":path", "/"])],
    ["101", headers(0, [":status", "101"])],
    ["hints that are the end", headers(END_STREAM!, [":status", "103"])],
    ["a name with capitals", headers(0, status, ["Server", "x"])],
    ["a name with a space", headers(0, status, ["a b", "x"])],
    ["a name of nothing", headers(0, status, ["", "x"])],
    ["a line feed in a value", headers(0, status, ["a", "x\ny: z"])],
    ["a zero in a value", headers(0, status, ["a", "x\0"])],
    ["a space around a value", headers(0, status, ["a", " x"])],
    ["connection", headers(0, status, ["connection", "close"])],
    ["transfer-encoding", headers(0, status, ["transfer-encoding", "chunked"])],
    ["lengths that differ", headers(0, status, ["content-length", "1"], ["content-length", "2"])],
    ["a length that is none", headers(0, status, ["content-length", "-1"])],
    ["a body that is too short", headers(0, status, ["content-length", "3"]), framed(DATA!, END_STREAM!, 1, "ab")],
    ["a body that is too long", headers(0, status, ["content-length", "1"]), framed(DATA!, END_STREAM!, 1, "ab")],
    ["no body where there is to be one", headers(END_STREAM!, status, ["content-length", "1"])],
    ["a body without headers", framed(DATA!, END_STREAM!, 1, "ab")],
    ["headers again", head, head],
    ["a status in trailers", head, headers(END_STREAM!, status)],
    ["a window that grows by nothing", framed(WINDOW_UPDATE!, 0, 1, uint32(0))]
  ]

  it.effect("what ends one response does so, and the next one on the connection comes as it should", () =>
    Effect.gen(function* () {
      for (const [name, ...said] of requestFaults) {
        for (const chunking of ["asIs", "halves", "oneByte"] as const) {
          const { result, served } = yield* between(
            ({ nextOf, send }) =>
              Effect.gen(function* () {
                yield* nextOf(HEADERS!)
                yield* send(...said)
                const { payload } = yield* nextOf(RST_STREAM!)
                yield* send(framed(PING!, ACK!, 0, (yield* nextOf(PING!)).payload))
                yield* nextOf(HEADERS!)
                yield* send(answer(3, "fine"))
                return Buffer.from(payload).readUInt32BE()
              }),
            (client) =>
              Effect.gen(function* () {
                const refused = yield* Effect.exit(Effect.timeout(client.fetch({ path: "/" }), "1 second"))
                const { body } = yield* client.fetch({ path: "/" })
                return [refusalOf(refused), Buffer.from(body).toString()] as const
              }),
            {},
            { fromServer: { chunking } }
          )
          assert.deepStrictEqual([name, served, result[1]], [name, 1, "fine"])
          assert.deepInclude({ ...result[0] }, { code: "PROTOCOL_ERROR", by: "client", connection: false }, name)
        }
      }
    })
  )

  it.effect("a server that does not begin with its settings is none", () =>
    Effect.gen(function* () {
      for (const first of [
        framed(PING!, 0, 0, "12345678"),
        framed(SETTINGS!, ACK!, 0),
        Buffer.from("HTTP/1.1 200 OK\r\n\r\n")
      ]) {
        const error = yield* TestNetwork.simulate(
          Effect.gen(function* () {
            yield* startServer({ port: to.port }, ({ reader, writer }) =>
              Effect.andThen(writer.write(first), Effect.ignore(reader.readAll({ maxBytes: 1000 })))
            )
            return yield* Effect.flip(connect(to))
          })
        )
        assert.include(["PROTOCOL_ERROR", "FRAME_SIZE_ERROR"], error instanceof Http2Error ? error.code : error._tag)
      }
    })
  )

  it.effect("frames at random end in an answer, or in a typed failure, within bounded time", () =>
    Effect.gen(function* () {
      const block = fc.oneof(
        fc.uint8Array({ maxLength: 30 }),
        fc
          .array(fc.tuple(fc.constantFrom(":status", "a", "content-length", "Server"), fc.constantFrom("200", "3", "")))
          .map((fields) => literal(...fields))
      )
      const any = fc
        .record({
          type: fc.integer({ min: 0, max: 10 }),
          flags: fc.constantFrom(0, 1, 4, 5, 8, 0xd, 0x2d, 0xff),
          stream: fc.constantFrom(0, 1, 1, 1, 2, 3),
          payload: fc.oneof(block, fc.constantFrom(uint32(0), uint32(1), uint32(1, 2)))
        })
        .map(({ flags, payload, stream, type }) => framed(type, flags, stream, payload))
      let failed = 0
      const all = yield* forAll(
        fc.record({
          said: fc.array(any, { minLength: 1, maxLength: 12 }),
          chunking: fc.constantFrom<TestNetwork.Chunking>("asIs", "oneByte", "halves")
        }),
        ({ chunking, said }) =>
          Effect.gen(function* () {
            const { result } = yield* given([...said, answer(1, "x")], { fromServer: { chunking } })
            if (Exit.isSuccess(result)) return
            const [reason] = result.cause.reasons
            assert(reason?._tag === "Fail")
            // half of something waits for the other half
            assert.include(["Http2Error", "TimeoutError"], (reason.error as { readonly _tag: string })._tag)
            if (reason.error instanceof Http2Error) failed++
          }),
        { numRuns: 300 }
      )
      if (all) assert.isAbove(failed, 50)
    })
  )
})
