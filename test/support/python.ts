/** What CPython makes of values. */
import { spawnSync } from "node:child_process"
import { pathOf } from "./peers.ts"

/** Runs a program of Python on a value, both as JSON, and answers what it prints, as JSON. */
export const python = <A>(program: string, input: unknown): A => {
  const { error, status, stderr, stdout } = spawnSync(pathOf("python3")!, ["-c", program], {
    input: JSON.stringify(input),
    encoding: "utf8",
    timeout: 20_000
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as A
}
