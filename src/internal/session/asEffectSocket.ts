/**
 * A connection as one of Effect's own sockets: what all of them share, whoever dials and whoever serves.
 *
 * A socket's reader tells every end as a failure, and the socket's writer tells none that the reader tells. An upgrade
 * takes another connection for both.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Connection } from "../../Connection.ts"
import type { ReadError, WriteError } from "../../StreamError.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import { abortKey } from "../base/aborting.ts"
import { socketCloseTimeout } from "../base/defaults.ts"
import { ClosedStream, type ConnectionLost, type StreamTimeout } from "../base/errors.ts"
import { BufferReader } from "../read/reader.ts"
import { SessionConnection } from "./connection.ts"
import { startTls, upgradeFailed } from "./socketUpgrade.ts"

/** How such a socket differs from others. */
export interface Manner {
  /** Whether a write on a connection that is over succeeds all the same: the reader tells. */
  readonly dropsWrites: boolean
  /** Whether a loss is a close as well. Of a close it is only said how it came about, as text. */
  readonly lossCloses: boolean
  /** The role in the handshake of an upgrade, where it is known who dialled. */
  readonly side: "client" | "server" | undefined
  /** What the failure of a scope means: an output whose writer has failed is not complete. */
  readonly onScopeFailure: "abort" | "flush"
}

/** A close in good order, as Effect's sockets say it. */
const cleanClose = 1000
/** An end that nobody has agreed on. */
const abnormalClose = 1006

/** Whether a connection was given up for another one, whatever has become of that. */
const isDetached = (connection: Connection): boolean =>
  connection instanceof SessionConnection && connection.session.detached

const closeError = (code: number, closeReason?: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })

type Pull = Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>
type Chunk = Uint8Array | string | Socket.CloseEvent

export class SocketLink {
  connection: Connection
  private readonly manner: Manner
  /** The event by which this side has closed the connection. */
  private event: Socket.CloseEvent | undefined = undefined
  /** Opens once the upgrade that is under way has ended. */
  private upgrading: Latch.Latch | undefined = undefined
  /** Why there is no connection after an upgrade. */
  private failure: Socket.SocketError | undefined = undefined
  /** Why the first write that was dropped could not be sent. */
  private unsent: ConnectionLost | StreamTimeout | undefined = undefined
  private readonly readings = new Set<Reading>()

  constructor(connection: Connection, manner: Manner) {
    this.connection = connection
    this.manner = manner
  }

  // ------------------------------------------------------------------------
  // reading
  // ------------------------------------------------------------------------

