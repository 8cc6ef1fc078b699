/** The laws themselves: transports that break them are caught and told how; and what a test runner is given. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Connection, Transport } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"

/** In memory, with little room between the two. */
const sound = Effect.flatMap(
  Layer.build(TestNetwork.layerWith({ fromClient: { capacity: 5000 }, fromServer: { capacity: 5000 } })),
  (services) => Effect.provideContext(StreamLaws.overNetwork({ port: 0 }), services)
)

/** What a wrapper does differently: to the calls it gets, or to those it makes. */
interface Fault {
  readonly calls?: (transport: Transport.Transport) => Partial<Transport.Transport>
  readonly handler?: (handler: Transport.Handler, transport: Transport.Transport) => Partial<Transport.Handler>
}

const delegate = (handler: Transport.Handler): Transport.Handler => ({
  onData: (bytes) => handler.onData(bytes),
  onEnd: () => handler.onEnd(),
  onDrain: () => handler.onDrain(),
  onWriteFailure: (failure) => handler.onWriteFailure(failure),
  onClose: (failure) => handler.onClose(failure)
})

const broken = (fault: Fault): typeof sound => {
  const wrap = (inner: Transport.Transport): Transport.Transport => ({
    info: inner.info,
    attach: (handler) => inner.attach({ ...delegate(handler), ...fault.handler?.(handler, inner) }),
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    write: (chunks) => inner.write(chunks),
    end: () => inner.end(),
    close: () => inner.close(),
    abort: () => inner.abort(),
    ...fault.calls?.(inner)
  })
  return Effect.map(sound, ({ left, right }) => ({ left: wrap(left), right: wrap(right) }))
}

const streamLaw = (part: string): StreamLaws.Law => {
  const found = StreamLaws.all.filter((law) => law.name.includes(part))
  assert.strictEqual(found.length, 1, `laws called ${part}`)
  return found[0]!
}

const transportLaw = (part: string): StreamLaws.TransportLaw => {
  const found = StreamLaws.transport.filter((law) => law.name.includes(part))
  assert.strictEqual(found.length, 1, `laws called ${part}`)
  return found[0]!
}

const impatient = Effect.provideService(StreamLaws.patience, "1 second")

/** The violation that a law finds in connections over broken transports. */
const violates = (fault: Fault, law: string) =>
  Effect.flip(streamLaw(law).check(StreamLaws.fromTransports(broken(fault)))).pipe(impatient)

const breaches = (fault: Fault, law: string) => Effect.flip(transportLaw(law).check(broken(fault))).pipe(impatient)

