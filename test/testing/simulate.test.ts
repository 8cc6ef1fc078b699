/** simulate: time that passes by itself, the whole story of a failure, programs that are stuck; and that a run can be repeated. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Data, Effect, Exit, Fiber, Random } from "effect"
import { Network, openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { lazily } from "../../src/internal/base/lazily.ts"
import { text } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"

class Oops extends Data.TaggedError("Oops")<{ readonly message: string }> {}

/** Several clients, and a server that thinks for a while: much that could happen in another order. */
const conversation = Effect.gen(function* () {
  const server = yield* startServer({ port: 0 }, ({ reader, writer }) =>
    Effect.gen(function* () {
      for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
        yield* Effect.sleep(line.length)
        yield* writer.write(line)
      }
    })
  )
  const client = (name: number) =>
    Effect.gen(function* () {
      const { reader, writer } = yield* openConnection({ port: server.port })
      for (let i = 0; i < 5; i++) {
        yield* writer.write(`${"x".repeat(name * 10 + i)}\n`)
        yield* Effect.sleep(name)
        yield* reader.readLine
      }
    })
  yield* Effect.all([1, 2, 3, 4, 5].map(client), { concurrency: "unbounded" })
  return yield* TestNetwork.timeline
})

const rough: TestNetwork.Options = {
  fromClient: { chunking: "random", latency: 3, bandwidth: 10_000, capacity: 20 },
  fromServer: { chunking: { random: { most: 5 } }, latency: 2 }
}

describe("time", () => {
  it.live("does not pass while a module is loaded that a program needs for the first time", () =>
    Effect.gen(function* () {
      const module = lazily(() => new Promise((resolve) => setTimeout(() => resolve({ loaded: true }), 30)))
      const times = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          yield* start(Effect.forever(Effect.sleep("1 second")))
          const times: Array<unknown> = []
          for (let i = 0; i < 2; i++) times.push(yield* module, yield* Clock.currentTimeMillis)
          return times
        })
      )
      assert.deepStrictEqual(times, [{ loaded: true }, 0, { loaded: true }, 0])
    })
  )

  it.effect("passes when there is nothing else to do, and only then", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const took = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          const at = (name: string) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sync(() => order.push(`${name} ${now}`)))
          const slow = yield* start(Effect.andThen(Effect.sleep("1 day"), at("day")))
          const fast = yield* start(Effect.andThen(Effect.sleep("1 hour"), at("hour")))
          // work that passes from fiber to fiber takes no time
          for (let i = 0; i < 100; i++) yield* Effect.forkChild(Effect.yieldNow).pipe(Effect.flatMap(Fiber.join))
          yield* Effect.promise(() => Promise.resolve())
          yield* at("work")
          yield* Fiber.join(fast)
          yield* Fiber.join(slow)
          yield* Effect.timeoutOption(Effect.never, "1 hour")
          return yield* Clock.currentTimeMillis
        })
      )
      assert.deepStrictEqual(order, ["work 0", "hour 3600000", "day 86400000"])
      assert.strictEqual(took, 90_000_000)
    })
  )

  it.effect("sleeps that end together end in the order in which they began", () =>
    Effect.gen(function* () {
      const order: Array<number> = []
      yield* TestNetwork.simulate(
        Effect.all(
          [1, 2, 3, 4].map((n) =>
            Effect.andThen(
              Effect.sleep("1 second"),
              Effect.sync(() => order.push(n))
            )
          ),
          { concurrency: "unbounded" }
        )
      )
      assert.deepStrictEqual(order, [1, 2, 3, 4])
    })
  )

  it.effect("the program's own timeouts, and those of its connections, are part of it", () =>
    Effect.gen(function* () {
      const error = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0, gracePeriod: "1 hour" }, () => Effect.never)
          const { reader } = yield* openConnection({ port: server.port, timeouts: { idle: "10 minutes" } })
          return yield* Effect.flip(reader.readLine)
        })
      )
      assert.strictEqual(error._tag, "StreamTimeout")
    })
  )
})

