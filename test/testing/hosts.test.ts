/** Hosts: machines that are cut off from each other and crash; what their connections, their clocks and their services do then. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Queue, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Network, openConnection, openUnixConnection, startServer, startUnixServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as fc from "fast-check"
import { pattern, text } from "../support/bytes.ts"
import { start } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"

const on = <A, E, R>(name: string, program: Effect.Effect<A, E, R>) =>
  Effect.flatMap(TestNetwork.host(name), (host) => host.run(program))

/** The two ends of a connection from one host to another: the program that asks holds both. */
const connected = (client: string, server: string, options: { readonly idle?: string; readonly port?: number } = {}) =>
  Effect.gen(function* () {
    const left = yield* TestNetwork.host(client)
    const right = yield* TestNetwork.host(server)
    const accepted = yield* Queue.unbounded<Effect.Success<ReturnType<typeof openConnection>>>()
    const { port = 7000 } = options
    yield* startServer({ port, gracePeriod: 0 }, (connection) =>
      Effect.andThen(Queue.offer(accepted, connection), Effect.never)
    ).pipe(Effect.provideService(Network.Network, right))
    const timeouts = options.idle === undefined ? undefined : { idle: options.idle as "1 second" }
    const near = yield* openConnection({ host: server, port, closeTimeout: "1 second", timeouts }).pipe(
      Effect.provideService(Network.Network, left)
    )
    return { near, far: yield* Queue.take(accepted) }
  })

const now = Clock.currentTimeMillis
const latency = { fromClient: { latency: 10 }, fromServer: { latency: 10 } } as const

describe("a host", () => {
  it.effect("connects as itself, by name, to a name and its address; localhost is its own", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const alpha = yield* TestNetwork.host("alpha")
        const beta = yield* TestNetwork.host("beta")
        assert.notStrictEqual(alpha.address, beta.address)
        assert.strictEqual(yield* TestNetwork.host("alpha"), alpha)
        for (const name of ["alpha", "beta"]) {
          yield* startServer({ port: 7000 }, ({ info, writer }) =>
            writer.write(`${name} ${info.remote?._tag === "InetAddressV4" ? info.remote.address : ""}\n`)
          ).pipe(Effect.provideService(Network.Network, name === "alpha" ? alpha : beta))
        }
        const ask = (host: string) =>
          Effect.scoped(
            Effect.flatMap(openConnection({ host, port: 7000 }), ({ reader }) => Effect.map(reader.readLine, text))
          )
        assert.strictEqual(yield* beta.run(ask("alpha")), `alpha ${beta.address}\n`)
        assert.strictEqual(yield* alpha.run(ask("beta")), `beta ${alpha.address}\n`)
        assert.strictEqual(yield* alpha.run(ask(beta.address)), `beta ${alpha.address}\n`)
        assert.strictEqual(yield* alpha.run(ask("localhost")), "alpha 127.0.0.1\n")
        // somebody who is on no host meets them as well, and hosts meet those
        assert.strictEqual(yield* ask("beta"), "beta 127.0.0.1\n")
        yield* startServer({ port: 8000 }, ({ writer }) => writer.write("no host\n"))
        const line = yield* alpha.run(
          Effect.scoped(Effect.flatMap(openConnection({ host: "elsewhere", port: 8000 }), (c) => c.reader.readLine))
        )
        assert.strictEqual(text(line), "no host\n")
        const refused = yield* Effect.flip(alpha.run(openConnection({ port: 8000 })))
        assert.strictEqual(refused._tag === "ConnectFailed" ? refused.kind : refused, "Refused")
      })
    )
  )

  it.effect("has ports and paths of its own, and no address of others", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const alpha = yield* TestNetwork.host("alpha")
        const beta = yield* TestNetwork.host("beta")
        const names: Array<string> = []
        for (const host of [alpha, beta]) {
          yield* startUnixServer("/run/x", () => Effect.sync(() => names.push(host.name))).pipe(
            Effect.provideService(Network.Network, host)
          )
        }
        yield* beta.run(Effect.flatMap(openUnixConnection("/run/x"), (c) => c.reader.read(1)))
        assert.deepStrictEqual(names, ["beta"])
        const error = yield* Effect.flip(alpha.run(startServer({ host: "beta", port: 1 }, () => Effect.void)))
        assert.strictEqual(error._tag === "ListenFailed" ? error.kind : error, "AddressNotAvailable")
      })
    )
  )

  it.effect("wrong names are defects that say what is wrong", () =>
    Effect.gen(function* () {
      const message = (program: Effect.Effect<unknown, never, TestNetwork.TestNetwork>, options = {}) =>
        Effect.map(Effect.flip(TestNetwork.simulate(program, options)), (error) => error.reason)
      assert.include(yield* message(TestNetwork.host("")), "TestNetwork.host: name must be the name of a host, got")
      assert.include(yield* message(TestNetwork.host("localhost")), "127.0.0.1, which is that of every host")
      assert.include(yield* message(TestNetwork.host("a"), { hosts: { a: [] } }), `"a" has no address`)
      assert.include(
        yield* message(Effect.andThen(TestNetwork.host("a"), TestNetwork.host("b")), {
          hosts: { a: "10.1.1.1", b: "10.1.1.1" }
        }),
        `"b" has the address 10.1.1.1, which is that of a`
      )
      assert.include(yield* message(TestNetwork.crash("typo")), `"typo" (string) is not the name of a host`)
      const two = Effect.andThen(TestNetwork.host("a"), TestNetwork.host("b"))
      assert.include(yield* message(Effect.andThen(two, TestNetwork.cut("a", "c"))), `there are "a", "b"`)
      assert.include(yield* message(Effect.andThen(two, TestNetwork.cut("a", "a"))), "the names of two hosts")
      const pair = yield* Effect.exit(Effect.scoped(TestNetwork.pair({ faults: [Faults.crash({ host: "a" })] })))
      assert.include(Exit.isFailure(pair) ? Cause.pretty(pair.cause) : "", "Crash is a fault of hosts")
    })
  )

  it.effect("run: the scope of a program ends with it, failures are its own, an interruption lets it clean up", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const done: Array<string> = []
        const program = (name: string) =>
          Effect.addFinalizer(() =>
            Effect.andThen(
              Effect.sleep(100),
              Effect.sync(() => done.push(name))
            )
          )
        yield* on("a", program("success"))
        assert.strictEqual(yield* Effect.flip(on("a", Effect.andThen(program("failure"), Effect.fail("no")))), "no")
        const fiber = yield* start(on("a", Effect.andThen(program("interruption"), Effect.never)))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(done, ["success", "failure", "interruption"])
        assert.strictEqual(yield* on("a", Effect.service(TestNetwork.CurrentHost)), yield* TestNetwork.host("a"))
      })
    )
  )
})

