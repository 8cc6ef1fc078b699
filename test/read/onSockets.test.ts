/**
 * What users ask for when they read, on real sockets: ranks 3, 4, 5, 17, 18, 19, 31, 32, 33, 34 and 37. The laws behind
 * them are tested at length without sockets; here they are seen to hold when a real peer decides how bytes arrive.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, StreamReader } from "effect-byte-streams"
import { Effect, Fiber, Option, Stream } from "effect"
import { bytes, pattern, text } from "../support/bytes.ts"
import { everyKind } from "../support/kinds.ts"
import { deathOf } from "../support/exits.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

/** The ways in which the same bytes may arrive. */
const deliveries: ReadonlyArray<{
  readonly how: string
  readonly deliver: (peer: RawPeer, data: Uint8Array) => Effect.Effect<void>
}> = [
  { how: "at once", deliver: (peer, data) => peer.send(data) },
  { how: "byte by byte", deliver: (peer, data) => peer.dribble(data) },
  {
    how: "in pieces",
    deliver: (peer, data) =>
      Effect.gen(function* () {
        for (let at = 0, size = 1; at < data.length; at += size, size = (size * 7) % 11 || 1) {
          yield* peer.send(data.subarray(at, at + size))
          yield* turns(1)
        }
      })
  }
]

/** Sends and half-closes. */
const deliverAll = (peer: RawPeer, deliver: (typeof deliveries)[number]["deliver"], data: string | Uint8Array) =>
  Effect.andThen(deliver(peer, typeof data === "string" ? bytes(data) : data), peer.finish)

