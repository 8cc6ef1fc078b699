/**
 * A look at what passes: connections, their bytes, their waits and their ends, as they happen.
 *
 * An observer is a value in the context. Connecting, listening and each session read it once, when they begin. Without
 * one, nothing is made for it, and the path of a byte asks one field that is `undefined`.
 *
 * **When to use**
 *
 * To log, to measure or to record what no program of yours should have to. `Wiretap` logs and records, `Telemetry` has
 * metrics and spans. Both are observers, and have no hook of their own. `server.snapshot` shows the present state of all
 * connections, without an observer.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { SocketAddress } from "effect/net/NetAddress"
import * as Layer from "effect/Layer"
import * as Argument from "./internal/base/argument.ts"
import { mergeAll } from "./internal/base/mergedObserver.ts"
import * as Observing from "./internal/base/observing.ts"
import type { ConnectAttempt, ConnectFailed, ConnectionLost, StreamTimeout, TlsFailed } from "./StreamError.ts"
import type { CloseOutcome } from "./StreamWriter.ts"
import type { ConnectionInfo, Failure } from "./Transport.ts"

// ---------------------------------------------------------------------------
// what is observed
// ---------------------------------------------------------------------------

/**
 * The state of a connection at one moment.
 *
 * **Details**
 *
 * Times are milliseconds since the epoch, by the clock of the program that opened or serves the connection. Counts go on
 * across `startTls` and `stopTls`. Over TLS they are bytes of plain text.
 *
 * @see {@link ObservedConnection}, `Server.snapshot`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ConnectionSnapshot {
  /** The number of the connection, as in the events of an observer. Unique in the process, from 1. */
  readonly id: number
  /** Which side this is. `undefined` for a connection that was made of a stream, which has no sides. */
  readonly side: "client" | "server" | undefined
  /**
   * How far the connection is.
   *
   * - `"waiting"`: a client that waits for a place in a server (`maxConnections`).
   * - `"open"`: in use, also where the peer has ended its output.
   * - `"closing"`: this side has begun to close, and what was written is still being sent.
   * - `"closed"`: it has ended, in good order or not.
   */
  readonly state: "waiting" | "open" | "closing" | "closed"
  /** The facts about the connection: addresses, and those of TLS after an upgrade as well. */
  readonly info: ConnectionInfo
  /** When it began, in milliseconds since the epoch. */
  readonly since: number
  /** The number of bytes that have arrived. */
  readonly bytesRead: number
  /** The number of bytes that were written, sent or not. */
  readonly bytesWritten: number
  /** The number of bytes that have arrived and that no read has taken. */
  readonly unread: number
  /** The number of bytes that were written and that the system has not taken. */
  readonly unsent: number
  /** Whether the peer has ended its output. */
  readonly peerEnded: boolean
  /** Which directions are held back, by what, and since when. Empty while both flow. */
  readonly paused: ReadonlyArray<{
    /** The direction that is held back. */
    readonly direction: Direction
    /** The reason. */
    readonly reason: PauseReason
    /** Since when, in milliseconds since the epoch. */
    readonly since: number
  }>
  /** The operations that wait: at most one read, and any number of writes in the order in which they came. */
  readonly waiting: ReadonlyArray<{
    /** The operation, as errors name it: `"readLine"`, `"drain"`. */
    readonly operation: string
    /** Since when, in milliseconds since the epoch. */
    readonly since: number
  }>
}

