/** The options of connecting and of listening: checked once, with their defaults. */
import * as Duration from "effect/Duration"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import type { ConnectOptions, ListenOptions } from "../../Network.ts"
import * as Argument from "./argument.ts"
import * as Defaults from "./defaults.ts"
import { checkConnect as checkConnectTls, checkListen as checkListenTls } from "./tlsOptions.ts"

/** The longest that Linux waits in front of the first probe, in seconds; others take at least as much. */
const longestKeepAlive = 32_767
/** What the system is given is a C integer. */
const maxBacklog = 2 ** 31 - 1
const maxMode = 0o7777

/** Where to: a port of a host, or the path of a Unix socket. */
type Place<Host> =
  | { readonly path: string; readonly host: Host | undefined; readonly port: undefined }
  | { readonly path: undefined; readonly host: Host; readonly port: number }

/** `ConnectOptions`, with the defaults. */
export type Connect = Omit<ConnectOptions, keyof Place<string>> &
  Place<string> & {
    readonly connectTimeout: Duration.Duration
    readonly attemptDelay: Duration.Duration
    readonly noDelay: boolean
    readonly keepAlive: KeepAlive
  }

/** `ListenOptions`, with the defaults. */
export type Listen = Omit<ListenOptions, keyof Place<string>> &
  Place<ReadonlyArray<string>> & {
    readonly lookupTimeout: Duration.Duration
    readonly backlog: number
    readonly reusePort: boolean
    readonly exclusive: boolean
    readonly ipv6Only: boolean
    readonly cleanupSocket: boolean
    readonly noDelay: boolean
    readonly keepAlive: KeepAlive
  }

/** Whole seconds; `true` is what the system does of itself. */
type KeepAlive = boolean | Duration.Duration

export const connect = (operation: string, options: ConnectOptions): Connect => {
  const { attemptDelay, connectTimeout, host, localAddress, tls } = Argument.record(operation, "options", options)
  if (tls !== undefined) checkConnectTls(operation, tls)
  return {
    ...options,
    ...place(operation, options, host === undefined ? undefined : Argument.text(operation, "host", host), "localhost"),
    connectTimeout:
      connectTimeout === undefined
        ? Defaults.connectTimeout
        : Argument.duration(operation, "connectTimeout", connectTimeout),
    attemptDelay:
      attemptDelay === undefined ? Defaults.attemptDelay : Argument.duration(operation, "attemptDelay", attemptDelay),
    localAddress: localAddress === undefined ? undefined : checkLocal(operation, localAddress),
    ...socket(operation, options)
  }
}

export const listen = (operation: string, options: ListenOptions): Listen => {
  const { backlog, cleanupSocket, exclusive, host, ipv6Only, lookupTimeout, maxHandshakes, mode, reusePort, tls } =
    Argument.record(operation, "options", options)
  if (tls !== undefined) checkListenTls(operation, tls)
  const flag = (name: string, value: boolean | undefined, standard: boolean) =>
    value === undefined ? standard : Argument.flag(operation, name, value)
  return {
    ...options,
    ...place(operation, options, host === undefined ? undefined : hosts(operation, host), [""]),
    lookupTimeout:
      lookupTimeout === undefined
        ? Defaults.lookupTimeout
        : Argument.duration(operation, "lookupTimeout", lookupTimeout),
    backlog: backlog === undefined ? Defaults.backlog : Argument.between(operation, "backlog", backlog, 0, maxBacklog),
    maxHandshakes:
      maxHandshakes === undefined ? undefined : Argument.positive(operation, "maxHandshakes", maxHandshakes),
    reusePort: flag("reusePort", reusePort, false),
    exclusive: flag("exclusive", exclusive, false),
    ipv6Only: flag("ipv6Only", ipv6Only, false),
    mode: mode === undefined ? undefined : Argument.between(operation, "mode", mode, 0, maxMode),
    cleanupSocket: flag("cleanupSocket", cleanupSocket, true),
    ...socket(operation, options)
  }
}

/** The options of a function that is given its path by itself. */
export const atPath = <Options extends object>(
  operation: string,
  path: string,
  options: Options | undefined
): Options & { readonly path: string } =>
  ({
    ...(options === undefined ? undefined : Argument.record(operation, "options", options)),
    path: Argument.path(operation, path)
  }) as Options & { readonly path: string }

const place = <Host>(
  operation: string,
  { path, port }: Pick<ConnectOptions, "path" | "port">,
  host: Host | undefined,
  standard: Host
): Place<Host> => {
  if (path !== undefined && port !== undefined) {
    const given = `port ${Argument.shown(port)} and path ${Argument.shown(path)}`
    throw new TypeError(`${operation}: either port or path is required, not both, got ${given}`)
  }
  if (path !== undefined) return { path: Argument.path(operation, path), host, port: undefined }
  if (port === undefined) throw new TypeError(`${operation}: either port or path is required, got neither`)
  return { path: undefined, host: host ?? standard, port: Argument.port(operation, port) }
}

const hosts = (operation: string, host: NonNullable<ListenOptions["host"]>): ReadonlyArray<string> => {
  const all: ReadonlyArray<unknown> = Array.isArray(host) ? host : [host]
  if (all.length === 0) throw new RangeError(`${operation}: host must name at least one address, got []`)
  return all.map((one) => {
    // empty is all interfaces
    if (typeof one === "string") return one
    throw Argument.wrongType(operation, "host", "text, or an array of text", one)
  })
}

const socket = (operation: string, { keepAlive, noDelay }: Pick<ConnectOptions, "noDelay" | "keepAlive">) => ({
  noDelay: noDelay === undefined ? true : Argument.flag(operation, "noDelay", noDelay),
  keepAlive: keepAlive === undefined ? false : checkKeepAlive(operation, keepAlive)
})

const checkKeepAlive = (operation: string, value: NonNullable<ConnectOptions["keepAlive"]>): KeepAlive => {
  if (typeof value === "boolean") return value
  const seconds = Math.ceil(Duration.toSeconds(Argument.someTime(operation, "keepAlive", value)))
  if (seconds <= longestKeepAlive) return Duration.seconds(seconds)
  throw new RangeError(
    `${operation}: keepAlive must be ${longestKeepAlive} seconds at most, which is what the system takes, got ${Argument.shown(value)}`
  )
}

const checkLocal = (operation: string, value: NonNullable<ConnectOptions["localAddress"]>) => {
  const { host, port } = Argument.record(operation, "localAddress", value)
  if (host !== undefined && !isAddress(Argument.text(operation, "localAddress.host", host))) {
    throw Argument.wrongType(operation, "localAddress.host", "an IP address", host)
  }
  return { host, port: port === undefined ? undefined : Argument.port(operation, port, "localAddress.port") }
}

/** Whether it is an IP address, of a zone perhaps. */
export const isAddress = (host: string): boolean =>
  Result.isSuccess(NetAddress.ipFromString(host)) || Result.isSuccess(NetAddress.scopedIpv6LiteralFromString(host))
