/** Connections over the bodies of a request and of its answer, as Node has them. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError } from "effect-byte-streams"
import { Deferred, Effect, Fiber } from "effect"
import type { IncomingMessage } from "node:http"
import { http2Bodies, httpBodies, httpServer } from "../support/httpBodies.ts"
import { eventually, turns, within } from "../support/wait.ts"

const isReset = (error: unknown): void => {
  assert(error instanceof StreamError.ConnectionLost)
  assert.strictEqual(error.kind, "Reset")
}

/** A server that has answered, and is being asked still: of what becomes of the connection Node tells nobody then. */
const answered = Effect.gen(function* () {
  const { left, right } = yield* httpBodies(yield* httpServer)
  left.writable.write("a part")
  // a request that nobody reads when the answer ends is thrown away
  right.readable.read(0)
  right.writable.end("answer")
  left.readable.resume()
  yield* eventually("the answer has arrived", () => left.readable.readableEnded)
  return { client: left.writable, server: right }
})

describe("a request whose answer is complete, and whose connection breaks before it is", () => {
  it.live("is lost behind what had come, and is no wait without end", () =>
    Effect.gen(function* () {
      const { client, server } = yield* answered
      const { reader, closed } = yield* Connection.fromPair(server)
      yield* within("what came", reader.readExactly(6))
      const reading = yield* Effect.forkChild(Effect.flip(reader.read(1)), { startImmediately: true })
      client.destroy()
      isReset(yield* within("the read", Fiber.join(reading)))
      isReset(yield* within("another", Effect.flip(reader.read(1))))
      assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
    }).pipe(Effect.scoped)
  )

  it.live("is lost also where it was before there was a connection", () =>
    Effect.gen(function* () {
      const { client, server } = yield* answered
      client.destroy()
      const { socket } = server.readable as IncomingMessage
      yield* eventually("the server knows", () => socket.closed)
      const { reader } = yield* Connection.fromPair(server)
      assert.strictEqual((yield* within("what came", reader.readExactly(6))).length, 6)
      isReset(yield* within("the read", Effect.flip(reader.read(1))))
    }).pipe(Effect.scoped)
  )

  it.live("is complete where all of it had come, however late it is read", () =>
    Effect.gen(function* () {
      const { client, server } = yield* answered
      const { reader } = yield* Connection.fromPair(server)
      client.end(", and the rest")
      const request = server.readable as IncomingMessage
      yield* eventually("all of it has come", () => request.complete)
      request.socket.destroy()
      yield* eventually("the server knows", () => request.socket.closed)
      const got = yield* within("all of it", reader.readAll({ maxBytes: 100 }))
      assert.strictEqual(new TextDecoder().decode(got), "a part, and the rest")
    }).pipe(Effect.scoped)
  )
})

it.live("many requests in one connection leave nothing at its socket", () =>
  Effect.gen(function* () {
    const server = yield* httpServer
    const sockets = new Set<IncomingMessage["socket"]>()
    const listeners: Array<number> = []
    for (let i = 0; i < 20; i++) {
      const done = yield* Deferred.make<void>()
      const { left, right } = yield* httpBodies(server)
      const { socket } = right.readable as IncomingMessage
      sockets.add(socket)
      right.readable.on("close", () => Deferred.doneUnsafe(done, Effect.void))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { reader, writer } = yield* Connection.fromPair(right)
          left.writable.end("question")
          assert.strictEqual((yield* within("the question", reader.readAll({ maxBytes: 100 }))).length, 8)
          yield* writer.write("answer")
        })
      )
      left.readable.resume()
      yield* within("the request is over", Deferred.await(done))
      yield* eventually("the answer is read", () => left.readable.readableEnded)
      listeners.push(socket.listenerCount("close"))
    }
    assert.strictEqual(sockets.size, 1)
    assert.strictEqual(listeners.at(-1), listeners[0])
  }).pipe(Effect.scoped)
)

describe("a request of HTTP/2 as Node has it for programs of HTTP/1", () => {
  it.live("that its client resets is lost behind what had come", () =>
    Effect.gen(function* () {
      const { client, right } = yield* http2Bodies
      const { reader, closed } = yield* Connection.fromPair(right)
      client.write("a part")
      yield* within("what came", reader.readExactly(6))
      client.destroy(new Error("broken off"))
      assert.strictEqual((yield* within("the read", Effect.flip(reader.read(1))))._tag, "ConnectionLost")
      assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
    }).pipe(Effect.scoped)
  )

  it.live("that its client has reset before anybody reads it is no empty one: Node says that it has ended", () =>
    Effect.gen(function* () {
      const { client, right } = yield* http2Bodies
      let closed = false
      right.readable.on("close", () => (closed = true))
      client.write("a part")
      client.destroy(new Error("broken off"))
      yield* eventually("the server knows", () => closed)
      const { reader } = yield* Connection.fromPair(right)
      const error = yield* within("the read", Effect.flip(reader.readAll({ maxBytes: 100 })))
      assert(error instanceof StreamError.ConnectionLost)
      assert.strictEqual(error.code, "ERR_HTTP2_STREAM_ERROR")
    }).pipe(Effect.scoped)
  )

  it.live("that its client resets: writes that wait fail, and nothing looks sent", () =>
    Effect.gen(function* () {
      const { client, right } = yield* http2Bodies
      const { writer } = yield* Connection.fromPair(right)
      // more than the window that the client gives
      yield* writer.write(new Uint8Array(1_000_000))
      const flushing = yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
      yield* turns(20)
      client.destroy(new Error("broken off"))
      assert.strictEqual((yield* within("the flush", Fiber.join(flushing)))._tag, "ConnectionLost")
      assert.notStrictEqual((yield* within("the close", writer.close))._tag, "Graceful")
    }).pipe(Effect.scoped)
  )

  it.live("that is complete has its end, and its answer arrives", () =>
    Effect.gen(function* () {
      const { client, right } = yield* http2Bodies
      const { reader, writer } = yield* Connection.fromPair(right)
      client.end("question")
      const got = yield* within("the question", reader.readAll({ maxBytes: 100 }))
      assert.strictEqual(new TextDecoder().decode(got), "question")
      let answer = ""
      client.setEncoding("utf8").on("data", (text) => (answer += text))
      yield* writer.write("answer")
      assert.strictEqual((yield* within("the close", writer.close))._tag, "Graceful")
      yield* eventually("the answer", () => client.readableEnded)
      assert.strictEqual(answer, "answer")
    }).pipe(Effect.scoped)
  )
})
