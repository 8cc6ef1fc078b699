/** The server of a runner, where `ShardingConfig` has it. */
import { ShardingConfig } from "effect/cluster/ShardingConfig"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { SocketServer } from "effect/socket/SocketServer"
import type { ServerOptions } from "../../ClusterStreams.ts"
import type { Network } from "../../Network.ts"
import type { Server } from "../../Server.ts"
import type { ListenFailed } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import * as Defaults from "../base/defaults.ts"
import { make } from "../server/socketServer.ts"

const operation = "ClusterStreams.layerSocketServer"

export const socketServer = (
  options: ServerOptions,
  tag: Context.Service<Server, Server>
): Layer.Layer<SocketServer | Server, ListenFailed, Network | ShardingConfig> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { runnerAddress, runnerListenAddress } = yield* ShardingConfig
      const address = Option.orElse(runnerListenAddress, () => runnerAddress)
      if (Option.isNone(address)) {
        return yield* Effect.die(
          new TypeError(`${operation}: ShardingConfig has no runnerListenAddress and no runnerAddress`)
        )
      }
      const { host, port } = address.value
      const { timeouts } = Argument.record(operation, "options", options)
      return yield* make(
        operation,
        { ...options, host, port, timeouts: timeouts ?? Defaults.runnerServerTimeouts },
        tag
      )
    })
  )
