/**
 * What this library does, on real loopback sockets: seven scenes, each with a server and its clients.
 *
 * Everything that is printed was received or measured while it ran.
 *
 * Usage: npm start
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Deferred, Effect, Fiber, Option } from "effect"
import { type Connection, NodeNetwork, openConnection, Server, startServer } from "effect-byte-streams"
import { randomBytes } from "node:crypto"

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

const say = (line: string) => Console.log(`   ${line}`)
const decoder = new TextDecoder()
const text = (bytes: Uint8Array) => decoder.decode(bytes).trimEnd()

const loopback = { host: "127.0.0.1", port: 0 }
const connect = (server: Server.Server, options?: Connection.Options) =>
  openConnection({ ...options, host: "127.0.0.1", port: server.port })

// ---------------------------------------------------------------------------
// the scenes
// ---------------------------------------------------------------------------

const greeting = Effect.gen(function* () {
  const server = yield* startServer(loopback, ({ reader, writer }) =>
    Effect.gen(function* () {
      yield* writer.write(`Hello, ${text(yield* reader.readUntil("\n"))}!\n`)
    })
  )
  const greet = Effect.fnUntraced(function* (name: string) {
    const { reader, writer } = yield* connect(server)
    yield* writer.write(`${name}\n`)
    return text(yield* reader.readUntil("\n"))
  })
  const answers = yield* Effect.forEach(["Ada", "Barbara", "Grace"], greet, { concurrency: "unbounded" })
  yield* say(`three clients at once are told: ${answers.join(" ")}`)
})

const pipelinedBurst = Effect.gen(function* () {
  const server = yield* startServer(loopback, ({ reader, writer }) =>
    Effect.gen(function* () {
      for (let line = yield* reader.readLineText; Option.isSome(line); line = yield* reader.readLineText) {
        yield* writer.write(`${Number(line.value) ** 2}\n`)
      }
    })
  )
  const { reader, writer } = yield* connect(server)
  const numbers = Array.from({ length: 10_000 }, (_, index) => index)
  for (const number of numbers) yield* writer.write(`${number}\n`)
  yield* say(`${numbers.length} requests are written before the first answer is read`)

  let right = 0
  for (const number of numbers) {
    if (Number(text(yield* reader.readUntil("\n"))) === number ** 2) right++
  }
  yield* say(`${right} answers come back, each the right one for its place`)
})

const largeBody = Effect.gen(function* () {
  const body = randomBytes(64 * mebibyte)
  const server = yield* startServer(loopback, ({ writer }) => writer.write(body))
  const { reader } = yield* connect(server)
  yield* say(`the reader's limit: ${reader.limit} bytes`)
  const received = yield* reader.readExactly(body.length)
  yield* say(`one readExactly returns: ${received.length} bytes`)
  yield* say(`they are the bytes that were sent: ${body.equals(received)}`)
})

const overlongLine = Effect.gen(function* () {
  const lines = ["short\n", `${"long ".repeat(20_000)}\n`, "short again\n"]
  const server = yield* startServer(loopback, ({ writer }) => writer.writeAll(lines))
  const { reader } = yield* connect(server, { limit: 1000 })
  for (const line of lines) {
    const outcome = yield* reader.readLine.pipe(
      Effect.map((received) => `read "${text(received)}"`),
      Effect.catchTag("LimitOverrun", (error) => Effect.succeed(`caught ${error._tag}, limit ${error.limit}`))
    )
    yield* say(`a line of ${line.length} bytes: ${outcome}`)
  }
})

const halfClose = Effect.gen(function* () {
  const server = yield* startServer(loopback, ({ reader, writer }) =>
    Effect.gen(function* () {
      const everything = yield* reader.readAll({ maxBytes: mebibyte })
      yield* writer.write(`you sent ${everything.length} bytes and ended your output`)
    })
  )
  const { reader, writer } = yield* connect(server)
  yield* writer.write("one two three")
  yield* writer.writeEof
  yield* writer
    .write("four")
    .pipe(Effect.catchTag("ClosedStream", (error) => say(`after writeEof, a write: ${error._tag} (${error.message})`)))
  yield* say(`and a read: "${text(yield* reader.readAll({ maxBytes: mebibyte }))}"`)
})

const slowReader = Effect.gen(function* () {
  const piece = new Uint8Array(64 * kibibyte)
  const total = 64 * mebibyte
  const { near, far } = yield* bothEnds

  const progress = { sent: 0, mostHeld: 0 }
  const writing = yield* Effect.forkChild(
    Effect.gen(function* () {
      while (progress.sent < total) {
        yield* near.writer.write(piece)
        progress.sent += piece.length
        progress.mostHeld = Math.max(progress.mostHeld, yield* near.writer.buffered)
      }
      yield* near.writer.flush
    })
  )

  yield* say(`the writer sends ${total / mebibyte} MiB in pieces of 64 KiB as fast as it may, and never calls drain`)
  yield* say("reader has taken   writer holds   writer")
  const report = Effect.fnUntraced(function* (taken: number) {
    const held = yield* near.writer.buffered
    const state = writing.pollUnsafe() === undefined ? "waits" : "is done"
    yield* say(`${`${taken / mebibyte} MiB`.padStart(16)}${`${held / kibibyte} KiB`.padStart(15)}   ${state}`)
  })
  const step = 4 * mebibyte
  for (let taken = 0; taken < 4 * step; taken += step) {
    yield* standstill(() => progress.sent)
    yield* report(taken)
    yield* far.reader.skip(step)
  }
  yield* far.reader.skip(total - 4 * step)
  yield* Fiber.join(writing)
  yield* report(total)
  yield* say(`the most it ever held: ${progress.mostHeld / kibibyte} KiB, of ${total / kibibyte} KiB`)
})

const dataBeforeReset = Effect.gen(function* () {
  const server = yield* startServer(loopback, ({ abort, reader, writer }) =>
    Effect.gen(function* () {
      const request = text(yield* reader.readUntil("\n"))
      yield* writer.write(`${request}: done\n`)
      yield* writer.flush
      yield* abort
    })
  )
  const { closed, reader, writer } = yield* connect(server)
  yield* writer.write("last order\n")
  yield* say(`before the client reads, the connection is gone: ${(yield* closed)._tag}`)
  yield* say(`what came before that is read all the same: "${text(yield* reader.readUntil("\n"))}"`)
  yield* reader
    .readUntil("\n")
    .pipe(Effect.catchTag("ConnectionLost", (error) => say(`and only then: ${error._tag} (${error.message})`)))
})

// ---------------------------------------------------------------------------
// their props
// ---------------------------------------------------------------------------

/** A connection, seen from both ends. */
const bothEnds = Effect.gen(function* () {
  const accepted = yield* Deferred.make<Connection.Connection>()
  const server = yield* startServer(loopback, (far) => Effect.andThen(Deferred.succeed(accepted, far), Server.draining))
  const near = yield* connect(server)
  return { near, far: yield* Deferred.await(accepted) }
})

/** Waits until a number has not changed for a while. */
const standstill = Effect.fnUntraced(function* (look: () => number) {
  for (let quiet = 0, seen = look(); quiet < 5; quiet++) {
    yield* Effect.sleep("20 millis")
    if (look() !== seen) {
      seen = look()
      quiet = 0
    }
  }
})

const scene = <E, R>(title: string, body: Effect.Effect<void, E, R>) =>
  Console.log(`\n${title}`).pipe(Effect.andThen(Effect.scoped(body)))

const program = Effect.gen(function* () {
  yield* scene("1. A greeting", greeting)
  yield* scene("2. A pipelined burst", pipelinedBurst)
  yield* scene("3. 64 MiB through a limit of 64 KiB", largeBody)
  yield* scene("4. An overlong line, and the one behind it", overlongLine)
  yield* scene("5. Half-close", halfClose)
  yield* scene("6. A slow reader holds back a fast writer", slowReader)
  yield* scene("7. Data before a reset", dataBeforeReset)
})

program.pipe(Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
