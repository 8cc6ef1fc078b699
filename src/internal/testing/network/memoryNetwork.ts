/** The `Network` service in memory. Here is connecting; listening is in `listeners`, and finding a name in `names`. */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type { ConnectOptions } from "../../../Network.ts"
import type { ConnectAttempt, TlsFailed } from "../../../StreamError.ts"
import type * as TestNetwork from "../../../testing/TestNetwork.ts"
import type { ConnectionInfo, Transport } from "../../../Transport.ts"
import * as Argument from "../../base/argument.ts"
import * as Endpoint from "../../base/endpoint.ts"
import { ConnectFailed } from "../../base/errors.ts"
import * as NetworkOptions from "../../base/networkOptions.ts"
import { firstPauseMillis, knockAgainMillis, maxPauseMillis } from "../../base/defaults.ts"
import { connectTimedOut } from "../../connect/connectTimeout.ts"
import * as HappyEyeballs from "../../connect/happyEyeballs.ts"
import * as Deadline from "../../runtime/deadline.ts"
import { failedAttempt, queueIsFull } from "../../transport/failure.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"
import type { Target } from "./bound.ts"
import type { EventQueue } from "./eventQueue.ts"
import type { Side } from "./faults.ts"
import type { Link, LinkEnd } from "./link.ts"
import { Listeners } from "./listeners.ts"
import { checkAddress, Names } from "./names.ts"
import { Wire } from "./wire.ts"

const firstClientPort = 49152

export class MemoryNetwork {
  readonly wire: Wire
  readonly listen: Listeners["listen"]
  private readonly loadTls: LoadTls
  private readonly names: Names
  private readonly listeners: Listeners
  private readonly answers: ReadonlyMap<string, "Refused" | "Timeout" | "Unreachable">
  private connections = 0
  private clientPort = firstClientPort

  /** `loadTls` loads what speaks TLS over it. */
  constructor(options: TestNetwork.Options, loadTls: LoadTls) {
    this.wire = new Wire("TestNetwork", options, loadTls)
    this.loadTls = loadTls
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
    this.names = new Names(options.hosts)
    this.listeners = new Listeners(this.names, loadTls)
    this.listen = this.listeners.listen
  }

  readonly connect = (given: ConnectOptions): Effect.Effect<Transport, ConnectFailed | TlsFailed> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const options = NetworkOptions.connect("Network.connect", given)
      const eventQueue = this.wire.eventQueue(context)
      const plain =
        options.path === undefined
          ? this.connectInet(eventQueue, options, options.host, options.port)
          : this.connectUnix(eventQueue, options.path, options.connectTimeout)
      const { tls } = options
      if (tls === undefined) return plain
      return this.loadTls.pipe(
        Effect.flatMap(({ client }) => client("openConnection", tls === true ? {} : tls, options.host)),
        Effect.flatMap((secure) => Effect.flatMap(plain, (transport) => secure(transport)))
      )
    })

  private connectUnix(
    eventQueue: EventQueue,
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
    const onFull = () => void (waiting[0] = queueIsFull(path))
    return this.attempt(eventQueue, number, { _tag: "Unix", path }, path, () => info, onFull).pipe(
      Effect.mapError(failed),
      Deadline.timeoutOrElse({
        duration: timeout,
        next: (task) => eventQueue.endOfTurn(task),
        orElse: () => Effect.fail(connectTimedOut({ target: path, host: path, attempts: waiting, timeout }))
      })
    )
  }

  private connectInet(
    eventQueue: EventQueue,
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

    const addresses = this.wire.fault(number, "HostNotFound") === undefined ? this.names.resolve(host) : []
    if (addresses === undefined) {
      return Effect.andThen(
        Effect.sleep(timeout),
        Effect.fail(connectTimedOut({ target, host, attempts: [], timeout }))
      )
    }
    if (addresses.length === 0) {
      attempts.set(host, { address: host, kind: "HostNotFound", code: "ENOTFOUND" })
      this.record(eventQueue, number, "refuse", `${target}: host not found`)
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
          eventQueue,
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
      Effect.mapError((errors) => failed(HappyEyeballs.mostTelling(errors))),
      Deadline.timeoutOrElse({
        duration: timeout,
        next: (task) => eventQueue.endOfTurn(task),
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
    eventQueue: EventQueue,
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
      const fail = (code: string) => {
        this.record(eventQueue, number, "refuse", `${label}: ${code}`)
        eventQueue.at(eventQueue.now + back, () => resume(Effect.fail(failedAttempt(label, code))))
      }
      const knock = (pause: number) => {
        if (givenUp) return
        if (answer === "Timeout") return
        if (answer === "Unreachable") return fail("EHOSTUNREACH")
        const bound = answer === "Refused" ? undefined : this.listeners.find(target)
        if (bound === undefined) {
          return target._tag === "Unix" && answer === undefined
            ? fail(this.listeners.missing(target.path))
            : fail("ECONNREFUSED")
        }
        if (bound.full) {
          onFull?.()
          const next = Math.min(2 * pause, maxPauseMillis)
          return void eventQueue.at(eventQueue.now + pause, () => knock(next))
        }
        link = wire.link(number, eventQueue, info())
        link.record("client", { kind: "connect", detail: label })
        const { client } = link
        eventQueue.at(eventQueue.now + back, () => resume(Effect.succeed(client)))
        bound.knock(link, wire.fault(number, "AcceptError"))
      }
      const pause = target._tag === "Unix" ? firstPauseMillis : knockAgainMillis
      eventQueue.at(eventQueue.now + there, () => knock(pause))
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

  private record(eventQueue: EventQueue, connection: number, kind: "refuse", detail: string): void {
    this.wire.recorder.record(eventQueue.now, { connection, from: "client", kind, detail })
  }
}
