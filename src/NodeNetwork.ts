/**
 * The `Network` service on Node: TCP and Unix sockets of `node:net`, TLS of `node:tls`.
 *
 * This is the only public module that needs Node. A program depends on `Network`, and is given this layer at its edge.
 * What bundlers take in its place for a browser dies where it is asked for a socket.
 *
 * @see `Network` for the service, `TestNetwork` for a network in memory.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Argument from "./internal/base/argument.ts"
import { connect } from "./internal/node/connect.ts"
import { listen } from "./internal/node/listen.ts"
import type { Lookup } from "./internal/node/lookup.ts"
import { Network } from "./Network.ts"

/**
 * The options of the whole network.
 *
 * @see {@link layerWith}, {@link make}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Finds the addresses of a name, the preferred one first. Must reject with an error that has a `code`, as `node:dns`
   * does. Default: the system's resolver.
   */
  readonly lookup?: Lookup | undefined
}

const systemLookup: Lookup = async (host) => {
  // loaded with the first name: most servers and many clients have none
  const { lookup } = await import("node:dns/promises")
  const found = await lookup(host, { all: true, order: "verbatim" })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}

/**
 * The network service, as a value.
 *
 * **When to use**
 *
 * To wrap the service, or to provide it without a layer.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Network["Service"] => {
  const given = options === undefined ? undefined : Argument.record("NodeNetwork.make", "options", options).lookup
  const lookup = given === undefined ? systemLookup : Argument.func("NodeNetwork.make", "lookup", given)
  return Network.of({
    connect: (connectOptions) => connect(lookup, connectOptions),
    listen: (listenOptions, onTransport, events) => listen(lookup, listenOptions, onTransport, events ?? {})
  })
}

/**
 * Real sockets.
 *
 * **When to use**
 *
 * In production, and in tests that need real sockets. Most tests are faster and more exact on
 * `TestNetwork.simulate`.
 *
 * @see {@link layerWith} to set options.
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Network> = Layer.sync(Network)(() => make())

/**
 * Real sockets, with options.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<Network> => Layer.sync(Network)(() => make(options))
