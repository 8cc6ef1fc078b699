/** The decoders of examples/frames, as their docs have them, on what real servers send. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Frame, NodeNetwork, openUnixConnection, type Connection } from "effect-byte-streams"
import * as FrameLaws from "effect-byte-streams/testing/FrameLaws"
import { chmodSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { packet } from "../../examples/frames/mqtt.ts"
import { value } from "../../examples/frames/resp3.ts"
import { bytes } from "../support/bytes.ts"
import { needs, pathOf } from "../support/peers.ts"
import * as Program from "../support/program.ts"
import { socketPath } from "../support/temporary.ts"
import { within } from "../support/wait.ts"

/** A server that listens on a Unix socket, and a connection to it. */
const serverOn = (command: "mosquitto" | "redis-server", args: (path: string) => ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const path = yield* socketPath()
    // it may give up its privileges before it listens
    chmodSync(dirname(path), 0o777)
    yield* Program.start(pathOf(command)!, args(path))
    // it may be there before anybody listens on it
    return yield* within(
      `${command} listens`,
      Effect.retry(openUnixConnection(path), { schedule: Schedule.spaced(10) })
    )
  })

describe("MQTT, as mosquitto speaks it", needs("mosquitto"), () => {
  const text = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 65_535 }, Frame.utf8Rest)
  const connect = Frame.struct({
    protocol: text,
    level: Frame.uint8,
    flags: Frame.uint8,
    keepAlive: Frame.uint16,
    client: text
  })
  const send = ({ writer }: Connection.Connection, type: number, flags: number, body: Uint8Array) =>
    writer.writeFrame(packet, { head: { type, flags }, body })

  it.live("connects, subscribes, and gets what it publishes, of every length of a length", () =>
    Effect.gen(function* () {
      const connection = yield* serverOn("mosquitto", (path) => {
        const configuration = `${path}.conf`
        writeFileSync(configuration, `listener 0 ${path}\nallow_anonymous true\npersistence false\nuser root\n`)
        return ["-c", configuration]
      })
      const { reader } = connection
      const next = within("a packet", reader.readFrame(packet))
      const hello = { protocol: "MQTT", level: 4, flags: 2, keepAlive: 60, client: "me" }
      yield* send(connection, 1, 0, Frame.encodeResultUnsafe(connect, hello))
      assert.deepStrictEqual(yield* next, { head: { type: 2, flags: 0 }, body: Uint8Array.of(0, 0) })
      yield* send(connection, 8, 2, Uint8Array.of(0, 1, 0, 1, 116, 0))
      assert.deepStrictEqual(yield* next, { head: { type: 9, flags: 0 }, body: Uint8Array.of(0, 1, 0) })
      for (const size of [0, 1, 124, 125, 16_380, 16_381, 300_000]) {
        const body = new Uint8Array(3 + size).fill(size)
        body.set([0, 1, 116])
        yield* send(connection, 3, 0, body)
        const published = yield* next
        assert.deepStrictEqual(published.head, { type: 3, flags: 0 })
        assert.isTrue(Buffer.from(published.body).equals(body), `a payload of ${size} bytes`)
      }
      yield* send(connection, 12, 0, new Uint8Array(0))
      assert.deepStrictEqual(yield* next, { head: { type: 13, flags: 0 }, body: new Uint8Array(0) })
      yield* send(connection, 14, 0, new Uint8Array(0))
      assert.strictEqual((yield* within("the end", reader.read(10))).length, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("RESP3, as redis-server speaks it", needs("redis-server"), () => {
  const command = Frame.array(
    Frame.struct({
      is: Frame.literal("$"),
      text: Frame.lengthPrefixed(Frame.integerText({ end: "\r\n" }), { maxBytes: 100_000 }, Frame.utf8Rest),
      end: Frame.literal("\r\n")
    }),
    { prefix: Frame.integerText({ end: "\r\n" }), maxItems: 100 }
  )
  const request = Frame.struct({ is: Frame.literal("*"), parts: command })

  it.live("answers of every kind, and what is pushed", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* serverOn("redis-server", (path) => [
        ...["--port", "0", "--unixsocket", path, "--unixsocketperm", "777"],
        ...["--save", "", "--enable-debug-command", "yes"]
      ])
      const call = (...parts: ReadonlyArray<string>) =>
        Effect.andThen(
          writer.writeFrame(request, { parts: parts.map((text) => ({ text })) }),
          within(parts.join(" "), reader.readFrame(value))
        )
      const hello = yield* call("HELLO", "3")
      assert.instanceOf(hello, Map)
      assert.strictEqual(hello.get("proto"), 3)
      assert.strictEqual(yield* call("SET", "name", "Zoë"), "OK")
      assert.strictEqual(yield* call("GET", "name"), "Zoë")
      assert.strictEqual(yield* call("GET", "nobody"), null)
      assert.instanceOf(yield* call("NO SUCH COMMAND"), Error)
      assert.strictEqual(yield* call("RPUSH", "list", "a", "b", "c"), 3)
      assert.deepStrictEqual(yield* call("LRANGE", "list", "0", "-1"), ["a", "b", "c"])
      yield* call("HSET", "hash", "field", "1")
      assert.deepStrictEqual(yield* call("HGETALL", "hash"), new Map([["field", "1"]]))
      const known: ReadonlyArray<readonly [string, unknown]> = [
        ["string", "Hello World"],
        ["integer", 12345],
        ["double", 3.141],
        ["null", null],
        ["array", [0, 1, 2]],
        ["set", [0, 1, 2]],
        [
          "map",
          new Map([
            [0, false],
            [1, true],
            [2, false]
          ])
        ],
        ["verbatim", "This is a verbatim\nstring"],
        ["true", true],
        ["false", false],
        ["bignum", 1234567999999999999999999999999999999n]
      ]
      for (const [kind, expected] of known) {
        assert.deepStrictEqual(yield* call("DEBUG", "PROTOCOL", kind), expected, kind)
      }
      assert.isString(yield* call("DEBUG", "PROTOCOL", "attrib"))
      assert.deepStrictEqual(yield* call("SUBSCRIBE", "news"), ["subscribe", "news", 1])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("they keep the laws of frames", () => {
  FrameLaws.suite(it, {
    frame: packet,
    values: [0, 1, 127, 128, 300].map((size) => ({ head: { type: 3, flags: 2 }, body: new Uint8Array(size) })),
    malformed: [Uint8Array.of(0x30, 255, 255, 255, 255, 1)],
    unwritable: [{ head: { type: 16, flags: 0 }, body: new Uint8Array(0) }]
  })
  FrameLaws.suite(it, {
    frame: Frame.gen({ maxBytes: 1_000_000 }, function* () {
      return yield* value
    }),
    known: [
      ["PONG", bytes("+PONG\r\n")],
      [-7, bytes(":-7\r\n")],
      [null, bytes("_\r\n")],
      [["a\r\nb", ["", true]], bytes("*2\r\n$4\r\na\r\nb\r\n*2\r\n$0\r\n\r\n#t\r\n")],
      [new Map([["k", 1.5]]), bytes("%1\r\n+k\r\n,1.5\r\n")],
      [["x".repeat(200)], bytes(`>1\r\n$200\r\n${"x".repeat(200)}\r\n`)]
    ],
    malformed: ["?1\r\n", "*-1\r\n", "$3\r\nabcd\r\n", "*1\r\n".repeat(40)].map(bytes)
  })
})