  /** A reader until its scope ends. Connections that come of an upgrade end with `scope`. */
  reader(scope: Scope.Scope): Effect.Effect<Socket.Reader<Uint8Array>, never, Scope.Scope> {
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const reading = new Reading(this)
          this.readings.add(reading)
          return reading
        }),
        (reading) =>
          Effect.sync(() => {
            this.readings.delete(reading)
            reading.end()
          })
      ),
      (reading) => ({ pull: reading.pull, upgrade: (options) => this.upgrade(reading, options ?? {}, scope) })
    )
  }

  /**
   * Fails where nothing can be read any more, as a pull would. Acquiring the reader of a socket is what connecting is: who
   * tries again would be told that it worked, for ever.
   */
  get isThere(): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      const { reader } = this.connection
      const over = reader instanceof BufferReader ? Effect.sync(() => reader.buffer.isOver) : reader.atEof
      return Effect.flatMap(over, (over) =>
        over
          ? Effect.flatMap(
              Effect.mapError(reader.peek(1), (error) => this.told(error)),
              () => Effect.fail(this.closed)
            )
          : Effect.void
      )
    })
  }

  /** What a pull of a connection failed with, as the socket says it; or what it goes on with after an upgrade. */
  afterPull(error: ReadError | Cause.Done, connection: Connection | undefined, again: Pull): Pull {
    return this.afterUpgrade(error, connection, again) ?? Effect.fail(this.told(error))
  }

  /**
   * A pull that tells of writes that were dropped. Where the output alone broke, the peer may still speak, and is heard. It
   * may also keep silent for ever.
   */
  bounded(pull: Pull): Pull {
    const { unsent } = this
    if (unsent === undefined) return pull
    return Effect.timeoutOrElse(pull, {
      duration: socketCloseTimeout,
      orElse: () => Effect.fail(this.told(unsent))
    })
  }

  /** The end, whichever side has brought it about in good order, is a close. */
  private told(cause: ReadError | WriteError | Cause.Done): Socket.SocketError {
    if (this.failure !== undefined) return this.failure
    if (Cause.isDone(cause) || (cause instanceof ClosedStream && cause.reason === "Closed")) return this.closed
    if (this.manner.lossCloses && cause._tag !== "StreamBusy") return closeError(abnormalClose, cause.message)
    return new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })
  }

  private get closed(): Socket.SocketError {
    return this.event === undefined ? closeError(cleanClose) : closeError(this.event.code, this.event.reason)
  }

  /** What goes on over another connection, where the one that was used has become that, or is about to. */
  private afterUpgrade<A>(
    error: ReadError | WriteError | Cause.Done,
    connection: Connection | undefined,
    again: Effect.Effect<A, Socket.SocketError>
  ): Effect.Effect<A, Socket.SocketError> | undefined {
    if (!(error instanceof ClosedStream) || error.reason !== "Upgraded") return undefined
    if (this.upgrading !== undefined) return Effect.andThen(this.upgrading.await, again)
    // it may be over by the time at which a slow fiber hears of it
    return this.connection === connection ? undefined : again
  }

  // ------------------------------------------------------------------------
  // writing
  // ------------------------------------------------------------------------

  write(chunk: Chunk): Effect.Effect<void, Socket.SocketError> {
    return Socket.isCloseEvent(chunk) ? this.close(chunk) : this.send((writer) => writer.write(chunk))
  }

  writeAll(chunks: NonEmptyReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return this.send((writer) => writer.writeAll(chunks))
  }

  private send(
    write: (writer: StreamWriter) => Effect.Effect<void, WriteError>
  ): Effect.Effect<void, Socket.SocketError> {
    const attempt: Effect.Effect<void, Socket.SocketError> = Effect.suspend(() => {
      const { connection } = this
      return Effect.catch(write(connection.writer), (cause) => {
        const upgraded = this.afterUpgrade(cause, connection, attempt)
        if (upgraded !== undefined) return upgraded
        // of an output that this side has ended the reader tells nothing
        const ended = cause instanceof ClosedStream && cause.reason === "Eof"
        return this.manner.dropsWrites && !ended
          ? this.drop(cause)
          : Effect.fail(this.failure ?? new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) }))
      })
    })
    return attempt
  }

  private drop(cause: WriteError): Effect.Effect<void> {
    if (this.unsent === undefined && !(cause instanceof ClosedStream)) {
      this.unsent = cause
      for (const reading of this.readings) reading.pullAgain()
    }
    return Effect.void
  }

  private close(event: Socket.CloseEvent): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.event ??= event
      return Effect.asVoid(this.connection.writer.close)
    })
  }

  get abort(): Effect.Effect<void> {
    return Effect.suspend(() => this.connection.abort)
  }

  /** Ends the connection as its owner ended. */
  endWith(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    const { connection } = this
    return connection instanceof SessionConnection ? connection.endWith(exit) : connection.writer.close
  }

  /** Ends the output. The end is under way from here on; whether the peer takes it is not waited for. */
  halfClose(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (Exit.isFailure(exit) && this.manner.onScopeFailure === "abort") return Effect.void
    return Effect.suspend(() =>
      Effect.asVoid(Effect.forkDetach(Effect.ignore(this.connection.writer.writeEof), { startImmediately: true }))
    )
  }

  // ------------------------------------------------------------------------
  // upgrading
  // ------------------------------------------------------------------------

  private upgrade(
    reading: Reading,
    options: Socket.TlsUpgradeOptions,
    scope: Scope.Scope
  ): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      const { side } = this.manner
      if (side === undefined) return Socket.SocketUpgradeError.unsupported()
      const upgrading = Latch.makeUnsafe(false)
      const begin = Effect.suspend(() => {
        if (reading.over || this.upgrading !== undefined)
          return upgradeFailed(new Error("the socket is being upgraded, or over"))
        this.upgrading = upgrading
        return Scope.provide(startTls(this.connection, side, options), scope)
      })
      // around the beginning as well: what has begun must end, at whatever step it is interrupted
      return Effect.asVoid(Effect.onExit(begin, (exit) => Effect.sync(() => this.upgraded(upgrading, exit))))
    })
  }

  private upgraded(upgrading: Latch.Latch, exit: Exit.Exit<Connection, Socket.SocketError>): void {
    if (this.upgrading !== upgrading) return
    this.upgrading = undefined
    if (Exit.isSuccess(exit)) this.connection = exit.value
    else if (isDetached(this.connection)) {
      const error = Cause.findErrorOption(exit.cause)
      this.failure = error._tag === "Some" ? error.value : closeError(abnormalClose)
    }
    upgrading.openUnsafe()
  }
}

