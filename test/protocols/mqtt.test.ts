/** MQTT in examples/protocols: with mosquitto, under generated faults, and against bad input. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { Frame, NodeNetwork, openConnection, openUnixConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as fc from "fast-check"
import { chmodSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { make, type Message, type Options, packetFrame, type QoS } from "../../examples/protocols/mqtt.ts"
import { start } from "../support/fibers.ts"
import { Broker } from "../support/mqttBroker.ts"
import { needs } from "../support/peers.ts"
import * as Program from "../support/program.ts"
import { forAll } from "../support/property.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually, within } from "../support/wait.ts"

const message = (topic: string, text: string, qos: QoS = 1, retain = false): Message => ({
  topic,
  payload: Buffer.from(text),
  qos,
  retain
})
const textOf = ({ payload }: Message): string => Buffer.from(payload).toString()
const texts = (messages: Stream.Stream<Message>, count: number) =>
  Effect.map(Stream.runCollect(Stream.take(messages, count)), (all) => all.map(textOf))
const numbers = (count: number, prefix = "") => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

// ---------------------------------------------------------------------------
// mosquitto
// ---------------------------------------------------------------------------

/**
 * A broker on a Unix socket, which keeps sessions where it is told to, and can be stopped and started again.
 *
 * mosquitto has more messages of QoS 2 on their way to a subscriber than its max_inflight_messages, and after a restart it
 * publishes those above that number anew, although it had the PUBREC and sent the PUBREL. No test reaches 1,000.
 */
const mosquitto = (more = "") =>
  Effect.gen(function* () {
    const path = yield* socketPath()
    const directory = dirname(path)
    chmodSync(directory, 0o777)
    const configuration = `${path}.conf`
    writeFileSync(
      configuration,
      `listener 0 ${path}\nuser root\nmax_inflight_messages 1000\nmax_queued_messages 0\n` +
        `persistence true\npersistence_location ${directory}/\n` +
        (more === "" ? "allow_anonymous true\n" : more)
    )
    const open = openUnixConnection(path)
    const run = Effect.tap(Program.start("mosquitto", ["-c", configuration]), () =>
      within("mosquitto listens", Effect.scoped(Effect.retry(open, { schedule: Schedule.spaced(10) })))
    )
    return { open, run, running: yield* run }
  })

/** Ends it as a restart of the service does: it writes down what it keeps. */
const stop = (program: Program.Program) =>
  Effect.suspend(() => {
    program.signal("SIGTERM")
    return Effect.asVoid(program.succeeds)
  })

const live = <A, E>(
  title: string,
  test: () => Effect.Effect<A, E, Scope.Scope | Effect.Services<ReturnType<typeof openUnixConnection>>>
) =>
  it.live(title, () => test().pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)), {
    ...needs("mosquitto"),
    timeout: 30_000
  })

const client = <E, R, F extends string>(
  open: Parameters<typeof make<E, R, F>>[0],
  clientId: string,
  subscriptions: Readonly<Record<F, QoS>>,
  options?: Partial<Options<F>>
) =>
  within(`${clientId} connects`, make(open, { clientId, cleanSession: true, keepAlive: 60, subscriptions, ...options }))

