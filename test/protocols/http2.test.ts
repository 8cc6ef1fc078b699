/** The client of HTTP/2 in examples/protocols, against real servers: nghttpd, nginx, and that of Node. */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork } from "effect-byte-streams"
import { Effect, Exit, Fiber, type Layer, type Scope, Stream } from "effect"
import { once } from "node:events"
import * as http2 from "node:http2"
import * as net from "node:net"
import { connect, type Headers, Http2Error } from "../../examples/protocols/http2.ts"
import { start } from "../support/fibers.ts"
import { nginx, nghttpd } from "../support/http2.ts"
import { needs } from "../support/peers.ts"
import { eventually, within } from "../support/wait.ts"

const live = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Layer.Success<typeof NodeNetwork.layer>>) =>
  Effect.provide(Effect.scoped(within("the end", effect)), NodeNetwork.layer)

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const text = (body: Uint8Array) => Buffer.from(body).toString()
const valueOf = (headers: Headers, name: string) => headers.find(([other]) => other === name)?.[1]
const refusalOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert(error instanceof Http2Error, String(error))
    return error
  })

const big = new Uint8Array(700_000).map((_, i) => (i * i) >> 3)
const files = { "small.txt": "hello, world\n", "big.bin": big }

describe("the client of HTTP/2, and nghttpd", needs("nghttpd"), () => {
  it.live("a response has its status, headers and body; HEAD has none; the certificate is verified", () =>
    live(
      Effect.gen(function* () {
        const server = yield* nghttpd(files)
        const client = yield* connect(server)
        const { body, headers, status } = yield* client.fetch({ path: "/small.txt" })
        assert.deepStrictEqual([status, text(body)], [200, "hello, world\n"])
        assert.deepStrictEqual(valueOf(headers, "content-length"), "13")
        const head = yield* client.fetch({ method: "HEAD", path: "/small.txt" })
        assert.deepStrictEqual([head.status, head.body.length], [200, 0])
        assert.strictEqual((yield* client.fetch({ path: "/nobody" })).status, 404)
        yield* client.ping
        const strangers = yield* Effect.flip(connect({ host: server.host, port: server.port, tls: true }))
        assert.strictEqual(strangers._tag, "TlsFailed")
      })
    )
  )

  it.live("hundreds of requests at once, padded and with three at a time, are each answered with their own", () =>
    live(
      Effect.gen(function* () {
        const names = range(20).map((i) => [`${i}.txt`, `${i}`.repeat(i * 211)] as const)
        const server = yield* nghttpd(Object.fromEntries(names), "--padding=200", "--max-concurrent-streams=3")
        const client = yield* connect(server)
        const ask = (i: number) => client.fetch({ path: `/${i % 20}.txt` })
        const answers = yield* Effect.forEach(range(400), ask, { concurrency: "unbounded" })
        answers.forEach(({ body }, i) => assert.strictEqual(text(body), names[i % 20]![1]))
      })
    )
  )

  it.live("bodies flow both ways at once, through windows of any size, with trailers behind them", () =>
    live(
      Effect.gen(function* () {
        const server = yield* nghttpd({}, "--echo-upload", "--trailer=after: all", "-w", "10", "-W", "16", "-c", "64")
        const client = yield* connect(server)
        const echo = (size: number) =>
          Effect.gen(function* () {
            const body = Stream.fromIterable(range(8).map((i) => big.subarray((size * i) / 8, (size * (i + 1)) / 8)))
            const answer = yield* client.fetch({ method: "POST", path: "/", body })
            assert.isTrue(Buffer.from(answer.body).equals(big.subarray(0, size)))
            if (size > 0) assert.deepStrictEqual(answer.trailers, [["after", "all"]])
          })
        yield* Effect.forEach([800, 0, 160_000, 96_008, 8], echo, { concurrency: "unbounded" })
      })
    )
  )

  it.live("one that is left in the middle of its body is cancelled; the others, and those behind it, are not", () =>
    live(
      Effect.gen(function* () {
        const client = yield* connect(yield* nghttpd(files, "--max-concurrent-streams=2"))
        for (const left of range(30)) {
          const body = Effect.scoped(
            Effect.gen(function* () {
              const response = yield* client.request({ path: "/big.bin" })
              yield* Stream.runForEach(response.body, () => (left % 2 === 0 ? Effect.never : Effect.fail("enough")))
            })
          )
          const leaving = yield* start(Effect.exit(body))
          const other = yield* client.fetch({ path: "/small.txt" })
          assert.strictEqual(text(other.body), "hello, world\n")
          if (left % 2 === 0) yield* Fiber.interrupt(leaving)
          else assert.isTrue(Exit.isFailure(yield* Fiber.join(leaving)))
        }
        assert.isTrue(Buffer.from((yield* client.fetch({ path: "/big.bin" })).body).equals(big))
      })
    )
  )

  it.live("a response that nobody reads holds up no other", () =>
    live(
      Effect.gen(function* () {
        const client = yield* connect(yield* nghttpd(files))
        const unread = yield* Effect.forEach(range(50), () => client.request({ path: "/big.bin" }))
        assert.strictEqual(text((yield* client.fetch({ path: "/small.txt" })).body), "hello, world\n")
        const bodies = yield* Effect.forEach(unread, ({ body }) => Stream.runCollect(body), { concurrency: 50 })
        for (const body of bodies) assert.isTrue(Buffer.concat(body).equals(big))
      })
    )
  )
})