describe("a cut", () => {
  it.effect("bytes in flight wait for the heal, those that had arrived are there, and none is lost", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* near.writer.write("arrived,")
        yield* Effect.sleep(50)
        yield* near.writer.write("in flight,")
        yield* Effect.sleep(5)
        yield* TestNetwork.cut("a", "b")
        yield* near.writer.write("later")
        const reading = yield* start(far.reader.readExactly(23))
        yield* Effect.sleep("1 hour")
        assert.strictEqual(yield* far.reader.buffered, 8)
        assert.isUndefined(reading.pollUnsafe())
        const healed = yield* now
        yield* TestNetwork.heal("a", "b")
        assert.strictEqual(text(yield* Fiber.join(reading)), "arrived,in flight,later")
        assert.strictEqual((yield* now) - healed, 10)
      }),
      latency
    )
  )

  it.effect("an end of the stream in flight waits as well: nothing looks complete before it is", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* near.writer.write("whole")
        yield* near.writer.writeEof
        yield* TestNetwork.cut("a", "b")
        const reading = yield* start(far.reader.readAll({ maxBytes: 100 }))
        yield* Effect.sleep("1 day")
        assert.isUndefined(reading.pollUnsafe())
        yield* TestNetwork.heal("a", "b")
        assert.strictEqual(text(yield* Fiber.join(reading)), "whole")
      }),
      latency
    )
  )

  it.effect("what is sent at the very moment of the cut waits, also without latency", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* TestNetwork.cut("a", "b")
        yield* near.writer.write("x")
        yield* near.writer.flush
        yield* Effect.sleep(1000)
        assert.strictEqual(yield* far.reader.buffered, 0)
        yield* TestNetwork.heal("a", "b")
        assert.strictEqual(text(yield* far.reader.readExactly(1)), "x")
      })
    )
  )

  it.effect(
    "a sender is held up once its buffer is full, and a connection that is never healed ends by its bounds",
    () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const { near } = yield* connected("a", "b", { idle: "10 minutes" })
          yield* TestNetwork.cut("a", "b")
          yield* near.writer.write(new Uint8Array(1_000_000))
          const flushing = yield* start(Effect.flip(near.writer.flush))
          yield* Effect.sleep("9 minutes")
          assert.isUndefined(flushing.pollUnsafe())
          yield* Effect.sleep("2 minutes")
          assert.strictEqual((yield* Fiber.join(flushing))._tag, "StreamTimeout")
        })
      )
  )

  it.effect("connecting gets no answer: it times out, or is met once the cut has healed", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* connected("a", "b")
        yield* TestNetwork.cut("b", "a")
        const error = yield* Effect.flip(on("a", openConnection({ host: "b", port: 7000 })))
        assert.strictEqual(error._tag === "ConnectFailed" ? error.kind : error, "Timeout")
        assert.strictEqual(yield* now, 30_000 + 20)
        const later = yield* start(on("a", openConnection({ host: "b", port: 7000 })))
        // nobody listens there, and nobody can say so
        const nobody = yield* start(Effect.flip(on("a", openConnection({ host: "b", port: 7001 }))))
        yield* Effect.sleep("10 seconds")
        assert.isUndefined(later.pollUnsafe())
        assert.isUndefined(nobody.pollUnsafe())
        yield* TestNetwork.heal("a", "b")
        yield* Fiber.join(later)
        const refused = yield* Fiber.join(nobody)
        assert.strictEqual(refused._tag === "ConnectFailed" ? refused.kind : refused, "Refused")
        assert.isAtMost(yield* now, 30_000 + 20 + 11_020)
      }),
      latency
    )
  )

  it.effect("an answer to connecting, or a refusal, that is on its way when the cut comes does not pass", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* connected("a", "b")
        const fibers = [
          yield* start(Effect.exit(on("a", openConnection({ host: "b", port: 7000 })))),
          yield* start(Effect.exit(on("a", openConnection({ host: "b", port: 7001 }))))
        ]
        yield* Effect.sleep(15)
        yield* TestNetwork.cut("a", "b")
        yield* Effect.sleep("20 seconds")
        for (const fiber of fibers) assert.isUndefined(fiber.pollUnsafe())
        yield* TestNetwork.heal("a", "b")
        yield* Effect.sleep("2 seconds")
        assert.deepStrictEqual(
          fibers.map((fiber) => fiber.pollUnsafe()?._tag),
          ["Success", "Success"]
        )
      }),
      latency
    )
  )

  it.effect("a reset is lost: the peer is told by the answer to what it sends after the heal, and not before", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        // one whose reset is sent during the cut, and one whose reset is on its way
        for (const wait of [0, 5]) {
          const { far, near } = yield* connected("a", "b", { port: 7000 + wait })

          if (wait > 0) {
            yield* near.abort
            yield* Effect.sleep(wait)
            yield* TestNetwork.cut("a", "b")
          } else {
            yield* TestNetwork.cut("a", "b")
            yield* near.abort
          }
          yield* Effect.sleep("1 minute")
          yield* TestNetwork.heal("a", "b")
          yield* Effect.sleep("1 minute")
          const reading = yield* start(Effect.flip(far.reader.read(1)))
          assert.isUndefined(reading.pollUnsafe())
          yield* far.writer.write("anybody?")
          const error = yield* Fiber.join(reading)
          assert.strictEqual(error._tag === "ConnectionLost" ? error.kind : error, "Reset")
        }
      }),
      latency
    )
  )

  it.effect("what was sent before the reset was lost is answered as well, once the cut has healed", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* far.writer.write("on its way")
        yield* TestNetwork.cut("a", "b")
        yield* near.abort
        const reading = yield* start(Effect.flip(far.reader.read(1)))
        yield* Effect.sleep("1 minute")
        assert.isUndefined(reading.pollUnsafe())
        yield* TestNetwork.heal("a", "b")
        assert.strictEqual((yield* Fiber.join(reading))._tag, "ConnectionLost")
      }),
      latency
    )
  )

  it.effect("what was in flight when its sender broke off never arrives", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* near.writer.write("arrived")
        yield* Effect.sleep(50)
        yield* near.writer.write("in flight")
        yield* near.writer.flush
        yield* TestNetwork.cut("a", "b")
        yield* near.abort
        yield* TestNetwork.heal("a", "b")
        yield* Effect.sleep("1 minute")
        assert.strictEqual(yield* far.reader.buffered, 7)
      }),
      latency
    )
  )

  it.effect("others are not touched, and a second heal does nothing", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* TestNetwork.host("c")
        const { far, near } = yield* connected("a", "b")
        yield* TestNetwork.cut("a", "c")
        yield* near.writer.write("x")
        assert.strictEqual(text(yield* far.reader.readExactly(1)), "x")
        yield* TestNetwork.heal("c", "a")
        yield* TestNetwork.heal("a", "c")
      })
    )
  )

  it.effect("property: whatever is cut and healed when, every byte arrives once, in order, and then the end", () =>
    forAll(
      fc.record({
        cuts: fc.array(fc.record({ at: fc.integer({ min: 0, max: 400 }), millis: fc.integer({ min: 0, max: 300 }) }), {
          maxLength: 4
        }),
        latency: fc.integer({ min: 0, max: 50 }),
        bandwidth: fc.constantFrom(undefined, 5_000),
        chunking: fc.constantFrom("asIs", "oneByte", "halves", "random" as const),
        capacity: fc.constantFrom(7, 100, 65_536),
        slow: fc.boolean(),
        sizes: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 10 })
      }),
      ({ bandwidth, capacity, chunking, cuts, latency, sizes, slow }) =>
        TestNetwork.simulate(
          Effect.gen(function* () {
            const { far, near } = yield* connected("a", "b")
            const whole = pattern(sizes.reduce((sum, size) => sum + size, 0))
            yield* Effect.forkChild(
              Effect.gen(function* () {
                let sent = 0
                for (const size of sizes) {
                  yield* near.writer.write(whole.subarray(sent, (sent += size)))
                  yield* Effect.sleep(20)
                }
                yield* near.writer.writeEof
              })
            )
            const parts: Array<number> = []
            for (let part = yield* far.reader.read(50); part.length > 0; part = yield* far.reader.read(50)) {
              parts.push(...part)
              if (slow) yield* Effect.sleep(7)
            }
            assert.deepStrictEqual(new Uint8Array(parts), whole)
          }),
          {
            fromClient: { latency, chunking: chunking as "asIs", capacity, bandwidth },
            fromServer: { latency },
            faults: cuts.map((one) => Faults.cut({ between: ["a", "b"], ...one }))
          }
        ),
      { numRuns: 60 }
    )
  )
})

