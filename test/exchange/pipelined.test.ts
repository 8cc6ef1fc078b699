/** Requests that are answered in their order: each member of an exchange, and each of its options. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange, Frame, StreamError } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Fiber, Latch, type Pull, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import { line, pipelined } from "../support/exchanges.ts"
import { deathOf } from "../support/exits.ts"
import { fake } from "../support/fakeTransport.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

const lostOf = <A>(fiber: Fiber.Fiber<A, Exchange.CallError>): Effect.Effect<StreamError.RequestLost, A> =>
  Effect.map(Effect.flip(Fiber.join(fiber)), (error) => {
    assert.instanceOf(error, StreamError.RequestLost)
    return error
  })

/** Counts the steps of those who run under it. */
class Counting extends Scheduler.MixedScheduler {
  steps = 0

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.steps++
    return super.shouldYield(fiber)
  }
}

describe("call", () => {
  it.effect("each caller gets the answer to its own request, in one run and one turn", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const calls = yield* startAll(["a", "b", "c"].map(client.call))
      assert.deepStrictEqual(yield* server.asked(3), ["a", "b", "c"])
      assert.strictEqual(yield* client.inFlight, 3)
      yield* server.answer("A", "B")
      assert.strictEqual(yield* Fiber.join(calls[0]!), "A")
      assert.strictEqual(yield* Fiber.join(calls[1]!), "B")
      assert.isTrue(waits(calls[2]!))
      yield* server.answer("C")
      assert.strictEqual(yield* Fiber.join(calls[2]!), "C")
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect("redis-py#2624: an interrupted call's answer is dropped, and is not the next caller's", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const [first] = yield* startAll([client.call("mine")])
      assert.deepStrictEqual(yield* server.asked(1), ["mine"])
      yield* Fiber.interrupt(first!)
      const [second] = yield* startAll([client.call("yours")])
      assert.strictEqual(yield* client.inFlight, 2)
      assert.deepStrictEqual(yield* server.asked(1), ["yours"])
      yield* server.answer("MINE", "YOURS")
      assert.strictEqual(yield* Fiber.join(second!), "YOURS")
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect("one that is interrupted before its turn is never sent", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ maxInFlight: 1 })
      const [first, second, third] = yield* startAll(["a", "b", "c"].map(client.call))
      yield* Fiber.interrupt(second!)
      assert.deepStrictEqual(yield* server.asked(1), ["a"])
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(first!), "A")
      assert.deepStrictEqual(yield* server.asked(1), ["c"])
      yield* server.answer("C")
      assert.strictEqual(yield* Fiber.join(third!), "C")
    })
  )

  it.effect("one that cannot be written fails alone", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const [first, wrong, third] = yield* startAll(["a", "b\nb", "c"].map(client.call))
      const error = yield* Effect.flip(Fiber.join(wrong!))
      assert.instanceOf(error, StreamError.EncodeFailed)
      assert.deepStrictEqual(yield* server.asked(2), ["a", "c"])
      yield* server.answer("A", "C")
      assert.strictEqual(yield* Fiber.join(first!), "A")
      assert.strictEqual(yield* Fiber.join(third!), "C")
    })
  )

  it.effect("what cannot be written is told with the call as its operation, whichever member has asked", () =>
    Effect.gen(function* () {
      const { client } = yield* pipelined()
      const wrong = "b\nb"
      const asked: ReadonlyArray<Effect.Effect<unknown, Exchange.CallError>> = [
        client.call(wrong),
        client.collect(wrong),
        client.callAll(["a", wrong]),
        client.send(wrong),
        Stream.runDrain(client.stream(wrong))
      ]
      for (const ask of asked) {
        const error = yield* Effect.flip(ask)
        assert.deepInclude({ ...error }, { _tag: "EncodeFailed", operation: "call", frame: "line" })
        assert.match(error.message, /^call: line /)
      }
    })
  )

  it.effect("an effect that is run twice asks twice", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const call = client.call("a")
      const calls = yield* startAll([call, call])
      assert.deepStrictEqual(yield* server.asked(2), ["a", "a"])
      yield* server.answer("1", "2")
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["1", "2"])
    })
  )
})

describe("callAll", () => {
  it.effect("is written as one run, and answered in order", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const [all, other] = yield* startAll([client.callAll(["a", "b", "c"]), client.callAll([])])
      assert.deepStrictEqual(yield* Fiber.join(other!), [])
      assert.deepStrictEqual(yield* server.asked(3), ["a", "b", "c"])
      yield* server.answer("A", "B", "C")
      assert.deepStrictEqual(yield* Fiber.join(all!), ["A", "B", "C"])
    })
  )

  it.effect("if one cannot be written, none is sent", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const error = yield* Effect.flip(client.callAll(["a", "b\nb", "c"]))
      assert.instanceOf(error, StreamError.EncodeFailed)
      const [next] = yield* startAll([client.call("d")])
      assert.deepStrictEqual(yield* server.asked(1), ["d"])
      yield* server.answer("D")
      assert.strictEqual(yield* Fiber.join(next!), "D")
    })
  )

  it.effect("more than maxInFlight are several runs, and others are not starved meanwhile", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ maxInFlight: 2 })
      const all = yield* start(client.callAll(["a", "b", "c"]))
      const other = yield* start(client.call("x"))
      assert.deepStrictEqual(yield* server.asked(2), ["a", "b"])
      yield* server.answer("A", "B")
      assert.deepStrictEqual(yield* server.asked(2), ["x", "c"])
      yield* server.answer("X", "C")
      assert.deepStrictEqual(yield* Fiber.join(all), ["A", "B", "C"])
      assert.strictEqual(yield* Fiber.join(other), "X")
    })
  )
})

it.effect("callAll of several runs was sent in part, once the first run was", () =>
  Effect.gen(function* () {
    const { client, server } = yield* pipelined({ maxInFlight: 2 })
    const all = yield* start(client.callAll(["a", "b", "c"]))
    const other = yield* startAll(["x", "y"].map(client.call))
    yield* server.asked(2)
    yield* server.answer("A", "B")
    yield* server.asked(2)
    // the last run still waits for its turn
    yield* server.abort
    assert.strictEqual((yield* lostOf(all)).sent, "Maybe")
    for (const call of other) yield* lostOf(call)
  })
)

