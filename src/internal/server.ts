/** Accepting, supervising handlers, shutting down. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Latch from "effect/Latch"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.ts"
import { type Listener, Network } from "../Network.ts"
import type { HandlerFailure, HandlerServices, Options, Server, ShutdownReport } from "../Server.ts"
import type { ListenFailed, TlsFailed } from "../StreamError.ts"
import type { ConnectionInfo, Failure, Transport } from "../Transport.ts"
import * as Argument from "./argument.ts"
import { SessionConnection } from "./connection.ts"
import * as Services from "./services.ts"
import * as SessionOptions from "./sessionOptions.ts"

const defaultGracePeriod = Duration.seconds(5)
const defaultBacklog = 511

/** The latch that opens when the server begins to shut down; of the server whose handler this is. */
const Draining = Context.Reference<Latch.Latch | undefined>("effect-byte-streams/Server/Draining", {
  defaultValue: () => undefined
})

export const draining: Effect.Effect<void> = Effect.flatMap(
  Effect.service(Draining),
  (latch) => latch?.await ?? Effect.never
)

type Handler<E, R> = (connection: Connection) => Effect.Effect<unknown, E, R>

export const start = <E, R>(
  options: Options<E>,
  handler: Handler<E, R>
): Effect.Effect<Server, ListenFailed, Network | Scope.Scope | Exclude<R, HandlerServices>> =>
  Effect.gen(function* () {
    const network = yield* Network
    const context = yield* Effect.context<Exclude<R, HandlerServices>>()
    const clients = new Clients(options, handler, context as Context.Context<never>)
    const gracePeriod = options.gracePeriod ?? defaultGracePeriod
    // released after the listener below, which by then has stopped accepting
    const listener = yield* network.listen(options, (transport) => clients.accept(transport), {
      onAcceptError: (failure) => clients.acceptFailed(failure),
      onHandshakeError: (error, info) => clients.handshakeFailed(error, info)
    })
    const server = new ListeningServer(listener, clients, gracePeriod)
    yield* Effect.addFinalizer(() => server.shutdown())
    return server
  })

/** One client, from accept to the end of its handler. */
interface Client {
  readonly connection: SessionConnection
  fiber: Fiber.Fiber<void> | undefined
}

class Clients<E, R> {
  readonly active = new Set<Client>()
  readonly draining = Latch.makeUnsafe(false)
  /** Open while nobody is being served. */
  readonly idle = Latch.makeUnsafe(true)
  /** Accepted, and not served yet: those that `maxConnections` keeps waiting, in the order in which they came. */
  readonly waiting: Array<Transport> = []
  rejected = 0

  private readonly handler: Handler<E, R>
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private acceptFailureLogged = -Infinity
  private readonly sessionOptions: SessionOptions.SessionOptions
  private readonly maxConnections: number
  private readonly mostWaiting: number
  private readonly onHandshakeError: (error: TlsFailed, info: ConnectionInfo) => Effect.Effect<void>
  private readonly onHandlerError: (failure: HandlerFailure<E>) => Effect.Effect<void>

  constructor(options: Options<E>, handler: Handler<E, R>, context: Context.Context<never>) {
    this.handler = handler
    this.sessionOptions = SessionOptions.resolve("startServer", options)
    this.maxConnections =
      options.maxConnections === undefined
        ? Infinity
        : Argument.positive("startServer", "maxConnections", options.maxConnections)
    const overflow = Argument.oneOf("startServer", "overflow", options.overflow ?? "wait", ["wait", "reject"])
    this.mostWaiting = overflow === "wait" ? (options.backlog ?? defaultBacklog) : 0
    this.onHandlerError = options.onHandlerError ?? logFailure
    this.onHandshakeError = options.onHandshakeError ?? logHandshakeFailure
    this.context = Context.add(context, Draining, this.draining)
    this.clock = Context.get(this.context, Clock.Clock)
  }

  accept(transport: Transport): void {
    if (this.draining.isOpen()) transport.abort()
    else if (this.active.size < this.maxConnections) this.begin(transport)
    else if (this.waiting.length < this.mostWaiting) this.waiting.push(transport)
    else {
      this.rejected++
      transport.abort()
    }
  }

  /** The system could not accept: it goes on trying, and the log says so once in a while. */
  acceptFailed(failure: Failure): void {
    const now = this.clock.currentTimeMillisUnsafe()
    if (now - this.acceptFailureLogged < 1000) return
    this.acceptFailureLogged = now
    Effect.runForkWith(this.context)(Effect.logWarning(`accept failed: ${failure.code ?? failure.kind}`))
  }

  handshakeFailed(error: TlsFailed, info: ConnectionInfo): void {
    Effect.runForkWith(this.context)(Effect.ignoreCause(Effect.suspend(() => this.onHandshakeError(error, info))))
  }

