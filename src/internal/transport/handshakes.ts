/** The TLS handshakes of a listener that are under way: those who are neither served nor counted yet. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ListenEvents } from "../../Network.ts"
import type { Transport } from "../../Transport.ts"
import * as Endpoint from "../base/endpoint.ts"
import { TlsFailed } from "../base/errors.ts"
import { accepting } from "../base/observing.ts"
import type { Secure } from "./tlsEngine.ts"

export class Handshakes {
  private readonly secure: Secure
  private readonly services: Context.Context<never>
  private readonly onTransport: (transport: Transport) => void
  private readonly events: ListenEvents
  private readonly max: number
  private readonly observed: ReturnType<typeof accepting>
  /** In the order in which they began. */
  private readonly underWay = new Map<Fiber.Fiber<void>, Transport>()

  /** Runs them in the context in which listening began. `max`: how many may be under way. */
  constructor(
    secure: Secure,
    services: Context.Context<never>,
    onTransport: (transport: Transport) => void,
    events: ListenEvents,
    max = Infinity
  ) {
    this.secure = secure
    this.services = services
    this.onTransport = onTransport
    this.events = events
    this.max = max
    this.observed = accepting(services)
  }

  /** Passes a connection on once its handshake is done. A failed one costs nobody else anything. */
  readonly begin = (transport: Transport): void => {
    const { underWay } = this
    // A handshake takes milliseconds, unless its client does not want to end it: the oldest is the least likely to be missed.
    if (underWay.size >= this.max) this.giveUp(...underWay.entries().next().value!)
    const handshake = Effect.runForkWith(this.services)(
      Effect.match(this.observed(this.secure(transport)), {
        onFailure: (error) => this.events.onHandshakeError?.(error, transport.info),
        onSuccess: this.onTransport
      })
    )
    underWay.set(handshake, transport)
    handshake.addObserver((exit) => {
      underWay.delete(handshake)
      // wherever it was given up
      if (Exit.isFailure(exit)) transport.abort()
    })
  }

  private giveUp(handshake: Fiber.Fiber<void>, { info }: Transport): void {
    this.underWay.delete(handshake)
    handshake.interruptUnsafe()
    const cause = new Error(`given up for a client that came later: maxHandshakes (${this.max}) were under way`)
    const peer = Endpoint.peerOf(info)
    this.events.onHandshakeError?.(new TlsFailed({ operation: "startServer", kind: "Handshake", peer, cause }), info)
  }

  /** Ends all of them: a client in the middle of a handshake was not accepted yet. */
  end(): void {
    for (const handshake of this.underWay.keys()) handshake.interruptUnsafe()
  }
}
