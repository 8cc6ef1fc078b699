/** A real mail server, `exim4`: started by us for each connection, as inetd does it, so that it needs no port of its own. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { join } from "node:path"
import { certificates } from "./certificates.ts"
import { pathOf } from "./peers.ts"
import { temporaryDirectory } from "./temporary.ts"

interface Options {
  /** Where it passes messages on to. */
  readonly smartHost: number
  /** How it lets users log in. Default PLAIN and LOGIN. */
  readonly mechanisms?: ReadonlyArray<"PLAIN" | "LOGIN">
  /** What it does not offer. Default: nothing. */
  readonly without?: "PIPELINING" | "STARTTLS"
}

const authenticators = {
  PLAIN: ["server_prompts = :", "server_condition = ${if and{{eq{$auth2}{user}}{eq{$auth3}{s ecret}}}}"],
  LOGIN: [
    "server_prompts = <| Username: | Password:",
    "server_condition = ${if and{{eq{$auth1}{user}}{eq{$auth2}{s ecret}}}}"
  ]
}

const configuration = (directory: string, { mechanisms = ["PLAIN", "LOGIN"], smartHost, without }: Options) => `
spool_directory = ${directory}/spool
log_file_path = ${directory}/%slog
primary_hostname = exim.test
message_size_limit = 20M
host_lookup =
keep_environment =
tls_advertise_hosts = ${without === "STARTTLS" ? "" : "*"}
pipelining_advertise_hosts = ${without === "PIPELINING" ? "" : "*"}
tls_certificate = ${directory}/cert.pem
tls_privatekey = ${directory}/key.pem
auth_advertise_hosts = \${if def:tls_in_cipher {*}}
acl_smtp_rcpt = recipients
acl_smtp_data = accept
begin acl
recipients:
  deny local_parts = nobody
       message = no such user
  defer local_parts = later
       message = 4.2.2 not now
  accept
begin routers
onwards:
  driver = manualroute
  route_list = * 127.0.0.1::${smartHost} byname
  self = send
  transport = onwards
begin transports
onwards:
  driver = smtp
  allow_localhost
  hosts_try_fastopen =
  tls_verify_certificates = ${directory}/cert.pem
begin authenticators
${mechanisms.map((name) => [`${name}:`, "  driver = plaintext", `  public_name = ${name}`, ...authenticators[name].map((line) => `  ${line}`)].join("\n")).join("\n")}
`

/** Starts it, with user `user` and password `s ecret`. Nobody receives for `nobody@…`, and for `later@…` only later. */
export const exim = (
  options: Options
): Effect.Effect<{ readonly port: number; readonly log: () => string }, never, Scope.Scope> =>
  Effect.flatMap(temporaryDirectory, (directory) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const { cert, key } = certificates.server
        const file = (name: string) => join(directory, name)
        // parts of it run as a user of its own
        mkdirSync(file("spool"))
        for (const path of [directory, file("spool")]) chmodSync(path, 0o777)
        writeFileSync(file("cert.pem"), cert)
        writeFileSync(file("key.pem"), key)
        writeFileSync(file("exim.conf"), configuration(directory, options))
        const running = new Set<ChildProcess>()
        const server = createServer({ pauseOnConnect: true }, (socket) => {
          const child = spawn(pathOf("exim4")!, ["-C", file("exim.conf"), "-bs", "-odb"], {
            stdio: [socket, socket, "inherit"]
          })
          running.add(child)
          child.on("exit", () => running.delete(child))
          // the child has its own copy
          child.on("spawn", () => socket.destroy())
        })
        server.listen(0, "127.0.0.1")
        await once(server, "listening")
        const log = () => (existsSync(file("mainlog")) ? readFileSync(file("mainlog"), "utf8") : "")
        return { port: (server.address() as AddressInfo).port, log, running, server }
      }),
      ({ running, server }) =>
        Effect.promise(async () => {
          for (const child of running) child.kill("SIGKILL")
          await new Promise((resolve) => server.close(resolve))
        })
    )
  )