describe("with mosquitto", () => {
  live("every QoS comes as it was published, in order, of every size, to those whose filter has its topic", () =>
    Effect.gen(function* () {
      const { open } = yield* mosquitto()
      const me = yield* client(open, "me", { "a/+/c": 2, "a/#": 2, "+/+": 0 })
      for (const qos of [0, 1, 2] as const) {
        for (const size of [0, 1, 121, 300_000]) {
          const payload = new Uint8Array(size).fill(qos + 1)
          yield* within("it is accepted", me.publish({ topic: "a/b/c", payload, qos, retain: false }))
        }
      }
      const heard = yield* within("all of them", Stream.runCollect(Stream.take(me.messages("a/+/c"), 12)))
      assert.deepStrictEqual(
        heard.map(({ payload, qos, topic }) => [topic, qos, payload.length, payload.at(-1) ?? qos + 1]),
        [0, 1, 2].flatMap((qos) => [0, 1, 121, 300_000].map((size) => ["a/b/c", qos, size, qos + 1]))
      )
      yield* me.publish(message("a", "parent"))
      yield* me.publish(message("x/y", "two levels"))
      assert.deepStrictEqual((yield* within("those of a/#", texts(me.messages("a/#"), 13))).at(-1), "parent")
      assert.deepStrictEqual(yield* within("those of +/+", texts(me.messages("+/+"), 1)), ["two levels"])
    })
  )

  live("what is retained comes to whoever subscribes later, and says so", () =>
    Effect.gen(function* () {
      const { open } = yield* mosquitto()
      yield* Effect.flatMap(client(open, "one", {}), (one) => one.publish(message("state", "on", 1, true)))
      const other = yield* client(open, "other", { state: 1 })
      yield* other.publish(message("state", "now"))
      const heard = yield* within("both", Stream.runCollect(Stream.take(other.messages("state"), 2)))
      assert.deepStrictEqual(
        heard.map((one) => [textOf(one), one.retain]),
        [
          ["on", true],
          ["now", false]
        ]
      )
    })
  )

  live("the will is published if the client's scope fails, and not if it ends well", () =>
    Effect.gen(function* () {
      const { open } = yield* mosquitto()
      const watcher = yield* client(open, "watcher", { gone: 1 })
      for (const [name, exit] of [
        ["well", Exit.void],
        ["badly", Exit.fail("no")]
      ] as const) {
        const scope = yield* Scope.make()
        yield* Scope.provide(client(open, name, {}, { will: message("gone", name) }), scope)
        yield* within("it leaves", Scope.close(scope, exit))
      }
      assert.deepStrictEqual(yield* within("the will", texts(watcher.messages("gone"), 1)), ["badly"])
    })
  )

  live("a session waits for its client: what was published meanwhile comes at once, in order", () =>
    Effect.gen(function* () {
      const { open } = yield* mosquitto()
      const persistent = client(open, "away", { "news/#": 2 }, { cleanSession: false })
      yield* Effect.scoped(persistent)
      const other = yield* client(open, "other", {})
      for (const text of numbers(50)) yield* other.publish(message("news/today", text, Number(text) % 2 === 0 ? 1 : 2))
      const me = yield* persistent
      assert.deepStrictEqual(yield* within("the news", texts(me.messages("news/#"), 50)), numbers(50))
    })
  )

  live("over a restart of the broker nothing is lost, nor comes twice with QoS 2, nor out of order", () =>
    Effect.gen(function* () {
      const { open, run, running } = yield* mosquitto()
      const listener = yield* client(open, "listener", { "n/#": 2 }, { cleanSession: false, keepAlive: 1 })
      const speaker = yield* client(open, "speaker", {}, { cleanSession: false, keepAlive: 1 })
      const published = yield* start(
        Effect.forEach(numbers(400), (text) =>
          Effect.forkChild(speaker.publish(message("n/x", text, 2)), { startImmediately: true })
        ).pipe(Effect.flatMap(Fiber.joinAll))
      )
      const heard: Array<string> = []
      yield* start(
        Stream.runForEach(listener.messages("n/#"), (one) => Effect.sync(() => void heard.push(textOf(one))))
      )
      // some are on their way in each direction
      yield* eventually("some", () => heard.length > 20)
      assert.isBelow(heard.length, 400)
      yield* stop(running)
      yield* run
      yield* within("all are accepted", Fiber.join(published))
      yield* speaker.publish(message("n/x", "last", 2))
      yield* eventually("the last", () => heard.at(-1) === "last")
      assert.deepStrictEqual(heard, [...numbers(400), "last"])
    })
  )

  live("a broker that is killed, and has forgotten all, is subscribed to anew, and told what it had not accepted", () =>
    Effect.gen(function* () {
      const { open, run, running } = yield* mosquitto()
      const me = yield* client(open, "me", { a: 1 }, { cleanSession: false })
      yield* running.kill
      const publishing = yield* start(Effect.forEach(numbers(5), (text) => me.publish(message("a", text))))
      yield* run
      yield* within("they are accepted", Fiber.join(publishing))
      assert.deepStrictEqual(yield* within("they come", texts(me.messages("a"), 5)), numbers(5))
    })
  )

  live("one that says nothing more is noticed by keep-alive, and what was published is accepted once it answers", () =>
    Effect.gen(function* () {
      const { open, running } = yield* mosquitto()
      let opened = 0
      const counted = Effect.tap(open, () => Effect.sync(() => opened++))
      const me = yield* client(counted, "me", { a: 2 }, { cleanSession: false, keepAlive: 1 })
      yield* Effect.sync(() => running.signal("SIGSTOP"))
      const publishing = yield* start(me.publish(message("a", "x", 2)))
      yield* within("another connection", Effect.repeat(Effect.sleep(5), { while: () => opened < 2 }))
      yield* Effect.sync(() => running.signal("SIGCONT"))
      yield* within("it is accepted", Fiber.join(publishing))
      assert.deepStrictEqual(yield* within("it comes", texts(me.messages("a"), 1)), ["x"])
    })
  )

  live("a reader that comes late gets all that came meanwhile", () =>
    Effect.gen(function* () {
      const { open } = yield* mosquitto()
      let opened = 0
      const me = yield* client(
        Effect.tap(open, () => Effect.sync(() => opened++)),
        "me",
        { a: 1 },
        { keepAlive: 1 }
      )
      const other = yield* client(open, "other", {})
      yield* within(
        "all are accepted",
        Effect.forEach(numbers(3000), (text) => other.publish(message("a", text)), { concurrency: 100, discard: true })
      )
      const heard = yield* within("all of them", texts(me.messages("a"), 3000))
      assert.deepStrictEqual(new Set(heard), new Set(numbers(3000)))
      assert.strictEqual(opened, 1)
    })
  )

  live("who is refused is told why, and so is what cannot be written", () =>
    Effect.gen(function* () {
      const { open } = yield* mosquitto("allow_anonymous false\n")
      const refused = yield* Effect.flip(client(open, "me", {}, { credentials: { username: "me", password: "x" } }))
      assert.strictEqual(refused._tag, "MqttError")
      assert.match(refused.message, /refuses the connection: code 5/)
      const other = yield* mosquitto()
      const me = yield* client(other.open, "me", {})
      for (const wrong of ["", "a/+", "a/#", "a\0b", "x".repeat(70_000)]) {
        for (const qos of [0, 1, 2] as const) {
          assert.strictEqual((yield* Effect.flip(me.publish(message(wrong, "", qos))))._tag, "EncodeFailed")
        }
      }
      yield* within("it goes on", me.publish(message("a", "x", 2)))
    })
  )
})

