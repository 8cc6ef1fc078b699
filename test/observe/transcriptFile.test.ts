/** `Wiretap.layerTranscript`: what passes, in files, whatever becomes of the disk. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Connection, NodeNetwork, openConnection, startServer, Wiretap } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as TestPeer from "effect-byte-streams/testing/TestPeer"
import { Deferred, Effect, Exit, type FileSystem, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { execFile } from "node:child_process"
import { readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { PendingLines } from "../../src/internal/observe/pendingLines.ts"
import { Line } from "../../src/internal/observe/transcript.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { logged } from "../support/logged.ts"
import { memoryFiles } from "../support/memoryFiles.ts"
import { needs, pathOf } from "../support/peers.ts"
import { forAll } from "../support/property.ts"
import { redisServer } from "../support/redis.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { eventually, turns, within } from "../support/wait.ts"

const decode = Schema.decodeUnknownSync(Line)

/** Every line, each of which is whole and as the format says. */
const parse = (content: Uint8Array | undefined): ReadonlyArray<Line> => {
  const all = text(content ?? new Uint8Array(0))
  assert.isTrue(all === "" || all.endsWith("\n"), "the last line is whole")
  return all
    .split("\n")
    .slice(0, -1)
    .map((line) => decode(JSON.parse(line)))
}

const content = (line: Line): Uint8Array => {
  if (line.type !== "in" && line.type !== "out") return new Uint8Array(0)
  return line.base64 === undefined ? bytes(line.text!) : Uint8Array.from(Buffer.from(line.base64, "base64"))
}

/** What a transcript says was said in one direction of a connection. */
const said = (lines: ReadonlyArray<Line>, id: number, type: "in" | "out"): string =>
  Buffer.concat(lines.filter((line) => line.id === id && line.type === type).map(content)).toString("latin1")

const latin1 = (all: Uint8Array): string => Buffer.from(all).toString("latin1")

/** The transcript of a program, in memory. */
const recording = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  options?: Partial<Wiretap.TranscriptOptions>,
  disk = memoryFiles()
) =>
  Effect.scoped(program).pipe(
    Effect.provide(Wiretap.layerTranscript({ path: "t", ...options })),
    Effect.provide(disk.layer),
    Effect.map((value) => ({ value, disk, lines: parse(disk.files.get("t")) }))
  )

/** The paths of the files that this process has open. */
const openFiles = (): ReadonlyArray<string> =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      // that of the listing itself
      return []
    }
  })

/** One side that is observed, and its peer. */
const pair = Effect.map(TestNetwork.pair(), ({ left, right }) => ({ left, right }))

