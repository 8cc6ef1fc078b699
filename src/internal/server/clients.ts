/** Those who are served: accepting, handlers, and why they end. */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type { Connection } from "../../Connection.ts"
import type { HandlerFailure } from "../../Server.ts"
import type { TlsFailed } from "../../StreamError.ts"
import type { ConnectionInfo, Failure, Transport } from "../../Transport.ts"
import type { Member, Members } from "../base/members.ts"
import { numberOf, Teller } from "../base/observing.ts"
import * as Services from "../base/tags.ts"
import { enter, publicOnly } from "../runtime/effectInternals.ts"
import { notNow, Operation } from "../runtime/operation.ts"
import { SessionConnection } from "../session/connection.ts"
import type { SessionOptions } from "../session/options.ts"
import { Surroundings } from "../session/surroundings.ts"
import * as HandlerExit from "./handlerExit.ts"
import { ServerLog } from "./log.ts"
import { Places } from "./maxConnections.ts"
import type * as ServerOptions from "./options.ts"
import { Draining } from "./shutdown.ts"

const served = { side: "server" } as const
const waiting = { side: "server", waiting: true } as const

export type Handler<E, R> = (connection: Connection) => Effect.Effect<unknown, E, R>

/** Begins a scope, of which the rest of the fiber is a part. */
const scope = Effect.scoped(Effect.void)

/** One client, from accept to the end of its handler. As an effect it is the handler, in a scope of its own. */
class Client extends Operation<unknown, any> implements Member<Client> {
  place: Members<any> | undefined = undefined
  before: Client | undefined = undefined
  after: Client | undefined = undefined
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Whether a shutdown has cut it off. */
  aborted = false
  readonly connection: SessionConnection
  private readonly handler: Handler<any, never>

  constructor(connection: SessionConnection, handler: Handler<any, never>) {
    super()
    this.connection = connection
    this.handler = handler
  }

  tryNow(): typeof notNow {
    return notNow
  }

  /** In one step what two effects made for each client would do in three. */
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<unknown, any> {
    enter(scope, fiber)
    return this.handled()
  }

  private handled(): Effect.Effect<unknown, any> {
    return checkedHandler(this.handler(this.connection))
  }

  /** The same on public API. */
  get served(): Effect.Effect<unknown, any> {
    return publicOnly ? Effect.scoped(Effect.suspend(() => this.handled())) : this
  }
}

export class Clients<E, R> {
  readonly places: Places<Client>
  readonly draining = Latch.makeUnsafe(false)
  /** Open once the server has shut down. */
  readonly finished = Latch.makeUnsafe(false)
  /** Open while `running` is 0. */
  readonly idle = Latch.makeUnsafe(true)
  /** How many of those that were `running` are not any more. */
  ends = 0
  /** Whether reads that wait for an item end when the server shuts down. */
  readonly endsIdleReads: boolean

  /** Those who have a place, and failed handlers that are being told of. */
  private running = 0
  /** Who is told of those that come, if anybody observes. */
  readonly teller: Teller | undefined
  private readonly handler: Handler<E, R>
  private readonly context: Context.Context<never>
  private readonly describes: boolean
  private readonly surroundings: Surroundings
  private readonly sessionOptions: SessionOptions
  private readonly log: ServerLog
  private readonly onAcceptError: (failure: Failure) => Effect.Effect<void>
  private readonly onHandshakeError: (error: TlsFailed, info: ConnectionInfo) => Effect.Effect<void>
  private readonly onHandlerError: ((failure: HandlerFailure<E>) => Effect.Effect<void>) | undefined

  constructor(
    options: ServerOptions.ServerOptions<E>,
    handler: Handler<E, R>,
    context: Context.Context<never>,
    describes: boolean
  ) {
    this.handler = handler
    this.describes = describes
    this.sessionOptions = options.session
    this.places = new Places(options.maxConnections, options.maxWaiting)
    this.endsIdleReads = options.endsIdleReads
    this.context = Context.add(context, Draining, this.draining)
    this.surroundings = new Surroundings(this.context)
    this.teller = Teller.of(context)
    const log = new ServerLog(this.context)
    this.log = log
    this.onHandlerError = options.onHandlerError
    this.onHandshakeError = options.onHandshakeError ?? ((error, info) => log.handshakeFailed(error, info))
    this.onAcceptError = options.onAcceptError ?? ((failure) => log.acceptFailed(failure))
  }