// ---------------------------------------------------------------------------
// faults
// ---------------------------------------------------------------------------

describe("under faults", () => {
  it.effect("a reader that takes its time gets all that came meanwhile, in order, and the connection is kept", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const broker = new Broker()
        yield* broker.listen
        const open = openConnection({ port: 1883 })
        const me = yield* make(open, {
          clientId: "me",
          cleanSession: false,
          keepAlive: 5,
          subscriptions: { a: 2, "+": 0 }
        })
        for (const [i, text] of numbers(1000).entries()) broker.publish({ ...message("a", text, (i % 3) as QoS) })
        yield* Effect.sleep("1 minute")
        const [one, other] = yield* Effect.all([texts(me.messages("a"), 1000), texts(me.messages("+"), 1000)], {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(one, numbers(1000))
        assert.deepStrictEqual(other, numbers(1000))
        yield* me.publish(message("b", "x", 2))
        assert.strictEqual(broker.connections, 1)
      })
    )
  )

  it.effect(
    "a broker that forgets the session, and is gone before all is subscribed to again, is subscribed to by the next",
    () =>
      TestNetwork.simulate(
        Effect.gen(function* () {
          const broker = new Broker()
          yield* broker.listen
          const subscriptions = { a: 1, b: 1 } as const
          yield* make(openConnection({ port: 1883 }), {
            clientId: "me",
            cleanSession: false,
            keepAlive: 5,
            subscriptions
          })
          assert.deepStrictEqual(broker.subscribed, ["a", "b"])
          broker.exists = false
          broker.breaksAt = 4
          yield* broker.breakOff
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(broker.subscribed, ["a", "b", "a", "b", "a", "b"])
          assert.strictEqual(broker.connections, 3)
        })
      )
  )

  const path = fc.record({
    latency: fc.constantFrom(0, 1, 30),
    chunking: fc.constantFrom("asIs" as const, "oneByte" as const, "random" as const)
  })
  const scenario = fc.record({
    network: fc.record({
      seed: fc.nat(),
      fromClient: path,
      fromServer: path,
      faults: Faults.arbitrary(fc, {
        connections: 3,
        maxBytes: 200,
        maxFaults: 4,
        kinds: ["Reset", "Fin", "Vanish", "Stall"],
        maxMillis: 5000
      }) as fc.Arbitrary<Faults.Script>
    }),
    messages: fc.array(
      fc.record({
        qos: fc.constantFrom(1 as const, 2 as const),
        // how long after the one before
        pause: fc.constantFrom(0, 0, 0, 1, 40),
        // whether its publisher goes away, and after how long
        patience: fc.option(fc.constantFrom(0, 1, 30, 100), { freq: 4 })
      }),
      { minLength: 5, maxLength: 15 }
    ),
    pace: fc.constantFrom(0, 5, 500)
  })

  it.effect("what is published is accepted, and comes back, once with QoS 2, and in order, whatever breaks", () =>
    Effect.gen(function* () {
      let again = 0
      const all = yield* forAll(
        scenario,
        ({ messages, network, pace }) =>
          TestNetwork.simulate(
            Effect.gen(function* () {
              const broker = new Broker()
              yield* broker.listen
              const open = openConnection({ port: 1883, connectTimeout: "5 seconds" })
              const connecting = make(open, {
                clientId: "me",
                cleanSession: false,
                keepAlive: 5,
                subscriptions: { "#": 2 }
              })
              const me = yield* Effect.retry(connecting, { times: 8 })
              const heard: Array<string> = []
              yield* Effect.forkScoped(
                Stream.runForEach(me.messages("#"), (one) =>
                  Effect.delay(
                    Effect.sync(() => heard.push(textOf(one))),
                    pace
                  )
                )
              )
              const publishers: Array<Fiber.Fiber<unknown, unknown>> = []
              for (const [i, { patience, pause, qos }] of messages.entries()) {
                if (pause > 0) yield* Effect.sleep(pause)
                const publishing = me.publish(message("a", `${qos}:${i}`, qos))
                publishers.push(
                  yield* Effect.forkScoped(
                    patience === null ? publishing : Effect.timeoutOption(publishing, patience),
                    { startImmediately: true }
                  )
                )
              }
              yield* Fiber.joinAll(publishers)
              yield* me.publish(message("a", "2:last", 2))
              yield* Effect.repeat(Effect.sleep(100), { while: () => !heard.includes("2:last") })
              if (broker.connections > 1) again++
              const all = [...messages.map(({ qos }, i) => `${qos}:${i}`), "2:last"]
              for (const [what, list] of [
                ["accepted", broker.accepted],
                ["heard", heard]
              ] as const) {
                // the first time of each: in order
                assert.deepStrictEqual(Array.from(new Set(list)), all, what)
                const exactly = list.filter((text) => text.startsWith("2"))
                assert.deepStrictEqual(new Set(exactly).size, exactly.length, `${what} once`)
              }
            }),
            network
          ),
        { numRuns: 200 }
      )
      if (all) assert.isAbove(again, 30)
    })
  )
})

