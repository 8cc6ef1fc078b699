/**
 * The tests that wait for real time to pass: event loops that stand still, peers that are silent, clusters that come and
 * go. `npm run test:long` runs them; CI runs them beside `npm test`.
 */
import { configDefaults, defineConfig } from "vitest/config"
import config, { long } from "./vitest.config.ts"

export default defineConfig({
  ...config,
  test: { ...config.test, include: [...long], exclude: configDefaults.exclude }
})