describe("a transcript", () => {
  it.effect("has each connection from its beginning to its end, with what was said, in order", () =>
    Effect.gen(function* () {
      const { lines } = yield* recording(
        Effect.gen(function* () {
          yield* TestClock.adjust(1000)
          const server = yield* startServer({ port: 7000 }, ({ reader, writer }) =>
            Effect.andThen(reader.readLine, writer.write("PONG\r\n"))
          )
          const { reader, writer } = yield* openConnection({ port: server.port })
          yield* writer.write("PING\r\n")
          assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "PONG\r\n")
        }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
      )
      const client = lines.filter(
        (line) => line.id === lines.find((line) => "side" in line && line.side === "client")?.id
      )
      const { id } = client[0]!
      assert.deepStrictEqual(client, [
        { time: 1000, id, type: "opened", side: "client", local: "127.0.0.1:49152", remote: "127.0.0.1:7000" },
        { time: 1000, id, type: "out", text: "PING\r\n" },
        { time: 1000, id, type: "in", text: "PONG\r\n" },
        { time: 1000, id, type: "ended" },
        { time: 1000, id, type: "closed", outcome: "Graceful", bytesRead: 6, bytesWritten: 6 }
      ])
      const server = lines.filter((line) => line.id !== id)
      assert.deepStrictEqual(
        server.map(({ type }) => type),
        ["opened", "in", "out", "closed"]
      )
      assert.deepInclude(server[0], { type: "opened", side: "server", local: "127.0.0.1:7000" })
    })
  )

  it.effect("tells the timeout, and the failure, that end a connection", () =>
    Effect.gen(function* () {
      const ends = yield* recording(
        Effect.gen(function* () {
          const late = yield* TestNetwork.pair({ timeouts: { idle: "1 second" } })
          const lost = yield* TestNetwork.pair()
          yield* TestClock.adjust("2 seconds")
          yield* lost.right.abort
          for (const { left } of [late, lost]) yield* Effect.exit(left.reader.readLine)
        })
      )
      const of = (index: number) =>
        ends.lines
          .filter(({ id }) => id === ends.lines[index]!.id)
          .map((line) => ({ ...line, time: line.time - ends.lines[0]!.time, id: 0 }))
      const opened = { time: 0, id: 0, type: "opened" }
      const closed = { id: 0, type: "closed", bytesRead: 0, bytesWritten: 0 }
      assert.deepStrictEqual(of(0), [
        opened,
        { time: 1000, id: 0, type: "timedOut", kind: "Idle" },
        { time: 1000, id: 0, type: "failed", error: "the Idle timeout of 1s expired" },
        { ...closed, time: 1000, outcome: "TimedOut" }
      ] as never)
      assert.deepStrictEqual(of(2), [
        opened,
        { time: 2000, id: 0, type: "failed", error: "the connection was lost (Reset, ECONNRESET)" },
        { ...closed, time: 2000, outcome: "Reset" }
      ] as never)
    })
  )

  it.effect("has printable text as text, and all other bytes in Base64", () =>
    Effect.gen(function* () {
      const pieces = ["plain\ttext\r\n", "é€😀", "\ufeffbom", "a\u202eb", "\x1b[31m", "\u0085", "\x7f"].map(bytes)
      const cut = [bytes("€").subarray(0, 2), Uint8Array.of(0xff, 0xc0, 0x80)]
      const { lines } = yield* recording(
        Effect.gen(function* () {
          const { left, right } = yield* pair
          for (const piece of [...pieces, ...cut]) {
            yield* left.writer.write(piece)
            yield* right.reader.readExactly(piece.length)
          }
        })
      )
      const out = lines.filter(({ type }) => type === "out")
      assert.deepStrictEqual(
        out.map((line) => (line as { text?: string }).text),
        ["plain\ttext\r\n", "é€😀", ...Array.from({ length: 7 }, () => undefined)]
      )
      assert.deepStrictEqual(out.map(content), [...pieces, ...cut])
    })
  )

  it.effect("has a piece of more than 64 KiB in several lines, and cuts no character", () =>
    Effect.gen(function* () {
      const all = bytes(`x${"€".repeat(50_000)}`)
      const binary = pattern(200_000)
      const { lines } = yield* recording(
        Effect.gen(function* () {
          const { left, right } = yield* pair
          for (const piece of [all, binary]) {
            yield* Effect.all([left.writer.write(piece), right.reader.readExactly(piece.length)], { concurrency: 2 })
          }
        })
      )
      const { id } = lines[0]!
      assert.strictEqual(said(lines, id, "out"), latin1(all) + latin1(binary))
      const sizes = lines.map((line) => content(line).length)
      assert.isAtMost(Math.max(...sizes), 65536)
      const texts = lines.filter((line) => line.id === id && "text" in line)
      assert.strictEqual(Buffer.concat(texts.map(content)).toString(), text(all))
    })
  )

  it.effect("says which bytes of a line are masked, also where a piece has several lines", () =>
    Effect.gen(function* () {
      const before = "x".repeat(65_530)
      const { lines } = yield* recording(
        Effect.gen(function* () {
          const { left, right } = yield* pair
          for (const piece of ["PASS secret\r\nPASS other\r\n", `${before}PASS secret\r\n`]) {
            yield* left.writer.write(piece)
            yield* right.reader.readExactly(piece.length)
          }
        }),
        { mask: [Wiretap.maskAfter({ prefix: "SS ", direction: "out" }), Wiretap.maskBytes("€")] }
      )
      const { id } = lines[0]!
      const out = lines.filter((line) => line.id === id && line.type === "out")
      assert.deepStrictEqual(
        out.map((line) => ({ ...line, text: (line as { text: string }).text.slice(-26), time: 0 })),
        [
          {
            time: 0,
            id,
            type: "out",
            text: "PASS ******\r\nPASS *****\r\n",
            masked: [
              [5, 11],
              [18, 23]
            ]
          },
          { time: 0, id, type: "out", text: `${"x".repeat(20)}PASS *`, masked: [[65_535, 65_536]] },
          { time: 0, id, type: "out", text: "*****\r\n", masked: [[0, 5]] }
        ]
      )
      assert.include(said(lines, id + 1, "in"), "secret")
    })
  )

  it.effect("leaves out connections that the filter does not want", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const { lines, value } = yield* recording(
        Effect.gen(function* () {
          const { left, right } = yield* pair
          yield* left.writer.write("hello")
          yield* right.reader.readExactly(5)
          return asked[1]
        }),
        { filter: ({ id }) => asked.push(id) === 2 }
      )
      assert.lengthOf(asked, 2)
      assert.deepStrictEqual(new Set(lines.map(({ id }) => id)), new Set([value]))
    })
  )

  it.live("goes on over startTls, with the same number and in plain text", () =>
    Effect.gen(function* () {
      const { lines } = yield* recording(
        Effect.gen(function* () {
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
      )
      for (const [side, one, other] of [
        ["client", "out", "in"],
        ["server", "in", "out"]
      ] as const) {
        const { id } = lines.find((line) => line.type === "opened" && line.side === side)!
        const mine = lines.filter((line) => line.id === id)
        assert.deepStrictEqual(
          mine
            .map((line) => ("text" in line ? [line.type, line.text] : [line.type]))
            .filter(([type]) => type !== "ended"),
          [
            ["opened"],
            [one, "STARTTLS\n"],
            [other, "go\n"],
            ["upgraded"],
            [one, "inside\n"],
            [other, "inside\n"],
            ["closed"]
          ]
        )
        assert.deepInclude(
          mine.find(({ type }) => type === "upgraded"),
          { tls: "TLSv1.3" }
        )
      }
    })
  )

  it.live("is written to real files, beside connections over TCP", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, "transcript")
      writeFileSync(path, "of an earlier run\n")
      const binary = pattern(300_000)
      yield* Effect.gen(function* () {
        const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write(binary))
        const { reader } = yield* openConnection({ host: "127.0.0.1", port: server.port })
        yield* reader.readAll({ maxBytes: 1_000_000 })
      }).pipe(
        Effect.scoped,
        Effect.provide([NodeNetwork.layer, Wiretap.layerTranscript({ path })]),
        Effect.provide(NodeFileSystem.layer)
      )
      assert.deepStrictEqual(readdirSync(directory).sort(), ["transcript", "transcript.1"])
      assert.strictEqual(readFileSync(`${path}.1`, "utf8"), "of an earlier run\n")
      const lines = parse(readFileSync(path))
      for (const [side, direction] of [
        ["client", "in"],
        ["server", "out"]
      ] as const) {
        const { id } = lines.find((line) => line.type === "opened" && line.side === side)!
        assert.isTrue(said(lines, id, direction) === latin1(binary))
      }
    })
  )
})