/** One acquisition of a socket's reader. */
class Reading {
  over = false
  private readonly link: SocketLink
  /** The connection that is read, and its pull. */
  private connection: Connection | undefined = undefined
  private operation: Connection["reader"]["pull"] | undefined = undefined
  private mapped: Pull = Effect.never
  /** Whether the pull that waits is to begin anew. */
  private again = false

  constructor(link: SocketLink) {
    this.link = link
  }

  readonly pull: Pull = Effect.suspend(() => {
    if (this.over) return Effect.fail(closeError(abnormalClose))
    const { link } = this
    const { connection } = link
    if (connection !== this.connection) {
      this.connection = connection
      this.operation = connection.reader.pull
      this.mapped = Effect.catch(this.operation, (error) => this.failed(error))
    }
    return link.bounded(this.mapped)
  })

  private failed(error: ReadError | Cause.Done): Pull {
    if (this.over) return Effect.fail(closeError(abnormalClose))
    if (!this.again) return this.link.afterPull(error, this.connection, this.pull)
    this.again = false
    return this.pull
  }

  /** A pull that waits when its reader's scope ends would wait for ever. */
  end(): void {
    this.over = true
    this.wake()
  }

  /** What has changed concerns a pull that waits as well. */
  pullAgain(): void {
    this.again = true
    if (!this.wake()) this.again = false
  }

  /** Fails the pull that waits, if one does. What else waits is none of this one's. */
  private wake(): boolean {
    const { connection, operation } = this
    const reader = connection?.reader
    if (!(reader instanceof BufferReader) || (reader.buffer.operation as unknown) !== operation) return false
    return reader.buffer.failWaiting((operation) => new ClosedStream({ operation, reason: "Closed" }))
  }
}

/** A writer of one connection. The end of its scope ends the output. */
export const writer = (link: SocketLink): Socket.Socket["writer"] =>
  Effect.acquireRelease(
    Effect.succeed({
      [abortKey]: link.abort,
      write: (chunk: Chunk) => link.write(chunk),
      writeAll: (chunks: NonEmptyReadonlyArray<Uint8Array | string>) => link.writeAll(chunks)
    }),
    (_, exit) => link.halfClose(exit)
  )

const manner: Manner = { dropsWrites: false, lossCloses: false, side: undefined, onScopeFailure: "flush" }

/** A connection that others own: the socket ends with it, and ends it by a `CloseEvent` alone. */
export const make = (connection: Connection): Socket.Socket => {
  const link = new SocketLink(connection, manner)
  return Socket.make({
    reader: Effect.flatMap(Effect.andThen(link.isThere, Effect.scope), (scope) => link.reader(scope)),
    writer: writer(link)
  })
}
