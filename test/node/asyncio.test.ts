/**
 * CPython's asyncio streams at the other end: first as the server of this library's connections, then as the client of
 * its servers, over TCP and over Unix sockets.
 */
import { assert, describe, layer, type Vitest } from "@effect/vitest"
import { type Connection, NodeNetwork, StreamError } from "effect-byte-streams"
import { Context, Effect, Fiber, Layer, Result } from "effect"
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { bothKinds } from "../support/kinds.ts"
import { pattern, text } from "../support/bytes.ts"
import { largestRead } from "../support/largestRead.ts"
import { needs } from "../support/peers.ts"
import { type Program, start } from "../support/program.ts"
import type { At } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const script = (name: string) => fileURLToPath(new URL(`programs/${name}.py`, import.meta.url))

/** As the scripts say it: how many bytes, and their SHA-256. */
const digest = (data: Uint8Array) => `${data.length} ${createHash("sha256").update(data).digest("hex")}`

/** The asyncio server, and where it listens. */
class AsyncioServer extends Context.Service<
  AsyncioServer,
  { readonly program: Program; readonly at: ReadonlyArray<At> }
>()("test/AsyncioServer") {
  static readonly layer = Layer.effect(
    AsyncioServer,
    Effect.gen(function* () {
      const path = yield* socketPath()
      const program = yield* start("python3", [script("asyncio_server"), path])
      return { program, at: [Number(yield* program.line), path] }
    })
  )
}

/** Tests that share one program. */
const group = <R>(title: string, program: Layer.Layer<R>, tests: (it: Vitest.MethodsNonLive<R>) => void) =>
  describe(title, needs("python3"), () => {
    layer(program, { excludeTestServices: true, timeout: 15_000 })(tests)
  })

