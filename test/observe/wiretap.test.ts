/** `Wiretap.layer`: what passes, in the log. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, NodeNetwork, Observer, openConnection, startServer, Wiretap } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Layer, Logger, type LogLevel, References } from "effect"
import { TestClock } from "effect/testing"
import { bytes, text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { logged } from "../support/logged.ts"
import { turns } from "../support/wait.ts"

/** Runs a program whose connections are logged, and has the lines without level, number and address. */
const watching = <A, E, R>(program: Effect.Effect<A, E, R>, options?: Wiretap.LogOptions) => {
  const { layer, lines } = logged()
  return program.pipe(
    Effect.scoped,
    Effect.provide(Wiretap.layer(options)),
    Effect.provide(layer),
    Effect.map((value) => ({ value, lines, said: lines.map((line) => line.replace(/^\w+ #\d+ /, "")) }))
  )
}

/** Of the pieces of a `pair` what is said about those that go out. */
const dumps = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.flatMap((line) => /\+\d+\.\d+s out (.*)$/s.exec(line)?.[1] ?? [])

/** Sends pieces, one after the other, and lets the peer have them. */
const send = (...pieces: ReadonlyArray<string | Uint8Array>) =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair()
    for (const piece of pieces) {
      yield* left.writer.write(piece)
      yield* right.reader.readExactly(typeof piece === "string" ? bytes(piece).length : piece.length)
    }
    return { left, right }
  })

const ping = Effect.gen(function* () {
  yield* startServer({ port: 7000, gracePeriod: 0 }, ({ reader, writer }) =>
    Effect.andThen(reader.readLine, writer.write("PONG\r\n"))
  )
  const { reader, writer } = yield* openConnection({ port: 7000 })
  yield* writer.write("PING\r\n")
  return text(yield* reader.readAll({ maxBytes: 100 }))
})

/** A client and a server over TCP that change to TLS in between. */
const changing = Effect.gen(function* () {
  const server = yield* startServer({ host: "127.0.0.1", port: 0 }, (plain) =>
    Effect.gen(function* () {
      yield* plain.reader.readLine
      yield* plain.writer.write("go\n")
      const { reader, writer } = yield* plain.startTls({
        side: "server",
        identity: certificates.server.identity
      })
      yield* writer.write(yield* reader.readLine)
    })
  )
  const plain = yield* openConnection({ host: "127.0.0.1", port: server.port })
  yield* plain.writer.write("STARTTLS\n")
  yield* plain.reader.readLine
  const secure = yield* plain.startTls({ side: "client", ca: authority.cert, serverName: "localhost" })
  yield* secure.writer.write("inside\n")
  yield* secure.reader.readAll({ maxBytes: 100 })
}).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))

describe("the log of what passes", () => {
  it.effect("has a line for each event and each piece, in order, with peer, time, direction and size", () =>
    Effect.gen(function* () {
      const { layer, lines } = logged()
      const wiretap = Wiretap.layer().pipe(Layer.provide(layer))
      yield* TestNetwork.simulate(Effect.provide(ping, wiretap), {
        fromClient: { latency: 10 },
        fromServer: { latency: 1500 }
      })
      const number = /#(\d+) connecting/.exec(lines.join("\n"))![1]!
      const client = lines.filter((line) => line.startsWith(`Debug #${number} `))
      assert.deepStrictEqual(
        client.map((line) => line.slice(`Debug #${number} `.length)),
        [
          "connecting to localhost:7000",
          "trying 127.0.0.1:7000",
          "client 127.0.0.1:7000 +0.000s opened at 127.0.0.1:49152",
          'client 127.0.0.1:7000 +0.000s out 6 bytes: "PING\\r\\n"',
          'client 127.0.0.1:7000 +1.510s in 6 bytes: "PONG\\r\\n"',
          "client 127.0.0.1:7000 +1.510s the peer has ended its output",
          "client 127.0.0.1:7000 +1.510s closing",
          "client 127.0.0.1:7000 +1.510s closed: Graceful, 6 bytes in, 6 bytes out"
        ]
      )
      const others = lines.filter((line) => !line.includes(`#${number} `))
      assert.deepStrictEqual(
        others.map((line) => line.replace(/#\d+/, "#")),
        [
          "Debug listening at [::]:7000",
          "Debug # server 127.0.0.1:49152 +0.000s opened at 127.0.0.1:7000",
          'Debug # server 127.0.0.1:49152 +1.510s in 6 bytes: "PING\\r\\n"',
          "Debug # server 127.0.0.1:49152 +1.510s closing",
          'Debug # server 127.0.0.1:49152 +1.510s out 6 bytes: "PONG\\r\\n"',
          "Debug # server 127.0.0.1:49152 +1.510s closed: Graceful, 6 bytes in, 6 bytes out",
          "Debug shutting down at [::]:7000, within 0",
          "Debug shut down at [::]:7000: 0 completed, 0 aborted"
        ]
      )
    })
  )

  it.effect("tells how opening, reading and writing go wrong", () =>
    Effect.gen(function* () {
      const { lines, said } = yield* watching(
        Effect.gen(function* () {
          yield* Effect.exit(Effect.provide(openConnection({ host: "127.0.0.1", port: 7001 }), TestNetwork.layer))
          const late = yield* TestNetwork.pair({ timeouts: { idle: "1 second" } })
          yield* TestClock.adjust("1 second")
          yield* Effect.exit(late.left.reader.readLine)
          const { left, right } = yield* TestNetwork.pair({ limit: 10, highWaterMark: 10 })
          yield* Effect.forkScoped(left.writer.write("x".repeat(100_000)))
          yield* turns(10)
          yield* right.reader.readExactly(90_000)
          yield* turns(10)
          yield* right.abort
          yield* Effect.exit(left.reader.readLine)
        })
      )
      assert.deepInclude(said, "connecting to 127.0.0.1:7001")
      assert.deepInclude(said, "127.0.0.1:7001 failed: ECONNREFUSED")
      assert.isTrue(said.some((line) => line.startsWith("connecting to 127.0.0.1:7001 failed: ")))
      assert.deepInclude(said, "+1.000s the Idle timeout of 1s expired")
      for (const what of [
        "in paused by the reader",
        "in resumed, paused by the reader until now",
        "out paused by the peer",
        "failed: the connection was lost (Reset, ECONNRESET)"
      ]) {
        assert.isTrue(said.includes(`+0.000s ${what}`), `${what}:\n${lines.join("\n")}`)
      }
      assert.isTrue(said.some((line) => line.startsWith("+0.000s closed: Reset, 0 bytes in, 100000 bytes out")))
    })
  )

  it.live("shows connections over TCP, in plain text also where they change to TLS", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(changing)
      const number = /#(\d+) connecting/.exec(lines.join("\n"))![1]!
      const client = lines
        .filter((line) => line.startsWith(`Debug #${number} `))
        .map((line) => line.slice(`Debug #${number} `.length).replace(/^client 127\.0\.0\.1:\d+ \+\d+\.\d{3}s /, ""))
      const middle = client.slice(client.findIndex((line) => line.startsWith("opened at 127.0.0.1:")) + 1)
      assert.deepStrictEqual(
        middle
          .filter((line) => !line.startsWith("closed") && line !== "closing")
          .map((line) => line.replace(/:\d+ /, ": ")),
        [
          'out 9 bytes: "STARTTLS\\n"',
          'in 3 bytes: "go\\n"',
          "client handshake with 127.0.0.1: started",
          "client handshake with 127.0.0.1: succeeded: TLSv1.3",
          "upgraded to TLSv1.3",
          'out 7 bytes: "inside\\n"',
          'in 7 bytes: "inside\\n"',
          "the peer has ended its output"
        ]
      )
    })
  )

  it.effect("stands in front of what a program logs that is woken by what is told", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(
        Effect.gen(function* () {
          const { left, right } = yield* TestNetwork.pair()
          yield* Effect.forkScoped(Effect.andThen(right.reader.readLine, Effect.log("I have it")))
          yield* turns(3)
          yield* left.writer.write("hello\n")
          yield* turns(3)
        })
      )
      const [told, woken] = [/ in 6 bytes/, /I have it/].map((what) => lines.findIndex((line) => what.test(line)))
      assert.isAbove(told!, -1)
      assert.isAbove(woken!, told!)
    })
  )

  it.effect("has its data as annotations too, beside those of the context", () =>
    Effect.gen(function* () {
      const annotations: Array<Readonly<Record<string, unknown>>> = []
      const logger = Logger.make<unknown, void>(({ fiber }) => {
        annotations.push({ ...fiber.getRef(References.CurrentLogAnnotations) })
      })
      const { left } = yield* send("ab", "cde").pipe(
        Effect.scoped,
        Effect.provide(
          Wiretap.layer().pipe(
            Layer.provide(Logger.layer([logger])),
            Layer.provide(Layer.succeed(References.MinimumLogLevel)("All")),
            Layer.provide(Layer.succeed(References.CurrentLogAnnotations)({ program: "test" }))
          )
        )
      )
      assert.strictEqual(left.info.remote, undefined)
      const connection = annotations[0]!.connection as number
      const mine = annotations.filter((one) => one.connection === connection)
      const common = { program: "test", connection }
      assert.deepStrictEqual(mine.slice(0, 3), [
        { ...common, event: "Opened" },
        { ...common, direction: "out", offset: 0, bytes: 2 },
        { ...common, direction: "out", offset: 2, bytes: 3 }
      ])
    })
  )
})

