/** The listeners of a network in memory, and their addresses. */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type { Listener, ListenEvents, ListenOptions } from "../../../Network.ts"
import type { Transport } from "../../../Transport.ts"
import * as Endpoint from "../../base/endpoint.ts"
import { ListenFailed, StreamTimeout } from "../../base/errors.ts"
import * as NetworkOptions from "../../base/networkOptions.ts"
import * as UnixSocket from "../../base/unixSocket.ts"
import { listenFailed } from "../../transport/failure.ts"
import { Handshakes } from "../../transport/handshakes.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"
import { type Accepting, Bound, servesInet, type Target } from "./bound.ts"
import type { Names } from "./names.ts"

const firstServerPort = 40000

const isTooLong = (path: string): boolean => UnixSocket.sizeOf(path) > UnixSocket.longestOnLinux

export class Listeners {
  private readonly names: Names
  private readonly loadTls: LoadTls
  private readonly bounds: Array<Bound> = []
  private serverPort = firstServerPort
  /** Paths of Unix sockets that their servers have left behind. */
  private readonly stale = new Set<string>()

  /** Whether the machine has an address. `undefined`: it has every one. */
  private readonly isMine: ((address: string) => boolean) | undefined

  constructor(names: Names, loadTls: LoadTls, isMine?: (address: string) => boolean) {
    this.names = names
    this.loadTls = loadTls
    this.isMine = isMine
  }

  /** The programs that listen here are gone, without a word to anybody. */
  crash(): void {
    for (const bound of this.bounds.splice(0)) {
      bound.crash()
      if (bound.address._tag === "UnixPathAddress") this.stale.add(bound.address.path)
    }
  }

  // ------------------------------------------------------------------------
  // for connecting
  // ------------------------------------------------------------------------

  /** The code that says why nobody is met at a path. */
  missing(path: string): string {
    if (isTooLong(path)) return "ENAMETOOLONG"
    if (UnixSocket.isAbstract(path) || this.stale.has(path)) return "ECONNREFUSED"
    return this.isBelowSocket(path) ? "ENOTDIR" : "ENOENT"
  }

  /** Whether there is a socket where a path needs a directory. Nothing else is known of directories here. */
  private isBelowSocket(path: string): boolean {
    const parts = UnixSocket.isAbstract(path) ? [] : path.split("/")
    return parts.some((_, i) => {
      const above = parts.slice(0, i).join("/")
      return this.stale.has(above) || this.bounds.some((bound) => bound.serves({ _tag: "Unix", path: above }))
    })
  }

  /** Of several listeners that share a port, each is given every so many connections. */
  find(target: Target): Bound | undefined {
    const index = this.bounds.findIndex((bound) => bound.serves(target))
    const bound = this.bounds[index]
    if (bound?.shared === true) {
      this.bounds.splice(index, 1)
      this.bounds.push(bound)
    }
    return bound
  }

  // ------------------------------------------------------------------------
  // listening
  // ------------------------------------------------------------------------

