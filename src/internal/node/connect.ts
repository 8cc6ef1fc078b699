/** Opening connections with `node:net`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import type { ConnectOptions } from "../../Network.ts"
import type { ConnectAttempt, TlsFailed } from "../../StreamError.ts"
import { ConnectFailed } from "../base/errors.ts"
import type { Transport } from "../../Transport.ts"
import { connectTimedOut } from "../connect/connectTimeout.ts"
import * as Deadline from "../runtime/deadline.ts"
import * as Endpoint from "../base/endpoint.ts"
import * as HappyEyeballs from "../connect/happyEyeballs.ts"
import * as NetworkOptions from "../base/networkOptions.ts"
import { CurrentOpening, type Opening } from "../base/observing.ts"
import * as NodeAddress from "./address.ts"
import { type Lookup, lookUp, type Resolved } from "./lookup.ts"
import { failedAttempt, queueIsFull, toAttempt } from "../transport/failure.ts"
import { TcpTransport } from "./tcp.ts"
import { loadTls } from "./tls/load.ts"
import { loadedFor } from "../transport/tlsEngine.ts"
import * as NodeUnixPath from "./unixPath.ts"
import { Pending } from "../base/pending.ts"
import { firstPauseMillis, maxPauseMillis } from "../base/defaults.ts"

export const connect = (lookup: Lookup, given: ConnectOptions): Effect.Effect<Transport, ConnectFailed | TlsFailed> =>
  Effect.flatMap(Effect.service(CurrentOpening), (opening) => {
    const options = NetworkOptions.connect("Network.connect", given)
    const plain =
      options.path === undefined
        ? connectTcp(lookup, options, options.host, options.port, opening)
        : connectUnix(options.path, options, opening)
    const { tls } = options
    if (tls === undefined) return plain
    return loadedFor("openConnection", loadTls).pipe(
      Effect.flatMap(({ client }) => client("openConnection", tls === true ? {} : tls, options.host)),
      Effect.flatMap((secure) => Effect.flatMap(plain, (transport) => secure(transport)))
    )
  })

const connectUnix = (
  path: string,
  options: NetworkOptions.Connect,
  opening: Opening | undefined
): Effect.Effect<Transport, ConnectFailed> => {
  const timeout = options.connectTimeout
  const failed = (attempt: ConnectAttempt) =>
    new ConnectFailed({ target: path, kind: attempt.kind, attempts: [attempt] })
  if (NodeUnixPath.isUnsupported(path)) return Effect.fail(failed(failedAttempt(path, "ENOTSUP")))
  if (NodeUnixPath.isTooLong(path)) return Effect.fail(failed(failedAttempt(path, "ENAMETOOLONG")))
  // what the queue was too full for, once that has happened
  const waiting: Array<ConnectAttempt> = []
  const place = Effect.try({
    try: () => NodeUnixPath.absolute(path),
    catch: (error) => failed(toAttempt(path, error))
  })
  const steps = new Deadline.Steps()
  const knock = (absolute: string, pause: number): Effect.Effect<Net.Socket, ConnectAttempt> =>
    Effect.suspend(() => {
      steps.note()
      opening?.attemptStarted(path)
      return open({ path: NodeUnixPath.spelled(absolute), ...socketOptions(options) }, path)
    }).pipe(
      Effect.catch((attempt) => {
        opening?.attemptFailed(attempt)
        if (attempt.code !== "EAGAIN") return Effect.fail(attempt)
        // many clients that try again must not do so in step: the queue would be full each time
        waiting[0] = queueIsFull(path)
        return Effect.andThen(
          Effect.sleep(pause * (0.5 + Math.random())),
          knock(absolute, Math.min(2 * pause, maxPauseMillis))
        )
      })
    )
  return Effect.flatMap(place, (absolute) =>
    Effect.mapError(knock(absolute, firstPauseMillis), (attempt) => {
      const code = attempt.kind === "Refused" ? NodeUnixPath.refusedBy(absolute) : undefined
      return failed(code === undefined ? attempt : { ...attempt, ...failedAttempt(path, code) })
    })
  ).pipe(
    Deadline.timeoutOrElse({
      duration: timeout,
      progress: steps.progress,
      orElse: () => Effect.fail(connectTimedOut({ target: path, host: path, attempts: waiting, timeout }))
    }),
    Effect.map(
      (socket) => new TcpTransport(socket, { info: { local: undefined, remote: NodeAddress.unix(path) } }, loadTls)
    )
  )
}

const connectTcp = (
  lookup: Lookup,
  options: NetworkOptions.Connect,
  host: string,
  port: number,
  opening: Opening | undefined
): Effect.Effect<Transport, ConnectFailed> => {
  const timeout = options.connectTimeout
  const target = Endpoint.label(host, port)
  const label = (resolved: Resolved) => Endpoint.label(resolved.address, port)

  // what is known of each address so far, in the order tried
  const attempts = new Map<string, ConnectAttempt>()
  const failed = (kind: ConnectAttempt["kind"]) =>
    new ConnectFailed({ target, kind, attempts: Array.from(attempts.values()) })

  const local = options.localAddress
  const attempt = (resolved: Resolved, opened: Opened): Effect.Effect<Net.Socket, ConnectAttempt> =>
    open(
      {
        host: resolved.address,
        port,
        family: resolved.family,
        ...(local?.host === undefined ? undefined : { localAddress: local.host }),
        ...(local?.port === undefined ? undefined : { localPort: local.port }),
        ...socketOptions(options)
      },
      label(resolved),
      opened
    )

  const steps = new Deadline.Steps()
  return lookUp(lookup, host).pipe(
    Effect.mapError((failure) => {
      attempts.set(host, { address: host, ...failure })
      return failed(failure.kind)
    }),
    Effect.flatMap((addresses) =>
      HappyEyeballs.connect({
        addresses: HappyEyeballs.interleave(addresses),
        delay: options.attemptDelay,
        attempt,
        release: (socket) => socket.destroy(),
        onAttempt: (resolved) => {
          steps.note()
          opening?.attemptStarted(label(resolved))
          // stands unless a failure replaces it
          attempts.set(label(resolved), { address: label(resolved), kind: "Timeout" })
        },
        onFailure: (resolved, error) => {
          opening?.attemptFailed(error)
          attempts.set(label(resolved), error)
        }
      }).pipe(Effect.mapError((errors) => failed(HappyEyeballs.mostTelling(errors))))
    ),
    Deadline.timeoutOrElse({
      duration: timeout,
      progress: steps.progress,
      orElse: () => Effect.fail(connectTimedOut({ target, host, attempts: Array.from(attempts.values()), timeout }))
    }),
    Effect.map((socket) => new TcpTransport(socket, new NodeAddress.SocketPlace(socket), loadTls, host))
  )
}

export const socketOptions = ({ keepAlive, noDelay }: Pick<NetworkOptions.Connect, "noDelay" | "keepAlive">) => ({
  allowHalfOpen: true,
  noDelay,
  ...(keepAlive === false
    ? undefined
    : { keepAlive: true, keepAliveInitialDelay: keepAlive === true ? 0 : Duration.toMillis(keepAlive) })
})

/** What `socketOptions` says and is not heard everywhere: servers of Deno know no `keepAlive`, and sockets of Bun all begin with `noDelay`. */
export const setOptions = (
  socket: Net.Socket,
  { keepAlive, keepAliveInitialDelay, noDelay }: ReturnType<typeof socketOptions>
): void => {
  // one that takes it to be off already would not tell the system
  if (!noDelay) socket.setNoDelay(true).setNoDelay(false)
  if (keepAlive === true) socket.setKeepAlive(true, keepAliveInitialDelay)
}

