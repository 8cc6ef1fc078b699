/**
 * Ends a test run with one plain line, `N passed, N failed, N skipped`, for people and machines that read only the end.
 *
 * The numbers are Vitest's own. What is broken without a failing test of its own also counts as failed: a file that
 * cannot be loaded, a hook that throws, an error that nobody handles.
 */
import type { SerializedError } from "vitest"
import type { Reporter, TestModule } from "vitest/node"

export class CountsReporter implements Reporter {
  #line: string | undefined

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<SerializedError>): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      const failedBefore = counts.failed
      for (const test of module.children.allTests()) {
        const state = test.result().state
        // A test still pending when the run ends was never run.
        counts[state === "pending" ? "skipped" : state]++
      }
      if (module.state() === "failed" && counts.failed === failedBefore) counts.failed++
    }
    // Printed on exit, since the default reporter writes its summary after this.
    if (this.#line === undefined) process.once("exit", () => console.log(this.#line))
    this.#line = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`
  }
}
