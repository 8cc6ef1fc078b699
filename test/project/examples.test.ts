/**
 * Every program in examples/ as a user starts it: a process of its own, what it prints, how it ends.
 *
 * The examples that are tests themselves (examples/*.test.ts) are run by the test runner, and those that need a real
 * program by protocols/commands.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Program from "../support/program.ts"
import { publicOnly } from "../support/publicApi.ts"
import { connectRaw } from "../support/rawPeer.ts"
import { eventually } from "../support/wait.ts"

const root = join(import.meta.dirname, "../..")
const file = (name: string) => join(root, "examples", `${name}.ts`)

/** Runs an example to its end, which must be a good one; answers the lines that it printed. */
const linesOf = (name: string) =>
  Effect.map(Program.run(process.execPath, [file(name)]), (output) => output.trimEnd().split("\n"))

/** Starts an example that stays; answers it and the port that it names. */
const serving = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const program = yield* Program.start(process.execPath, [file(name), ...args], { env: { PORT: "0" } })
    const port = /127\.0\.0\.1[: ](\d+)/.exec(yield* program.line)?.[1]
    assert.isDefined(port)
    return { program, port: Number(port) }
  })

/** Interrupts a program as ctrl-C does; answers its exit code. */
const interrupt = (program: Program.Program) => {
  program.signal("SIGINT")
  return eventually(`${program.name} ends`, () => program.exit)
}

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Record<string, string>
}

describe("examples", () => {
  it.effect("each has a command, and each command an example", () =>
    Effect.sync(() => {
      // what else lies in folders is read, and run by tests
      const protocols = readdirSync(join(root, "examples/protocols")).filter((name) => name.endsWith(".run.ts"))
      const files = [
        ...readdirSync(join(root, "examples")).filter((name) => name.endsWith(".ts")),
        ...protocols.map((name) => `protocols/${name}`)
      ]
      const started = Object.values(scripts).flatMap((script) => /\bexamples\/(\S+\.ts)/.exec(script)?.[1] ?? [])
      assert.sameMembers(
        started,
        files.filter((name) => !name.endsWith(".test.ts"))
      )
      assert.strictEqual(scripts["example:test"], "vitest run examples")
    })
  )

  it.live("echo", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf("echo"), [
        "echoed: one",
        "echoed: two",
        "echoed: three",
        "end of stream: true"
      ])
    })
  )

  it.live("proxy", () =>
    Effect.gen(function* () {
      // the proxy and the client speak for themselves, whoever comes first
      assert.sameMembers(
        [...(yield* linesOf("proxy"))],
        ["answered: HELLO", "answered: PROXY", "passed on 12 bytes, and 12 back"]
      )
    })
  )

  it.live("echo --serve", () =>
    Effect.gen(function* () {
      const { port, program } = yield* serving("echo", "--serve")
      const peer = yield* connectRaw(port, { halfOpen: true })
      yield* peer.send("and back\n")
      yield* peer.finish
      yield* peer.awaitEnd
      assert.strictEqual(peer.text, "and back\n")
      assert.strictEqual(yield* interrupt(program), 130)
    })
  )

  it.live("chat: a member who does not read holds up nobody, and learns what it missed", () =>
    Effect.gen(function* () {
      const [said, heard, late] = yield* linesOf("chat")
      const count = Number(/^alice says (\d+) things/.exec(said!)?.[1])
      assert.strictEqual(heard, `bob has heard ${count} of them, each as it was said`)
      const [received, missed] = Array.from(late!.matchAll(/\d+/g), Number)
      assert.isAbove(missed!, 0)
      assert.strictEqual(received! + missed!, count)
    })
  )

  it.live("chat --serve", () =>
    Effect.gen(function* () {
      const { port, program } = yield* serving("chat", "--serve")
      const alice = yield* connectRaw(port)
      yield* alice.send("alice\n")
      yield* alice.awaitText("* alice is here\n")
      const bob = yield* connectRaw(port)
      yield* bob.send("bob\nhello\n")
      yield* alice.awaitText("* bob is here\nbob: hello\n")
      yield* bob.reset
      yield* alice.awaitText("* bob has left\n")
      assert.strictEqual(yield* interrupt(program), 130)
      yield* alice.awaitEnd
    })
  )

  it.live("top: who is held back, by whom, and what each connection waits for, in 80 columns", () =>
    Effect.gen(function* () {
      const output = yield* linesOf("top")
      for (const line of output) assert.isAtMost(line.length, 80, line)
      const tables = output
        .join("\n")
        .split(/^ *# PEER .* HELD BY +WAITS FOR\n/m)
        .slice(1)
        .map((table) => table.split("\n", 7).map((line) => line.replaceAll(/ +/g, " ")))
      assert.lengthOf(tables, 3)
      // one that is slow goes on now and then, and one that talks waits most of the time
      for (const [client, what] of [/ readLineText /, / reader /, / peer .* readLineText /].entries()) {
        assert.isTrue(
          tables.some((lines) => what.test(lines[client]!)),
          String(what)
        )
      }
      for (const [stops, quiet, ...places] of tables.map((lines) => lines.slice(3))) {
        assert.match(stops!, / 9 0 9 0 readLineText /)
        assert.match(quiet!, / 0 0 0 0 readLineText /)
        assert.lengthOf(places, 2)
        for (const place of places) assert.match(place, / 0 0 0 0 place /)
      }
    })
  )

  it.live("request: each way to fail is told apart", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf("request")
      assert.deepStrictEqual(
        lines.filter((line) => !line.startsWith(" ")),
        [
          "the answer is 42",
          "the answer is 42, at attempt 3",
          "that is no question: must not contain what ends a line",
          "lost (IncompleteRead); was it sent? Maybe",
          "lost (LimitOverrun); was it sent? Maybe",
          "no answer in time",
          // and not the answer that came too late
          "the answer is 42",
          "the server says no: what is that?",
          "lost (ClosedStream); was it sent? No"
        ]
      )
      const attempts = (question: string) => lines.filter((line) => line === `   asking: "${question}"`).length
      assert.deepStrictEqual(["flaky", "cut", "slow"].map(attempts), [3, 1, 1])
    })
  )

  it.live("layers", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf("layers"), [
        "byte: eight bits",
        "stream: bytes that have yet to arrive",
        "socket: not in here"
      ])
    })
  )
})

