/** Readers that need no network: over bytes at hand, and over anything that can be pulled. */
import { assert, describe, it } from "@effect/vitest"
import { StreamError, StreamReader } from "effect-byte-streams"
import { Cause, Deferred, Effect, Exit, Fiber, type Pull, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { bytes, pattern, text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"
import { outcome, value } from "../support/handFed.ts"
import { turns } from "../support/wait.ts"

type Source<E = never> = Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, E>

/** A source of these chunks, one a pull, and then of `last`. Counts its pulls. */
const source = <E>(chunks: ReadonlyArray<string>, last: Source<E>): { readonly pull: Source<E>; pulls: number } => {
  const counted = {
    pulls: 0,
    pull: Effect.suspend((): Source<E> => {
      const chunk = chunks[counted.pulls++]
      return chunk === undefined ? last : Effect.succeed([bytes(chunk)])
    })
  }
  return counted
}

/** Reads to the end, or to what breaks it: all that came, and the failure. */
const drain = Effect.fnUntraced(function* (reader: StreamReader.StreamReader) {
  let all = ""
  while (true) {
    const read = yield* Effect.exit(reader.read(100))
    if (Exit.isFailure(read)) return [all, Cause.squash(read.cause)] as const
    if (read.value.length === 0) return [all, undefined] as const
    all += text(read.value)
  }
})

describe("fromBytes", () => {
  for (const [name, input] of [
    ["text", "naïve\nrest"],
    ["bytes", bytes("naïve\nrest")],
    ["an array of bytes", [bytes("na"), bytes(""), bytes("ïve\nrest")]],
    ["a set of bytes", new Set([bytes("naïve"), bytes("\nrest")])]
  ] as const) {
    it.effect(`reads ${name}, all of it there at once, and then the end`, () =>
      Effect.gen(function* () {
        const reader = yield* StreamReader.fromBytes(input)
        assert.strictEqual(yield* reader.buffered, 11)
        assert.isFalse(yield* reader.atEof)
        assert.strictEqual(text(yield* reader.readLine), "naïve\n")
        assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "rest")
        assert.isTrue(yield* reader.atEof)
      })
    )
  }

  it.effect("may hold more than the limit, which bounds lines as ever", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes(`${"x".repeat(100)}\nok\n`, { limit: 3 })
      assert.strictEqual(yield* reader.buffered, 104)
      assert.strictEqual((yield* Effect.flip(reader.readLine))._tag, "LimitOverrun")
      assert.strictEqual(text(yield* reader.readLine), "ok\n")
    })
  )
})

