/**
 * Vitest's global set-up: brings the JavaScript in `dist/` up to date for tests that start programs of their own, since
 * those import the package by its name and so run what was built. Where no such test is going to run, nothing is built.
 *
 * Declarations are not written: no program needs them, and `npm run check` is what looks at types.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { needsDist } from "./test-files.ts"

export default async function setup(project: TestProject): Promise<void> {
  // what the command line names; where Vitest does not say it, everything
  const { filenamePattern } = project.vitest as { readonly filenamePattern?: Array<string> }
  const { testFiles } = await project.globTestFiles(filenamePattern)
  if (!testFiles.some(needsDist)) return
  spawnSync(process.execPath, [join(import.meta.dirname, "bundle.ts")], { stdio: "inherit" })
}
