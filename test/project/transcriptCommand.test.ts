/** The command that shows a transcript, as a process: arguments, files, pipes and exit codes. */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll } from "vitest"
import { hasColors, parse } from "../../src/internal/command/arguments.ts"
import { line } from "../support/transcripts.ts"

const root = resolve(import.meta.dirname, "../..")
const main = join(resolve(import.meta.dirname, "../../dist"), "internal/command/main.js")
const directory = mkdtempSync(join(tmpdir(), "ebs-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const file = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the command. `enough`: the reader of its output goes away after so many bytes. */
const run = (args: ReadonlyArray<string>, { enough = Infinity, input = "" } = {}): Promise<Ran> =>
  new Promise((done, fail) => {
    const child = spawn(process.execPath, [main, ...args], { timeout: 10_000 })
    const said = { out: "", err: "" }
    child.on("error", fail)
    child.on("close", (code) => done({ code, ...said }))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text))
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said.out += text
      if (said.out.length >= enough) child.stdout.destroy()
    })
    child.stdin.on("error", () => {})
    child.stdin.end(input)
  })

const opened = (id: number): string => line({ time: 100, id, type: "opened", side: "client" })
const says = (id: number, text: string): string => line({ time: 101, id, type: "out", text })

describe("the process", () => {
  it("shows the connections that are asked for, one after the other, of all files", async () => {
    const first = file("1.jsonl", opened(1) + opened(2) + opened(3) + says(2, "two\u{1b}[31m") + says(1, "one"))
    const second = file("2.jsonl", says(1, "ONE") + says(3, "three"))
    const { code, err, out } = await run([
      "transcript",
      first,
      second,
      "--connection",
      "1",
      "--connection=2",
      "--width=60"
    ])
    assert.deepStrictEqual([code, err], [0, ""])
    const order = ["#1", " one ", " ONE ", "#2", " two\\x1b[31m ", "still open where the transcript ends: #1, #2"]
    const at = order.map((what) => out.indexOf(what))
    assert.notInclude(at, -1, out)
    assert.deepStrictEqual(
      at,
      at.toSorted((a, b) => a - b)
    )
    assert.notInclude(out, "three")
    // no terminal, no colors
    assert.notMatch(out, /[^\P{C}\n]/u)
    assert.strictEqual(Math.max(...out.split("\n").map((row) => row.length)), 60)
  })

  it("reads the standard input, shows what is whole in front of a wrong line, and fails", async () => {
    const { code, err, out } = await run(["transcript", "-"], {
      input: `${opened(4)}${says(4, "hi")}{"type":"\u{9b}"}\n`
    })
    assert.strictEqual(code, 1)
    assert.match(out, /#4[^]* hi /)
    assert.strictEqual(err, 'effect-byte-streams: standard input: line 3: unknown type "\\x9b"\n')
  })

  it("shows what is whole in front of a wrong line also where connections are sorted", async () => {
    const text = `${opened(1)}${opened(2)}${says(1, "hi")}{}\n`
    const { code, err, out } = await run(["transcript", "-", "--connection", "2", "--connection", "1"], { input: text })
    assert.strictEqual(code, 1)
    assert.match(out, /#2[^]*#1[^]* hi /)
    assert.strictEqual(err, "effect-byte-streams: standard input: line 4: no type\n")
  })

  it("shows a connection once that is asked for twice, with what is missing in it", async () => {
    const missing = '{"time":1,"id":0,"type":"missing","lines":2}\n'
    const twice = file("5.jsonl", opened(1) + missing)
    const once = await run(["transcript", twice, "--connection", "1"])
    assert.deepStrictEqual(await run(["transcript", twice, "--connection", "1", "--connection", "1"]), once)
    assert.strictEqual(once.out.split("2 lines are missing here").length, 2)
  })

  it("says which file cannot be read, and why", async () => {
    const { code, err, out } = await run(["transcript", join(directory, "none")])
    assert.deepStrictEqual([code, out], [1, ""])
    assert.strictEqual(err, `effect-byte-streams: ${join(directory, "none")}: no such file or directory\n`)
  })

  it("says which connections there are, if one is asked for that is not", async () => {
    const { code, err, out } = await run(["transcript", file("3.jsonl", opened(1) + opened(2)), "--connection", "7"])
    assert.deepStrictEqual([code, out], [1, ""])
    assert.strictEqual(err, "effect-byte-streams: there is no connection 7, but 1, 2\n")
  })

  it("says in one line what is wrong with arguments, with a code of its own", async () => {
    const { code, err, out } = await run(["transcript", "x", "--width", "wide"])
    assert.deepStrictEqual([code, out], [2, ""])
    assert.match(err, /^effect-byte-streams: --width must be an integer from 48 to 1000, got "wide" \(try --help\)\n$/)
  })

  it("ends quietly when nobody reads on", async () => {
    const many = file("many.jsonl", opened(1) + says(1, "x".repeat(200)).repeat(20_000))
    const { code, err, out } = await run(["transcript", many], { enough: 1000 })
    assert.deepStrictEqual([code, err], [0, ""])
    assert.isBelow(out.length, 10_000_000)
  })

  it("tells its version, and how it is used", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string }
    assert.deepStrictEqual(await run(["--version"]), { code: 0, out: `${version}\n`, err: "" })
    const { code, out } = await run(["--help"])
    assert.strictEqual(code, 0)
    assert.match(out, /^Usage: effect-byte-streams transcript \[options\] FILE\.\.\.$/m)
    for (const row of out.split("\n")) assert.isAtMost(row.length, 80)
  })
})

