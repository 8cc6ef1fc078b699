/** The `Network` service in memory: names, listeners, and connecting to them. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type { ConnectOptions, Listener, ListenEvents, ListenOptions } from "../../../Network.ts"
import type { ConnectAttempt, TlsFailed } from "../../../StreamError.ts"
import { ConnectFailed, ListenFailed, StreamTimeout } from "../../base/errors.ts"
import * as Faults from "../../../testing/Faults.ts"
import type { ConnectionInfo, Transport } from "../../../Transport.ts"
import * as Argument from "../../base/argument.ts"
import { connectTimedOut } from "../../connect/connectFailure.ts"
import * as Deadline from "../../runtime/deadline.ts"
import * as Endpoint from "../../base/endpoint.ts"
import * as HappyEyeballs from "../../connect/happyEyeballs.ts"
import type { Secure } from "../../node/tls/handshake.ts"
import { type Chunking, cutter } from "./chunking.ts"
import { Clockwork } from "./eventQueue.ts"
import { Link, type LinkEnd, loadTls, type Side, type Way } from "./link.ts"
import type { Course, Hitch } from "./pipe.ts"
import * as NetworkOptions from "../../base/networkOptions.ts"
import * as Random from "../random.ts"
import { Recorder } from "./timeline.ts"
import * as UnixSocket from "../../base/unixSocket.ts"

/** See `TestNetwork.Path`. */
export interface Path {
  readonly latency?: Duration.Input | undefined
  readonly bandwidth?: number | undefined
  readonly chunking?: Chunking | undefined
  readonly capacity?: number | undefined
}

/** See `TestNetwork.WireOptions`. */
export interface WireOptions {
  readonly seed?: number | undefined
  readonly fromClient?: Path | undefined
  readonly fromServer?: Path | undefined
  readonly faults?: Faults.Script | undefined
}

/** See `TestNetwork.Options`. */
export interface Options extends WireOptions {
  readonly hosts?: Readonly<Record<string, string | ReadonlyArray<string>>> | undefined
  readonly addresses?: Readonly<Record<string, "Refused" | "Timeout" | "Unreachable">> | undefined
}

const defaultSeed = 1
const defaultCapacity = 65536
/** How long a client waits before it knocks again at a full backlog. */
const knockAgainMillis = 1000
/** Turns without anything to do after which a network is taken to be at rest. */
const settledTurns = 10
/** How long, in real time, it is waited for. */
const settledMillis = 10_000
const neverSettled = `settled: the network has not come to rest for ${settledMillis / 1000} seconds: somebody goes on and on`
const firstClientPort = 49152
const firstServerPort = 40000

/** The wire between all pairs of ends of one network. */
export class Wire {
  readonly seed: number
  readonly recorder = new Recorder()
  readonly faults: Faults.Script
  private readonly operation: string
  private readonly options: WireOptions
  private readonly room: Record<Side, Course["room"]> | undefined
  private readonly clockworks = new Map<Clock.Clock, Clockwork>()

  /** `room` replaces the capacity of the options, by who sends. */
  constructor(operation: string, options: WireOptions, room?: Record<Side, Course["room"]>) {
    const { faults = [], seed = defaultSeed } = Argument.record(operation, "options", options)
    this.operation = operation
    this.options = options
    this.room = room
    this.seed = Argument.finite(operation, "seed", seed)
    if (!Array.isArray(faults)) throw Argument.wrongType(operation, "faults", "an array", faults)
    this.faults = faults
    // wrong settings are found when they are made, not when they are first used
    this.faults.forEach((fault, index) => checkFault(operation, `faults[${index}]`, fault))
    this.way("client", 1)
    this.way("server", 1)
  }

  /** What drives the connections of those whose clock this is. */
  clockwork(context: Context.Context<never>): Clockwork {
    const clock = Context.get(context, Clock.Clock)
    let clockwork = this.clockworks.get(clock)
    if (clockwork === undefined) this.clockworks.set(clock, (clockwork = new Clockwork(context)))
    return clockwork
  }