describe("transports that are no good", () => {
  it.live("one that loses a byte", () =>
    Effect.gen(function* () {
      const violation = yield* violates(
        {
          handler: (handler) => {
            let seen = 0
            return {
              onData: (bytes) => {
                const cut = seen < 1000 && seen + bytes.length >= 1000
                seen += bytes.length
                handler.onData(cut ? bytes.subarray(0, bytes.length - 1) : bytes)
              }
            }
          }
        },
        "small buffers"
      )
      assert.strictEqual(violation._tag, "LawViolation")
      assert.strictEqual(violation.law, "small buffers carry everything")
      assert.match(violation.message, /what arrived: differs from byte \d+ on\nexpected 3000 bytes\n/)
      assert.include(violation.message, violation.statement)
    })
  )

  it.live("one that ignores pause", () =>
    Effect.gen(function* () {
      const violation = yield* violates({ calls: () => ({ pause: () => {} }) }, "a reader that pauses")
      assert.match(violation.found, /held up|nobody read one|the reader, whose limit is/)
    })
  )

  it.live("one that forgets to go on", () =>
    Effect.gen(function* () {
      const violation = yield* violates({ calls: () => ({ resume: () => {} }) }, "stopping and going on")
      assert.include(violation.found, "not within 1s")
    })
  )

  it.live("one that calls an abort a good end", () =>
    Effect.gen(function* () {
      const violation = yield* violates(
        { handler: (handler) => ({ onClose: () => handler.onEnd(), onWriteFailure: () => {} }) },
        "aborting the receiver"
      )
      assert.include(violation.found, "writing on and on")
    })
  )

  it.live("one that answers within the call", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          calls: (inner) => {
            let handler: Transport.Handler | undefined
            return {
              attach: (to) => inner.attach((handler = to)),
              write: (chunks) => {
                if (inner.write(chunks)) handler?.onDrain()
                return false
              }
            }
          }
        },
        "one run"
      )
      assert.include(violation.found, "onDrain was called from inside write")
    })
  )

  it.live("one that keeps the writer's memory", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          calls: (inner) => ({
            write: (chunks) => {
              setImmediate(() => inner.write(chunks))
              return true
            }
          })
        },
        "memory"
      )
      assert.include(violation.found, "what arrived: differs from byte 0 on")
    })
  )

  it.live("one that goes on after abort", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        { calls: (inner) => ({ abort: () => inner.end(), close: () => {} }) },
        "after abort"
      )
      assert.match(violation.found, /was called after abort/)
    })
  )

  it.live("one that says twice that it is over", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          handler: (handler) => ({
            onClose: (failure) => {
              handler.onClose(failure)
              handler.onClose(failure)
            }
          })
        },
        "last call"
      )
      assert.include(violation.found, "onClose was called")
    })
  )

  it.live("one that forgets what came before anybody was attached", () =>
    Effect.gen(function* () {
      // attached on the way, with nobody to tell
      const violation = yield* breaches(
        {
          calls: (inner) => {
            let handler: Transport.Handler | undefined
            inner.attach({
              onData: (bytes) => handler?.onData(bytes),
              onEnd: () => handler?.onEnd(),
              onDrain: () => handler?.onDrain(),
              onWriteFailure: (failure) => handler?.onWriteFailure(failure),
              onClose: (failure) => handler?.onClose(failure)
            })
            return { attach: (to) => void (handler = to) }
          }
        },
        "over before attach"
      )
      assert.include(violation.found, "onEnd: not within 1s")
    })
  )

  it.live("one whose end overtakes what it holds", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          calls: (inner) => ({
            write: (chunks) => {
              const all = Buffer.concat(chunks)
              inner.write([all.subarray(0, 4000)])
              // the rest is never asked for again
              return all.length <= 4000
            }
          })
        },
        "yet to take"
      )
      assert.include(violation.found, "what arrived before the end: differs from byte 4000 on")
    })
  )

  it.live("one that calls a reset an end, once a write has met it", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        { handler: (handler) => ({ onClose: () => handler.onEnd() }) },
        "a write meets first"
      )
      assert.include(violation.found, "onEnd was called, when everything was delivered")
    })
  )

  it.live("one whose turns end within the call", () =>
    Effect.gen(function* () {
      const violation = yield* breaches({ calls: () => ({ atEndOfTurn: (task) => task() }) }, "end of a turn")
      assert.include(violation.found, "a task was done within the call")
    })
  )

  it.live("one whose turns do not end", () =>
    Effect.gen(function* () {
      const violation = yield* breaches({ calls: () => ({ atEndOfTurn: () => {} }) }, "end of a turn")
      assert.include(violation.found, "all tasks are done: not within 1s")
    })
  )

  it.live("one that delivers all that has come, whatever is called meanwhile", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          handler: (handler) => {
            const come: Array<Uint8Array> = []
            return {
              onData: (bytes) => {
                if (come.push(bytes) === 1) {
                  setTimeout(() => {
                    for (const piece of come.splice(0)) handler.onData(piece)
                  }, 10)
                }
              }
            }
          }
        },
        "from within a callback"
      )
      assert.match(
        violation.found,
        /pieces were delivered behind a pause in onData|onData was called after (close|abort)/
      )
    })
  )

  it.live("one that delivers nothing, as if it were something", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          handler: (handler) => ({
            onData: (bytes) => {
              handler.onData(new Uint8Array(0))
              handler.onData(bytes)
            }
          })
        },
        "one run"
      )
      assert.include(violation.found, "onData was called without a byte")
    })
  )

  it.live("one whose copies are none where a chunk is a Buffer", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          calls: (inner) => ({
            write: (chunks) => {
              const copies = chunks.map((chunk) => chunk.slice())
              setImmediate(() => inner.write(copies))
              return true
            }
          })
        },
        "memory"
      )
      assert.match(violation.found, /what arrived: differs from byte 1 on/)
    })
  )

  it.live("one that nobody can let go of before attach", () =>
    Effect.gen(function* () {
      for (const how of ["close", "abort"] as const) {
        const violation = yield* breaches(
          {
            calls: (inner) => {
              let attached = false
              return {
                attach: (to) => {
                  attached = true
                  inner.attach(to)
                },
                [how]: () => attached && inner[how]()
              }
            }
          },
          "nobody attached"
        )
        assert.include(violation.found, `the peer is told of the ${how}: not within 1s`)
      }
    })
  )

  it.live("one that takes its time to abort, and sends meanwhile", () =>
    Effect.gen(function* () {
      const violation = yield* breaches(
        {
          calls: (inner) => {
            let handler: Transport.Handler | undefined
            return {
              attach: (to) => {
                handler = to
                inner.attach({
                  onData: (bytes) => handler?.onData(bytes),
                  onEnd: () => handler?.onEnd(),
                  onDrain: () => handler?.onDrain(),
                  onWriteFailure: (failure) => handler?.onWriteFailure(failure),
                  onClose: (failure) => handler?.onClose(failure)
                })
              },
              abort: () => {
                handler = undefined
                setTimeout(() => inner.abort(), 10)
              }
            }
          }
        },
        "behind close or abort"
      )
      assert.include(violation.found, "what arrived, behind abort as well: differs from byte 6 on")
    })
  )

  describe("one that holds a write, and", () => {
    const held: ReadonlyArray<readonly [what: string, fault: Fault, law: string, found: string]> = [
      ...([0, 1e9, -1, NaN] as const).map(
        (unsent) =>
          [
            `says that ${unsent} bytes of it are unsent`,
            { calls: () => ({ unsent }) },
            "a write that is held is told",
            `unsent was ${unsent} while the write was held`
          ] as const
      ),
      [
        "forgets that some of it was unsent",
        { calls: () => ({ unsent: 5 }) },
        "a write that is held is told",
        "unsent was 5 behind onDrain"
      ],
      [
        "tells nothing to one that has paused",
        {
          calls: (inner) => {
            let paused = false
            return {
              pause: () => {
                paused = true
                inner.pause()
              },
              attach: (to) => inner.attach({ ...delegate(to), onDrain: () => paused || to.onDrain() })
            }
          }
        },
        "a write that is held is told",
        "onDrain while this side has paused, and the peer reads"
      ],
      [
        "tells nothing behind the end of the peer",
        {
          handler: (handler) => {
            let ended = false
            return {
              onEnd: () => {
                ended = true
                handler.onEnd()
              },
              onDrain: () => ended || handler.onDrain()
            }
          }
        },
        "the end of the peer takes nothing",
        "onDrain behind onEnd"
      ],
      [
        "does not say that the peer has broken off",
        { handler: () => ({ onWriteFailure: () => {} }) },
        "when the peer goes",
        "the write, behind the abort of a peer that did not read"
      ]
    ]
    for (const [what, fault, law, found] of held) {
      it.live(what, () => Effect.map(breaches(fault, law), (violation) => assert.include(violation.found, found)))
    }
  })

  it.live("one that cannot even connect", () =>
    Effect.gen(function* () {
      const nothing = StreamLaws.overNetwork({ host: "nowhere.example", port: 1 }).pipe(
        Effect.provide(TestNetwork.layerWith({ hosts: { "nowhere.example": [] } }))
      )
      const violation = yield* Effect.flip(streamLaw("one byte sent").check(StreamLaws.fromTransports(nothing)))
      assert.include(violation.found, "no pair could be made: it failed with ListenFailed")
    })
  )

  it.live("one that fails to connect in words of its own", () =>
    Effect.gen(function* () {
      for (const [error, words] of [
        ["no luck", '"no luck" (string)'],
        [new Error("no luck"), "Error: no luck"],
        [null, "null"],
        [undefined, "undefined"]
      ] as const) {
        const violation = yield* Effect.flip(streamLaw("one byte sent").check(() => Effect.fail(error)))
        assert.strictEqual(violation.found, `no pair could be made: it failed with ${words}`)
      }
    })
  )

  it.live("one that is never made", () =>
    Effect.gen(function* () {
      const violation = yield* Effect.flip(impatient(streamLaw("one byte sent").check(() => Effect.never)))
      assert.strictEqual(violation.found, "making a pair: not within 1s")
      const breach = yield* Effect.flip(impatient(transportLaw("one run").check(Effect.never)))
      assert.strictEqual(breach.found, "making the transports: not within 1s")
    })
  )

  it.live("in memory the violation tells what crossed the wire", () =>
    Effect.gen(function* () {
      // an end too early: what a law finds over a network that cheats
      const cheating: StreamLaws.MakePair = (options) =>
        TestNetwork.pair({ ...options, faults: [{ _tag: "Fin", connection: 1, from: "client", after: 3 }] })
      const violation = yield* Effect.flip(streamLaw("half-close:").check(cheating))
      assert.include(violation.found, "the question: differs from byte 3 on")
      assert.include(violation.found, '#1 client → 3 B at 0  "que"')
      assert.include(violation.found, "FIN (by fault)")
    })
  )
})