describe("a crash", () => {
  for (const connections of ["reset", "vanish"] as const) {
    it.effect(`${connections}: no sleep, timeout or finalizer of its programs ever comes to its end`, () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const log: Array<string> = []
          const host = yield* TestNetwork.host("a")
          const note = (what: string) => Effect.sync(() => log.push(what))
          const fiber = yield* start(
            Effect.exit(
              host.run(
                Effect.gen(function* () {
                  yield* Effect.addFinalizer(() => note("finalizer"))
                  yield* Effect.forkChild(Effect.andThen(Effect.sleep(100), note("sleep")))
                  yield* Effect.forkDetach(Effect.andThen(Effect.timeoutOption(Effect.never, 200), note("timeout")))
                  yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep(10), note("tick"))))
                  yield* Effect.never
                })
              )
            )
          )
          yield* Effect.sleep(25)
          const spinning = yield* start(host.run(Effect.forever(Effect.yieldNow)))
          yield* TestNetwork.crash("a", { connections })
          yield* Effect.exit(Fiber.join(spinning))
          const exit = yield* Fiber.join(fiber)
          assert.strictEqual(
            Exit.isFailure(exit) ? (Cause.squash(exit.cause) as { readonly _tag: string })._tag : exit._tag,
            "HostCrashed"
          )
          yield* host.crashed
          assert.strictEqual((yield* Effect.flip(host.run(note("again"))))._tag, "HostCrashed")
          yield* TestNetwork.crash("a")
          yield* Effect.sleep("1 day")
          assert.deepStrictEqual(log, ["tick", "tick"])
        })
      )
    )
  }

  it.effect("a program that crashes its own host does nothing behind that", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        let behind = false
        const error = yield* Effect.flip(
          on(
            "a",
            Effect.andThen(
              TestNetwork.crash("a"),
              Effect.sync(() => (behind = true))
            )
          )
        )
        assert.strictEqual(error._tag, "HostCrashed")
        assert.isFalse(behind)
      })
    )
  )

  it.effect("an interruption of a run, also while its finalizers hang, ends at the crash", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const fiber = yield* start(
          on(
            "a",
            Effect.andThen(
              Effect.addFinalizer(() => Effect.never),
              Effect.never
            )
          )
        )
        const interrupting = yield* start(Fiber.interrupt(fiber))
        yield* Effect.sleep("1 hour")
        assert.isUndefined(interrupting.pollUnsafe())
        yield* TestNetwork.crash("a")
        yield* Fiber.join(interrupting)
      })
    )
  )

  it.effect("reset: the peer reads what had arrived, and then the loss; whoever connects is refused", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* near.writer.write("cut off")
        yield* near.writer.flush
        yield* Effect.sleep(50)
        yield* TestNetwork.crash("a", { connections: "reset" })
        assert.strictEqual(text(yield* far.reader.readExactly(7)), "cut off")
        const error = yield* Effect.flip(far.reader.read(1))
        assert.strictEqual(error._tag === "ConnectionLost" ? error.kind : error, "Reset")
        yield* TestNetwork.crash("b")
        const refused = yield* Effect.flip(on("a", openConnection({ host: "b", port: 7000 })))
        assert.strictEqual(refused._tag === "ConnectFailed" ? refused.kind : refused, "Refused")
      }),
      latency
    )
  )

  it.effect("vanish: the peer is told nothing and sees no end; whoever connects gets no answer", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far, near } = yield* connected("a", "b")
        yield* near.writer.write("in flight")
        yield* near.writer.writeEof
        yield* TestNetwork.crash("a", { connections: "vanish" })
        const reading = yield* start(far.reader.read(1))
        yield* far.writer.write("hello?")
        yield* Effect.sleep("1 day")
        assert.isUndefined(reading.pollUnsafe())
        yield* Fiber.interrupt(reading)
        yield* TestNetwork.crash("b", { connections: "vanish" })
        const began = yield* now
        const silent = yield* Effect.flip(on("a", openConnection({ host: "b", port: 7000 })))
        assert.strictEqual(silent._tag === "ConnectFailed" ? silent.kind : silent, "Timeout")
        assert.strictEqual((yield* now) - began, 30_000)
      }),
      latency
    )
  )

  it.effect("vanish: once the host has started again, it answers what it knows nothing of with a reset", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        for (const before of [true, false]) {
          const { far } = yield* Effect.flatMap(TestNetwork.host("a"), () => connectedOn(before ? 1 : 2))
          yield* TestNetwork.crash("a", { connections: "vanish" })
          const reading = yield* start(Effect.flip(far.reader.read(1)))
          if (before) yield* far.writer.write("sent while it was down")
          yield* Effect.sleep("1 minute")
          assert.isUndefined(reading.pollUnsafe())
          yield* TestNetwork.host("a")
          yield* Effect.sleep("1 minute")
          assert.strictEqual(reading.pollUnsafe() !== undefined, before)
          if (!before) yield* far.writer.write("sent after that")
          const error = yield* Fiber.join(reading)
          assert.strictEqual(error._tag === "ConnectionLost" ? error.kind : error, "Reset")
        }
      }),
      latency
    )
  )

  it.effect("the host starts again with the same address, and with ports and paths that are free", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const server = Effect.andThen(
          Effect.all([
            startServer({ port: 7000 }, ({ writer }) => writer.write("hello\n")),
            startUnixServer("/run/x", () => Effect.never)
          ]),
          Effect.never
        )
        const first = yield* TestNetwork.host("a")
        for (let life = 0; life < 3; life++) {
          const host = yield* TestNetwork.host("a")
          assert.strictEqual(host.address, first.address)
          assert.strictEqual(host === first, life === 0)
          const serving = yield* start(Effect.exit(host.run(server)))
          yield* Effect.sleep(1)
          const { reader } = yield* openConnection({ host: "a", port: 7000 })
          assert.strictEqual(text(yield* reader.readLine), "hello\n")
          yield* TestNetwork.crash("a")
          yield* Fiber.join(serving)
        }
      })
    )
  )

  it.effect("during a cut: the peer is told by the answer to what it sends after the heal", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { far } = yield* connected("a", "b")
        yield* TestNetwork.cut("a", "b")
        yield* TestNetwork.crash("a", { connections: "reset" })
        yield* far.writer.write("x")
        const reading = yield* start(Effect.flip(far.reader.read(1)))
        yield* Effect.sleep("1 minute")
        assert.isUndefined(reading.pollUnsafe())
        yield* TestNetwork.heal("a", "b")
        assert.strictEqual((yield* Fiber.join(reading))._tag, "ConnectionLost")
      }),
      latency
    )
  )

  it.effect("who connects from a host that crashes never learns of it", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* connected("a", "b")
        let answered = false
        const a = yield* TestNetwork.host("a")
        yield* Effect.forkChild(
          Effect.exit(openConnection({ host: "b", port: 7000 })).pipe(
            Effect.provideService(Network.Network, a),
            Effect.andThen(Effect.sync(() => (answered = true)))
          )
        )
        yield* Effect.sleep(5)
        yield* TestNetwork.crash("a")
        yield* Effect.sleep("20 seconds")
        assert.isFalse(answered)
      }),
      latency
    )
  )
})