group("a client of asyncio.start_server", Layer.merge(AsyncioServer.layer, NodeNetwork.layer), (it) => {
  for (const [index, { client, kind }] of bothKinds.entries()) {
    /** A connection to the server, which is told what to do with it. */
    const ask = (command: string, options?: Connection.Options) =>
      Effect.gen(function* () {
        const { at, program } = yield* AsyncioServer
        const connection = yield* client(at[index]!, options)
        yield* connection.writer.write(`${command}\n`)
        return { ...connection, reader: connection.reader, writer: connection.writer, connection, program }
      })

    it.effect(`${kind}: three megabytes there and back at once`, () =>
      Effect.gen(function* () {
        const { reader, writer } = yield* ask("echo", { limit: 10_000, highWaterMark: 10_000 })
        const sent = pattern(3_000_000)
        const sending = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (let at = 0; at < sent.length; at += 7777) yield* writer.write(sent.subarray(at, at + 7777))
            yield* writer.writeEof
          })
        )
        const received = yield* within("the echo", reader.readAll({ maxBytes: "unbounded" }))
        yield* Fiber.join(sending)
        assert.strictEqual(Buffer.compare(received, sent), 0)
      })
    )

    it.effect(`${kind}: a burst of lines`, () =>
      Effect.gen(function* () {
        const { reader } = yield* ask("lines 3000")
        const lines: Array<string> = []
        for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) lines.push(text(line))
        assert.deepStrictEqual(
          lines,
          Array.from({ length: 3000 }, (_, i) => `line ${i}\n`)
        )
      })
    )

    it.effect(`${kind}: a conversation, line by line`, () =>
      Effect.gen(function* () {
        const { reader, writer } = yield* ask("upper")
        for (const word of ["one", "two", "three"]) {
          yield* writer.write(`${word}\n`)
          assert.strictEqual(text(yield* within("the answer", reader.readLine)), `${word.toUpperCase()}\n`)
        }
      })
    )

    it.effect(`${kind}: what readexactly gets is what was written`, () =>
      Effect.gen(function* () {
        const sent = pattern(1_000_000)
        const { reader, writer } = yield* ask(`exactly ${sent.length}`)
        yield* writer.write(sent)
        assert.strictEqual(text(yield* within("the answer", reader.readLine)), `${digest(sent)}\n`)
      })
    )

    it.effect(`${kind}: writeEof is its read(-1)'s end, and its answer is read`, () =>
      Effect.gen(function* () {
        const sent = pattern(100_000)
        const { connection, reader, writer } = yield* ask("summarise")
        yield* writer.write(sent)
        yield* writer.writeEof
        assert.strictEqual(text(yield* within("the answer", reader.readLine)), `${digest(sent)}\n`)
        assert.strictEqual((yield* reader.read(1)).length, 0)
        assert.deepStrictEqual(yield* within("its end", connection.closed), { _tag: "PeerEof" })
      })
    )

    it.effect(`${kind}: after its write_eof our writes are delivered`, () =>
      Effect.gen(function* () {
        const sent = pattern(100_000)
        const { program, reader, writer } = yield* ask("end-first")
        assert.strictEqual(
          text(yield* within("its last words", reader.readAll({ maxBytes: 100 }))),
          "that is all from me\n"
        )
        yield* writer.write(sent)
        yield* writer.close
        assert.strictEqual(yield* program.line, `received ${digest(sent)}`)
      })
    )

    it.effect(`${kind}: everything written before close arrives`, () =>
      Effect.gen(function* () {
        const sent = pattern(5_000_000)
        const { program, writer } = yield* ask("end-first")
        writer.writeUnsafe(sent)
        assert.deepStrictEqual(yield* within("close", writer.close), { _tag: "Graceful" })
        assert.strictEqual(yield* program.line, `received ${digest(sent)}`)
      })
    )

    it.effect(`${kind}: it does not read, and our writes wait; then all arrives`, () =>
      Effect.gen(function* () {
        const { program, writer } = yield* ask("deaf", { highWaterMark: 10_000 })
        const chunk = pattern(50_000)
        let written = 0
        const writing = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (; written < 100; written++) yield* writer.write(chunk)
            return yield* writer.close
          })
        )
        yield* eventuallyEffect(
          "the writer is held back",
          Effect.map(writer.buffered, (buffered) => buffered > writer.lowWaterMark)
        )
        yield* turns(20)
        assert.isBelow(written, 100)
        yield* ask("listen")
        assert.deepStrictEqual(yield* within("the writer ends", Fiber.join(writing)), { _tag: "Graceful" })
        assert.strictEqual(
          yield* program.line,
          `received ${digest(Buffer.concat(Array.from({ length: 100 }, () => chunk)))}`
        )
      })
    )

    it.effect(`${kind}: we do not read, and it waits; when we leave it is told`, () =>
      Effect.gen(function* () {
        const { connection, program, reader } = yield* ask("flood", { limit: 1000 })
        yield* eventuallyEffect(
          "the flood has begun",
          Effect.map(reader.buffered, (buffered) => buffered > 2000)
        )
        yield* turns(50)
        assert.isAtMost(yield* reader.buffered, 2000 + largestRead)
        yield* connection.abort
        assert.match(yield* program.line, /^flood ended (ConnectionResetError|BrokenPipeError)$/)
      })
    )
  }

  it.effect("TCP: it replies and resets: the reply is read, and then ConnectionLost", () =>
    Effect.gen(function* () {
      const { at } = yield* AsyncioServer
      const { closed, reader, writer } = yield* bothKinds[0]!.client(at[0]!)
      yield* writer.write("reset\n")
      assert.strictEqual((yield* within("the loss", closed))._tag, "Lost")
      assert.strictEqual(text(yield* reader.readLine), "the reply\n")
      assert.strictEqual(text(yield* reader.read(100)), "and more")
      const lost = yield* Effect.flip(reader.read(1))
      assert(lost instanceof StreamError.ConnectionLost)
      assert.strictEqual(lost.kind, "Reset")
    })
  )
})

/** The asyncio client. */
class AsyncioClient extends Context.Service<AsyncioClient, Program>()("test/AsyncioClient") {
  static readonly layer = Layer.effect(AsyncioClient, start("python3", [script("asyncio_client")]))
}

