/**
 * Runs reads that are interrupted at every kind of moment, on an Effect whose private runtime is another: a worker thread
 * that edits Effect's modules as they are loaded. Answers what was lost.
 */
import type { Effect, Exit as ExitType, Fiber, Scheduler } from "effect"
import { readFileSync } from "node:fs"
import * as Module from "node:module"
import { parentPort, workerData } from "node:worker_threads"

/** A text in a module, and what stands there instead. */
export interface Edit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Result {
  readonly publicOnly: boolean
  /** What was logged about it. */
  readonly told: ReadonlyArray<string>
  /** Scenarios in which bytes are missing, came twice, or a read never ended or died. */
  readonly wrong: ReadonlyArray<string>
}

const { edits } = workerData as { readonly edits: ReadonlyArray<Edit> }
const found = new Set<Edit>()

/** What stands in a module after the edits of it; nothing if there is none. */
const edit = (file: string, read: () => string): string | undefined => {
  const applicable = edits.filter((edit) => file.endsWith(edit.file))
  if (applicable.length === 0) return undefined
  let source = read()
  for (const edit of applicable) {
    if (source.includes(edit.find)) found.add(edit)
    source = source.replaceAll(edit.find, edit.replace)
  }
  return source
}

/** What Bun has in the place of Node's hooks. */
interface Bun {
  plugin(plugin: {
    readonly name: string
    setup(build: {
      onLoad(
        which: { readonly filter: RegExp },
        load: (module: { readonly path: string }) => { readonly contents: string; readonly loader: "js" | "ts" }
      ): void
    }): void
  }): void
}
const { Bun } = globalThis as { readonly Bun?: Bun }

if (Bun === undefined) {
  Module.registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const source = edit(url, () =>
        typeof loaded.source === "string" ? loaded.source : new TextDecoder().decode(loaded.source as Uint8Array)
      )
      return source === undefined ? loaded : { ...loaded, source }
    }
  })
} else if (edits.length > 0) {
  const filter = new RegExp(`(${edits.map(({ file }) => file.replaceAll(".", "\\.")).join("|")})$`)
  Bun.plugin({
    name: "doctored",
    setup: (build) =>
      build.onLoad({ filter }, ({ path }) => ({
        contents: edit(path, () => readFileSync(path, "utf8"))!,
        loader: path.endsWith(".ts") ? "ts" : "js"
      }))
  })
}

// behind the hooks, and one by one: the barrel takes seconds on a busy machine
const Effects = await import("effect/Effect")
const Exit = await import("effect/Exit")
const Logger = await import("effect/Logger")
const { MinimumLogLevel } = await import("effect/References")
const { MixedScheduler } = await import("effect/Scheduler")
const StreamReader = await import("../../src/StreamReader.ts")
const { publicOnly } = await import("../../src/internal/runtime/effectInternals.ts")

for (const edit of edits) if (!found.has(edit)) throw new Error(`there is no ${edit.find} in ${edit.file}`)

const lines = Array.from({ length: 100 }, (_, line) => `${line}\n`)
const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const wrong: Array<string> = []
const told: Array<string> = []

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))

const logger = Logger.make(({ message }) => {
  if (String(message).includes("public API")) told.push(String(message))
})

type Made = Effect.Success<ReturnType<typeof StreamReader.make>>
type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Reads with one fiber after the other, each of which is interrupted somewhere; all lines must come, in order. */
const scenario = async (
  name: string,
  options: { readonly limit?: number; readonly onResume?: (interrupt: () => void) => void },
  scheduler: Scheduler.Scheduler,
  work: (made: Made, fiber: () => AnyFiber | undefined) => Promise<void>
) => {
  const answers: Array<string> = []
  let fiber: AnyFiber | undefined
  const made = Effects.runSync(
    StreamReader.make({
      limit: options.limit ?? 65536,
      onResume: () => options.onResume?.(() => fiber?.interruptUnsafe())
    })
  )
  // not by `yield*`, which answers past the fiber
  const loop: Effect.Effect<void, unknown> = Effects.matchCauseEffect(made.reader.readLine, {
    onSuccess: (line: Uint8Array) => (answers.push(decode(line)), line.length === 0 ? Effects.void : loop),
    onFailure: Effects.failCause
  })
  const program = loop.pipe(
    Effects.provideService(Logger.CurrentLoggers, new Set([logger])),
    Effects.provideService(MinimumLogLevel, "Debug")
  )
  let over = false
  const done = work(made, () => fiber).then(
    () => void (over = true),
    (error) => void wrong.push(`${name}: ${error}`)
  )
  for (let run = 0; run < 4000; run++) {
    const exit = await new Promise<ExitType.Exit<void, unknown> | undefined>((resolve) => {
      const started = Effects.runFork(program, { scheduler })
      fiber = started
      started.addObserver(resolve)
      // one that waits for what never comes is interrupted
      const end = Date.now() + 5000
      const look = () => {
        if (started.pollUnsafe() !== undefined) return
        if (Date.now() > end) return resolve(undefined)
        setImmediate(look)
      }
      look()
    })
    if (exit === undefined) return void wrong.push(`${name}: a read never ends`)
    if (Exit.isSuccess(exit)) break
    const problem = exit.cause.reasons.find((reason) => reason._tag !== "Interrupt")
    if (problem !== undefined) return void wrong.push(`${name}: ${problem._tag}`)
  }
  await done
  if (!over || answers.join("") !== lines.join("")) wrong.push(`${name}: ${answers.length} answers`)
}

const own = () => new MixedScheduler()

// every time that the source may go on again, the fiber that takes is interrupted
await scenario(
  "interrupted in the step that takes",
  { limit: 2, onResume: (interrupt) => interrupt() },
  own(),
  async (made) => {
    for (let line = 0; line < lines.length; line += 5) {
      made.feedUnsafe(encode(lines.slice(line, line + 5).join("")))
      await turn()
      await turn()
    }
    made.endUnsafe()
  }
)

// a scheduler that lets others run before any step, and interrupts the fiber there every so often
let state = 1
const chance = (one: number): boolean => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state % 65521 < 65521 / one
}
const restless: Scheduler.Scheduler = {
  executionMode: "async",
  makeDispatcher: () => new MixedScheduler().makeDispatcher(),
  shouldYield: (fiber) => {
    if (chance(16)) queueMicrotask(() => fiber.interruptUnsafe())
    return chance(3)
  }
}
await scenario("interrupted between two steps", {}, restless, (made) => {
  for (const line of lines) made.feedUnsafe(encode(line))
  made.endUnsafe()
  return Promise.resolve()
})

// what arrives, in the same turn as an interruption, in either order
for (const first of ["bytes", "interruption"]) {
  await scenario(`${first} first`, {}, own(), async (made, fiber) => {
    for (const [index, line] of lines.entries()) {
      await turn()
      const interrupt = () => {
        if (index % 3 === 0) fiber()?.interruptUnsafe()
      }
      if (first === "interruption") interrupt()
      made.feedUnsafe(encode(line))
      if (first === "bytes") interrupt()
    }
    await turn()
    made.endUnsafe()
  })
}

parentPort!.postMessage({ publicOnly, told, wrong } satisfies Result)