type Side = "a" | "b"
const sides: ReadonlyArray<Side> = ["a", "b"]
const what = ["write", "write", "end", "close", "abort", "cut", "heal", "reset", "vanish", "start"] as const

describe("property: cuts, crashes, and ends that are closed and broken off at any time", () => {
  it.effect(
    "what is read is a prefix, an end is only seen behind everything, and who speaks is told of what is gone",
    () =>
      forAll(
        fc.record({
          latency: fc.constantFrom(0, 7),
          bandwidth: fc.constantFrom(undefined, 2000),
          chunking: fc.constantFrom("asIs", "oneByte", "random" as const),
          steps: fc.array(
            fc.record({
              wait: fc.constantFrom(0, 0, 1, 5, 20),
              what: fc.constantFrom(...what),
              side: fc.constantFrom(...sides),
              size: fc.integer({ min: 1, max: 60 })
            }),
            { maxLength: 14 }
          )
        }),
        ({ bandwidth, chunking, latency, steps }) =>
          TestNetwork.simulate(
            Effect.gen(function* () {
              const { far, near } = yield* connected("a", "b")
              const ends = { a: near, b: far }
              const sent: Record<Side, Array<number>> = { a: [], b: [] }
              const read: Record<Side, Array<number>> = { a: [], b: [] }
              /** How a side has left: in good order, or not. */
              const left: Partial<Record<Side, "ended" | "closed" | "gone">> = {}
              const outcome: Partial<Record<Side, "end" | "lost">> = {}
              const crashed = new Set<Side>()
              /** Those that have made an end, whatever became of them then. */
              const ended = new Set<Side>()
              for (const side of sides) {
                yield* Effect.forkScoped(
                  Effect.gen(function* () {
                    for (let part = yield* ends[side].reader.read(40); ; part = yield* ends[side].reader.read(40)) {
                      if (part.length === 0) return void (outcome[side] = "end")
                      read[side].push(...part)
                    }
                  }).pipe(Effect.catch(() => Effect.sync(() => void (outcome[side] ??= "lost"))))
                )
              }
              for (const { side, size, wait, what } of steps) {
                yield* Effect.sleep(wait)
                const { abort, writer } = ends[side]
                const isHere = !crashed.has(side) && left[side] === undefined
                if (what === "write" && isHere && outcome[side] !== "lost") {
                  const bytes = pattern(sent[side].length + size).subarray(sent[side].length)
                  if (Exit.isSuccess(yield* Effect.exit(writer.write(bytes)))) sent[side].push(...bytes)
                } else if (what === "end" && isHere) {
                  left[side] = "ended"
                  ended.add(side)
                  yield* Effect.forkScoped(Effect.exit(writer.writeEof))
                } else if (what === "close" && !crashed.has(side) && (isHere || left[side] === "ended")) {
                  left[side] = "closed"
                  ended.add(side)
                  yield* Effect.forkScoped(writer.close)
                } else if (what === "abort" && !crashed.has(side)) {
                  left[side] = "gone"
                  yield* abort
                } else if (what === "cut") yield* TestNetwork.cut("a", "b")
                else if (what === "heal") yield* TestNetwork.heal("a", "b")
                else if ((what === "reset" || what === "vanish") && !crashed.has(side)) {
                  crashed.add(side)
                  left[side] = "gone"
                  yield* TestNetwork.crash(side, { connections: what })
                } else if (what === "start") yield* TestNetwork.host(side)
              }
              yield* TestNetwork.heal("a", "b")
              for (const side of sides) yield* TestNetwork.host(side)
              // whoever still can says something, twice: the first is answered, the second meets the answer
              for (let round = 0; round < 2; round++) {
                yield* Effect.sleep("5 seconds")
                for (const side of sides) {
                  if (crashed.has(side) || left[side] !== undefined) continue
                  if (Exit.isSuccess(yield* Effect.exit(ends[side].writer.write("!")))) sent[side].push(33)
                }
              }
              yield* Effect.sleep("5 seconds")
              for (const side of sides) {
                const other = side === "a" ? "b" : "a"
                assert.deepStrictEqual(read[side], sent[other].slice(0, read[side].length), "a prefix")
                if (crashed.has(side) || left[side] === "gone" || left[side] === "closed") continue
                if (outcome[side] === "end") {
                  assert.isTrue(ended.has(other), "an end that nobody made")
                  assert.deepStrictEqual(read[side], sent[other], "an end that looks complete")
                }
                if (left[side] === undefined && (left[other] === "gone" || left[other] === "closed")) {
                  assert.isDefined(outcome[side], `${side} was never told that ${other} is gone`)
                }
                if (left[side] === undefined && left[other] === undefined) {
                  assert.isUndefined(outcome[side], "a loss that nobody made")
                  assert.deepStrictEqual(read[side], sent[other], "lost bytes")
                }
              }
            }),
            { fromClient: { latency, bandwidth, chunking }, fromServer: { latency, bandwidth, chunking } }
          ),
        { numRuns: 150 }
      )
  )
})

