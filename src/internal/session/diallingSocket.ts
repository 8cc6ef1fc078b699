/**
 * One of Effect's own sockets that opens a connection each time when its reader is acquired.
 *
 * Its writers belong to no connection. What one connection has accepted is never sent on another. A write without a
 * connection waits for the next one, and for no longer than its writer's scope.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Connection } from "../../Connection.ts"
import { abortKey } from "../base/aborting.ts"
import { ClosedStream, type ConnectFailed, type TlsFailed } from "../base/errors.ts"
import { type Manner, SocketLink } from "./asEffectSocket.ts"

type Open = Effect.Effect<Connection, ConnectFailed | TlsFailed, Scope.Scope>
type Write = (link: SocketLink) => Effect.Effect<void, Socket.SocketError>

export const make = (open: Open, onScopeFailure: Manner["onScopeFailure"]): Socket.Socket => {
  const manner: Manner = { dropsWrites: true, lossCloses: false, side: "client", onScopeFailure }
  const dialling = new Dialling()
  return Socket.make({ reader: reader(dialling, open, manner), writer: writer(dialling) })
}

/** As services. */
export const context = (socket: Socket.Socket): Context.Context<Socket.Socket> => Context.make(Socket.Socket, socket)

class Dialling {
  link: SocketLink | undefined = undefined
  /** Writes without a connection, in their order. Each is asked what it does: to go on, or to give up. */
  readonly waiting = new Set<(writer: SocketWriter | undefined) => void>()

  connected(link: SocketLink): void {
    this.link = link
    for (const wake of Array.from(this.waiting)) wake(undefined)
  }

  disconnected(link: SocketLink): void {
    if (this.link === link) this.link = undefined
  }
}

const reader = (dialling: Dialling, open: Open, manner: Manner): Socket.Socket["reader"] =>
  Effect.gen(function* () {
    // ends after all that is acquired here: whoever pulls is told before the rest is sent
    const scope = yield* Scope.fork(yield* Effect.scope)
    const link = new SocketLink(yield* Effect.mapError(Scope.provide(open, scope), openError), manner)
    const reader = yield* link.reader(scope)
    return yield* Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => dialling.connected(link)),
        () => Effect.sync(() => dialling.disconnected(link))
      ),
      reader
    )
  })

const openError = (cause: ConnectFailed | TlsFailed): Socket.SocketError =>
  new Socket.SocketError({
    reason: new Socket.SocketOpenError({ kind: cause.kind === "Timeout" ? "Timeout" : "Unknown", cause })
  })

const writer = (dialling: Dialling): Socket.Socket["writer"] =>
  Effect.acquireRelease(
    Effect.sync(() => new SocketWriter(dialling)),
    (writer, exit) => writer.end(exit)
  )

class SocketWriter implements Socket.Writer {
  readonly [abortKey] = Effect.suspend(() => this.link?.abort ?? Effect.void)
  private over = false
  private readonly dialling: Dialling
  /** The connection that it ends, and aborts: the one that it wrote on last. One that was made since may be another's. */
  private link: SocketLink | undefined

  constructor(dialling: Dialling) {
    this.dialling = dialling
    this.link = dialling.link
  }

  readonly write: Socket.Writer["write"] = (chunk) => this.send("write", (link) => link.write(chunk))

  readonly writeAll: Socket.Writer["writeAll"] = (chunks: NonEmptyReadonlyArray<Uint8Array | string>) =>
    this.send("writeAll", (link) => link.writeAll(chunks))

  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.over = true
      for (const wake of Array.from(this.dialling.waiting)) wake(this)
      return (this.link ?? this.dialling.link)?.halfClose(exit) ?? Effect.void
    })
  }

  private send(operation: string, write: Write): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (this.over) return ended(operation)
      return this.now(write)
    })
  }

  private now(write: Write): Effect.Effect<void, Socket.SocketError> {
    const { link } = this.dialling
    if (link === undefined) return this.wait(write)
    this.link = link
    return write(link)
  }

  /** Until there is a connection, or no writer any more: then nobody is left to tell. */
  private wait(write: Write): Effect.Effect<void, Socket.SocketError> {
    const { waiting } = this.dialling
    return Effect.callback<void, Socket.SocketError>((resume) => {
      const wake = (writer: SocketWriter | undefined) => {
        if (writer !== undefined && writer !== this) return
        if (waiting.delete(wake)) resume(Effect.suspend(() => this.again(write)))
      }
      waiting.add(wake)
      return Effect.sync(() => waiting.delete(wake))
    })
  }

  private again(write: Write): Effect.Effect<void, Socket.SocketError> {
    return this.over ? Effect.void : this.now(write)
  }
}

const ended = (operation: string): Effect.Effect<never, Socket.SocketError> =>
  Effect.fail(
    new Socket.SocketError({
      reason: new Socket.SocketWriteError({ cause: new ClosedStream({ operation, reason: "Closed" }) })
    })
  )