describe("collect", () => {
  const isLast = (answer: string) => answer === "."

  it.effect("waits for all answers, up to the one that isLast tells, and then the next caller has its own", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast })
      const rows = yield* start(client.collect("rows"))
      assert.deepStrictEqual(yield* server.asked(1), ["rows"])
      const next = yield* start(client.collect("next"))
      const many = Array.from({ length: 100 }, (_, i) => `${i}`)
      yield* server.answer(...many)
      assert.isTrue(waits(rows))
      yield* server.answer(".", "NEXT", ".")
      assert.deepStrictEqual(yield* Fiber.join(rows), [...many, "."])
      assert.deepStrictEqual(yield* Fiber.join(next), ["NEXT", "."])
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect(
    "keeps no more answers than it may: a peer that gives more loses the connection, and all callers are told",
    () =>
      Effect.gen(function* () {
        const { client, server } = yield* pipelined({ isLast, maxAnswers: 3 })
        const whole = yield* start(client.collect("whole"))
        const endless = yield* start(client.collect("endless"))
        const behind = yield* start(client.call("behind"))
        yield* server.answer("1", "2", ".", "1", "2", "3", "4")
        assert.deepStrictEqual(yield* Fiber.join(whole), ["1", "2", "."])
        const { cause } = yield* lostOf(endless)
        assert.deepInclude({ ...cause }, { _tag: "ProtocolViolation", reason: "more than 3 answers to one request" })
        yield* lostOf(behind)
        for (const wrong of [0, -1, 1.5, Number.NaN, "3"]) {
          assert.include(yield* deathOf(pipelined({ isLast, maxAnswers: wrong as number })), "maxAnswers")
        }
      })
  )

  it.effect("also where the one too many is the last: the caller is told, and does not wait for ever", () =>
    Effect.gen(function* () {
      for (const options of [{ isLast }, { answers: () => 3 }]) {
        const { client, server } = yield* pipelined({ ...options, maxAnswers: 2 })
        const endless = yield* start(client.collect("endless"))
        yield* server.asked(1)
        yield* server.answer("1", "2", ".")
        const { cause, sent } = yield* lostOf(endless)
        assert.deepStrictEqual([sent, cause._tag], ["Maybe", "ProtocolViolation"])
      }
    })
  )

  it.effect("without isLast it waits for as many as answers says; a request without any is a mistake", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ answers: (request) => request.length })
      const [three, one] = yield* startAll([client.collect("abc"), client.collect("d")])
      yield* server.answer("A", "B", "C", "D")
      assert.deepStrictEqual(yield* Fiber.join(three!), ["A", "B", "C"])
      assert.deepStrictEqual(yield* Fiber.join(one!), ["D"])
      assert.include(yield* deathOf(client.collect("")), "collect: this request has no answer: use send")
    })
  )

  it.effect("an interrupted one leaves its answers to nobody, and cancel is told of its request", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const { client, server } = yield* pipelined({
        isLast,
        cancel: (request) => Effect.sync(() => told.push(request))
      })
      const mine = yield* start(client.collect("mine"))
      yield* server.asked(1)
      yield* server.answer("1")
      yield* Fiber.interrupt(mine)
      const yours = yield* start(client.collect("yours"))
      yield* server.answer("2", ".", "YOURS", ".")
      assert.deepStrictEqual(yield* Fiber.join(yours), ["YOURS", "."])
      assert.deepStrictEqual(told, ["mine"])
    })
  )

  it.effect("in the middle of its answers the connection is lost, or its time is over: it fails", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast, callTimeout: "3 seconds" })
      const slow = yield* start(client.collect("slow"))
      yield* server.asked(1)
      yield* server.answer("1")
      yield* TestClock.adjust("3 seconds")
      assert.deepInclude({ ...(yield* Effect.flip(Fiber.join(slow))) }, { _tag: "StreamTimeout", kind: "Answer" })
      const late = yield* start(client.collect("late"))
      yield* server.answer("2", ".", "1")
      yield* server.abort
      assert.strictEqual((yield* lostOf(late)).sent, "Maybe")
    })
  )
})

describe("stream", () => {
  const isLast = (answer: string) => answer === "."

  it.effect("gives all parts, the last included, and then the next caller has its own", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast })
      const rows = yield* start(Stream.runCollect(client.stream("rows")))
      assert.deepStrictEqual(yield* server.asked(1), ["rows"])
      const next = yield* start(client.call("next"))
      yield* server.answer("1", "2", ".", "NEXT")
      assert.deepStrictEqual(yield* Fiber.join(rows), ["1", "2", "."])
      assert.strictEqual(yield* Fiber.join(next), "NEXT")
    })
  )

  it.effect("left early: the rest is dropped as it comes, and the next caller has its own", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast })
      const rows = yield* start(Stream.runCollect(Stream.take(client.stream("rows"), 1)))
      yield* server.asked(1)
      yield* server.answer("1")
      assert.deepStrictEqual(yield* Fiber.join(rows), ["1"])
      const next = yield* start(client.call("next"))
      yield* server.answer(...Array.from({ length: 100 }, (_, i) => `${i}`), ".", "NEXT")
      assert.strictEqual(yield* Fiber.join(next), "NEXT")
    })
  )

  it.effect("left early, and the rest does not end: the connection is given up after drainTimeout", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast, drainTimeout: "5 seconds" })
      const rows = yield* start(Stream.runCollect(Stream.take(client.stream("rows"), 1)))
      yield* server.asked(1)
      yield* server.answer("1")
      yield* Fiber.join(rows)
      const next = yield* start(client.call("next"))
      yield* TestClock.adjust("4999 millis")
      yield* server.answer("2")
      assert.isTrue(waits(next))
      yield* TestClock.adjust("1 millis")
      const { cause, sent } = yield* lostOf(next)
      assert.strictEqual(sent, "Maybe")
      assert.deepInclude({ ...cause }, { _tag: "StreamTimeout", kind: "Answer", operation: "drainTimeout" })
    })
  )

  it.effect("left early behind a slow answer: drainTimeout counts from its turn on, and the others have theirs", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast, drainTimeout: "5 seconds" })
      const slow = yield* start(client.collect("slow"))
      const left = yield* start(client.collect("left"))
      const next = yield* start(client.call("next"))
      yield* server.asked(3)
      yield* Fiber.interrupt(left)
      yield* TestClock.adjust("1 minute")
      yield* server.answer("1", ".", "2")
      assert.deepStrictEqual(yield* Fiber.join(slow), ["1", "."])
      yield* TestClock.adjust("4 seconds")
      yield* server.answer("3", ".", "NEXT")
      assert.strictEqual(yield* Fiber.join(next), "NEXT")

      // and in its turn it is bounded
      const first = yield* start(client.call("first"))
      const endless = yield* start(client.collect("endless"))
      yield* Fiber.interrupt(endless)
      yield* TestClock.adjust("1 minute")
      yield* server.answer("FIRST", "1")
      assert.strictEqual(yield* Fiber.join(first), "FIRST")
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(yield* client.inFlight, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* client.closed)._tag, "Lost")
    })
  )

  it.effect("left early while pushes are not taken: the time in which nothing is read is not the peer's", () =>
    Effect.gen(function* () {
      const isPush = (message: string) => message.startsWith("!")
      const { client, server } = yield* pipelined({
        isLast,
        drainTimeout: "5 seconds",
        isPush,
        pushes: { overflow: "suspend", capacity: 1 }
      })
      const left = yield* start(client.collect("left"))
      yield* server.asked(1)
      yield* Fiber.interrupt(left)
      yield* TestClock.adjust("3 seconds")
      yield* server.answer("1", "!1", "!2", "2")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(client.pushes, 2)), ["!1", "!2"])
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(yield* client.inFlight, 1)
      yield* TestClock.adjust("1 millis")
      const closed = yield* client.closed
      assert.strictEqual(closed._tag === "Lost" && closed.cause._tag, "StreamTimeout")
    })
  )

  it.effect("a slow consumer holds the peer back, and nothing is lost", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined(
        { isLast },
        { limit: 64, highWaterMark: 1000, fromServer: { capacity: 1000 } }
      )
      const pull = yield* Stream.toPull(client.stream("rows"))
      const first = yield* start(pull)
      yield* server.asked(1)
      const rows = Array.from({ length: 3000 }, (_, i) => `row ${i}`)
      const answering = yield* start(Effect.orDie(Effect.forEach(rows, (row) => server.writer.write(`${row}\n`))))
      const last = yield* start(Effect.andThen(Fiber.join(answering), server.answer(".")))
      const seen = [...(yield* Fiber.join(first))]
      assert.isTrue(waits(answering))
      while (seen.at(-1) !== ".") seen.push(...(yield* pull))
      yield* Fiber.join(last)
      assert.deepStrictEqual(seen, [...rows, "."])
    }).pipe(Effect.scoped)
  )

  it.effect("by the number of answers, where isLast is not given", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ answers: (request) => request.split(" ").length })
      const some = yield* start(Stream.runCollect(client.stream("subscribe a b")))
      const last = yield* start(client.call("subscribe a b"))
      const none = yield* start(client.call("one"))
      yield* server.asked(3)
      yield* server.answer("1", "2", "3", "1", "2", "3", "ONE")
      assert.deepStrictEqual(yield* Fiber.join(some), ["1", "2", "3"])
      assert.strictEqual(yield* Fiber.join(last), "3")
      assert.strictEqual(yield* Fiber.join(none), "ONE")
    })
  )

  it.effect("interrupted before its turn it is never sent", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast, maxInFlight: 1 })
      const call = yield* start(client.call("a"))
      const rows = yield* start(Stream.runCollect(client.stream("rows")))
      const next = yield* start(client.call("b"))
      yield* Fiber.interrupt(rows)
      yield* server.asked(1)
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* server.asked(1), ["b"])
      yield* server.answer("B")
      assert.strictEqual(yield* Fiber.join(next), "B")
    })
  )

  it.effect("fails as a call does", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isLast })
      assert.instanceOf(yield* Effect.flip(Stream.runDrain(client.stream("a\nb"))), StreamError.EncodeFailed)
      const rows = yield* start(Stream.runCollect(client.stream("rows")))
      yield* server.asked(1)
      yield* server.abort
      assert.strictEqual((yield* lostOf(rows)).sent, "Maybe")
    })
  )
})