describe("services given through a host", () => {
  class Store extends Context.Service<
    Store,
    {
      readonly put: (n: number) => Effect.Effect<number>
      readonly all: Effect.Effect<ReadonlyArray<number>>
      readonly name: string
    }
  >()("Store") {}

  const makeStore = Effect.gen(function* () {
    const numbers = yield* Ref.make<ReadonlyArray<number>>([])
    return Store.of({
      name: "store",
      all: Ref.get(numbers),
      put: (n) =>
        Effect.andThen(
          Effect.sleep(10),
          Effect.as(
            Ref.update(numbers, (all) => [...all, n]),
            n
          )
        )
    })
  })

  it.effect("answer until it crashes, and never after that, also if they are busy for it then", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const store = yield* makeStore
        const host = yield* TestNetwork.host("a")
        const through = host.through(store)
        assert.strictEqual(through.name, "store")
        assert.strictEqual(yield* through.put(1), 1)
        const busy = yield* start(through.put(2))
        yield* Effect.sleep(5)
        yield* TestNetwork.crash("a")
        const after = [yield* start(through.put(3)), yield* start(through.all)]
        yield* Effect.sleep("1 day")
        for (const fiber of [busy, ...after]) assert.isUndefined(fiber.pollUnsafe())
        // what it had asked for happened, and what it asks for now does not
        assert.deepStrictEqual(yield* store.all, [1, 2])
        yield* Fiber.interruptAll([busy, ...after])
      })
    )
  )

  it.effect(
    "at a host: requests and answers wait while the two are cut off from each other, or that host is down",
    () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const store = yield* makeStore
          const host = yield* TestNetwork.host("a")
          yield* TestNetwork.host("database")
          const through = host.through(store, { at: "database" })
          const asked = yield* start(through.put(1))
          yield* Effect.sleep(5)
          yield* TestNetwork.cut("a", "database")
          const waiting = yield* start(through.put(2))
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(yield* store.all, [1])
          assert.isUndefined(asked.pollUnsafe())
          yield* TestNetwork.heal("a", "database")
          assert.strictEqual(yield* Fiber.join(asked), 1)
          assert.strictEqual(yield* Fiber.join(waiting), 2)
          yield* TestNetwork.crash("database")
          const down = yield* start(through.put(3))
          yield* Effect.sleep("1 minute")
          assert.isUndefined(down.pollUnsafe())
          yield* TestNetwork.host("database")
          assert.strictEqual(yield* Fiber.join(down), 3)
        })
      )
  )
})

