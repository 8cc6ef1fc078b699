/** The `Network` service in memory. Here is connecting; listening is in `listeners`, and finding a name in `names`. */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type { ConnectOptions, Network } from "../../../Network.ts"
import type { ConnectAttempt, TlsFailed } from "../../../StreamError.ts"
import type * as TestNetwork from "../../../testing/TestNetwork.ts"
import type { ConnectionInfo, Transport } from "../../../Transport.ts"
import * as Argument from "../../base/argument.ts"
import * as Endpoint from "../../base/endpoint.ts"
import { ConnectFailed } from "../../base/errors.ts"
import * as NetworkOptions from "../../base/networkOptions.ts"
import { CurrentOpening, type Opening } from "../../base/observing.ts"
import { Pending } from "../../base/pending.ts"
import { firstPauseMillis, knockAgainMillis, maxPauseMillis } from "../../base/defaults.ts"
import { connectTimedOut } from "../../connect/connectTimeout.ts"
import * as HappyEyeballs from "../../connect/happyEyeballs.ts"
import * as Deadline from "../../runtime/deadline.ts"
import { failedAttempt, queueIsFull } from "../../transport/failure.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"
import type { Target } from "./bound.ts"
import type { EventQueue } from "./eventQueue.ts"
import { checkHost, isHostFault, type Side } from "./faults.ts"
import { MemoryHost, type Parts } from "./host.ts"
import type { Link, LinkEnd } from "./link.ts"
import { Machines, type Origin } from "./machines.ts"
import { checkAddress, Names } from "./names.ts"
import { Wire } from "./wire.ts"

const firstClientPort = 49152

