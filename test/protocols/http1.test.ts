/** The example of an HTTP/1.1 server: in a network in memory, on sockets, and with the programs that people use. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, openConnection } from "effect-byte-streams"
import { ByteSize, Cause, Deferred, Effect, Exit, Fiber, Logger, Option, Schedule, Scope, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as fc from "fast-check"
import { execFile } from "node:child_process"
import { writeFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { promisify } from "node:util"
import * as Http1 from "../../examples/protocols/http1.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"
import { type App, echoing, parseAnswers, say, serving, streamOf, talk, telling } from "../support/http1.ts"
import { serveIn, type ways } from "../support/httpApp.ts"
import { needs, pathOf, type Peer } from "../support/peers.ts"
import { forAll } from "../support/property.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const get = "GET / HTTP/1.1\r\nHost: a\r\n"
const post = "POST / HTTP/1.1\r\nHost: a\r\n"
const last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

const answersTo = (bytes: string, app?: App) =>
  Effect.map(talk([bytes], app === undefined ? {} : { app }), ({ text }) => parseAnswers(text))

const dial = openConnection({ host: "app.example", port: 80 })

const readText = ({ reader }: Connection.Connection) =>
  Effect.map(reader.read(65_536), (bytes) => Buffer.from(bytes).toString("latin1"))

/** Everything up to the end of the connection, however that comes. */
const restOf = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    let text = ""
    for (;;) {
      const more = yield* Effect.orElseSucceed(readText(connection), () => undefined)
      if (more === undefined) return { text, end: "reset" }
      if (more === "") return { text, end: "closed" }
      text += more
    }
  })

const millis = Effect.clockWith((clock) => clock.currentTimeMillis)