describe("send", () => {
  it.effect("completes once it is accepted, and no answer is taken for it", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ answers: (request) => (request === "quiet" ? 0 : 1) })
      yield* client.send("quiet")
      assert.strictEqual(yield* client.inFlight, 0)
      const call = yield* start(client.call("a"))
      assert.deepStrictEqual(yield* server.asked(2), ["quiet", "a"])
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.match(yield* deathOf(client.call("quiet")), /this request has no answer: use send/)
    })
  )
})

describe("exclusive", () => {
  it.effect("comes in its turn: answers in front of it first, requests behind it wait", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const before = yield* start(client.call("before"))
      const dialogue = yield* start(
        client.exclusive((reader, writer) =>
          Effect.gen(function* () {
            yield* writer.write("DATA\n")
            assert.deepStrictEqual(yield* reader.readFrame(line), "354")
            yield* writer.write("text\n.\n")
            return yield* reader.readFrame(line)
          })
        )
      )
      const behind = yield* start(client.call("behind"))
      assert.deepStrictEqual(yield* server.asked(1), ["before"])
      assert.strictEqual(yield* server.reader.buffered, 0)
      yield* server.answer("BEFORE")
      assert.strictEqual(yield* Fiber.join(before), "BEFORE")
      assert.deepStrictEqual(yield* server.asked(1), ["DATA"])
      yield* server.answer("354")
      assert.deepStrictEqual(yield* server.asked(2), ["text", "."])
      assert.strictEqual(yield* server.reader.buffered, 0)
      // the answer to the dialogue and to what follows, in one piece
      yield* server.answer("250")
      assert.strictEqual(yield* Fiber.join(dialogue), "250")
      assert.deepStrictEqual(yield* server.asked(1), ["behind"])
      yield* server.answer("BEHIND")
      assert.strictEqual(yield* Fiber.join(behind), "BEHIND")
    })
  )

  it.effect(
    "interrupted before its turn it changes nothing, and so does an interruption in the very moment of it",
    () =>
      Effect.gen(function* () {
        const { client, server } = yield* pipelined()
        const before = yield* start(client.call("before"))
        const never = yield* start(client.exclusive(() => Effect.die("begun")))
        const behind = yield* start(client.call("behind"))
        yield* Fiber.interrupt(never)
        assert.deepStrictEqual(yield* server.asked(2), ["before", "behind"])
        yield* server.answer("BEFORE", "BEHIND")
        assert.deepStrictEqual([yield* Fiber.join(before), yield* Fiber.join(behind)], ["BEFORE", "BEHIND"])
      })
  )

  it.effect("one that fails or is interrupted leaves nobody knows what behind: the connection is given up", () =>
    Effect.gen(function* () {
      for (const ends of [Effect.fail("no"), Effect.never, Effect.die("defect")]) {
        const { client, server } = yield* pipelined()
        const dialogue = yield* start(
          client.exclusive((_, writer) => Effect.andThen(writer.write("half a"), ends as Effect.Effect<never, string>))
        )
        const behind = yield* start(client.call("behind"))
        yield* Fiber.interrupt(dialogue)
        const { cause, sent } = yield* lostOf(behind)
        assert.deepStrictEqual([sent, cause._tag], ["No", "ClosedStream"])
        assert.strictEqual((yield* client.closed)._tag, "Lost")
        assert.strictEqual(
          (yield* Effect.flip(Effect.repeat(server.reader.read(100), { times: 2 })))._tag,
          "ConnectionLost"
        )
      }
    })
  )
})

