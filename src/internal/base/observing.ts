/**
 * How an observer is found, and told. Whatever connects, listens or is a session asks once, when it begins, and keeps what
 * it finds: `undefined`, most of the time.
 *
 * A connection has its number from where it begins: where it is dialled, where a handshake is made for it, or where it has
 * a session. Those that come later find it by the transport.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as PublicObserver from "../../Observer.ts"
import type { ConnectionInfo, Transport } from "../../Transport.ts"
import { wrongType } from "./argument.ts"
import type { ConnectAttempt, TlsFailed } from "./errors.ts"
import { partsOf } from "./mergedObserver.ts"
import { tellLater, tellNow } from "./othersWait.ts"

type Observer = PublicObserver.Observer

export const Observer: Context.Reference<Observer | undefined> = Context.Reference("effect-byte-streams/Observer", {
  defaultValue: (): Observer | undefined => undefined
})

/** Whether there is an observer. */
export const isObserved = (services: Context.Context<never>): boolean => Context.get(services, Observer) !== undefined

let connections = 0

/** The number of another connection. */
export const nextNumber = (): number => ++connections

/** What transports were before they had a session, where that was observed. */
const openings = new WeakMap<Transport, Opening>()

/** How the connection was opened that a transport belongs to, if that was observed. */
export const openingOf = (transport: Transport): Opening | undefined => openings.get(transport)

/** The number of the connection that a transport belongs to. */
export const numberOf = (transport: Transport): number => openingOf(transport)?.id ?? nextNumber()

/** Tells an observer, whatever that does. */
export class Teller {
  readonly observer: Observer
  private readonly services: Context.Context<never>
  private complained = false

  private constructor(observer: Observer, services: Context.Context<never>) {
    this.observer = observer
    this.services = services
  }

  /** `undefined` where nobody observes. `known` is one that may have complained already of the same connection. */
  static of(services: Context.Context<never>, known?: Teller): Teller | undefined {
    const observer = Context.get(services, Observer)
    if (observer === undefined) return undefined
    return known?.observer === observer ? known : new Teller(observer, services)
  }

  event(event: PublicObserver.Event): void {
    if (tellNow()) this.tellEvent(event)
    else tellLater(() => this.tellEvent(event))
  }

  private tellEvent(event: PublicObserver.Event): void {
    try {
      this.answered(this.observer.onEvent?.(event))
    } catch (error) {
      this.complain(error)
    }
  }

  bytes(connection: PublicObserver.ObservedConnection, direction: PublicObserver.Direction, bytes: Uint8Array): void {
    if (tellNow()) return this.tellBytes(connection, direction, bytes)
    // their memory may be another's by then
    const copy = bytes.slice()
    tellLater(() => this.tellBytes(connection, direction, copy))
  }

  private tellBytes(
    connection: PublicObserver.ObservedConnection,
    direction: PublicObserver.Direction,
    bytes: Uint8Array
  ): void {
    try {
      this.answered(this.observer.onBytes?.(connection, direction, bytes))
    } catch (error) {
      this.complain(error)
    }
  }

  readStarted(connection: PublicObserver.ObservedConnection, operation: string): void {
    this.tellOfRead("onReadStarted", connection, operation)
  }

  readEnded(connection: PublicObserver.ObservedConnection, operation: string): void {
    this.tellOfRead("onReadEnded", connection, operation)
  }

  private tellOfRead(
    name: "onReadStarted" | "onReadEnded",
    connection: PublicObserver.ObservedConnection,
    operation: string
  ): void {
    if (!tellNow()) return tellLater(() => this.tellRead(name, connection, operation))
    this.tellRead(name, connection, operation)
  }

  private tellRead(
    name: "onReadStarted" | "onReadEnded",
    connection: PublicObserver.ObservedConnection,
    operation: string
  ): void {
    try {
      this.answered(this.observer[name]?.(connection, operation))
    } catch (error) {
      this.complain(error)
    }
  }

