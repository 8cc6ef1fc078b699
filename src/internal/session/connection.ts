/** A connection is a session seen from the outside. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Closed, Connection } from "../../Connection.ts"
import type { ConnectionInfo, Transport } from "../../Transport.ts"
import type { TlsFailed, WriteError } from "../../StreamError.ts"
import type { StartTlsOptions } from "../../Tls.ts"
import { Pending } from "../base/pending.ts"
import { endWith, owned } from "./closing.ts"
import { Session } from "./session.ts"
import * as Upgrade from "./upgrade.ts"
import type { SessionOptions } from "./options.ts"
import { BufferReader } from "../read/reader.ts"
import { SessionWriter } from "../write/writer.ts"

export class SessionConnection implements Connection {
  readonly session: Session
  private readonly options: SessionOptions
  private readonly services: Context.Context<never>
  readonly reader: BufferReader
  readonly writer: SessionWriter

  /**
   * `services` are those of the program that opened the connection: timeouts go by its clock. They begin at once, unless
   * the connection is not in use yet.
   */
  constructor(transport: Transport, options: SessionOptions, services: Context.Context<never>, inUse = true) {
    this.options = options
    this.services = services
    this.session = new Session(transport, options, services)
    this.reader = new BufferReader(this.session.reads)
    this.writer = new SessionWriter(this.session)
    if (inUse) this.begin()
  }

  /** The connection is in use from now on. */
  begin(): void {
    const { timeouts } = this.options
    if (timeouts !== undefined) this.session.watch(timeouts, this.services)
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

  startTls(options: StartTlsOptions): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return Upgrade.startTls(this.session, options, this.renew)
  }

  get stopTls(): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return Upgrade.stopTls(this.session, this.renew)
  }

  /** The connection that goes on over another transport. */
  private get renew(): (transport: Transport) => SessionConnection {
    return (transport) => new SessionConnection(transport, this.options, this.services)
  }

  toJSON() {
    return { _id: "Connection", info: this.info, reader: this.reader.toJSON(), writer: this.writer.toJSON() }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

/** The scope owns the connection that is acquired: a scope that succeeds closes it, and one that fails aborts it. */
export const acquire = <E, R>(
  connection: Effect.Effect<SessionConnection, E, R>
): Effect.Effect<Connection, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const pending = new Set<() => void>()
    return Effect.flatMap(Effect.exit(restore(Effect.provideService(connection, Pending, pending))), (exit) => {
      if (Exit.isFailure(exit)) {
        for (const undo of pending) undo()
        return exit
      }
      return owned(exit.value)
    })
  })