describe("files that are full", () => {
  /** A peer that hears pieces of these sizes. */
  const talk = (sizes: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      const { left, right } = yield* pair
      for (const size of sizes) {
        yield* left.writer.write("x".repeat(size))
        yield* right.reader.readExactly(size)
        yield* turns(1)
      }
    })

  const fileNames = (maxFiles: number) =>
    Array.from({ length: maxFiles }, (_, index) => (index === 0 ? "t" : `t.${index}`)).toReversed()

  it.effect("make room for others, without a line that is cut, lost or doubled, and the oldest goes", () =>
    forAll(
      fc.record({
        sizes: fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 40 }),
        maxBytes: fc.integer({ min: 1, max: 2000 }),
        maxFiles: fc.integer({ min: 1, max: 4 })
      }),
      ({ maxBytes, maxFiles, sizes }) =>
        Effect.gen(function* () {
          const [disk, whole] = [memoryFiles(), memoryFiles()]
          yield* talk(sizes).pipe(
            Effect.scoped,
            Effect.provide(Wiretap.layerTranscript({ path: "t", maxBytes, maxFiles }).pipe(Layer.provide(disk.layer))),
            Effect.provide(Wiretap.layerTranscript({ path: "t" }).pipe(Layer.provide(whole.layer)))
          )
          const all = text(whole.files.get("t")!)
          const names = fileNames(maxFiles).filter((name) => disk.files.has(name))
          assert.strictEqual(disk.files.size, names.length)
          let kept = ""
          for (const name of names) {
            const file = disk.files.get(name)!
            const lines = parse(file)
            assert.isTrue(file.length <= maxBytes || lines.length === 1, `${name} has ${file.length} bytes`)
            kept += text(file)
          }
          assert.isTrue(all.endsWith(kept))
          assert.isTrue(kept === all || all.at(-kept.length - 1) === "\n")
          if (names.length < maxFiles) assert.strictEqual(kept, all)
          // nothing makes room that need not
          if (all.length <= maxBytes) assert.deepStrictEqual(names, ["t"])
        })
    )
  )

  it.effect("that cannot be moved are moved later, and none is lost", () =>
    forAll(
      fc.record({ fine: fc.nat({ max: 12 }), maxFiles: fc.integer({ min: 2, max: 4 }) }),
      ({ fine, maxFiles }) =>
        Effect.gen(function* () {
          const [disk, whole] = [memoryFiles(), memoryFiles()]
          disk.renames = fine
          yield* Effect.gen(function* () {
            yield* talk([100, 100, 100, 100, 100, 100])
            yield* turns(3)
            disk.renames = Infinity
            yield* TestClock.adjust("1 second")
            yield* talk([100])
          }).pipe(
            Effect.scoped,
            Effect.provide(
              Wiretap.layerTranscript({ path: "t", maxBytes: 200, maxFiles }).pipe(Layer.provide(disk.layer))
            ),
            Effect.provide(Wiretap.layerTranscript({ path: "t" }).pipe(Layer.provide(whole.layer))),
            Effect.provide(logged().layer)
          )
          const names = fileNames(maxFiles)
          assert.deepStrictEqual([...disk.files.keys()].sort(), names.toSorted())
          assert.isTrue(text(whole.files.get("t")!).endsWith(names.map((name) => text(disk.files.get(name)!)).join("")))
        }),
      { numRuns: 30 }
    )
  )

  it.effect("of an earlier run make room when the layer is built", () =>
    Effect.gen(function* () {
      const disk = memoryFiles()
      for (const run of ["one", "two", "three"]) {
        yield* recording(
          Effect.gen(function* () {
            const { left, right } = yield* pair
            yield* left.writer.write(run)
            yield* right.reader.readExactly(run.length)
          }),
          { maxFiles: 2 },
          disk
        )
      }
      assert.deepStrictEqual([...disk.files.keys()].sort(), ["t", "t.1"])
      assert.include(text(disk.files.get("t")!), "three")
      assert.include(text(disk.files.get("t.1")!), "two")
    })
  )
})

