/** Listening with `node:net`. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SocketAddress } from "effect/net/NetAddress"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import type { Listener, ListenEvents, ListenOptions } from "../Network.ts"
import { ListenFailed } from "./errors.ts"
import type * as Tls from "../Tls.ts"
import type { Transport } from "../Transport.ts"
import * as Argument from "./argument.ts"
import { toFailure } from "./duplexTransport.ts"
import * as NodeAddress from "./nodeAddress.ts"
import { type Lookup, socketOptions } from "./nodeConnect.ts"
import { TcpTransport } from "./nodeTcp.ts"

const defaultBacklog = 511

/** One listening socket. */
interface Bound {
  readonly server: Net.Server
  readonly address: SocketAddress
  /** Undoes what listening left behind. */
  readonly cleanup: () => void
}

export const listen = (
  lookup: Lookup,
  options: ListenOptions,
  onTransport: (transport: Transport) => void,
  events: ListenEvents
): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
  Effect.contextWith((services: Context.Context<never>) => {
    const handshakes = new Set<Fiber.Fiber<void>>()
    const accept: Accept = {
      ...events,
      onTransport:
        options.tls === undefined ? onTransport : secured(options.tls, services, onTransport, events, handshakes)
    }
    if (options.backlog !== undefined) Argument.amount("startServer", "backlog", options.backlog)
    const bound: Array<Bound> = []
    const close = Effect.suspend(() => Effect.forEach(bound.splice(0), unbind, { discard: true })).pipe(
      // who is still in the middle of a handshake was not accepted
      Effect.andThen(
        Effect.sync(() => {
          for (const handshake of handshakes) handshake.interruptUnsafe()
        })
      )
    )
    const bind =
      options.path === undefined
        ? bindTcp(lookup, options, accept, bound)
        : bindUnix(options.path, options, accept, bound)
    return Effect.acquireRelease(
      Effect.onExit(bind, (exit) => (Exit.isSuccess(exit) ? Effect.void : close)),
      () => close,
      { interruptible: true }
    ).pipe(
      Effect.map(() => ({
        addresses: bound.map((one) => one.address) as unknown as Listener["addresses"],
        close
      }))
    )
  })

/** A listener for transports and accept errors. */
interface Accept extends ListenEvents {
  readonly onTransport: (transport: Transport) => void
}

/** Passes connections on once their handshake is done. A failed one costs nobody else anything. */
const secured = (
  tls: Tls.ServerOptions,
  services: Context.Context<never>,
  onTransport: (transport: Transport) => void,
  events: ListenEvents,
  handshakes: Set<Fiber.Fiber<void>>
): ((transport: Transport) => void) => {
  // programs without TLS do not load it
  const loaded = import("./nodeTls.ts")
  return (transport) => {
    const handshake = Effect.runForkWith(services)(
      Effect.match(
        Effect.flatMap(
          Effect.promise(() => loaded),
          ({ secureServer }) => secureServer(transport, tls)
        ),
        {
          onFailure: (error) => events.onHandshakeError?.(error, transport.info),
          onSuccess: onTransport
        }
      )
    )
    handshakes.add(handshake)
    handshake.addObserver((exit) => {
      handshakes.delete(handshake)
      // wherever it was given up
      if (Exit.isFailure(exit)) transport.abort()
    })
  }
}

const unbind = ({ cleanup, server }: Bound): Effect.Effect<void> =>
  Effect.sync(() => {
    // connections go on: who accepted them closes them
    server.close()
    cleanup()
  })

const nothing = (): void => {}

const makeServer = (options: ListenOptions, accept: Accept, unixPath: string | undefined): Net.Server => {
  const info = unixPath === undefined ? undefined : { local: NodeAddress.unix(unixPath), remote: undefined }
  let local: ReturnType<typeof NodeAddress.ofEveryConnection>
  const server = Net.createServer({ ...socketOptions(options), pauseOnConnect: true }, (socket) => {
    accept.onTransport(new TcpTransport(socket, info ?? NodeAddress.infoOf(socket, local)))
  }).on("error", (error) => {
    // while it does not listen yet, whoever starts it is told as well
    if (server.listening) accept.onAcceptError?.(toFailure(error))
  })
  server.on("listening", () => {
    local = NodeAddress.ofEveryConnection(server)
  })
  return server
}