describe("a dump", () => {
  it.effect("as text escapes what is not printable, and only that", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(
        send(
          "PING\r\n",
          'say "hi\\"\t',
          "é€😀",
          "\x00\x1b[31m\x7f",
          "a\u202eb\u2028\u0085",
          Uint8Array.of(0xe2, 0x82, 0x41, 0xff)
        )
      )
      assert.deepStrictEqual(dumps(lines), [
        '6 bytes: "PING\\r\\n"',
        '10 bytes: "say \\"hi\\\\\\"\\t"',
        '9 bytes: "é€😀"',
        '7 bytes: "\\0\\e[31m\\x7f"',
        '10 bytes: "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8\\xc2\\x85"',
        '4 bytes: "\\xe2\\x82A\\xff"'
      ])
    })
  )

  it.effect("as hex has rows of sixteen with offset and characters", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(send("0123456789abcdef\r\nPASS ab\n"), {
        format: "hex",
        mask: [Wiretap.maskAfter({ prefix: "PASS " })]
      })
      assert.deepStrictEqual(dumps(lines), [
        [
          "26 bytes:",
          "  00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
          "  00000010  0d 0a 50 41 53 53 20 **  ** 0a                    |..PASS **.|"
        ].join("\n")
      ])
    })
  )

  it.effect("has as many bytes as it may, and says how many more there are", () =>
    Effect.gen(function* () {
      const piece = "0123456789".repeat(30)
      const shown = (options: Wiretap.LogOptions) =>
        Effect.map(watching(send(piece), options), ({ lines }) => dumps(lines))
      assert.deepStrictEqual(yield* shown({}), [`300 bytes: "${piece.slice(0, 256)}"… and 44 more`])
      assert.deepStrictEqual(yield* shown({ maxBytes: 3 }), ['300 bytes: "012"… and 297 more'])
      assert.deepStrictEqual(yield* shown({ maxBytes: 0 }), ["300 bytes: … and 300 more"])
      assert.deepStrictEqual(yield* shown({ maxBytes: Infinity }), [`300 bytes: "${piece}"`])
      assert.deepStrictEqual(yield* shown({ maxBytes: 3, format: "hex" }), [
        `300 bytes:\n  00000000  30 31 32 ${" ".repeat(40)} |012|\n  … and 297 more`
      ])
    })
  )

  it.effect("masks a secret that is cut into pieces, also where the dump has not all of a piece", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(send("xxxxxxxx PA", "SS sec", "ret\r\nLIST\r\n", "PASS swordfish\r\n"), {
        maxBytes: 8,
        mask: [Wiretap.maskAfter({ prefix: "PASS " })]
      })
      assert.deepStrictEqual(dumps(lines), [
        '11 bytes: "xxxxxxxx"… and 3 more',
        '6 bytes: "SS ***"',
        '11 bytes: "***\\r\\nLIS"… and 3 more',
        '16 bytes: "PASS ***"… and 8 more'
      ])
    })
  )
})