describe("Answers", () => {
  it.effect("to pipelined requests come in the order of the requests", () =>
    Effect.gen(function* () {
      const slowFirst = Effect.gen(function* () {
        const { url } = yield* HttpServerRequest.HttpServerRequest
        yield* Effect.sleep(url === "/1" ? "1 second" : 0)
        return HttpServerResponse.text(url)
      })
      const requests = [1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`).join("")
      const answers = yield* answersTo(requests + last, slowFirst)
      assert.deepStrictEqual(
        answers.map(({ body }) => body),
        ["/1", "/2", "/3", "/last"]
      )
    })
  )

  it.effect("to HEAD have the head of those to GET, and no body", () =>
    Effect.gen(function* () {
      const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) =>
        url === "/stream" ? HttpServerResponse.stream(streamOf("a", "b")) : HttpServerResponse.text("hello")
      )
      const requests = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n"
      const { text } = yield* talk([requests + last], { app })
      const [one, two, three] = parseAnswers(text, ["HEAD", "HEAD"])
      assert.deepStrictEqual([one!.headers["content-length"], one!.body], ["5", ""])
      assert.deepStrictEqual([two!.headers["transfer-encoding"], two!.body], ["chunked", ""])
      assert.strictEqual(three!.body, "hello")
    })
  )

  for (const status of [204, 205, 304]) {
    it.effect(`of status ${status} have no body, whatever the application says`, () =>
      Effect.gen(function* () {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) =>
          HttpServerResponse.text(url, { status: url === "/last" ? 200 : status })
        )
        const answers = yield* answersTo(`${get}\r\n${last}`, app)
        assert.deepStrictEqual(
          answers.map((answer) => answer.status),
          [status, 200]
        )
        assert.strictEqual(answers[0]!.headers["transfer-encoding"], undefined)
      })
    )
  }

  it.effect("that are streams come in chunks, an empty one of which ends nothing, with trailers behind", () =>
    Effect.gen(function* () {
      const app = Effect.succeed(
        Http1.withTrailers(
          HttpServerResponse.stream(streamOf("one", "", "two")),
          Effect.succeed({ "x-checksum": "abc" })
        )
      )
      const [answer] = yield* answersTo(`${get}Connection: close\r\n\r\n`, app)
      assert.deepStrictEqual([answer!.body, answer!.trailers], ["onetwo", { "x-checksum": "abc" }])
    })
  )

  it.effect("may end the connection, and are never such as only begin one", () =>
    Effect.gen(function* () {
      const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) =>
        url === "/last"
          ? HttpServerResponse.text("bye", { headers: { connection: "close" } })
          : HttpServerResponse.empty({ status: 103 })
      )
      const closing = last.replace("Connection: close\r\n", "")
      const { end, text } = yield* Effect.provide(talk([`${get}\r\n${closing}${last}`], { app }), Logger.layer([]))
      assert.deepStrictEqual(
        parseAnswers(text).map(({ headers, status }) => [status, headers.connection]),
        [
          [500, undefined],
          [200, "close"]
        ]
      )
      assert.strictEqual(end, "closed")
    })
  )

  it.effect("that are streams of a known length come without chunks", () =>
    Effect.gen(function* () {
      const app = Effect.succeed(HttpServerResponse.stream(streamOf("one", "two"), { contentLength: 6 }))
      const [answer] = yield* answersTo(`${get}Connection: close\r\n\r\n`, app)
      assert.deepStrictEqual([answer!.headers["content-length"], answer!.body], ["6", "onetwo"])
      assert.strictEqual(answer!.headers["transfer-encoding"], undefined)
    })
  )

  for (const [name, body] of [
    ["fail", Stream.concat(streamOf("one"), Stream.fail("no more"))],
    ["are shorter than was announced", streamOf("one")],
    ["are longer than was announced", streamOf("one", "two", "three")]
  ] as const) {
    it.effect(`whose streams ${name} do not look complete: the connection is reset`, () =>
      Effect.gen(function* () {
        const { end, text } = yield* talk([get + "\r\n" + last], {
          app: Effect.succeed(HttpServerResponse.stream(body, name === "fail" ? {} : { contentLength: 6 }))
        })
        assert.strictEqual(end, "reset")
        assert.isFalse(text.includes("\r\n0\r\n"))
        assert.strictEqual(text.split("HTTP/1.1").length - 1, text === "" ? 0 : 1)
      })
    )
  }

  it.effect("to HTTP/1.0 end with the connection where their length is not known", () =>
    Effect.gen(function* () {
      const { end, text } = yield* talk(["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + last], {
        app: Effect.succeed(HttpServerResponse.stream(streamOf("one", "two")))
      })
      const [answer, ...more] = parseAnswers(text)
      assert.deepStrictEqual([answer!.body, answer!.headers.connection, more, end], ["onetwo", "close", [], "closed"])
    })
  )

  it.effect("carry what an application says of them, and cannot be split by it", () =>
    Effect.gen(function* () {
      const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
        HttpServerResponse.text("hello", { headers: { "x-said": decodeURIComponent(headers["x-say"] ?? "") } })
      )
      const lines = ["fine", "a%0D%0Ab%3A c", "a%0Ab", "%00"].map((say) => `${get}X-Say: ${say}\r\n\r\n`)
      const answers = yield* Effect.provide(answersTo(lines.join("") + last, app), Logger.layer([]))
      assert.deepStrictEqual(
        answers.map((answer) => [answer.status, answer.headers["x-said"]]),
        [
          [200, "fine"],
          [500, undefined],
          [500, undefined],
          [500, undefined],
          [200, ""]
        ]
      )
    })
  )
})

describe("The body of a request", () => {
  it.effect("that nobody reads is thrown away, and the next request served", () =>
    Effect.gen(function* () {
      const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) => HttpServerResponse.text(url))
      const body = "x".repeat(100_000)
      const known = `${post}Content-Length: ${body.length}\r\n\r\n${body}`
      const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
      const answers = yield* answersTo(known + chunked + last, app)
      assert.deepStrictEqual(
        answers.map((answer) => answer.body),
        ["/", "/", "/last"]
      )
    })
  )

  it.effect("that nobody reads, and is long, costs the connection", () =>
    Effect.gen(function* () {
      const app = Effect.succeed(HttpServerResponse.text("no"))
      const body = "x".repeat(1_000_000)
      const known = yield* talk([`${post}Content-Length: 1000000\r\n\r\n`, body, last], { app })
      const head = `${post}Transfer-Encoding: chunked\r\n\r\n`
      const chunked = yield* talk([head, `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`, last], { app })
      // how long the second is was not known when it was answered
      for (const [{ end, text }, connection] of [
        [known, "close"],
        [chunked, undefined]
      ] as const) {
        assert.deepStrictEqual(
          parseAnswers(text).map((answer) => [answer.body, answer.headers.connection]),
          [["no", connection]]
        )
        assert.strictEqual(end, "closed")
      }
    })
  )

  it.effect("is refused where it is longer than the server allows, or an application", () =>
    Effect.gen(function* () {
      const options = { maxBodyBytes: 1000 }
      const body = "x".repeat(600)
      const pieces = `${(600).toString(16)}\r\n${body}\r\n`.repeat(2)
      const known = yield* talk([`${post}Content-Length: 1001\r\n\r\n`], { options })
      const chunked = yield* talk([`${post}Transfer-Encoding: chunked\r\n\r\n${pieces}0\r\n\r\n${last}`], { options })
      const extended = `1;${"a".repeat(300)}\r\nx\r\n`.repeat(4)
      const long = yield* talk([`${post}Transfer-Encoding: chunked\r\n\r\n${extended}0\r\n\r\n${last}`], { options })
      const bounded = Effect.provideService(telling, HttpServerRequest.MaxBodySize, ByteSize.bytes(500))
      const own = yield* answersTo(`${post}Content-Length: 600\r\n\r\n${body}${last}`, bounded)
      // that one was read to its end
      assert.deepStrictEqual(
        own.map(({ status }) => status),
        [413, 200]
      )
      for (const { end, text } of [known, chunked, long]) {
        assert.deepStrictEqual(
          parseAnswers(text).map(({ status }) => status),
          [413]
        )
        assert.strictEqual(end, "closed")
      }
    })
  )

  it.effect("is read once, however many ask for it, and also where they do so at the same time", () =>
    Effect.gen(function* () {
      const app = Effect.gen(function* () {
        const { text } = yield* HttpServerRequest.HttpServerRequest
        const request = yield* HttpServerRequest.HttpServerRequest
        const together = yield* Effect.all([text, text, request.text, request.json], { concurrency: "unbounded" })
        return yield* HttpServerResponse.json([...together, yield* text, yield* request.json])
      })
      const pieces = [`${post}Content-Length: 6\r\n\r\n`, "123", `456${last.replace("\r\n\r\n", "")}`]
      const { text } = yield* talk([...pieces, "\r\nContent-Length: 1\r\n\r\n7"], { app })
      assert.deepStrictEqual(
        parseAnswers(text).map(({ body }) => JSON.parse(body)),
        [
          ["123456", "123456", "123456", 123456, "123456", 123456],
          ["7", "7", "7", 7, "7", 7]
        ]
      )
    })
  )

  it.effect("can be followed by trailers, which the application finds apart from the fields of the head", () =>
    Effect.gen(function* () {
      const app = Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const body = yield* request.text
        return yield* HttpServerResponse.json([body, Http1.trailersOf(request), request.headers.a ?? "none"])
      })
      const [answer] = yield* answersTo(
        `${post}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\n`,
        app
      )
      assert.deepStrictEqual(JSON.parse(answer!.body), ["hi", { a: "b", c: "d" }, "none"])
    })
  )

  it.effect("is asked for with 100 Continue once it is read, and not where it is not", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serving(
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
            request.url === "/no" ? Effect.succeed(HttpServerResponse.text("no", { status: 403 })) : telling
          )
        )
        const client = yield* dial
        const expecting = "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        yield* client.writer.write(`POST / HTTP/1.1\r\nHost: a\r\n${expecting}`)
        assert.strictEqual(yield* readText(client), "HTTP/1.1 100 Continue\r\n\r\n")
        yield* client.writer.write("hello")
        const [answer] = parseAnswers(yield* readText(client))
        assert.strictEqual(JSON.parse(answer!.body).body, "hello")
        yield* client.writer.write(`POST /no HTTP/1.1\r\nHost: a\r\n${expecting}`)
        const { end, text } = yield* restOf(client)
        assert.deepStrictEqual(
          parseAnswers(text).map(({ headers, status }) => [status, headers.connection]),
          [[403, "close"]]
        )
        assert.strictEqual(end, "closed")
      })
    )
  )

  it.effect("flows through an application both ways at once, however long it is", () =>
    Effect.gen(function* () {
      const body = "0123456789".repeat(30_000)
      const chunks = Array.from({ length: 30 }, (_, i) => body.slice(i * 10_000, (i + 1) * 10_000))
      const said = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
      const { text } = yield* talk([`${post}Transfer-Encoding: chunked\r\n\r\n`, ...said, "0\r\n\r\n", last], {
        app: echoing,
        network: { fromClient: { chunking: "random" } }
      })
      const answers = parseAnswers(text)
      assert.deepStrictEqual([answers[0]!.body === body, answers.length], [true, 2])
    })
  )

  it.effect("stays in step where the application gives up reading it in the middle of a chunk's line", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serving(
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
            request.url === "/last"
              ? Effect.succeed(HttpServerResponse.text("last"))
              : Effect.as(
                  Effect.timeoutOption(Stream.runDrain(request.stream), "1 second"),
                  HttpServerResponse.text("late")
                )
          )
        )
        const client = yield* dial
        yield* client.writer.write(`${post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0000`)
        const [late] = parseAnswers(yield* readText(client))
        assert.strictEqual(late!.body, "late")
        yield* client.writer.write(`0005\r\nworld\r\n0\r\n\r\n${last}`.replace("00005", "5"))
        const { text } = yield* restOf(client)
        assert.deepStrictEqual(
          parseAnswers(text).map(({ body }) => body),
          ["last"]
        )
      })
    )
  )
})

describe("A client", () => {
  it.effect("that ends its output behind its requests gets its answers", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serving(Effect.delay(telling, "500 millis"))
        const client = yield* dial
        yield* client.writer.write(`${get}\r\n`)
        yield* client.writer.writeEof
        const { end, text } = yield* restOf(client)
        assert.deepStrictEqual([parseAnswers(text).length, end], [1, "closed"])
      })
    )
  )

  for (const how of ["closes", "resets"] as const) {
    it.effect(`that ${how} its connection has what works on its request interrupted`, () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const begun = yield* Deferred.make<void>()
          const interrupted = yield* Deferred.make<number>()
          const working = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
            Effect.interruptible,
            Effect.onInterrupt(() => Effect.flatMap(millis, (now) => Deferred.succeed(interrupted, now)))
          )
          yield* serving(working)
          const client = yield* dial
          yield* client.writer.write(`${get}\r\n`)
          yield* Deferred.await(begun)
          const left = yield* millis
          yield* how === "closes" ? client.writer.close : client.abort
          const after = (yield* Deferred.await(interrupted)) - left
          assert.isTrue(how === "closes" ? after >= 1000 && after < 1100 : after < 100, String(after))
        })
      )
    )
  }

  it.effect("that sends a part of a head, and no more, is told so and cut off", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serving()
        const client = yield* dial
        yield* client.writer.write(get)
        const { end, text } = yield* restOf(client)
        assert.deepStrictEqual([parseAnswers(text)[0]!.status, end], [408, "closed"])
        assert.isTrue((yield* millis) <= 27_000)
      })
    )
  )

  it.effect("that sends nothing is let go without a word", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serving()
        assert.deepStrictEqual(yield* restOf(yield* dial), { text: "", end: "closed" })
        assert.isTrue((yield* millis) <= 18_000)
      })
    )
  )

  it.effect("that sends its body a byte now and then is cut off", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serving()
        const client = yield* dial
        yield* client.writer.write(`${post}Content-Length: 10000\r\n\r\n`)
        const drip = Effect.repeat(client.writer.write("x"), Schedule.spaced("5 seconds"))
        yield* Effect.forkChild(Effect.ignore(drip))
        const { text } = yield* restOf(client)
        assert.isFalse(text.startsWith("HTTP/1.1 2"))
        assert.isTrue((yield* millis) <= 60_000)
      })
    )
  )

  it.effect("that does not take its answers has no more made for it", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        let made = 0
        yield* serving(Effect.sync(() => HttpServerResponse.text("x".repeat(1000), { status: 200 + (++made % 2) })))
        const client = yield* dial
        yield* client.writer.write(`${get}\r\n`.repeat(1000))
        yield* Effect.sleep("1 second")
        // of 1 MB: what the server's writer may keep, what the network holds, and what the client's reader takes ahead
        assert.isAtLeast(made, 10)
        assert.isAtMost(made, 250)
      }),
      { fromServer: { capacity: 10_000 } }
    )
  )

  it.effect("that does not take its answer is cut off", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const over = yield* Deferred.make<number>()
        const body = Stream.forever(streamOf("x".repeat(10_000))).pipe(
          Stream.ensuring(Effect.flatMap(millis, (now) => Deferred.succeed(over, now)))
        )
        yield* serving(Effect.succeed(HttpServerResponse.stream(body)))
        const client = yield* dial
        yield* client.writer.write(`${get}\r\n`)
        assert.isTrue((yield* Deferred.await(over)) <= 65_000)
      }),
      { fromServer: { capacity: 10_000 } }
    )
  )
})

describe("A server that shuts down", () => {
  it.effect("finishes what it works on, says that nothing may follow, and lets idle clients go at once", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const begun = yield* Deferred.make<void>()
        const working = Effect.andThen(Deferred.succeed(begun, undefined), Effect.delay(telling, "2 seconds"))
        const server = yield* Http1.make({ port: 80 })
        yield* Scope.provide(server.serve(working), scope)
        const [idle, busy] = [yield* dial, yield* dial]
        yield* busy.writer.write(`${get}\r\n${last}`)
        yield* Deferred.await(begun)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        assert.deepStrictEqual(yield* restOf(idle), { text: "", end: "closed" })
        assert.isTrue((yield* millis) < 1000)
        const { end, text } = yield* restOf(busy)
        assert.deepStrictEqual(
          parseAnswers(text).map(({ headers, status }) => [status, headers.connection]),
          [[200, "close"]]
        )
        assert.strictEqual(end, "closed")
        yield* Fiber.join(closing)
      })
    )
  )
})

describe("Another protocol", () => {
  const upgrading = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const socket = yield* request.upgradeWith({ headers: { "x-room": "7" } })
    const { pull } = yield* socket.reader
    const { write } = yield* socket.writer
    const [first] = yield* pull
    yield* write(`you said: ${Buffer.from(first).toString()}`)
    return HttpServerResponse.empty()
  }).pipe(Effect.scoped)

  it.effect("is spoken on behind 101, from the first byte that the client sent behind its request", () =>
    Effect.gen(function* () {
      const { end, text } = yield* talk([`${get}Connection: Upgrade\r\nUpgrade: chat/1\r\n\r\nhi there`], {
        app: upgrading
      })
      const [head, rest] = text.split("\r\n\r\n")
      assert.deepStrictEqual(head!.split("\r\n").toSorted(), [
        "HTTP/1.1 101 Switching Protocols",
        "connection: upgrade",
        "upgrade: chat/1",
        "x-room: 7"
      ])
      assert.deepStrictEqual([rest, end], ["you said: hi there", "closed"])
    })
  )

  it.effect("goes on as long as its handler, also with a client that has ended its output", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const done = yield* Deferred.make<void>()
        const slow = Effect.tap(upgrading, () =>
          Effect.andThen(Effect.sleep("3 seconds"), Deferred.succeed(done, undefined))
        )
        yield* serving(Effect.interruptible(slow))
        const client = yield* dial
        yield* client.writer.write(`${get}Connection: upgrade\r\nUpgrade: chat/1\r\n\r\nhi`)
        yield* client.writer.writeEof
        yield* Deferred.await(done)
        assert.isTrue((yield* millis) >= 3000)
      })
    )
  )

  it.effect("ends with its handler, and is followed by no request", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        let calls = 0
        yield* serving(Effect.tap(upgrading, () => Effect.sync(() => calls++)))
        const client = yield* dial
        yield* client.writer.write(`${get}Connection: upgrade\r\nUpgrade: chat/1\r\n\r\nhi`)
        assert.strictEqual((yield* restOf(client)).end, "closed")
        assert.isTrue((yield* millis) < 1000)
        yield* Effect.ignore(client.writer.write(`${get}Connection: upgrade\r\nUpgrade: chat/1\r\n\r\nhi`))
        yield* Effect.sleep("5 seconds")
        assert.strictEqual(calls, 1)
      })
    )
  )

  it.effect("is not spoken where the client did not ask for it, or asks for WebSocket", () =>
    Effect.gen(function* () {
      const answers = yield* answersTo(
        `${get}\r\n${get}Upgrade: chat/1\r\n\r\n${get}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
        upgrading
      )
      assert.deepStrictEqual(
        answers.map(({ status }) => status),
        [400, 400, 400]
      )
    })
  )
})

// a date of its own keeps what is said from depending on when
const dated = (app: App): App => Effect.map(app, (response) => HttpServerResponse.setHeader(response, "date", "today"))

interface Asked {
  readonly method: "GET" | "POST" | "HEAD"
  readonly body: string
  readonly chunks: ReadonlyArray<number> | undefined
}

const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom("GET", "POST", "HEAD"),
  body: fc.string({ unit: fc.constantFrom("a", "\r\n", "0", "GET / HTTP/1.1\r\n"), maxLength: 30 }),
  chunks: fc.option(fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 4 }), { nil: undefined })
})

