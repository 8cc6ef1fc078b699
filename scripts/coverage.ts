/**
 * How much of `src` the tests run, by statements, branches, functions and lines.
 *
 * What measures it is installed in a copy of this project only: in the lock file it would bring a second copy of the
 * bundler, some builds of which are not published, and that is what `npm ci` refuses.
 *
 * Usage: npm run coverage [-- arguments of vitest run]; npm run coverage -- --config vitest.unit.config.ts
 */
import { createRequire } from "node:module"
import { withProjectCopy } from "./project-copy.ts"

const { version } = createRequire(import.meta.url)("vitest/package.json") as { readonly version: string }

const options = [
  "--coverage.enabled",
  "--coverage.provider=v8",
  "--coverage.include=src/**/*.ts",
  "--coverage.reporter=text",
  // the figures of what was run, also where a test failed
  "--coverage.reportOnFailure"
]

const install = ["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]

const passed = withProjectCopy(
  ({ run }) =>
    run("npm", ...install, `@vitest/coverage-v8@${version}`) &&
    run("npx", "vitest", "run", ...options, ...process.argv.slice(2))
)
if (!passed) process.exitCode = 1
