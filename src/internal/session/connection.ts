/** A connection is a session seen from the outside. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Closed, Connection } from "../../Connection.ts"
import type { ConnectionInfo, Transport } from "../../Transport.ts"
import type { WriteError } from "../../StreamError.ts"
import { ClosedStream, TlsFailed } from "../base/errors.ts"
import type { StartTlsOptions } from "../../Tls.ts"
import { Opened } from "../base/pending.ts"
import { Session } from "./session.ts"
import type { SessionOptions } from "./options.ts"
import { BufferReader } from "../read/reader.ts"
import { SessionWriter } from "../write/writer.ts"
import { checkStartTls } from "../base/tlsOptions.ts"
import { Flush } from "../write/writes.ts"

export class SessionConnection implements Connection {
  readonly session: Session
  private readonly options: SessionOptions
  private readonly services: Context.Context<never>
  readonly reader: BufferReader
  readonly writer: SessionWriter

  /**
   * `services` are those of whoever opened the connection: its clock is the one that timeouts go by. They begin at once,
   * unless the connection is not in use yet.
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

  /**
   * Ends it as whatever owns it ended, a handler or a scope: in good order, or by an abort. Where a close has begun, that
   * is waited for instead.
   */
  endWith(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    return Exit.isSuccess(exit) || this.options.onScopeFailure === "flush" || this.session.endedHere
      ? this.writer.close
      : this.abort
  }

  startTls(options: StartTlsOptions): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    return Effect.suspend(() => {
      // before anything happens
      checkStartTls("startTls", options)
      const { transport } = this.session
      const startTls = transport.startTls?.bind(transport)
      if (startTls === undefined) return unsupported("startTls")
      return this.handOver("startTls", (leftover) => {
        if (leftover.length > 0 && options.leftover !== "feedTls") {
          return Effect.fail(
            new TlsFailed({ operation: "startTls", kind: "InjectedPlaintext", peer: this.session.peer })
          )
        }
        return Effect.map(startTls(options, leftover), (transport) => ({ transport, leftover: () => [] }))
      })
    })
  }

  get stopTls(): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    const { transport } = this.session
    const stopTls = transport.stopTls?.bind(transport)
    if (stopTls === undefined) return unsupported("stopTls")
    return this.handOver("stopTls", (leftover) =>
      Effect.map(stopTls(), (stopped) => ({
        transport: stopped.transport,
        leftover: () => [...leftover, ...stopped.leftover()]
      }))
    )
  }

  /** Gives the transport to a new connection, behind everything that was written. */
  private handOver(
    operation: string,
    change: (leftover: ReadonlyArray<Uint8Array>) => Effect.Effect<Changed, TlsFailed>
  ): Effect.Effect<Connection, TlsFailed | WriteError, Scope.Scope> {
    const { session } = this
    const { writes } = session
    // who closes or aborts this handle meanwhile gives up the change
    const givenUp = Effect.flatMap(session.awaitOutcome, () =>
      Effect.fail(new ClosedStream({ operation, reason: "Aborted" }))
    )
    const flush = new Flush(writes, operation)
    const begin = (restore: Restore): Effect.Effect<Changed, TlsFailed | WriteError> =>
      Effect.suspend(() => {
        // also what others wrote while the flush was waited for; and nobody can write between this and what follows
        if (writes.buffered > 0 || writes.ending !== undefined || writes.broken !== undefined) {
          return Effect.flatMap(restore(flush), () =>
            writes.ending === "Eof" ? Effect.fail(new ClosedStream({ operation, reason: "Eof" })) : begin(restore)
          )
        }
        // from here on there is no way back
        const changing = Effect.raceFirst(change(session.detach()), givenUp)
        return Effect.onExit(restore(changing), (exit) => (Exit.isSuccess(exit) ? Effect.void : session.abort))
      })
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(begin(restore), ({ leftover, transport }) => {
        const connection = new SessionConnection(transport, this.options, this.services)
        session.succeed(connection.session)
        for (const bytes of leftover()) connection.session.onData(bytes)
        return owned(connection)
      })
    )
  }

  toJSON() {
    return { _id: "Connection", info: this.info, reader: this.reader.toJSON(), writer: this.writer.toJSON() }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What a change of the transport comes to: another one, and the bytes that come before all that it delivers. */
interface Changed {
  readonly transport: Transport
  /** To be asked once somebody is attached to the transport. */
  readonly leftover: () => ReadonlyArray<Uint8Array>
}

const unsupported = (operation: string): Effect.Effect<never, TlsFailed> =>
  Effect.fail(new TlsFailed({ operation, kind: "Unsupported" }))

/** The scope owns what is acquired: it closes it when it succeeds, and aborts it when it fails. */
export const acquire = <E, R>(
  connection: Effect.Effect<SessionConnection, E, R>
): Effect.Effect<Connection, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const opened = new Set<() => void>()
    return Effect.flatMap(Effect.exit(restore(Effect.provideService(connection, Opened, opened))), (exit) => {
      if (Exit.isFailure(exit)) {
        for (const undo of opened) undo()
        return exit
      }
      return owned(exit.value)
    })
  })

const owned = (connection: SessionConnection): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.as(
    Effect.addFinalizer((exit) => connection.endWith(exit)),
    connection
  )
