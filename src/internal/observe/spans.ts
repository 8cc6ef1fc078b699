/**
 * Spans of connections. All spans of one connection are in one trace: the one that came first is the parent of those that
 * follow, and `connect` is part of what the program does that connects.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { ConnectionEvent, Event, ObservedConnection, OpeningEvent, ServerEvent } from "../../Observer.ts"
import type { ConnectionInfo } from "../../Transport.ts"
import * as Defaults from "../base/defaults.ts"
import { peerOf } from "../base/endpoint.ts"
import { StreamTimeout } from "../base/errors.ts"
import * as Conventions from "./conventions.ts"

type Opening<Tag extends OpeningEvent["_tag"]> = OpeningEvent & { readonly _tag: Tag }
type Open<Tag extends ConnectionEvent["_tag"]> = Extract<ConnectionEvent, { readonly _tag: Tag }>
type OfServer<Tag extends ServerEvent["_tag"]> = Extract<ServerEvent, { readonly _tag: Tag }>

// ---------------------------------------------------------------------------
// a tracer
// ---------------------------------------------------------------------------

/** What has to be known to make spans outside of fibers. */
class Tracing {
  private readonly tracer: Tracer.Tracer
  private readonly clock: Clock.Clock
  private readonly timed: boolean
  private readonly sampled: boolean
  private readonly annotations: Readonly<Record<string, unknown>>
  private readonly links: ReadonlyArray<Tracer.SpanLink>

  constructor(services: Context.Context<never>) {
    this.tracer = Context.get(services, Tracer.Tracer)
    this.clock = Context.get(services, Clock.Clock)
    this.timed = Context.get(services, References.TracerTimingEnabled)
    const level = Context.get(services, References.CurrentTraceLevel)
    this.sampled = !LogLevel.isGreaterThan(Context.get(services, References.MinimumTraceLevel), level)
    this.annotations = Context.get(services, References.TracerSpanAnnotations)
    this.links = Context.get(services, References.TracerSpanLinks)
  }

  get now(): bigint {
    return this.timed ? this.clock.currentTimeNanosUnsafe() : 0n
  }

  span(
    name: string,
    kind: Tracer.SpanKind,
    parent: Tracer.AnySpan | undefined,
    attributes: Conventions.SpanAttributes
  ): Tracer.Span {
    const span = this.tracer.span({
      name: `byte_streams.${name}`,
      kind,
      parent: Option.fromUndefinedOr(parent),
      root: parent === undefined,
      sampled: this.sampled && parent?.sampled !== false,
      annotations: Context.empty(),
      links: this.links.slice(),
      startTime: this.now
    })
    describe(span, this.annotations)
    describe(span, attributes)
    return span
  }

  succeeded(span: Tracer.Span): void {
    span.end(this.now, Exit.void)
  }

  /** `undefined`: the program gave up. */
  failed(span: Tracer.Span, type: string, error: unknown): void {
    span.attribute("error.type", type)
    span.end(this.now, error === undefined ? interrupted : Exit.fail(error))
  }

  gaveUp(span: Tracer.Span): void {
    span.end(this.now, interrupted)
  }
}

const interrupted = Exit.failCause(Cause.interrupt())

const describe = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

/**
 * The span of the program whose fiber is running. Connecting and shutting down begin in the fiber that asked for it, where
 * an observer is told at once.
 */
const current = (): { readonly span: Tracer.AnySpan | undefined; readonly enabled: boolean } => {
  const fiber = Fiber.getCurrent()
  if (fiber === undefined) return { span: undefined, enabled: true }
  let span: Tracer.AnySpan | undefined = Option.getOrUndefined(Context.getOption(fiber.context, Tracer.ParentSpan))
  // a span that is not to be seen hands on its own parent
  while (span !== undefined && Context.get(span.annotations, Tracer.DisablePropagation)) {
    span = span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined
  }
  return { span, enabled: Context.get(fiber.context, References.TracerEnabled) }
}

// ---------------------------------------------------------------------------
// the spans of a connection
// ---------------------------------------------------------------------------

/** A connection from its first event to its last. */
class Traced {
  readonly id: number
  /** The parent of what follows. */
  first: Tracer.Span | undefined = undefined
  connect: Tracer.Span | undefined = undefined
  handshake: Tracer.Span | undefined = undefined
  connection: Tracer.Span | undefined = undefined
  /** By the address. */
  readonly attempts = new Map<string, Tracer.Span>()
  /** What has broken the connection. */
  failure: { readonly type: string; readonly error: unknown } | undefined = undefined
  private events = 0

  constructor(id: number) {
    this.id = id
  }

  event(name: string, now: bigint, attributes?: Conventions.SpanAttributes): void {
    if (++this.events > Defaults.maxSpanEvents) return
    this.connection?.event(`byte_streams.${name}`, now, attributes)
  }

  get dropped(): number {
    return Math.max(0, this.events - Defaults.maxSpanEvents)
  }
}