describe("streams that are no good", () => {
  /** A pair in memory of which both ends do something differently. */
  const pairOf =
    (wrong: (connection: Connection.Connection) => Partial<Connection.Connection>): StreamLaws.MakePair =>
    (options) =>
      Effect.map(TestNetwork.pair(options), ({ left, right }) => ({
        left: instead(left, wrong(left)),
        right: instead(right, wrong(right))
      }))

  const instead = <A extends object>(self: A, other: Partial<A>): A =>
    new Proxy(self, {
      get: (_, key) => {
        const source = key in other ? other : self
        const value = Reflect.get(source, key, source) as unknown
        return typeof value === "function" ? value.bind(source) : value
      }
    })

  it.live("none, if nothing is done differently", () =>
    Effect.gen(function* () {
      const pair = pairOf(({ reader, writer }) => ({ reader: instead(reader, {}), writer: instead(writer, {}) }))
      for (const part of ["is interrupted", "one run of bytes, whoever", "hold up a close", "before the loss"]) {
        for (const law of StreamLaws.all.filter(({ name }) => name.includes(part))) yield* law.check(pair)
      }
    })
  )

  it.live("one whose bytes are in the air between two steps of a read", () =>
    Effect.gen(function* () {
      const pair = pairOf(({ reader }) => ({
        reader: instead(reader, { read: (count) => Effect.tap(reader.read(count), () => Effect.yieldNow) })
      }))
      const violation = yield* Effect.flip(impatient(streamLaw("a read that is interrupted").check(pair)))
      assert.match(violation.found, /^(from right to left: )?read, interrupted/)
      assert.include(violation.found, "differs from byte")
    })
  )

  it.live("one whose writes come apart", () =>
    Effect.gen(function* () {
      const pair = pairOf(({ writer }) => ({
        writer: instead(writer, {
          write: (data) => {
            const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data
            const half = bytes.length >> 1
            return Effect.andThen(
              Effect.andThen(writer.write(bytes.slice(0, half)), Effect.yieldNow),
              writer.write(bytes.slice(half))
            )
          }
        })
      }))
      const torn = yield* Effect.flip(impatient(streamLaw("a write that is interrupted").check(pair)))
      assert.match(torn.found, /what arrived, interrupted (before step \d+|where it wa.*): differs from byte/)
      const mixed = yield* Effect.flip(impatient(streamLaw("one run of bytes, whoever").check(pair)))
      assert.match(mixed.found, /a byte of writer \d+ in a frame of writer \d+/)
    })
  )

  it.live("one whose close waits for ever", () =>
    Effect.gen(function* () {
      const pair = pairOf(({ writer }) => ({ writer: instead(writer, { close: Effect.never }) }))
      const violation = yield* Effect.flip(impatient(streamLaw("cannot hold up a close").check(pair)))
      assert.include(violation.found, "not within 1s")
    })
  )

  it.live("one that forgets what came before a loss", () =>
    Effect.gen(function* () {
      const pair = pairOf((connection) => ({
        reader: instead(connection.reader, {
          read: (count) =>
            Effect.flatMap(Effect.timeoutOption(connection.closed, "20 millis"), (closed) =>
              closed._tag === "Some" && closed.value._tag === "Lost"
                ? Effect.fail(closed.value.error)
                : connection.reader.read(count)
            )
        })
      }))
      const violation = yield* Effect.flip(impatient(streamLaw("before a loss is read before the loss").check(pair)))
      assert.include(violation.found, "0 could be read")
    })
  )
})