describe("the client of HTTP/2, and nginx", needs("nginx"), () => {
  it.live(
    "a connection that the server ends tells which requests it has not begun, and those are safe to send again",
    () =>
      live(
        Effect.gen(function* () {
          const server = yield* nginx(files, "keepalive_requests 40; http2_max_concurrent_streams 8;")
          let connections = 0
          let left = range(150)
          while (left.length > 0) {
            assert.isAtMost(++connections, 10)
            left = yield* Effect.scoped(
              Effect.gen(function* () {
                const client = yield* connect(server)
                const asked = yield* Effect.forEach(left, () => Effect.exit(client.fetch({ path: "/small.txt" })), {
                  concurrency: "unbounded"
                })
                const again: Array<number> = []
                for (const [i, exit] of asked.entries()) {
                  if (Exit.isSuccess(exit)) assert.strictEqual(text(exit.value.body), "hello, world\n")
                  else {
                    const error = yield* Effect.flip(exit)
                    assert.deepInclude(
                      { ...error },
                      { connection: true, by: "server", safeToRetry: true, code: "NO_ERROR" }
                    )
                    again.push(left[i]!)
                  }
                }
                return again
              })
            )
          }
          assert.isAtLeast(connections, 4)
        })
      )
  )

  it.live("headers of more than a frame go out in several, and what the server refuses is told with its code", () =>
    live(
      Effect.gen(function* () {
        const large = "large_client_header_buffers 4 64k; add_header size $http_large$http_fill always;"
        const client = yield* connect(yield* nginx(files, large))
        const value = "0123456789".repeat(2000)
        const { headers } = yield* client.fetch({ path: "/small.txt", headers: [["large", value]] })
        assert.strictEqual(valueOf(headers, "size"), value)
        // what comes back is more than we take, and ends this response alone
        const far = "0123456789".repeat(5000)
        const asked: Headers = [
          ["large", far],
          ["fill", value]
        ]
        const error = yield* refusalOf(client.fetch({ path: "/small.txt", headers: asked }))
        assert.deepInclude({ ...error }, { code: "ENHANCE_YOUR_CALM", by: "client", connection: false })
        assert.strictEqual((yield* client.fetch({ path: "/small.txt" })).status, 200)
      })
    )
  )

  it.live("a client whose scope has closed asks nothing any more, and says so", () =>
    live(
      Effect.gen(function* () {
        const server = yield* nginx(files, "")
        const client = yield* Effect.scoped(connect(server))
        const error = yield* refusalOf(client.fetch({ path: "/small.txt" }))
        assert.deepInclude({ ...error }, { code: "NO_ERROR", by: "client", connection: true, safeToRetry: true })
        assert.strictEqual((yield* refusalOf(client.ping)).connection, true)
      })
    )
  )

  it.live("a server that speaks HTTP/1.1 alone is told at once", () =>
    live(
      Effect.gen(function* () {
        const error = yield* Effect.flip(connect(yield* nginx(files, "", "")))
        assert.include(["HTTP_1_1_REQUIRED", "TlsFailed"], error instanceof Http2Error ? error.code : error._tag)
      })
    )
  )
})