describe("one after the other", () => {
  const dialogues = Effect.gen(function* () {
    const { client, server } = yield* pipelined()
    const go = Latch.makeUnsafe(false)
    // what comes behind it is there by the time in which it ends
    const first = yield* start(client.exclusive((reader) => Effect.andThen(reader.peek(1), go.await)))
    return { client, server, endFirst: Effect.andThen(go.open, Fiber.join(first)) }
  })

  it.effect("exclusive: what comes behind a dialogue is the next dialogue's, and nothing is read in between", () =>
    Effect.gen(function* () {
      const { client, endFirst, server } = yield* dialogues
      const next = yield* start(client.exclusive((reader) => reader.readFrame(line)))
      yield* server.answer("behind")
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* endFirst
      assert.strictEqual(yield* Fiber.join(next), "behind")
    })
  )

  it.effect("exclusive: the same behind dialogues without a wait", () =>
    Effect.gen(function* () {
      const { client, endFirst, server } = yield* dialogues
      const others = yield* startAll(["second", "third"].map(() => client.exclusive(() => Effect.void)))
      const next = yield* start(client.exclusive((reader) => reader.readFrame(line)))
      yield* server.answer("behind")
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* endFirst
      yield* Effect.forEach(others, Fiber.join)
      assert.strictEqual(yield* Fiber.join(next), "behind")
      const call = yield* start(client.call("a"))
      assert.deepStrictEqual(yield* server.asked(1), ["a"])
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
    })
  )

  it.effect("release: what comes behind a dialogue is in the reader that is given back", () =>
    Effect.gen(function* () {
      const { client, endFirst, server } = yield* dialogues
      const release = yield* start(client.release)
      yield* server.answer("behind")
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* endFirst
      assert.strictEqual(yield* (yield* Fiber.join(release)).reader.readFrame(line), "behind")
    })
  )

  it.live("exclusive: interrupted at any step before it begins it is taken back, whoever runs in between", () =>
    Effect.gen(function* () {
      let before = 0
      for (const seed of [0, 2, 7]) {
        for (let step = 1; step <= 25; step++) {
          const trial = Effect.gen(function* () {
            const { client, server } = yield* pipelined()
            let begun = false
            const first = yield* start(client.call("first"))
            const dialogue = client.exclusive(() => {
              begun = true
              return Effect.void
            })
            const interrupted = yield* start(interruptBefore(step, dialogue))
            yield* server.asked(1)
            yield* server.answer("FIRST")
            assert.strictEqual(yield* Fiber.join(first), "FIRST")
            yield* Effect.replicateEffect(Effect.yieldNow, 20)
            yield* Fiber.interrupt(interrupted)
            if (begun) return
            before++
            const next = yield* start(client.call("next"))
            yield* server.asked(1)
            yield* server.answer("NEXT")
            assert.strictEqual(yield* Fiber.join(next), "NEXT", `seed ${seed}, step ${step}`)
          })
          yield* Effect.provideService(Effect.scoped(trial), Scheduler.Scheduler, new Restless(seed))
        }
      }
      assert.isAbove(before, 5)
    })
  )

  it.effect("exclusive: dialogues without a wait, and a call behind them, all have their turn", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const go = Latch.makeUnsafe(false)
      const turns: Array<number> = []
      const first = yield* start(client.exclusive(() => Effect.asVoid(go.await)))
      const others = yield* startAll(
        [1, 2, 3].map((n) => client.exclusive(() => Effect.sync(() => void turns.push(n))))
      )
      const call = yield* start(client.call("a"))
      yield* go.open
      yield* Effect.forEach([first, ...others], Fiber.join)
      assert.deepStrictEqual(turns, [1, 2, 3])
      assert.deepStrictEqual(yield* server.asked(1), ["a"])
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
    })
  )

  it.effect("exclusive: who takes a push may have a dialogue at once, and everything else is read all the same", () =>
    Effect.gen(function* () {
      const isPush = (message: string) => message.startsWith("!")
      const { client, server } = yield* pipelined({ isPush, pushes: { overflow: "suspend" } })
      const go = Latch.makeUnsafe(false)
      const seen: Array<string> = []
      const taking = yield* start(
        Stream.runForEach(Stream.take(client.pushes, 5), (push) =>
          Effect.andThen(
            Effect.sync(() => seen.push(push)),
            client.exclusive(() => Effect.void)
          )
        )
      )
      const first = yield* start(client.exclusive((reader) => Effect.andThen(reader.peek(1), go.await)))
      yield* server.answer("!1", "!2", "!3")
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* go.open
      yield* Fiber.join(first)
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      const call = yield* start(client.call("a"))
      yield* server.asked(1)
      yield* server.answer("!4", "A", "!5")
      assert.strictEqual(yield* Fiber.join(call), "A")
      yield* Fiber.join(taking)
      assert.deepStrictEqual(seen, ["!1", "!2", "!3", "!4", "!5"])
    })
  )
})

describe("release", () => {
  it.effect("gives the connection back behind the last answer, with every byte that came behind it", () =>
    Effect.gen(function* () {
      const { client, left, server } = yield* pipelined()
      const call = yield* start(client.call("STARTTLS"))
      const release = yield* start(client.release)
      const late = yield* Effect.flip(client.call("late"))
      assert.deepInclude({ ...late }, { _tag: "RequestLost", sent: "No" })
      yield* server.asked(1)
      yield* server.writer.write("GO\nno line at all")
      assert.strictEqual(yield* Fiber.join(call), "GO")
      const connection = yield* Fiber.join(release)
      assert.strictEqual(connection, left)
      assert.strictEqual(new TextDecoder().decode(yield* connection.reader.readExactly(14)), "no line at all")
      assert.deepStrictEqual(yield* client.closed, { _tag: "Released" })
      yield* connection.writer.write("raw\n")
      assert.deepStrictEqual(yield* server.asked(1), ["raw"])
    })
  )

  it.effect("interrupted while it waits it is taken back", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const call = yield* start(client.call("a"))
      const release = yield* start(client.release)
      yield* Fiber.interrupt(release)
      const next = yield* start(client.call("b"))
      assert.deepStrictEqual(yield* server.asked(2), ["a", "b"])
      yield* server.answer("A", "B")
      assert.deepStrictEqual([yield* Fiber.join(call), yield* Fiber.join(next)], ["A", "B"])
    })
  )

  it.live("interrupted at any step it is taken back, or is done", () =>
    Effect.gen(function* () {
      for (const busy of [true, false]) {
        for (let step = 1; step <= 25; step++) {
          const trial = Effect.gen(function* () {
            const { client, server } = yield* pipelined()
            const call = busy ? yield* start(client.call("a")) : undefined
            const release = yield* start(interruptBefore(step, client.release))
            yield* Effect.replicateEffect(Effect.yieldNow, 10)
            if (call !== undefined) {
              yield* server.asked(1)
              yield* server.answer("A")
              assert.strictEqual(yield* Fiber.join(call), "A")
            }
            yield* Effect.replicateEffect(Effect.yieldNow, 10)
            yield* Fiber.interrupt(release)
            const next = yield* start(client.call("b"))
            if (!waits(next)) {
              assert.deepStrictEqual(yield* client.closed, { _tag: "Released" }, `step ${step}`)
              return
            }
            yield* server.answer("B")
            assert.strictEqual(yield* Fiber.join(next), "B", `step ${step}`)
          })
          yield* Effect.scoped(trial)
        }
      }
    })
  )

  it.effect("what was released is not closed by a close that comes later, or was behind it", () =>
    Effect.gen(function* () {
      for (const behind of [true, false]) {
        const { client, server } = yield* pipelined()
        const call = yield* start(client.call("a"))
        const release = yield* start(client.release)
        const close = behind ? yield* start(client.close) : undefined
        yield* server.asked(1)
        yield* server.answer("A")
        yield* Fiber.join(call)
        const { writer } = yield* Fiber.join(release)
        const closed = yield* close === undefined ? client.close : Fiber.join(close)
        assert.deepStrictEqual(closed, { _tag: "Released" })
        yield* writer.write("mine\n")
        assert.deepStrictEqual(yield* server.asked(1), ["mine"])
      }
    })
  )

  it.effect("interrupted while another closes it, no more calls are taken all the same", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const call = yield* start(client.call("a"))
      const release = yield* start(client.release)
      const close = yield* start(client.close)
      yield* Fiber.interrupt(release)
      const late = yield* start(client.call("late"))
      assert.isFalse(waits(late))
      assert.strictEqual((yield* lostOf(late)).sent, "No")
      yield* server.asked(1)
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* Fiber.join(close), { _tag: "Closed" })
    })
  )
})

