/** JSON-RPC in examples/protocols: with a real language server, under generated faults, and against bad input. */
import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Deferred, Effect, Exit, Fiber, Latch, Option, Schema } from "effect"
import { ChildProcess } from "effect/process"
import { Frame, openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as fc from "fast-check"
import { JsonRpcError, languageServer, make, on, type Peer } from "../../examples/protocols/jsonrpc.ts"
import { bytes } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { within } from "../support/wait.ts"

const method = <P, A>(name: string, params: Schema.Codec<P, any>, result: Schema.Codec<A, any>) => ({
  method: name,
  params,
  result
})
const Echo = method("echo", Schema.Tuple([Schema.String]), Schema.String)
const Ask = method("ask", Schema.Tuple([Schema.String]), Schema.String)
const Never = method("never", Schema.Undefined, Schema.Null)
const Note = { method: "note", params: Schema.Tuple([Schema.Number]) }
const text = Frame.contentLength({ maxBytes: 1_000_000 }, Frame.utf8Rest)

const refusalOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert(error instanceof JsonRpcError, String(error))
    return [error.code, error.message]
  })

describe("with a language server of npm", () => {
  const uri = "file:///greeting.json"
  const Open = { method: "textDocument/didOpen", params: Schema.Unknown }
  const Diagnostics = {
    method: "textDocument/publishDiagnostics",
    params: Schema.Struct({ diagnostics: Schema.Array(Schema.Struct({ message: Schema.String })) })
  }
  const Content = method("vscode/content", Schema.Unknown, Schema.String)
  const Hover = method("textDocument/hover", Schema.Unknown, Schema.Struct({ contents: Schema.Array(Schema.String) }))
  const Symbols = method(
    "textDocument/documentSymbol",
    Schema.Unknown,
    Schema.Array(Schema.Struct({ name: Schema.String }))
  )
  const schema = { properties: { hello: { description: "Who is greeted", type: "string" } } }
  const hover = { textDocument: { uri }, position: { line: 0, character: 3 } }
  const command = ChildProcess.make(
    process.execPath,
    ["node_modules/vscode-json-languageserver/bin/vscode-json-languageserver", "--stdio"],
    { stderr: "ignore", forceKillAfter: "1 second" }
  )
  const open = (server: Peer, text: string) =>
    server.notify(Open, { textDocument: { uri, languageId: "json", version: 1, text } })

  it.live("both ask, both notify, what it does not know it refuses, and it ends by itself with the scope", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const complaints = yield* Deferred.make<ReadonlyArray<string>>()
      const handle = yield* command
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* languageServer(Effect.succeed(handle) as never, {}, [
            on(Content, (params) => Effect.sync(() => JSON.stringify(asked.push(params) > 0 && schema))),
            on(Diagnostics, ({ diagnostics }) =>
              Effect.asVoid(
                Deferred.succeed(
                  complaints,
                  diagnostics.map(({ message }) => message)
                )
              )
            )
          ])
          assert.propertyVal((server.server as any).capabilities, "hoverProvider", true)
          yield* open(server, `{"hello": 1, "$schema": "greetings://schema"}`)
          const { contents } = yield* within("a hover", server.call(Hover, hover))
          assert.deepStrictEqual(contents, ["Who is greeted"])
          assert.deepStrictEqual(asked, [["greetings://schema"]])
          assert.match((yield* within("diagnostics", Deferred.await(complaints))).join(), /"string"/)
          const unknown = method("no/such", Schema.Undefined, Schema.Null)
          assert.strictEqual((yield* refusalOf(server.call(unknown, undefined)))[0], -32601)
        })
      )
      assert.strictEqual(yield* within("its exit", handle.exitCode), 0)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("a call that is interrupted while the server waits for us leaves its answer to nobody", () =>
    Effect.gen(function* () {
      const asked = yield* Latch.make()
      const answer = yield* Latch.make()
      const server = yield* languageServer(command, {}, [
        on(Content, () => Effect.andThen(asked.open, Effect.as(answer.await, JSON.stringify(schema))))
      ])
      yield* open(server, `{"hello": 1, "$schema": "greetings://schema"}`)
      const call = yield* start(server.call(Hover, hover))
      yield* within("its question", asked.await)
      yield* Fiber.interrupt(call)
      const symbols = yield* within("other answers", server.call(Symbols, { textDocument: { uri } }))
      assert.deepStrictEqual(
        symbols.map(({ name }) => name),
        ["hello", "$schema"]
      )
      yield* answer.open
      assert.deepStrictEqual((yield* within("a hover", server.call(Hover, hover))).contents, ["Who is greeted"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live("one that is killed fails its calls, and one that is none does so at once", () =>
    Effect.gen(function* () {
      const handle = yield* command
      const server = yield* languageServer(Effect.succeed(handle) as never, {}, [on(Content, () => Effect.never)])
      yield* open(server, `{"$schema": "greetings://schema"}`)
      const call = yield* start(server.call(Hover, hover))
      yield* handle.kill({ killSignal: "SIGKILL" })
      assert.strictEqual((yield* within("the loss", Effect.flip(Fiber.join(call))))._tag, "RequestLost")
      const none = languageServer(ChildProcess.make("sh", ["-c", "echo hello"]), {}, [])
      assert.strictEqual((yield* within("the loss", Effect.flip(none)))._tag, "RequestLost")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

describe("both sides", () => {
  const both = Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair()
    const events: Array<unknown> = []
    const server = yield* make(right, [
      on(Echo, ([word]) => Effect.succeed(word)),
      on(Ask, ([word], peer) => Effect.orDie(peer.call(Echo, [`${word}?`]))),
      on(Never, () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void events.push("interrupted")))),
      on(Note, ([number]) => (number < 0 ? Effect.die("no") : Effect.sync(() => void events.push(number)))),
      on(method("refused", Schema.Undefined, Schema.Null), () =>
        Effect.fail(new JsonRpcError({ code: 7, message: "not today", data: [1] }))
      ),
      on(method("broken", Schema.Undefined, Schema.Null), () => Effect.die("of shame"))
    ])
    return { client: yield* make(left, [on(Echo, ([word]) => Effect.succeed(word.toUpperCase()))]), server, events }
  })

  it.effect("an error is that of the handler, or says what was wrong with the call", () =>
    Effect.gen(function* () {
      const { client } = yield* both
      assert.strictEqual(yield* client.call(Ask, ["you"]), "YOU?")
      const nothing = (name: string, result: Schema.Codec<any, any> = Schema.Null) =>
        client.call(method(name, Schema.Undefined, result), undefined)
      assert.deepStrictEqual(yield* refusalOf(nothing("refused")), [7, "not today"])
      assert.deepStrictEqual(yield* refusalOf(nothing("broken")), [-32603, "the handler has died"])
      assert.deepStrictEqual(yield* refusalOf(nothing("unknown")), [-32601, "no unknown"])
      const wrong = client.call(method("echo", Schema.Tuple([Schema.Number]), Schema.String), [5])
      assert.strictEqual((yield* refusalOf(wrong))[0], -32602)
      const other = client.call(method("echo", Schema.Tuple([Schema.String]), Schema.Number), ["5"])
      assert.strictEqual((yield* Effect.flip(other))._tag, "SchemaError")
      const error = yield* Effect.flip(nothing("refused"))
      assert.deepStrictEqual((error as JsonRpcError).data, [1])
    })
  )

  it.effect("an interrupted call interrupts its handler at the other side, and no other one", () =>
    Effect.gen(function* () {
      const { client, events } = yield* both
      const [one, other] = [yield* start(client.call(Never, undefined)), yield* start(client.call(Never, undefined))]
      assert.strictEqual(yield* client.call(Echo, ["x"]), "x")
      yield* Fiber.interrupt(one)
      // the cancellation goes out in a turn of its own
      for (const word of ["y", "z"]) assert.strictEqual(yield* client.call(Echo, [word]), word)
      assert.deepStrictEqual(events, ["interrupted"])
      assert.isUndefined(other.pollUnsafe())
    })
  )

  it.effect("notifications come in order; unknown ones, and those whose handler dies, are nobody's trouble", () =>
    Effect.gen(function* () {
      const { client, events } = yield* both
      yield* client.notify({ method: "unknown", params: Schema.Undefined }, undefined)
      for (const number of [1, -1, 2, 3]) yield* client.notify(Note, [number])
      assert.strictEqual(yield* client.call(Echo, ["x"]), "x")
      assert.deepStrictEqual(events, [1, 2, 3])
    })
  )
})

describe("under faults", () => {
  const path = fc.record({
    latency: fc.constantFrom(0, 3),
    chunking: fc.constantFrom("asIs" as const, "oneByte" as const, "random" as const)
  })
  const scenario = fc.record({
    seed: fc.nat(),
    fromClient: path,
    fromServer: path,
    faults: Faults.arbitrary(fc, { maxBytes: 2000, maxFaults: 2, maxMillis: 5000 }) as fc.Arbitrary<Faults.Script>,
    // how long each caller waits for each of its answers
    patience: fc.array(fc.constantFrom(0, 1, 2, 5, 20, 60_000), { minLength: 1, maxLength: 30 })
  })

  it.effect("each answer is that of its own call, and every call ends: with it, or with an error of its type", () =>
    Effect.gen(function* () {
      let answered = 0
      let failed = 0
      const all = yield* forAll(
        scenario,
        ({ patience, ...options }) =>
          TestNetwork.simulate(
            Effect.gen(function* () {
              yield* startServer({ port: 7000, onHandlerError: () => Effect.void }, (connection) =>
                Effect.gen(function* () {
                  const peer = yield* make(connection, [
                    on(Echo, ([word]) => Effect.delay(Effect.succeed(word), word.length % 3)),
                    on(Ask, ([word], peer) => Effect.orDie(peer.call(Echo, [`${word}?`])))
                  ])
                  yield* peer.closed
                }).pipe(Effect.scoped)
              )
              const connecting = Effect.exit(openConnection({ port: 7000, connectTimeout: "1 minute" }))
              const connection = yield* connecting
              if (Exit.isFailure(connection)) return
              const client = yield* make(connection.value, [on(Echo, ([word]) => Effect.succeed(word))])
              const call = (millis: number, i: number) => {
                const token = "x".repeat(i % 5) + i
                const asking = i % 2 === 0 ? client.call(Echo, [token]) : client.call(Ask, [token])
                return Effect.gen(function* () {
                  const exit = yield* Effect.exit(Effect.timeoutOption(asking, millis))
                  if (Exit.isFailure(exit)) {
                    const error = yield* Effect.flip(exit)
                    // a handler whose own call is lost dies
                    assert.include(["RequestLost", "JsonRpcError"], error._tag)
                    failed++
                  } else if (Option.isSome(exit.value)) {
                    assert.strictEqual(exit.value.value, i % 2 === 0 ? token : `${token}?`)
                    answered++
                  }
                })
              }
              yield* Effect.forEach(patience, call, { concurrency: 4 })
            }),
            options
          ),
        { numRuns: 150 }
      )
      if (!all) return
      assert.isAbove(answered, 100)
      assert.isAbove(failed, 10)
    })
  )
})

describe("bad input", () => {
  /** What a peer answers to bytes, and how it ends, with a call of its own on the way. */
  const given = (input: Uint8Array, chunking: TestNetwork.Path["chunking"] = "asIs") =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair({ fromServer: { chunking } })
        const peer = yield* make(left, [on(Echo, ([word]) => Effect.succeed(word))])
        const call = yield* start(Effect.exit(peer.call(Echo, ["x"])))
        yield* right.reader.readFrame(text)
        yield* right.writer.write(input)
        yield* right.writer.writeEof
        const answers: Array<any> = []
        const read = Effect.map(right.reader.readFrame(text), (answer) => answers.push(JSON.parse(answer)))
        // whoever has ended its output is still answered; nobody closes the connection here
        yield* Effect.exit(Effect.timeout(Effect.forever(read), "1 second"))
        return { answers, call: yield* Fiber.join(call), closed: yield* peer.closed }
      })
    )
  const framed = (body: string) => Buffer.from(Frame.encodeResultUnsafe(text, body))

  it.effect("what is no request is refused as the specification has it, and the next one is answered", () =>
    Effect.gen(function* () {
      const parse = { code: -32700, message: "this is no JSON" }
      const invalid = { code: -32600, message: "this is no request" }
      const cases: ReadonlyArray<readonly [string, object]> = [
        [`{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]`, parse],
        [``, parse],
        [`{"jsonrpc": "2.0", "method": 1, "params": "bar"}`, invalid],
        [`{"jsonrpc": "1.0", "id": 1, "method": "echo", "params": ["x"]}`, invalid],
        [`{"jsonrpc": "2.0", "id": {}, "method": "echo", "params": ["x"]}`, invalid],
        [`[]`, invalid],
        [`[1,2,3]`, invalid],
        [`1`, invalid],
        [`null`, invalid]
      ]
      for (const [body, error] of cases) {
        const next = framed(`{"jsonrpc":"2.0","id":"mine","method":"echo","params":["y"]}`)
        const { answers } = yield* given(Buffer.concat([framed(body), next]), "oneByte")
        const both = [
          { jsonrpc: "2.0", id: null, error },
          { jsonrpc: "2.0", id: "mine", result: "y" }
        ]
        assert.deepStrictEqual(answers, both, body)
      }
    })
  )

  it.effect("what is no answer ends the connection, and the call says why", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, string]> = [
        [`{"jsonrpc":"2.0","id":1}`, "MalformedFrame"],
        [`{"jsonrpc":"2.0","id":1,"error":"no"}`, "MalformedFrame"],
        [`{"id":1,"result":"x"}`, "MalformedFrame"],
        [`{"jsonrpc":"2.0","id":9,"result":"x"}`, "ProtocolViolation"],
        [`{"jsonrpc":"2.0","id":"1","result":"x"}`, "ProtocolViolation"],
        [`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}`, "ProtocolViolation"]
      ]
      for (const [body, cause] of cases) {
        const { call } = yield* given(framed(body))
        const error = yield* Effect.flip(call)
        assert.strictEqual(error._tag === "RequestLost" ? error.cause._tag : error._tag, cause, body)
      }
    })
  )

  it.effect("any bytes, and messages with any bytes changed, end the call: with its answer, or typed", () => {
    const good = Buffer.concat([
      framed(`{"jsonrpc":"2.0","id":5,"method":"echo","params":["y"]}`),
      framed(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":5}}`),
      framed(`{"jsonrpc":"2.0","id":1,"result":"x"}`)
    ])
    const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
    const mutated = changes.map((all) => {
      const copy = Uint8Array.from(good)
      for (const [at, byte] of all) copy[at] = byte
      return copy
    })
    const cut = fc.nat(good.length).map((size) => Uint8Array.from(good.subarray(0, size)))
    const large = fc.constant(bytes("Content-Length: 99999999999\r\n\r\n"))
    return forAll(
      fc.oneof({ weight: 3, arbitrary: mutated }, cut, large, fc.uint8Array({ maxLength: 100 })),
      (input) =>
        Effect.gen(function* () {
          const { call } = yield* given(input)
          if (Exit.isSuccess(call)) return
          assert.include(["RequestLost", "SchemaError", "JsonRpcError"], (yield* Effect.flip(call))._tag)
        }),
      { numRuns: 300 }
    )
  })
})
