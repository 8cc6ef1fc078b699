/** What `npm run test:runtimes` makes of its list of exceptions, and the list itself. */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Exception, exceptions } from "../runtimes/exceptions.ts"
import {
  exceptionFor,
  exceptionsOf,
  leftOutWhole,
  problemsOf,
  type Report,
  type Result,
  wrongEntries
} from "../runtimes/judge.ts"
import { runtimes } from "../runtimes/names.ts"
import { lengthOf, listOf, tableOf } from "../runtimes/table.ts"

const root = join(import.meta.dirname, "../..")

const file = "test/read/a.test.ts"

const fails: Exception = {
  on: ["bun", "deno"],
  kind: "fails",
  file,
  tests: ["group > one", "other group"],
  reason: "it cannot"
}
const whole: Exception = {
  on: ["bun"],
  kind: "left out",
  file: "test/scripts/",
  tests: "all",
  reason: "about Node alone"
}

const result = (name: string, state: Result["state"] = "passed"): Result => ({ file, name, state })

const report = (...results: ReadonlyArray<Result>): Report => ({ results, broken: [] })

const asListed = [result("group > one", "failed as listed"), result("other group > two", "failed as listed")]

describe("the exceptions of a runtime", () => {
  it("are about tests by their whole names, or about all tests of a group, of a file or of a folder", () => {
    const all = [fails, whole]
    assert.strictEqual(exceptionFor(all, file, "group > one"), fails)
    assert.strictEqual(exceptionFor(all, file, "other group > inner > three"), fails)
    assert.isUndefined(exceptionFor(all, file, "group > one more"))
    assert.isUndefined(exceptionFor(all, file, "other group, another"))
    assert.isUndefined(exceptionFor(all, "test/read/b.test.ts", "group > one"))
    assert.strictEqual(exceptionFor(all, "test/scripts/c.test.ts", "anything"), whole)
    assert.deepStrictEqual(leftOutWhole([...all, { ...whole, file }]), ["test/scripts/**", file])
    assert.deepStrictEqual(exceptionsOf(all, "deno"), [fails])
    assert.deepStrictEqual(exceptionsOf(all, "node-26"), [])
  })

  it("let a run pass in which they alone fail", () => {
    assert.deepStrictEqual(problemsOf([fails, whole], report(result("group > other"), ...asListed)), [])
  })

  it("do not excuse another test that fails, nor what fails without a test", () => {
    const found = problemsOf([fails], { ...report(...asListed, result("new", "failed")), broken: ["cannot be loaded"] })
    assert.deepStrictEqual(found, ["cannot be loaded", `${file} > new: failed, and is not in the list`])
  })

  it("fail the run when what they are about passes, has gone, or is named twice", () => {
    assert.deepStrictEqual(
      problemsOf([fails], report(result("group > one", "passed against the list"), asListed[1]!)),
      [`${file} > group > one: passed: the exception is to go`]
    )
    assert.deepStrictEqual(problemsOf([fails], report(asListed[0]!)), [
      `${file} > other group: the exception names no test`
    ])
    assert.deepStrictEqual(problemsOf([fails, { ...fails, tests: ["group > one"] }], report(...asListed)), [
      `${file} > group > one: two exceptions are about it`
    ])
    // a file that is not part of this run says nothing about its exceptions
    assert.deepStrictEqual(problemsOf([fails], report({ ...result("any"), file: "test/read/b.test.ts" })), [])
  })

  it("are wrong where they name no file, no test or no reason", () => {
    assert.deepStrictEqual(wrongEntries([fails, whole], [file, "test/scripts/c.test.ts"]), [])
    assert.deepStrictEqual(
      wrongEntries([fails, { ...whole, tests: ["x"] }, { ...fails, tests: [] }, { ...fails, reason: " " }], [file]),
      [
        "the exception for test/scripts/ names no test file",
        "the exception for test/scripts/ names tests of a folder",
        `an exception for ${file} is about nothing`,
        `the exception for ${file} has no reason`
      ]
    )
  })

  it("are right, as they are in the list, as far as that can be seen without running anything", () => {
    const files = globSync(["test/**/*.test.ts", "examples/**/*.test.ts"], { cwd: root })
    assert.deepStrictEqual(wrongEntries(exceptions, files), [])
  })

  it("are counted, listed with their reasons, and shown beside what passed", () => {
    const results = ["x", "y"].map((name) => result(`ranks 39, 43: laws of streams: TCP > ${name}`))
    const laws = [results[0]!, { ...results[1]!, state: "failed as listed" as const }].map((result) => ({
      ...result,
      file: "test/testing/laws.test.ts"
    }))
    const row = { runtime: "bun", version: "1.2.3", results: laws, exceptions: [fails, whole] } as const
    assert.strictEqual(lengthOf(row.exceptions), 3)
    assert.deepStrictEqual(listOf(row).split("\n"), [
      "Bun: 3 exceptions",
      `  fails: ${file}: it cannot`,
      "    group > one",
      "    other group",
      "  left out: test/scripts/: about Node alone"
    ])
    const [head, , cells] = tableOf([row], false)
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()))
    const shown = Object.fromEntries(head!.map((title, at) => [title, cells![at]]))
    assert.include(shown, { runtime: "Bun", version: "1.2.3", TCP: "1 of 2", Duplex: "–", exceptions: "3" })
  })
})

describe("the runtimes", () => {
  it("have exact versions, in a lock file without the address of a registry", () => {
    const read = (name: string) => readFileSync(join(root, "scripts/runtimes", name), "utf8")
    const wanted = Object.entries<string>(JSON.parse(read("package.json")).optionalDependencies)
    for (const [name, version] of wanted) assert.match(version, /^(npm:[\w-]+@)?\d+\.\d+\.\d+$/, name)
    for (const runtime of runtimes)
      assert.isTrue(
        wanted.some(([name]) => name.startsWith(runtime)),
        runtime
      )
    assert.notInclude(read("package-lock.json"), "http")
  })
})