  accept(transport: Transport): void {
    const { places } = this
    if (this.draining.isOpen()) this.reject(transport, "ShuttingDown")
    else if (places.free) {
      const client = this.connect(transport, true)
      this.enter(client)
      this.serve(client)
    } else if (places.makeRoom()) {
      places.wait(this.connect(transport, false), (client) => this.admitted(client))
    } else this.reject(transport, "Full")
  }

  private reject(transport: Transport, reason: "Full" | "ShuttingDown"): void {
    const { info } = transport
    transport.abort()
    this.teller?.event({ _tag: "Rejected", id: numberOf(transport), info, reason })
  }

  /** The system could not accept, and goes on trying. */
  acceptFailed(failure: Failure): void {
    this.teller?.event({ _tag: "AcceptFailed", failure })
    this.tell(() => this.onAcceptError(failure))
  }

  handshakeFailed(error: TlsFailed, info: ConnectionInfo): void {
    this.tell(() => this.onHandshakeError(error, info))
  }

  /** A function of the program that is told may fail, which changes nothing. */
  private tell(told: () => Effect.Effect<void>): void {
    Effect.runForkWith(this.context)(Effect.ignoreCause(Effect.suspend(told)))
  }

  private connect(transport: Transport, inUse: boolean): Client {
    const connection = new SessionConnection(
      transport,
      this.sessionOptions,
      this.surroundings,
      inUse ? served : waiting
    )
    return new Client(connection, this.handler as Handler<E, never>)
  }

  /** A place is the client's from now on. */
  private readonly enter = (client: Client): void => {
    this.places.take(client)
    this.running++
    this.idle.closeUnsafe()
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

  /** What an observer gives to a handler comes behind what the server has, and in front of the connection. */
  private contextOf({ session: { told } }: SessionConnection): Context.Context<any> {
    if (!this.describes || told?.teller.observer.handlerContext === undefined) {
      return this.context as Context.Context<any>
    }
    return Context.merge(this.context, told.teller.handlerContext(told, this.context)) as Context.Context<any>
  }

  private serve(client: Client): void {
    const { connection } = client
    // Added one by one, a context shares what fibers derive from it with the one it was made from; merged, it does not. The
    // typed `add` makes objects of its arguments, for every connection.
    let context: Context.Context<any> = this.contextOf(connection)
    context = Context.addUnsafe(context, Services.Connection.key, connection)
    context = Context.addUnsafe(context, Services.StreamReader.key, connection.reader)
    context = Context.addUnsafe(context, Services.StreamWriter.key, connection.writer)
    const fiber = Effect.runForkWith(context)(client.served as Effect.Effect<unknown, E>)
    client.fiber = fiber
    fiber.addObserver((exit) => this.ended(client, exit))
  }

  /** A handler has ended, and with it its connection. */
  private ended(client: Client, exit: Exit.Exit<unknown, E>): void {
    const { connection } = client
    if (Exit.isSuccess(exit) && connection.session.closedAtOnce()) {
      connection.letGo()
      this.left(client)
      this.done()
      return
    }
    const told = Exit.isSuccess(exit) ? Effect.void : this.handlerFailed(connection, exit.cause)
    Effect.runForkWith(this.context)(
      connection.endWith(exit).pipe(
        Effect.ensuring(Effect.sync(() => this.left(client))),
        // telling may take time: another client is served meanwhile
        Effect.andThen(told),
        Effect.ensuring(Effect.sync(() => this.done()))
      )
    )
  }

  /** A connection is over: its place is free. */
  private left(client: Client): void {
    this.places.leave(client, this.enter)
  }

  private done(): void {
    this.ends++
    if (--this.running > 0) return
    this.idle.openUnsafe()
    if (this.draining.isOpen()) this.finish()
  }

  finish(): void {
    // lines that are left to log are not waited for
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

/** A handler that returns no effect would end the fiber without its finalizers. */
const checkedHandler = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<unknown, E, R> => {
  if (!Effect.isEffect(effect)) {
    throw new TypeError(`startServer: the handler must return an Effect, got ${String(effect)}`)
  }
  return effect
}
