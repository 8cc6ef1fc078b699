/**
 * A server as one of Effect's own socket servers: who runs it, and the clients that wait until somebody does.
 *
 * Each client has one fiber, as with any handler. While nobody runs the server, that fiber waits.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Tracer from "effect/Tracer"
import type { Connection } from "../../Connection.ts"
import type { Network } from "../../Network.ts"
import type { Options, Server } from "../../Server.ts"
import type { ListenFailed } from "../../StreamError.ts"
import * as Services from "../base/tags.ts"
import { type Manner, SocketLink, writer } from "../session/asEffectSocket.ts"
import { SessionConnection } from "../session/connection.ts"
import * as SessionOptions from "../session/options.ts"
import { start } from "./server.ts"
import { Draining, draining } from "./shutdown.ts"

/** What a program runs: one call of `run`. */
type Handler = (socket: Socket.Socket) => Effect.Effect<unknown, unknown, any>

/** Starts it, and returns it as both services that it is. */
export const make = (
  operation: string,
  options: Options,
  tag: Context.Service<Server, Server>
): Effect.Effect<Context.Context<SocketServer.SocketServer | Server>, ListenFailed, Network | Scope.Scope> =>
  Effect.suspend(() => {
    const resolved = SessionOptions.ofSocket(operation, options)
    const runs = new Runs(resolved.onScopeFailure)
    return Effect.map(
      start(operation, resolved, (connection) => runs.serve(connection), false),
      (server) => {
        const run = runs.run as SocketServer.SocketServer["Service"]["run"]
        return Context.add(Context.make(SocketServer.SocketServer, { address: server.address, run }), tag, server)
      }
    )
  })

class Runs {
  /** Those that have not ended. The one that began last has the clients that come. */
  private readonly runs: Array<Run> = []
  /** Open while there is one. */
  private readonly running = Latch.makeUnsafe(false)
  private readonly manner: Manner

  constructor(onScopeFailure: Manner["onScopeFailure"]) {
    this.manner = { dropsWrites: true, lossCloses: true, side: "server", onScopeFailure }
  }

  readonly run = (handler: Handler): Effect.Effect<never, never, any> =>
    Effect.contextWith((services: Context.Context<any>) =>
      Effect.acquireUseRelease(
        Effect.sync(() => this.begin(new Run(handler, services, this.manner))),
        () => Effect.never,
        (run) => this.end(run)
      )
    )

  private begin(run: Run): Run {
    this.runs.push(run)
    this.running.openUnsafe()
    return run
  }

  private end(run: Run): Effect.Effect<void> {
    this.runs.splice(this.runs.indexOf(run), 1)
    if (this.runs.length === 0) this.running.closeUnsafe()
    return run.end
  }

  serve(connection: Connection): Effect.Effect<unknown, unknown> {
    // in one step: a run that ends behind it ends this handler as well
    return Effect.withFiber((fiber) => this.runs.at(-1)?.serve(connection, fiber) ?? this.wait(connection))
  }

  /** Until the server is run, or shuts down, or the client has gone and has left nothing to read. */
  private wait(connection: Connection): Effect.Effect<unknown, unknown> {
    return Effect.raceAllFirst([
      Effect.as(this.running.await, this.serve(connection)),
      Effect.as(draining, connection.abort),
      Effect.as(gone(connection), Effect.void)
    ]).pipe(Effect.flatten)
  }
}

/** A client that has ended its output may want an answer to what it has sent. */
const gone = (connection: Connection): Effect.Effect<void> =>
  Effect.flatMap(connection.closed, ({ _tag }) => {
    if (_tag === "PeerEof") return Effect.never
    const unread = _tag === "Lost" ? connection.reader.buffered : Effect.succeed(0)
    return Effect.flatMap(unread, (count) => (count === 0 ? Effect.void : Effect.never))
  })

class Run {
  private readonly handler: Handler
  private readonly services: Context.Context<any>
  private readonly manner: Manner
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()

  constructor(handler: Handler, services: Context.Context<any>, manner: Manner) {
    this.handler = handler
    this.manner = manner
    this.services = Context.omit(Scope.Scope, Tracer.ParentSpan)(services)
  }

  serve(connection: Connection, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<unknown, unknown> {
    this.fibers.add(fiber)
    return Effect.suspend(() => this.handler(served(connection, this.manner))).pipe(
      Effect.updateContext((own: Context.Context<never>) => this.contextOf(connection, own)),
      Effect.ensuring(Effect.sync(() => this.fibers.delete(fiber)))
    )
  }

  /** What an observer gives to a handler comes behind what is around `run`, and in front of the connection. */
  private contextOf(connection: Connection, own: Context.Context<never>): Context.Context<any> {
    const told = connection instanceof SessionConnection ? connection.session.told : undefined
    const given = told?.teller.handlerContext(told, this.services) ?? Context.empty()
    return Context.mergeAll(this.services, given, ofConnection(own))
  }

  /** Handlers end with the run. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => Fiber.interruptAll(Array.from(this.fibers)))
}

/** What a handler has of its connection, whatever the program around `run` has. */
const ofConnection = Context.pick(
  Services.Connection,
  Services.StreamReader,
  Services.StreamWriter,
  Scope.Scope,
  Draining
) as (context: Context.Context<never>) => Context.Context<any>

/** The end of its reader's scope is the end of the connection. */
const served = (connection: Connection, manner: Manner): Socket.Socket => {
  const link = new SocketLink(connection, manner)
  return Socket.make({
    reader: Effect.gen(function* () {
      yield* link.isThere
      const scope = yield* Scope.fork(yield* Effect.scope)
      yield* Scope.addFinalizerExit(scope, (exit) => link.endWith(exit))
      return yield* link.reader(scope)
    }),
    writer: writer(link)
  })
}