group("a server of asyncio.open_connection", Layer.merge(AsyncioClient.layer, NodeNetwork.layer), (it) => {
  for (const { kind, serve } of bothKinds) {
    const play = (program: Program, scenario: string, at: At) =>
      Effect.gen(function* () {
        yield* program.send(`${scenario} ${kind.toLowerCase()} ${at}\n`)
        return JSON.parse(yield* program.line) as unknown
      })

    /** What the client finds in a scenario. */
    const runClient = (scenario: string, at: At) =>
      Effect.flatMap(AsyncioClient, (program) => play(program, scenario, at))

    const echo = ({ reader, writer }: Connection.Connection) =>
      Effect.gen(function* () {
        for (let data = yield* reader.read(65_536); data.length > 0; data = yield* reader.read(65_536)) {
          yield* writer.write(data)
        }
      })

    it.effect(`${kind}: each of its reads gets what was written`, () =>
      Effect.gen(function* () {
        const rest = pattern(300_000)
        const { at } = yield* serve(({ writer }) =>
          Effect.andThen(writer.writeAll(["a line\n", "five.", "until|", "abc"]), writer.write(rest))
        )
        assert.deepStrictEqual(yield* runClient("reads", at), [
          "a line\n",
          "five.",
          "until|",
          "abc",
          digest(rest),
          "",
          true
        ])
      })
    )

    it.effect(`${kind}: it pipelines two thousand requests`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(({ reader, writer }) =>
          Effect.gen(function* () {
            for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
              yield* writer.write(line)
            }
          })
        )
        assert.deepStrictEqual(yield* runClient("pipeline", at), { count: 2000, inOrder: true })
      })
    )

    it.effect(`${kind}: five megabytes there and back at once`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(echo, { limit: 10_000, highWaterMark: 10_000 })
        assert.deepStrictEqual(yield* runClient("large", at), { same: true, size: 80 * 65_536 })
      })
    )

    it.effect(`${kind}: its write_eof ends the question, and our answer is read`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(({ reader, writer }) =>
          Effect.flatMap(reader.readAll({ maxBytes: 1000 }), (question) => writer.write(`${question.length} bytes`))
        )
        assert.deepStrictEqual(yield* runClient("half_close", at), { answer: "18 bytes" })
      })
    )

    it.effect(`${kind}: its overlong line is caught by its tag, and the next is intact`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(
          ({ reader, writer }) =>
            Effect.gen(function* () {
              for (let i = 0; i < 3; i++) {
                const line = yield* Effect.result(reader.readLine)
                yield* writer.write(Result.isSuccess(line) ? line.success : `${line.failure._tag}\n`)
              }
            }),
          { limit: 1000 }
        )
        assert.deepStrictEqual(yield* runClient("overlong", at), { answers: ["first\n", "LimitOverrun\n", "last\n"] })
      })
    )

    it.effect(`${kind}: it is told when the handler fails`, () =>
      Effect.gen(function* () {
        const { at } = yield* serve(
          ({ writer }) =>
            Effect.gen(function* () {
              yield* writer.write("before it fails\n")
              yield* writer.flush
              // so that it has been read before it is reset
              yield* Effect.sleep(50)
              return yield* Effect.die("failed")
            }),
          { onHandlerError: () => Effect.void }
        )
        assert.deepStrictEqual(yield* runClient("lost", at), {
          line: "before it fails\n",
          error: kind === "TCP" ? "ConnectionResetError" : "IncompleteReadError"
        })
      })
    )

    for (const [scenario, end] of [
      ["vanish", "PeerEof"],
      ["abort", kind === "TCP" ? "Lost" : "PeerEof"]
    ] as const) {
      it.effect(`${kind}: its process ${scenario === "vanish" ? "ends" : "aborts"} in the middle of a line`, () =>
        Effect.gen(function* () {
          const ends: Array<string> = []
          const { at, server } = yield* serve(({ closed, reader, writer }) =>
            Effect.gen(function* () {
              assert.strictEqual(text(yield* reader.readExactly(9)), "half a li")
              yield* writer.write("go on\n")
              ends.push((yield* closed)._tag)
            })
          )
          // one of its own, because it may not outlive this
          const program = yield* start("python3", [script("asyncio_client")])
          yield* play(program, scenario, at)
          yield* eventually("the handler is told", () => ends.length === 1)
          assert.deepStrictEqual(ends, [end])
          yield* eventuallyEffect(
            "nobody is served any more",
            Effect.map(server.connections, (count) => count === 0)
          )
        })
      )
    }
  }
})
