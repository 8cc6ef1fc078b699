/**
 * Vitest's global set-up: brings `dist/` up to date before the tests, because the examples, which the tests start as
 * programs of their own, import the package by its name and so run what was built.
 *
 * A type error is shown but does not stop the tests: reporting it is the job of `npm run check`.
 */
import { spawnSync } from "node:child_process"

export default function setup(): void {
  spawnSync("npm", ["run", "--silent", "compile"], { stdio: "inherit" })
}
