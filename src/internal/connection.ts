/** A connection is a session seen from the outside. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Closed, Connection } from "../Connection.ts"
import type { ConnectionInfo, Transport } from "../Transport.ts"
import type { WriteError } from "../StreamError.ts"
import { TlsFailed } from "./errors.ts"
import type { StartTlsOptions } from "../Tls.ts"
import { Opened } from "./opened.ts"
import { Session } from "./session.ts"
import type { SessionOptions } from "./sessionOptions.ts"
import { BufferReader } from "./streamReader.ts"
import { SessionWriter } from "./streamWriter.ts"

export class SessionConnection implements Connection {
  readonly session: Session
  private readonly options: SessionOptions
  private readonly services: Context.Context<never>
  readonly reader: BufferReader
  readonly writer: SessionWriter

  constructor(transport: Transport, options: SessionOptions, services: Context.Context<never>) {
    this.options = options
    this.services = services
    this.session = new Session(transport, options, services)
    this.reader = new BufferReader(this.session.reads)
    this.writer = new SessionWriter(this.session)
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

  startTls(options: StartTlsOptions): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return this.handOver((transport, leftover) => {
      if (transport.startTls === undefined) return unsupported
      if (leftover.length > 0 && options.leftover !== "feedTls") {
        return Effect.fail(new TlsFailed({ kind: "InjectedPlaintext" }))
      }
      return Effect.map(transport.startTls(options, leftover), (transport) => ({ transport, leftover: [] }))
    })
  }

  get stopTls(): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return this.handOver((transport, leftover) =>
      transport.stopTls === undefined
        ? unsupported
        : Effect.map(transport.stopTls(), (stopped) => ({
            transport: stopped.transport,
            leftover: [...leftover, ...stopped.leftover]
          }))
    )
  }

  /** Gives the transport to a new connection, behind everything that was written. */
  private handOver(
    change: (
      transport: Transport,
      leftover: ReadonlyArray<Uint8Array>
    ) => Effect.Effect<{ readonly transport: Transport; readonly leftover: ReadonlyArray<Uint8Array> }, TlsFailed>
  ): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    const { session } = this
    const changed = Effect.suspend(() => change(session.transport, session.detach())).pipe(
      Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : session.abort)),
      Effect.map(({ leftover, transport }) => {
        const connection = new SessionConnection(transport, this.options, this.services)
        session.succeed(connection.session)
        for (const bytes of leftover) connection.session.onData(bytes)
        return connection
      })
    )
    return Effect.andThen(this.writer.flush, acquire(changed, this.options))
  }

  toJSON() {
    return { _id: "Connection", info: this.info, reader: this.reader.toJSON(), writer: this.writer.toJSON() }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

const unsupported = Effect.fail(new TlsFailed({ kind: "Unsupported" }))

/** The scope owns what is acquired: it closes it when it succeeds, and aborts it when it fails. */
export const acquire = <E, R>(
  connection: Effect.Effect<SessionConnection, E, R>,
  options: SessionOptions
): Effect.Effect<Connection, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const opened = new Set<() => void>()
    return Effect.flatMap(Effect.exit(restore(Effect.provideService(connection, Opened, opened))), (exit) => {
      if (Exit.isFailure(exit)) {
        for (const undo of opened) undo()
        return exit
      }
      const acquired = exit.value
      return Effect.as(
        Effect.addFinalizer((exit) =>
          Exit.isSuccess(exit) || options.onScopeFailure === "flush" ? acquired.writer.close : acquired.abort
        ),
        acquired
      )
    })
  })
