/** Connections as channels of Effect's. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError, StreamReader, StreamWriter } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Channel, Effect, Exit, Fiber, Stream } from "effect"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

/** A stream that goes through a connection, and the other end of that. */
const through = (options?: TestNetwork.PairOptions) =>
  Effect.map(TestNetwork.pair(options), ({ left, right }) => ({
    connection: left,
    peer: right,
    pipe: <E>(input: Stream.Stream<Uint8Array, E>) =>
      Stream.pipeThroughChannelOrFail(input, Channel.unwrap(Connection.toChannel<E>(left)))
  }))

const encode = (...texts: ReadonlyArray<string>) => Stream.encodeText(Stream.fromIterable(texts))

const all = <E>(stream: Stream.Stream<Uint8Array, E>) =>
  Effect.map(within("all", Effect.exit(Stream.runCollect(stream))), (exit) =>
    Exit.map(exit, (chunks) => text(Buffer.concat(chunks)))
  )

const failure = (exit: Exit.Exit<unknown, unknown>): unknown => {
  assert(Exit.isFailure(exit))
  return Cause.squash(exit.cause)
}

describe("a channel", () => {
  it.live(
    "whose input fails fails at once, although the peer says nothing, and leaves the connection to its scope",
    () =>
      Effect.gen(function* () {
        const { connection, peer, pipe } = yield* through()
        const exit = yield* all(pipe(Stream.concat(encode("half of i"), Stream.fail("snapped"))))
        assert.strictEqual(failure(exit), "snapped")
        assert.strictEqual(text(yield* within("it", peer.reader.readExactly(9))), "half of i")
        // it has not come to an end for the peer, nor is it in anybody's way
        assert.isFalse(yield* peer.reader.atEof)
        yield* peer.writer.write("and on\n")
        assert.strictEqual(text(yield* within("a line", connection.reader.readLine)), "and on\n")
        yield* connection.writer.write("t\n")
        assert.strictEqual(text(yield* within("a line", peer.reader.readLine)), "t\n")
      })
  )

  it.live("whose connection is lost fails with the loss, behind what came", () =>
    Effect.gen(function* () {
      const { connection, peer, pipe } = yield* through()
      yield* peer.writer.write("what came")
      yield* peer.writer.flush
      yield* eventuallyEffect(
        "it came",
        Effect.map(connection.reader.buffered, (buffered) => buffered === 9)
      )
      yield* peer.abort
      let got = ""
      const exit = yield* within(
        "it",
        Effect.exit(Stream.runForEach(pipe(Stream.never), (chunk) => Effect.sync(() => (got += text(chunk)))))
      )
      assert.strictEqual(got, "what came")
      assert.instanceOf(failure(exit), StreamError.ConnectionLost)
    })
  )

  it.live("whose writes fail reads on, to the end of the peer, and fails there", () =>
    Effect.gen(function* () {
      const { connection, peer, pipe } = yield* through()
      yield* connection.writer.writeEof
      yield* Effect.forkChild(
        Effect.andThen(
          Effect.andThen(peer.writer.write("all that "), turns()),
          Effect.andThen(peer.writer.write("I say"), peer.writer.close)
        )
      )
      let got = ""
      const exit = yield* within(
        "it",
        Effect.exit(Stream.runForEach(pipe(encode("x")), (chunk) => Effect.sync(() => (got += text(chunk)))))
      )
      assert.strictEqual(got, "all that I say")
      assert.deepInclude(failure(exit) as object, { _tag: "ClosedStream", reason: "Eof" })
    })
  )

  it.live("carries every byte, and the ends, both ways", () =>
    Effect.gen(function* () {
      const { peer, pipe } = yield* through({ limit: 1000 })
      yield* Effect.forkChild(
        Effect.andThen(
          Stream.run(StreamReader.stream(peer.reader), StreamWriter.sink(peer.writer)),
          peer.writer.writeEof
        )
      )
      const blocks = Array.from({ length: 50 }, (_, at) => pattern(1 + at * 900))
      const got = yield* within("all", Stream.runCollect(pipe(Stream.fromIterable(blocks))))
      assertBytes(Buffer.concat(got), Buffer.concat(blocks))
    })
  )

  it.live("that is left early stops its input, and what was not taken is still the connection's", () =>
    Effect.gen(function* () {
      const { connection, peer, pipe } = yield* through()
      yield* peer.writer.write("first")
      let stopped = false
      const input = Stream.ensuring(
        Stream.never,
        Effect.sync(() => (stopped = true))
      )
      const [first] = yield* within("the first", Stream.runCollect(Stream.take(pipe(input), 1)))
      assert.strictEqual(text(first!), "first")
      assert.isTrue(stopped)
      yield* peer.writer.write("second")
      assert.strictEqual(text(yield* within("the second", connection.reader.readExactly(6))), "second")
      yield* connection.writer.write("still")
      assert.strictEqual(text(yield* within("it", peer.reader.readExactly(5))), "still")
    })
  )

  it.live("that is interrupted while it waits takes no byte with it", () =>
    Effect.gen(function* () {
      const { connection, peer, pipe } = yield* through()
      for (const later of [0, 1, 2, 3, 4]) {
        let got = ""
        const running = yield* Effect.forkChild(
          Stream.runForEach(pipe(Stream.never), (chunk) => Effect.sync(() => (got += text(chunk)))),
          { startImmediately: true }
        )
        yield* turns()
        peer.writer.writeUnsafe(new TextEncoder().encode("late"))
        for (let step = 0; step < later; step++) yield* Effect.promise(() => Promise.resolve())
        yield* Fiber.interrupt(running)
        if (got === "")
          assert.strictEqual(text(yield* within(`it, ${later}`, connection.reader.readExactly(4))), "late")
        else assert.strictEqual(got, "late")
      }
    })
  )

  it.live("holds its input up while the peer does not read", () =>
    Effect.gen(function* () {
      const { pipe } = yield* through({ limit: 1000, highWaterMark: 1000 })
      let asked = 0
      const input = Stream.map(Stream.forever(Stream.succeed(1000)), (size) => {
        asked += size
        return pattern(size)
      })
      yield* Effect.forkChild(Stream.runDrain(pipe(input)))
      yield* turns(50)
      const before = asked
      yield* turns(50)
      assert.strictEqual(asked, before)
      assert.isBelow(asked, 300_000)
    })
  )
})
