/**
 * Private parts of Node may change with any of its releases, and Deno and Bun have others. Each that the library uses is
 * taken away here, or made otherwise: then the public way is taken, and the laws hold over every kind of connection.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { type Part, parts } from "../../src/internal/node/nodeInternals.ts"
import { run } from "../support/program.ts"

// each is a process, which uses one core
vi.setConfig({ maxConcurrency: 2 })

interface Outcome {
  readonly used: ReadonlyArray<Part>
  readonly laws: number
  readonly broken: ReadonlyArray<string>
}

const program = new URL("programs/laws.ts", import.meta.url).pathname

const laws = (options: {
  readonly without?: string
  readonly doctor?: string
  readonly kinds?: string
}): Effect.Effect<Outcome> => {
  const { doctor = "", kinds = "", without = "" } = options
  const args = [program, doctor, kinds]
  const env = { EFFECT_BYTE_STREAMS_PUBLIC_API: without }
  return Effect.map(
    run(process.execPath, args, { env, patience: 120_000 }),
    (printed) => JSON.parse(printed) as Outcome
  )
}

const timeout = 150_000

/** What is used where nothing is taken away. */
const here = Effect.runSync(Effect.cached(laws({ kinds: "none" })))

/** The parts that are there, and are not gone. */
const stay = (gone: ReadonlySet<Part>) => Effect.map(here, ({ used }) => used.filter((part) => !gone.has(part)))

/** What stands on another part goes with it. */
const goneWith: Partial<Record<Part, ReadonlyArray<Part>>> = { write: ["directTls"], read: ["directTls"] }

const isNode = process.versions.bun === undefined && process.versions.deno === undefined
it.live.runIf(isNode)("on Node every part is there", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* stay(new Set()), parts)
  })
)

describe.concurrent("left alone", () => {
  for (const [without, gone] of [
    ["write", ["write"]],
    ["read", ["read"]],
    ["directTls", ["directTls"]],
    ["directTls,decrypt", ["directTls", "decrypt"]],
    ["libuv", ["libuv"]],
    ["sharedReadMemory,unsent,behindTheEnd,verify", ["sharedReadMemory", "unsent", "behindTheEnd", "verify"]],
    ["1", parts.filter((part) => part !== "verify")]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<Part>]>) {
    it.live(
      `${without}: the laws hold`,
      () =>
        Effect.gen(function* () {
          const { broken, laws: checked, used } = yield* laws({ without })
          assert.deepStrictEqual(broken, [])
          assert.isAbove(checked, 80)
          const missing = new Set(gone.flatMap((part) => [part, ...(goneWith[part] ?? [])]))
          assert.deepStrictEqual(used, yield* stay(missing))
        }),
      timeout
    )
  }
})

describe.concurrent("of another make", () => {
  const sockets = "TCP,Unix,TLS"
  const engines = "TLS,startTls"
  for (const [doctor, kinds, gone] of [
    ["handles do not say how much they hold", "TCP,TLS,startTls", ["directTls", "sni"]],
    ["engines take nothing as if it had been read", engines, ["directTls", "sni"]],
    ["engines say nothing but errors", engines, ["directTls", "sni"]],
    ["a failed write is tried again", "TCP", ["directTls", "sni"]],
    ["the end overtakes a write", "TCP", ["directTls", "sni"]],
    ["handles read into no memory of others", sockets, []],
    ["handles have no number", "TCP,TLS", []],
    ["a write is answered later", sockets, ["write", "directTls"]],
    ["sockets have no writev", sockets, ["write", "directTls"]],
    ["what is pushed to a socket is not read from it", sockets, ["read", "directTls", "decrypt"]]
  ] as ReadonlyArray<readonly [string, string, ReadonlyArray<Part>]>) {
    it.live(
      `${doctor}: the laws hold`,
      () =>
        Effect.gen(function* () {
          const { broken, laws: checked, used } = yield* laws({ doctor, kinds })
          assert.deepStrictEqual(broken, [])
          assert.isAbove(checked, 15)
          assert.deepStrictEqual(used, yield* stay(new Set(gone)))
        }),
      timeout
    )
  }
})

describe.concurrent("of another make, and it does not look like it", () => {
  for (const [doctor, law] of [
    ["a failed write is tried again", "a reset that a write meets first is never an end"],
    ["the end overtakes a write", "the end comes behind what the system has yet to take"]
  ] as const) {
    it.live(
      `${doctor}: a law says so`,
      () =>
        Effect.gen(function* () {
          const { broken } = yield* laws({ doctor: `${doctor}, and it does not look like it`, kinds: "TCP" })
          assert.isTrue(
            broken.some((one) => one.startsWith(`TCP: ${law}`)),
            broken.join("\n")
          )
        }),
      timeout
    )
  }
})
