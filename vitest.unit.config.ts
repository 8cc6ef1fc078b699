/**
 * The tests that need nothing of the world: no socket, no process, nothing that was built. `npm run test:unit` runs them
 * in seconds. Which files those are is found by what they import: `scripts/test-files.ts`.
 */
import { defineConfig } from "vitest/config"
import { unit } from "./scripts/test-files.ts"
import config from "./vitest.config.ts"

export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: [...unit],
    globalSetup: [],
    env: { PROPERTY_RUNS: process.env.PROPERTY_RUNS ?? "0.34" },
    setupFiles: ["test/support/guard.ts"],
    // They share nothing that one of them could leave behind, and half of the time would go into loading Effect again.
    isolate: false
  }
})
