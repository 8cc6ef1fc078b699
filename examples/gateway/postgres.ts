/**
 * A PostgreSQL server of this program's own: in a folder that is removed at the end, on a Unix socket alone.
 *
 * Debian's package `postgresql` has the programs. A real deployment has a server already, and needs none of this.
 */
import { Effect } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

/** PostgreSQL refuses to run with the superuser's rights. */
const nobody = 65_534
const withoutRights = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

/** The folder of `initdb` and `postgres`: on the path, or where Debian keeps each version. */
const findPrograms = (): string => {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...globSync("/usr/lib/postgresql/*/bin")]
  const found = folders.find((folder) => ["initdb", "postgres"].every((name) => existsSync(join(folder, name))))
  if (found === undefined) throw new Error("this needs PostgreSQL: apt-get install postgresql")
  return found
}

/** A folder that PostgreSQL may write to. Its path is short: that of a Unix socket has at most 108 bytes. */
const folderOfItsOwn = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "pg-"))
    if (withoutRights.uid !== undefined) chownSync(folder, withoutRights.uid, withoutRights.gid)
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const untilReady = (server: ChildProcess) =>
  Effect.callback<void>((resume) => {
    let said = ""
    server.stderr!.setEncoding("utf8").on("data", (text: string) => {
      if (said.includes("ready to accept connections")) return
      said += text
      if (said.includes("ready to accept connections")) resume(Effect.void)
    })
    server.once("exit", (code) => resume(Effect.die(new Error(`PostgreSQL ended (${code}): ${said}`))))
  }).pipe(Effect.timeout("30 seconds"), Effect.orDie)

const stop = (server: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (server.exitCode !== null || server.signalCode !== null) return resume(Effect.void)
    server.once("exit", () => resume(Effect.void))
    // its "fast" shutdown, which does not wait for clients to leave
    server.kill("SIGINT")
  })

/** Starts the server. Answers the path of its socket; its user and its database are called `postgres`. */
export const startPostgres = Effect.gen(function* () {
  const programs = findPrograms()
  const folder = yield* folderOfItsOwn
  const data = join(folder, "data")
  const environment = { cwd: folder, env: { ...process.env, LC_ALL: "C" }, ...withoutRights }

  const initdb = ["--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync"]
  execFileSync(join(programs, "initdb"), initdb, { ...environment, stdio: "pipe", timeout: 60_000 })

  // no TCP; and no waiting for the disk, because nothing of this outlives the program
  const settings = ["listen_addresses=", `unix_socket_directories=${folder}`, "fsync=off", "max_connections=100"]
  const postgres = ["-D", data, ...settings.flatMap((setting) => ["-c", setting])]
  const server = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(join(programs, "postgres"), postgres, { ...environment, stdio: ["ignore", "ignore", "pipe"] })
    ),
    stop
  )
  yield* untilReady(server)
  return join(folder, ".s.PGSQL.5432")
})
