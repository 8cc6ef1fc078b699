/** What the laws of exchanges are about: a client and the server it talks to. */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Connection } from "../../../Connection.ts"

/** See `ExchangeLaws.Client`. */
export interface Client {
  readonly call: (token: string) => Effect.Effect<string, unknown>
  readonly inFlight?: Effect.Effect<number> | undefined
}

/** See `ExchangeLaws.Request`. */
export interface Request {
  readonly token: string
  readonly id?: unknown
}

/** See `ExchangeLaws.Cancellation`. */
interface Cancellation {
  readonly cancels: unknown
}

/** See `ExchangeLaws.Server`. */
export interface Server {
  readonly receive: Effect.Effect<Option.Option<Request | Cancellation>, unknown>
  readonly answer: (request: Request, token: string) => Effect.Effect<void, unknown>
  readonly stray: (token: string) => Effect.Effect<void, unknown>
}

/** See `ExchangeLaws.Subject`. */
export interface Subject<E, R> {
  readonly shape: "pipelined" | "multiplexed"
  readonly client: (
    connection: Connection,
    options: { readonly maxInFlight: number }
  ) => Effect.Effect<Client, E, R | Scope.Scope>
  readonly server: (connection: Connection) => Effect.Effect<Server, E, R | Scope.Scope>
  readonly maxInFlight?: number | undefined
  readonly answersCancelled?: boolean | undefined
  readonly sent?: ((error: unknown) => "No" | "Maybe" | undefined) | undefined
  readonly isViolation?: ((error: unknown) => boolean) | undefined
}

/** One that needs nothing. */
export type AnySubject = Subject<unknown, never>