describe("a disk that does not take what it is given", () => {
  /** Says something and has it back, so many times. */
  const exchange = ({ left, right }: { left: Connection.Connection; right: Connection.Connection }, times: number) =>
    Effect.gen(function* () {
      for (let i = 0; i < times; i++) {
        yield* left.writer.write("ping\n")
        assert.strictEqual(text(yield* right.reader.readLine), "ping\n")
        yield* right.writer.write("pong\n")
        assert.strictEqual(text(yield* left.reader.readLine), "pong\n")
      }
    })

  const missing = (lines: ReadonlyArray<Line>): number =>
    lines.reduce((sum, line) => sum + (line.type === "missing" ? line.lines : 0), 0)

  it.effect("costs lines and no connection; the log has one line, and the transcript says how many are missing", () =>
    forAll(
      fc.record({ room: fc.nat({ max: 1500 }), maxPending: fc.integer({ min: 200, max: 3000 }) }),
      ({ maxPending, room }) =>
        Effect.gen(function* () {
          const { layer, lines: log } = logged()
          const [disk, whole] = [memoryFiles(), memoryFiles()]
          disk.room = room
          yield* Effect.gen(function* () {
            const ends = yield* pair
            yield* exchange(ends, 20)
            yield* turns(3)
            assert.lengthOf(log, 1)
            assert.match(log[0]!, /^Warn the transcript t cannot be written .*ENOSPC/)
            // it is tried again, now and then, and not told again
            const { writes } = disk
            yield* exchange(ends, 20)
            yield* turns(3)
            assert.strictEqual(disk.writes, writes)
            yield* TestClock.adjust("1 second")
            yield* turns(3)
            assert.strictEqual(disk.writes, writes + 1)
            disk.room = Infinity
            yield* TestClock.adjust("1 second")
            yield* turns(3)
            yield* exchange(ends, 1)
          }).pipe(
            Effect.scoped,
            Effect.provide(Wiretap.layerTranscript({ path: "t", maxPending }).pipe(Layer.provide(disk.layer))),
            Effect.provide(Wiretap.layerTranscript({ path: "t" }).pipe(Layer.provide(whole.layer))),
            Effect.provide(layer)
          )
          assert.lengthOf(log, 1)
          const [kept, all] = [parse(disk.files.get("t")), parse(whole.files.get("t"))]
          assert.isAbove(missing(kept), 0)
          let at = 0
          for (const line of kept) {
            if (line.type === "missing") {
              assert.strictEqual(line.id, 0)
              at += line.lines
            } else assert.deepStrictEqual(line, all[at++])
          }
          assert.strictEqual(at, all.length)
        }),
      { numRuns: 30 }
    )
  )

  it.effect("that has room again before too much waits has cost nothing", () =>
    Effect.gen(function* () {
      const { layer, lines: log } = logged()
      const disk = memoryFiles()
      disk.room = 250
      const { lines } = yield* recording(
        Effect.gen(function* () {
          const ends = yield* pair
          yield* exchange(ends, 10)
          yield* turns(3)
          // a line was written in part
          assert.strictEqual(disk.files.get("t")!.length, 250)
          disk.room = Infinity
          yield* TestClock.adjust("1 second")
          yield* exchange(ends, 10)
        }),
        {},
        disk
      ).pipe(Effect.provide(layer))
      assert.lengthOf(log, 1)
      assert.strictEqual(missing(lines), 0)
      assert.strictEqual(said(lines, lines[0]!.id, "out"), "ping\n".repeat(20))
    })
  )

  it.live("that hangs holds up no connection, and the end of the layer no longer than it may", () =>
    Effect.gen(function* () {
      const { layer, lines: log } = logged()
      const disk = memoryFiles()
      let givenUp = 0
      disk.gate = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void givenUp++))
      yield* within(
        "the layer has ended",
        recording(
          Effect.gen(function* () {
            const ends = yield* pair
            yield* turns(3)
            yield* exchange(ends, 1000)
          }),
          { flushTimeout: 50, maxPending: 1000 },
          disk
        ).pipe(Effect.provide(layer))
      )
      assert.deepStrictEqual([disk.writes, givenUp], [1, 1])
      assert.lengthOf(log, 1)
      // opened, twice 2000 pieces, closed
      assert.match(log[0]!, /^Warn 400[0-9] lines at the end of the transcript t are lost$/)
    })
  )

  it.effect("that fails with a defect is one that fails", () =>
    Effect.gen(function* () {
      const { layer, lines: log } = logged()
      const disk = memoryFiles()
      const { lines } = yield* recording(
        Effect.gen(function* () {
          const ends = yield* pair
          disk.gate = Effect.die(new Error("a driver has failed"))
          yield* exchange(ends, 10)
          yield* turns(3)
          disk.gate = Effect.void
          yield* TestClock.adjust("1 second")
          yield* exchange(ends, 10)
        }),
        {},
        disk
      ).pipe(Effect.provide(layer))
      assert.lengthOf(log, 1)
      assert.match(log[0]!, /a driver has failed/)
      assert.strictEqual(said(lines, lines[0]!.id, "in"), "pong\n".repeat(20))
    })
  )

  it.effect("that is full at the end is not waited for", () =>
    Effect.gen(function* () {
      const { layer, lines: log } = logged()
      const disk = memoryFiles()
      disk.room = 0
      yield* recording(
        Effect.gen(function* () {
          yield* exchange(yield* pair, 10)
        }),
        {},
        disk
      ).pipe(Effect.provide(layer))
      // once while there was no end, and once at the end
      assert.isAtMost(disk.writes, 2)
      assert.match(
        log.join("\n"),
        /^Warn the transcript t cannot be written[^]*\nWarn \d+ lines at the end of the transcript t are lost$/
      )
    })
  )

  it.effect("that waits is caught up with at the end of the layer", () =>
    Effect.gen(function* () {
      const disk = memoryFiles()
      const gate = yield* Deferred.make<void>()
      disk.gate = Deferred.await(gate)
      const { lines } = yield* recording(
        Effect.gen(function* () {
          const ends = yield* pair
          yield* exchange(ends, 100)
          // while the layer ends
          setTimeout(() => Deferred.doneUnsafe(gate, Exit.void), 5)
        }),
        {},
        disk
      )
      assert.strictEqual(said(lines, lines[0]!.id, "out"), "ping\n".repeat(100))
    })
  )

  it.live("is let go of where the layer is interrupted, at whatever step it is built", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "transcript")
      const layer = Wiretap.layerTranscript({ path }).pipe(Layer.provide(NodeFileSystem.layer))
      for (let step = 1; ; step++) {
        const exit = yield* interruptBefore(step, Effect.scoped(Effect.asVoid(Layer.build(Layer.fresh(layer)))))
        yield* eventually(`step ${step}: it is closed`, () => !openFiles().includes(path))
        if (Exit.isSuccess(exit)) break
      }
    })
  )

  it.live("that cannot be opened fails the layer, when it is built", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const build = (path: string) =>
        Effect.void.pipe(
          Effect.provide(Wiretap.layerTranscript({ path })),
          Effect.provide(NodeFileSystem.layer),
          Effect.flip
        )
      const error = yield* build(join(directory, "none/transcript"))
      assert.strictEqual(error._tag, "PlatformError")
      assert.strictEqual(error.reason._tag, "NotFound")
    })
  )
})

