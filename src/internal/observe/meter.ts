/**
 * What metrics say of connections. Nothing is counted where bytes pass: the bytes of a connection are read from it when
 * somebody reads the metrics, and once more when it ends.
 *
 * There is one meter for each registry of metrics, however many layers write to it: a series that is computed has one
 * owner.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { BufferBudget } from "../../BufferBudget.ts"
import type {
  ConnectionEvent,
  Direction,
  Event,
  ObservedConnection,
  OpeningEvent,
  PauseReason,
  ServerEvent
} from "../../Observer.ts"
import type { ConnectionInfo } from "../../Transport.ts"
import * as Conventions from "./conventions.ts"
import * as Instrument from "./instruments.ts"

type Opening<Tag extends OpeningEvent["_tag"]> = OpeningEvent & { readonly _tag: Tag }
type Open<Tag extends ConnectionEvent["_tag"]> = ConnectionEvent & { readonly _tag: Tag }

const reasons: ReadonlyArray<PauseReason> = ["reader", "budget", "peer"]

/** Directions that are held back for one reason, and for how long they were in all. */
class Pauses {
  /** Since when each of those is that are held back now. */
  private readonly since = new Map<Live, number>()
  private millis = 0

  get now(): number {
    return this.since.size
  }

  get seconds(): number {
    let millis = this.millis
    for (const [{ clock }, since] of this.since) millis += elapsed(since, clock)
    return millis / 1000
  }

  begin(live: Live): void {
    if (!this.since.has(live)) this.since.set(live, live.clock.currentTimeMillisUnsafe())
  }

  end(live: Live): void {
    const since = this.since.get(live)
    if (since === undefined) return
    this.since.delete(live)
    this.millis += elapsed(since, live.clock)
  }
}

/** A clock may be set back. A counter must not. */
const elapsed = (since: number, clock: Clock.Clock): number => Math.max(0, clock.currentTimeMillisUnsafe() - since)

/** The open connections of one side over one transport, and what those had that are closed. */
class Group {
  readonly attributes: Conventions.Attributes
  readonly open = new Set<Live>()
  readonly pauses: Readonly<Record<PauseReason, Pauses>> = {
    reader: new Pauses(),
    budget: new Pauses(),
    peer: new Pauses()
  }
  received = 0
  sent = 0

  constructor(attributes: Conventions.Attributes) {
    this.attributes = attributes
  }

  get waiting(): number {
    let waiting = 0
    for (const live of this.open) if (live.waiting) waiting++
    return waiting
  }

  get totalReceived(): number {
    let total = this.received
    for (const { connection } of this.open) total += connection.snapshot().bytesRead
    return total
  }

  get totalSent(): number {
    let total = this.sent
    for (const { connection } of this.open) total += connection.snapshot().bytesWritten
    return total
  }
}

/** A connection that is open. */
interface Live {
  readonly connection: ObservedConnection
  readonly group: Group
  readonly clock: Clock.Clock
  readonly since: number
  waiting: boolean
  /** What has broken it. */
  error: string | undefined
}

interface Handshake {
  readonly since: number
  /** Whether nothing else tells of the connection yet: that of a client of a server. */
  readonly alone: boolean
}

export class Meter {
  private readonly instruments: Instrument.Instruments
  private readonly groups = new Map<string, Group>()
  private readonly live = new Map<number, Live>()
  /** When connecting began. */
  private readonly connecting = new Map<number, number>()
  private readonly handshakes = new Map<number, Handshake>()
  private readonly budgets = new Map<BufferBudget, number>()
  private budgetSeries: ReadonlyArray<Metric.Registration> = []

  private constructor(context: Context.Context<never>) {
    this.instruments = new Instrument.Instruments(context)
  }