for (const { kind, toRaw } of everyKind) {
  describe(`rank 3 a line over the limit, ${kind}`, () => {
    it.live("rank 3 fails typed at the default limit of 64 KiB, and the next line is intact", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        const { reader } = connection
        yield* Effect.forkChild(peer.send(`${"x".repeat(70_000)}\nthe next line\n`))
        const overrun = yield* Effect.flip(within("the read", reader.readLine))
        assert(overrun._tag === "LimitOverrun")
        assert.strictEqual(overrun.limit, 65_536)
        assert.strictEqual(text(yield* reader.readLine), "the next line\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 3 is read with a limit of its own, which needs no other connection", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        const { reader } = connection
        const long = "x".repeat(1_000_000)
        yield* Effect.forkChild(peer.send(`${long}\n${long}|short\n`))
        assert.strictEqual((yield* within("the line", reader.readLineWith({ limit: 2_000_000 }))).length, 1_000_001)
        assert.strictEqual((yield* within("the part", reader.readUntil("|", { limit: 1_000_000 }))).length, 1_000_001)
        assert.strictEqual(text(yield* reader.readLine), "short\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 3 does not end the program: the handler catches it by its tag and goes on", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ limit: 10 })
        const line = connection.reader.readLine.pipe(
          Effect.map(text),
          Effect.catchTag("LimitOverrun", ({ limit }) => Effect.succeed(`over ${limit}\n`))
        )
        yield* peer.send("short\nfar too long a line\nfine\n")
        assert.deepStrictEqual(yield* Effect.all([line, line, line]), ["short\n", "over 10\n", "fine\n"])
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 4 after an overlong item the stream is in step, ${kind}`, () => {
    for (const { deliver, how } of deliveries) {
      it.live(`rank 4 lines that arrive ${how}`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw({ limit: 8 })
          const lengths = [3, 8, 9, 0, 30, 8, 100, 1, 17, 16, 5]
          const lines = lengths.map((length, i) => String.fromCharCode(97 + i).repeat(length))
          yield* Effect.forkChild(deliverAll(peer, deliver, `${lines.join("\n")}\n`))
          const kept: Array<string> = []
          while (true) {
            const line = yield* within("a line", connection.reader.readLineWith({ onOverrun: "discard" }))
            if (line.length === 0) break
            kept.push(text(line).trimEnd())
          }
          assert.deepStrictEqual(
            kept,
            lines.filter(({ length }) => length <= 8)
          )
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })

  describe(`rank 5 an interrupted read loses nothing, ${kind}`, () => {
    it.live("rank 5 whatever read is interrupted, and whenever, all bytes come out in order", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw({ limit: 50 })
        const { reader } = connection
        const sent = pattern(600)
        // without the end: a read that meets it takes what there is, and fails
        const sending = yield* Effect.forkChild(deliveries[1]!.deliver(peer, sent))
        const waits: ReadonlyArray<Effect.Effect<Uint8Array, unknown>> = [
          reader.readExactly(40),
          reader.readUntil("no such thing", { limit: 1000 }),
          reader.readAll({ maxBytes: 1000 }),
          reader.peek(45),
          reader.readLineWith({ limit: 1000 })
        ]
        const got: Array<Uint8Array> = []
        let size = 0
        for (let round = 0; size < sent.length; round++) {
          const wait = waits[round % waits.length]!
          // what a read that was not interrupted answers with counts as well, unless it only looked
          const outcome = yield* Effect.raceFirst(
            Effect.map(Effect.option(wait), (read) => (wait === waits[3] ? Option.none<Uint8Array>() : read)),
            Effect.as(turns(round % 7), Option.none<Uint8Array>())
          )
          if (Option.isSome(outcome)) {
            got.push(outcome.value)
            size += outcome.value.length
          }
          if (round % 3 === 2) {
            const some = yield* within("some bytes", reader.read(1 + (round % 5)))
            got.push(some)
            size += some.length
          }
        }
        assert.strictEqual(Buffer.concat(got).compare(sent), 0)
        yield* within("the peer has sent all", Fiber.join(sending))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 5 a read that timed out is simply repeated", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        yield* peer.send("half a line")
        const line = Effect.timeoutOption(connection.reader.readLine, 20)
        assert.isTrue(Option.isNone(yield* line))
        assert.isTrue(Option.isNone(yield* line))
        yield* peer.send(", and the rest of it\n")
        assert.strictEqual(text(yield* connection.reader.readLine), "half a line, and the rest of it\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 17 two readers, ${kind}`, () => {
    it.live("rank 17 the second fails with StreamBusy at once, and the first gets its bytes", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        const { reader } = connection
        yield* peer.send("abc")
        yield* eventuallyEffect(
          "three bytes are there",
          Effect.map(reader.buffered, (buffered) => buffered === 3)
        )
        const first = yield* Effect.forkChild(reader.readExactly(6), { startImmediately: true })
        // also where there would be enough for the second
        for (const second of [reader.read(2), reader.readExactly(1), reader.readLine, reader.peek(1), reader.pull]) {
          const failure = yield* Effect.flip(
            within(
              "the second read",
              second as Effect.Effect<unknown, { readonly _tag: string; readonly holder?: string }>
            )
          )
          assert.strictEqual(failure._tag, "StreamBusy")
          assert.strictEqual(failure.holder, "readExactly")
        }
        yield* peer.send("def")
        assert.strictEqual(text(yield* within("the first read", Fiber.join(first))), "abcdef")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 18 several separators, ${kind}`, () => {
    for (const { deliver, how } of deliveries) {
      it.live(`rank 18 the match that ends first counts, when they arrive ${how}`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw()
          yield* Effect.forkChild(deliverAll(peer, deliver, "one\r\ntwo\nthree\rfour--five"))
          const items: Array<string> = []
          const item = connection.reader.readUntil(["\r\n", "\n", "--"])
          for (let i = 0; i < 3; i++) items.push(text(yield* within("an item", item)))
          assert.deepStrictEqual(items, ["one\r\n", "two\n", "three\rfour--"])
          const end = yield* Effect.flip(within("the end", item))
          assert(end._tag === "IncompleteRead")
          assert.strictEqual(text(end.partial), "five")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })

  describe(`rank 19 looking ahead, ${kind}`, () => {
    for (const { deliver, how } of deliveries) {
      it.live(`rank 19 the read after a peek returns the same bytes, when they arrive ${how}`, () =>
        Effect.gen(function* () {
          const { connection, peer } = yield* toRaw()
          const { reader } = connection
          yield* Effect.forkChild(deliverAll(peer, deliver, "peek-a-boo"))
          assert.strictEqual(text(yield* within("the peek", reader.peek(4))), "peek")
          assert.strictEqual(text(yield* reader.peek(2)), "pe")
          assert.strictEqual(text(yield* reader.readExactly(4)), "peek")
          yield* within("the skip", reader.skip(3))
          yield* reader.unread(bytes("a-"))
          assert.strictEqual(text(yield* within("the rest", reader.readAll({ maxBytes: 100 }))), "a-boo")
          assert.strictEqual((yield* reader.peek(1)).length, 0)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })

  describe(`rank 31 the end of the stream, ${kind}`, () => {
    it.live("rank 31 is empty on the reads that asyncio has, and None or Done on the others, every time", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw(undefined, { halfOpen: true })
        const { reader } = connection
        yield* peer.send("\n")
        // a blank line is not the end
        assert.strictEqual(text(yield* reader.readLine), "\n")
        yield* peer.finish
        for (let i = 0; i < 3; i++) {
          assert.strictEqual((yield* within("read", reader.read(10))).length, 0)
          assert.strictEqual((yield* reader.readLine).length, 0)
          assert.strictEqual((yield* reader.readAll({ maxBytes: 10 })).length, 0)
          assert.isTrue(Option.isNone(yield* reader.readOption(10)))
          assert.isTrue(Option.isNone(yield* reader.readLineOption))
          assert.isTrue(Option.isNone(yield* reader.readExactlyOption(10)))
          assert.strictEqual((yield* Effect.flip(reader.pull))._tag, "Done")
          assert.isTrue(yield* reader.atEof)
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )

    it.live("rank 31 a loop over readOption ends by itself, and does not spin while nothing comes", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        let rounds = 0
        const reading = yield* Effect.forkChild(
          Effect.gen(function* () {
            let total = 0
            while (true) {
              const piece = yield* connection.reader.readOption(100)
              rounds++
              if (Option.isNone(piece)) return total
              total += piece.value.length
            }
          })
        )
        for (let i = 1; i <= 5; i++) {
          yield* peer.send("0123456789")
          yield* eventuallyEffect(
            "it is read",
            Effect.sync(() => rounds === i)
          )
          yield* turns(10)
          assert.strictEqual(rounds, i)
        }
        yield* peer.finish
        assert.strictEqual(yield* within("the loop ends", Fiber.join(reading)), 50)
        assert.strictEqual(rounds, 6)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 32 how bytes arrive makes no difference, ${kind}`, () => {
    it.live("rank 32 the same bytes at once, in pieces and byte by byte give the same items", () =>
      Effect.gen(function* () {
        const message = [
          "HELO there\r\n",
          "12:twelve bytes,",
          "a line\n",
          "and|then|some\n",
          "0123456789".repeat(30),
          "\nthe rest, without an end"
        ].join("")
        const items = (deliver: (typeof deliveries)[number]["deliver"]) =>
          Effect.scoped(
            Effect.gen(function* () {
              const { connection, peer } = yield* toRaw({ limit: 64 })
              const { reader } = connection
              yield* Effect.forkChild(deliverAll(peer, deliver, message))
              const length = Number(text(yield* Effect.andThen(reader.readLine, reader.readUntil(":"))).slice(0, -1))
              return [
                length,
                text(yield* reader.readExactly(length)),
                text(yield* reader.readUntil(",")),
                text(yield* reader.peek(6)),
                text(yield* reader.readLine),
                text(yield* reader.readUntil(["|", "\n"])),
                yield* Effect.map(reader.skip(5), () => "skipped"),
                text(yield* reader.readLine),
                text(yield* reader.readLineWith({ onOverrun: "discard" })),
                text(yield* reader.readLine)
              ]
            })
          )
        const expected = yield* within("at once", items(deliveries[0]!.deliver))
        assert.deepStrictEqual(expected, [
          12,
          "twelve bytes",
          ",",
          "a line",
          "a line\n",
          "and|",
          "skipped",
          "some\n",
          "the rest, without an end",
          ""
        ])
        for (const { deliver, how } of deliveries)
          assert.deepStrictEqual(yield* within(how, items(deliver)), expected, how)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 33 is the delimiter in the result, ${kind}`, () => {
    it.live("rank 33 in reads it is, as in asyncio; in the stream of lines as text it is not", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        const { reader } = connection
        yield* peer.send("one\r\ntwo;three\nfour\r\n\nfive")
        yield* peer.finish
        assert.strictEqual(text(yield* reader.readLine), "one\r\n")
        assert.strictEqual(text(yield* reader.readUntil(";")), "two;")
        const lines = yield* within("the lines", Stream.runCollect(StreamReader.lines(reader)))
        assert.deepStrictEqual(Array.from(lines), ["three", "four", "", "five"])
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 34 counts of 0 and less, ${kind}`, () => {
    it.live("rank 34 0 never waits, and anything less dies with the operation and the value", () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* toRaw()
        const { reader } = connection
        // nothing has arrived, and nothing is waited for
        assert.strictEqual((yield* within("read(0)", reader.read(0), 1000)).length, 0)
        assert.strictEqual((yield* within("readExactly(0)", reader.readExactly(0), 1000)).length, 0)
        assert.strictEqual((yield* within("peek(0)", reader.peek(0), 1000)).length, 0)
        yield* within("skip(0)", reader.skip(0), 1000)
        assert.isTrue(Option.isSome(yield* within("readOption(0)", reader.readOption(0), 1000)))
        for (const wrong of [-1, 1.5, NaN, Infinity]) {
          for (const [name, read] of Object.entries({
            read: reader.read(wrong),
            readOption: reader.readOption(wrong),
            readExactly: reader.readExactly(wrong),
            readExactlyOption: reader.readExactlyOption(wrong),
            peek: reader.peek(wrong),
            skip: reader.skip(wrong),
            readAll: reader.readAll({ maxBytes: wrong })
          })) {
            const message = yield* deathOf(read as Effect.Effect<unknown, unknown>)
            assert.include(message, `${name}:`)
            assert.include(message, String(wrong))
          }
        }
        // and the connection is none the worse for it
        yield* peer.send("still fine\n")
        assert.strictEqual(text(yield* reader.readLine), "still fine\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  })

  describe(`rank 37 text that is cut anywhere, ${kind}`, () => {
    for (const { deliver, how } of deliveries) {
      it.live(`rank 37 characters of several bytes come out whole when they arrive ${how}`, () =>
        Effect.gen(function* () {
          const lines = ["plain", "größer", "日本語のテキスト", "👩‍👩‍👧‍👦 and 🏳️‍🌈", "", "mixed ascii, ünïcode and 𝒷𝑒𝓎𝑜𝓃𝒹"]
          const { connection, peer } = yield* toRaw()
          yield* Effect.forkChild(deliverAll(peer, deliver, lines.join("\n")))
          const collected = yield* within("the lines", Stream.runCollect(StreamReader.lines(connection.reader)))
          assert.deepStrictEqual(Array.from(collected), lines)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })
}
