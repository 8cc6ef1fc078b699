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
import type { ConnectAttempt, TlsFailed } from "./errors.ts"

type Observer = PublicObserver.Observer

export const Observer: Context.Reference<Observer | undefined> = Context.Reference("effect-byte-streams/Observer", {
  defaultValue: (): Observer | undefined => undefined
})

let connections = 0

/** The number of another connection. */
export const nextNumber = (): number => ++connections

/** The numbers of transports that had one before they had a session. */
const numbers = new WeakMap<Transport, number>()

/** The number of the connection that a transport belongs to. */
export const numberOf = (transport: Transport): number => numbers.get(transport) ?? nextNumber()

/** Notes that a connection was known before there was this transport. */
const number = (transport: Transport, id: number): void => void numbers.set(transport, id)

/** Tells an observer, whatever that does. */
export class Teller {
  readonly observer: Observer
  private readonly services: Context.Context<never>
  private complained = false

  private constructor(observer: Observer, services: Context.Context<never>) {
    this.observer = observer
    this.services = services
  }

  /** `undefined` where nobody observes. */
  static of(services: Context.Context<never>): Teller | undefined {
    const observer = Context.get(services, Observer)
    return observer === undefined ? undefined : new Teller(observer, services)
  }

  event(event: PublicObserver.Event): void {
    try {
      this.observer.onEvent?.(event)
    } catch (error) {
      this.complain(error)
    }
  }

  bytes(connection: PublicObserver.ObservedConnection, direction: PublicObserver.Direction, bytes: Uint8Array): void {
    try {
      this.observer.onBytes?.(connection, direction, bytes)
    } catch (error) {
      this.complain(error)
    }
  }

  readStarted(connection: PublicObserver.ObservedConnection, operation: string): void {
    try {
      this.observer.onReadStarted?.(connection, operation)
    } catch (error) {
      this.complain(error)
    }
  }

  readEnded(connection: PublicObserver.ObservedConnection, operation: string): void {
    try {
      this.observer.onReadEnded?.(connection, operation)
    } catch (error) {
      this.complain(error)
    }
  }

  /** What the handler of a connection has in its context. */
  handlerContext(connection: PublicObserver.ObservedConnection): Context.Context<never> {
    try {
      return this.observer.handlerContext?.(connection) ?? Context.empty()
    } catch (error) {
      this.complain(error)
      return Context.empty()
    }
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

/** A connection that is none yet. */
export class Opening {
  readonly id: number
  private readonly teller: Teller

  constructor(teller: Teller, id: number) {
    this.teller = teller
    this.id = id
  }

  connecting(target: string): void {
    this.teller.event({ _tag: "Connecting", id: this.id, target })
  }

  attemptStarted(address: string): void {
    this.teller.event({ _tag: "AttemptStarted", id: this.id, address })
  }

  attemptFailed(attempt: ConnectAttempt): void {
    this.teller.event({ _tag: "AttemptFailed", id: this.id, attempt })
  }

  connectFailed(target: string, error: (PublicObserver.Event & { readonly _tag: "ConnectFailed" })["error"]): void {
    this.teller.event({ _tag: "ConnectFailed", id: this.id, target, error })
  }

  handshakeStarted(side: "client" | "server", info: ConnectionInfo): void {
    this.teller.event({ _tag: "HandshakeStarted", id: this.id, side, info })
  }

  handshakeSucceeded(side: "client" | "server", info: ConnectionInfo): void {
    this.teller.event({ _tag: "HandshakeSucceeded", id: this.id, side, info })
  }

  handshakeFailed(side: "client" | "server", info: ConnectionInfo, error: TlsFailed | undefined): void {
    this.teller.event({ _tag: "HandshakeFailed", id: this.id, side, info, error })
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
  const teller = Teller.of(services)
  if (teller === undefined) return (handshake) => handshake
  return (handshake) => {
    const opening = new Opening(teller, nextNumber())
    return Effect.map(Effect.provideService(handshake, CurrentOpening, opening), (transport) => {
      number(transport, opening.id)
      return transport
    })
  }
}