describe("fromPull", () => {
  it.effect("reads what is pulled, up to the end", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromPull(source(["one\n", "tw", "o"], Cause.done()).pull)
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      assert.strictEqual(text(yield* reader.readLine), "two")
      assert.strictEqual((yield* reader.read(1)).length, 0)
      assert.isTrue(yield* reader.atEof)
    })
  )

  it.effect("reads all chunks of one pull", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromStream(Stream.make(bytes("a"), bytes("b"), bytes("c")))
      assert.strictEqual(text(yield* reader.readExactly(3)), "abc")
    })
  )

  it.effect("pulls only while no more than twice the limit is buffered, and again at the limit", () =>
    Effect.gen(function* () {
      const counted = source(
        Array.from({ length: 100 }, () => "x"),
        Cause.done()
      )
      const reader = yield* StreamReader.fromPull(counted.pull, { limit: 4 })
      yield* turns(20)
      assert.strictEqual(yield* reader.buffered, 9)
      assert.strictEqual(counted.pulls, 9)
      yield* reader.skip(4)
      yield* turns(20)
      assert.strictEqual(counted.pulls, 9)
      yield* reader.skip(1)
      yield* turns(20)
      assert.strictEqual(yield* reader.buffered, 9)
      assert.strictEqual(counted.pulls, 14)
    })
  )

  it.effect("a read of more than that goes on pulling", () =>
    Effect.gen(function* () {
      const counted = source(
        Array.from({ length: 100 }, () => "x"),
        Effect.never
      )
      const reader = yield* StreamReader.fromPull(counted.pull, { limit: 4 })
      assert.strictEqual((yield* reader.readExactly(90)).length, 90)
    })
  )

  it.effect("a failure of the source is a loss, with the failure as its cause, behind what came before", () =>
    Effect.gen(function* () {
      const failure = new Error("no more")
      const reader = yield* StreamReader.fromPull(source(["one", "two"], Effect.fail(failure)).pull)
      for (let i = 0; i < 2; i++) {
        const [all, error] = yield* drain(reader)
        assert.strictEqual(all, i === 0 ? "onetwo" : "")
        assert.instanceOf(error, StreamError.ConnectionLost)
        assert.deepInclude(error, { operation: "read", kind: "Unknown", cause: failure })
      }
      assert.isFalse(yield* reader.atEof)
    })
  )

  it.effect("a defect of the source is a loss too: no read waits for ever", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromPull(source(["one"], Effect.die(new Error("a bug"))).pull)
      const [all, error] = yield* drain(reader)
      assert.strictEqual(all, "one")
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.include(String(error.cause), "a bug")
    })
  )

  it.effect("a source that interrupts itself does not leave reads waiting for ever", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromPull(source(["one"], Effect.interrupt).pull)
      const draining = yield* start(drain(reader))
      yield* turns(20)
      assert.isFalse(waits(draining))
      const [all, error] = yield* Fiber.join(draining)
      assert.strictEqual(all, "one")
      assert.isDefined(error)
    })
  )

  it.effect("the pulling ends with the scope: the pull is interrupted, and reads say that this side has closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const pulling = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const endless = Effect.andThen(Deferred.succeed(pulling, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
      )
      const reader = yield* Scope.provide(StreamReader.fromPull(source(["one"], endless).pull), scope)
      const waiting = yield* start(reader.readExactly(10))
      yield* Deferred.await(pulling)
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(interrupted)
      const closed = { error: "ClosedStream", operation: "readExactly", reason: "Closed" }
      assert.deepStrictEqual(yield* outcome(Fiber.join(waiting)), closed)
      assert.deepStrictEqual(yield* outcome(reader.readExactly(1)), closed)
      assert.strictEqual(yield* reader.buffered, 0)
    })
  )

  it.effect("after its end as well: a scope that is closed takes what was not read", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const reader = yield* Scope.provide(StreamReader.fromPull(source(["one"], Cause.done()).pull), scope)
      yield* turns()
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* outcome(reader.read(10)), {
        error: "ClosedStream",
        operation: "read",
        reason: "Closed"
      })
    })
  )

  it.effect("no read after the end of its scope succeeds or waits", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const reader = yield* Scope.provide(StreamReader.fromPull(Effect.never), scope)
      yield* Scope.close(scope, Exit.void)
      const all: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        reader.read(0),
        reader.readInto(new Uint8Array(1)),
        reader.readOption(1),
        reader.readAll({ maxBytes: 1 }),
        reader.readExactly(0),
        reader.readExactlyOption(1),
        reader.readUntil("\n"),
        reader.readLine,
        reader.readLineOption,
        reader.readLineWith({ onOverrun: "discard" }),
        reader.peek(1),
        reader.skip(1),
        reader.discardUntil("\n"),
        reader.unread(bytes("x")),
        reader.pull,
        Stream.runDrain(StreamReader.lines(reader)),
        Stream.runDrain(StreamReader.stream(reader))
      ]
      for (const read of all) assert.deepInclude(yield* outcome(read), { error: "ClosedStream", reason: "Closed" })
      assert.isFalse(yield* reader.atEof)
    })
  )

  it.effect("what is no bytes is never read as if it were: the stream breaks, and says why", () =>
    Effect.gen(function* () {
      const wrong = Effect.succeed(["text" as never]) as Source
      const reader = yield* StreamReader.fromPull(source(["one"], wrong).pull)
      const [all, error] = yield* drain(reader)
      assert.strictEqual(all, "one")
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.match(String(error.cause), /expected a Uint8Array, got string/)
    })
  )
})