// ---------------------------------------------------------------------------
// bad input
// ---------------------------------------------------------------------------

describe("bad input", () => {
  const encoded = (...packets: ReadonlyArray<Parameters<typeof Frame.encodeResultUnsafe<any>>[1]>) =>
    Buffer.concat(packets.map((packet) => Frame.encodeResultUnsafe(packetFrame, packet)))
  const connack = { type: "connack", sessionPresent: 0, code: 0 }

  /** What becomes of a client whose broker sends these bytes behind the first that it hears, and then nothing more. */
  const given = (input: Uint8Array) =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* startServer({ port: 1883, onHandlerError: () => Effect.void }, ({ reader, writer }) =>
          Effect.gen(function* () {
            yield* reader.peek(1)
            yield* writer.write(input)
            yield* Effect.exit(Effect.forever(Effect.filterOrFail(reader.read(1000), (bytes) => bytes.length > 0)))
          })
        )
        const making = make(openConnection({ port: 1883 }), {
          clientId: "me",
          cleanSession: true,
          keepAlive: 5,
          subscriptions: {}
        })
        return yield* Effect.exit(
          Effect.scoped(Effect.flatMap(making, (me) => Effect.timeout(me.publish(message("a", "x", 2)), "10 seconds")))
        )
      })
    )

  it.effect("of the specification's must-nots, none is taken: the first connection fails, and says why", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, ReadonlyArray<number>, string]> = [
        ["flags of a connack", [0x21, 2, 0, 0], "MalformedFrame"],
        ["a type that is none", [0x00, 0], "MalformedFrame"],
        ["AUTH, of version 5", [0xf0, 0], "MalformedFrame"],
        ["a length of five bytes", [0x20, 0xff, 0xff, 0xff, 0xff, 0x01], "MalformedFrame"],
        ["a length that is too large", [0x20, 0xff, 0xff, 0xff, 0x7f], "LimitOverrun"],
        ["a connack of three bytes", [0x20, 3, 0, 0, 0], "MalformedFrame"],
        ["a publish in front of it", [0x30, 3, 0, 1, 97], "ProtocolViolation"],
        ["a refusal", [0x20, 2, 0, 2], "MqttError"],
        ["HTTP", Array.from(Buffer.from("HTTP/1.1 400 Bad Request\r\n")), "MalformedFrame"]
      ]
      for (const [what, input, tag] of cases) {
        assert.strictEqual((yield* Effect.flip(yield* given(Uint8Array.from(input))))._tag, tag, what)
      }
    })
  )

  it.effect("nor behind the welcome: the connection is reset, and tried again", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
        ["QoS 3", [0x36, 5, 0, 1, 97, 0, 1]],
        ["DUP with QoS 0", [0x38, 3, 0, 1, 97]],
        ["a topic with a wildcard", [0x30, 3, 0, 1, 43]],
        ["a topic with U+0000", [0x30, 3, 0, 1, 0]],
        ["a topic that is no UTF-8", [0x30, 3, 0, 1, 0xff]],
        ["an identifier of 0", [0x32, 5, 0, 1, 97, 0, 0]],
        ["an acknowledgement of another kind", [0x40, 2, 0, 1]],
        ["an answer to no ping", [0xd0, 0]],
        ["a suback that nobody asked for", [0x90, 3, 0, 9, 0]],
        ["a second welcome", [0x20, 2, 0, 0]],
        ["what clients send", [0xc0, 0]],
        ["a topic longer than its packet", [0x30, 3, 0, 9, 97]]
      ]
      for (const [what, bytes] of cases) {
        let connections = 0
        const broker = startServer({ port: 1883, onHandlerError: () => Effect.void }, ({ reader, writer }) =>
          Effect.gen(function* () {
            connections++
            yield* reader.peek(1)
            yield* writer.write(encoded(connack))
            // the first message of the client is there
            if (connections === 1) yield* Effect.andThen(Effect.sleep(100), writer.write(Uint8Array.from(bytes)))
            yield* Effect.exit(Effect.forever(Effect.filterOrFail(reader.read(1000), (read) => read.length > 0)))
          })
        )
        const open = openConnection({ port: 1883 })
        yield* TestNetwork.simulate(
          Effect.gen(function* () {
            yield* broker
            const me = yield* make(open, {
              clientId: "me",
              cleanSession: true,
              keepAlive: 60,
              subscriptions: { b: 0 }
            }).pipe(Effect.timeoutOption(1))
            assert.strictEqual(me._tag, "None", "its subscription is never answered")
          })
        )
        connections = 0
        yield* TestNetwork.simulate(
          Effect.gen(function* () {
            yield* broker
            const me = yield* make(open, { clientId: "me", cleanSession: true, keepAlive: 60, subscriptions: {} })
            yield* Effect.timeoutOption(me.publish(message("a", "x", 2)), 1000)
            assert.strictEqual(connections, 2, what)
          })
        )
      }
    })
  )

  it.effect(
    "any bytes, and packets with any bytes changed, fail the client, or leave it waiting for the bound it was given",
    () => {
      const good = encoded(
        connack,
        { type: "publish", dup: false, qos: 2, retain: false, topic: "a", id: 7, payload: Buffer.from("x") },
        { type: "pubrel", id: 7 },
        { type: "pubrec", id: 1 },
        { type: "pubcomp", id: 1 }
      )
      const mutated = fc
        .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
        .map((changes) => {
          const copy = Uint8Array.from(good)
          for (const [at, byte] of changes) copy[at] = byte
          return copy
        })
      return forAll(
        fc.oneof({ weight: 3, arbitrary: mutated }, fc.uint8Array({ maxLength: 60 })),
        (input) =>
          Effect.gen(function* () {
            const exit = yield* given(input)
            if (Exit.isSuccess(exit)) return
            const { _tag } = yield* Effect.flip(exit)
            assert.include(
              [
                "MalformedFrame",
                "LimitOverrun",
                "IncompleteRead",
                "ProtocolViolation",
                "MqttError",
                "TimeoutError",
                "ConnectionLost"
              ],
              _tag
            )
          }),
        { numRuns: 200 }
      )
    }
  )
})