  /** Nobody is served any more who is not served yet. */
  drain(): void {
    this.draining.openUnsafe()
    for (const transport of this.waiting.splice(0)) transport.abort()
  }

  private begin(transport: Transport): void {
    const connection = new SessionConnection(transport, this.sessionOptions, this.context)
    const client: Client = { connection, fiber: undefined }
    this.active.add(client)
    this.idle.closeUnsafe()
    // added one by one, a context shares what fibers derive from it with the one it was made from; merged, it does not
    const context = this.context.pipe(
      Context.add(Services.Connection, connection),
      Context.add(Services.StreamReader, connection.reader),
      Context.add(Services.StreamWriter, connection.writer)
    )
    client.fiber = Effect.runForkWith(context)(this.serve(client))
  }

  private serve(client: Client): Effect.Effect<void> {
    const { connection } = client
    return Effect.onExit(
      Effect.scoped(Effect.suspend(() => checkedHandler(this.handler(connection)))) as Effect.Effect<unknown, E>,
      (exit) =>
        Effect.ensuring(
          this.end(connection, exit),
          Effect.sync(() => {
            this.active.delete(client)
            const next = this.waiting.shift()
            if (next !== undefined) this.begin(next)
            if (this.active.size === 0) this.idle.openUnsafe()
          })
        )
    ).pipe(
      // reported already; the fiber has nobody to fail to
      Effect.ignoreCause
    )
  }

  private end(connection: SessionConnection, exit: Exit.Exit<unknown, E>): Effect.Effect<unknown> {
    if (Exit.isSuccess(exit)) return connection.writer.close
    const over = this.sessionOptions.onScopeFailure === "flush" ? connection.writer.close : connection.abort
    if (Cause.hasInterruptsOnly(exit.cause)) return over
    const { reads, writes } = connection.session
    return Effect.andThen(
      over,
      Effect.ignoreCause(
        Effect.suspend(() =>
          this.onHandlerError({
            cause: exit.cause,
            info: connection.info,
            bytesRead: reads.received,
            bytesWritten: writes.accepted
          })
        )
      )
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

const logFailure = (failure: HandlerFailure): Effect.Effect<void> =>
  Effect.logError(`handler of ${describe(failure.info)} failed`, failure.cause)

const logHandshakeFailure = (error: TlsFailed, info: ConnectionInfo): Effect.Effect<void> =>
  Effect.logWarning(`handshake with ${describe(info)} failed: ${error.message}`)

const describe = (info: ConnectionInfo): string => {
  const address = info.remote ?? info.local
  if (address === undefined) return "a client"
  return address._tag === "UnixPathAddress" ? `a client of ${address.path}` : NetAddress.formatInet(address)
}

class ListeningServer implements Server {
  readonly addresses: Listener["addresses"]
  private readonly listener: Listener
  private readonly clients: Clients<any, any>
  private readonly gracePeriod: Duration.Input
  private readonly finished = Latch.makeUnsafe(false)
  private completed = 0
  private aborted = 0

  constructor(listener: Listener, clients: Clients<any, any>, gracePeriod: Duration.Input) {
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
    return Effect.sync(() => this.clients.waiting.length)
  }

  get rejected() {
    return Effect.sync(() => this.clients.rejected)
  }

  shutdown(options?: { readonly gracePeriod?: Duration.Input | undefined }): Effect.Effect<ShutdownReport> {
    return Effect.suspend(() => {
      const { clients } = this
      const gracePeriod = options?.gracePeriod ?? this.gracePeriod
      const before = clients.active.size
      return this.listener.close.pipe(
        Effect.andThen(Effect.sync(() => clients.drain())),
        Effect.andThen(Effect.timeoutOption(clients.idle.await, gracePeriod)),
        Effect.andThen(this.abortHandlers),
        Effect.map((aborted) => {
          this.finished.openUnsafe()
          return { completed: before - aborted, aborted }
        })
      )
    })
  }

  /** Ends the handlers that are left, and says how many they were. */
  private get abortHandlers(): Effect.Effect<number> {
    return Effect.suspend(() => {
      const left = Array.from(this.clients.active)
      if (left.length === 0) return Effect.succeed(0)
      // in this order: a handler is interrupted, and does not fail because its connection went away under it
      return Effect.sync(() => {
        for (const client of left) client.fiber?.interruptUnsafe()
      }).pipe(
        Effect.andThen(Effect.forEach(left, (client) => client.connection.abort, { discard: true })),
        // a handler that cannot be interrupted must not hold up the shutdown
        Effect.andThen(Effect.timeoutOption(this.clients.idle.await, uninterruptiblePatience)),
        Effect.as(left.length)
      )
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
    return this.finished.await
  }

  toJSON() {
    const { active, rejected, waiting } = this.clients
    return {
      _id: "Server",
      addresses: this.addresses.map(String),
      connections: active.size,
      waiting: waiting.length,
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