  /** The meter of the registry in `services`. */
  static of(services: Context.Context<never>): Meter {
    const registry = Context.get(services, Metric.MetricRegistry)
    const attributes = Context.get(services, Metric.CurrentMetricAttributes)
    const key = JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)))
    let all = meters.get(registry)
    if (all === undefined) meters.set(registry, (all = new Map()))
    let meter = all.get(key)
    if (meter === undefined) {
      // and nothing else of the services, which may be large
      const context = Context.make(Metric.MetricRegistry, registry)
      meter = new Meter(Context.add(context, Metric.CurrentMetricAttributes, attributes) as Context.Context<never>)
      all.set(key, meter)
    }
    return meter
  }

  // ------------------------------------------------------------------------
  // budgets
  // ------------------------------------------------------------------------

  addBudget(budget: BufferBudget): void {
    if (this.budgets.size === 0) {
      this.budgetSeries = [
        this.instruments.computed(Instrument.bufferUsed, {}, () => this.sum((budget) => Effect.runSync(budget.used))),
        this.instruments.computed(Instrument.bufferLimit, {}, () => this.sum((budget) => budget.limit))
      ]
    }
    this.budgets.set(budget, (this.budgets.get(budget) ?? 0) + 1)
  }

  removeBudget(budget: BufferBudget): void {
    const users = this.budgets.get(budget)! - 1
    if (users > 0) this.budgets.set(budget, users)
    else this.budgets.delete(budget)
    if (this.budgets.size === 0) for (const series of this.budgetSeries) series.remove()
  }

  private sum(of: (budget: BufferBudget) => number): number {
    let sum = 0
    for (const budget of this.budgets.keys()) sum += of(budget)
    return sum
  }

  // ------------------------------------------------------------------------
  // events
  // ------------------------------------------------------------------------

  event(event: Event, clock: Clock.Clock): void {
    switch (event._tag) {
      case "Connecting":
        return void this.connecting.set(event.id, clock.currentTimeMillisUnsafe())
      case "AttemptStarted":
        return this.instruments.update(Instrument.attemptsStarted, {})
      case "AttemptFailed":
        return this.attemptFailed(event)
      case "ConnectFailed":
        return this.connectFailed(event, clock)
      case "HandshakeStarted":
        return this.handshakeStarted(event, clock)
      case "HandshakeSucceeded":
        return this.handshakeEnded(event, clock)
      case "HandshakeFailed":
        return this.handshakeFailed(event, clock)
      case "Opened":
        return this.opened(event.connection, clock)
      case "TimedOut":
        return this.timedOut(event)
      case "Closed":
        return this.closed(event)
      case "Admitted":
        return this.admitted(event.connection)
      case "Paused":
      case "Resumed":
        return this.flowChanged(event)
      case "Failed":
        return this.failedWhileOpen(event)
      case "AcceptFailed":
      case "Rejected":
        return this.turnedAway(event)
    }
  }

  private attemptFailed({ attempt }: Opening<"AttemptFailed">): void {
    this.instruments.update(Instrument.attemptsFailed, { "error.type": Conventions.attemptErrorType(attempt) })
  }

  private connectFailed({ error, id }: Opening<"ConnectFailed">, clock: Clock.Clock): void {
    if (!this.connecting.has(id)) return
    const type = Conventions.errorType(error)
    this.connectEnded(id, clock, { "error.type": type })
    this.failed({ "byte_streams.side": "client" }, "connect", type)
  }

  private connectEnded(id: number, clock: Clock.Clock, attributes: Conventions.Attributes): void {
    const since = this.connecting.get(id)
    if (since === undefined) return
    this.connecting.delete(id)
    this.instruments.update(Instrument.connectDuration, attributes, elapsed(since, clock) / 1000)
  }

  private handshakeStarted({ id }: Opening<"HandshakeStarted">, clock: Clock.Clock): void {
    const alone = !this.connecting.has(id) && !this.live.has(id)
    this.handshakes.set(id, { since: clock.currentTimeMillisUnsafe(), alone })
  }

  private handshakeFailed(event: Opening<"HandshakeFailed">, clock: Clock.Clock): void {
    const alone = this.handshakes.get(event.id)?.alone
    this.handshakeEnded(event, clock)
    if (alone !== true) return
    const kind = Conventions.kindOf(event.side, Conventions.transportOf(event.info))
    this.failed(kind, "handshake", Conventions.errorType(event.error))
  }

  private handshakeEnded(
    event: Extract<OpeningEvent, { readonly _tag: "HandshakeSucceeded" | "HandshakeFailed" }>,
    clock: Clock.Clock
  ): void {
    const { id, info, side } = event
    const handshake = this.handshakes.get(id)
    if (handshake === undefined) return
    this.handshakes.delete(id)
    const kind = Conventions.kindOf(side, Conventions.transportOf(info))
    const result =
      event._tag === "HandshakeFailed"
        ? { "error.type": Conventions.errorType(event.error) }
        : Conventions.tlsVersionOf(info)
    this.instruments.update(
      Instrument.handshakeDuration,
      { ...kind, ...result },
      elapsed(handshake.since, clock) / 1000
    )
  }

  private opened(connection: ObservedConnection, clock: Clock.Clock): void {
    const { id, info, side } = connection
    const transport = Conventions.transportOf(info)
    this.connectEnded(id, clock, transport === undefined ? {} : { "network.transport": transport })
    const group = this.groupOf(side, info)
    const waiting = connection.snapshot().state === "waiting"
    const live = { connection, group, clock, since: clock.currentTimeMillisUnsafe(), waiting, error: undefined }
    this.live.set(id, live)
    group.open.add(live)
    this.instruments.update(Instrument.connectionsOpened, group.attributes)
  }

  private admitted({ id }: ObservedConnection): void {
    const live = this.live.get(id)
    if (live !== undefined) live.waiting = false
  }

  private flowChanged({ _tag, connection, direction, reason }: Open<"Paused" | "Resumed">): void {
    const live = this.live.get(connection.id)
    if (live === undefined) return
    // also where it is paused: the reason may have changed
    this.unpause(live, direction)
    if (_tag === "Paused") live.group.pauses[reason].begin(live)
  }

  private failedWhileOpen({ connection, error }: Open<"Failed">): void {
    const live = this.live.get(connection.id)
    if (live !== undefined) this.broken(live, Conventions.errorType(error))
  }

  private unpause(live: Live, direction: Direction): void {
    const { budget, peer, reader } = live.group.pauses
    if (direction === "out") return peer.end(live)
    reader.end(live)
    budget.end(live)
  }

  private timedOut({ connection, kind }: Open<"TimedOut">): void {
    const live = this.live.get(connection.id)
    if (live === undefined) return
    this.instruments.update(Instrument.timeouts, { ...live.group.attributes, "byte_streams.timeout.kind": kind })
    // a read that takes too long fails alone
    if (kind !== "Read") this.broken(live, `StreamTimeout.${kind}`)
  }

  private closed({ connection, outcome }: Open<"Closed">): void {
    const live = this.live.get(connection.id)
    if (live === undefined) return
    const { clock, group, since } = live
    this.live.delete(connection.id)
    group.open.delete(live)
    for (const reason of reasons) group.pauses[reason].end(live)
    const { bytesRead, bytesWritten } = connection.snapshot()
    group.received += bytesRead
    group.sent += bytesWritten
    if (outcome._tag === "TimedOut") this.broken(live, "CloseTimedOut")
    this.instruments.update(Instrument.connectionsClosed, {
      ...group.attributes,
      "byte_streams.close.outcome": outcome._tag
    })
    this.instruments.update(
      Instrument.connectionDuration,
      live.error === undefined ? group.attributes : { ...group.attributes, "error.type": live.error },
      elapsed(since, clock) / 1000
    )
  }

  private turnedAway(event: Extract<ServerEvent, { readonly _tag: "AcceptFailed" | "Rejected" }>): void {
    if (event._tag === "AcceptFailed") {
      return this.failed({ "byte_streams.side": "server" }, "accept", Conventions.acceptErrorType(event.failure))
    }
    this.instruments.update(Instrument.connectionsRejected, {
      ...Conventions.kindOf("server", Conventions.transportOf(event.info)),
      "byte_streams.reject.reason": event.reason
    })
  }

  /** A connection breaks once. */
  private broken(live: Live, type: string): void {
    if (live.error !== undefined) return
    live.error = type
    this.failed(live.group.attributes, "open", type)
  }

  private failed(
    attributes: Conventions.Attributes,
    phase: "connect" | "accept" | "handshake" | "open",
    type: string
  ): void {
    this.instruments.update(Instrument.connectionsFailed, {
      ...attributes,
      "byte_streams.phase": phase,
      "error.type": type
    })
  }

  // ------------------------------------------------------------------------
  // groups
  // ------------------------------------------------------------------------

  private groupOf(side: Conventions.Side, info: ConnectionInfo): Group {
    const transport = Conventions.transportOf(info)
    const key = `${side} ${transport}`
    let group = this.groups.get(key)
    if (group === undefined) {
      group = new Group(Conventions.kindOf(side, transport))
      this.groups.set(key, group)
      this.register(group, side)
    }
    return group
  }

  private register(group: Group, side: Conventions.Side): void {
    const { instruments } = this
    const { attributes } = group
    instruments.computed(Instrument.connectionsOpen, attributes, () => group.open.size)
    if (side === "server") instruments.computed(Instrument.connectionsWaiting, attributes, () => group.waiting)
    const towards = (direction: "receive" | "transmit") => ({ ...attributes, "network.io.direction": direction })
    instruments.computed(Instrument.networkIo, towards("receive"), () => group.totalReceived)
    instruments.computed(Instrument.networkIo, towards("transmit"), () => group.totalSent)
    for (const reason of reasons) {
      const pauses = group.pauses[reason]
      const held = { ...attributes, "byte_streams.pause.reason": reason }
      instruments.computed(Instrument.connectionsPaused, held, () => pauses.now)
      instruments.computed(Instrument.pausedTime, held, () => pauses.seconds)
    }
  }
}

const meters = new WeakMap<Metric.MetricRegistry, Map<string, Meter>>()