describe("pushes", () => {
  const isPush = (message: string) => message.startsWith("!")

  it.effect("are told from answers, also between two parts of them, and come when nobody asks", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ isPush, pushes: { overflow: "suspend" } })
      const pushes = yield* start(Stream.runCollect(Stream.take(client.pushes, 3)))
      yield* server.answer("!1")
      const call = yield* start(client.call("a"))
      yield* server.answer("!2", "A", "!3")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* Fiber.join(pushes), ["!1", "!2", "!3"])
    })
  )

  it.effect("without room: suspend holds up the answers behind them, dropping and sliding do not", () =>
    Effect.gen(function* () {
      for (const [overflow, expected] of [
        ["suspend", ["!1", "!2", "!3", "!4"]],
        ["dropping", ["!1", "!2"]],
        ["sliding", ["!3", "!4"]]
      ] as const) {
        const { client, server } = yield* pipelined({ isPush, pushes: { overflow, capacity: 2 } })
        const call = yield* start(client.call("a"))
        yield* server.answer("!1", "!2", "!3", "!4", "A")
        if (overflow === "suspend") {
          yield* Effect.replicateEffect(Effect.yieldNow, 100)
          assert.isTrue(waits(call))
        } else assert.strictEqual(yield* Fiber.join(call), "A")
        const pushes = yield* Stream.runCollect(Stream.take(client.pushes, expected.length))
        assert.deepStrictEqual(pushes, [...expected])
        assert.strictEqual(yield* Fiber.join(call), "A")
      }
    })
  )

  it.effect("no more of them wait than capacity, also behind parts that nobody has taken when the peer ends", () =>
    Effect.gen(function* () {
      for (const [overflow, expected] of [
        ["dropping", ["!1", "!2"]],
        ["sliding", ["!3", "!4"]]
      ] as const) {
        const { client, server } = yield* pipelined({
          isPush,
          pushes: { overflow, capacity: 2 },
          answers: (request) => (request === "parts" ? 20 : 1)
        })
        const parts = yield* Stream.toPull(client.stream("parts"))
        yield* server.answer(...Array.from({ length: 20 }, (_, i) => `${i}`), "!1", "!2", "!3", "!4")
        yield* Effect.orDie(server.writer.writeEof)
        assert.strictEqual((yield* client.closed)._tag, "PeerEof")
        assert.deepStrictEqual(yield* Stream.runCollect(client.pushes), [...expected])
        assert.strictEqual((yield* parts).length, 20)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("end with the exchange, and fail with it where it is lost", () =>
    Effect.gen(function* () {
      for (const ends of ["writeEof", "abort"] as const) {
        const { client, server } = yield* pipelined({ isPush, pushes: { overflow: "suspend" } })
        yield* server.answer("!1")
        if (ends === "abort") yield* Effect.yieldNow
        yield* ends === "abort" ? server.abort : Effect.orDie(server.writer.writeEof)
        const seen: Array<string> = []
        const exit = yield* Effect.exit(
          Stream.runForEach(client.pushes, (push) => Effect.sync(() => void seen.push(push)))
        )
        assert.deepStrictEqual(seen, ["!1"])
        assert.strictEqual(Exit.isSuccess(exit), ends === "writeEof")
      }
    })
  )

  it.effect("isPush and pushes are given together, and with one way to read", () =>
    Effect.gen(function* () {
      assert.match(yield* deathOf(pipelined({ isPush } as never)), /pushes must be/)
      assert.match(yield* deathOf(pipelined({ pushes: { overflow: "suspend" } } as never)), /pushes needs isPush/)
      assert.match(
        yield* deathOf(pipelined({ isPush, pushes: { overflow: "suspend" }, response: () => line })),
        /response must be a frame/
      )
    })
  )
})

describe("a response that depends on the request", () => {
  it.effect("each answer is read as its own request has it", () =>
    Effect.gen(function* () {
      const body = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 100 }, Frame.utf8Rest)
      const { client, server } = yield* pipelined({ response: (request) => (request === "GET" ? body : line) })
      const calls = yield* startAll(["GET", "SET", "GET"].map(client.call))
      yield* server.asked(3)
      yield* server.writer.write(Uint8Array.of(3, 65, 10, 67, 79, 75, 10, 1, 66))
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["A\nC", "OK", "B"])
    })
  )

  it.effect("an end of the peer's while nothing is asked is an end, and in front of an answer a loss", () =>
    Effect.gen(function* () {
      const quiet = yield* pipelined({ response: () => line })
      yield* quiet.server.writer.writeEof
      assert.deepStrictEqual(yield* quiet.client.closed, { _tag: "PeerEof" })

      const busy = yield* pipelined({ response: () => line })
      const call = yield* start(busy.client.call("a"))
      yield* busy.server.asked(1)
      yield* busy.server.writer.writeEof
      const { cause, sent } = yield* lostOf(call)
      assert.deepStrictEqual([sent, cause._tag], ["Maybe", "IncompleteRead"])
    })
  )

  it.effect("bytes that come while nothing is asked are a violation", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ response: () => line })
      yield* server.writer.write("x")
      const closed = yield* client.closed
      assert.strictEqual(closed._tag === "Lost" && closed.cause._tag, "ProtocolViolation")
    })
  )
})

describe("an answer that nobody asked for", () => {
  it.effect("is a ProtocolViolation, and the connection is not used any more", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const call = yield* start(client.call("a"))
      yield* server.asked(1)
      yield* server.answer("A", "B")
      assert.strictEqual(yield* Fiber.join(call), "A")
      const closed = yield* client.closed
      assert.isTrue(closed._tag === "Lost" && closed.cause instanceof StreamError.ProtocolViolation)
      const late = yield* Effect.flip(client.call("b"))
      assert.deepInclude({ ...late }, { _tag: "RequestLost", sent: "No" })
      assert.strictEqual((yield* Effect.flip(server.reader.read(10)))._tag, "ConnectionLost")
    })
  )
})

