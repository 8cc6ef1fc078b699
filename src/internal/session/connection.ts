/** A connection is a session seen from the outside. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Closed, Connection } from "../../Connection.ts"
import type { ConnectionInfo, Transport } from "../../Transport.ts"
import type { ConnectFailed, TlsFailed, WriteError } from "../../StreamError.ts"
import type { StartTlsOptions } from "../../Tls.ts"
import { CurrentOpening, nextNumber, Opening, Teller } from "../base/observing.ts"
import { Pending } from "../base/pending.ts"
import { endWith, owned } from "./closing.ts"
import { Session } from "./session.ts"
import * as Upgrade from "./upgrade.ts"
import type { Origin } from "./observed.ts"
import type { SessionOptions } from "./options.ts"
import { Surroundings } from "./surroundings.ts"
import { BufferReader } from "../read/reader.ts"
import { SessionWriter } from "../write/writer.ts"

export class SessionConnection implements Connection {
  readonly session: Session
  private readonly options: SessionOptions
  private readonly surroundings: Surroundings
  readonly reader: BufferReader
  readonly writer: SessionWriter

  /**
   * `surroundings` are those of the program that opened the connection: timeouts go by its clock. They begin at once,
   * unless the connection waits for its place.
   */
  constructor(transport: Transport, options: SessionOptions, surroundings: Surroundings, origin: Origin) {
    this.options = options
    this.surroundings = surroundings
    this.session = new Session(transport, options, surroundings, origin)
    this.reader = new BufferReader(this.session.reads)
    this.writer = new SessionWriter(this.session)
    if (!this.session.waiting) this.begin()
  }

  /** The connection is in use from now on. */
  begin(): void {
    this.session.admit()
    const { timeouts } = this.options
    if (timeouts !== undefined) this.session.watch(timeouts, this.surroundings.services)
  }

  get info(): ConnectionInfo {
    return this.session.transport.info
  }
  get closed(): Effect.Effect<Closed> {
    return this.session.awaitClosed
  }
  get abort(): Effect.Effect<void> {
    return this.session.abort
  }

  /** Ends it as its owner ended: in good order, or by an abort. */
  endWith(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    return endWith(this.session, exit, this.options.onScopeFailure)
  }

  /**
   * It is over, and is not used any more, as far as is known. Its reader and its writer let go of it. The function of a
   * generator has them: it is a class of its own to the engine, which the collector of young objects takes for alive, with
   * all that can be reached from it.
   */
  letGo(): void {
    if (!this.session.endedInOrder) return
    this.reader.letGo()
    this.writer.letGo()
  }

  startTls(options: StartTlsOptions): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return Upgrade.startTls(this.session, options, this.renew)
  }

  get stopTls(): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return Upgrade.stopTls(this.session, this.renew)
  }

  /** The connection that goes on over another transport. */
  private get renew(): (transport: Transport) => SessionConnection {
    return (transport) => new SessionConnection(transport, this.options, this.surroundings, this.session)
  }

  toJSON() {
    return { _id: "Connection", info: this.info, reader: this.reader.toJSON(), writer: this.writer.toJSON() }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

/**
 * Makes a connection of the transport that is opened. The scope owns it: a scope that succeeds closes it, and one that
 * fails aborts it.
 */
export const acquire = <E, R>(
  transport: Effect.Effect<Transport, E, R>,
  make: (transport: Transport) => SessionConnection
): Effect.Effect<Connection, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const pending = new Set<() => void>()
    const opened = Effect.exit(restore(Effect.provideService(transport, Pending, pending)))
    return Effect.flatMap(opened, (exit): Effect.Effect<Connection, E, Scope.Scope> => {
      if (Exit.isFailure(exit)) {
        for (const undo of pending) undo()
        return Effect.failCause(exit.cause)
      }
      return owned(make(exit.value))
    })
  })

/** As `acquire`, of a client's connection, which is observed from its first attempt on. */
export const acquireClient = <E extends ConnectFailed | TlsFailed, R>(
  services: Context.Context<never>,
  target: () => string,
  transport: Effect.Effect<Transport, E, R>,
  options: SessionOptions
): Effect.Effect<Connection, E, R | Scope.Scope> => {
  const teller = Teller.of(services)
  if (teller === undefined) {
    return acquire(
      transport,
      (transport) => new SessionConnection(transport, options, new Surroundings(services), client)
    )
  }
  return Effect.uninterruptibleMask((restore) => {
    const opening = new Opening(teller, nextNumber())
    const label = target()
    const origin = { side: "client", opening } as const
    let opened = false
    const acquired = acquire(Effect.provideService(transport, CurrentOpening, opening), (transport) => {
      opened = true
      return new SessionConnection(transport, options, new Surroundings(services), origin)
    })
    opening.connecting(label)
    return Effect.onExit(restore(acquired), (exit) => {
      // an interruption may come behind it
      if (!opened) opening.connectFailed(label, Option.getOrUndefined(Exit.findErrorOption(exit)))
      return Effect.void
    })
  })
}

const client = { side: "client" } as const
