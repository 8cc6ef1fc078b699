/** The suite on another runtime than the project's own Node, which `scripts/runtimes.ts` starts with this. */
import { configDefaults, defineConfig } from "vitest/config"
import { CountsReporter } from "./scripts/counts-reporter.ts"
import { exceptions } from "./test/runtimes/exceptions.ts"
import { exceptionsOf, leftOutWhole } from "./test/runtimes/judge.ts"
import { runtimeHere } from "./test/runtimes/names.ts"
import { RuntimeReporter } from "./test/runtimes/reporter.ts"
import config from "./vitest.config.ts"

const runtime = runtimeHere()

export default defineConfig({
  ...config,
  test: {
    ...config.test,
    exclude: [...configDefaults.exclude, ...leftOutWhole(exceptionsOf(exceptions, runtime))],
    // the script has built what the tests start
    globalSetup: [],
    // the other runtimes are slower at some things, and are run at night beside others
    testTimeout: 60_000,
    hookTimeout: 60_000,
    runner: "test/runtimes/runner.ts",
    reporters: ["default", new CountsReporter(), new RuntimeReporter()],
    passWithNoTests: true,
    // Vitest talks to the processes that it forks by a channel that Bun does not have; and threads share the descriptors that
    // tests count
    ...(runtime === "bun" ? { pool: "threads", fileParallelism: false } : {})
  }
})