describe("lines that wait", () => {
  it.live("are in order, no more than may wait, and each that is missing is told where it would be", () =>
    forAll(
      fc.record({
        maxBytes: fc.integer({ min: 1, max: 60 }),
        steps: fc.array(
          fc.oneof(
            fc.record({ add: fc.integer({ min: 1, max: 20 }) }),
            fc.record({ room: fc.integer({ min: 1, max: 60 }), enough: fc.integer({ min: 1, max: 60 }) })
          ),
          { maxLength: 60 }
        )
      }),
      ({ maxBytes, steps }) =>
        Effect.sync(() => {
          const pending = new PendingLines(maxBytes, (lines) => bytes(`-${lines}\n`))
          const written: Array<string> = []
          let added = 0
          const write = (room: number, enough: number, always: boolean) => {
            const lines = pending.first(room, enough, always).map(text)
            const size = lines.join("").length
            assert.isTrue(size <= room || (always && lines.length === 1))
            assert.isBelow(size - (lines.at(-1)?.length ?? 0), enough)
            pending.drop(lines.length)
            written.push(...lines)
          }
          for (const step of steps) {
            if ("room" in step) write(step.room, step.enough, false)
            else pending.add(bytes(`${String(added++).padEnd(step.add, ".")}\n`))
          }
          while (!pending.isEmpty) write(1, 1, true)
          assert.strictEqual(pending.unwritten, 0)
          let next = 0
          for (const line of written) {
            const number = Number.parseInt(line)
            if (line.startsWith("-")) next -= number
            else assert.strictEqual(number, next++)
          }
          assert.strictEqual(next, added)
        }),
      { numRuns: 500 }
    )
  )

  it("have no more bytes than may wait", () => {
    const pending = new PendingLines(10, (lines) => bytes(`-${lines}\n`))
    for (let i = 0; i < 5; i++) pending.add(bytes("four"))
    assert.strictEqual(pending.unwritten, 5)
    assert.deepStrictEqual(pending.first(100, 100, false).map(text), ["four", "four"])
    pending.drop(1)
    // there is room for what is missing, but not for a line behind it
    pending.add(bytes("four"))
    pending.drop(1)
    pending.add(bytes("last"))
    assert.deepStrictEqual(pending.first(100, 100, false).map(text), ["-4\n", "last"])
    assert.strictEqual(pending.unwritten, 5)
  })
})