describe("npm run serve", () => {
  it.live("answers lines until ctrl-C, and says goodbye to those who are still there", () =>
    Effect.gen(function* () {
      const { port, program } = yield* serving("serve")
      const peer = yield* connectRaw(port)
      yield* peer.send(`hello\n${"1".repeat(1000)}\nnext\n`)
      yield* peer.awaitText("5 olleh\nmore than 100 bytes: dropped\n4 txen\n")

      const polite = yield* connectRaw(port)
      yield* polite.send("\n")
      yield* polite.awaitEnd
      assert.match(polite.text, /Goodbye\.\n$/)

      assert.strictEqual(yield* interrupt(program), 130)
      yield* peer.awaitEnd
      assert.match(peer.text, /Goodbye\.\n$/)
      assert.match(program.stdout, /going down\n$/)
      assert.strictEqual(program.stderr, "")
    })
  )
})

describe("npm start", () => {
  it.live("shows seven scenes", () =>
    Effect.gen(function* () {
      const output = yield* Program.run(process.execPath, [file("demo")])
      const scenes = output.trim().split("\n\n")
      assert.strictEqual(scenes.length, 7)
      const [greeting, burst, body, overlong, halfClose, slowReader, reset] = scenes.map((scene) =>
        scene.split("\n").map((line) => line.trim().replace(/127\.0\.0\.1:\d+/, "the server"))
      )
      assert.deepStrictEqual(greeting, [
        "1. A greeting",
        "three clients at once are told: Hello, Ada! Hello, Barbara! Hello, Grace!"
      ])
      assert.deepStrictEqual(burst, [
        "2. A pipelined burst",
        "10000 requests are written before the first answer is read",
        "10000 answers come back, each the right one for its place"
      ])
      assert.deepStrictEqual(body, [
        "3. 64 MiB through a limit of 64 KiB",
        "the reader's limit: 65536 bytes",
        "one readExactly returns: 67108864 bytes",
        "they are the bytes that were sent: true"
      ])
      assert.deepStrictEqual(overlong, [
        "4. An overlong line, and the one behind it",
        'a line of 6 bytes: read "short"',
        "a line of 100001 bytes: caught LimitOverrun, limit 1000",
        'a line of 12 bytes: read "short again"'
      ])
      assert.deepStrictEqual(halfClose, [
        "5. Half-close",
        "after writeEof, a write: ClosedStream (write: this side has ended its output with writeEof)",
        'and a read: "you sent 13 bytes and ended your output"'
      ])
      // one write above the high-water mark of 64 KiB, and no more; on public API alone the system has taken a write of two
      // when the program comes to a stand, and it waits between its marks
      const held = slowReader!
        .slice(3)
        .map((line) => (publicOnly ? line.replace(/ {9}64 KiB {3}/, "        128 KiB   ") : line))
      assert.deepStrictEqual(held, [
        "0 MiB        128 KiB   waits",
        "4 MiB        128 KiB   waits",
        "8 MiB        128 KiB   waits",
        "12 MiB        128 KiB   waits",
        "64 MiB          0 KiB   is done",
        "the most it ever held: 128 KiB, of 65536 KiB"
      ])
      assert.deepStrictEqual(reset, [
        "7. Data before a reset",
        "before the client reads, the connection is gone: Lost",
        'what came before that is read all the same: "last order: done"',
        "and only then: ConnectionLost (readUntil: the connection to the server was lost (Reset, ECONNRESET))"
      ])
    })
  )
})
