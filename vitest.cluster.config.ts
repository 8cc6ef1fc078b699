/**
 * The tests that start clusters of processes, over databases, and kill some of them. `npm run test:cluster` runs them; CI
 * runs them beside `npm test`.
 */
import { configDefaults, defineConfig } from "vitest/config"
import config, { clusters } from "./vitest.config.ts"

export default defineConfig({
  ...config,
  // one after the other: each is a machine full of processes, and times what they do
  test: { ...config.test, include: [...clusters], exclude: configDefaults.exclude, maxWorkers: 1 }
})
