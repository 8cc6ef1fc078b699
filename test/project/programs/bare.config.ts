/** A test run of its own, of the tests in `bare.ts`. */
import { defineConfig } from "vitest/config"
import { CountsReporter } from "../../../scripts/counts-reporter.ts"

export default defineConfig({
  test: { root: import.meta.dirname, include: ["bare.ts"], reporters: [new CountsReporter()] }
})
