/** How a runner of a cluster calls others: a socket for each address, with the bounds that calls need. */
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import { RpcClientProtocol } from "effect/cluster/Runners"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Socket from "effect/socket/Socket"
import type { ClientOptions } from "../../ClusterStreams.ts"
import type { makeSocket, OpenOptions } from "../../Connection.ts"
import type { Network } from "../../Network.ts"
import type { ConnectFailed, TlsFailed } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import * as NetworkOptions from "../base/networkOptions.ts"
import * as SessionOptions from "../session/options.ts"

const operation = "ClusterStreams.layerClientProtocol"

export const clientProtocol = (
  options: ClientOptions,
  make: typeof makeSocket
): Layer.Layer<RpcClientProtocol, never, Network | RpcSerialization.RpcSerialization> =>
  Layer.effect(RpcClientProtocol)(
    Effect.gen(function* () {
      const services = yield* Effect.context<Network>()
      const serialization = yield* RpcSerialization.RpcSerialization
      const { dial, onConnectError, ping } = resolve(options)
      return {
        codecFor: serialization.codecFor,
        make: Effect.fnUntraced(function* (address) {
          // through the network of this layer, whatever that of the caller is
          const socket = yield* Effect.provideContext(
            make({ ...dial, host: address.host, port: address.port }),
            services
          )
          return yield* RpcClient.makeProtocolSocket(ping).pipe(
            Effect.provideService(Socket.Socket, telling(socket, address, onConnectError)),
            Effect.provideService(RpcSerialization.RpcSerialization, serialization)
          )
        })
      }
    })
  )

/** The options, checked before any runner is called. */
const resolve = (options: ClientOptions) => {
  const { onConnectError, pingInterval, pingTimeout, ...given } = Argument.record(operation, "options", options)
  const dial: OpenOptions = {
    ...given,
    connectTimeout: given.connectTimeout ?? Defaults.runnerConnectTimeout,
    timeouts: given.timeouts ?? Defaults.runnerClientTimeouts,
    ...(given.tls === undefined
      ? undefined
      : {
          tls: {
            handshakeTimeout: Defaults.runnerHandshakeTimeout,
            ...(given.tls === true ? undefined : Argument.record(operation, "tls", given.tls))
          }
        })
  }
  NetworkOptions.connect(operation, { ...dial, host: "localhost", port: 0 })
  SessionOptions.resolve(operation, dial)
  return {
    dial,
    ping: {
      pingInterval: pingInterval === undefined ? undefined : Argument.someTime(operation, "pingInterval", pingInterval),
      pingTimeout: pingTimeout === undefined ? undefined : Argument.someTime(operation, "pingTimeout", pingTimeout)
    },
    onConnectError: onConnectError === undefined ? log : Argument.func(operation, "onConnectError", onConnectError)
  }
}

type OnConnectError = NonNullable<ClientOptions["onConnectError"]>

/** A socket whose failures to connect are told: the protocol only tries again. */
const telling = (socket: Socket.Socket, address: RunnerAddress, onConnectError: OnConnectError): Socket.Socket =>
  Socket.make({
    reader: Effect.tapError(socket.reader, ({ reason }) =>
      reason._tag === "SocketOpenError"
        ? Effect.ignoreCause(
            Effect.suspend(() => onConnectError(reason.cause as ConnectFailed | TlsFailed, address)),
            { log: "Debug", message: `${operation}: onConnectError failed` }
          )
        : Effect.void
    ),
    writer: socket.writer
  })

const log: OnConnectError = (error, { host, port }) =>
  Effect.logWithLevel(error._tag === "TlsFailed" ? "Warn" : "Debug")(
    `cannot connect to runner ${host}:${port}: ${error.message}`
  )
