/** Listening with `node:net`. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Listener, ListenEvents, ListenOptions } from "../Network.ts"
import { ListenFailed } from "./errors.ts"
import type * as Tls from "../Tls.ts"
import type { Transport } from "../Transport.ts"
import * as Argument from "./argument.ts"
import * as NodeAddress from "./nodeAddress.ts"
import type { Lookup } from "./nodeConnect.ts"
import { type Accept, type Bound, defaultBacklog, makeServer, nothing, start, toListenFailed } from "./nodeListener.ts"
import { bindUnix } from "./nodeListenUnix.ts"

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
