/** Accepting, supervising handlers, shutting down. */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Connection } from "../../Connection.ts"
import { type Listener, Network } from "../../Network.ts"
import type { HandlerFailure, HandlerServices, Options, Server, ShutdownReport } from "../../Server.ts"
import type { ListenFailed, TlsFailed } from "../../StreamError.ts"
import type { ConnectionInfo, Failure, Transport } from "../../Transport.ts"
import { AdmissionQueue } from "./admission.ts"
import * as Argument from "../base/argument.ts"
import { SessionConnection } from "../session/connection.ts"
import * as Deadline from "../runtime/deadline.ts"
import * as HandlerExit from "./handlerExit.ts"
import { ServerLog } from "./log.ts"
import * as Services from "../base/tags.ts"
import * as ServerOptions from "./options.ts"
import type { SessionOptions } from "../session/options.ts"

/** The latch that opens when the server begins to shut down; of the server whose handler this is. */
const Draining = Context.Reference<Latch.Latch | undefined>("effect-byte-streams/Server/Draining", {
  defaultValue: () => undefined
})

export const draining: Effect.Effect<void> = Effect.flatMap(
  Effect.service(Draining),
  (latch) => latch?.await ?? Effect.never
)

type Handler<E, R> = (connection: Connection) => Effect.Effect<unknown, E, R>

/** `operation` is the one that was called. */
export const start = <E, R>(
  operation: string,
  options: Options<E>,
  handler: Handler<E, R>
): Effect.Effect<Server, ListenFailed, Network | Scope.Scope | Exclude<R, HandlerServices>> =>
  Effect.gen(function* () {
    const network = yield* Network
    const resolved = ServerOptions.resolve(operation, options)
    Argument.func(operation, "handler", handler)
    const clients = new Clients(resolved, handler, withoutSpan(yield* Effect.context<never>()))
    const listen = network
      .listen(options, (transport) => clients.accept(transport), {
        onAcceptError: (failure) => clients.acceptFailed(failure),
        onHandshakeError: (error, info) => clients.handshakeFailed(error, info)
      })
      .pipe(Effect.updateContext(withoutSpan<Scope.Scope>))
    // an interruption finds either no server, or one that the scope owns
    return yield* Effect.uninterruptibleMask((restore) =>
      restore(listen).pipe(
        // one address may have had clients before another was refused
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : clients.shutdown(Duration.zero))),
        Effect.map((listener) => new ListeningServer(listener, clients, resolved.gracePeriod)),
        Effect.tap((server) => Effect.addFinalizer(() => server.shutdown()))
      )
    )
  })

/**
 * What a server does for its clients, and what it logs, is no part of what started it: the span of that has long ended. A
 * handler that wants one begins its own.
 */
const withoutSpan = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.omit(Tracer.ParentSpan)(context) as Context.Context<R>

/** One client, from accept to the end of its handler. */
interface Client {
  readonly connection: SessionConnection
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** Whether a shutdown has cut it off. */
  aborted: boolean
}

class Clients<E, R> {
  /** Those whose handler runs, or whose connection is being closed. */
  readonly active = new Set<Client>()
  readonly draining = Latch.makeUnsafe(false)
  /** Open once the server has shut down. */
  readonly finished = Latch.makeUnsafe(false)
  readonly waiting: AdmissionQueue<Client>
  rejected = 0

  /** Those of `active`, and failed handlers that are being told of. */
  private running = 0
  /** How many are not any more. */
  private ends = 0
  /** Open while `running` is 0. */
  private readonly idle = Latch.makeUnsafe(true)
  private readonly handler: Handler<E, R>
  private readonly context: Context.Context<never>
  private readonly sessionOptions: SessionOptions
  private readonly maxConnections: number
  private readonly endsIdleReads: boolean
  private readonly log: ServerLog
  private readonly onAcceptError: (failure: Failure) => Effect.Effect<void>
  private readonly onHandshakeError: (error: TlsFailed, info: ConnectionInfo) => Effect.Effect<void>
  private readonly onHandlerError: ((failure: HandlerFailure<E>) => Effect.Effect<void>) | undefined