const connectedOn = (which: number) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<Effect.Success<ReturnType<typeof openConnection>>>()
    const server = yield* TestNetwork.host("b")
    yield* startServer({ port: 7000 + which, gracePeriod: 0 }, (connection) =>
      Effect.andThen(Deferred.succeed(accepted, connection), Effect.never)
    ).pipe(Effect.provideService(Network.Network, server))
    yield* Effect.forkChild(on("a", Effect.andThen(openConnection({ host: "b", port: 7000 + which }), Effect.never)))
    return { far: yield* Deferred.await(accepted) }
  })

describe("with a layer and a TestClock", () => {
  it.effect("cuts, crashes and faults of a script go by the clock that the test moves", () =>
    Effect.gen(function* () {
      const { far, near } = yield* connected("a", "b")
      const asleep = yield* start(Effect.exit(on("a", Effect.sleep("10 seconds"))))
      yield* TestClock.adjust(10)
      yield* near.writer.write("x")
      yield* TestNetwork.settled
      assert.strictEqual(yield* far.reader.buffered, 0)
      yield* TestClock.adjust(990)
      yield* TestNetwork.settled
      assert.strictEqual(yield* far.reader.buffered, 1)
      yield* TestNetwork.crash("a")
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.join(asleep)
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", `the host "a" crashed`)
      assert.strictEqual(text(yield* far.reader.readExactly(1)), "x")
      assert.strictEqual((yield* Effect.flip(far.reader.read(1)))._tag, "ConnectionLost")
    }).pipe(
      Effect.provide(TestNetwork.layerWith({ faults: [Faults.cut({ between: ["a", "b"], at: 10, millis: 990 })] }))
    )
  )
})