export class Spans {
  private readonly tracing: Tracing
  /** `undefined` for a connection of a program that wants no spans. */
  private readonly traced = new Map<number, Traced | undefined>()
  /** By the addresses of the server. A shutdown may be interrupted. */
  private readonly shutdowns = new WeakMap<object, Tracer.Span>()

  private constructor(services: Context.Context<never>) {
    this.tracing = new Tracing(services)
  }

  /** `undefined` where nobody would see them: the spans of Effect's own tracer go nowhere. */
  static of(services: Context.Context<never>): Spans | undefined {
    if (!Context.get(services, References.TracerEnabled)) return undefined
    return Context.get(services, Tracer.Tracer) === Tracer.nativeTracer ? undefined : new Spans(services)
  }

  /** The span of a connection that is open. */
  of({ id }: ObservedConnection): Tracer.Span | undefined {
    return this.traced.get(id)?.connection
  }

  event(event: Event): void {
    switch (event._tag) {
      case "Connecting":
        return this.connecting(event)
      case "AttemptStarted":
        return this.attemptStarted(event)
      case "AttemptFailed":
        return this.attemptFailed(event)
      case "ConnectFailed":
        return this.connectFailed(event)
      case "HandshakeStarted":
        return this.handshakeStarted(event)
      case "HandshakeSucceeded":
        return this.handshakeSucceeded(event)
      case "HandshakeFailed":
        return this.handshakeFailed(event)
      case "Opened":
        return this.opened(event.connection)
      case "Closed":
        return this.closed(event)
      case "Rejected":
        return void this.traced.delete(event.id)
      case "ShutdownStarted":
        return this.shutdownStarted(event)
      case "ShutdownEnded":
        return this.shutdownEnded(event)
      case "Listening":
      case "AcceptFailed":
        return
      default:
        return this.passing(event)
    }
  }

  // ------------------------------------------------------------------------
  // while it is opened
  // ------------------------------------------------------------------------

  private connecting({ id, target }: Opening<"Connecting">): void {
    const { enabled, span: parent } = current()
    if (!enabled) return void this.traced.set(id, undefined)
    const traced = this.begin(id)
    const attributes = { "byte_streams.connection.id": id, ...Conventions.targetAttributes(target) }
    traced.connect = this.tracing.span("connect", "client", parent, attributes)
    traced.first = traced.connect
  }

  private begin(id: number): Traced {
    const traced = new Traced(id)
    this.traced.set(id, traced)
    return traced
  }

  private attemptStarted({ address, id }: Opening<"AttemptStarted">): void {
    const traced = this.traced.get(id)
    if (traced?.connect === undefined || traced.connection !== undefined) return
    const before = traced.attempts.get(address)
    if (before !== undefined) this.tracing.gaveUp(before)
    const attributes = Conventions.attemptAttributes(address)
    traced.attempts.set(address, this.tracing.span("connect.attempt", "client", traced.connect, attributes))
  }

  private attemptFailed({ attempt, id }: Opening<"AttemptFailed">): void {
    const traced = this.traced.get(id)
    const span = traced?.attempts.get(attempt.address)
    if (span === undefined) return
    traced!.attempts.delete(attempt.address)
    const error = attempt.cause ?? new Error(`${attempt.address}: ${attempt.code ?? attempt.kind}`)
    this.tracing.failed(span, Conventions.attemptErrorType(attempt), error)
  }

  /** One attempt has led to a connection, and those beside it are given up. */
  private attempted(traced: Traced, info: ConnectionInfo | undefined): void {
    const { attempts } = traced
    const winner = info === undefined ? undefined : peerOf(info)
    for (const [address, span] of attempts) {
      if (address === winner || (winner !== undefined && attempts.size === 1)) this.tracing.succeeded(span)
      else this.tracing.gaveUp(span)
    }
    attempts.clear()
  }

  private connectFailed({ error, id }: Opening<"ConnectFailed">): void {
    const traced = this.traced.get(id)
    // a connection that was opened has an end of its own
    if (traced?.connection !== undefined) return
    this.traced.delete(id)
    if (traced?.connect === undefined) return
    this.attempted(traced, undefined)
    this.unfinished(traced)
    this.tracing.failed(traced.connect, Conventions.errorType(error), error)
  }

  private handshakeStarted({ id, info, side }: Opening<"HandshakeStarted">): void {
    let traced = this.traced.get(id)
    if (traced === undefined) {
      // a client's own is known already, unless it is not to be seen
      if (side === "client" || this.traced.has(id)) return
      traced = this.begin(id)
    }
    if (traced.connection === undefined) this.attempted(traced, info)
    this.unfinished(traced)
    const parent = traced.connection ?? traced.connect
    traced.handshake = this.tracing.span("handshake", side, parent, Conventions.connectionAttributes(id, info))
    traced.first ??= traced.handshake
  }

