/** A copy of this project in which other packages may be installed than here. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** What a copy has of its own, or does not need. */
const left: ReadonlySet<string> = new Set(["node_modules", "dist", ".git"])

export interface ProjectCopy {
  readonly directory: string
  /** Runs a command in it, whose output is that of this process. Whether it ended well. */
  readonly run: (command: string, ...args: ReadonlyArray<string>) => boolean
}

/** Makes a copy, and removes it after `use`. The packages that are installed here are linked, which npm leaves whole. */
export const withProjectCopy = <A>(use: (copy: ProjectCopy) => A): A => {
  const directory = mkdtempSync(join(tmpdir(), `${basename(process.argv[1]!, ".ts")}-`))
  try {
    cpSync(root, directory, { recursive: true, filter: (file) => file === root || !left.has(basename(file)) })
    const modules = join(directory, "node_modules")
    if (spawnSync("cp", ["-al", join(root, "node_modules"), modules]).status !== 0) {
      rmSync(modules, { recursive: true, force: true })
      cpSync(join(root, "node_modules"), modules, { recursive: true, verbatimSymlinks: true })
    }
    // what is written to in place must not be shared
    for (const name of [".package-lock.json", ".vite", ".cache"]) {
      rmSync(join(modules, name), { recursive: true, force: true })
    }
    const run = (command: string, ...args: ReadonlyArray<string>): boolean =>
      spawnSync(command, args, { cwd: directory, stdio: "inherit" }).status === 0
    return use({ directory, run })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
