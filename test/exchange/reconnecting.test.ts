/** One exchange over connections that come and go. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange, StreamError } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Deferred, Effect, Exit, Fiber, Queue, Schedule, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { line } from "../support/exchanges.ts"
import { deathOf } from "../support/exits.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { ActsBefore, Restless } from "../support/yieldingSchedulers.ts"

type Client = Exchange.Exchange<string, string>

/** A server that can be down: each connection that is opened is for the test to answer. */
const setUp = <E = never>(
  options?: Partial<Exchange.ReconnectingOptions<string, string, E>> & { readonly down?: boolean }
) =>
  Effect.gen(function* () {
    const connections = yield* Queue.unbounded<TestNetwork.Pair["right"]>()
    const state = { down: options?.down === true, opened: 0 }
    const refused = new StreamError.ConnectFailed({ target: "server", kind: "Refused", attempts: [] })
    const open = Effect.suspend(() => {
      state.opened++
      return state.down
        ? Effect.fail(refused)
        : Effect.flatMap(TestNetwork.pair(), ({ left, right }) => {
            Queue.offerUnsafe(connections, right)
            return Exchange.makePipelined<string, string>(left, {
              request: line,
              response: line,
              isPush: (message) => message.startsWith("!"),
              pushes: { overflow: "suspend" }
            })
          })
    })
    const make = Exchange.makeReconnecting(open, {
      schedule: Schedule.spaced("1 second"),
      whileDown: "wait",
      ...options
    } as Exchange.ReconnectingOptions<string, string, E>)
    return { make, state, next: Queue.take(connections) }
  })

const asked = (connection: TestNetwork.Pair["right"]) => Effect.orDie(connection.reader.readFrame(line))
const answer = (connection: TestNetwork.Pair["right"], ...lines: ReadonlyArray<string>) =>
  Effect.orDie(Effect.andThen(connection.writer.writeFrames(line, lines), connection.writer.flush))