  link(number: number, clockwork: Clockwork, info: Record<Side, ConnectionInfo>): Link {
    return new Link(
      number,
      clockwork,
      this.recorder,
      { client: this.way("client", number), server: this.way("server", number) },
      info
    )
  }

  latency(from: Side): number {
    const { latency } = this.path(from)
    return latency === undefined
      ? 0
      : Duration.toMillis(Argument.duration(this.operation, `${pathOf(from)}.latency`, latency))
  }

  fault<Tag extends Faults.Fault["_tag"]>(
    number: number,
    tag: Tag
  ): Extract<Faults.Fault, { readonly _tag: Tag }> | undefined {
    return this.faults.find((fault) => fault.connection === number && fault._tag === tag) as never
  }

  /** What crossed it, with what it takes to see it again. */
  timeline(connection?: number): string {
    return this.recorder.render([`seed ${this.seed}`, ...Faults.format(this.faults).split("\n")], connection)
  }

  /** Waits until nothing is due, and has not been for a few turns in which programs could react. */
  readonly settled: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const began = Date.now()
    let seen = -1
    for (let quiet = 0; quiet < settledTurns; quiet++) {
      yield* Effect.yieldNow
      if (Date.now() - began > settledMillis) throw new Error(neverSettled)
      let turns = 0
      let busy = false
      for (const clockwork of this.clockworks.values()) {
        turns += clockwork.turns
        busy ||= clockwork.busy
      }
      if (busy || turns !== seen) quiet = 0
      seen = turns
    }
  })

  /** Nothing moves any more. */
  stop(): void {
    for (const clockwork of this.clockworks.values()) clockwork.stop()
  }

  private path(from: Side): Path {
    const path = this.options[pathOf(from)]
    return path === undefined ? {} : Argument.record(this.operation, pathOf(from), path)
  }

  private way(from: Side, number: number): Way {
    const { bandwidth, capacity = defaultCapacity, chunking = "asIs" } = this.path(from)
    const name = (option: string) => `${pathOf(from)}.${option}`
    if (bandwidth !== undefined) Argument.rate(this.operation, name("bandwidth"), bandwidth)
    Argument.limit(this.operation, capacity, name("capacity"))
    const course: Course = {
      latency: this.latency(from),
      millisPerByte: bandwidth === undefined ? 0 : 1000 / bandwidth,
      cut: cutter(
        this.operation,
        name("chunking"),
        chunking,
        Random.derive(this.seed, number, from === "client" ? 1 : 2)
      ),
      room: this.room?.[from] ?? ((occupied) => capacity - occupied)
    }
    return { course, hitches: this.faults.flatMap((fault) => hitchOf(fault, number, from)) }
  }
}

const pathOf = (from: Side): "fromClient" | "fromServer" => (from === "client" ? "fromClient" : "fromServer")

const hitchOf = (fault: Faults.Fault, number: number, from: Side): ReadonlyArray<Hitch> => {
  if (fault.connection !== number || !("from" in fault) || fault.from !== from) return []
  const millis = fault._tag === "Stall" && fault.millis !== "forever" ? fault.millis : Infinity
  return [{ kind: fault._tag, after: fault.after, millis }]
}

// ---------------------------------------------------------------------------
// listening
// ---------------------------------------------------------------------------

/** Who is told of what comes. */
interface Accepting extends ListenEvents {
  readonly onTransport: (transport: Transport) => void
}

/** A fault in no possible place would never happen, and whoever tests with it would be none the wiser. */
const checkFault = (operation: string, name: string, fault: Faults.Fault): void => {
  Argument.positive(operation, `${name}.connection`, fault.connection)
  if ("from" in fault) {
    Argument.oneOf(operation, `${name}.from`, fault.from, ["client", "server"])
    Argument.count(operation, `${name}.after`, fault.after)
  }
  if (fault._tag === "Stall" && fault.millis !== "forever") {
    Argument.amount(operation, `${name}.millis`, fault.millis)
  }
  if (fault._tag === "AcceptError") Argument.amount(operation, `${name}.retryAfter`, fault.retryAfter)
}