describe("a dump of a piece in which every other byte is masked", () => {
  // to look for each byte among all that is masked takes half a minute, in which nothing else happens
  it.effect("takes no longer than others", () =>
    Effect.gen(function* () {
      const piece = "a-".repeat(32_768)
      const began = performance.now()
      const { lines } = yield* watching(send(piece), {
        format: "hex",
        maxBytes: Infinity,
        mask: [Wiretap.maskBytes("a")]
      })
      assert.isBelow(performance.now() - began, 5000)
      const rows = dumps(lines).flatMap((dump) => dump.split("\n").slice(1))
      assert.lengthOf(rows, piece.length / 16)
      for (const row of rows) assert.match(row, /^ {2}[\da-f]{8}(?: {1,2}\*\* 2d){8} {2}\|(?:\*-){8}\|$/)
    })
  )
})

describe("the level", () => {
  it.effect("is that of all lines", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(send("hello"), { level: "Info" })
      assert.isAbove(lines.length, 0)
      assert.isTrue(lines.every((line) => line.startsWith("Info ")))
    })
  )

  it.effect("that nobody sees costs nothing: there is no observer at all", () =>
    Effect.gen(function* () {
      const observer = (level: LogLevel.Severity | undefined, minimum: LogLevel.LogLevel) =>
        Effect.service(Observer.Observer).pipe(
          Effect.provide(Wiretap.layer(level === undefined ? {} : { level })),
          Effect.provideService(References.MinimumLogLevel, minimum)
        )
      assert.isUndefined(yield* observer(undefined, "Info"))
      assert.isUndefined(yield* observer("Debug", "Info"))
      assert.isUndefined(yield* observer("Fatal", "None"))
      assert.isDefined(yield* observer(undefined, "Debug"))
      assert.isDefined(yield* observer("Info", "Info"))
    })
  )
})