describe("suites", () => {
  const laws = [...StreamLaws.all, ...StreamLaws.transport]

  it("every law has a name of its own and a sentence", () => {
    assert.isAbove(StreamLaws.all.length, 30)
    assert.strictEqual(new Set(laws.map((law) => law.name)).size, laws.length)
    for (const { name, statement } of laws) {
      assert.notMatch(name, /[.]$/)
      assert.match(statement, /^[A-Z`a-z].*[.]$/s)
    }
  })

  it("every law of trio's two-way and half-closeable streams is among them", () => {
    const named = laws.flatMap(({ name }) => name.match(/L\d+/g) ?? [])
    const expected = Array.from({ length: 31 }, (_, n) => `L${n}`)
    assert.deepStrictEqual(
      expected.filter((number) => !named.includes(number)),
      []
    )
  })

  it("register one test a law, but for those that do not apply", async () => {
    const registered = new Map<string, () => Promise<void>>()
    const register: StreamLaws.It = (name, run) => registered.set(name, run)
    const [first] = StreamLaws.all
    StreamLaws.suite(register, (options) => TestNetwork.pair(options), { except: { [first!.name]: "for this test" } })
    assert.deepStrictEqual(
      [...registered.keys()],
      StreamLaws.all.slice(1).map((law) => law.name)
    )
    await registered.get(StreamLaws.all[1]!.name)!()
    registered.clear()
    StreamLaws.transportSuite(register, sound)
    assert.strictEqual(registered.size, StreamLaws.transport.length)
  })

  it("an exception for a law that does not exist is a mistake", () => {
    assert.throws(
      () =>
        StreamLaws.suite(
          () => {},
          (options) => TestNetwork.pair(options),
          { except: { gravity: "" } }
        ),
      'there is no law "gravity"'
    )
  })

  it("a test fails with the violation, and no later than its patience says", async () => {
    const tests = new Map<string, () => Promise<void>>()
    StreamLaws.suite(
      (name, run) => tests.set(name, run),
      (options) =>
        TestNetwork.pair({
          ...options,
          faults: [{ _tag: "Stall", connection: 1, from: "client", after: 0, millis: "forever" }]
        }),
      { patience: "100 millis" }
    )
    const failure = await tests.get(streamLaw("one byte sent").name)!().then(
      () => undefined,
      (error: unknown) => error
    )
    assert.instanceOf(failure, StreamLaws.LawViolation)
    assert.include(failure.message, "read(10): not within 100ms")
  })
})