  constructor(options: ServerOptions.ServerOptions<E>, handler: Handler<E, R>, context: Context.Context<never>) {
    this.handler = handler
    this.sessionOptions = options.session
    this.maxConnections = options.maxConnections
    this.waiting = new AdmissionQueue(options.mostWaiting)
    this.endsIdleReads = options.endsIdleReads
    this.context = Context.add(context, Draining, this.draining)
    const log = new ServerLog(this.context)
    this.log = log
    this.onHandlerError = options.onHandlerError
    this.onHandshakeError = options.onHandshakeError ?? ((error, info) => log.handshakeFailed(error, info))
    this.onAcceptError = options.onAcceptError ?? ((failure) => log.acceptFailed(failure))
  }

  accept(transport: Transport): void {
    if (this.draining.isOpen()) transport.abort()
    else if (this.active.size < this.maxConnections) this.serve(this.enter(this.connect(transport, true)))
    else if (this.waiting.makeRoom()) {
      this.waiting.add(this.connect(transport, false), (client) => this.admitted(client))
    } else {
      this.rejected++
      transport.abort()
    }
  }

  /** The system could not accept, and goes on trying. */
  acceptFailed(failure: Failure): void {
    this.tell(() => this.onAcceptError(failure))
  }

  handshakeFailed(error: TlsFailed, info: ConnectionInfo): void {
    this.tell(() => this.onHandshakeError(error, info))
  }

  /** Whoever is told may fail, which changes nothing. */
  private tell(told: () => Effect.Effect<void>): void {
    Effect.runForkWith(this.context)(Effect.ignoreCause(Effect.suspend(told)))
  }

  /** Serves nobody anew, lets handlers finish for the grace period, and ends what is left. */
  shutdown(gracePeriod: Duration.Input): Effect.Effect<ShutdownReport> {
    return Effect.suspend(() => {
      const before = Array.from(this.active)
      this.draining.openUnsafe()
      if (this.endsIdleReads) for (const { connection } of before) connection.session.endIdleReads()
      this.waiting.clear()
      const how = {
        progress: Deadline.growing(() => this.ends),
        // all of them are of one network
        next: before[0]?.connection.session.atEndOfTurn
      }
      return Deadline.timeoutOption(this.idle.await, gracePeriod, how).pipe(
        Effect.andThen(this.abortHandlers),
        Effect.map(() => {
          this.finish()
          const aborted = before.filter((client) => client.aborted).length
          return { completed: before.length - aborted, aborted }
        })
      )
    })
  }

  private get abortHandlers(): Effect.Effect<void> {
    const abort = Effect.suspend(() => {
      const left = Array.from(this.active)
      // in this order: a handler is interrupted, and does not fail because its connection went away under it
      for (const client of left) {
        client.aborted = true
        client.fiber?.interruptUnsafe()
      }
      return Effect.forEach(left, (client) => client.connection.abort, { discard: true })
    })
    // uninterruptible: a handler may be the one who shuts down, and is interrupted with the others
    return Effect.uninterruptible(abort).pipe(
      // a handler that cannot be interrupted must not hold up the shutdown
      Effect.andThen(Effect.timeoutOption(this.idle.await, uninterruptiblePatience)),
      Effect.asVoid
    )
  }

  private connect(transport: Transport, inUse: boolean): Client {
    const connection = new SessionConnection(transport, this.sessionOptions, this.context, inUse)
    return { connection, fiber: undefined, aborted: false }
  }

  /** A place is the client's from now on. */
  private enter(client: Client): Client {
    this.active.add(client)
    this.running++
    this.idle.closeUnsafe()
    return client
  }

  /** The turn of one that waited has come. */
  private admitted(client: Client): void {
    if (client.aborted) {
      this.left(client)
      this.done()
      return
    }
    client.connection.begin()
    this.serve(client)
  }

  private serve(client: Client): void {
    const { connection } = client
    // added one by one, a context shares what fibers derive from it with the one it was made from; merged, it does not
    let context: Context.Context<any> = this.context as Context.Context<any>
    context = Context.add(context, Services.Connection, connection)
    context = Context.add(context, Services.StreamReader, connection.reader)
    context = Context.add(context, Services.StreamWriter, connection.writer)
    const fiber = Effect.runForkWith(context)(
      Effect.scoped(Effect.suspend(() => checkedHandler(this.handler(connection)))) as Effect.Effect<unknown, E>
    )
    client.fiber = fiber
    fiber.addObserver((exit) => this.ended(client, exit))
  }