describe("options of a transcript", () => {
  it.effect("that cannot be are defects that name them", () =>
    Effect.gen(function* () {
      const told = (options: unknown) =>
        Effect.void.pipe(
          Effect.provide(Wiretap.layerTranscript(options as Wiretap.TranscriptOptions)),
          Effect.provide(memoryFiles().layer as Layer.Layer<FileSystem.FileSystem>),
          Effect.catchDefect((defect) => Effect.succeed(String(defect)))
        )
      assert.deepStrictEqual(
        yield* Effect.all(
          [
            {},
            { path: "t", maxBytes: 0 },
            { path: "t", maxFiles: 0 },
            { path: "t", maxPending: -1 },
            { path: "t", flushTimeout: "soon" },
            { path: "t", filter: true },
            { path: "t", mask: ["secret"] }
          ].map(told)
        ),
        [
          "TypeError: Wiretap.layerTranscript: path must be text that is not empty, got undefined",
          "RangeError: Wiretap.layerTranscript: maxBytes must be an integer above 0 bytes, got 0",
          "RangeError: Wiretap.layerTranscript: maxFiles must be an integer above 0, got 0",
          "RangeError: Wiretap.layerTranscript: maxPending must be an integer above 0 bytes, got -1",
          'RangeError: Wiretap.layerTranscript: flushTimeout must be a duration of 0 or more, such as "5 seconds" or a number of milliseconds, got "soon" (string)',
          "TypeError: Wiretap.layerTranscript: filter must be a function, got true (boolean)",
          "TypeError: Wiretap.layerTranscript: mask must be an array of what maskAfter and maskBytes make, got an object (Array)"
        ]
      )
    })
  )
})

