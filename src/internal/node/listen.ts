/** Listening with `node:net`. */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Listener, ListenEvents, ListenOptions } from "../../Network.ts"
import { ListenFailed, StreamTimeout } from "../base/errors.ts"
import type { Transport } from "../../Transport.ts"
import * as Deadline from "../runtime/deadline.ts"
import * as Endpoint from "../base/endpoint.ts"
import * as NetworkOptions from "../base/networkOptions.ts"
import * as NodeAddress from "./address.ts"
import { type Accept, type Bound, makeServer, nothing, start } from "./listener.ts"
import { bindUnix } from "./listenUnix.ts"
import { type Lookup, lookUp } from "./lookup.ts"
import { loadTls } from "./tls/load.ts"
import { toListenFailed } from "../transport/failure.ts"
import { Handshakes } from "../transport/handshakes.ts"

export const listen = (
  lookup: Lookup,
  given: ListenOptions,
  onTransport: (transport: Transport) => void,
  events: ListenEvents
): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
  Effect.contextWith((services: Context.Context<never>) => {
    const options = NetworkOptions.listen("Network.listen", given)
    const { tls } = options
    if (tls === undefined) return listenWith(lookup, options, { ...events, onTransport, servers: new Set() }, undefined)
    return Effect.catchDefect(loadTls, (error) => Effect.fail(toListenFailed(Endpoint.listening(options), error))).pipe(
      Effect.flatMap(({ listening }) => listening(options, tls)),
      Effect.flatMap((secure) => {
        const handshakes = new Handshakes(secure, services, onTransport, events, options.maxHandshakes)
        return listenWith(lookup, options, { ...events, onTransport: handshakes.begin, servers: new Set() }, handshakes)
      })
    )
  })

const listenWith = (
  lookup: Lookup,
  options: NetworkOptions.Listen,
  accept: Accept,
  handshakes: Handshakes | undefined
): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
  Effect.suspend(() => {
    const bound: Array<Bound> = []
    const close = Effect.sync(() => {
      for (const { cleanup } of bound.splice(0)) cleanup()
      // connections go on: the server that accepted them closes them
      for (const server of accept.servers) server.close()
      accept.servers.clear()
      handshakes?.end()
    })
    const bind =
      options.path === undefined
        ? bindTcp(lookup, options, options.host, options.port, accept, bound)
        : bindUnix(options.path, options, accept, bound)
    // an interruption in the last step of `bind` is seen outside of it
    return Effect.uninterruptibleMask((restore) =>
      restore(bind).pipe(
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : close)),
        Effect.andThen(Effect.addFinalizer(() => close)),
        Effect.map(() => ({
          addresses: bound.map((one) => one.address) as unknown as Listener["addresses"],
          close
        }))
      )
    )
  })

// ---------------------------------------------------------------------------
// TCP
// ---------------------------------------------------------------------------

const bindTcp = (
  lookup: Lookup,
  options: NetworkOptions.Listen,
  hosts: ReadonlyArray<string>,
  port: number,
  accept: Accept,
  bound: Array<Bound>
): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const { backlog, exclusive, lookupTimeout, reusePort } = options
    const found = yield* Effect.forEach(hosts, (host) => find(lookup, host, lookupTimeout), {
      concurrency: "unbounded"
    })
    const { addresses, ipv6Only } = Endpoint.places(found, options.ipv6Only)
    const literal = new Set(found.flatMap((one) => (one.literal ? one.addresses.map(Endpoint.canonical) : [])))
    /** Addresses of names that this machine does not have. */
    const missing = new Map<string | undefined, ListenFailed>()
    for (const host of addresses) {
      const label = Endpoint.label(host, port)
      const listening = start(
        makeServer(options, accept, undefined),
        { port, backlog, exclusive, reusePort, ipv6Only, ...(host === undefined ? undefined : { host }) },
        label
      )
      const started = yield* Effect.result(listening)
      if (Result.isSuccess(started)) {
        const server = started.success
        const address = server.address() as Net.AddressInfo
        bound.push({ address: NodeAddress.inet(address.address, address.port)!, cleanup: nothing })
      } else if (literal.has(host) || started.failure.kind !== "AddressNotAvailable") {
        return yield* started.failure
      } else {
        missing.set(host, started.failure)
        yield* Effect.logDebug(`startServer: passed over ${label}, an address of a name: ${started.failure.message}`)
      }
    }
    // a name is listened on if one of its addresses is
    for (const one of found) {
      const failures = one.addresses.map((address) => missing.get(Endpoint.canonical(address)))
      if (failures.every((failure) => failure !== undefined)) return yield* failures[0]!
    }
  })

/** The addresses of a host; `undefined` is all interfaces. */
const find = (lookup: Lookup, name: string, timeout: Duration.Duration): Effect.Effect<Endpoint.Found, ListenFailed> =>
  name === ""
    ? Effect.succeed({ addresses: [undefined], literal: true })
    : lookUp(lookup, name).pipe(
        Effect.mapError((failure) => new ListenFailed({ address: name, ...failure })),
        Deadline.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(
              new ListenFailed({
                kind: "Timeout",
                address: name,
                cause: new StreamTimeout({ operation: "startServer", kind: "Lookup", duration: timeout })
              })
            )
        }),
        Effect.map((found) => ({ addresses: found.map(({ address }) => address), literal: Net.isIP(name) !== 0 }))
      )