export class MemoryNetwork {
  readonly wire: Wire
  readonly machines: Machines
  private readonly loadTls: LoadTls
  private readonly names: Names
  private readonly answers: ReadonlyMap<string, "Refused" | "Timeout" | "Unreachable">
  /** Those that have yet to succeed or fail. */
  private readonly attempts = new Set<{ readonly number: number; readonly label: string; readonly since: number }>()
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
    this.machines = new Machines(this.names, loadTls)
  }

  /** The faults of hosts happen from now on. */
  begin(context: Context.Context<never>): void {
    const faults = this.wire.faults.filter(isHostFault)
    if (faults.length > 0) this.machines.schedule(faults, this.wire.eventQueue(context))
  }

  /** What is open, or is waited for, for people. */
  get describe(): ReadonlyArray<string> {
    return [
      ...Array.from(this.attempts, ({ label, number, since }) => `#${number} connects to ${label} since ${since} ms`),
      ...this.machines.describe
    ]
  }

  /** What runs on a machine. After a crash it is another one, on the same machine. */
  host(name: string, parts: Parts, context: Context.Context<never>): MemoryHost {
    const operation = "TestNetwork.host"
    const machine = this.machines.make(operation, checkHost(operation, "name", name))
    if (machine.life !== undefined && !machine.life.hasCrashed) return machine.life as MemoryHost
    const eventQueue = this.wire.eventQueue(context)
    const host = new MemoryHost(
      this.machines,
      machine,
      (isThere, options) => this.connectFrom({ machine, isThere, eventQueue }, options),
      parts,
      context
    )
    this.machines.start(machine, host)
    return host
  }

  /** The network of all who are on no host. Its time is that of the fiber that connects. */
  get nameless(): Network["Service"] {
    const from = this.machines.nameless
    return {
      connect: (given) =>
        Effect.contextWith((context: Context.Context<never>) =>
          this.connectFrom({ machine: from, isThere: () => true, eventQueue: this.wire.eventQueue(context) }, given)
        ),
      listen: from.listeners.listen
    }
  }

  connectFrom(from: Origin, given: ConnectOptions): Effect.Effect<Transport, ConnectFailed | TlsFailed> {
    return Effect.flatMap(Effect.service(CurrentOpening), (opening) => {
      const options = NetworkOptions.connect("Network.connect", given)
      const plain =
        options.path === undefined
          ? this.connectInet(from, options, options.host, options.port, opening)
          : this.connectUnix(from, options.path, options.connectTimeout, opening)
      const { tls } = options
      if (tls === undefined) return plain
      return this.loadTls.pipe(
        Effect.flatMap(({ client }) => client("openConnection", tls === true ? {} : tls, options.host)),
        Effect.flatMap((secure) => Effect.flatMap(plain, (transport) => secure(transport)))
      )
    })
  }

  private connectUnix(
    from: Origin,
    path: string,
    timeout: Duration.Duration,
    opening: Opening | undefined
  ): Effect.Effect<Transport, ConnectFailed> {
    const { eventQueue } = from
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
    opening?.attemptStarted(path)
    return this.attempt(from, number, { _tag: "Unix", path }, path, () => info, { onFull }).pipe(
      Effect.mapError((attempt) => {
        opening?.attemptFailed(attempt)
        return failed(attempt)
      }),
      Deadline.timeoutOrElse({
        duration: timeout,
        next: (task) => eventQueue.endOfTurn(task),
        orElse: () => Effect.fail(connectTimedOut({ target: path, host: path, attempts: waiting, timeout }))
      })
    )
  }

  private connectInet(
    from: Origin,
    options: NetworkOptions.Connect,
    host: string,
    port: number,
    opening: Opening | undefined
  ): Effect.Effect<Transport, ConnectFailed> {
    const { eventQueue } = from
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
      attempt: ({ address }, opened: (end: LinkEnd) => void) => {
        const target = { _tag: "Inet", address: Endpoint.canonical(address), port } as const
        const info = () => {
          const server = Endpoint.canonicalInet(address, port)
          const own = local?.host ?? from.machine.addressTo(target.address)
          const client = Endpoint.canonicalInet(own, local?.port || this.clientPort++)
          return { client: { local: client, remote: server }, server: { local: server, remote: client } }
        }
        return this.attempt(from, number, target, label(address), info, { opened })
      },
      release: (transport) => transport.abort(),
      onAttempt: ({ address }) => {
        opening?.attemptStarted(label(address))
        // stands unless a failure replaces it
        attempts.set(label(address), { address: label(address), kind: "Timeout" })
      },
      onFailure: ({ address }, error) => {
        opening?.attemptFailed(error)
        attempts.set(label(address), error)
      }
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
    from: Origin,
    number: number,
    target: Target,
    label: string,
    info: () => Record<Side, ConnectionInfo>,
    told: { readonly onFull?: () => void; readonly opened?: (end: LinkEnd) => void }
  ): Effect.Effect<LinkEnd, ConnectAttempt> {
    const { machines, wire } = this
    const { eventQueue, machine } = from
    const there = wire.latency("client")
    const back = wire.latency("server")
    const answer = this.answerOf(number, target)
    const to = target._tag === "Unix" ? machine : machines.at(machine, target.address)
    const isCut = () => machines.isCut(machine.name, to.name)
    const connecting = (pending: Set<() => void> | undefined) =>
      Effect.callback<LinkEnd, ConnectAttempt>((end) => {
        const attempt = { number, label, since: eventQueue.now }
        this.attempts.add(attempt)
        const resume: typeof end = (outcome) => {
          this.attempts.delete(attempt)
          end(outcome)
        }
        let link: Link | undefined
        let givenUp = false
        const knockAgain = (pause: number) =>
          void eventQueue.at(eventQueue.now + pause, () => knock(Math.min(2 * pause, maxPauseMillis)))
        const fail = (code: string, pause: number) => {
          this.record(eventQueue, number, "refuse", `${label}: ${code}`)
          eventQueue.at(eventQueue.now + back, () => {
            // a refusal that got lost: the system asks once more
            if (isCut()) knockAgain(pause)
            else if (from.isThere()) resume(Effect.fail(failedAttempt(label, code)))
          })
        }
        const knock = (pause: number) => {
          if (givenUp || !from.isThere()) return
          if (answer === "Timeout") return
          if (isCut() || to.isDown) return knockAgain(pause)
          if (answer === "Unreachable") return fail("EHOSTUNREACH", pause)
          const bound = answer === "Refused" ? undefined : to.listeners.find(target)
          if (bound === undefined) {
            return fail(
              target._tag === "Unix" && answer === undefined ? to.listeners.missing(target.path) : "ECONNREFUSED",
              pause
            )
          }
          if (bound.full) {
            told.onFull?.()
            return knockAgain(pause)
          }
          link = wire.link(number, eventQueue, info(), { client: machine, server: to })
          link.record("client", { kind: "connect", detail: label })
          const { client, server } = link
          server.out.onArrival(() => {
            if (!from.isThere()) return
            pending?.add(() => client.abort())
            told.opened?.(client)
            resume(Effect.succeed(client))
          }, eventQueue.now + back)
          bound.knock(link, wire.fault(number, "AcceptError"))
        }
        const pause = target._tag === "Unix" ? firstPauseMillis : knockAgainMillis
        eventQueue.at(eventQueue.now + there, () => knock(pause))
        return Effect.sync(() => {
          givenUp = true
          this.attempts.delete(attempt)
          link?.client.abort()
        })
      })
    return Effect.flatMap(Effect.service(Pending), connecting)
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
