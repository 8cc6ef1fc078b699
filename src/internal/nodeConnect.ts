/** Opening connections with `node:net`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import type { ConnectOptions } from "../Network.ts"
import type { ConnectAttempt, TlsFailed } from "../StreamError.ts"
import { ConnectFailed } from "./errors.ts"
import type { Transport } from "../Transport.ts"
import * as Argument from "./argument.ts"
import { connectTimedOut } from "./connectTimeout.ts"
import * as HappyEyeballs from "./happyEyeballs.ts"
import * as NodeAddress from "./nodeAddress.ts"
import { TcpTransport } from "./nodeTcp.ts"
import { Opened } from "./opened.ts"

/** One address of a name. */
interface Resolved {
  readonly address: string
  readonly family: 4 | 6
}

/** Finds the addresses of a name. Rejects as `node:dns` does. */
export type Lookup = (host: string) => Promise<ReadonlyArray<Resolved>>

const defaultConnectTimeout = Duration.seconds(30)
const defaultAttemptDelay = Duration.millis(250)

export const connect = (lookup: Lookup, options: ConnectOptions): Effect.Effect<Transport, ConnectFailed | TlsFailed> =>
  Effect.suspend(() => {
    const timeout = options.connectTimeout ?? defaultConnectTimeout
    const plain =
      options.path === undefined ? connectTcp(lookup, options, timeout) : connectUnix(options.path, options, timeout)
    const { tls } = options
    if (tls === undefined) return plain
    // programs without TLS do not load it
    return Effect.flatMap(
      Effect.promise(() => import("./nodeTls.ts")),
      ({ secureClient }) =>
        Effect.flatMap(plain, (transport) => secureClient(transport, tls === true ? {} : tls, options.host))
    )
  })

const connectUnix = (
  path: string,
  options: ConnectOptions,
  timeout: Duration.Input
): Effect.Effect<Transport, ConnectFailed> =>
  open({ path, ...socketOptions(options) }, path).pipe(
    Effect.mapError((attempt) => new ConnectFailed({ target: path, kind: attempt.kind, attempts: [attempt] })),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(connectTimedOut({ target: path, host: path, attempts: [], timeout }))
    }),
    Effect.map((socket) => new TcpTransport(socket, { local: undefined, remote: NodeAddress.unix(path) }))
  )