/** Node's own server, without TLS. */
const nodeServer = (onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void) =>
  Effect.gen(function* () {
    const server = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const server = http2.createServer({ settings: { maxConcurrentStreams: 5 } })
        server.on("stream", (stream, headers) => {
          stream.on("error", () => {})
          onStream(stream, headers)
        })
        server.listen(0, "127.0.0.1")
        await once(server, "listening")
        return server
      }),
      (server) => Effect.sync(() => server.close())
    )
    return { host: "127.0.0.1", port: (server.address() as net.AddressInfo).port }
  })

describe("the client of HTTP/2, and the server of Node", () => {
  it.live("what servers do once in a while: trailers, hints, headers in many pieces, strange names, empty bodies", () =>
    live(
      Effect.gen(function* () {
        const long = "v".repeat(30_000)
        const to = yield* nodeServer((stream, headers) => {
          stream.additionalHeaders({ ":status": 103, link: "</x>" })
          const echoed = Object.entries(headers).filter(([name]) => !name.startsWith(":"))
          stream.respond({ ...Object.fromEntries(echoed), "x-long": long }, { waitForTrailers: true })
          stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "yes" }))
          stream.end()
        })
        const client = yield* connect(to)
        const headers: Headers = [
          ["constructor", "valueOf"],
          ["x-constructor", "toString"],
          ["authorization", "secret"],
          ["x-latin", "caf\xe9"],
          ["x-empty", ""],
          ["te", "trailers"]
        ]
        for (const again of range(5)) {
          const answer = yield* client.fetch({ path: `/${again}`, headers })
          for (const [name, value] of headers) assert.strictEqual(valueOf(answer.headers, name), value)
          assert.strictEqual(valueOf(answer.headers, "x-long"), long)
          assert.deepStrictEqual([answer.body.length, answer.trailers], [0, [["x-end", "yes"]]])
        }
      })
    )
  )

  it.live("settings that change meanwhile hold: the table of headers, the windows, how many at once", () =>
    live(
      Effect.gen(function* () {
        let open = 0
        let most = 0
        const to = yield* nodeServer((stream, headers) => {
          most = Math.max(most, ++open)
          const [, table, window, streams] = String(headers[":path"]).split("/").map(Number)
          stream.session!.settings(
            { headerTableSize: table!, initialWindowSize: window!, maxConcurrentStreams: streams! },
            () => {
              stream.respond({ "x-echo": headers["x-token"], "x-same": headers["x-same"] })
              stream.pipe(stream)
            }
          )
          stream.on("close", () => open--)
        })
        const client = yield* connect(to)
        const ask = (i: number) =>
          Effect.gen(function* () {
            const path = `/${[4096, 0, 100, 60][i % 4]}/${[65_535, 500, 3000, 20_000][i % 4]}/${1 + (i % 5)}`
            const body = Stream.make(big.subarray(0, i * 1000), big.subarray(i * 1000, i * 2000))
            const headers: Headers = [
              ["x-token", `${i}`],
              ["x-same", "same"]
            ]
            // what was on its way when the server lowered its limit is refused
            const answer = yield* Effect.retry(client.fetch({ method: "POST", path, headers, body }), {
              while: ({ connection, safeToRetry }) => safeToRetry && !connection
            })
            assert.strictEqual(valueOf(answer.headers, "x-echo"), `${i}`)
            assert.strictEqual(valueOf(answer.headers, "x-same"), "same")
            assert.isTrue(Buffer.from(answer.body).equals(big.subarray(0, i * 2000)))
          })
        yield* Effect.forEach(range(60), ask, { concurrency: "unbounded" })
        assert.isAtMost(most, 5)
        assert.isAtLeast(most, 2)
      })
    )
  )

  it.live(
    "a request that is refused is safe to send again, one that is reset is not, and one that was answered has not failed",
    () =>
      live(
        Effect.gen(function* () {
          const to = yield* nodeServer((stream, headers) => {
            if (headers[":path"] === "/refused") return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)
            if (headers[":path"] === "/broken") return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
            stream.respond({ ":status": 413 })
            stream.end("too much")
            return stream.close(http2.constants.NGHTTP2_NO_ERROR)
          })
          const client = yield* connect(to)
          const refused = yield* refusalOf(client.fetch({ path: "/refused" }))
          assert.deepInclude(
            { ...refused },
            { code: "REFUSED_STREAM", by: "server", connection: false, safeToRetry: true }
          )
          const broken = yield* refusalOf(client.fetch({ path: "/broken" }))
          assert.deepInclude(
            { ...broken },
            { code: "INTERNAL_ERROR", by: "server", connection: false, safeToRetry: false }
          )
          let ends = 0
          const endless = Stream.forever(Stream.make(new Uint8Array(20_000))).pipe(
            Stream.ensuring(Effect.sync(() => ends++))
          )
          const post = { method: "POST", path: "/answered", body: endless }
          const answered = yield* client.fetch(post)
          assert.deepStrictEqual([answered.status, text(answered.body)], [413, "too much"])
          // what is not wanted any more is not made any more, also while somebody holds on to the response
          const { status } = yield* client.request(post)
          assert.strictEqual(status, 413)
          yield* eventually("the end of its body", () => ends === 2)
        })
      )
  )

  it.live("a body that fails cancels its request at the server, and no other", () =>
    live(
      Effect.gen(function* () {
        const codes: Array<number> = []
        const to = yield* nodeServer((stream, headers) => {
          stream.on("close", () => void (headers[":path"] === "/fails" && codes.push(stream.rstCode)))
          if (headers[":path"] !== "/fails") stream.respond()
          stream.pipe(stream)
        })
        const client = yield* connect(to)
        const body = Stream.concat(Stream.make(new Uint8Array(10)), Stream.fail("no more"))
        const error = yield* refusalOf(client.fetch({ method: "POST", path: "/fails", body }))
        assert.deepInclude({ ...error }, { code: "CANCEL", by: "client", connection: false })
        assert.include(error.message, "no more")
        // a defect of it is no other thing
        const dies = { method: "POST", path: "/fails", body: Stream.die("a defect") }
        assert.include((yield* refusalOf(client.fetch(dies))).message, "a defect")
        assert.strictEqual(
          text((yield* client.fetch({ method: "POST", path: "/", body: Stream.make(Buffer.from("x")) })).body),
          "x"
        )
        yield* eventually("the reset", () => codes.length > 1)
        assert.deepStrictEqual(codes, [http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_CANCEL])
      })
    )
  )

  it.live("requests that cannot be are refused before anything is sent", () =>
    live(
      Effect.gen(function* () {
        const seen: Array<unknown> = []
        const to = yield* nodeServer((stream) => {
          seen.push(stream)
          stream.respond()
          stream.end()
        })
        const client = yield* connect(to)
        const headers = (name: string, value = "x") => ({ path: "/", headers: [[name, value]] as Headers })
        const wrong = [
          ...[
            headers("Upper"),
            headers(""),
            headers(":path"),
            headers("a b"),
            headers("connection"),
            headers("te", "gzip")
          ],
          ...[headers("a", "x\r\nb: c"), headers("a", " x"), headers("a", "x\0"), headers("a", "\u{1f600}")],
          ...[
            { path: "" },
            { path: "/a b" },
            { path: "/\r\n" },
            { path: "/", method: "CONNECT" },
            { path: "/", method: "get" }
          ]
        ]
        for (const request of wrong) {
          assert.strictEqual((yield* refusalOf(client.fetch(request))).code, "PROTOCOL_ERROR", JSON.stringify(request))
        }
        yield* client.fetch({ path: "/" })
        assert.strictEqual(seen.length, 1)
      })
    )
  )

  it.live("a server of HTTP/1.1 without TLS, and one that says nothing intelligible, are left at once", () =>
    live(
      Effect.gen(function* () {
        const server = yield* Effect.acquireRelease(
          Effect.promise(async () => {
            const server = net.createServer((socket) => {
              socket.on("error", () => {})
              socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
            })
            server.listen(0, "127.0.0.1")
            await once(server, "listening")
            return server
          }),
          (server) => Effect.sync(() => server.close())
        )
        const { port } = server.address() as net.AddressInfo
        const error = yield* refusalOf(connect({ host: "127.0.0.1", port }))
        assert.deepInclude({ ...error }, { code: "FRAME_SIZE_ERROR", connection: true })
      })
    )
  )
})
