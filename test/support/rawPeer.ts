/** The other end of a connection without this library: a bare `node:net` socket, under the test's control. */
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import { eventually, within } from "./wait.ts"

/** Where a socket listens: a TCP port of 127.0.0.1, a port of another host, or the path of a Unix socket. */
export type At = number | string | { readonly host: string; readonly port: number }

// Up to libuv 1.51 (Node 22) a reset that arrives together with data is reported as the end of the stream, and the system
// still keeps it for the next read.
const [uvMajor = 0, uvMinor = 0] = process.versions.uv.split(".").map(Number)
const resetLooksLikeEnd = uvMajor === 1 && uvMinor < 52

/** Has a socket break where what it is told is the end is a reset, as it does with every other libuv. */
const knowResets = (socket: Net.Socket): void => {
  const { push } = socket
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    const { fd = -1 } = (socket as { readonly _handle?: { readonly fd?: number } | null })._handle ?? {}
    if (chunk === null && fd >= 0) {
      try {
        Fs.readSync(fd, new Uint8Array(1))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") {
          socket.destroy(error as Error)
          return false
        }
      }
    }
    return push.call(socket, chunk, encoding)
  }
}

export class RawPeer {
  readonly socket: Net.Socket
  /** Whether the other side has ended its output. */
  ended = false
  /** Whether the socket is gone. */
  closed = false
  /** What went wrong with it. */
  error: NodeJS.ErrnoException | undefined = undefined
  private readonly chunks: Array<Buffer> = []
  private size = 0

  constructor(socket: Net.Socket) {
    this.socket = socket
    if (resetLooksLikeEnd) knowResets(socket)
    socket.setNoDelay(true)
    socket.on("data", (chunk) => {
      this.chunks.push(chunk)
      this.size += chunk.length
    })
    socket.on("end", () => (this.ended = true))
    socket.on("error", (error) => (this.error = error))
    socket.on("close", () => (this.closed = true))
  }

  /** Everything that has arrived. */
  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }
  get text(): string {
    return this.received.toString()
  }

  /** The port that it is connected from. */
  get localPort(): number | undefined {
    return this.socket.localPort
  }

  /** Sends, and waits until the system has it. */
  send(data: string | Uint8Array): Effect.Effect<void> {
    return within(
      "the raw peer's bytes are sent",
      Effect.callback<void>((resume) => {
        this.socket.write(data, () => resume(Effect.void))
      })
    )
  }

  /** Sends one byte at a time, each in a packet of its own. */
  dribble(data: Uint8Array): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (let i = 0; i < data.length; i++) {
        yield* this.send(data.subarray(i, i + 1))
        yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      }
    })
  }

  /** Half-closes: nothing more is sent, reading goes on. */
  readonly finish: Effect.Effect<void> = Effect.sync(() => void this.socket.end())
  /** Resets the connection. Unix sockets know no reset: they just close. */
  readonly reset: Effect.Effect<void> = Effect.sync(() => {
    if (this.socket.remoteFamily === undefined) this.socket.destroy()
    else this.socket.resetAndDestroy()
  })
  /** Closes the socket as the system does for a process that dies: FIN, or RST if there is something unread. */
  readonly vanish: Effect.Effect<void> = Effect.sync(() => void this.socket.destroy())
  /** Stops reading. */
  readonly stall: Effect.Effect<void> = Effect.sync(() => void this.socket.pause())
  /** Reads again. */
  readonly unstall: Effect.Effect<void> = Effect.sync(() => void this.socket.resume())

  awaitBytes(count: number): Effect.Effect<Buffer> {
    return Effect.map(
      eventually(`the raw peer has ${count} bytes`, () => this.size >= count),
      () => this.received
    )
  }
  awaitText(text: string): Effect.Effect<void> {
    return Effect.asVoid(
      eventually(`the raw peer has received ${JSON.stringify(text)}`, () => this.text.includes(text))
    )
  }
  /** The other side has ended its output in good order. */
  readonly awaitEnd: Effect.Effect<void> = Effect.suspend(() =>
    Effect.asVoid(eventually("the raw peer sees the end", () => this.ended))
  )
  /** The socket is gone, whichever way. Answers the error's code, if there was one. */
  readonly awaitClosed: Effect.Effect<string | undefined> = Effect.suspend(() =>
    Effect.map(
      eventually("the raw peer's connection ends", () => this.closed),
      () => this.error?.code
    )
  )
}

const connectOptions = (at: At): Net.NetConnectOpts =>
  typeof at === "number" ? { host: "127.0.0.1", port: at } : typeof at === "string" ? { path: at } : at

/** A bare client. `halfOpen`: it goes on sending after the other side's end. `paused`: it does not read yet. */
export const connectRaw = (
  at: At,
  options?: { readonly halfOpen?: boolean; readonly paused?: boolean }
): Effect.Effect<RawPeer, never, Scope.Scope> =>
  Effect.acquireRelease(
    within(
      "the raw client connects",
      Effect.callback<RawPeer>((resume) => {
        const socket = Net.connect({ ...connectOptions(at), allowHalfOpen: options?.halfOpen ?? false })
        if (options?.paused === true) socket.pause()
        const peer = new RawPeer(socket)
        socket.once("connect", () => resume(Effect.succeed(peer)))
        socket.once("error", (error: NodeJS.ErrnoException) => {
          // the server had let it in, and has reset it before this process came to look
          resume(error.code === "ECONNRESET" ? Effect.succeed(peer) : Effect.die(error))
        })
        return Effect.sync(() => socket.destroy())
      })
    ),
    (peer) => peer.vanish
  )

export interface RawServer {
  /** Its TCP port; 0 for a Unix socket. */
  readonly port: number
  /** Everybody who has connected. */
  readonly peers: ReadonlyArray<RawPeer>
  /** The next client that connects, or has connected and was not asked for yet. */
  readonly accept: Effect.Effect<RawPeer>
}

/** A bare server. `onPeer` may act at once; otherwise take the clients with `accept`. */
export const serveRaw = (
  options?: {
    readonly at?: At | undefined
    readonly halfOpen?: boolean | undefined
    readonly paused?: boolean | undefined
    readonly backlog?: number | undefined
  },
  onPeer?: (peer: RawPeer) => void
): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly server: Net.Server; readonly peers: Array<RawPeer> }>((resume) => {
        const peers: Array<RawPeer> = []
        const server = Net.createServer(
          { allowHalfOpen: options?.halfOpen ?? false, pauseOnConnect: options?.paused ?? false },
          (socket) => {
            const peer = new RawPeer(socket)
            peers.push(peer)
            onPeer?.(peer)
          }
        )
        server.once("error", (error) => resume(Effect.die(error)))
        server.listen({ ...connectOptions(options?.at ?? 0), backlog: options?.backlog ?? 511 }, () =>
          resume(Effect.succeed({ server, peers }))
        )
      }),
      ({ peers, server }) =>
        Effect.sync(() => {
          server.close()
          for (const peer of peers) peer.socket.destroy()
        })
    ),
    ({ peers, server }) => {
      const address = server.address()
      let next = 0
      return {
        port: typeof address === "object" && address !== null ? address.port : 0,
        peers,
        accept: Effect.suspend(() => {
          const wanted = next++
          return eventually("the raw server accepts a client", () => peers[wanted])
        })
      }
    }
  )

/** A port of `host` on which nobody listens; it was free a moment ago. */
export const closedPort = (host = "127.0.0.1"): Effect.Effect<number> =>
  Effect.scoped(Effect.map(serveRaw({ at: { host, port: 0 } }), (server) => server.port))
