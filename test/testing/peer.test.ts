/** The scripted peer: what it does, over what, and what its failures look like. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as TestPeer from "effect-byte-streams/testing/TestPeer"
import { duplexPair } from "node:stream"
import { text } from "../support/bytes.ts"
import { start, waits } from "../support/fibers.ts"

/** Runs a script at one end of a pair, and a program at the other; what became of the script. */
const against = (
  script: TestPeer.Script,
  program: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
  options?: TestPeer.RunOptions
) =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair()
    yield* start(Effect.ignore(program(left)))
    return yield* Effect.flip(TestPeer.run(script, right, { patience: "200 millis", ...options }))
  })

const sends =
  (...pieces: ReadonlyArray<string>) =>
  ({ writer }: Connection.Connection) =>
    Effect.forEach(pieces, (piece) => Effect.andThen(writer.write(piece), writer.flush))

const realSleep = (millis: number) => TestClock.withLive(Effect.sleep(millis))

const lines = (error: TestPeer.PeerFailed): ReadonlyArray<string> => error.message.split("\n")

describe("following a script", () => {
  it.effect("every step, over a pair", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const script = TestPeer.script
        .expect("HELLO\n")
        .send("hi\n")
        .skip(4)
        .expect(Uint8Array.of(0, 255))
        .wait("3 seconds")
        .send("bye\n")
        .halfClose.expect("last").expectEof.close
      const peer = yield* start(TestPeer.run(script, right))
      yield* left.writer.write("HELLO\n")
      assert.strictEqual(text(yield* left.reader.readLine), "hi\n")
      yield* left.writer.write("any!")
      yield* left.writer.write(Uint8Array.of(0, 255))
      const bye = yield* start(left.reader.readLine)
      yield* TestClock.adjust("2999 millis")
      assert.isTrue(waits(bye))
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(text(yield* Fiber.join(bye)), "bye\n")
      assert.strictEqual((yield* left.reader.readLine).length, 0)
      yield* left.writer.write("last")
      yield* left.writer.writeEof
      yield* Fiber.join(peer)
    })
  )

  it.effect("reset, and expecting to be reset", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const peers = [
        yield* start(TestPeer.run(TestPeer.script.expect("x").reset, left)),
        yield* start(TestPeer.run(TestPeer.script.send("x").expectLost, right))
      ]
      for (const peer of peers) yield* Fiber.join(peer)
    })
  )

  it.effect("whatever the pieces are in which the bytes come", () =>
    Effect.forEach(["oneByte", "halves", { offsets: [3, 4] }] as const, (chunking) =>
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair({ fromClient: { chunking } })
        yield* left.writer.write("one two three")
        yield* TestPeer.run(TestPeer.script.expect("one ").expect("two").expect(" three"), right)
      })
    )
  )

  it.live("over any connection", () =>
    Effect.gen(function* () {
      const [left, right] = duplexPair()
      const end = yield* Connection.fromDuplex(left)
      yield* start(Effect.andThen(end.writer.write("ping"), end.writer.writeEof))
      yield* TestPeer.run(TestPeer.script.expect("ping").expectEof, yield* Connection.fromDuplex(right))
    })
  )

  it("is data, can be put together, and printed", () => {
    const greeting = TestPeer.script.send("hi")
    const script = greeting.expect("a").followedBy(TestPeer.script.wait("1 second").reset)
    assert.strictEqual(greeting.steps.length, 1)
    assert.deepStrictEqual(TestPeer.fromSteps(script.steps).steps, script.steps)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(script)), {
      _id: "TestPeer.Script",
      steps: ["send 2 bytes", "expect 1 byte", "wait 1s", "reset"]
    })
  })

  it("a step of an unknown kind is refused, and not waited for", () => {
    const rain = { _tag: "Rain" } as unknown as TestPeer.Step
    assert.throws(
      () => TestPeer.fromSteps([{ _tag: "Close" }, rain]),
      'TestPeer.fromSteps: steps[1]._tag must be one of "Expect", "Skip"'
    )
  })

  it("its bytes are its own", () => {
    const memory = Uint8Array.of(1, 2)
    const script = TestPeer.script.expect(memory)
    memory.fill(9)
    assert.deepStrictEqual(script.steps[0], { _tag: "Expect", bytes: Uint8Array.of(1, 2) })
  })
})

