/** A test run of its own, of the tests in `bare.ts`. */
import { defineConfig } from "vitest/config"
import { CountsReporter } from "../../../scripts/counts-reporter.ts"

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["bare.ts"],
    // Bun has no channel to processes, and Deno does not let go of threads
    pool: process.versions.bun === undefined ? "forks" : "threads",
    reporters: [new CountsReporter()]
  }
})