/** One address that is listened on. */
class Bound {
  readonly address: NetAddress.SocketAddress
  /** Whether connections to a target belong here. */
  readonly serves: (target: Target) => boolean
  readonly shared: boolean

  private readonly backlog: number
  private readonly accepting: Accepting
  /** Connected, and not accepted yet. */
  private readonly waiting: Array<Link> = []
  private acceptsFrom = -Infinity
  private closed = false

  constructor(
    address: NetAddress.SocketAddress,
    serves: (target: Target) => boolean,
    options: NetworkOptions.Listen,
    accepting: Accepting
  ) {
    this.address = address
    this.serves = serves
    this.shared = options.reusePort
    this.backlog = options.backlog
    this.accepting = accepting
  }

  get full(): boolean {
    return this.waiting.length >= this.backlog
  }

  /** A client has come. */
  knock(link: Link, error: Extract<Faults.Fault, { readonly _tag: "AcceptError" }> | undefined): void {
    this.waiting.push(link)
    const { clockwork } = link
    if (error !== undefined) {
      link.record("server", { kind: "fault", detail: `accept: ${error.code}` })
      this.accepting.onAcceptError?.({ kind: "Unknown", code: error.code })
      this.acceptsFrom = Math.max(this.acceptsFrom, clockwork.now + error.retryAfter)
    }
    if (this.acceptsFrom > clockwork.now) clockwork.at(this.acceptsFrom, () => this.accept())
    else this.accept()
  }

  private accept(): void {
    while (!this.closed && this.waiting.length > 0 && this.acceptsFrom <= this.waiting[0]!.clockwork.now) {
      const link = this.waiting.shift()!
      link.record("server", { kind: "accept" })
      this.accepting.onTransport(link.server)
    }
  }

  close(): void {
    this.closed = true
    // who was not accepted is told, also over a Unix socket
    for (const link of this.waiting.splice(0)) link.server.reset()
  }
}