describe("fromStream", () => {
  it.effect("reads the stream, and runs its finalizers when the scope closes", () =>
    Effect.gen(function* () {
      let finalized = false
      const stream = Stream.ensuring(
        Stream.make(bytes("one\n"), bytes("two\n")),
        Effect.sync(() => {
          finalized = true
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const reader = yield* StreamReader.fromStream(stream)
          assert.strictEqual(text(yield* reader.readLine), "one\n")
          assert.strictEqual(text(yield* reader.readLine), "two\n")
          assert.strictEqual((yield* reader.readLine).length, 0)
        })
      )
      assert.isTrue(finalized)
    })
  )

  it.effect("a stream of a reader is a reader of the same bytes", () =>
    Effect.gen(function* () {
      const all = pattern(200_000)
      const reader = yield* StreamReader.fromBytes(all)
      const again = yield* StreamReader.fromStream(StreamReader.stream(reader), { limit: 1000 })
      assert.deepStrictEqual(yield* again.readAll({ maxBytes: "unbounded" }), all)
    })
  )

  it.effect("a failure of the stream is a loss", () =>
    Effect.gen(function* () {
      const stream = Stream.concat(Stream.make(bytes("one")), Stream.fail("broken"))
      const [all, error] = yield* drain(yield* StreamReader.fromStream(stream))
      assert.strictEqual(all, "one")
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.deepInclude(error, { kind: "Unknown", cause: "broken" })
    })
  )
})

describe("fromReadableStream", () => {
  it.effect("reads the body of a response", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromReadableStream(new Response("one\ntwo\n").body!)
      assert.strictEqual(text(yield* reader.readLine), "one\n")
      assert.strictEqual(text(yield* reader.readLine), "two\n")
      assert.strictEqual((yield* reader.readLine).length, 0)
    })
  )

  it.effect("pulls only while there is room", () =>
    Effect.gen(function* () {
      let pulls = 0
      const stream = new ReadableStream<Uint8Array>(
        {
          pull: (controller) => {
            pulls++
            controller.enqueue(bytes("0123456789"))
          }
        },
        { highWaterMark: 0 }
      )
      const reader = yield* StreamReader.fromReadableStream(stream, { limit: 50 })
      yield* turns(50)
      assert.strictEqual(yield* reader.buffered, 110)
      assert.strictEqual(pulls, 11)
      yield* reader.skip(60)
      yield* turns(50)
      assert.strictEqual(yield* reader.buffered, 110)
      assert.strictEqual(pulls, 17)
    })
  )

  it.effect("is cancelled when the scope closes before its end, also in the middle of a pull", () =>
    Effect.gen(function* () {
      let cancelled = 0
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(bytes("one")),
        cancel: () => void cancelled++
      })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const reader = yield* StreamReader.fromReadableStream(stream)
          assert.strictEqual(text(yield* reader.read(10)), "one")
          yield* turns()
        })
      )
      assert.strictEqual(cancelled, 1)
    })
  )

  it.effect("is not cancelled after its end", () =>
    Effect.gen(function* () {
      let cancelled = 0
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(bytes("one"))
          controller.close()
        },
        cancel: () => void cancelled++
      })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const reader = yield* StreamReader.fromReadableStream(stream)
          assert.deepStrictEqual(yield* outcome(reader.readAll({ maxBytes: 10 })), value("one"))
        })
      )
      assert.strictEqual(cancelled, 0)
    })
  )

  it.effect("an error of the stream is a loss, behind what came before", () =>
    Effect.gen(function* () {
      const failure = new Error("the body broke off")
      let pulls = 0
      const stream = new ReadableStream<Uint8Array>(
        {
          pull: (controller) => {
            if (pulls++ === 0) controller.enqueue(bytes("one"))
            else controller.error(failure)
          }
        },
        { highWaterMark: 0 }
      )
      const [all, error] = yield* drain(yield* StreamReader.fromReadableStream(stream))
      assert.strictEqual(all, "one")
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.deepInclude(error, { kind: "Unknown", cause: failure })
    })
  )

  it.effect("a stream that never finishes to cancel does not hold up the scope", () =>
    Effect.gen(function* () {
      const stream = new ReadableStream<Uint8Array>({ cancel: () => new Promise(() => {}) })
      // detached: a close that hangs would hang the end of the test as well
      const closing = yield* Effect.forkDetach(Effect.scoped(StreamReader.fromReadableStream(stream)))
      yield* turns(20)
      assert.isFalse(waits(closing))
    })
  )

  it.effect("text chunks, as a decoded body has them, are never read as if they were bytes", () =>
    Effect.gen(function* () {
      const stream = new Response("one").body!.pipeThrough(new TextDecoderStream()) as ReadableStream<any>
      const [all, error] = yield* drain(yield* StreamReader.fromReadableStream(stream))
      assert.strictEqual(all, "")
      assert.instanceOf(error, StreamError.ConnectionLost)
      assert.match(String(error.cause), /expected a Uint8Array, got string/)
    })
  )
})
