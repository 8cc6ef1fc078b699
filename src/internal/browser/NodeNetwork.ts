/** Stands for the face `NodeNetwork` in a browser: what provides it runs, and what asks it for a socket dies. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as NodeNetwork from "../../NodeNetwork.ts"
import { Network } from "../../Network.ts"

const noSockets = (operation: string): Effect.Effect<never> =>
  Effect.suspend(() =>
    Effect.die(
      new Error(
        `${operation}: NodeNetwork has no sockets in a browser, and a bundler has chosen what is for browsers (its ` +
          'condition "browser"); Connection.fromWebStreams makes a connection of what a browser has'
      )
    )
  )

const service = Network.of({
  connect: () => noSockets("openConnection"),
  listen: () => noSockets("startServer")
})

export const make: typeof NodeNetwork.make = () => service

export const layer: typeof NodeNetwork.layer = Layer.succeed(Network)(service)

export const layerWith: typeof NodeNetwork.layerWith = () => layer
