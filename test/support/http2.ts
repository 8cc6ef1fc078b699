/** Servers of HTTP/2: `nghttpd` and `nginx`, as they are installed, and one that follows a script. */
import type { Connection } from "effect-byte-streams"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { connect } from "node:net"
import { join } from "node:path"
import { frame, type Headers } from "../../examples/protocols/http2.ts"
import { authority } from "./certificates.ts"
import { type Peer, pathOf } from "./peers.ts"
import { temporaryDirectory } from "./temporary.ts"
import { eventually, eventuallyEffect } from "./wait.ts"

const require = createRequire(import.meta.url)
const certificate = await authority.issue({ name: "localhost", names: ["localhost"] })

/** What a client needs to trust the servers here. */
const tls = { ca: authority.cert, serverName: "localhost" }

/** A directory with files, and with the identity of a server. */
const site = (files: Readonly<Record<string, string | Uint8Array>>) =>
  Effect.map(temporaryDirectory, (directory) => {
    mkdirSync(join(directory, "www"))
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, "www", name), content)
    writeFileSync(join(directory, "cert.pem"), certificate.cert)
    writeFileSync(join(directory, "key.pem"), certificate.key)
    return directory
  })

const running = (peer: Peer, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(pathOf(peer)!, args, { stdio: ["ignore", "ignore", "inherit"] })),
    (server) =>
      Effect.promise(async () => {
        const exited = server.exitCode === null && server.signalCode === null ? once(server, "exit") : undefined
        server.kill("SIGKILL")
        await exited
      })
  )

/** The port on which a process listens: it was asked for any. */
const portOf = ({ pid }: ChildProcess): number | undefined => {
  const descriptors = `/proc/${pid}/fd`
  const inodes = readdirSync(descriptors).flatMap((name) => {
    try {
      return [/^socket:\[(\d+)\]$/.exec(readlinkSync(join(descriptors, name)))?.[1]]
    } catch {
      return []
    }
  })
  const sockets = readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)
  for (const socket of sockets) {
    const [, local, , state, , , , , , inode] = socket.trim().split(/\s+/)
    if (state === "0A" && inodes.includes(inode)) return Number.parseInt(local!.split(":")[1]!, 16)
  }
  return undefined
}

/** Whether somebody listens on a socket: its file is there before that. */
const answers = (path: string) =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(path, () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.on("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  })

type Files = Readonly<Record<string, string | Uint8Array>>

/** A server of `nghttp2`, over TLS: the options that reach it. */
export const nghttpd = (files: Files, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const directory = yield* site(files)
    const own = ["-a", "127.0.0.1", "-d", join(directory, "www"), "0"]
    const server = yield* running("nghttpd", [...args, ...own, join(directory, "key.pem"), join(directory, "cert.pem")])
    const port = yield* eventually("nghttpd listens", () => portOf(server))
    return { host: "127.0.0.1", port, tls }
  })

/** A server of `nginx`, over TLS on a Unix socket: the options that reach it. `settings` are of its `server`. */
export const nginx = (files: Files, settings: string, protocol: "http2" | "" = "http2") =>
  Effect.gen(function* () {
    const directory = yield* site(files)
    const path = join(directory, "s")
    writeFileSync(
      join(directory, "nginx.conf"),
      `daemon off; master_process off; pid ${directory}/pid; error_log stderr crit; events {}
      http {
        access_log off; types { text/plain txt; }
        client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy; fastcgi_temp_path ${directory}/fast;
        uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
        server {
          listen unix:${path} ssl ${protocol}; ssl_certificate ${directory}/cert.pem; ssl_certificate_key ${directory}/key.pem;
          root ${directory}/www; ${settings}
        }
      }`
    )
    yield* running("nginx", ["-e", "stderr", "-p", directory, "-c", join(directory, "nginx.conf")])
    yield* eventuallyEffect("nginx listens", answers(path))
    return { path, tls }
  })

export const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS] = [0, 1, 2, 3, 4]
export const [PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [5, 6, 7, 8, 9]
export const [ACK, END_STREAM, END_HEADERS, PADDED] = [1, 1, 4, 8]

/** The bytes of a frame. */
export const framed = (type: number, flags: number, stream: number, payload: Uint8Array | string = ""): Buffer => {
  const body = Buffer.from(payload as string, "latin1")
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}
export const uint32 = (...values: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => bytes.writeUInt32BE(value >>> 0, 4 * i))
  return bytes
}
export const settings = (values: Readonly<Record<number, number>>): Buffer =>
  framed(
    SETTINGS!,
    0,
    0,
    Buffer.concat(
      Object.entries(values).map(([id, value]) => Buffer.concat([Uint8Array.of(0, Number(id)), uint32(value)]))
    )
  )