/** Resolves once the server listens; closes it if that fails, or is given up. */
const start = (
  server: Net.Server,
  options: Net.ListenOptions,
  label: string
): Effect.Effect<Net.Server, ListenFailed> =>
  Effect.callback<Net.Server, ListenFailed>((resume) => {
    const onListening = () => {
      server.off("error", onError)
      resume(Effect.succeed(server))
    }
    const onError = (error: Error) => {
      server.off("listening", onListening)
      resume(Effect.fail(toListenFailed(label, error)))
    }
    server.once("listening", onListening)
    server.once("error", onError)
    server.listen(options)
    return Effect.sync(() => {
      server.off("listening", onListening)
      server.off("error", onError)
      server.close()
    })
  })

// ---------------------------------------------------------------------------
// TCP
// ---------------------------------------------------------------------------

const bindTcp = (
  lookup: Lookup,
  options: ListenOptions,
  accept: Accept,
  bound: Array<Bound>
): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    if (options.port === undefined) throw new TypeError("startServer: either port or path is required")
    if (Array.isArray(options.host) && options.host.length === 0) {
      throw new RangeError("startServer: host must name at least one address, got []")
    }
    const port = Argument.port("startServer", options.port)
    const hosts = yield* resolveHosts(lookup, options.host)
    for (const host of hosts) {
      const label = `${host ?? "*"}:${port}`
      const server = yield* start(
        makeServer(options, accept, undefined),
        {
          port,
          backlog: options.backlog ?? defaultBacklog,
          exclusive: options.exclusive ?? false,
          reusePort: options.reusePort ?? false,
          ipv6Only: options.ipv6Only ?? false,
          ...(host === undefined ? undefined : { host })
        },
        label
      )
      const address = server.address() as Net.AddressInfo
      bound.push({ server, address: NodeAddress.inet(address.address, address.port)!, cleanup: nothing })
    }
  })

/** Every address of every name; `undefined` is all interfaces. */
const resolveHosts = (
  lookup: Lookup,
  hosts: ListenOptions["host"]
): Effect.Effect<ReadonlyArray<string | undefined>, ListenFailed> =>
  Effect.gen(function* () {
    const names = hosts === undefined || typeof hosts === "string" ? [hosts ?? ""] : hosts
    const out = new Set<string | undefined>()
    for (const name of names) {
      if (name === "") out.add(undefined)
      else if (Net.isIP(name) !== 0) out.add(name)
      else {
        const addresses = yield* Effect.tryPromise({
          try: () => lookup(name),
          catch: (error) => toListenFailed(name, error)
        })
        if (addresses.length === 0) return yield* new ListenFailed({ kind: "HostNotFound", address: name })
        for (const { address } of addresses) out.add(address)
      }
    }
    return Array.from(out)
  })

// ---------------------------------------------------------------------------
// Unix sockets
// ---------------------------------------------------------------------------

const bindUnix = (
  path: string,
  options: ListenOptions,
  accept: Accept,
  bound: Array<Bound>
): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const server = makeServer(options, accept, path)
    const backlog = options.backlog ?? defaultBacklog
    if (path.startsWith("\0")) {
      yield* start(server, { path, backlog }, path)
      bound.push({ server, address: NodeAddress.unix(path), cleanup: nothing })
      return
    }
    if (Buffer.byteLength(path) > longestPath) {
      return yield* new ListenFailed({ kind: "Unknown", address: path, code: "ENAMETOOLONG" })
    }
    const directory = Path.dirname(path)
    if (!Fs.existsSync(directory)) {
      return yield* new ListenFailed({ kind: "NotFound", address: path, code: "ENOENT" })
    }
    // Bound under another name and then linked: of two that start at once only one gets the path, and Node, which
    // removes at close whatever has the name that was bound, finds nothing of that name.
    const temporary = freeName(directory, longestPath - Buffer.byteLength(directory) - 1, path)
    yield* start(server, { path: temporary, backlog }, path)
    yield* Effect.onExit(takePath(temporary, path, options.mode), (exit) =>
      Effect.sync(() => {
        Fs.rmSync(temporary, { force: true })
        if (!Exit.isSuccess(exit)) server.close()
      })
    )
    const { dev, ino } = Fs.lstatSync(path)
    bound.push({
      server,
      address: NodeAddress.unix(path),
      cleanup: options.cleanupSocket === false ? nothing : () => removeIfSame(path, dev, ino)
    })
  })