describe("loss", () => {
  it.effect("every call fails at once: Maybe what may have left, No what has not", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ maxInFlight: 3 })
      const calls = yield* startAll(["a", "b"].map(client.call))
      yield* server.asked(2)
      // in this very turn nothing of it has left the process
      const last = yield* start(client.call("c"))
      const waiting = yield* start(client.call("d"))
      yield* server.abort
      for (const call of calls) assert.strictEqual((yield* lostOf(call)).sent, "Maybe")
      const { cause, sent } = yield* lostOf(waiting)
      assert.deepStrictEqual([sent, cause._tag], ["No", "ConnectionLost"])
      yield* lostOf(last)
      assert.strictEqual(yield* client.inFlight, 0)
      assert.strictEqual((yield* client.closed)._tag, "Lost")
    })
  )

  it.effect("every call fails at once also where nothing is read, for nobody takes what has come", () =>
    Effect.gen(function* () {
      for (const how of ["abort", "writeEof"] as const) {
        for (const full of ["pushes", "parts"] as const) {
          const { client, server } = yield* pipelined({
            isPush: (answer) => answer.startsWith(">"),
            pushes: { overflow: "suspend", capacity: 1 },
            answers: (request) => (request === "parts" ? 40 : 1)
          })
          const parts = yield* Stream.toPull(client.stream("parts"))
          assert.strictEqual((yield* server.asked(1)).length, 1)
          const calls = yield* startAll(["a", "b"].map(client.call))
          yield* server.asked(2)
          const sent = Array.from({ length: 30 }, (_, i) => (full === "pushes" ? `>${i}` : `${i}`))
          yield* server.answer(...sent)
          yield* TestClock.adjust(1)
          assert.isTrue(calls.every(waits))
          yield* how === "abort" ? server.abort : server.writer.writeEof
          for (const call of calls) {
            const { cause, sent } = yield* lostOf(call)
            assert.deepStrictEqual([sent, cause._tag], ["Maybe", how === "abort" ? "ConnectionLost" : "IncompleteRead"])
          }
          assert.strictEqual((yield* client.closed)._tag, "Lost")
          // and whoever takes it has all that had come
          const taken: Array<string> = []
          const pull: Pull.Pull<ReadonlyArray<string>, unknown> = full === "pushes"
            ? yield* Stream.toPull(client.pushes)
            : parts
          const end = yield* Effect.flip(Effect.forever(Effect.map(pull, (some) => taken.push(...some))))
          assert.deepStrictEqual(taken, sent)
          assert.notInclude(String(end), "Done")
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("what was not sent never is, whoever runs in between", () =>
    Effect.gen(function* () {
      const refined = Frame.refine(line, (text) => text !== "none of the protocol's")
      const sent: Array<string> = []
      for (let seed = 1; seed <= 100; seed++) {
        yield* Effect.gen(function* () {
          const { client, server } = yield* pipelined({ response: refined })
          const seen: Array<string> = []
          const serving = yield* Effect.forkChild(
            Effect.ignore(Effect.forever(Effect.map(server.reader.readFrame(line), (text) => seen.push(text))))
          )
          const calls = yield* Effect.forkChild(Effect.andThen(client.call("a"), client.call("b")))
          while (seen.length === 0) yield* Effect.yieldNow
          yield* server.writer.writeFrames(line, ["A", "none of the protocol's"])
          const error = yield* lostOf(calls)
          yield* Fiber.await(serving)
          sent.push(error.sent)
          if (error.sent === "No") assert.deepStrictEqual(seen, ["a"])
        }).pipe(Effect.scoped, Effect.provideService(Scheduler.Scheduler, new Restless(seed)))
      }
      assert.isAbove(sent.filter((sent) => sent === "No").length, 10)
    })
  )

  it.effect("what lies unsent behind a peer that does not read was not sent", () =>
    Effect.gen(function* () {
      const { client, left } = yield* pipelined(
        {},
        { limit: 64, fromClient: { capacity: 100 }, highWaterMark: 100_000 }
      )
      const long = "x".repeat(9000)
      const first = yield* start(client.call(long))
      // the transport holds it from the end of this turn on, and takes nothing else until it is gone
      yield* left.writer.drain
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      const behind = yield* startAll(Array.from({ length: 5 }, () => client.call(long)))
      yield* left.abort
      assert.strictEqual((yield* lostOf(first)).sent, "Maybe")
      for (const call of behind) assert.strictEqual((yield* lostOf(call)).sent, "No")
    })
  )

  it.effect("a write that meets the end of the connection may have been sent, also one that has no answer", () =>
    Effect.gen(function* () {
      for (const ask of ["call", "send"] as const) {
        const { connection, transport } = yield* fake()
        const client = yield* Exchange.makePipelined(connection, {
          request: Frame.line({ maxBytes: 100_000 }),
          response: line
        })
        transport.onWrite = () => transport.lose()
        // so much is written in the very step in which it is accepted
        const error = yield* Effect.flip(client[ask]("x".repeat(80_000)) as Effect.Effect<unknown, Exchange.CallError>)
        assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "Maybe" }, ask)
      }
    })
  )

  it.effect("an end of the peer's with nothing to answer is an end, and in the middle of answers a loss", () =>
    Effect.gen(function* () {
      const quiet = yield* pipelined()
      yield* quiet.server.writer.writeEof
      assert.deepStrictEqual(yield* quiet.client.closed, { _tag: "PeerEof" })
      const late = yield* Effect.flip(quiet.client.call("a"))
      assert.deepInclude({ ...late }, { _tag: "RequestLost", sent: "No" })

      const busy = yield* pipelined()
      const call = yield* start(busy.client.call("a"))
      yield* busy.server.asked(1)
      yield* busy.server.writer.write("half an ans")
      yield* busy.server.writer.writeEof
      const { cause, sent } = yield* lostOf(call)
      assert.deepStrictEqual([sent, cause._tag], ["Maybe", "IncompleteRead"])
    })
  )

  it.effect("an answer that is none of the protocol's ends it", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ response: Frame.line({ maxBytes: 5 }) })
      const call = yield* start(client.call("a"))
      yield* server.answer("much too long")
      const { cause, sent } = yield* lostOf(call)
      assert.deepStrictEqual([sent, cause._tag], ["Maybe", "LimitOverrun"])
    })
  )
})