describe("reconnecting", () => {
  it.effect("what may have been sent is never sent again; what was not goes to the next connection", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp()
      const client = yield* make
      const first = yield* next
      const call = yield* start(client.call("INCR"))
      assert.strictEqual(yield* asked(first), "INCR")
      yield* first.abort
      const error = yield* Effect.flip(Fiber.join(call))
      assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "Maybe" })
      const other = yield* start(client.call("GET"))
      yield* TestClock.adjust("1 second")
      const second = yield* next
      assert.strictEqual(yield* asked(second), "GET")
      assert.strictEqual(yield* second.reader.buffered, 0)
      yield* answer(second, "1")
      assert.strictEqual(yield* Fiber.join(other), "1")
    })
  )

  it.effect(
    "of a connection that has answered as well, what was not sent goes to the next one, and what was does not",
    () =>
      Effect.gen(function* () {
        const { make, next } = yield* setUp()
        const client = yield* make
        const first = yield* next
        const warm = yield* start(client.call("a"))
        assert.strictEqual(yield* asked(first), "a")
        yield* answer(first, "A")
        assert.strictEqual(yield* Fiber.join(warm), "A")
        // it holds up what comes behind it
        const dialogue = yield* start(client.exclusive((reader) => reader.readFrame(line)))
        const waiting = yield* startAll([client.call("b"), client.call("c")])
        yield* first.abort
        assert.deepInclude({ ...(yield* Effect.flip(Fiber.join(dialogue))) }, { _tag: "ConnectionLost" })
        yield* TestClock.adjust("1 second")
        const second = yield* next
        assert.deepStrictEqual([yield* asked(second), yield* asked(second)], ["b", "c"])
        yield* answer(second, "B")
        assert.strictEqual(yield* Fiber.join(waiting[0]!), "B")
        yield* second.abort
        const error = yield* Effect.flip(Fiber.join(waiting[1]!))
        assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "Maybe" })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* (yield* next).reader.buffered, 0)
      })
  )

  it.effect("onConnect is done before callers ask, on each connection", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp({ onConnect: (exchange) => Effect.orDie(exchange.call("LOGIN")) })
      const making = yield* start(make)
      const first = yield* next
      assert.strictEqual(yield* asked(first), "LOGIN")
      assert.isTrue(waits(making))
      yield* answer(first, "OK")
      const client = yield* Fiber.join(making)
      yield* first.abort
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      const call = yield* start(client.call("GET"))
      yield* TestClock.adjust("1 second")
      const second = yield* next
      assert.strictEqual(yield* asked(second), "LOGIN")
      assert.strictEqual(yield* second.reader.buffered, 0)
      yield* answer(second, "OK")
      assert.strictEqual(yield* asked(second), "GET")
      yield* answer(second, "x")
      assert.strictEqual(yield* Fiber.join(call), "x")
    })
  )

  it.effect("an onConnect that fails drops the connection, and is tried again by the schedule", () =>
    Effect.gen(function* () {
      let attempts = 0
      const { make, state } = yield* setUp({
        onConnect: () => (++attempts < 3 ? Effect.fail("no") : Effect.void) as Effect.Effect<void, never>
      })
      const making = yield* start(make)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(making)
      assert.deepStrictEqual([attempts, state.opened], [3, 3])
    })
  )

  it.effect("while down: callers wait, in order, as many and as long as may; or fail at once", () =>
    Effect.gen(function* () {
      const { make, next, state } = yield* setUp({ maxWaiting: 2, waitTimeout: "10 seconds" })
      const client = yield* make
      state.down = true
      yield* (yield* next).abort
      yield* client.inFlight
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      const calls = yield* startAll(["a", "b"].map(client.call))
      const third = yield* Effect.flip(client.call("c"))
      assert.deepInclude({ ...third }, { _tag: "RequestLost", sent: "No" })
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(calls.every(waits))
      state.down = false
      yield* TestClock.adjust("1 second")
      const second = yield* next
      assert.deepStrictEqual([yield* asked(second), yield* asked(second)], ["a", "b"])
      yield* answer(second, "A", "B")
      assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), ["A", "B"])
      state.down = true
      yield* second.abort
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      const late = yield* start(client.call("late"))
      yield* TestClock.adjust("10 seconds")
      const error = yield* Effect.flip(Fiber.join(late))
      assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "No" })
      assert.strictEqual(error._tag === "RequestLost" && error.cause._tag, "ConnectFailed")

      const failing = yield* setUp({ whileDown: "fail" })
      const other = yield* failing.make
      failing.state.down = true
      yield* (yield* failing.next).abort
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      assert.deepInclude({ ...(yield* Effect.flip(other.call("a"))) }, { _tag: "RequestLost", sent: "No" })
    })
  )

  it.effect("fails as the last attempt did, where the schedule ends before there was a connection", () =>
    Effect.gen(function* () {
      const { make, state } = yield* setUp({ down: true, schedule: Schedule.recurs(2) })
      const error = yield* Effect.flip(make)
      assert.deepStrictEqual([error._tag, state.opened], ["ConnectFailed", 3])
    })
  )

  it.effect("ends with the schedule; a connection that answered something begins it anew, another does not", () =>
    Effect.gen(function* () {
      const { make, next, state } = yield* setUp({ schedule: Schedule.recurs(2) })
      const client = yield* make
      for (let i = 0; i < 5; i++) {
        const connection = yield* next
        const call = yield* start(client.call("a"))
        yield* asked(connection)
        yield* answer(connection, "A")
        yield* Fiber.join(call)
        yield* connection.abort
      }
      // accepted, and dropped at once
      for (let i = 0; i < 2; i++) yield* (yield* next).abort
      const closed = yield* client.closed
      assert.strictEqual(closed._tag, "Lost")
      assert.strictEqual(state.opened, 7)
      assert.deepInclude({ ...(yield* Effect.flip(client.call("a"))) }, { _tag: "RequestLost", sent: "No" })
    })
  )

  it.effect("pushes go on across connections, and what the last one brought comes first", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp({ schedule: Schedule.forever })
      const client = yield* make
      const first = yield* next
      yield* answer(first, "!1", "!2")
      const pushes = yield* start(Stream.runCollect(Stream.take(client.pushes, 3)))
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      yield* first.abort
      yield* answer(yield* next, "!3")
      assert.deepStrictEqual(yield* Fiber.join(pushes), ["!1", "!2", "!3"])
    })
  )

  it.effect("streams: one of which nothing was sent goes to the next connection, another fails", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp({ schedule: Schedule.forever })
      const client = yield* make
      const first = yield* next
      const pull = yield* start(Stream.runCollect(client.stream("rows")))
      yield* asked(first)
      yield* first.abort
      assert.deepInclude({ ...(yield* Effect.flip(Fiber.join(pull))) }, { _tag: "RequestLost", sent: "Maybe" })
      const again = yield* start(Stream.runCollect(client.stream("rows")))
      const second = yield* next
      yield* asked(second)
      yield* answer(second, "1")
      assert.deepStrictEqual(yield* Fiber.join(again), ["1"])
    })
  )

  it.effect("close and release end it; so does its scope, also while it connects", () =>
    Effect.gen(function* () {
      const { make, next, state } = yield* setUp()
      const client = yield* make
      const server = yield* next
      const call = yield* start(client.call("a"))
      const closing = yield* start(client.close)
      yield* asked(server)
      yield* answer(server, "A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* Fiber.join(closing), { _tag: "Closed" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(state.opened, 1)
      const late = yield* Effect.flip(client.call("b"))
      assert.strictEqual(late._tag === "RequestLost" && late.cause._tag, "ClosedStream")

      const released = yield* setUp()
      const other = yield* released.make
      const connection = yield* other.release
      yield* connection.writer.write("raw\n")
      assert.strictEqual(yield* asked(yield* released.next), "raw")
      assert.deepStrictEqual(yield* other.closed, { _tag: "Released" })

      const ended = yield* Deferred.make<void>()
      const down = yield* setUp({ down: true, onConnect: () => Effect.never })
      const making = yield* start(Effect.ensuring(Effect.scoped(down.make), Deferred.succeed(ended, undefined)))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.interrupt(making)
      yield* Deferred.await(ended)
      const { opened } = down.state
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(down.state.opened, opened)
    })
  )

  it.effect("close ends it also where the answers in flight do not come", () =>
    Effect.gen(function* () {
      const { make, next, state } = yield* setUp()
      const client = yield* make
      const server = yield* next
      const call = yield* start(client.call("a"))
      yield* asked(server)
      const closing = yield* start(client.close)
      yield* TestClock.adjust("1 minute")
      assert.deepInclude({ ...(yield* Effect.flip(Fiber.join(call))) }, { _tag: "RequestLost", sent: "Maybe" })
      assert.isFalse(waits(closing))
      assert.strictEqual((yield* client.closed)._tag, "Lost")
      assert.strictEqual(state.opened, 1)
    })
  )

  it.effect("a scope that ends in good order lets those in flight finish, another one resets the connection", () =>
    Effect.gen(function* () {
      for (const exit of [Exit.void, Exit.die("wrong")]) {
        const { make, next, state } = yield* setUp()
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(make, scope)
        const server = yield* next
        const call = yield* start(client.call("a"))
        yield* asked(server)
        const closing = yield* start(Scope.close(scope, exit))
        assert.strictEqual(waits(call), Exit.isSuccess(exit))
        if (Exit.isSuccess(exit)) yield* answer(server, "!1", "A")
        yield* Fiber.join(closing)
        assert.strictEqual((yield* client.closed)._tag, Exit.isSuccess(exit) ? "Closed" : "Lost")
        assert.deepStrictEqual(yield* Stream.runCollect(Stream.orElseSucceed(client.pushes, () => "lost")), [
          Exit.isSuccess(exit) ? "!1" : "lost"
        ])
        yield* Effect.exit(Fiber.join(call))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(state.opened, 1)
      }
    })
  )

  it.effect("calls while it is being closed or released fail at once", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp()
      const client = yield* make
      const server = yield* next
      yield* start(client.call("a"))
      yield* asked(server)
      const releasing = yield* start(client.release)
      assert.deepInclude({ ...(yield* Effect.flip(client.call("b"))) }, { _tag: "RequestLost", sent: "No" })
      yield* Fiber.interrupt(releasing)
      const taken = yield* start(client.call("c"))
      assert.strictEqual(yield* asked(server), "c")
      yield* start(client.close)
      const late = yield* start(client.call("d"))
      assert.isFalse(waits(late))
      assert.deepInclude({ ...(yield* Effect.flip(Fiber.join(late))) }, { _tag: "RequestLost", sent: "No" })
      yield* answer(server, "A", "C")
      assert.strictEqual(yield* Fiber.join(taken), "C")
      assert.deepStrictEqual(yield* client.closed, { _tag: "Closed" })
    })
  )

  it.effect("closed while it connects: what was being connected to is dropped, and nobody is served by it", () =>
    Effect.gen(function* () {
      let logins = 0
      const { make, next, state } = yield* setUp({
        // the second never ends
        onConnect: () => (++logins === 2 ? Effect.never : Effect.void)
      })
      const client = yield* make
      yield* (yield* next).abort
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      const waiting = yield* start(client.call("a"))
      yield* TestClock.adjust("1 second")
      const second = yield* next
      assert.deepStrictEqual(yield* client.close, { _tag: "Closed" })
      assert.isFalse(waits(waiting))
      assert.deepInclude({ ...(yield* Effect.flip(Fiber.join(waiting))) }, { _tag: "RequestLost", sent: "No" })
      yield* second.closed
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(state.opened, 2)
    })
  )

  for (const [what, closeIt] of [
    ["closed", (client: Client) => client.close],
    ["its scope closed", (_: Client, scope: Scope.Closeable) => Scope.close(scope, Exit.void)]
  ] as const) {
    it.live(`${what} at any step at which there is another connection, it ends`, () =>
      Effect.gen(function* () {
        let steps = 0
        for (let reached = true; reached; steps++) {
          const scheduler = new ActsBefore(steps + 1)
          const trial = Effect.gen(function* () {
            const { make, next } = yield* setUp({ schedule: Schedule.forever })
            const scope = yield* Scope.make()
            const client = yield* Scope.provide(make, scope)
            const first = yield* next
            let closing: Fiber.Fiber<unknown> | undefined
            scheduler.watch(() => (closing = Effect.runFork(closeIt(client, scope))))
            yield* first.abort
            yield* Effect.raceFirst(next, client.closed)
            yield* Effect.replicateEffect(Effect.yieldNow, 10)
            if (closing === undefined) return yield* Effect.as(Scope.close(scope, Exit.void), false)
            yield* Fiber.join(closing)
            yield* client.closed
            assert.instanceOf(yield* Effect.flip(client.call("a")), StreamError.RequestLost)
            return true
          })
          reached = yield* Effect.scoped(trial).pipe(
            Effect.provideService(Scheduler.Scheduler, scheduler),
            Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.die(`step ${steps + 1}`) })
          )
        }
        assert.isAbove(steps, 100)
      })
    )
  }

  it.effect("closed while nobody takes the pushes: those that were read are there, and then the end", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp({ pushes: { overflow: "suspend", capacity: 1 } })
      const client = yield* make
      const server = yield* next
      const call = yield* start(client.call("a"))
      yield* asked(server)
      yield* answer(server, "!1", "!2", "!3", "!4", "A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      assert.deepStrictEqual(yield* client.close, { _tag: "Closed" })
      assert.deepStrictEqual(yield* Stream.runCollect(client.pushes), ["!1", "!2", "!3", "!4"])
    })
  )

  it.effect("closed while a new connection waits for pushes to be taken", () =>
    Effect.gen(function* () {
      const { make, next, state } = yield* setUp({ pushes: { overflow: "suspend", capacity: 1 } })
      const client = yield* make
      const server = yield* next
      const call = yield* start(client.call("a"))
      yield* asked(server)
      yield* answer(server, "!1", "!2", "A")
      assert.strictEqual(yield* Fiber.join(call), "A")
      yield* server.abort
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(state.opened, 1)
      assert.deepStrictEqual(yield* client.close, { _tag: "Closed" })
      assert.deepStrictEqual(yield* Stream.runCollect(client.pushes), ["!1", "!2"])
    })
  )

  it.effect("collect waits for the next connection where nothing of it was sent, and fails where something was", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp()
      const client = yield* make
      const first = yield* next
      const sent = yield* start(client.collect("a"))
      yield* asked(first)
      yield* first.abort
      const error = yield* Effect.flip(Fiber.join(sent))
      assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "Maybe" })
      const waiting = yield* start(client.collect("b"))
      yield* TestClock.adjust("1 minute")
      const second = yield* next
      assert.strictEqual(yield* asked(second), "b")
      yield* answer(second, "B")
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["B"])
    })
  )

  it.effect("what has no answer does not begin the schedule anew", () =>
    Effect.gen(function* () {
      const { make, next, state } = yield* setUp({ schedule: Schedule.recurs(2) })
      const client = yield* make
      for (let i = 0; i < 3; i++) {
        const connection = yield* next
        yield* client.send("a")
        assert.deepStrictEqual(yield* client.callAll([]), [])
        yield* asked(connection)
        yield* connection.abort
      }
      assert.strictEqual((yield* client.closed)._tag, "Lost")
      assert.strictEqual(state.opened, 3)
    })
  )

  it.effect("exclusive: one whose turn has not come has it on the next connection, another fails", () =>
    Effect.gen(function* () {
      const { make, next } = yield* setUp({ schedule: Schedule.forever })
      const client = yield* make
      const first = yield* next
      yield* start(client.call("a"))
      yield* asked(first)
      let begun = 0
      const dialogue = yield* start(
        client.exclusive((reader, writer) => {
          begun++
          return Effect.andThen(writer.writeFrame(line, "raw"), reader.readFrame(line))
        })
      )
      yield* first.abort
      const second = yield* next
      assert.strictEqual(yield* asked(second), "raw")
      yield* answer(second, "RAW")
      assert.strictEqual(yield* Fiber.join(dialogue), "RAW")
      const broken = yield* start(
        client.exclusive((reader) => {
          begun++
          return reader.readFrame(line)
        })
      )
      yield* second.abort
      assert.include(["ConnectionLost", "IncompleteRead"], (yield* Effect.flip(Fiber.join(broken)))._tag)
      yield* next
      assert.strictEqual(begun, 2)
    })
  )

  it.effect("waitTimeout bounds all that a caller waits, where connections come and go and none serves him", () =>
    Effect.gen(function* () {
      const { make, state } = yield* setUp({ waitTimeout: "10 seconds", schedule: Schedule.spaced("1 second") })
      const cause = new StreamError.ClosedStream({ operation: "call", reason: "Closed" })
      const unsent = new StreamError.RequestLost({ sent: "No", cause })
      // each is lost half a second after it was opened, and sends nothing
      const flapping = yield* Exchange.makeReconnecting(
        Effect.map(make, (exchange): Exchange.Exchange<string, string> => {
          const closed = Effect.as(Effect.sleep("500 millis"), { _tag: "Lost", cause } as const)
          return {
            call: () => Effect.fail(unsent),
            callAll: () => Effect.fail(unsent),
            collect: () => Effect.fail(unsent),
            send: () => Effect.fail(unsent),
            stream: () => Stream.fail(unsent),
            exclusive: () => Effect.fail(unsent),
            release: Effect.fail(unsent),
            pushes: Stream.empty,
            inFlight: exchange.inFlight,
            closed,
            close: closed
          }
        }),
        { schedule: Schedule.spaced("1 second"), whileDown: "wait", waitTimeout: "10 seconds" }
      )
      const calls = yield* startAll([
        flapping.call("a"),
        flapping.send("a"),
        Stream.runCollect(flapping.stream("a")),
        flapping.exclusive(() => Effect.void)
      ] as ReadonlyArray<Effect.Effect<unknown, unknown>>)
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(calls.every(waits))
      assert.isAbove(state.opened, 4)
      yield* TestClock.adjust("2 seconds")
      for (const call of calls) {
        assert.isFalse(waits(call))
        assert.deepInclude(yield* Effect.flip(Fiber.join(call)), { _tag: "RequestLost", sent: "No" })
      }
    })
  )

  it.live("no more callers wait than may, whoever runs in between", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < 30; seed++) {
        const trial = Effect.gen(function* () {
          const { make, next, state } = yield* setUp({ maxWaiting: 2 })
          const client = yield* make
          state.down = true
          yield* (yield* next).abort
          yield* Effect.replicateEffect(Effect.yieldNow, 30)
          const calls = yield* Effect.replicateEffect(Effect.forkScoped(client.call("a")), 5)
          yield* Effect.replicateEffect(Effect.yieldNow, 100)
          assert.strictEqual(calls.filter(waits).length, 2, `seed ${seed}`)
        })
        yield* Effect.provideService(Effect.scoped(trial), Scheduler.Scheduler, new Restless(seed))
      }
    })
  )

  describe("interrupted at any step", () => {
    const atEachStep = <E>(trial: (step: number) => Effect.Effect<void, E, Scope.Scope>) =>
      Effect.forEach(
        Array.from({ length: 40 }, (_, i) => i + 1),
        (step) => Effect.scoped(trial(step)),
        { discard: true }
      )
    const rest = Effect.replicateEffect(Effect.yieldNow, 20)

    it.live("a release is taken back, and calls are taken again", () =>
      atEachStep((step) =>
        Effect.gen(function* () {
          const { make, next } = yield* setUp()
          const client = yield* make
          const side = yield* next
          const call = yield* start(client.call("a"))
          const release = yield* start(interruptBefore(step, client.release))
          yield* rest
          yield* Fiber.interrupt(release)
          yield* answer(side, "A")
          assert.strictEqual(yield* Fiber.join(call), "A")
          const later = yield* start(client.call("b"))
          yield* answer(side, "B")
          assert.strictEqual(yield* Fiber.join(later), "B", `step ${step}`)
        })
      )
    )

    it.live("who waited for a connection has left his place to another", () =>
      atEachStep((step) =>
        Effect.gen(function* () {
          const { make, next, state } = yield* setUp({ maxWaiting: 1 })
          const client = yield* make
          state.down = true
          yield* (yield* next).abort
          yield* rest
          const call = yield* start(interruptBefore(step, client.call("a")))
          yield* rest
          yield* Fiber.interrupt(call)
          const other = yield* start(client.call("b"))
          yield* rest
          assert.isTrue(waits(other), `step ${step}`)
        })
      )
    )

    it.live("a close that has begun goes on", () =>
      atEachStep((step) =>
        Effect.gen(function* () {
          const { make, next } = yield* setUp()
          const client = yield* make
          const side = yield* next
          const close = yield* start(interruptBefore(step, client.close))
          yield* rest
          yield* Fiber.interrupt(close)
          const call = yield* start(client.call("a"))
          yield* rest
          // refused, or taken
          if (!waits(call)) assert.deepStrictEqual(yield* client.closed, { _tag: "Closed" }, `step ${step}`)
          else {
            yield* answer(side, "A")
            assert.strictEqual(yield* Fiber.join(call), "A", `step ${step}`)
          }
        })
      )
    )
  })

  it.effect("wrong arguments die", () =>
    Effect.gen(function* () {
      for (const [options, message] of [
        [{ whileDown: "maybe" }, /whileDown/],
        [{ maxWaiting: -1 }, /maxWaiting/],
        [{ waitTimeout: "x" }, /waitTimeout/],
        [{ onConnect: 7 }, /onConnect/],
        [{ schedule: 7 }, /schedule/]
      ] as const) {
        const { make } = yield* setUp(options as never)
        assert.match(yield* deathOf(make), message)
      }
    })
  )
})