describe("what failures show", () => {
  it.effect("a wrong byte: where it is, in both, with what came behind it", () =>
    Effect.gen(function* () {
      const error = yield* against(TestPeer.script.skip(2).expect("hello, world\n"), sends("??hello_world\nand more"))
      assert.deepStrictEqual(lines(error), [
        "step 2 of 2, expect 13 bytes: byte 5 is 0x5f '_' and not 0x2c ','",
        "expected 13 bytes",
        "  00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0a           |hello, world.|",
        "                           ^^",
        "actual 20 bytes",
        "  00000000  68 65 6c 6c 6f 5f 77 6f  72 6c 64 0a 61 6e 64 20  |hello_world.and |",
        "                           ^^",
        "  00000010  6d 6f 72 65                                       |more|"
      ])
      assert.strictEqual(error.step, 2)
      assert.strictEqual(error.offset, 7)
    })
  )

  it.effect("of many bytes only those around it are shown", () =>
    Effect.gen(function* () {
      const expected = "0123456789abcdef".repeat(20)
      const error = yield* against(
        TestPeer.script.expect(expected),
        sends(`${expected.slice(0, 169)}!${expected.slice(170)}`)
      )
      assert.deepStrictEqual(lines(error), [
        "step 1 of 1, expect 320 bytes: byte 169 is 0x21 '!' and not 0x39 '9'",
        "expected 320 bytes",
        "  … 128 bytes before",
        "  00000080  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  00000090  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  000000a0  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "                                        ^^",
        "  000000b0  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  000000c0  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  … 112 bytes more",
        "actual 320 bytes",
        "  … 128 bytes before",
        "  00000080  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  00000090  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  000000a0  30 31 32 33 34 35 36 37  38 21 61 62 63 64 65 66  |012345678!abcdef|",
        "                                        ^^",
        "  000000b0  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  000000c0  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "  … 112 bytes more"
      ])
    })
  )

  it.effect("an end that comes too early", () =>
    Effect.gen(function* () {
      const error = yield* against(TestPeer.script.expect("hello"), ({ writer }) =>
        Effect.andThen(writer.write("he"), writer.writeEof)
      )
      assert.deepStrictEqual(lines(error), [
        "step 1 of 1, expect 5 bytes: the stream ended after 2 of 5 bytes",
        "expected 5 bytes",
        "  00000000  68 65 6c 6c 6f                                    |hello|",
        "                  ^^",
        "actual 2 bytes",
        "  00000000  68 65                                             |he|",
        "                  ^^"
      ])
      const none = yield* against(TestPeer.script.expect("x"), ({ writer }) => writer.writeEof)
      assert.deepStrictEqual(lines(none), [
        "step 1 of 1, expect 1 byte: the stream ended before the first byte",
        "expected 1 byte",
        "  00000000  78                                                |x|",
        "            ^^",
        "actual 0 bytes",
        "  (nothing)"
      ])
    })
  )

  it.effect("a connection that breaks, with what came before", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair({ faults: [Faults.reset({ from: "client", after: 2 })] })
      yield* left.writer.write("hello")
      const error = yield* Effect.flip(TestPeer.run(TestPeer.script.expect("hello"), right))
      assert.include(error.message, "the connection was lost (Reset, ECONNRESET), after 2 of 5 bytes")
    })
  )

  it.effect("nothing at all, after a while in real time", () =>
    Effect.gen(function* () {
      const error = yield* against(TestPeer.script.expect("hello"), sends("he"), { patience: "30 millis" })
      assert.strictEqual(lines(error)[0], "step 1 of 1, expect 5 bytes: nothing for 30ms, after 2 of 5 bytes")
    })
  )

  it.effect("bytes, or an end, where there should be none", () =>
    Effect.gen(function* () {
      const bytes = yield* against(TestPeer.script.expectEof, sends("surprise"))
      assert.deepStrictEqual(lines(bytes), [
        "step 1 of 1, expect the end: got 8 bytes",
        "  00000000  73 75 72 70 72 69 73 65                           |surprise|",
        "            ^^"
      ])
      const end = yield* against(TestPeer.script.expectLost, ({ writer }) => writer.writeEof)
      assert.strictEqual(end.message, "step 1 of 1, expect the connection to break: the stream ended in good order")
      const early = yield* against(TestPeer.script.skip(3), ({ writer }) => writer.writeEof)
      assert.include(early.message, "step 1 of 1, skip 3 bytes: skip: the stream ended after 0 of 3 bytes")
    })
  )
})