describe("bounds", () => {
  it.effect("callTimeout: the caller fails, its answer is dropped, others go on", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ callTimeout: "1 second" })
      const slow = yield* start(client.call("slow"))
      yield* server.asked(1)
      yield* TestClock.adjust("600 millis")
      const other = yield* start(client.call("other"))
      yield* TestClock.adjust("400 millis")
      const error = yield* Effect.flip(Fiber.join(slow))
      assert.deepInclude({ ...error }, { _tag: "StreamTimeout", kind: "Answer", operation: "call" })
      yield* server.answer("SLOW", "OTHER")
      assert.strictEqual(yield* Fiber.join(other), "OTHER")
      yield* TestClock.adjust("1 hour")
      const next = yield* start(client.call("next"))
      yield* server.answer("NEXT")
      assert.strictEqual(yield* Fiber.join(next), "NEXT")
    })
  )

  it.effect("callTimeout: one that waits for its turn is never sent", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ callTimeout: "1 second", maxInFlight: 1 })
      const both = yield* startAll(["a", "b"].map(client.call))
      yield* TestClock.adjust("1 second")
      for (const call of both) assert.strictEqual((yield* Effect.flip(Fiber.join(call)))._tag, "StreamTimeout")
      yield* server.asked(1)
      yield* server.answer("A")
      const next = yield* start(client.call("c"))
      assert.deepStrictEqual(yield* server.asked(1), ["c"])
      yield* server.answer("C")
      assert.strictEqual(yield* Fiber.join(next), "C")
    })
  )

  it.effect("callTimeout bounds callAll from the call on, however many runs it takes", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ callTimeout: "1 second", maxInFlight: 1 })
      const all = yield* start(client.callAll(["a", "b", "c"]))
      for (const answer of ["A", "B"]) {
        yield* server.asked(1)
        yield* TestClock.adjust("400 millis")
        yield* server.answer(answer)
      }
      assert.deepStrictEqual(yield* server.asked(1), ["c"])
      yield* TestClock.adjust("199 millis")
      assert.isTrue(waits(all))
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(
        { ...(yield* Effect.flip(Fiber.join(all))) },
        { _tag: "StreamTimeout", kind: "Answer", operation: "call" }
      )
      yield* server.answer("C")
      const next = yield* start(client.call("d"))
      yield* server.answer("D")
      assert.strictEqual(yield* Fiber.join(next), "D")
    })
  )

  it.effect("callTimeout bounds a stream until its first part, and not the whole of it", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ callTimeout: "1 second", isLast: (answer) => answer === "." })
      const late = yield* start(Stream.runCollect(client.stream("late")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Fiber.join(late)))._tag, "StreamTimeout")
      yield* server.asked(1)
      yield* server.answer(".")
      const long = yield* start(Stream.runCollect(client.stream("long")))
      yield* server.asked(1)
      yield* server.answer("1")
      yield* TestClock.adjust("1 minute")
      yield* server.answer(".")
      assert.deepStrictEqual(yield* Fiber.join(long), ["1", "."])
    })
  )

  it.effect("stallTimeout: nothing at all is answered, and the connection is given up; silence is no stall", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ stallTimeout: "1 second" })
      yield* TestClock.adjust("1 hour")
      const calls = yield* startAll(["a", "b", "c"].map(client.call))
      yield* server.asked(3)
      yield* TestClock.adjust("900 millis")
      yield* server.answer("A")
      yield* Fiber.join(calls[0]!)
      yield* TestClock.adjust("900 millis")
      yield* server.answer("B")
      yield* Fiber.join(calls[1]!)
      assert.isTrue(waits(calls[2]!))
      yield* TestClock.adjust("1 second")
      const { cause } = yield* lostOf(calls[2]!)
      assert.deepInclude({ ...cause }, { _tag: "StreamTimeout", kind: "Answer", operation: "stallTimeout" })
    })
  )

  it.effect("stallTimeout: a consumer that does not take what has come is no stall of the peer's", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ stallTimeout: "1 second", isLast: (answer) => answer === "." })
      const pull = yield* Stream.toPull(client.stream("rows"))
      const first = yield* start(pull)
      yield* server.answer(...Array.from({ length: 40 }, (_, i) => `${i}`), ".")
      const seen = [...(yield* Fiber.join(first))]
      yield* TestClock.adjust("1 minute")
      while (seen.at(-1) !== ".") seen.push(...(yield* pull))
      assert.strictEqual(seen.length, 41)
    }).pipe(Effect.scoped)
  )

  it.effect("stallTimeout: time in which pushes are not taken does not count, and all other time does", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({
        stallTimeout: "5 seconds",
        isPush: (message: string) => message.startsWith("!"),
        pushes: { overflow: "suspend", capacity: 1 }
      })
      const [first, second] = yield* startAll(["first", "second"].map(client.call))
      yield* server.asked(2)
      yield* TestClock.adjust("3 seconds")
      yield* server.answer("!1", "!2")
      yield* TestClock.adjust("1990 millis")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(client.pushes, 2)), ["!1", "!2"])
      yield* TestClock.adjust("1999 millis")
      yield* server.answer("FIRST")
      assert.strictEqual(yield* Fiber.join(first!), "FIRST")

      // over and over, and no answer among it
      for (let i = 0; i < 5; i++) {
        yield* server.answer("!1", "!2")
        yield* TestClock.adjust("10 seconds")
        yield* Stream.runCollect(Stream.take(client.pushes, 2))
        assert.isTrue(waits(second!))
        yield* TestClock.adjust("1 second")
      }
      const { cause } = yield* lostOf(second!)
      assert.deepInclude({ ...cause }, { _tag: "StreamTimeout", operation: "stallTimeout" })
    })
  )

  it.effect("maxInFlight: no more than that are unanswered, in the order in which they were asked", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ maxInFlight: 2 })
      const calls = yield* startAll(["a", "b", "c", "d"].map(client.call))
      for (const [asked, answered] of [
        [["a", "b"], "A"],
        [["c"], "B"],
        [["d"], "C"]
      ] as const) {
        assert.deepStrictEqual(yield* server.asked(asked.length), [...asked])
        assert.strictEqual(yield* server.reader.buffered, 0)
        yield* server.answer(answered)
      }
      yield* server.answer("D")
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["A", "B", "C", "D"])
    })
  )

  it.effect("the high-water mark holds callers back, and none of them is lost", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined(
        {},
        { limit: 64, highWaterMark: 1000, fromClient: { capacity: 1000 } }
      )
      const words = Array.from({ length: 50 }, (_, i) => `${i} ${"x".repeat(200)}`)
      const calls = yield* startAll(words.map(client.call))
      yield* Effect.yieldNow
      assert.isBelow(yield* client.inFlight, 50)
      for (const word of words) {
        assert.deepStrictEqual(yield* server.asked(1), [word])
        yield* server.answer(word.toUpperCase())
      }
      assert.deepStrictEqual(
        yield* Effect.forEach(calls, Fiber.join),
        words.map((word) => word.toUpperCase())
      )
    })
  )

  it.effect("keepAlive: asked when nothing was sent for a while; without an answer the connection is given up", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({
        keepAlive: { every: "10 seconds", request: "PING", within: "1 second" }
      })
      yield* TestClock.adjust("6 seconds")
      const call = yield* start(client.call("a"))
      yield* server.asked(1)
      yield* server.answer("A")
      yield* Fiber.join(call)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* server.reader.buffered, 0)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* server.answer("PONG")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* TestClock.adjust("1 second")
      const closed = yield* client.closed
      assert.isTrue(closed._tag === "Lost" && closed.cause._tag === "StreamTimeout")
      assert.strictEqual(closed._tag === "Lost" && (closed.cause as StreamError.StreamTimeout).operation, "keepAlive")
    })
  )

  it.effect("keepAlive: what nobody takes here is no silence of the peer's", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({
        keepAlive: { every: "10 seconds", request: "PING", within: "1 second" },
        isPush: (message: string) => message.startsWith("!"),
        pushes: { overflow: "suspend", capacity: 1 }
      } as never)
      yield* server.answer("!1", "!2")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* server.answer("PONG")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* client.inFlight, 1)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(client.pushes, 2)), ["!1", "!2"])
      // it is answered by that, and nothing was sent for long: the next one is due
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* server.answer("PONG")
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* client.inFlight, 0)
      // and a silence behind that is one
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* client.closed)._tag, "Lost")
    })
  )
})

describe("keepAlive", () => {
  const keepAlive = { every: "10 seconds", request: "PING", within: "1 second" } as const

  it.effect("while somebody has the connection to himself nothing is asked, and nothing is given up for it", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ keepAlive })
      const dialogue = yield* start(client.exclusive(() => Effect.sleep("59600 millis")))
      yield* TestClock.adjust("59600 millis")
      yield* Fiber.join(dialogue)
      // its time begins when it is sent
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* TestClock.adjust("999 millis")
      yield* server.answer("PONG")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* client.inFlight, 0)
      yield* TestClock.adjust("8001 millis")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* client.closed)._tag, "Lost")
    })
  )

  it.effect("while maxInFlight is reached it waits for its turn, and is not given up for it", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ keepAlive, maxInFlight: 1 })
      const slow = yield* start(client.call("slow"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* server.asked(1), ["slow"])
      yield* server.answer("SLOW")
      assert.strictEqual(yield* Fiber.join(slow), "SLOW")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* server.answer("PONG")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect("a peer that does not answer is given up, however patient callers are", () =>
    Effect.gen(function* () {
      for (const callTimeout of ["500 millis", "1 second", "1 hour"] as const) {
        const { client, server } = yield* pipelined({ keepAlive, callTimeout })
        yield* TestClock.adjust("11 seconds")
        assert.deepStrictEqual(yield* server.asked(1), ["PING"])
        const closed = yield* client.closed
        assert.strictEqual(closed._tag === "Lost" && closed.cause._tag, "StreamTimeout", callTimeout)
      }
    })
  )

  it.effect("time in which pushes are not taken is not the peer's", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({
        keepAlive,
        isPush: (message: string) => message.startsWith("!"),
        pushes: { overflow: "suspend", capacity: 1 }
      })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* server.asked(1), ["PING"])
      yield* TestClock.adjust("100 millis")
      yield* server.answer("!1", "!2")
      yield* TestClock.adjust("890 millis")
      yield* Stream.runCollect(Stream.take(client.pushes, 2))
      yield* TestClock.adjust("899 millis")
      yield* server.answer("PONG")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* client.inFlight, 0)
    })
  )

  it.effect("while it is being closed nothing is asked, and nobody tries over and over", () =>
    Effect.gen(function* () {
      const busy = new Counting()
      const { client, server } = yield* Effect.provideService(
        pipelined({ keepAlive, drainTimeout: "1 minute" }),
        Scheduler.Scheduler,
        busy
      )
      const call = yield* start(client.call("a"))
      const close = yield* start(client.close)
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(waits(close))
      assert.isBelow(busy.steps, 1000)
      assert.deepStrictEqual(yield* server.asked(1), ["a"])
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* Fiber.join(close), { _tag: "Closed" })
      assert.strictEqual((yield* server.reader.read(10)).length, 0)
    })
  )

  it.effect("a request that cannot be written is tried once, and ends the exchange", () =>
    Effect.gen(function* () {
      let tried = 0
      const counted = Frame.transform(line, {
        decode: (text) => text,
        encode: (text: string) => {
          tried++
          return text
        }
      })
      const { client } = yield* pipelined({ request: counted, keepAlive: { ...keepAlive, request: "two\nlines" } })
      yield* TestClock.adjust("10 seconds")
      const closed = yield* client.closed
      assert.strictEqual(tried, 1)
      assert.isTrue(closed._tag === "Lost" && closed.cause._tag === "ConnectionLost")
      const { cause } = closed._tag === "Lost" ? closed.cause : {}
      assert.strictEqual((cause as StreamError.EncodeFailed)._tag, "EncodeFailed")
    })
  )
})

