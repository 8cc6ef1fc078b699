/** A test run of its own, of the tests in `bare.ts`. */
import { defineConfig } from "vitest/config"
import { CountsReporter } from "../../../scripts/counts-reporter.ts"

export default defineConfig({
  // a channel to processes is not there on every runtime
  test: { root: import.meta.dirname, include: ["bare.ts"], pool: "threads", reporters: [new CountsReporter()] }
})
