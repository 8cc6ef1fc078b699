/** A server: how it is started, and how a program sees it. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { NodeInspectSymbol } from "effect/Inspectable"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { type Listener, Network } from "../../Network.ts"
import type { HandlerServices, Options, Server, ShutdownReport } from "../../Server.ts"
import type { ListenFailed } from "../../StreamError.ts"
import * as Argument from "../base/argument.ts"
import type { Teller } from "../base/observing.ts"
import { Clients, type Handler } from "./clients.ts"
import * as ServerOptions from "./options.ts"
import { type Shutdown, shutdownOf } from "./shutdown.ts"

/**
 * `operation` is the one that was called. `describes`: whether handlers are run in the context that observers make; one that
 * runs them elsewhere asks for it there.
 */
export const start = <E, R>(
  operation: string,
  options: Options<E>,
  handler: Handler<E, R>,
  describes = true
): Effect.Effect<Server, ListenFailed, Network | Scope.Scope | Exclude<R, HandlerServices>> =>
  Effect.gen(function* () {
    const network = yield* Network
    const resolved = ServerOptions.resolve(operation, options)
    Argument.func(operation, "handler", handler)
    const clients = new Clients(resolved, handler, withoutSpan(yield* Effect.context<never>()), describes)
    const shutdown = shutdownOf(clients)
    const { maxHandshakes } = resolved
    const listen = network
      .listen({ ...options, maxHandshakes }, (transport) => clients.accept(transport), {
        onAcceptError: (failure) => clients.acceptFailed(failure),
        onHandshakeError: (error, info) => clients.handshakeFailed(error, info)
      })
      .pipe(Effect.updateContext(withoutSpan<Scope.Scope>))
    // an interruption finds either no server, or one that the scope owns
    return yield* Effect.uninterruptibleMask((restore) =>
      restore(listen).pipe(
        // one address may have had clients before another was refused
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : shutdown(Duration.zero))),
        Effect.map((listener) => {
          clients.teller?.event({ _tag: "Listening", addresses: listener.addresses })
          return new ListeningServer(listener, clients, resolved.gracePeriod, shutdown)
        }),
        Effect.tap((server) => Effect.addFinalizer(() => server.shutdown()))
      )
    )
  })

/**
 * The work of a server for its clients, and its log, are no part of the span in which it was started: that has long ended.
 * A handler that wants a span begins its own.
 */
const withoutSpan = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.omit(Tracer.ParentSpan)(context) as Context.Context<R>

class ListeningServer implements Server {
  readonly addresses: Listener["addresses"]
  private readonly listener: Listener
  private readonly clients: Clients<any, any>
  private readonly gracePeriod: Duration.Duration
  private readonly shutDown: Shutdown
  /** What observers know of the shutdown: any number of fibers may ask for it. */
  private shutdownTold: "no" | "started" | "ended" = "no"

  constructor(listener: Listener, clients: Clients<any, any>, gracePeriod: Duration.Duration, shutDown: Shutdown) {
    this.addresses = listener.addresses
    this.listener = listener
    this.clients = clients
    this.gracePeriod = gracePeriod
    this.shutDown = shutDown
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
    return Effect.sync(() => this.clients.places.active.size)
  }

  get waiting() {
    return Effect.sync(() => this.clients.places.waiting)
  }

  get rejected() {
    return Effect.sync(() => this.clients.places.rejected)
  }

  get snapshot() {
    return Effect.sync(() => Array.from(this.clients.places.all, ({ connection }) => connection.session.snapshot))
  }

  shutdown(options?: { readonly gracePeriod?: Duration.Input | undefined }): Effect.Effect<ShutdownReport> {
    return Effect.suspend(() => {
      const given =
        options === undefined ? undefined : Argument.record("Server.shutdown", "options", options).gracePeriod
      const gracePeriod =
        given === undefined ? this.gracePeriod : Argument.duration("Server.shutdown", "gracePeriod", given)
      const ended = Effect.andThen(this.listener.close, this.shutDown(gracePeriod))
      return this.clients.teller === undefined ? ended : this.toldOf(this.clients.teller, gracePeriod, ended)
    })
  }

  private toldOf(
    teller: Teller,
    gracePeriod: Duration.Duration,
    ended: Effect.Effect<ShutdownReport>
  ): Effect.Effect<ShutdownReport> {
    const { addresses } = this
    if (this.shutdownTold === "no") {
      this.shutdownTold = "started"
      teller.event({ _tag: "ShutdownStarted", addresses, gracePeriod })
    }
    return Effect.tap(ended, (report) =>
      Effect.sync(() => {
        if (this.shutdownTold === "ended") return
        this.shutdownTold = "ended"
        teller.event({ _tag: "ShutdownEnded", addresses, ...report })
      })
    )
  }

  get closeClients() {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.clients.places.active), (client) => client.connection.writer.close, {
        concurrency: "unbounded",
        discard: true
      })
    )
  }

  get abortClients() {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.clients.places.active), (client) => client.connection.abort, { discard: true })
    )
  }

  get awaitShutdown() {
    return this.clients.finished.await
  }

  toJSON() {
    const { active, rejected, waiting } = this.clients.places
    return {
      _id: "Server",
      addresses: this.addresses.map(String),
      connections: active.size,
      waiting,
      rejected
    }
  }

  /** What `console.log` shows. */
  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}
