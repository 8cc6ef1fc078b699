/** A real PostgreSQL, with passwords, and with TLS on TCP. */
import { Effect, Redacted, type Scope } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { chmodSync, chownSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { once } from "node:events"
import { join } from "node:path"
import { certificates } from "./certificates.ts"
import { pathOf } from "./peers.ts"
import { temporaryDirectory } from "./temporary.ts"

/** PostgreSQL refuses to run with the superuser's rights. */
const rights = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

export interface PostgresServer {
  /** The Unix socket. */
  readonly path: string
  /** Where it listens on 127.0.0.1, with TLS for whoever asks for it. */
  readonly port: number
  readonly user: string
  readonly password: Redacted.Redacted
}

/** Who asks for what: `open` needs no password, `clear` would have to say it, all others prove it. */
const access = `
local all open trust
local all clear password
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
`

/** A port that nobody has at the moment: PostgreSQL does not take 0. */
const freePort = Effect.promise(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, "close")
  return port
})

/** Starts a server; stops it with the scope. */
export const postgresServer: Effect.Effect<PostgresServer, unknown, Scope.Scope> = Effect.gen(function* () {
  const folder = yield* temporaryDirectory
  const data = join(folder, "data")
  const write = (name: string, content: string): string => {
    const path = join(folder, name)
    writeFileSync(path, content)
    chmodSync(path, 0o600)
    if (rights.uid !== undefined) chownSync(path, rights.uid, rights.gid)
    return path
  }
  if (rights.uid !== undefined) chownSync(folder, rights.uid, rights.gid)
  const run = { cwd: folder, env: { ...process.env, LC_ALL: "C" }, ...rights }
  const password = write("password", "secret")
  const initdb = ["--pgdata", data, "--username", "postgres", "--pwfile", password, "--encoding", "UTF8", "--no-sync"]
  execFileSync(pathOf("initdb")!, [...initdb, "--auth", "scram-sha-256"], { ...run, stdio: "pipe", timeout: 60_000 })
  const files = {
    hba_file: write("access", access),
    ssl_cert_file: write("server.crt", certificates.server.cert),
    ssl_key_file: write("server.key", certificates.server.key)
  }
  const port = yield* Effect.retry(
    Effect.flatMap(freePort, (port) => start(data, folder, port, files, run)),
    { times: 4 }
  )
  return { path: join(folder, `.s.PGSQL.${port}`), port, user: "postgres", password: Redacted.make("secret") }
})

const start = (data: string, folder: string, port: number, files: object, run: object) =>
  Effect.gen(function* () {
    const settings = {
      ...files,
      ssl: "on",
      port,
      listen_addresses: "127.0.0.1",
      unix_socket_directories: folder,
      fsync: "off",
      max_connections: 50
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(pathOf("postgres")!, ["-D", data, ...options], { ...run, stdio: ["ignore", "ignore", "pipe"] })
      ),
      (server) =>
        Effect.promise(async () => {
          if (server.exitCode !== null || server.signalCode !== null) return
          const exited = once(server, "exit")
          server.kill("SIGINT")
          await exited
        })
    )
    yield* Effect.callback<void, Error>((resume) => {
      let said = ""
      server.stderr.setEncoding("utf8").on("data", (text: string) => {
        if (said.includes("ready to accept connections")) return
        said += text
        if (said.includes("ready to accept connections")) resume(Effect.void)
      })
      server.once("exit", (code) => resume(Effect.fail(new Error(`PostgreSQL ended (${code}): ${said}`))))
    }).pipe(Effect.timeout("30 seconds"))
    return port
  })