/** The longest path that fits into a socket address, in bytes. */
const longestPath = process.platform === "linux" ? 107 : 103

/** A path in `directory` that nothing has, of a name that fits where there is room for `most` bytes. */
const freeName = (directory: string, most: number, except: string): string => {
  const length = Math.min(8, Math.max(1, most))
  while (true) {
    const name = Array.from({ length }, () => Math.floor(Math.random() * 36).toString(36))
    if (length > 1) name[0] = "."
    const path = Path.join(directory, name.join(""))
    if (path !== except && !Fs.existsSync(path)) return path
  }
}

/** Gives what listens as `temporary` its real name, if nobody listens there. */
const takePath = (temporary: string, path: string, mode: number | undefined): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    if (mode !== undefined) yield* attempt(path, () => Fs.chmodSync(temporary, mode))
    while (true) {
      const linked = yield* attempt(path, () => {
        try {
          Fs.linkSync(temporary, path)
          return true
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
          throw error
        }
      })
      if (linked) return
      const stale = Fs.lstatSync(path, { throwIfNoEntry: false })
      yield* refuseLivePath(path)
      if (stale !== undefined) removeIfSame(path, stale.dev, stale.ino)
    }
  })

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, ListenFailed> =>
  Effect.try({ try: run, catch: (error) => toListenFailed(path, error) })

/** A path may be taken over only if it is a socket that nobody listens on. */
const refuseLivePath = (path: string): Effect.Effect<void, ListenFailed> =>
  Effect.callback<void, ListenFailed>((resume) => {
    let stat: Fs.Stats | undefined
    try {
      stat = Fs.lstatSync(path, { throwIfNoEntry: false })
    } catch (error) {
      return resume(Effect.fail(toListenFailed(path, error)))
    }
    if (stat === undefined) return resume(Effect.void)
    if (!stat.isSocket()) return resume(Effect.fail(new ListenFailed({ kind: "AddressInUse", address: path })))
    const probe = Net.connect({ path })
    probe.once("connect", () => {
      probe.destroy()
      resume(Effect.fail(new ListenFailed({ kind: "AddressInUse", address: path, code: "EADDRINUSE" })))
    })
    probe.once("error", (error: NodeJS.ErrnoException) => {
      resume(
        error.code === "ECONNREFUSED" || error.code === "ENOENT"
          ? Effect.void
          : Effect.fail(toListenFailed(path, error))
      )
    })
    return Effect.sync(() => {
      probe.on("error", nothing)
      probe.destroy()
    })
  })

const removeIfSame = (path: string, dev: number, ino: number): void => {
  try {
    const now = Fs.lstatSync(path, { throwIfNoEntry: false })
    if (now !== undefined && now.dev === dev && now.ino === ino) Fs.unlinkSync(path)
  } catch {
    // it went away in between, or is no longer ours to remove
  }
}

// ---------------------------------------------------------------------------
// errors
// ---------------------------------------------------------------------------

const toListenFailed = (address: string, error: unknown): ListenFailed => {
  const code = (error as { code?: unknown } | null)?.code
  const named = typeof code === "string" ? code : undefined
  return new ListenFailed({
    kind: (named === undefined ? undefined : kinds[named]) ?? "Unknown",
    address,
    code: named,
    cause: error
  })
}

const kinds: Record<string, ListenFailed["kind"]> = {
  EADDRINUSE: "AddressInUse",
  EADDRNOTAVAIL: "AddressNotAvailable",
  EACCES: "AccessDenied",
  EPERM: "AccessDenied",
  ENOTFOUND: "HostNotFound",
  EAI_AGAIN: "HostNotFound",
  ENOENT: "NotFound",
  ENOTDIR: "NotFound"
}