  /** What the handler of a connection has in its context, beside what is in `given`. */
  handlerContext(connection: PublicObserver.ObservedConnection, given: Context.Context<never>): Context.Context<never> {
    let context = Context.empty()
    for (const observer of partsOf(this.observer)) {
      try {
        // each adds to what those before it have made
        const more: unknown = observer.handlerContext?.(connection, Context.merge(given, context))
        if (more === undefined) continue
        this.answered(more)
        if (!Context.isContext(more)) throw wrongType("Observer", "what handlerContext returns", "a Context", more)
        context = Context.merge(context, more)
      } catch (error) {
        this.complain(error)
      }
    }
    return context
  }

  /** A member that is an async function throws later, where nobody else would hear of it. */
  private answered(answer: unknown): void {
    if (answer instanceof Promise) answer.catch((error) => this.complain(error))
  }

  private complain(error: unknown): void {
    if (this.complained) return
    this.complained = true
    // not here: a logger may do anything
    queueMicrotask(() => Effect.runForkWith(this.services)(Effect.logError("an observer has failed", error)))
  }
}

// ---------------------------------------------------------------------------
// while a connection is opened
// ---------------------------------------------------------------------------

/** A connection that is none yet, or that is being upgraded. */
export class Opening {
  readonly id: number
  readonly teller: Teller
  /** The handshake that has begun and not ended. */
  private handshake: { readonly side: "client" | "server"; readonly info: ConnectionInfo } | undefined = undefined
  private over = false

  constructor(teller: Teller, id: number) {
    this.teller = teller
    this.id = id
  }

  private tell(event: PublicObserver.OpeningEvent): void {
    if (!this.over) this.teller.event(event)
  }

  /** The connection ends: a handshake that goes on is given up with it, and nothing is told behind that. */
  end(): void {
    const { handshake } = this
    if (handshake !== undefined) this.handshakeFailed(handshake.side, handshake.info, undefined)
    this.over = true
  }

  connecting(target: string): void {
    this.tell({ _tag: "Connecting", id: this.id, target })
  }

  attemptStarted(address: string): void {
    this.tell({ _tag: "AttemptStarted", id: this.id, address })
  }

  attemptFailed(attempt: ConnectAttempt): void {
    this.tell({ _tag: "AttemptFailed", id: this.id, attempt })
  }

  connectFailed(target: string, error: (PublicObserver.Event & { readonly _tag: "ConnectFailed" })["error"]): void {
    this.tell({ _tag: "ConnectFailed", id: this.id, target, error })
  }

  handshakeStarted(side: "client" | "server", info: ConnectionInfo): void {
    this.handshake = { side, info }
    this.tell({ _tag: "HandshakeStarted", id: this.id, side, info })
  }

  handshakeSucceeded(side: "client" | "server", info: ConnectionInfo): void {
    this.handshake = undefined
    this.tell({ _tag: "HandshakeSucceeded", id: this.id, side, info })
  }

  handshakeFailed(side: "client" | "server", info: ConnectionInfo, error: TlsFailed | undefined): void {
    this.handshake = undefined
    this.tell({ _tag: "HandshakeFailed", id: this.id, side, info, error })
  }
}

/** The connection that is being opened, for whatever takes part in that. */
export const CurrentOpening: Context.Reference<Opening | undefined> = Context.Reference(
  "effect-byte-streams/internal/CurrentOpening",
  { defaultValue: (): Opening | undefined => undefined }
)

/**
 * Makes a handshake for a connection that was accepted and is none yet. The transport that comes of it has the number that
 * the events of the handshake had.
 */
export const accepting = (
  services: Context.Context<never>
): (<E>(handshake: Effect.Effect<Transport, E>) => Effect.Effect<Transport, E>) => {
  if (Teller.of(services) === undefined) return (handshake) => handshake
  return (handshake) => {
    // each complains for itself
    const opening = new Opening(Teller.of(services)!, nextNumber())
    return Effect.map(Effect.provideService(handshake, CurrentOpening, opening), (transport) => {
      openings.set(transport, opening)
      return transport
    })
  }
}