describe("a failure", () => {
  const failing = Effect.gen(function* () {
    const server = yield* startServer({ port: 0 }, ({ writer }) => writer.write("hello, world\n"))
    const { reader } = yield* openConnection({ port: server.port })
    return text(yield* reader.readExactly(13))
  })

  it.effect("tells the error, the seed, the faults and what crossed the wire", () =>
    Effect.gen(function* () {
      const options = { seed: 42, faults: [Faults.fin({ from: "server", after: 5 })] }
      const error = yield* Effect.flip(TestNetwork.simulate(failing, options))
      assert.strictEqual(error._tag, "RunFailed")
      assert.strictEqual(error.seed, 42)
      assert.strictEqual((error.cause as { readonly _tag?: string })._tag, "IncompleteRead")
      assert.deepStrictEqual(error.message.split("\n"), [
        "IncompleteRead: readExactly: the stream ended after 5 of 13 bytes",
        "",
        "seed 42",
        "#1: end after 5 B from the server",
        "        ms",
        "     0.000  #1 client → connect: 127.0.0.1:40000",
        "     0.000  #1 server → accept",
        '     0.000  #1 server → 5 B at 0  "hello"',
        "     0.000  #1 server → FIN (by fault)"
      ])
    })
  )

  it.effect("is the program's own, or its defect", () =>
    Effect.gen(function* () {
      const own = yield* Effect.flip(TestNetwork.simulate(Effect.fail(new Oops({ message: "sorry" }))))
      assert.include(own.message, "Oops: sorry")
      assert.include(own.message, "nothing crossed the wire")
      const defect = yield* Effect.flip(TestNetwork.simulate(Effect.die(new TypeError("broken"))))
      assert.include(defect.message, "TypeError: broken")
    })
  )

  it.effect("explain does the same to a program that brings its own network", () =>
    Effect.gen(function* () {
      const error = yield* failing.pipe(
        Effect.scoped,
        TestNetwork.explain,
        Effect.provide(TestNetwork.layerWith({ faults: [Faults.refuse()] })),
        Effect.flip
      )
      assert.strictEqual(error._tag, "RunFailed")
      assert.include(error.message, "ConnectFailed: cannot connect to localhost:40000: Refused")
      assert.include(error.message, "#1: refused")
    })
  )

  it.effect("explain leaves success and interruption alone", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.provide(TestNetwork.explain(Effect.succeed(1)), TestNetwork.layer), 1)
      const fiber = yield* start(Effect.provide(TestNetwork.explain(Effect.never), TestNetwork.layer))
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.hasInterrupts(exit))
    })
  )

  it.effect("a program in which everybody waits fails, instead of hanging", () =>
    Effect.gen(function* () {
      let finalized = false
      const error = yield* Effect.flip(
        TestNetwork.simulate(
          Effect.gen(function* () {
            yield* Effect.addFinalizer(() => Effect.sync(() => (finalized = true)))
            const server = yield* startServer({ port: 0 }, ({ reader }) => reader.readLine)
            const { reader } = yield* openConnection({ port: server.port })
            yield* reader.readLine
          })
        )
      )
      assert.include(error.message, "every fiber waits")
      assert.include(error.message, "#1 server → accept")
      assert.isTrue(finalized)
    })
  )

  it.effect("also one whose finalizers wait for ever", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestNetwork.simulate(Effect.uninterruptible(Effect.never)))
      assert.include(error.message, "every fiber waits")
    })
  )

  it.effect("a loop of sleeps of length zero fails, instead of hanging, and says so", () =>
    Effect.gen(function* () {
      let finalized = false
      const error = yield* Effect.flip(
        TestNetwork.simulate(
          Effect.gen(function* () {
            yield* Effect.addFinalizer(() => Effect.sync(() => (finalized = true)))
            yield* Effect.sleep(1234)
            // also where others still sleep
            yield* Effect.forkChild(Effect.sleep("1 day"))
            yield* Effect.forever(Effect.sleep(0))
          }),
          { maxTurns: 10_000 }
        )
      )
      assert.include(error.reason, "no progress at 1234 ms: 1000 sleeps of length zero")
      assert.include(error.reason, "1 sleep, the next ends at 86401234 ms")
      assert.isTrue(finalized)
    })
  )

  it.effect("without bounds of its own as well, within seconds", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestNetwork.simulate(Effect.forever(Effect.sleep(0))))
      assert.include(error.reason, "no progress at 0 ms: 100000 sleeps of length zero")
    })
  )

  it.effect("so do fibers that keep each other busy, and those that interruption does not end", () =>
    Effect.gen(function* () {
      const busy = [
        Effect.forever(Effect.yieldNow),
        Effect.andThen(Effect.forkDetach(Effect.forever(Effect.yieldNow)), Effect.never),
        Effect.uninterruptible(Effect.forever(Effect.yieldNow)),
        // two ends that answer each other for ever
        Effect.gen(function* () {
          yield* startServer({ port: 7000, gracePeriod: 0 }, ({ reader, writer }) =>
            Effect.forever(Effect.flatMap(reader.readExactly(1), (bytes) => writer.write(bytes)))
          )
          const { reader, writer } = yield* openConnection({ port: 7000 })
          yield* writer.write("x")
          yield* Effect.forever(Effect.flatMap(reader.readExactly(1), (bytes) => writer.write(bytes)))
        })
      ]
      for (const program of busy) {
        const error = yield* Effect.flip(TestNetwork.simulate(program, { maxTurns: 5000 }))
        assert.include(error.reason, "no progress at 0 ms: 5000 tasks of fibers ran, and no time passed")
      }
    })
  )

  it.effect("turns and sleeps of length zero are counted anew whenever time has passed", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        for (let i = 0; i < 20; i++) {
          for (let j = 0; j < 50; j++) yield* Effect.sleep(0)
          yield* Effect.sleep(1)
        }
      }),
      { maxTurns: 1000 }
    )
  )

  it.effect("a wait that nobody bounds fails, also beside a heartbeat, and says what waits", () =>
    Effect.gen(function* () {
      const ask = Effect.fn("ask")(function* () {
        const { reader, writer } = yield* openConnection({ host: "b", port: 7000 })
        yield* writer.write("hello?")
        return yield* reader.readLine
      })
      const error = yield* Effect.flip(
        TestNetwork.simulate(
          Effect.gen(function* () {
            const b = yield* TestNetwork.host("b")
            yield* startServer({ port: 7000 }, () => Effect.never).pipe(Effect.provideService(Network.Network, b))
            yield* Effect.forkChild(Effect.forever(Effect.sleep(500)))
            yield* TestNetwork.host("a")
            yield* TestNetwork.cut("a", "b")
            yield* Effect.forkChild(
              Effect.flatMap(TestNetwork.host("a"), (a) =>
                a.run(openConnection({ host: "b", port: 7000, connectTimeout: "Infinity" }))
              )
            )
            yield* ask()
          }),
          { maxSteps: 1000, addresses: { "10.0.0.9": "Timeout" } }
        )
      )
      const lines = error.reason.split("\n")
      assert.match(
        lines[0]!,
        /the clock has moved on 1000 times, to \d+ ms, and the program has not ended \(maxSteps\)/
      )
      assert.include(lines, "  the program, in ask")
      assert.include(lines, "  #1 client: readLine waits; server: open")
      assert.include(lines, "  #2 connects to 10.0.0.1:7000 since 0 ms")
      assert.include(lines, "  a and b are cut off from each other")
    })
  )

  it.effect("wrong bounds are defects", () =>
    Effect.gen(function* () {
      for (const options of [{ maxSteps: 0 }, { maxTurns: 1.5 }]) {
        const exit = yield* Effect.exit(TestNetwork.simulate(Effect.void, options))
        assert.include(
          Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "",
          `TestNetwork.simulate: ${Object.keys(options)[0]} must be an integer above 0`
        )
      }
    })
  )

  it.effect("a long story is told from both ends", () =>
    Effect.gen(function* () {
      const page = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          const server = yield* startServer({ port: 0 }, ({ reader }) => reader.readAll({ maxBytes: "unbounded" }))
          const { writer } = yield* openConnection({ port: server.port })
          yield* writer.write(new Uint8Array(1000))
          yield* writer.writeEof
          yield* server.shutdown()
          return yield* TestNetwork.timeline
        }),
        { fromClient: { chunking: "oneByte" } }
      )
      const lines = page.split("\n")
      assert.isAtMost(lines.length, 210)
      assert.include(page, '1 B at 0  "\\x00"')
      assert.include(page, '1 B at 999  "\\x00"')
      assert.include(page, "left out here")
    })
  )
})

describe("a run can be repeated", () => {
  it.effect("same seed, same story, to the last line", () =>
    Effect.gen(function* () {
      const first = yield* TestNetwork.simulate(conversation, rough)
      assert.isAbove(first.split("\n").length, 100)
      for (let i = 0; i < 3; i++) {
        // a busy machine between the turns changes nothing
        const busy = yield* start(Effect.forever(Effect.yieldNow))
        assert.strictEqual(yield* TestNetwork.simulate(conversation, rough), first)
        yield* Fiber.interrupt(busy)
      }
    })
  )

  it.effect("another seed, another story", () =>
    Effect.gen(function* () {
      const stories = new Set<string>()
      for (let seed = 1; seed <= 5; seed++) {
        stories.add((yield* TestNetwork.simulate(conversation, { ...rough, seed })).replace(`seed ${seed}`, ""))
      }
      assert.strictEqual(stories.size, 5)
    })
  )

  it.effect("the random numbers of the program are not the network's business", () =>
    Effect.gen(function* () {
      const withNumbers = Effect.andThen(Random.next, conversation)
      assert.strictEqual(
        yield* TestNetwork.simulate(withNumbers, rough),
        yield* TestNetwork.simulate(conversation, rough)
      )
    })
  )
})
