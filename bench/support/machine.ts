/** Where and with what a run was made. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism, cpus, loadavg, release, totalmem, type as system } from "node:os"
import { join } from "node:path"
import type { Available } from "../contenders.ts"
import { pinned } from "./processes.ts"

const versionOf = (name: string): string => {
  const folder = join(import.meta.dirname, "..", "..", name === "effect-byte-streams" ? "." : `node_modules/${name}`)
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly version: string }
  return `${name} ${manifest.version}`
}

const python = (contenders: ReadonlyArray<Available>): ReadonlyArray<string> => {
  const versions = contenders.flatMap(({ python: module, runtime }) => {
    if (runtime.kind !== "python") return []
    const script = `import sys, ${module}; print("Python", sys.version.split()[0]); print(getattr(${module}, "__version__", ""))`
    const [version, of] = execFileSync(runtime.executable, ["-c", script], { encoding: "utf8" }).split("\n")
    return of === "" ? [version!] : [version!, `${module} ${of}`]
  })
  return [...new Set(versions)]
}

/** Label and text of everything that figures depend on. */
export const describe = (contenders: ReadonlyArray<Available>): ReadonlyArray<readonly [string, string]> => {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return [
    ["machine", `${cpu?.model.trim() ?? "unknown"}, ${availableParallelism()} cores, ${memory} GiB`],
    ["system", `${system()} ${release()}, load before the run ${loadavg()[0]!.toFixed(2)}`],
    [
      "versions",
      [
        `Node ${process.versions.node} (V8 ${process.versions.v8})`,
        ...["effect-byte-streams", "effect", "@effect/platform-node"].map(versionOf),
        ...python(contenders)
      ].join(", ")
    ],
    ["cores", pinned ? "servers on one core, load generator on the other" : "not bound to cores: figures are rough"],
    ["date", new Date().toISOString().slice(0, 10)]
  ]
}