  /** A handler has ended, and with it its connection. */
  private ended(client: Client, exit: Exit.Exit<unknown, E>): void {
    const { connection } = client
    if (Exit.isSuccess(exit) && connection.session.closedAtOnce()) {
      this.left(client)
      this.done()
      return
    }
    const told = Exit.isSuccess(exit) ? Effect.void : this.handlerFailed(connection, exit.cause)
    Effect.runForkWith(this.context)(
      connection.endWith(exit).pipe(
        Effect.ensuring(Effect.sync(() => this.left(client))),
        // whoever is told may take time: another client is served meanwhile
        Effect.andThen(told),
        Effect.ensuring(Effect.sync(() => this.done()))
      )
    )
  }

  /** A connection is over: its place is free. */
  private left(client: Client): void {
    this.active.delete(client)
    while (this.active.size < this.maxConnections) {
      const next = this.waiting.next()
      if (next === undefined) return
      this.enter(next.client)
      next.admit()
    }
  }

  private done(): void {
    this.ends++
    if (--this.running > 0) return
    this.idle.openUnsafe()
    if (this.draining.isOpen()) this.finish()
  }

  private finish(): void {
    // what is left to say is not waited for
    this.log.flush()
    this.finished.openUnsafe()
  }

  /** Tells of a failure, unless it is none. Asked before anything is done about it. */
  private handlerFailed(connection: SessionConnection, cause: Cause.Cause<E>): Effect.Effect<void> {
    const { onHandlerError } = this
    const { session } = connection
    const why = HandlerExit.of(cause, session)
    if (why === "Told") return Effect.void
    if (onHandlerError === undefined) return Effect.ignoreCause(this.log.handlerFailed(cause, why, connection.info))
    return Effect.ignoreCause(
      Effect.suspend(() => {
        const { received, written } = session
        return onHandlerError({ cause, info: connection.info, bytesRead: received, bytesWritten: written })
      })
    )
  }
}

/** What is no effect would end the fiber without its finalizers. */
const checkedHandler = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<unknown, E, R> => {
  if (!Effect.isEffect(effect)) {
    throw new TypeError(`startServer: the handler must return an Effect, got ${String(effect)}`)
  }
  return effect
}

class ListeningServer implements Server {
  readonly addresses: Listener["addresses"]
  private readonly listener: Listener
  private readonly clients: Clients<any, any>
  private readonly gracePeriod: Duration.Duration

  constructor(listener: Listener, clients: Clients<any, any>, gracePeriod: Duration.Duration) {
    this.addresses = listener.addresses
    this.listener = listener
    this.clients = clients
    this.gracePeriod = gracePeriod
  }

  get address() {
    return this.addresses[0]
  }

  get port(): number {
    const { address } = this
    if (address._tag === "UnixPathAddress") throw new Error(`Server.port: a Unix socket has no port (${address.path})`)
    return address.port
  }

  get connections() {
    return Effect.sync(() => this.clients.active.size)
  }

  get waiting() {
    return Effect.sync(() => this.clients.waiting.size)
  }

  get rejected() {
    return Effect.sync(() => this.clients.rejected)
  }

  shutdown(options?: { readonly gracePeriod?: Duration.Input | undefined }): Effect.Effect<ShutdownReport> {
    return Effect.suspend(() => {
      const given =
        options === undefined ? undefined : Argument.record("Server.shutdown", "options", options).gracePeriod
      const gracePeriod =
        given === undefined ? this.gracePeriod : Argument.duration("Server.shutdown", "gracePeriod", given)
      return Effect.andThen(this.listener.close, this.clients.shutdown(gracePeriod))
    })
  }

  get closeClients() {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.clients.active), (client) => client.connection.writer.close, {
        concurrency: "unbounded",
        discard: true
      })
    )
  }

  get abortClients() {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.clients.active), (client) => client.connection.abort, { discard: true })
    )
  }

  get awaitShutdown() {
    return this.clients.finished.await
  }

  toJSON() {
    const { active, rejected, waiting } = this.clients
    return {
      _id: "Server",
      addresses: this.addresses.map(String),
      connections: active.size,
      waiting: waiting.size,
      rejected
    }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

/** How long a shutdown waits for handlers that it has interrupted. */
const uninterruptiblePatience = Duration.seconds(1)
