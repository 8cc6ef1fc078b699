/**
 * Connecting to a name with several addresses (RFC 8305), rank 24 of what users ask for: first the order of events,
 * in virtual time and without sockets, then with real ones behind a resolver of the test's own.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Clock, Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { connect, interleave } from "../../src/internal/connect/happyEyeballs.ts"
import { text } from "../support/bytes.ts"
import { deafServer } from "../support/deafServer.ts"
import { backTo, held } from "../support/descriptors.ts"
import { closedPort, serveRaw } from "../support/rawPeer.ts"
import { eventuallyEffect, within } from "../support/wait.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

// ---------------------------------------------------------------------------
// virtual time
// ---------------------------------------------------------------------------

/** What an address does when it is tried: answers or fails after so many milliseconds, or never does either. */
interface Behaviour {
  readonly after?: number
  readonly fails?: boolean
  /** How long it takes to give it up. */
  readonly lingers?: number
}

/** Tries addresses that behave as told, and writes down what happens when. */
const attemptAll = (addresses: Record<string, Behaviour>) => {
  const log: Array<string> = []
  const open = new Set<string>()
  const note = (what: string) => Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${now} ${what}`))

  const attempt = (address: string): Effect.Effect<string, string> => {
    const { after, fails, lingers } = addresses[address]!
    const result = Effect.gen(function* () {
      yield* after === undefined ? Effect.never : Effect.sleep(after)
      if (fails === true) {
        yield* note(`${address} fails`)
        return yield* Effect.fail(`${address} failed`)
      }
      yield* note(`${address} connects`)
      open.add(address)
      return address
    })
    return Effect.andThen(
      note(`${address} begins`),
      Effect.onInterrupt(result, () => Effect.andThen(Effect.sleep(lingers ?? 0), note(`${address} given up`)))
    )
  }

  const effect = connect({
    addresses: Object.keys(addresses),
    delay: 250,
    attempt,
    release: (address) => void open.delete(address)
  })
  return { log, open, effect }
}

describe("happy eyeballs in virtual time", () => {
  it("takes the families in turns, led by that of the first address", () => {
    const four = (address: string) => ({ address, family: 4 })
    const six = (address: string) => ({ address, family: 6 })
    const names = (list: ReadonlyArray<{ readonly address: string }>) => list.map(({ address }) => address).join(" ")
    assert.strictEqual(names(interleave([six("a"), six("b"), four("c"), four("d")])), "a c b d")
    assert.strictEqual(names(interleave([four("a"), six("b"), six("c"), six("d")])), "a b c d")
    assert.strictEqual(names(interleave([four("a"), four("b"), four("c")])), "a b c")
    assert.strictEqual(names(interleave([six("a"), four("b"), four("c"), four("d")])), "a b c d")
    assert.strictEqual(names(interleave([four("a")])), "a")
  })

  it.effect("rank 24 gives each address 250 ms before the next one is tried beside it", () =>
    Effect.gen(function* () {
      const { effect, log } = attemptAll({ a: {}, b: {}, c: {} })
      yield* Effect.forkChild(effect)
      yield* TestClock.adjust(249)
      assert.deepStrictEqual(log, ["0 a begins"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, ["0 a begins", "250 b begins"])
      yield* TestClock.adjust(249)
      assert.strictEqual(log.length, 2)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log.slice(2), ["500 c begins"])
    })
  )

  it.effect("rank 24 tries nobody else when the first connects in time", () =>
    Effect.gen(function* () {
      const { effect, log, open } = attemptAll({ a: { after: 100 }, b: { after: 0 } })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* Fiber.join(fiber), "a")
      assert.deepStrictEqual(log, ["0 a begins", "100 a connects"])
      assert.deepStrictEqual([...open], ["a"])
    })
  )

  it.effect("rank 24 a failure starts the next attempt at once", () =>
    Effect.gen(function* () {
      const { effect, log } = attemptAll({
        a: { after: 10, fails: true },
        b: { after: 0, fails: true },
        c: { after: 5 }
      })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(15)
      assert.strictEqual(yield* Fiber.join(fiber), "c")
      assert.deepStrictEqual(log, [
        "0 a begins",
        "10 a fails",
        "10 b begins",
        "10 b fails",
        "10 c begins",
        "15 c connects"
      ])
    })
  )

  it.effect("rank 24 a failure that comes late does not hurry the attempt after the next", () =>
    Effect.gen(function* () {
      const { effect, log } = attemptAll({ a: { after: 300, fails: true }, b: {}, c: { after: 0 } })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(499)
      assert.deepStrictEqual(log, ["0 a begins", "250 b begins", "300 a fails"])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "c")
    })
  )

  it.effect("rank 24 the first to connect wins, and the others are given up", () =>
    Effect.gen(function* () {
      const { effect, log, open } = attemptAll({ a: {}, b: { after: 100 }, c: {} })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* Fiber.join(fiber), "b")
      assert.deepStrictEqual(log, ["0 a begins", "250 b begins", "350 b connects", "350 a given up"])
      assert.deepStrictEqual([...open], ["b"])
    })
  )

  it.effect("rank 24 of two that connect one is kept, and the other released", () =>
    Effect.gen(function* () {
      // b connects first, but has to wait until c is given up; a is faster than that
      const { effect, log, open } = attemptAll({ a: { after: 550 }, b: { after: 260 }, c: { lingers: 100 } })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(2000)
      const winner = yield* Fiber.join(fiber)
      assert.deepStrictEqual(log.slice(3), ["510 b connects", "550 a connects", "610 c given up"])
      assert.deepStrictEqual([...open], [winner])
    })
  )

  it.effect("rank 24 all failures are kept, in the order of the addresses, whichever came first", () =>
    Effect.gen(function* () {
      const { effect, open } = attemptAll({
        a: { after: 600, fails: true },
        b: { after: 10, fails: true },
        c: { after: 700, fails: true },
        d: { after: 1, fails: true }
      })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(yield* Effect.flip(Fiber.join(fiber)), ["a failed", "b failed", "c failed", "d failed"])
      assert.strictEqual(open.size, 0)
    })
  )

  it.effect("rank 24 the last address may connect long after all others have failed", () =>
    Effect.gen(function* () {
      const { effect } = attemptAll({ a: { after: 0, fails: true }, b: { after: 0, fails: true }, c: { after: 5000 } })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(5000)
      assert.strictEqual(yield* Fiber.join(fiber), "c")
    })
  )

  it.effect("rank 24 interruption gives up every attempt and leaves nothing open", () =>
    Effect.gen(function* () {
      const { effect, log, open } = attemptAll({ a: {}, b: {}, c: {} })
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(300)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log.slice(2).toSorted(), ["300 a given up", "300 b given up"])
      yield* TestClock.adjust(1000)
      assert.strictEqual(log.length, 4)
      assert.strictEqual(open.size, 0)
    })
  )

  it.effect("rank 24 interruption releases what has connected while nobody has it yet", () =>
    Effect.gen(function* () {
      const { effect, log, open } = attemptAll({ a: {}, b: { after: 260 }, c: { lingers: 100 } })
      const fiber = yield* Effect.forkChild(effect)
      // b has connected, and c is being given up
      yield* TestClock.adjust(520)
      assert.deepStrictEqual(log.slice(3), ["510 b connects"])
      assert.deepStrictEqual([...open], ["b"])
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust(500)
      yield* Fiber.join(interruption)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.strictEqual(open.size, 0)
    })
  )

  it.effect("rank 24 tells of each attempt and each failure as they come", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const fiber = yield* connect({
        addresses: ["a", "b"],
        delay: 250,
        attempt: (address) => Effect.delay(Effect.fail(`${address}!`), 10),
        release: () => {},
        onAttempt: (address) => heard.push(address),
        onFailure: (address, error) => heard.push(`${address}: ${error}`)
      }).pipe(Effect.flip, Effect.forkChild)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(heard, ["a", "a: a!", "b"])
      yield* TestClock.adjust(10)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(heard, ["a", "a: a!", "b", "b: b!"])
    })
  )
})

// ---------------------------------------------------------------------------
// real sockets
// ---------------------------------------------------------------------------

/** A network whose only name, `several.test`, has these addresses. */
const networkOf = (...addresses: ReadonlyArray<string>) =>
  NodeNetwork.layerWith({
    lookup: (name) =>
      name === "several.test"
        ? Promise.resolve(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })))
        : Promise.reject(new Error(`unexpected look-up of ${name}`))
  })

describe("happy eyeballs with real sockets", () => {
  it.live("rank 24 nobody listens on the first address: the second is tried at once", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ at: { host: "127.0.0.2", port: 0 } })
      const connection = yield* within(
        "it connects without waiting for attemptDelay",
        openConnection({ host: "several.test", port: server.port, attemptDelay: "1 minute" }),
        5000
      )
      const peer = yield* server.accept
      yield* peer.send("here\n")
      assert.strictEqual(text(yield* connection.reader.readLine), "here\n")
      assert.strictEqual(String(connection.info.remote), `127.0.0.2:${server.port}`)
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2")))
  )

  it.live("rank 24 the first address does not answer: the second wins, and the first attempt leaves nothing", () =>
    Effect.gen(function* () {
      const port = yield* deafServer
      const server = yield* serveRaw({ at: { host: "127.0.0.2", port } })
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* openConnection({ host: "several.test", port, attemptDelay: 30 })
          assert.strictEqual(String(connection.info.remote), `127.0.0.2:${port}`)
          yield* server.accept
          // the connection's two ends, and not a third
          assert.strictEqual(held().sockets, before.sockets + 2)
        })
      )
      yield* backTo(before)
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2")))
  )

  it.live("rank 24 both answer: one connection is kept, and the other closed", () =>
    Effect.gen(function* () {
      const first = yield* serveRaw()
      const second = yield* serveRaw({ at: { host: "127.0.0.2", port: first.port } })
      const connection = yield* openConnection({ host: "several.test", port: first.port, attemptDelay: 0 })
      const [kept, lost] = String(connection.info.remote).startsWith("127.0.0.1") ? [first, second] : [second, first]
      const peer = yield* kept.accept
      yield* connection.writer.write("hello\n")
      yield* peer.awaitText("hello\n")
      assert.isFalse(peer.closed)
      // the loser may have been given up before it came so far as to be accepted
      for (const loser of lost.peers) yield* loser.awaitClosed
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2")))
  )

  it.live("rank 24 all answer at once: one is kept, and no other is left, wherever its fiber was", () =>
    Effect.gen(function* () {
      const peers = yield* serveRaw({ at: { host: "0.0.0.0", port: 0 } })
      for (let seed = 1; seed <= 100; seed++) {
        const before = held()
        yield* openConnection({ host: "several.test", port: peers.port, attemptDelay: 0 }).pipe(
          Effect.scoped,
          Effect.provideService(Scheduler.Scheduler, new Restless(seed))
        )
        yield* backTo(before)
      }
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")))
  )

  it.live("rank 24 all answer at once on a network in memory: one is kept, and no other is left", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ port: 7000 }, ({ reader }) => Effect.exit(reader.readAll({ maxBytes: 1 })))
      for (let seed = 1; seed <= 100; seed++) {
        yield* openConnection({ host: "several.test", port: 7000, attemptDelay: 0 }).pipe(
          Effect.scoped,
          Effect.provideService(Scheduler.Scheduler, new Restless(seed))
        )
        yield* eventuallyEffect(
          "nobody is left",
          Effect.map(server.connections, (count) => count === 0)
        )
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(
        TestNetwork.layerWith({ hosts: { "several.test": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] } })
      )
    )
  )

  it.live("rank 24 the first answers in time: the second is never tried", () =>
    Effect.gen(function* () {
      const first = yield* serveRaw()
      const second = yield* serveRaw({ at: { host: "127.0.0.2", port: first.port } })
      yield* openConnection({ host: "several.test", port: first.port, attemptDelay: 1000 })
      yield* first.accept
      assert.strictEqual(second.peers.length, 0)
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2")))
  )

  it.live("rank 24 nobody listens anywhere: every address is in attempts, in the order tried", () =>
    Effect.gen(function* () {
      const port = yield* closedPort()
      const failed = yield* Effect.flip(openConnection({ host: "several.test", port }))
      assert.strictEqual(failed.kind, "Refused")
      assert.strictEqual(failed.target, `several.test:${port}`)
      assert.deepStrictEqual(
        failed.attempts.map(({ address, code, kind }) => ({ address, kind, code })),
        ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map((host) => ({
          address: `${host}:${port}`,
          kind: "Refused" as const,
          code: "ECONNREFUSED"
        }))
      )
      for (const { address } of failed.attempts) assert.include(failed.message, address)
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2", "127.0.0.3")))
  )

  it.live("rank 24 one does not answer and one refuses: both are told apart when the time is up", () =>
    Effect.gen(function* () {
      const port = yield* deafServer
      const failed = yield* within(
        "the connect times out",
        Effect.flip(openConnection({ host: "several.test", port, attemptDelay: 10, connectTimeout: 150 })),
        5000
      )
      assert.strictEqual(failed.kind, "Timeout")
      assert.deepStrictEqual(
        failed.attempts.map(({ address, kind }) => ({ address, kind })),
        [
          { address: `127.0.0.1:${port}`, kind: "Timeout" },
          { address: `127.0.0.2:${port}`, kind: "Refused" }
        ]
      )
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.2")))
  )

  it.live("rank 24 falls back from IPv6 to IPv4, whether this machine has IPv6 or not", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ at: { host: "127.0.0.2", port: 0 } })
      const connection = yield* openConnection({ host: "several.test", port: server.port, attemptDelay: "1 minute" })
      assert.strictEqual(String(connection.info.remote), `127.0.0.2:${server.port}`)
      const failed = yield* Effect.flip(
        openConnection({ host: "several.test", port: yield* closedPort("127.0.0.2"), attemptDelay: "1 minute" })
      )
      assert.match(failed.attempts[0]!.address, /^\[::1\]:\d+$/)
      assert.match(failed.attempts[1]!.address, /^127\.0\.0\.2:\d+$/)
    }).pipe(Effect.provide(networkOf("::1", "127.0.0.2")))
  )

  it.live("rank 24 interruption during the attempts leaves nothing open", () =>
    Effect.gen(function* () {
      const port = yield* deafServer
      const before = held()
      const fiber = yield* Effect.forkChild(
        Effect.scoped(openConnection({ host: "several.test", port, attemptDelay: 10, connectTimeout: "1 minute" })),
        { startImmediately: true }
      )
      yield* Effect.sleep(30)
      yield* within("the interruption", Fiber.interrupt(fiber))
      yield* backTo(before)
    }).pipe(Effect.provide(networkOf("127.0.0.1", "127.0.0.1")))
  )
})