/**
 * The direction of bytes: `"in"` from the peer, `"out"` to it.
 *
 * @see {@link Observer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Direction = "in" | "out"

/**
 * The reason for which a direction is held back.
 *
 * - `"reader"`: more than the limit of the buffer lies unread, so the peer is not listened to. A slow reader.
 * - `"budget"`: all connections together hold more than the `BufferBudget` allows.
 * - `"peer"`: more than the high-water mark is unsent, so writes wait. A slow peer.
 *
 * @see {@link ConnectionSnapshot}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type PauseReason = "reader" | "budget" | "peer"

/**
 * A connection, as an observer sees it. The same object in all events of the connection, also across `startTls`.
 *
 * @see {@link Observer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ObservedConnection {
  /** The number of the connection. Unique in the process, from 1. */
  readonly id: number
  /** Which side this is. `undefined` for a connection that was made of a stream. */
  readonly side: "client" | "server" | undefined
  /** The facts about the connection, those of TLS after an upgrade as well. */
  readonly info: ConnectionInfo
  /** Reads the state of the connection. May be called at any time, also after its end. */
  readonly snapshot: () => ConnectionSnapshot
}

// ---------------------------------------------------------------------------
// events
// ---------------------------------------------------------------------------

/**
 * An event of a connection that is being opened, and so is none yet. The `id` is the number that the connection will have.
 *
 * **Details**
 *
 * - `Connecting` comes first. `AttemptStarted` and `AttemptFailed` follow for each address. An attempt that is given up,
 *   because another was faster, has no event of its own.
 * - `HandshakeStarted` is followed by `HandshakeSucceeded` or `HandshakeFailed`: for a client and a server that begin with
 *   TLS in front of `Opened`, and for `startTls` between `Opened` and `Upgraded`.
 * - `ConnectFailed` is the last event if the connection was not opened. Otherwise `Opened` follows.
 *
 * `error` is `undefined` where the program gave up: it was interrupted, or the server gave up a handshake for a client that
 * came later (`maxHandshakes`).
 *
 * @see {@link Event}
 *
 * @stability unstable
 * @category events
 * @since 0.1.0
 */
export type OpeningEvent =
  | {
      readonly _tag: "Connecting"
      /** The number of the connection. */
      readonly id: number
      /** The host and port, or the path, as errors name them. */
      readonly target: string
    }
  | {
      readonly _tag: "AttemptStarted"
      /** The number of the connection. */
      readonly id: number
      /** The address and port, or the path. */
      readonly address: string
    }
  | {
      readonly _tag: "AttemptFailed"
      /** The number of the connection. */
      readonly id: number
      /** The address, and how it failed. */
      readonly attempt: ConnectAttempt
    }
  | {
      readonly _tag: "ConnectFailed"
      /** The number of the connection. */
      readonly id: number
      /** The host and port, or the path, as errors name them. */
      readonly target: string
      /** The failure. `undefined`: the program gave up. */
      readonly error: ConnectFailed | TlsFailed | undefined
    }
  | {
      readonly _tag: "HandshakeStarted"
      /** The number of the connection. */
      readonly id: number
      /** Which side of the handshake this is. */
      readonly side: "client" | "server"
      /** The facts about the connection below. */
      readonly info: ConnectionInfo
    }
  | {
      readonly _tag: "HandshakeSucceeded"
      /** The number of the connection. */
      readonly id: number
      /** Which side of the handshake this is. */
      readonly side: "client" | "server"
      /** The facts about the connection, those of TLS among them. */
      readonly info: ConnectionInfo
    }
  | {
      readonly _tag: "HandshakeFailed"
      /** The number of the connection. */
      readonly id: number
      /** Which side of the handshake this is. */
      readonly side: "client" | "server"
      /** The facts about the connection below. */
      readonly info: ConnectionInfo
      /** The failure. `undefined`: the program gave up. */
      readonly error: TlsFailed | undefined
    }

