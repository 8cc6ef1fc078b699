/** Both sides at once, over one connection. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange, Frame } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber, Latch, Option, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { start, startAll, waits } from "../support/fibers.ts"

interface Message {
  readonly is: "request" | "answer" | "note"
  readonly id: number
  readonly text: string
}

const message: Frame.Frame<Message> = Frame.struct({
  is: Frame.transform(Frame.uint8, {
    decode: (n) => (["request", "answer", "note"] as const)[n]!,
    encode: (is: Message["is"]) => ["request", "answer", "note"].indexOf(is)
  }),
  id: Frame.uint32,
  text: Frame.cstring({ maxBytes: 1000 })
})

const request = (text: string): Message => ({ is: "request", id: 0, text })

const peer = <E = never>(
  connection: TestNetwork.Pair["left"],
  handler: Exchange.PeerHandler<Message, E, never>,
  options?: Partial<Exchange.PeerOptions<Message, E>>
) =>
  Exchange.makePeer<Message, E, never>(
    connection,
    {
      message,
      isRequest: ({ is }) => is === "request",
      id: { put: (message, id) => ({ ...message, id }), get: ({ id }) => id },
      serve: { concurrency: 4, order: "completion" },
      ...options
    } as Exchange.PeerOptions<Message, E>,
    handler
  )

const answer = ({ id, text }: Message, of = text): Message => ({ is: "answer", id, text: of.toUpperCase() })

describe("peer", () => {
  it.effect("both ask and answer, and a handler may ask back", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const one = yield* peer(left, (message) => Effect.succeed(answer(message)))
      const other = yield* peer(right, (message, back) =>
        Effect.map(Effect.orDie(back.call(request(`back ${message.text}`))), ({ text }) => answer(message, text))
      )
      const calls = yield* startAll([one.call(request("a")), one.call(request("b")), other.call(request("c"))])
      assert.deepStrictEqual(
        (yield* Effect.forEach(calls, Fiber.join)).map(({ text }) => text),
        ["BACK A", "BACK B", "C"]
      )
    })
  )

  it.effect("what is sent and not answered, and pushes, mix with both", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const heard: Array<string> = []
      const one = yield* peer(
        left,
        (message) =>
          Effect.sync(() => {
            heard.push(message.text)
          }),
        { isPush: ({ is }: Message) => is === "note", pushes: { overflow: "suspend" } } as never
      )
      const other = yield* peer(right, (message) => Effect.succeed(answer(message)))
      yield* other.send(request("quiet"))
      yield* other.send({ is: "note", id: 0, text: "note" })
      assert.strictEqual((yield* one.call(request("x"))).text, "X")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(one.pushes, 1)), [
        { is: "note", id: 0, text: "note" }
      ])
      assert.deepStrictEqual(heard, ["quiet"])
    })
  )

  it.effect("while handlers are busy no more requests are read; stallTimeout ends what waits for itself", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const options = { serve: { concurrency: 1 }, stallTimeout: "5 seconds" } as const
      // each handler asks back, and nobody is left to answer
      const circular: Exchange.PeerHandler<Message, never, never> = (message, back) =>
        Effect.map(Effect.orDie(back.call(request(message.text))), (back) => answer(message, back.text))
      const one = yield* peer(left, circular, options)
      yield* peer(right, circular, options)
      const call = yield* start(one.call(request("a")))
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(waits(call))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(call)))._tag, "RequestLost")
    })
  )

  it.effect(
    "while handlers are busy no more requests are read, and calls fail at once where the connection is lost",
    () =>
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair()
        const heard: Array<string> = []
        const one = yield* peer(
          left,
          ({ text }) =>
            Effect.andThen(
              Effect.sync(() => heard.push(text)),
              Effect.as(Effect.sleep("1 hour"), undefined)
            ),
          { serve: { concurrency: 1 } }
        )
        const call = yield* start(one.call(request("a")))
        yield* right.writer.writeFrames(message, ["1", "2", "3", "4", "5"].map(request))
        yield* right.writer.flush
        yield* Effect.replicateEffect(Effect.yieldNow, 10)
        assert.isTrue(waits(call))
        assert.deepStrictEqual(heard, ["1"])
        yield* right.abort
        assert.strictEqual((yield* Effect.flip(Fiber.join(call)))._tag, "RequestLost")
        // what had come whole is heard all the same
        yield* TestClock.adjust("5 hours")
        assert.deepStrictEqual(heard, ["1", "2", "3", "4", "5"])
      })
  )

  it.live("stallTimeout ends what waits for itself, however many requests wait, and whoever calls", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const handlers: ReadonlyArray<Exchange.PeerHandler<Message, never, never>> = [
          (message, back) =>
            Effect.map(Effect.orDie(back.call(request(message.text))), ({ text }) => answer(message, text)),
          (message, back) =>
            Effect.map(Effect.orDie(back.exclusive(() => Effect.succeed("alone"))), (text) => answer(message, text)),
          (message, back) =>
            Effect.succeed(
              Stream.fromEffect(Effect.map(Effect.orDie(back.call(request("x"))), ({ text }) => answer(message, text)))
            )
        ]
        for (const circular of handlers) {
          for (const concurrency of [1, 3]) {
            for (const order of ["request", "completion"] as const) {
              const { left, right } = yield* TestNetwork.pair()
              const options = { serve: { concurrency, order }, stallTimeout: "5 seconds" } as const
              const one = yield* peer(left, circular, options)
              const other = yield* peer(right, circular, options)
              const calls = yield* startAll(
                Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? one : other).call(request(`${i}`)))
              )
              yield* Effect.sleep("4 seconds")
              assert.isTrue(calls.every(waits))
              yield* Effect.sleep("10 seconds")
              for (const call of calls) assert.strictEqual((yield* Effect.flip(Fiber.join(call)))._tag, "RequestLost")
            }
          }
        }
      })
    )
  )

  it.live("stallTimeout ends two that both wait until the other reads their answers", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair({
          highWaterMark: 100,
          limit: 64,
          fromClient: { capacity: 500 },
          fromServer: { capacity: 500 }
        })
        const long: Exchange.PeerHandler<Message, never, never> = (message) =>
          Effect.succeed(answer(message, "x".repeat(900)))
        const one = yield* peer(left, long, { stallTimeout: "5 seconds" })
        const other = yield* peer(right, long, { stallTimeout: "5 seconds" })
        const calls = yield* startAll(
          Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? one : other).call(request(`${i}`)))
        )
        yield* Effect.sleep("4 seconds")
        assert.isTrue(calls.some(waits))
        yield* Effect.sleep("10 seconds")
        assert.isFalse(calls.some(waits))
      })
    )
  )

  it.live("stallTimeout: time in which a handler is at work is not the peer's, whoever else waits", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        for (const busy of ["handler", "stream"] as const) {
          const { left, right } = yield* TestNetwork.pair()
          const work = Effect.sleep("1 minute")
          const one = yield* peer(
            left,
            (message, back) =>
              message.text === "call"
                ? Effect.orDie(back.call(request("back")))
                : busy === "handler"
                  ? Effect.as(work, answer(message))
                  : Effect.succeed(Stream.fromEffect(Effect.as(work, answer(message)))),
            { serve: { concurrency: 2, order: "completion" }, stallTimeout: "5 seconds" }
          )
          const call = yield* start(one.call(request("a")))
          yield* right.writer.writeFrames(message, [
            ...["call", "work", "work", "work", "work", "work"].map(request),
            { is: "answer", id: 1, text: "A" },
            { is: "answer", id: 2, text: "BACK" }
          ])
          yield* right.writer.flush
          yield* Effect.sleep("4 minutes")
          assert.strictEqual((yield* Fiber.join(call)).text, "A")
          // and not a second longer than that
          const last = yield* start(one.call(request("b")))
          yield* Effect.sleep("6 minutes")
          assert.strictEqual((yield* Effect.flip(Fiber.join(last)))._tag, "RequestLost")
        }
      })
    )
  )

  it.live("stallTimeout: nor is time in which a handler waits for another exchange", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const behind = yield* TestNetwork.pair()
        const upstream = yield* peer(behind.left, () => Effect.void)
        yield* peer(behind.right, (question) => Effect.delay(Effect.succeed(answer(question)), "1 minute"))
        const { left, right } = yield* TestNetwork.pair()
        const one = yield* peer(left, (question) => Effect.orDie(upstream.call(question)), {
          serve: { concurrency: 1 },
          stallTimeout: "5 seconds"
        })
        const call = yield* start(one.call(request("a")))
        yield* right.writer.writeFrames(message, [...["1", "2", "3"].map(request), { is: "answer", id: 1, text: "A" }])
        assert.strictEqual((yield* Fiber.join(call)).text, "A")
      })
    )
  )

  it.effect("a handler that fails ends the exchange, or is answered", () =>
    Effect.gen(function* () {
      for (const answers of [true, false]) {
        const { left, right } = yield* TestNetwork.pair()
        const one = yield* peer(left, (message) => Effect.succeed(answer(message)))
        yield* peer<string>(right, () => Effect.fail("no"), {
          serve: answers ? { onFailure: (_, message) => answer(message, "failed") } : {}
        })
        const exit = yield* Effect.result(one.call(request("a")))
        assert.strictEqual(exit._tag, answers ? "Success" : "Failure")
      }
    })
  )

  it.effect("a scope that ends well closes the connection in good order, also while a handler runs", () =>
    Effect.gen(function* () {
      for (const busy of [false, true]) {
        const { left, right } = yield* TestNetwork.pair()
        const started = Latch.makeUnsafe(false)
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(
          peer(left, () => Effect.andThen(started.open, Effect.never)),
          scope
        )
        if (busy) {
          yield* right.writer.writeFrame(message, request("x"))
          yield* started.await
        }
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* one.closed, { _tag: "Closed" })
        assert.deepStrictEqual(yield* right.reader.readFrameOption(message), Option.none())
      }
    })
  )

  it.live("a peer that ends its output is answered what it asked, and closed tells of the end behind that", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        for (const concurrency of [1, 3]) {
          const { left, right } = yield* TestNetwork.pair()
          const told: Array<string> = []
          const serving = yield* Effect.forkScoped(
            Effect.scoped(
              Effect.gen(function* () {
                const one = yield* peer(left, (question) => Effect.delay(Effect.succeed(answer(question)), 1000), {
                  serve: { concurrency }
                })
                const closed = yield* one.closed
                told.push(closed._tag)
                // no call is taken meanwhile
                assert.strictEqual((yield* Effect.flip(one.call(request("late"))))._tag, "RequestLost")
              })
            )
          )
          yield* right.writer.writeFrames(message, ["a", "b", "c", "d"].map(request))
          yield* right.writer.writeEof
          const read = Effect.map(right.reader.readFrame(message), ({ text }) => text)
          assert.deepStrictEqual(yield* Effect.replicateEffect(read, 4), ["A", "B", "C", "D"])
          yield* Fiber.join(serving)
          assert.deepStrictEqual(told, ["PeerEof"])
        }
      })
    )
  )

  it.live("closed waits drainTimeout at most for handlers, for no handler that asks, and not where it is closed", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair()
        const told: Array<string> = []
        const one = yield* peer(
          left,
          (question, self) =>
            question.text === "for ever"
              ? Effect.never
              : Effect.map(self.closed, ({ _tag }) => {
                  told.push(_tag)
                }),
          { drainTimeout: "7 seconds" }
        )
        yield* right.writer.writeFrames(message, ["for ever", "until the end"].map(request))
        yield* right.writer.writeEof
        const closed = yield* Effect.forkScoped(one.closed)
        yield* Effect.sleep("6 seconds")
        assert.deepStrictEqual(told, ["PeerEof"])
        assert.isTrue(waits(closed))
        assert.strictEqual((yield* one.close)._tag, "PeerEof")
        yield* Effect.sleep("2 seconds")
        assert.isFalse(waits(closed))
      })
    )
  )

  it.effect("exclusive: an answer that is ready meanwhile is written behind the dialogue", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const go = Latch.makeUnsafe(false)
      const started = Latch.makeUnsafe(false)
      const one = yield* peer(left, (message) =>
        Effect.as(Effect.andThen(started.open, go.await), answer(message, "answer"))
      )
      yield* right.writer.writeFrame(message, request("x"))
      yield* started.await
      const note = (text: string): Message => ({ is: "note", id: 0, text })
      const dialogue = yield* start(
        one.exclusive((reader, writer) =>
          Effect.gen(function* () {
            yield* writer.writeFrame(message, note("first"))
            yield* reader.readFrame(message)
            yield* writer.writeFrame(message, note("second"))
          })
        )
      )
      const said = Effect.map(right.reader.readFrame(message), ({ text }) => text)
      assert.strictEqual(yield* said, "first")
      yield* go.open
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* right.writer.writeFrame(message, note("go on"))
      assert.deepStrictEqual([yield* said, yield* said], ["second", "ANSWER"])
      yield* Fiber.join(dialogue)
    })
  )

  it.live("exclusive: has its turn, and so has a call behind it, also where answers are always being written", () =>
    Effect.gen(function* () {
      for (const order of ["completion", "request"] as const) {
        const { left, right } = yield* TestNetwork.pair({
          highWaterMark: 100,
          limit: 64,
          fromClient: { capacity: 500 }
        })
        const one = yield* peer(left, (question) => Effect.succeed(answer(question, "x".repeat(900))), {
          serve: { concurrency: 16, order }
        })
        yield* Effect.forkScoped(
          Effect.forever(Effect.andThen(right.writer.writeFrame(message, request("x")), Effect.yieldNow))
        )
        const others: Array<string> = []
        let answers = 0
        const read = Effect.gen(function* () {
          const { id, is, text } = yield* right.reader.readFrame(message)
          if (is === "answer") answers++
          else others.push(text)
          if (is === "request") yield* right.writer.writeFrame(message, { is: "answer", id, text: "called" })
        })
        yield* Effect.replicateEffect(read, 20)
        const dialogues = yield* startAll([
          one.exclusive((_, writer) => writer.writeFrame(message, { is: "note", id: 0, text: "dialogue" }))
        ])
        const call = yield* start(one.call(request("call")))
        answers = 0
        while (waits(call) && answers < 1000) yield* read
        assert.deepStrictEqual(others, ["dialogue", "call"], order)
        assert.strictEqual((yield* Fiber.join(call)).text, "called")
        yield* Effect.forEach(dialogues, Fiber.await)
        // and answers go on
        answers = 0
        yield* Effect.replicateEffect(read, 20)
        assert.strictEqual(answers, 20)
        // nobody reads what is still written
        yield* right.abort
      }
    }).pipe(Effect.scoped)
  )

  it.effect("exclusive: a handler may have one, and its answer comes behind it", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      yield* peer(left, (question, self) =>
        Effect.as(
          Effect.orDie(
            self.exclusive((_, writer) => writer.writeFrame(message, { is: "note", id: 0, text: "dialogue" }))
          ),
          answer(question, "answer")
        )
      )
      yield* right.writer.writeFrame(message, request("x"))
      const said = Effect.map(right.reader.readFrame(message), ({ text }) => text)
      assert.deepStrictEqual([yield* said, yield* said], ["dialogue", "ANSWER"])
    })
  )

  it.effect("release: no answer is written to a connection that was given back", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const go = Latch.makeUnsafe(false)
      const started = Latch.makeUnsafe(false)
      const one = yield* peer(left, (message) => Effect.as(Effect.andThen(started.open, go.await), answer(message)))
      yield* right.writer.writeFrame(message, request("x"))
      yield* started.await
      const { writer } = yield* one.release
      yield* writer.write("mine")
      yield* go.open
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* writer.write(" alone")
      yield* writer.writeEof
      assert.strictEqual(new TextDecoder().decode(yield* right.reader.readAll({ maxBytes: 1000 })), "mine alone")
    })
  )

  it.effect("a scope that fails resets it", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(
        peer(left, () => Effect.void),
        scope
      )
      yield* Scope.close(scope, Exit.fail("no"))
      assert.strictEqual((yield* one.closed)._tag, "Lost")
      assert.strictEqual((yield* Effect.flip(right.reader.readFrame(message)))._tag, "ConnectionLost")
    })
  )
})