const connectTcp = (
  lookup: Lookup,
  options: ConnectOptions,
  timeout: Duration.Input
): Effect.Effect<Transport, ConnectFailed> => {
  if (options.port === undefined) throw new TypeError("openConnection: either port or path is required")
  const port = Argument.port("openConnection", options.port)
  const host = options.host ?? "localhost"
  const target = Net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`

  // what is known of each address so far, in the order tried
  const attempts = new Map<string, ConnectAttempt>()
  const failed = (kind: ConnectAttempt["kind"]) =>
    new ConnectFailed({ target, kind, attempts: Array.from(attempts.values()) })

  const local = options.localAddress
  const attempt = (resolved: Resolved): Effect.Effect<Net.Socket, ConnectAttempt> =>
    open(
      {
        host: resolved.address,
        port,
        family: resolved.family,
        ...(local?.host === undefined ? undefined : { localAddress: local.host }),
        ...(local?.port === undefined ? undefined : { localPort: local.port }),
        ...socketOptions(options)
      },
      label(resolved, port)
    )

  return resolve(lookup, host).pipe(
    Effect.mapError((error) => {
      attempts.set(host, error)
      return failed(error.kind)
    }),
    Effect.flatMap((addresses) =>
      HappyEyeballs.connect({
        addresses: HappyEyeballs.interleave(addresses),
        delay: options.attemptDelay ?? defaultAttemptDelay,
        attempt,
        release: (socket) => socket.destroy(),
        onAttempt: (resolved) => {
          // stands unless a failure replaces it
          attempts.set(label(resolved, port), { address: label(resolved, port), kind: "Timeout" })
        },
        onFailure: (resolved, error) => attempts.set(label(resolved, port), error)
      }).pipe(Effect.mapError((errors) => failed(mostTelling(errors))))
    ),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(connectTimedOut({ target, host, attempts: Array.from(attempts.values()), timeout }))
    }),
    Effect.map((socket) => new TcpTransport(socket, NodeAddress.infoOf(socket), host))
  )
}

const label = (resolved: Resolved, port: number): string =>
  resolved.family === 6 ? `[${resolved.address}]:${port}` : `${resolved.address}:${port}`

/** A refusal says more than an unreachable network: somebody was there. */
const mostTelling = (attempts: ReadonlyArray<ConnectAttempt>): ConnectAttempt["kind"] =>
  (["Refused", "Reset", "AccessDenied", "Timeout", "Unreachable", "HostNotFound", "NotFound"] as const).find((kind) =>
    attempts.some((attempt) => attempt.kind === kind)
  ) ?? "Unknown"

const resolve = (lookup: Lookup, host: string): Effect.Effect<ReadonlyArray<Resolved>, ConnectAttempt> => {
  const family = Net.isIP(host)
  if (family !== 0) return Effect.succeed([{ address: host, family: family as 4 | 6 }])
  return Effect.tryPromise({ try: () => lookup(host), catch: (error) => toAttempt(host, error) }).pipe(
    Effect.filterOrFail(
      (addresses) => addresses.length > 0,
      (): ConnectAttempt => ({ address: host, kind: "HostNotFound" })
    )
  )
}

export const socketOptions = (options: Pick<ConnectOptions, "noDelay" | "keepAlive">) => {
  const { keepAlive } = options
  return {
    allowHalfOpen: true,
    noDelay: options.noDelay ?? true,
    ...(keepAlive === undefined || keepAlive === false
      ? undefined
      : {
          keepAlive: true,
          keepAliveInitialDelay: keepAlive === true ? 0 : Duration.toMillis(Duration.fromInputUnsafe(keepAlive))
        })
  }
}

const open = (
  options: Net.NetConnectOpts & { readonly allowHalfOpen: boolean },
  address: string
): Effect.Effect<Net.Socket, ConnectAttempt> =>
  Effect.flatMap(Effect.service(Opened), (opened) =>
    Effect.callback<Net.Socket, ConnectAttempt>((resume) => {
      const socket = Net.connect({ ...options, autoSelectFamily: false } as Net.NetConnectOpts)
      const forget = () => {
        socket.off("connect", onConnect)
        socket.off("error", onError)
      }
      const giveUp = () => {
        forget()
        socket.on("error", ignore)
        socket.destroy()
      }
      const onConnect = () => {
        forget()
        // nothing may be read, and no error thrown, before there is a transport
        socket.pause()
        opened?.add(giveUp)
        resume(Effect.succeed(socket))
      }
      const onError = (error: Error) => {
        forget()
        resume(Effect.fail(toAttempt(address, error)))
      }
      socket.on("connect", onConnect)
      socket.on("error", onError)
      return Effect.sync(giveUp)
    })
  )

const ignore = (): void => {}

const toAttempt = (address: string, error: unknown): ConnectAttempt => {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === "string"
    ? { address, kind: kinds[code] ?? "Unknown", code, cause: error }
    : { address, kind: "Unknown", cause: error }
}

const kinds: Record<string, ConnectAttempt["kind"]> = {
  ECONNREFUSED: "Refused",
  ECONNRESET: "Reset",
  ETIMEDOUT: "Timeout",
  ENOTFOUND: "HostNotFound",
  EAI_AGAIN: "HostNotFound",
  ENODATA: "HostNotFound",
  EHOSTUNREACH: "Unreachable",
  ENETUNREACH: "Unreachable",
  EADDRNOTAVAIL: "Unreachable",
  EACCES: "AccessDenied",
  EPERM: "AccessDenied",
  ENOENT: "NotFound"
}