describe("as faults of a script", () => {
  it.effect("happen at their time, overlapping cuts end with the last, and the page tells of them", () =>
    Effect.gen(function* () {
      const faults = [
        Faults.cut({ between: ["b", "a"], at: 100, millis: 200 }),
        Faults.cut({ between: ["a", "b"], at: 200, millis: 800 }),
        Faults.crash({ host: "a", at: 2000 }),
        Faults.crash({ host: "nobody", at: 1 })
      ]
      assert.deepStrictEqual(Faults.format(faults).split("\n"), [
        "a | b: cut at 100 ms for 200 ms, cut at 200 ms for 800 ms",
        "a: crash at 2000 ms, connections reset",
        "nobody: crash at 1 ms, connections reset"
      ])
      const page = yield* TestNetwork.simulate(
        Effect.gen(function* () {
          const { far, near } = yield* connected("a", "b")
          yield* Effect.sleep(150)
          yield* near.writer.write("x")
          yield* far.reader.readExactly(1)
          assert.strictEqual(yield* now, 1000)
          yield* Effect.flip(far.reader.read(1))
          assert.strictEqual(yield* now, 2000)
          return yield* TestNetwork.timeline
        }),
        { faults }
      )
      assert.include(page, "   100.000  #1 client → fault: cut")
      assert.include(page, "  1000.000  #1 client → fault: healed")
      assert.include(page, "  2000.000  #1 client → fault: a crashed")
      assert.include(page, "a: crash at 2000 ms, connections reset")
    })
  )

  it.effect("a fault in an impossible place is a defect", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [Faults.Fault, string]> = [
        [{ _tag: "Cut", between: ["a", "a"], at: 0, millis: 1 }, "faults[0].between must be the names of two hosts"],
        [{ _tag: "Cut", between: ["a", "b"], at: -1, millis: 1 }, "faults[0].at must be"],
        [{ _tag: "Crash", host: "", at: 0, connections: "reset" }, "faults[0].host must be the name of a host"],
        [{ _tag: "Crash", host: "a", at: 0, connections: "burn" as "reset" }, `faults[0].connections must be one of`]
      ]
      for (const [fault, message] of wrong) {
        const exit = yield* Effect.exit(TestNetwork.simulate(Effect.void, { faults: [fault] }))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", message)
      }
    })
  )

  it("generated: only with hosts, within bounds, of both kinds, and shrunk to none", () => {
    const kinds = new Set<string>()
    const bounds = { hosts: ["a", "b", "c"], maxMillis: 500, maxFaults: 4 }
    fc.assert(
      fc.property(Faults.arbitrary(fc, bounds), (script) => {
        for (const fault of script) {
          kinds.add(fault._tag)
          if (fault._tag === "Cut") {
            assert.notStrictEqual(fault.between[0], fault.between[1])
            assert.isAtMost(fault.at, 500)
          }
        }
        assert.deepStrictEqual(JSON.parse(JSON.stringify(script)), script)
      }),
      { numRuns: 300 }
    )
    assert.includeMembers([...kinds], ["Cut", "Crash", "Reset"])
    const none = new Set<string>()
    fc.assert(fc.property(Faults.arbitrary(fc), (script) => script.forEach((fault) => none.add(fault._tag))))
    assert.isFalse(none.has("Cut") || none.has("Crash"))
    const found = fc.check(
      fc.property(Faults.arbitrary(fc, { ...bounds, kinds: ["Cut", "Crash"] }), (script) =>
        script.every((fault) => fault._tag !== "Crash" || fault.at < 100)
      ),
      { numRuns: 1000 }
    )
    assert.deepStrictEqual(found.counterexample, [[Faults.crash({ host: "a", at: 100 })]])
    assert.throws(() => Faults.arbitrary(fc, { kinds: ["Cut"], hosts: ["a"] }), /Cut needs 2 names in hosts, got 1/)
  })
})