/** What is connected to. */
type Target =
  | { readonly _tag: "Inet"; readonly address: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

const isTooLong = (path: string): boolean => UnixSocket.sizeOf(path) > UnixSocket.longestOnLinux

const listenFailed = (kind: ListenFailed["kind"], address: string, code: string): ListenFailed =>
  new ListenFailed({ kind, address, code })

// ---------------------------------------------------------------------------
// the network
// ---------------------------------------------------------------------------

export class MemoryNetwork {
  readonly wire: Wire
  private readonly options: Options
  private readonly bounds: Array<Bound> = []
  private connections = 0
  private clientPort = firstClientPort
  private serverPort = firstServerPort
  private readonly names = new Map<string, string>()
  /** Paths of Unix sockets that their servers have left behind. */
  private readonly stale = new Set<string>()
  private readonly answers: ReadonlyMap<string, "Refused" | "Timeout" | "Unreachable">

  constructor(options: Options) {
    this.wire = new Wire("TestNetwork", options)
    this.options = options
    this.answers = new Map(
      Object.entries(options.addresses ?? {}).map(([address, answer]) => {
        Argument.oneOf("TestNetwork", `addresses[${JSON.stringify(address)}]`, answer, [
          "Refused",
          "Timeout",
          "Unreachable"
        ])
        return [checkAddress("addresses", address), answer]
      })
    )
    for (const [name, found] of Object.entries(options.hosts ?? {})) {
      if (found === "Timeout") continue
      for (const one of typeof found === "string" ? [found] : found) checkAddress(`hosts[${JSON.stringify(name)}]`, one)
    }
  }

  readonly connect = (given: ConnectOptions): Effect.Effect<Transport, ConnectFailed | TlsFailed> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const options = NetworkOptions.connect("Network.connect", given)
      const clockwork = this.wire.clockwork(context)
      const plain =
        options.path === undefined
          ? this.connectInet(clockwork, options, options.host, options.port)
          : this.connectUnix(clockwork, options.path, options.connectTimeout)
      const { tls } = options
      if (tls === undefined) return plain
      return loadTls.pipe(
        Effect.flatMap(({ client }) => client("openConnection", tls === true ? {} : tls, options.host)),
        Effect.flatMap((secure) => Effect.flatMap(plain, (transport) => secure(transport)))
      )
    })

  private connectUnix(
    clockwork: Clockwork,
    path: string,
    timeout: Duration.Duration
  ): Effect.Effect<Transport, ConnectFailed> {
    const number = ++this.connections
    // what the queue was too full for, once that has happened
    const waiting: Array<ConnectAttempt> = []
    const failed = (attempt: ConnectAttempt) =>
      new ConnectFailed({ target: path, kind: attempt.kind, attempts: [attempt] })
    const address = NetAddress.unixPathAddress(path)
    const info = {
      client: { local: undefined, remote: address },
      server: { local: address, remote: undefined }
    }
    const onFull = () => void (waiting[0] = { address: path, kind: "Timeout", code: "EAGAIN" })
    return this.attempt(clockwork, number, { _tag: "Unix", path }, path, () => info, onFull).pipe(
      Effect.mapError(failed),
      Deadline.timeoutOrElse({
        duration: timeout,
        next: (task) => clockwork.endOfTurn(task),
        orElse: () => Effect.fail(connectTimedOut({ target: path, host: path, attempts: waiting, timeout }))
      })
    )
  }

  private connectInet(
    clockwork: Clockwork,
    options: NetworkOptions.Connect,
    host: string,
    port: number
  ): Effect.Effect<Transport, ConnectFailed> {
    const timeout = options.connectTimeout
    const target = Endpoint.label(host, port)
    const number = ++this.connections
    // what is known of each address so far, in the order tried
    const attempts = new Map<string, ConnectAttempt>()
    const failed = (kind: ConnectAttempt["kind"]) =>
      new ConnectFailed({ target, kind, attempts: Array.from(attempts.values()) })
    const label = (address: string) => Endpoint.label(address, port)

    const addresses = this.wire.fault(number, "HostNotFound") === undefined ? this.resolve(host) : []
    if (addresses === undefined) {
      return Effect.andThen(
        Effect.sleep(timeout),
        Effect.fail(connectTimedOut({ target, host, attempts: [], timeout }))
      )
    }
    if (addresses.length === 0) {
      attempts.set(host, { address: host, kind: "HostNotFound", code: "ENOTFOUND" })
      this.record(clockwork, number, "refuse", `${target}: host not found`)
      return Effect.andThen(Effect.yieldNow, Effect.fail(failed("HostNotFound")))
    }
    const local = options.localAddress
    return HappyEyeballs.connect({
      addresses: HappyEyeballs.interleave(
        addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))
      ),
      delay: options.attemptDelay,
      attempt: ({ address }) =>
        this.attempt(
          clockwork,
          number,
          { _tag: "Inet", address: Endpoint.canonical(address), port },
          label(address),
          () => {
            const server = Endpoint.canonicalInet(address, port)
            const own = local?.host ?? (server._tag === "InetAddressV6" ? "::1" : "127.0.0.1")
            const client = Endpoint.canonicalInet(own, local?.port || this.clientPort++)
            return { client: { local: client, remote: server }, server: { local: server, remote: client } }
          }
        ),
      release: (transport) => transport.abort(),
      onAttempt: ({ address }) => {
        // stands unless a failure replaces it
        attempts.set(label(address), { address: label(address), kind: "Timeout" })
      },
      onFailure: ({ address }, error) => attempts.set(label(address), error)
    }).pipe(
      Effect.mapError((errors) => failed(mostTelling(errors))),
      Deadline.timeoutOrElse({
        duration: timeout,
        next: (task) => clockwork.endOfTurn(task),
        orElse: () => Effect.fail(connectTimedOut({ target, host, attempts: Array.from(attempts.values()), timeout }))
      }),
      Effect.map((end) => {
        end.host = host
        return end
      })
    )
  }

  /** Knocks at one address. */
  private attempt(
    clockwork: Clockwork,
    number: number,
    target: Target,
    label: string,
    info: () => Record<Side, ConnectionInfo>,
    onFull?: () => void
  ): Effect.Effect<LinkEnd, ConnectAttempt> {
    const { wire } = this
    const there = wire.latency("client")
    const back = wire.latency("server")
    const answer = this.answerOf(number, target)
    return Effect.callback<LinkEnd, ConnectAttempt>((resume) => {
      let link: Link | undefined
      let givenUp = false
      const fail = (kind: ConnectAttempt["kind"], code: string) => {
        this.record(clockwork, number, "refuse", `${label}: ${code}`)
        clockwork.at(clockwork.now + back, () => resume(Effect.fail({ address: label, kind, code })))
      }
      const knock = (pause: number) => {
        if (givenUp) return
        if (answer === "Timeout") return
        if (answer === "Unreachable") return fail("Unreachable", "EHOSTUNREACH")
        const bound = answer === "Refused" ? undefined : this.find(target)
        if (bound === undefined) {
          return target._tag === "Unix" && answer === undefined
            ? fail(...this.missing(target.path))
            : fail("Refused", "ECONNREFUSED")
        }
        if (bound.full) {
          onFull?.()
          const next = Math.min(2 * pause, UnixSocket.longestPauseMillis)
          return void clockwork.at(clockwork.now + pause, () => knock(next))
        }
        link = wire.link(number, clockwork, info())
        link.record("client", { kind: "connect", detail: label })
        const { client } = link
        clockwork.at(clockwork.now + back, () => resume(Effect.succeed(client)))
        bound.knock(link, wire.fault(number, "AcceptError"))
      }
      const pause = target._tag === "Unix" ? UnixSocket.firstPauseMillis : knockAgainMillis
      clockwork.at(clockwork.now + there, () => knock(pause))
      return Effect.sync(() => {
        givenUp = true
        link?.client.abort()
      })
    })
  }

  private answerOf(number: number, target: Target): "Refused" | "Timeout" | "Unreachable" | undefined {
    if (this.wire.fault(number, "Refuse") !== undefined) return "Refused"
    if (this.wire.fault(number, "ConnectTimeout") !== undefined) return "Timeout"
    return target._tag === "Inet" ? this.answers.get(target.address) : undefined
  }

  /** Why nobody is met at a path. */
  private missing(path: string): readonly [ConnectAttempt["kind"], string] {
    if (isTooLong(path)) return ["PathTooLong", "ENAMETOOLONG"]
    if (UnixSocket.isAbstract(path) || this.stale.has(path)) return ["Refused", "ECONNREFUSED"]
    return this.isBelowSocket(path) ? ["NotADirectory", "ENOTDIR"] : ["NotFound", "ENOENT"]
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
  private find(target: Target): Bound | undefined {
    const index = this.bounds.findIndex((bound) => bound.serves(target))
    const bound = this.bounds[index]
    if (bound?.shared === true) {
      this.bounds.splice(index, 1)
      this.bounds.push(bound)
    }
    return bound
  }

  /** Every name has an address, the same for everyone, unless the options say otherwise. `undefined`: nobody ever says. */
  private resolve(host: string): ReadonlyArray<string> | undefined {
    if (NetworkOptions.isAddress(host)) return [host]
    const known = this.options.hosts?.[host]
    if (known === "Timeout") return undefined
    if (known !== undefined) return typeof known === "string" ? [known] : known
    if (host === "localhost") return ["127.0.0.1"]
    let address = this.names.get(host)
    if (address === undefined) {
      const count = this.names.size + 1
      this.names.set(host, (address = `10.0.${count >> 8}.${count & 255}`))
    }
    return [address]
  }

  private record(clockwork: Clockwork, connection: number, kind: "refuse", detail: string): void {
    this.wire.recorder.record(clockwork.now, { connection, from: "client", kind, detail })
  }

  readonly listen = (
    given: ListenOptions,
    onTransport: (transport: Transport) => void,
    events?: ListenEvents
  ): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const options = NetworkOptions.listen("Network.listen", given)
      const { tls } = options
      if (tls === undefined) return this.listenWith(options, { ...events, onTransport })
      return loadTls.pipe(
        Effect.flatMap(({ listening }) => listening(options, tls)),
        Effect.flatMap((secure) =>
          this.listenWith(options, { ...events, onTransport: secured(secure, onTransport, events, context) })
        )
      )
    })

  private listenWith(
    options: NetworkOptions.Listen,
    accepting: Accepting
  ): Effect.Effect<Listener, ListenFailed, Scope.Scope> {
    return Effect.suspend(() => {
      const added: Array<Bound> = []
      const close = Effect.sync(() => {
        for (const bound of added.splice(0)) {
          this.bounds.splice(this.bounds.indexOf(bound), 1)
          bound.close()
          if (options.path !== undefined && options.cleanupSocket === false) this.stale.add(options.path)
        }
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
    const addresses = this.resolve(name)
    if (addresses === undefined) {
      const cause = new StreamTimeout({ operation: "startServer", kind: "Lookup", duration: timeout })
      return Effect.andThen(
        Effect.sleep(timeout),
        Effect.fail(new ListenFailed({ kind: "Timeout", address: name, cause }))
      )
    }
    return addresses.length === 0
      ? Effect.fail(listenFailed("HostNotFound", name, "ENOTFOUND"))
      : Effect.succeed(addresses)
  }

  private bindUnix(path: string, options: NetworkOptions.Listen, accepting: Accepting): Bound | ListenFailed {
    if (isTooLong(path)) return listenFailed("PathTooLong", path, "ENAMETOOLONG")
    if (this.isBelowSocket(path)) return listenFailed("NotADirectory", path, "ENOTDIR")
    const serves = (target: Target) => target._tag === "Unix" && target.path === path
    if (this.bounds.some((bound) => bound.serves({ _tag: "Unix", path }))) {
      return listenFailed("AddressInUse", path, "EADDRINUSE")
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
    for (const host of addresses) {
      const address = host ?? "::"
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
        ? listenFailed("AddressInUse", Endpoint.label(host, port), "EADDRINUSE")
        : new Bound(Endpoint.canonicalInet(address, port), serves, options, accepting)
    }
  }
}

/** Passes connections on, once their handshake is done. */
const secured =
  (
    secure: Secure,
    onTransport: (transport: Transport) => void,
    events: ListenEvents | undefined,
    context: Context.Context<never>
  ) =>
  (transport: Transport): void => {
    Effect.runForkWith(context)(
      Effect.match(secure(transport), {
        onFailure: (error) => events?.onHandshakeError?.(error, transport.info),
        onSuccess: onTransport
      })
    )
  }

const checkAddress = (name: string, address: unknown): string => {
  if (typeof address === "string" && NetworkOptions.isAddress(address)) return Endpoint.canonical(address)
  throw Argument.wrongType("TestNetwork", name, "IP addresses", address)
}

/** Addresses in the spelling that `Endpoint.canonical` gives them. */
const servesInet =
  (address: string, port: number, ipv6Only: boolean) =>
  (target: Target): boolean => {
    if (target._tag !== "Inet" || target.port !== port) return false
    if (address === "::") return !ipv6Only || target.address.includes(":")
    if (address === "0.0.0.0") return !target.address.includes(":")
    return address === target.address
  }

/** A refusal says more than an unreachable network: somebody was there. */
const mostTelling = (attempts: ReadonlyArray<ConnectAttempt>): ConnectAttempt["kind"] =>
  (["Refused", "Timeout", "Unreachable", "HostNotFound"] as const).find((kind) =>
    attempts.some((attempt) => attempt.kind === kind)
  ) ?? "Unknown"

// ---------------------------------------------------------------------------
// timelines of single connections
// ---------------------------------------------------------------------------

const wires = new WeakMap<ConnectionInfo, Wire>()

/** Remembers which wire a connection is on, by its info, which it keeps for good. */
export const remember = (info: ConnectionInfo, wire: Wire): void => void wires.set(info, wire)

export const timelineOf = (info: ConnectionInfo): string | undefined => wires.get(info)?.timeline()
