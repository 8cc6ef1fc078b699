/**
 * Effect's private runtime may change with any of its releases. Here it does: a member has another name, is missing, or
 * behaves otherwise. Without a guard reads lose bytes, hang or die then; with it they work on public API alone.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Scheduler } from "effect"
import { Worker } from "node:worker_threads"
import { deliver } from "../../src/internal/runtime/effectInternals.ts"
import { within } from "../support/wait.ts"
import { onPrivateRuntime } from "../support/publicApi.ts"
import type { Edit, Result } from "./doctored.ts"

const core = "/effect/dist/internal/core.js"
const runtime = "/effect/dist/internal/effect.js"

const everywhere = (find: string, replace: string): ReadonlyArray<Edit> =>
  [core, runtime].map((file) => ({ file, find, replace }))

const unguarded: Edit = {
  file: "/src/internal/runtime/effectInternals.ts",
  find: "const doubt = findDoubt()",
  replace: "const doubt = undefined"
}

const runWith = (edits: ReadonlyArray<Edit>, env: Record<string, string> = {}): Effect.Effect<Result> =>
  within(
    "the reads have ended",
    Effect.promise(
      () =>
        new Promise<Result>((resolve, reject) => {
          const worker = new Worker(new URL("doctored.ts", import.meta.url), {
            workerData: { edits },
            execArgv: [],
            env: { ...process.env, EFFECT_BYTE_STREAMS_PUBLIC_API: "", ...env }
          })
          worker.once("message", (result: Result) => void worker.terminate().then(() => resolve(result)))
          worker.once("error", reject)
        })
    ),
    60_000
  )

const doctored: ReadonlyArray<readonly [name: string, edits: ReadonlyArray<Edit>]> = [
  ["_deferredInterrupt has another name", everywhere("_deferredInterrupt", "_pendingInterrupt").slice(1)],
  ["yieldWith has another name", everywhere("yieldWith", "suspendWith")],
  [
    "a fiber's evaluate has another name",
    [
      { file: runtime, find: "fiber.evaluate(", replace: "fiber.goOn(" },
      { file: runtime, find: "this.evaluate", replace: "this.goOn" },
      { file: runtime, find: "child.evaluate(", replace: "child.goOn(" },
      {
        file: runtime,
        find: "  evaluate(effect) {\n    if (this._exit)",
        replace: "  goOn(effect) {\n    if (this._exit)"
      }
    ]
  ],
  [
    "the key of an effect's evaluation does not show",
    [
      {
        file: "/effect/dist/Effectable.js",
        find: "[evaluate]: options.evaluate",
        replace: "[evaluate](fiber) { return options.evaluate.call(this, fiber) }"
      }
    ]
  ],
  [
    "an exit reaches its continuation in a step of its own, every few steps",
    [
      {
        file: core,
        find: "    const cont = fiber.getCont(contA);\n    return cont ? cont[contA](this[args], fiber, this)",
        replace:
          "    if (++fiber.currentOpCount % 3 === 0) return exitSucceed(this[args]);\n    const cont = fiber.getCont(contA);\n    return cont ? cont[contA](this[args], fiber, this)"
      }
    ]
  ],
  [
    "a fiber that is resumed runs later, and not at all if it is interrupted before",
    [
      {
        file: runtime,
        find: "      const yielded = this._yielded;\n      this._yielded = undefined;\n      yielded();\n    }\n    const exit",
        replace:
          "      const yielded = this._yielded;\n      this._yielded = undefined;\n      yielded();\n      queueMicrotask(() => this.evaluate(this._interruptedCause && this.interruptible ? failCause(this._interruptedCause) : effect));\n      return;\n    }\n    const exit"
      }
    ]
  ],
  [
    "what ends a wait is called after the fiber has gone on",
    [
      {
        file: runtime,
        find: "      this._yielded = undefined;\n      yielded();\n    }\n    const exit",
        replace: "      this._yielded = undefined;\n      setTimeout(yielded, 5);\n    }\n    const exit"
      }
    ]
  ]
]

describe.concurrent("where Effect's private runtime is another", () => {
  for (const [name, edits] of doctored) {
    it.live(
      `${name}: without the guard reads go wrong, with it none`,
      () =>
        Effect.gen(function* () {
          assert.isAbove((yield* runWith([...edits, unguarded])).wrong.length, 0)
          const guarded = yield* runWith(edits)
          assert.deepStrictEqual(guarded.wrong, [])
          assert.isTrue(guarded.publicOnly)
          // once, however many fibers met it
          assert.strictEqual(guarded.told.length, 1)
        }),
      120_000
    )
  }

  it.live(
    "as it is, nothing is in doubt and nothing is said; the environment forces the public way",
    () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* runWith([]), { publicOnly: false, told: [], wrong: [] })
        const forced = yield* runWith([], { EFFECT_BYTE_STREAMS_PUBLIC_API: "1" })
        assert.deepStrictEqual([forced.publicOnly, forced.wrong], [true, []])
        assert.match(forced.told.join(), /EFFECT_BYTE_STREAMS_PUBLIC_API is 1/)
      }),
    120_000
  )
})

it.effect(
  "an answer is handed over at every step count from 1 to 4,096",
  () =>
    Effect.sync(() => {
      const counts: Array<number> = []
      let reached = false
      const reach = Effect.matchCauseEffect(Effect.void, {
        onSuccess: () => ((reached = true), step),
        onFailure: () => ((reached = true), step)
      })
      // each step of the fiber hands over one answer, which is a success and a failure in turn
      const step: Effect.Effect<void> = Effect.withFiber((fiber) => {
        counts.push(fiber.currentOpCount)
        deliver(reach as never, fiber)
        reached = false
        const next = deliver(counts.length % 2 === 0 ? Exit.succeed(1) : (Exit.fail(1) as never), fiber)
        assert.isTrue(reached, `at step ${counts.length}`)
        return counts.length === 4097 ? Effect.void : (next as never)
      })
      const context = Context.make(Scheduler.PreventSchedulerYield, true)
      const exit = Effect.runSyncExitWith(context as never)(step)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.deepStrictEqual(
        counts,
        counts.map((_, index) => index + 1)
      )
    }),
  onPrivateRuntime("an answer is handed over by public means there, in a step of its own")
)