describe("listening and dialling", () => {
  const greeting = TestPeer.script.send("220 ready\r\n").expect("QUIT\r\n").close

  const quit = (port: number) =>
    Effect.gen(function* () {
      const { reader, writer } = yield* openConnection({ host: "127.0.0.1", port })
      yield* reader.readLine
      yield* writer.write("QUIT\r\n")
    })

  for (const [name, layer] of [
    ["in memory", TestNetwork.layer],
    ["on real sockets", NodeNetwork.layer]
  ] as const) {
    it.live(`listens: ${name}`, () =>
      Effect.gen(function* () {
        const peer = yield* TestPeer.listen(greeting)
        yield* quit(peer.port)
        yield* peer.done
      }).pipe(Effect.scoped, Effect.provide(layer))
    )

    it.live(`dials: ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
          Effect.andThen(writer.write("220 ready\r\n"), reader.readLine)
        )
        const client = TestPeer.script.expect("220 ready\r\n").send("QUIT\r\n").expectEof
        yield* TestPeer.dial(client, { host: "127.0.0.1", port: server.port })
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  it.effect("one script a client, in order; whoever comes after is reset", () =>
    Effect.gen(function* () {
      const peer = yield* TestPeer.listen([TestPeer.script.send("first"), TestPeer.script.send("second")])
      const all = Effect.flatMap(openConnection({ port: peer.port }), ({ reader }) => reader.readAll({ maxBytes: 100 }))
      assert.strictEqual(text(yield* all), "first")
      assert.strictEqual(text(yield* all), "second")
      yield* peer.done
      assert.strictEqual((yield* Effect.flip(all))._tag, "ConnectionLost")
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.effect("done tells what went wrong, and the client is reset", () =>
    Effect.gen(function* () {
      const peer = yield* TestPeer.listen(greeting)
      const { reader, writer } = yield* openConnection({ port: peer.port })
      yield* writer.write("QUIP\r\n")
      const error = yield* Effect.flip(peer.done)
      assert.include(error.message, "byte 3 is 0x50 'P' and not 0x54 'T'")
      yield* reader.readLine
      assert.strictEqual((yield* Effect.flip(reader.readLine))._tag, "ConnectionLost")
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.effect("done fails when nobody comes, and not while somebody is there", () =>
    Effect.gen(function* () {
      const script = TestPeer.script.expect("hello").wait("1 hour").send("bye")
      const peer = yield* TestPeer.listen([script, script], { patience: "100 millis" })
      const done = yield* start(Effect.flip(peer.done))
      const { reader, writer } = yield* openConnection({ port: peer.port })
      yield* writer.write("hello")
      // longer than the patience; it is the script that takes its time
      yield* TestNetwork.settled
      yield* realSleep(300)
      assert.isTrue(waits(done))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(text(yield* reader.readExactly(3)), "bye")
      const error = yield* Fiber.join(done)
      assert.strictEqual(error.message, "step 1 of 3, expect 5 bytes: nobody connected for 100ms")
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )

  it.effect("dialling tells of a connection that cannot be opened", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(TestPeer.dial(TestPeer.script, { port: 9 }))
      assert.strictEqual(error._tag, "ConnectFailed")
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
