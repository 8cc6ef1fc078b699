/**
 * Ends a test run with one plain line, `N passed, N failed, N skipped`, for people and machines that read only the end.
 * Before it come the tests that were skipped for want of a program that they talk to, and how to install what is missing;
 * and those that were skipped because the library works on public API alone, and why.
 *
 * The numbers are Vitest's own. What is broken without a failing test of its own also counts as failed: a file that
 * cannot be loaded, a hook that throws, an error that nobody handles.
 */
import type { SerializedError } from "vitest"
import type { Reporter, TestModule } from "vitest/node"
import { missingPackages } from "../test/support/peers.ts"

export class CountsReporter implements Reporter {
  #lines: Array<string> | undefined

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<SerializedError>): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    const alone: Array<string> = []
    const packages = new Set<string>()
    const publicOnly: Array<string> = []
    for (const module of modules) {
      const failedBefore = counts.failed
      for (const test of module.children.allTests()) {
        const state = test.result().state
        // A test still pending when the run ends was never run.
        counts[state === "pending" ? "skipped" : state]++
        const { why } = test.meta()
        if (state === "skipped" && why !== undefined) {
          publicOnly.push(`  ${module.relativeModuleId} > ${test.fullName}: ${why}`)
        }
        const missing = state === "skipped" ? missingPackages(test.meta().needs ?? []) : []
        if (missing.length === 0) continue
        alone.push(`  needs ${missing.join(" and ")}: ${module.relativeModuleId} > ${test.fullName}`)
        for (const name of missing) packages.add(name)
      }
      if (module.state() === "failed" && counts.failed === failedBefore) counts.failed++
    }
    // Printed on exit, since the default reporter writes its summary after this.
    if (this.#lines === undefined) process.once("exit", () => console.log(this.#lines?.join("\n")))
    this.#lines = [`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`]
    if (publicOnly.length > 0) {
      this.#lines.unshift("Skipped, because the library works on public API alone:", ...publicOnly)
    }
    if (alone.length === 0) return
    const install = `apt-get update && apt-get install --yes ${Array.from(packages).sort().join(" ")}`
    this.#lines.unshift(
      "Skipped, because a program that they talk to is not installed:",
      ...alone,
      `${alone.length} tests skipped for want of a program. This installs all that they need: ${install}`
    )
  }
}