describe("redis-cli, by way of a relay", needs("redis-server", "redis-cli"), () => {
  it.live(
    "is recorded with its commands and their answers, without its password, and the server is replayed to it",
    () =>
      Effect.gen(function* () {
        const { path: socket } = yield* redisServer
        const cli = (...args: ReadonlyArray<string>) =>
          within(
            "redis-cli has ended",
            Effect.promise(() => promisify(execFile)(pathOf("redis-cli")!, args, { timeout: 8000 })).pipe(
              Effect.map(({ stdout }) => stdout.trim())
            )
          )
        assert.strictEqual(yield* cli("-s", socket, "CONFIG", "SET", "requirepass", "correct horse"), "OK")
        const { lines } = yield* recording(
          Effect.gen(function* () {
            const relay = yield* startServer({ host: "127.0.0.1", port: 0 }, (client) =>
              Effect.flatMap(openConnection({ path: socket }), (server) => Connection.relay(client, server))
            )
            const ask = (...words: ReadonlyArray<string>) =>
              cli("-h", "127.0.0.1", "-p", String(relay.port), "-a", "correct horse", "--no-auth-warning", ...words)
            assert.strictEqual(yield* ask("PING"), "PONG")
            assert.strictEqual(yield* ask("SET", "key", "a value"), "OK")
            assert.strictEqual(yield* ask("GET", "key"), "a value")
          }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)),
          { mask: [Wiretap.maskAfter({ prefix: "$4\r\nAUTH", until: "\r\n*", ignoreCase: true })] }
        )
        for (const [side, asked, answered] of [
          ["server", "in", "out"],
          ["client", "out", "in"]
        ] as const) {
          const ids = lines.flatMap((line) => (line.type === "opened" && line.side === side ? [line.id] : []))
          assert.lengthOf(ids, 3)
          const [requests, answers] = [asked, answered].map((direction) => ids.map((id) => said(lines, id, direction)))
          assert.deepStrictEqual(answers, ["+OK\r\n+PONG\r\n", "+OK\r\n+OK\r\n", "+OK\r\n$7\r\na value\r\n"])
          for (const [index, command] of [
            "*1\r\n$4\r\nPING\r\n",
            "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$7\r\na value\r\n",
            "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
          ].entries()) {
            assert.match(requests![index]!, /^\*2\r\n\$4\r\nAUTH\*{20,}/)
            assert.isTrue(requests![index]!.endsWith(command.slice(1)), requests![index])
          }
        }
        assert.isFalse(lines.some((line) => latin1(content(line)).includes("correct")))

        // the same program, against what was recorded of the server, with another password of the same length
        const transcript = lines.map((line) => JSON.stringify(line))
        const asServer = lines.flatMap((line) => (line.type === "opened" && line.side === "client" ? [line.id] : []))
        for (const [index, [words, answer]] of (
          [
            [["PING"], "PONG"],
            [["SET", "key", "a value"], "OK"],
            [["GET", "key"], "a value"]
          ] as const
        ).entries()) {
          yield* Effect.gen(function* () {
            const script = yield* TestPeer.fromTranscript(transcript, { id: asServer[index]! })
            const peer = yield* TestPeer.listen(script)
            const password = ["-a", "another horse", "--no-auth-warning"]
            assert.strictEqual(yield* cli("-h", "127.0.0.1", "-p", String(peer.port), ...password, ...words), answer)
            yield* peer.done
          }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
        }
      })
  )
})
