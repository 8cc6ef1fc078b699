/**
 * TLS as transports and networks need it. What speaks it is in `node/tls`, and large: programs without TLS never load it.
 */
import * as Effect from "effect/Effect"
import type { ListenOptions } from "../../Network.ts"
import type * as Tls from "../../Tls.ts"
import type { Transport } from "../../Transport.ts"
import { type ListenFailed, TlsFailed } from "../base/errors.ts"
import { codeOf } from "./failure.ts"

/** What there is to know where TLS is not the beginning of the connection. */
export interface Upgrade {
  /** What the peer has said in TLS already. */
  readonly leftover?: ReadonlyArray<Uint8Array>
  readonly stoppable?: boolean | undefined
}

/** One side of TLS, over transports that nobody is attached to. A transport is aborted unless it succeeds. */
export type Secure = (transport: Transport, upgrade?: Upgrade) => Effect.Effect<Transport, TlsFailed>

export interface TlsEngine {
  /** The client's side of one connection to `host`. Fails where the options cannot work with any server. */
  client(operation: string, options: Tls.ClientOptions, host: string | undefined): Effect.Effect<Secure, TlsFailed>
  /** The server's side of all connections of a listener. */
  listening(options: ListenOptions, tls: Tls.ServerOptions): Effect.Effect<Secure, ListenFailed>
  /** An upgrade of a connection to `host`, if that is known. The transport is aborted unless it succeeds. */
  startTls(
    transport: Transport,
    options: Tls.StartTlsOptions,
    host: string | undefined,
    upgrade: Upgrade
  ): Effect.Effect<Transport, TlsFailed>
}

/** Loads it, when it is first needed. Dies of what the system has against that. */
export type LoadTls = Effect.Effect<TlsEngine>

/** Fails instead: the system may have no descriptor left to read it by, and has one later. */
export const loadedFor = (operation: string, load: LoadTls): Effect.Effect<TlsEngine, TlsFailed> =>
  Effect.catchDefect(load, (cause) =>
    Effect.fail(new TlsFailed({ operation, kind: "Handshake", code: codeOf(cause), cause }))
  )