  /** A handshake whose end nobody tells is over where the next thing begins. */
  private unfinished(traced: Traced): void {
    if (traced.handshake !== undefined) this.tracing.gaveUp(traced.handshake)
    traced.handshake = undefined
  }

  private handshakeSucceeded({ id, info }: Opening<"HandshakeSucceeded">): void {
    const traced = this.traced.get(id)
    if (traced?.handshake === undefined) return
    describe(traced.handshake, Conventions.tlsAttributes(info))
    this.tracing.succeeded(traced.handshake)
    traced.handshake = undefined
  }

  private handshakeFailed({ error, id }: Opening<"HandshakeFailed">): void {
    const traced = this.traced.get(id)
    if (traced?.handshake === undefined) return
    this.tracing.failed(traced.handshake, Conventions.errorType(error), error)
    traced.handshake = undefined
    // the last event of a client of a server
    if (traced.connect === undefined && traced.connection === undefined) this.traced.delete(id)
  }

  // ------------------------------------------------------------------------
  // while it is open
  // ------------------------------------------------------------------------

  private opened({ id, info, side }: ObservedConnection): void {
    if (this.traced.has(id) && this.traced.get(id) === undefined) return
    const traced = this.traced.get(id) ?? this.begin(id)
    this.attempted(traced, info)
    this.unfinished(traced)
    if (traced.connect !== undefined) {
      describe(traced.connect, Conventions.peerAttributes(info))
      this.tracing.succeeded(traced.connect)
    }
    const attributes = Conventions.connectionAttributes(id, info)
    traced.connection = this.tracing.span("connection", side ?? "internal", traced.first, attributes)
  }

  private passing(event: Exclude<ConnectionEvent, { readonly _tag: "Opened" | "Closed" }>): void {
    const traced = this.traced.get(event.connection.id)
    if (traced === undefined) return
    const { now } = this.tracing
    switch (event._tag) {
      case "Paused":
        return traced.event("paused", now, {
          "network.io.direction": event.direction === "in" ? "receive" : "transmit",
          "byte_streams.pause.reason": event.reason
        })
      case "Resumed":
        return traced.event("resumed", now, {
          "network.io.direction": event.direction === "in" ? "receive" : "transmit",
          "byte_streams.pause.reason": event.reason
        })
      case "TimedOut": {
        const { duration, kind } = event
        traced.event("timed_out", now, { "byte_streams.timeout.kind": kind })
        if (kind === "Read") return
        const error = new StreamTimeout({ operation: "closed", kind, duration, peer: peerOf(event.connection.info) })
        traced.failure ??= { type: Conventions.errorType(error), error }
        return
      }
      case "Failed": {
        const { error } = event
        const type = Conventions.errorType(error)
        traced.failure ??= { type, error }
        return traced.event("failed", now, { "error.type": type })
      }
      case "Upgraded":
        describe(traced.connection!, Conventions.tlsAttributes(event.connection.info))
        return traced.event("upgraded", now, { "tls.established": event.connection.info.tls !== undefined })
      case "Admitted":
        return traced.event("admitted", now)
      case "Ended":
        return traced.event("ended", now)
      case "Closing":
        return traced.event("closing", now)
    }
  }

  private closed({ connection, outcome }: Open<"Closed">): void {
    const { id } = connection
    const traced = this.traced.get(id)
    this.traced.delete(id)
    if (traced?.connection === undefined) return
    this.unfinished(traced)
    const { connection: span, dropped } = traced
    const { bytesRead, bytesWritten } = connection.snapshot()
    describe(span, {
      "byte_streams.bytes.received": bytesRead,
      "byte_streams.bytes.sent": bytesWritten,
      "byte_streams.close.outcome": outcome._tag
    })
    if (dropped > 0) span.attribute("byte_streams.events.dropped", dropped)
    if (outcome._tag === "TimedOut") {
      traced.failure ??= {
        type: "CloseTimedOut",
        error: new Error(`the peer did not take ${outcome.unsent} bytes in time`)
      }
    }
    if (traced.failure === undefined) this.tracing.succeeded(span)
    else this.tracing.failed(span, traced.failure.type, traced.failure.error)
  }

  // ------------------------------------------------------------------------
  // servers
  // ------------------------------------------------------------------------

  private shutdownStarted({ addresses, gracePeriod }: OfServer<"ShutdownStarted">): void {
    const { enabled, span: parent } = current()
    if (!enabled) return
    const span = this.tracing.span("shutdown", "internal", parent, Conventions.serverAttributes(addresses[0]))
    span.attribute("byte_streams.shutdown.grace_period", Conventions.seconds(gracePeriod))
    this.shutdowns.set(addresses, span)
  }

  private shutdownEnded({ aborted, addresses, completed }: OfServer<"ShutdownEnded">): void {
    const span = this.shutdowns.get(addresses)
    if (span === undefined) return
    describe(span, { "byte_streams.shutdown.completed": completed, "byte_streams.shutdown.aborted": aborted })
    this.tracing.succeeded(span)
  }
}