describe("cancel", () => {
  it.effect("is told of a request in flight whose caller is gone, once, and of no other", () =>
    Effect.gen(function* () {
      const cancelled: Array<string> = []
      const { client, server } = yield* pipelined({
        maxInFlight: 2,
        cancel: (request) => Effect.sync(() => cancelled.push(request))
      })
      const calls = yield* startAll(["a", "b", "c"].map(client.call))
      yield* Fiber.interrupt(calls[1]!)
      yield* Fiber.interrupt(calls[2]!)
      yield* server.asked(2)
      assert.deepStrictEqual(cancelled, ["b"])
      yield* server.answer("A", "B")
      assert.strictEqual(yield* Fiber.join(calls[0]!), "A")
      assert.deepStrictEqual(cancelled, ["b"])
    })
  )

  it.effect("one that throws ends the exchange, and not the process", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({
        cancel: () => {
          throw new Error("cannot")
        }
      })
      const [mine, yours] = yield* startAll(["mine", "yours"].map(client.call))
      yield* server.asked(2)
      yield* Fiber.interrupt(mine!)
      const { cause } = yield* lostOf(yours!)
      assert.deepInclude({ ...cause }, { _tag: "ConnectionLost", operation: "cancel", kind: "Unknown" })
    })
  )

  it.effect("one that dies ends the exchange; one that does not end does, with the exchange", () =>
    Effect.gen(function* () {
      const dying = yield* pipelined({ cancel: () => Effect.die("cannot") })
      const [mine, yours] = yield* startAll(["mine", "yours"].map(dying.client.call))
      yield* dying.server.asked(2)
      yield* Fiber.interrupt(mine!)
      assert.deepInclude({ ...(yield* lostOf(yours!)).cause }, { _tag: "ConnectionLost", operation: "cancel" })

      let cancelling = 0
      const count = (by: number) => Effect.sync(() => (cancelling += by))
      const { client, server } = yield* pipelined({
        cancel: () => Effect.ensuring(Effect.andThen(count(1), Effect.never), count(-1))
      })
      const call = yield* start(client.call("a"))
      yield* server.asked(1)
      yield* Fiber.interrupt(call)
      while (cancelling === 0) yield* Effect.yieldNow
      yield* server.answer("A")
      assert.deepStrictEqual(yield* client.close, { _tag: "Closed" })
      while (cancelling > 0) yield* Effect.yieldNow
    })
  )
})

describe("a connection of somebody else's", () => {
  it.effect("whose reads are interrupted by nobody here is lost, and not read over and over", () =>
    Effect.gen(function* () {
      const { left } = yield* TestNetwork.pair()
      let reads = 0
      const interrupted = () => {
        reads++
        return Effect.interrupt
      }
      const reader = Object.assign(Object.create(left.reader), { readFrame: interrupted, peek: interrupted })
      const connection = Object.create(left, { reader: { value: reader } })
      const client = yield* Exchange.makePipelined(connection, { request: line, response: line })
      const closed = yield* client.closed
      assert.deepInclude({ ...(closed._tag === "Lost" && closed.cause) }, { _tag: "ConnectionLost", kind: "Unknown" })
      assert.strictEqual(reads, 1)
    }).pipe(Effect.scoped)
  )
})

describe("close", () => {
  it.effect("takes no more calls, lets those in flight finish, and closes the connection", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined()
      const call = yield* start(client.call("a"))
      const close = yield* start(client.close)
      assert.deepInclude({ ...(yield* Effect.flip(client.call("b"))) }, { _tag: "RequestLost", sent: "No" })
      yield* server.asked(1)
      assert.isTrue(waits(close))
      yield* server.answer("A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* Fiber.join(close), { _tag: "Closed" })
      assert.deepStrictEqual(yield* client.close, { _tag: "Closed" })
      assert.strictEqual((yield* server.reader.read(10)).length, 0)
    })
  )

  it.effect("goes on when waiting for it is interrupted, and ends after drainTimeout whatever the peer does", () =>
    Effect.gen(function* () {
      const { client, server } = yield* pipelined({ drainTimeout: "5 seconds" })
      const call = yield* start(client.call("a"))
      const close = yield* start(client.close)
      yield* Fiber.interrupt(close)
      yield* server.asked(1)
      yield* TestClock.adjust("5 seconds")
      const { cause, sent } = yield* lostOf(call)
      assert.deepStrictEqual([sent, cause._tag], ["Maybe", "StreamTimeout"])
      assert.strictEqual((yield* client.closed)._tag, "Lost")
    })
  )

  it.effect("a scope that ends in good order closes it, another one resets it", () =>
    Effect.gen(function* () {
      for (const exit of [Exit.void, Exit.fail("no")]) {
        let call!: Fiber.Fiber<string, Exchange.CallError>
        let answered = false
        yield* Effect.exit(
          Effect.scoped(
            Effect.gen(function* () {
              const { client, server } = yield* pipelined()
              call = yield* Effect.forkDetach(client.call("a"), { startImmediately: true })
              yield* Effect.forkDetach(
                Effect.andThen(
                  server.asked(1),
                  Effect.suspend(() => {
                    answered = true
                    return server.answer("A")
                  })
                )
              )
              yield* exit
            })
          )
        )
        const answer = yield* Effect.exit(Fiber.join(call))
        assert.strictEqual(Exit.isSuccess(answer), Exit.isSuccess(exit))
        assert.strictEqual(answered, Exit.isSuccess(exit))
      }
    })
  )
})

describe("wrong arguments", () => {
  it.effect("die with what is wrong", () =>
    Effect.gen(function* () {
      for (const [options, message] of [
        [{ maxInFlight: 0 }, /maxInFlight/],
        [{ request: 7 }, /expected a Frame/],
        [{ response: 7 }, /expected a Frame/],
        [{ answers: 7 }, /answers/],
        [{ isLast: 7 }, /isLast/],
        [{ callTimeout: -1 }, /callTimeout/],
        [{ stallTimeout: "x" }, /stallTimeout/],
        [{ drainTimeout: {} }, /drainTimeout/],
        [{ keepAlive: { every: 0, request: "", within: 1 } }, /keepAlive.every/],
        [{ cancel: 7 }, /cancel/],
        [{ isPush: () => true, pushes: { overflow: "fail" } }, /pushes.overflow/],
        [{ isPush: () => true, pushes: { overflow: "suspend", capacity: 0 } }, /pushes.capacity/]
      ] as const) {
        const death = yield* Effect.exit(pipelined(options as never))
        assert.match(String(death), message, JSON.stringify(options))
      }
      const { client } = yield* pipelined({ answers: () => -1 })
      assert.match(yield* deathOf(client.call("a")), /answers/)
    })
  )
})