/** Is told of a socket in the very call in which it connects. */
type Opened = (socket: Net.Socket) => void

const open = (
  options: Net.NetConnectOpts & ReturnType<typeof socketOptions>,
  address: string,
  opened?: Opened
): Effect.Effect<Net.Socket, ConnectAttempt> =>
  Effect.flatMap(Effect.service(Pending), (pending) =>
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
        if (connectedToItself(socket)) {
          socket.on("error", ignore)
          // without a trace: a port that it would leave in use is one that somebody wants to listen on
          socket.resetAndDestroy()
          return resume(Effect.fail({ ...failedAttempt(address, "ECONNREFUSED"), cause: itself(address) }))
        }
        setOptions(socket, options)
        // nothing may be read, and no error thrown, before there is a transport
        socket.pause()
        pending?.add(giveUp)
        opened?.(socket)
        resume(Effect.succeed(socket))
      }
      const onError = (error: Error) => {
        forget()
        const { localAddress } = options as Net.TcpNetConnectOpts
        resume(Effect.fail(toAttempt(address, NodeAddress.bindFailure(error, localAddress))))
      }
      socket.on("connect", onConnect)
      socket.on("error", onError)
      return Effect.sync(giveUp)
    })
  )

/**
 * A socket whose own port, chosen by the system perhaps, is the one that it connects to meets itself where nobody listens
 * (simultaneous open, RFC 9293, 3.5). It would read its own writes, and keep the port from the server that is to listen there.
 */
const connectedToItself = (socket: Net.Socket): boolean =>
  socket.localPort !== undefined &&
  socket.localPort === socket.remotePort &&
  socket.localAddress === socket.remoteAddress

const itself = (address: string): Error =>
  new Error(`the socket connected to itself: nobody listens on ${address}, which was also its own address`)

const ignore = (): void => {}