/**
 * An event of a connection, from `Opened` to `Closed`.
 *
 * **Details**
 *
 * - `Opened` comes first, and once.
 * - `Admitted`: a client that waited for a place in a server is served from now on.
 * - `Paused` and `Resumed` take turns in each direction. A direction that is paused at the end has no `Resumed`.
 * - `TimedOut`: a bound on waiting has struck. `kind` says which. Only a read's own does not end the connection.
 * - `Ended`: the peer has ended its output.
 * - `Failed`: the connection broke, in one direction or both, or a bound on waiting ended it. Comes once. The error is the
 *   one that `connection.closed` tells; where TLS broke, the one that reads fail with.
 * - `Upgraded`: TLS has begun, or has ended. `connection.info` says which.
 * - `Closing`: this side has begun to close. What was written is still sent.
 * - `Closed` comes last, and once: nothing is sent or received any more. `outcome` is what `close` answers.
 *
 * @see {@link Event}
 *
 * @stability unstable
 * @category events
 * @since 0.1.0
 */
export type ConnectionEvent =
  | {
      readonly _tag: "Opened" | "Admitted" | "Ended" | "Upgraded" | "Closing"
      /** The connection. */
      readonly connection: ObservedConnection
    }
  | {
      readonly _tag: "Paused" | "Resumed"
      /** The connection. */
      readonly connection: ObservedConnection
      /** The direction that is held back, or flows again. */
      readonly direction: Direction
      /** The reason for which it is, or was, held back. */
      readonly reason: PauseReason
    }
  | {
      readonly _tag: "TimedOut"
      /** The connection. */
      readonly connection: ObservedConnection
      /** Which bound has struck. */
      readonly kind: StreamTimeout["kind"]
      /** The bound. */
      readonly duration: Duration.Duration
    }
  | {
      readonly _tag: "Failed"
      /** The connection. */
      readonly connection: ObservedConnection
      /** What broke it. */
      readonly error: ConnectionLost | StreamTimeout | TlsFailed
    }
  | {
      readonly _tag: "Closed"
      /** The connection. */
      readonly connection: ObservedConnection
      /** How it ended. */
      readonly outcome: CloseOutcome
    }

/**
 * An event of a server.
 *
 * **Details**
 *
 * - `Listening` comes first.
 * - `AcceptFailed`: the system could not accept a connection.
 * - `Rejected`: a client was turned away, because no place was free and none could be waited for, or because the server
 *   shuts down. There is no other event of that connection, except those of its handshake.
 * - `ShutdownStarted` and `ShutdownEnded`: the server does not listen any more, and those it served are gone.
 *
 * @see {@link Event}
 *
 * @stability unstable
 * @category events
 * @since 0.1.0
 */
export type ServerEvent =
  | {
      readonly _tag: "Listening"
      /** The addresses that are listened on, with the chosen ports. */
      readonly addresses: ReadonlyArray<SocketAddress>
    }
  | {
      readonly _tag: "AcceptFailed"
      /** What the system said. */
      readonly failure: Failure
    }
  | {
      readonly _tag: "Rejected"
      /** The number that the connection had in its handshake, or would have had. */
      readonly id: number
      /** The facts about the connection. */
      readonly info: ConnectionInfo
      /** Why: no place, or a server that shuts down. */
      readonly reason: "Full" | "ShuttingDown"
    }
  | {
      readonly _tag: "ShutdownStarted"
      /** The addresses that were listened on. */
      readonly addresses: ReadonlyArray<SocketAddress>
      /** The time that handlers have to finish. */
      readonly gracePeriod: Duration.Duration
    }
  | {
      readonly _tag: "ShutdownEnded"
      /** The addresses that were listened on. */
      readonly addresses: ReadonlyArray<SocketAddress>
      /** The number of handlers that finished within the grace period. */
      readonly completed: number
      /** The number of handlers that were cut off. */
      readonly aborted: number
    }

/**
 * What an observer is told of, beside bytes and waits.
 *
 * @see {@link Observer}
 *
 * @stability unstable
 * @category events
 * @since 0.1.0
 */
export type Event = OpeningEvent | ConnectionEvent | ServerEvent

// ---------------------------------------------------------------------------
// observers
// ---------------------------------------------------------------------------

