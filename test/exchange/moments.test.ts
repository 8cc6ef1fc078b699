/** A bound that is reached at the very moment at which an answer comes is judged behind it. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange, openConnection, startServer } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Fiber, type Scope, Stream } from "effect"
import { line } from "../support/exchanges.ts"
import { start } from "../support/fibers.ts"

type Client = Exchange.Exchange<string, string>
type Options = Partial<Exchange.PipelinedOptions<string, string>>

/** Every answer takes a second, and so long is each bound. */
const bounds: ReadonlyArray<
  readonly [string, Options, (client: Client) => Effect.Effect<unknown, unknown, Scope.Scope>]
> = [
  ["callTimeout", { callTimeout: "1 second" }, (client) => client.call("a")],
  [
    "callTimeout, of several runs",
    { callTimeout: "2 seconds", maxInFlight: 1 },
    (client) => client.callAll(["a", "b"])
  ],
  ["stallTimeout", { stallTimeout: "1 second" }, (client) => client.call("a")],
  [
    "keepAlive",
    { keepAlive: { every: "5 seconds", request: "alive", within: "1 second" } },
    (client) => Effect.andThen(Effect.sleep("12 seconds"), client.call("a"))
  ],
  [
    "drainTimeout of a close",
    { drainTimeout: "1 second" },
    (client) =>
      Effect.gen(function* () {
        const call = yield* start(client.call("a"))
        assert.deepStrictEqual(yield* client.close, { _tag: "Closed" })
        return yield* Fiber.join(call)
      })
  ],
  [
    "drainTimeout of what is left of answers that nobody wants",
    { drainTimeout: "1 second", answers: (request) => request.length },
    (client) =>
      Effect.gen(function* () {
        const left = yield* start(client.call("ab"))
        yield* Fiber.interrupt(left)
        return yield* client.call("c")
      })
  ]
]

describe("at the very moment", () => {
  it.live.each(bounds)("%s", ([, options, ask]) =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* startServer({ port: 7000 }, (connection) =>
          Exchange.serve(connection, { request: line, response: line, concurrency: 9 }, (request) =>
            Effect.succeed(request === "ab" ? Stream.make("a", "b") : request)
          )
        )
        const connection = yield* openConnection({ port: 7000, connectTimeout: "1 minute" })
        const pipelined = yield* Exchange.makePipelined(connection, {
          request: line,
          response: line,
          ...options
        } as Exchange.PipelinedOptions<string, string>)
        yield* ask(pipelined)
      }),
      { fromServer: { latency: "1 second" } }
    )
  )
})

it.live("closed of a peer that has ended: a handler that is answered at the very moment of drainTimeout answers", () =>
  TestNetwork.simulate(
    Effect.gen(function* () {
      yield* startServer({ port: 7001 }, (connection) =>
        Exchange.serve(connection, { request: line, response: line }, (request) => Effect.succeed(request))
      )
      const upstream = yield* Exchange.makePipelined(
        yield* openConnection({ port: 7001, connectTimeout: "1 minute" }),
        {
          request: line,
          response: line
        }
      )
      yield* startServer({ port: 7000 }, (connection) =>
        Effect.flatMap(
          Exchange.makePeer(
            connection,
            {
              message: line,
              isRequest: (message) => message === "ask",
              id: { put: (message) => message, get: () => undefined },
              drainTimeout: "1 second"
            },
            (question) => Effect.orDie(upstream.call(question))
          ),
          ({ closed }) => closed
        )
      )
      const { reader, writer } = yield* openConnection({ port: 7000, connectTimeout: "1 minute" })
      yield* writer.writeFrame(line, "ask")
      yield* writer.writeEof
      assert.strictEqual(yield* reader.readFrame(line), "ask")
    }),
    { fromServer: { latency: "1 second" } }
  )
)