const written = ({ body, chunks, method }: Asked): string => {
  const head = `${method} /asked HTTP/1.1\r\nHost: a\r\n`
  if (chunks === undefined) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`
  let text = `${head}Transfer-Encoding: chunked\r\n\r\n`
  for (let at = 0, i = 0; at < body.length; i++) {
    const piece = body.slice(at, at + chunks[i % chunks.length]!)
    text += `${piece.length.toString(16)}\r\n${piece}\r\n`
    at += piece.length
  }
  return `${text}0\r\nA: b\r\n\r\n`
}

const cutOff = ["HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 408 Request Timeout\r\n"]

/** Whether a server that would say `whole` may have said `text`: a client whose request was cut off is told so. */
const isBeginning = (text: string, whole: string): boolean => {
  if (whole.startsWith(text)) return true
  for (let at = 0; at !== -1 && whole.startsWith(text.slice(0, at)); at = whole.indexOf("HTTP/1.1", at + 1)) {
    const rest = text.slice(at)
    if (cutOff.some((start) => start.startsWith(rest) || rest.startsWith(start))) return true
  }
  return false
}

describe("Under generated faults", () => {
  it.effect("requests are answered as they were asked, however they are cut", () =>
    forAll(
      fc.tuple(fc.array(asked, { minLength: 1, maxLength: 5 }), fc.integer()),
      ([all, seed]) =>
        Effect.gen(function* () {
          const network = { seed, fromClient: { chunking: "random" }, fromServer: { chunking: "random" } } as const
          const { text } = yield* talk([...all.map(written), last], { network })
          const answers = parseAnswers(
            text,
            all.map(({ method }) => method)
          )
          assert.strictEqual(answers.length, all.length + 1)
          all.forEach(({ body, method }, index) => {
            if (method === "HEAD") assert.strictEqual(answers[index]!.body, "")
            else assert.deepInclude(JSON.parse(answers[index]!.body), { method, body, url: "/asked" })
          })
        }),
      { numRuns: 100 }
    )
  )

  it.effect("what a server says is the beginning of what it would say, and nothing is left behind", () =>
    forAll(
      fc.tuple(
        fc.array(asked, { minLength: 1, maxLength: 4 }),
        Faults.arbitrary(fc, { maxBytes: 600, maxMillis: 2000 }) as fc.Arbitrary<Faults.Script>
      ),
      ([all, faults]) =>
        Effect.gen(function* () {
          const app = dated(telling)
          const pieces = [...all.map(written), last]
          const whole = yield* talk(pieces, { app })
          const failures: Array<unknown> = []
          const options = { onHandlerError: ({ cause }: any) => Effect.sync(() => failures.push(cause)) }
          const broken = TestNetwork.simulate(
            Effect.gen(function* () {
              yield* serving(app, options)
              return yield* Effect.timeoutOption(Effect.option(say(pieces)), "5 minutes")
            }),
            { faults }
          )
          const said = Option.flatten(yield* broken)
          const text = Option.match(said, { onNone: () => "", onSome: ({ text }) => text })
          assert.isTrue(isBeginning(text, whole.text), `${JSON.stringify(text)}\nis no beginning of\n${whole.text}`)
          for (const cause of failures) assert.isFalse(Cause.hasDies(cause as Cause.Cause<unknown>))
        }),
      { numRuns: 150 }
    )
  )
})

const run = (peer: Peer, ...args: ReadonlyArray<string>) =>
  Effect.promise(() => promisify(execFile)(pathOf(peer)!, args, { timeout: 10_000, maxBuffer: 10_000_000 }))

const file = Effect.map(temporaryDirectory, (directory) => {
  const path = join(directory, "file.txt")
  writeFileSync(path, "a line of a file\n".repeat(10_000))
  return path
})

const ask = (port: number, method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
  Effect.promise(
    () =>
      new Promise((resolve, reject) => {
        const sent = request({ host: "127.0.0.1", port, method, path, headers }, async (answer) => {
          const pieces: Array<Buffer> = []
          for await (const piece of answer) pieces.push(piece)
          const { "content-type": type, etag, location, "set-cookie": cookie } = answer.headers
          resolve({ status: answer.statusCode, type, etag, location, cookie, body: Buffer.concat(pieces).toString() })
        })
        sent.on("error", reject)
        sent.end(body)
      })
  )

describe("One application of Effect's HttpRouter", () => {
  it.live("answers on this server as on NodeHttpServer", () =>
    Effect.gen(function* () {
      const path = yield* file
      const json = { "content-type": "application/json" }
      const form = { "content-type": "application/x-www-form-urlencoded" }
      const answersOf = Effect.fnUntraced(function* (way: keyof typeof ways) {
        const port = yield* serveIn(way, path)
        return yield* Effect.all({
          hello: ask(port, "GET", "/hello"),
          head: ask(port, "HEAD", "/hello"),
          note: ask(port, "POST", "/notes", JSON.stringify({ title: "ä", words: 1 }), json),
          noJson: ask(port, "POST", "/notes", "{", json),
          wrongNote: ask(port, "POST", "/notes", JSON.stringify({ title: 1 }), json),
          noNote: ask(port, "GET", "/notes/7"),
          words: ask(port, "GET", "/words"),
          count: ask(port, "POST", "/count", "x".repeat(300_000)),
          form: ask(port, "POST", "/form", "a=b&c=%C3%A4+d&a=e", form),
          echo: ask(port, "POST", "/echo", "x".repeat(300_000), { "transfer-encoding": "chunked" }),
          file: ask(port, "GET", "/file"),
          headOfFile: ask(port, "HEAD", "/file"),
          empty: ask(port, "GET", "/empty"),
          cookies: ask(port, "GET", "/cookies"),
          defect: ask(port, "GET", "/defect"),
          nowhere: ask(port, "GET", "/nowhere"),
          wrongMethod: ask(port, "PATCH", "/hello")
        })
      })
      const here = yield* answersOf("http1")
      assert.deepStrictEqual(here, yield* answersOf("NodeHttpServer"))
      assert.deepInclude(here.note as object, { status: 201, body: '{"title":"ä","words":2}' })
      assert.deepInclude(here.count as object, { status: 200, body: "300000" })
    }).pipe(Effect.scoped)
  )
})

describe("curl", needs("curl"), () => {
  const curl = (...args: ReadonlyArray<string>) =>
    Effect.map(run("curl", "-sS", "-m", "10", ...args), (out) => out.stdout)

  it.live("gets answers one after the other on one connection, with and without a body", () =>
    Effect.gen(function* () {
      const at = `http://127.0.0.1:${yield* serveIn("http1", yield* file)}`
      const connects = ["-w", "%{http_code} %{num_connects} %{size_download}\n", "-o", "/dev/null"]
      const out = yield* curl(
        ...[...connects, `${at}/hello`, "--next", "-sS", ...connects, `${at}/words`],
        ...["--next", "-sS", ...connects, "-I", `${at}/file`, "--next", "-sS", ...connects, `${at}/file`]
      )
      assert.deepStrictEqual(out.trim().split("\n"), ["200 1 6", "200 0 792", "200 0 0", "200 0 170000"])
    }).pipe(Effect.scoped)
  )

  it.live("sends a body in chunks, waits for 100 Continue, and speaks HTTP/1.0", () =>
    Effect.gen(function* () {
      const path = yield* file
      const at = `http://127.0.0.1:${yield* serveIn("http1", path)}`
      assert.strictEqual(
        yield* curl("-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", path, `${at}/count`),
        "170000"
      )
      const waited = yield* run(
        "curl",
        "-sSv",
        "-m",
        "10",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        `@${path}`,
        `${at}/count`
      )
      assert.strictEqual(waited.stdout, "170000")
      assert.match(waited.stderr, /< HTTP\/1.1 100 Continue/)
      assert.strictEqual(yield* curl("--http1.0", `${at}/words`), yield* curl(`${at}/words`))
      assert.strictEqual(
        (yield* curl("-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", path, `${at}/echo`)).length,
        170_000
      )
    }).pipe(Effect.scoped)
  )
})

describe("Load", () => {
  it.live(
    "of wrk on many connections is answered without an error",
    () =>
      Effect.gen(function* () {
        const port = yield* serveIn("http1", yield* file)
        const { stdout } = yield* run("wrk", "-t1", "-c20", "-d1", `http://127.0.0.1:${port}/hello`)
        assert.match(stdout, /[1-9]\d* requests in/)
        assert.notMatch(stdout, /Non-2xx|Socket errors/)
      }).pipe(Effect.scoped),
    needs("wrk")
  )

  it.live(
    "of h2load on many connections is answered without an error",
    () =>
      Effect.gen(function* () {
        const port = yield* serveIn("http1", yield* file)
        const { stdout } = yield* run("h2load", "--h1", "-n2000", "-c20", "-m10", `http://127.0.0.1:${port}/words`)
        assert.match(stdout, /2000 succeeded, 0 failed, 0 errored/)
      }).pipe(Effect.scoped),
    needs("h2load")
  )
})