/**
 * What is told of what passes. Every member is optional, and what is left out costs nothing.
 *
 * **Details**
 *
 * The members are called where the thing happens, outside of any fiber, often in the middle of a read or a write. So they
 * must be quick, and must not use the connection. They keep no bytes: the memory is used again. A member that throws costs
 * nobody anything, also one that is an async function: that is logged once for each connection, at level `Error`.
 *
 * @see {@link layer} to observe, {@link merge} for several of them.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Observer {
  /** Told of everything that happens a few times in the life of a connection or a server. */
  readonly onEvent?: ((event: Event) => void) | undefined
  /**
   * Told of bytes: those that arrive before a read sees them, those that go out when they are given to the system. Over
   * TLS these are bytes of plain text. They are valid until this returns.
   */
  readonly onBytes?: ((connection: ObservedConnection, direction: Direction, bytes: Uint8Array) => void) | undefined
  /** Told that a read begins to wait for more than there is. */
  readonly onReadStarted?: ((connection: ObservedConnection, operation: string) => void) | undefined
  /** Told that the read waits no more: it has an answer, has failed, or was given up. */
  readonly onReadEnded?: ((connection: ObservedConnection, operation: string) => void) | undefined
  /**
   * Makes what the handler of a server's connection has in its context beside its own services: annotations of its logs,
   * the span that its spans are part of. Called once for each connection that is served. What is made takes precedence
   * over `context`, which the handler has already: whoever adds to a value, as to annotations, finds it there.
   */
  readonly handlerContext?:
    | ((connection: ObservedConnection, context: Context.Context<never>) => Context.Context<never>)
    | undefined
}

/**
 * The observer in force. Default: none.
 *
 * @see {@link layer} to set one.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export const Observer: Context.Reference<Observer | undefined> = Observing.Observer

/**
 * Makes one observer of several. Each is told of everything, in the order in which they are given; one that throws does
 * not keep the others from being told.
 *
 * **Example** (Two observers)
 *
 * ```ts
 * import { Observer } from "effect-byte-streams"
 *
 * const both = Observer.merge({ onEvent: (event) => console.log(event._tag) }, { onBytes: () => {} })
 * console.log(Object.keys(both)) // => [ 'onEvent', 'onBytes' ]
 * ```
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category combinators
 * @since 0.1.0
 */
export const merge = (...observers: ReadonlyArray<Observer>): Observer => mergeAll(observers.map(checked("merge")))

/**
 * Adds an observer to the one that is in force.
 *
 * **Gotchas**
 *
 * The observers of layers that stand side by side, in `Layer.mergeAll`, do not add up: the last one is in force alone. Put
 * one on top of the other, with `Layer.provideMerge`.
 *
 * **Example** (Counting bytes)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { NodeNetwork, Observer, openConnection, startServer } from "effect-byte-streams"
 *
 * let arrived = 0
 * const counting = Observer.layer({
 *   onBytes: (_, direction, bytes) => {
 *     if (direction === "in") arrived += bytes.length
 *   }
 * })
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ writer }) => writer.write("welcome\n"))
 *   const { reader } = yield* openConnection({ host: "127.0.0.1", port: server.port })
 *   yield* reader.readLine
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Layer.merge(NodeNetwork.layer, counting))))
 * console.log(arrived) // => 8
 * ```
 *
 * @see {@link merge}, `Wiretap.layer`, `Telemetry.layer`
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (observer: Observer): Layer.Layer<never> =>
  Layer.effect(
    Observer,
    Effect.map(Effect.service(Observer), (current) => {
      const added = checked("layer")(observer)
      return current === undefined ? added : mergeAll([current, added])
    })
  )

const checked =
  (name: string) =>
  (observer: Observer): Observer => {
    const operation = `Observer.${name}`
    Argument.record(operation, "observer", observer)
    for (const member of members) {
      const given = observer[member]
      if (given !== undefined) Argument.func(operation, `observer.${member}`, given)
    }
    return observer
  }

const members = ["onEvent", "onBytes", "onReadStarted", "onReadEnded", "handlerContext"] as const
