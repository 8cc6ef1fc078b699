/** A test run of its own, of the tests in `worldly.ts`, under the guard of unit tests. */
import { defineConfig } from "vitest/config"
import { CountsReporter } from "../../../scripts/counts-reporter.ts"
import config from "../../../vitest.config.ts"

export default defineConfig({
  ...config,
  test: {
    root: import.meta.dirname,
    include: ["worldly.ts"],
    setupFiles: ["../../support/guard.ts"],
    reporters: [
      { onTestCaseResult: (test) => console.log(`${test.result().state}: ${test.name}`) },
      new CountsReporter()
    ]
  }
})