  readonly listen = (
    given: ListenOptions,
    onTransport: (transport: Transport) => void,
    events?: ListenEvents
  ): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const options = NetworkOptions.listen("Network.listen", given)
      const { tls } = options
      if (tls === undefined) return this.listenWith(options, { ...events, onTransport }, undefined)
      return this.loadTls.pipe(
        Effect.flatMap(({ listening }) => listening(options, tls)),
        Effect.flatMap((secure) => {
          const handshakes = new Handshakes(secure, context, onTransport, events ?? {}, options.maxHandshakes)
          return this.listenWith(options, { ...events, onTransport: handshakes.begin }, handshakes)
        })
      )
    })

  private listenWith(
    options: NetworkOptions.Listen,
    accepting: Accepting,
    handshakes: Handshakes | undefined
  ): Effect.Effect<Listener, ListenFailed, Scope.Scope> {
    return Effect.suspend(() => {
      const added: Array<Bound> = []
      const close = Effect.sync(() => {
        for (const bound of added.splice(0)) {
          const index = this.bounds.indexOf(bound)
          if (index === -1) continue
          this.bounds.splice(index, 1)
          bound.close()
          if (options.path !== undefined && options.cleanupSocket === false) this.stale.add(options.path)
        }
        handshakes?.end()
      })
      return Effect.flatMap(this.places(options), (places) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            for (const bound of this.bind(options, places, accepting)) {
              if (bound instanceof ListenFailed) return Effect.andThen(close, Effect.fail(bound))
              this.bounds.push(bound)
              added.push(bound)
            }
            const addresses = added.map((bound) => bound.address) as unknown as Listener["addresses"]
            return Effect.succeed({ addresses, close })
          }),
          () => close
        )
      )
    })
  }

  /** Where to listen, if it is on addresses. */
  private places(options: NetworkOptions.Listen): Effect.Effect<Endpoint.Places, ListenFailed> {
    if (options.path !== undefined) return Effect.succeed({ addresses: [], ipv6Only: false })
    const { host, ipv6Only, lookupTimeout } = options
    return Effect.map(
      Effect.forEach(
        host,
        (name): Effect.Effect<Endpoint.Found, ListenFailed> =>
          name === ""
            ? Effect.succeed({ addresses: [undefined], literal: true })
            : Effect.map(this.lookUpToListen(name, lookupTimeout), (addresses) => ({ addresses, literal: false })),
        { concurrency: "unbounded" }
      ),
      (found) => Endpoint.places(found, ipv6Only)
    )
  }

  private lookUpToListen(name: string, timeout: Duration.Duration): Effect.Effect<ReadonlyArray<string>, ListenFailed> {
    const addresses = this.names.resolve(name)
    if (addresses === undefined) {
      const cause = new StreamTimeout({ operation: "startServer", kind: "Lookup", duration: timeout })
      return Effect.andThen(
        Effect.sleep(timeout),
        Effect.fail(new ListenFailed({ kind: "Timeout", address: name, cause }))
      )
    }
    return addresses.length === 0
      ? Effect.fail(new ListenFailed({ kind: "HostNotFound", address: name, code: "ENOTFOUND" }))
      : Effect.succeed(addresses)
  }

  private has(host: string | undefined): boolean {
    return host === undefined || host === "::" || host === "0.0.0.0" || this.isMine === undefined || this.isMine(host)
  }

  private bindUnix(path: string, options: NetworkOptions.Listen, accepting: Accepting): Bound | ListenFailed {
    if (isTooLong(path)) return listenFailed(path, "ENAMETOOLONG")
    if (this.isBelowSocket(path)) return listenFailed(path, "ENOTDIR")
    const serves = (target: Target) => target._tag === "Unix" && target.path === path
    if (this.bounds.some((bound) => bound.serves({ _tag: "Unix", path }))) {
      return listenFailed(path, "EADDRINUSE")
    }
    this.stale.delete(path)
    return new Bound(NetAddress.unixPathAddress(path), serves, options, accepting)
  }

  private *bind(
    options: NetworkOptions.Listen,
    { addresses, ipv6Only }: Endpoint.Places,
    accepting: Accepting
  ): Generator<Bound | ListenFailed, void> {
    if (options.path !== undefined) {
      yield this.bindUnix(options.path, options, accepting)
      return
    }
    const wanted = options.port
    const hasSome = addresses.some((host) => this.has(host))
    for (const host of addresses) {
      const address = host ?? "::"
      if (!this.has(host)) {
        // of a name, those that belong to others are passed over
        if (!hasSome) yield listenFailed(Endpoint.label(host, wanted), "EADDRNOTAVAIL")
        continue
      }
      const port = wanted === 0 ? this.serverPort++ : wanted
      const serves = servesInet(address, port, ipv6Only)
      const taken = this.bounds.some(
        (bound) =>
          !(bound.shared && options.reusePort) &&
          bound.address._tag !== "UnixPathAddress" &&
          (bound.serves({ _tag: "Inet", address, port }) ||
            serves({ _tag: "Inet", address: NetAddress.formatIp(bound.address.address), port: bound.address.port }))
      )
      yield taken
        ? listenFailed(Endpoint.label(host, port), "EADDRINUSE")
        : new Bound(Endpoint.canonicalInet(address, port), serves, options, accepting)
    }
  }
}