describe("arguments", () => {
  it("all of them", () => {
    const args = [
      "transcript",
      "a",
      "-",
      "--connection",
      "3",
      "--connection",
      "1",
      "--width",
      "80",
      "--bytes",
      "0",
      "--no-color"
    ]
    assert.deepStrictEqual(parse(args), {
      _tag: "Transcript",
      files: ["a", "-"],
      connections: [3, 1],
      width: 80,
      bytes: 0,
      color: false
    })
  })

  it("colors only on a terminal that has them, for people who want them", () => {
    assert.isTrue(hasColors(true, { TERM: "xterm", NO_COLOR: "" }))
    assert.isFalse(hasColors(false, { TERM: "xterm" }))
    assert.isFalse(hasColors(true, { TERM: "dumb" }))
    assert.isFalse(hasColors(true, { NO_COLOR: "1" }))
  })

  const wrong: ReadonlyArray<readonly [args: string, problem: RegExp]> = [
    ["", /^a command is missing: transcript$/],
    ["show a", /^there is no command "show", only transcript$/],
    ["transcript", /^a FILE is missing/],
    ["transcript - a -", /^the standard input can be read once only$/],
    ["transcript a --loud", /^Unknown option '--loud'/],
    ["transcript a --width", /^Option '--width <value>' argument missing/],
    ["transcript a --width 47", /^--width must be an integer from 48 to 1000, got "47"$/],
    ["transcript a --width 1001", /^--width must be/],
    ["transcript a --bytes -1", /--bytes/],
    ["transcript a --bytes=-1", /^--bytes must be an integer of 0 or more, got "-1"$/],
    ["transcript a --bytes 1e3", /^--bytes must be/],
    ["transcript a --connection 0", /^--connection must be an integer of 1 or more, got "0"$/]
  ]
  for (const [args, problem] of wrong) {
    it(`wrong ones are told in one line: ${args === "" ? "none" : args}`, () => {
      const request = parse(args.split(" ").filter((word) => word !== ""))
      assert.strictEqual(request._tag, "Wrong")
      if (request._tag !== "Wrong") return
      assert.match(request.problem, problem)
      assert.notInclude(request.problem, "\n")
    })
  }
})