describe("an observer that logs", () => {
  it.effect("adds to the one that is in force", () =>
    Effect.gen(function* () {
      const events: Array<string> = []
      const counting = Observer.layer({ onEvent: ({ _tag }) => void events.push(_tag) })
      const { layer, lines } = logged()
      yield* send("hello").pipe(
        Effect.scoped,
        Effect.provide(Wiretap.layer().pipe(Layer.provideMerge(counting), Layer.provide(layer)))
      )
      assert.include(events, "Opened")
      assert.isTrue(lines.some((line) => line.includes("opened")))
    })
  )

  it.effect("asks the filter once for each connection, and shows none for which it fails", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const { lines, value } = yield* watching(
        Effect.map(send("hello", "again"), ({ right }) => right),
        {
          filter: ({ id }) => {
            asked.push(id)
            if (asked.length === 1) throw new Error("the filter has failed")
            return true
          }
        }
      )
      assert.lengthOf(asked, 2)
      assert.strictEqual(value.info.local, undefined)
      assert.isTrue(lines.some((line) => line.startsWith(`Debug #${asked[1]!} `)))
      assert.isFalse(lines.some((line) => line.startsWith(`Debug #${asked[0]!} `)))
      assert.isTrue(lines.some((line) => line.startsWith("Error an observer has failed")))
    })
  )

  it.live("says nothing about connections that the filter does not want, once they are open", () =>
    Effect.gen(function* () {
      const { lines } = yield* watching(changing, { filter: () => false })
      assert.deepStrictEqual(
        lines.map((line) => line.replaceAll(/\d+\.\d+\.\d+\.\d+:\d+|#\d+/g, "_")),
        [
          "Debug listening at _",
          "Debug _ connecting to _",
          "Debug _ trying _",
          "Debug shutting down at _, within 5s",
          "Debug shut down at _: 0 completed, 0 aborted"
        ]
      )
    })
  )

  it.effect("says nothing about what a logger itself does to connections while it logs", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      // so much is sent at once
      const shipment = "x".repeat(70_000)
      let shipped: Connection.Connection | undefined
      const shipping = Logger.make<unknown, void>(({ message }) => {
        if (!String(message).includes(" out ")) return
        lines.push(String(message))
        shipped?.writer.writeUnsafe(shipment)
      })
      yield* Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair()
        const ends = yield* TestNetwork.pair()
        shipped = ends.left
        yield* left.writer.write("hello\n")
        yield* right.reader.readLine
        shipped = undefined
        assert.strictEqual(text(yield* ends.right.reader.readExactly(70_000)), shipment)
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Wiretap.layer().pipe(
            Layer.provide(Logger.layer([shipping])),
            Layer.provide(Layer.succeed(References.MinimumLogLevel)("All"))
          )
        )
      )
      assert.match(lines[0]!, / out 6 bytes: "hello\\n"$/)
      assert.notInclude(lines.join("\n"), "xxx")
    })
  )

  it.effect("whose logger fails costs no connection anything", () =>
    Effect.gen(function* () {
      const failing = Logger.make<unknown, void>(() => {
        throw new Error("the logger has failed")
      })
      const { left } = yield* send("hello", "again").pipe(
        Effect.scoped,
        Effect.provide(
          Wiretap.layer().pipe(
            Layer.provide(Logger.layer([failing])),
            Layer.provide(Layer.succeed(References.MinimumLogLevel)("All"))
          )
        )
      )
      assert.isDefined(left)
    })
  )

  it.effect("of options that cannot be is a defect that names them", () =>
    Effect.gen(function* () {
      const told = (options: unknown) =>
        Effect.void.pipe(
          Effect.provide(Wiretap.layer(options as Wiretap.LogOptions)),
          Effect.catchDefect((defect) => Effect.succeed(String(defect)))
        )
      assert.deepStrictEqual(
        yield* Effect.all(
          [{ level: "debug" }, { format: "json" }, { maxBytes: -1 }, { filter: 1 }, { mask: "secret" }].map(told)
        ),
        [
          'RangeError: Wiretap.layer: level must be one of "Fatal", "Error", "Warn", "Info", "Debug", "Trace", got "debug" (string)',
          'RangeError: Wiretap.layer: format must be one of "text", "hex", got "json" (string)',
          "RangeError: Wiretap.layer: maxBytes must be an integer of 0 or more bytes, got -1",
          "TypeError: Wiretap.layer: filter must be a function, got 1",
          "TypeError: Wiretap.layer: mask must be an array of what maskAfter and maskBytes make, got string"
        ]
      )
    })
  )
})
