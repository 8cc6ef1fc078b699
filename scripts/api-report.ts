/**
 * Writes down the public surface, as the declarations of `dist/` have it, without their documentation: `api-report.md`. A
 * change to it shows in the review, and a change that forgets it fails `npm run check`.
 *
 * Usage: npm run api            writes it
 *        npm run check:api      fails where it is not what was written
 */
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const report = join(root, "api-report.md")

/** The declarations of a module, without comments, imports and empty lines. */
const surfaceOf = (module: string): string =>
  readFileSync(join(root, "dist", module), "utf8")
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^(import |\/\/#|export \{\};)/.test(line))
    .join("\n")

const modules = globSync(["*.d.ts", "testing/*.d.ts"], { cwd: join(root, "dist") }).toSorted()
const text = [
  "# The public surface",
  "",
  "Written by `npm run api`. What is here is what other programs are written against.",
  ...modules.map((module) => `\n## ${module.replace(".d.ts", "")}\n\n\`\`\`ts\n${surfaceOf(module)}\n\`\`\``),
  ""
].join("\n")

if (process.argv.includes("--check")) {
  if (readFileSync(report, "utf8") !== text) {
    console.error("The public surface has changed: `npm run api` writes api-report.md, and the review looks at it.")
    process.exit(1)
  }
} else writeFileSync(report, text)