/** Header fields as literals that nothing remembers: what takes no library. */
export const literal = (...headers: Headers): Buffer =>
  Buffer.concat(
    headers.map(([name, value]) =>
      Buffer.concat([
        Uint8Array.of(0, name.length),
        Buffer.from(name, "latin1"),
        value.length < 127 ? Uint8Array.of(value.length) : long(value.length),
        Buffer.from(value, "latin1")
      ])
    )
  )
const long = (length: number): Uint8Array => {
  const bytes = [127]
  for (let left = length - 127; ; left >>= 7) {
    bytes.push(left < 128 ? left : (left & 127) | 128)
    if (left < 128) return Uint8Array.from(bytes)
  }
}
const ok = literal([":status", "200"])

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Uint8Array
}

/** The server's end of a connection, by hand. */
export interface Script {
  /** The next frame: nothing at the end. */
  readonly next: Effect.Effect<Frame | undefined, unknown>
  /** The next frame of a type. Others are passed over. */
  readonly nextOf: (type: number) => Effect.Effect<Frame, unknown>
  readonly send: (...frames: ReadonlyArray<Uint8Array>) => Effect.Effect<void, unknown>
  /** The header fields of a request, which have to be read in order. */
  readonly headers: (frame: Frame) => Readonly<Record<string, string>>
}

/** Reads what a client begins with, and says the server's settings. */
export const script = (
  { reader, writer }: Connection.Connection,
  values: Readonly<Record<number, number>> = {}
): Effect.Effect<Script, unknown> =>
  Effect.gen(function* () {
    const preface = yield* reader.readExactly(24)
    if (Buffer.from(preface).toString() !== "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") throw new Error("no preface")
    const decompressor = require("hpack.js").decompressor.create({ table: { maxSize: 4096 } })
    const next = Effect.map(reader.readFrameOption(frame), (found) => (found._tag === "Some" ? found.value : undefined))
    yield* writer.write(settings(values))
    return {
      next,
      nextOf: (type) =>
        Effect.gen(function* () {
          while (true) {
            const found = yield* next
            if (found === undefined) return yield* Effect.fail(new Error(`the client has left before a frame ${type}`))
            if (found.type === type) return found
          }
        }),
      send: (...frames) => writer.writeAll(frames),
      headers: ({ payload }) => {
        decompressor.write(Buffer.from(payload))
        decompressor.execute()
        const fields: Record<string, string> = {}
        for (let field = decompressor.read(); field !== null; field = decompressor.read())
          fields[field.name] = field.value
        return fields
      }
    }
  })

/** An answer of one HEADERS, and one DATA. */
export const answer = (stream: number, body = ""): Uint8Array =>
  body === ""
    ? framed(HEADERS!, END_HEADERS! | END_STREAM!, stream, ok)
    : Buffer.concat([framed(HEADERS!, END_HEADERS!, stream, ok), framed(DATA!, END_STREAM!, stream, body)])

/** The last frame of a client that has given up: its code, and what it says. */
export const goAwayOf = ({ payload }: Frame) => ({
  code: Buffer.from(payload).readUInt32BE(4),
  text: Buffer.from(payload).toString("latin1", 8)
})
