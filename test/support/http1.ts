/** The example of an HTTP/1.1 server in a network in memory, and a client that says to it what no client should. */
import { openConnection } from "effect-byte-streams"
import { Effect, Option, Result, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Http1 from "../../examples/protocols/http1.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"

/** What an answer came to. */
export interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
  readonly trailers: Record<string, string>
}

const fieldsOf = (lines: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]))

/** The answers in what a server has said; fails on what is none. `methods` are those of the requests, where one is HEAD. */
export const parseAnswers = (text: string, methods: ReadonlyArray<string> = []): ReadonlyArray<Answer> => {
  const answers: Array<Answer> = []
  let at = 0
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at)
    if (end === -1) throw new Error(`no head: ${JSON.stringify(text.slice(at))}`)
    const [start, ...lines] = text.slice(at, end).split("\r\n")
    const status = Number(/^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(start!)?.[1])
    if (!(status >= 100)) throw new Error(`no status line: ${start}`)
    const headers = fieldsOf(lines)
    at = end + 4
    const final = answers.filter((answer) => answer.status >= 200).length
    let body = ""
    let trailers = {}
    if (status >= 200 && status !== 204 && status !== 304 && methods[final] !== "HEAD") {
      if (headers["transfer-encoding"] === "chunked") {
        for (;;) {
          const line = text.indexOf("\r\n", at)
          const size = Number.parseInt(text.slice(at, line), 16)
          at = line + 2
          if (!(size > 0)) break
          body += text.slice(at, at + size)
          if (text.slice(at + size, at + size + 2) !== "\r\n") throw new Error("a chunk without its end")
          at += size + 2
        }
        const last = text.indexOf("\r\n\r\n", at - 2)
        if (last === -1) throw new Error("a chunked body without an end")
        trailers = fieldsOf(
          text
            .slice(at, last)
            .split("\r\n")
            .filter((line) => line !== "")
        )
        at = Math.max(at, last) + (last < at ? 2 : 4)
      } else if (headers["content-length"] !== undefined) {
        const size = Number(headers["content-length"])
        body = text.slice(at, at + size)
        if (body.length < size) throw new Error("a body that is cut off")
        at += size
      } else {
        body = text.slice(at)
        at = text.length
      }
    }
    answers.push({ status, headers, body, trailers })
  }
  return answers
}

/** Answers with what it was asked: where requests were confused, the answers show it. */
export const telling = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const body = yield* request.text
  const { host } = request.headers
  return yield* HttpServerResponse.json({ method: request.method, url: request.url, host, body })
})

/** Answers with the body that it was sent, as it comes. */
export const echoing = Effect.map(HttpServerRequest.HttpServerRequest, ({ stream }) =>
  HttpServerResponse.stream(stream)
)

export type App = Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest.HttpServerRequest>

export interface Talk {
  readonly app?: App
  readonly options?: Partial<Http1.Options>
  readonly network?: TestNetwork.Options
  /** Whether the client ends its output behind what it says. */
  readonly ends?: boolean
}

/** Says the pieces, which are Latin-1, one by one, and listens until the server ends the connection. */
export const say = (pieces: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { reader, writer } = yield* openConnection({ host: "app.example", port: 80 })
    // a server that refuses does not read on
    yield* Effect.forkChild(
      Effect.ignore(Effect.forEach(pieces, (piece) => writer.write(Buffer.from(piece, "latin1"))))
    )
    let text = ""
    const end = yield* Effect.result(
      Effect.gen(function* () {
        for (
          let bytes = yield* reader.readOption(65_536);
          Option.isSome(bytes);
          bytes = yield* reader.readOption(65_536)
        ) {
          text += Buffer.from(bytes.value).toString("latin1")
        }
      })
    )
    return { text, end: Result.isSuccess(end) ? ("closed" as const) : ("reset" as const) }
  })

/** A server of `app` at port 80 of a network in memory. */
export const serving = (app: App = telling, options?: Partial<Http1.Options>) =>
  Effect.flatMap(Http1.make({ port: 80, ...options }), (server) => server.serve(app))

/** What a server says to `pieces`, each of which is sent by itself. */
export const talk = (pieces: ReadonlyArray<string>, { app, network, options }: Talk = {}) =>
  TestNetwork.simulate(
    Effect.gen(function* () {
      yield* serving(app, options)
      return yield* say(pieces)
    }),
    network
  )

/** A stream that says `words`, each by itself. */
export const streamOf = (...words: ReadonlyArray<string>): Stream.Stream<Uint8Array> =>
  Stream.rechunk(Stream.fromIterable(words.map((word) => new TextEncoder().encode(word))), 1)
