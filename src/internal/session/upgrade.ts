/**
 * STARTTLS, and its opposite: what becomes of a connection whose transport is changed, and of its bytes.
 *
 * Bytes that were written go out before the change. Bytes that were read ahead came in plain text, and anybody may have
 * put them there: they fail the upgrade, unless the program says that TLS begins with them (`leftover`). They never become
 * bytes that TLS has delivered.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { WriteError } from "../../StreamError.ts"
import type { StartTlsOptions } from "../../Tls.ts"
import type { Transport } from "../../Transport.ts"
import { ClosedStream, TlsFailed } from "../base/errors.ts"
import { CurrentOpening, Opening } from "../base/observing.ts"
import { checkStartTls } from "../base/tlsOptions.ts"
import { Flush } from "../write/writes.ts"
import { owned } from "./closing.ts"
import type { Session } from "./session.ts"

/** A connection that is upgraded, or the one that comes of it. */
interface Upgradable {
  readonly session: Session
  endWith(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown>
}

/** Makes the connection that goes on over another transport. */
type Renew<C> = (transport: Transport) => C

/** The result of a change: another transport, and the bytes that come before all that it delivers. */
interface Changed {
  readonly transport: Transport
  /** What was read ahead, and what comes behind that. To be asked once somebody is attached to the transport. */
  readonly leftover: () => { readonly ahead: ReadonlyArray<Uint8Array>; readonly behind: ReadonlyArray<Uint8Array> }
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

type Upgrade<C> = Effect.Effect<C, TlsFailed | WriteError, Scope.Scope>

export const startTls = <C extends Upgradable>(
  session: Session,
  options: StartTlsOptions,
  renew: Renew<C>
): Upgrade<C> =>
  Effect.suspend(() => {
    // before anything happens
    checkStartTls("startTls", options)
    const { transport } = session
    const startTls = transport.startTls?.bind(transport)
    if (startTls === undefined) return unsupported("startTls")
    return handOver("startTls", session, renew, (leftover) => {
      if (leftover.length > 0 && options.leftover !== "feedTls") {
        return Effect.fail(new TlsFailed({ operation: "startTls", kind: "InjectedPlaintext", peer: session.peer }))
      }
      return Effect.map(startTls(options, leftover), (transport) => ({
        transport,
        leftover: () => ({ ahead: [], behind: [] })
      }))
    })
  })

/** Bytes that TLS delivered and nobody has read come first, and then those that the peer sends in plain text. */
export const stopTls = <C extends Upgradable>(session: Session, renew: Renew<C>): Upgrade<C> => {
  const { transport } = session
  const stopTls = transport.stopTls?.bind(transport)
  if (stopTls === undefined) return unsupported("stopTls")
  return handOver("stopTls", session, renew, (leftover) =>
    Effect.map(stopTls(), (stopped) => ({
      transport: stopped.transport,
      leftover: () => ({ ahead: leftover, behind: stopped.leftover() })
    }))
  )
}

const unsupported = (operation: string): Effect.Effect<never, TlsFailed> =>
  Effect.fail(new TlsFailed({ operation, kind: "Unsupported" }))

/** Gives the transport to a new connection, behind everything that was written. */
const handOver = <C extends Upgradable>(
  operation: string,
  session: Session,
  renew: Renew<C>,
  change: (leftover: ReadonlyArray<Uint8Array>) => Effect.Effect<Changed, TlsFailed>
): Upgrade<C> => {
  const { writes } = session
  // a close or an abort of this handle meanwhile gives up the change
  const givenUp = Effect.flatMap(session.awaitOutcome, () =>
    Effect.fail(new ClosedStream({ operation, reason: "Aborted" }))
  )
  const flush = new Flush(writes, operation)
  const begin = (restore: Restore): Effect.Effect<Changed, TlsFailed | WriteError> =>
    Effect.suspend(() => {
      // also what others wrote while the flush was waited for; and nobody can write between this and what follows
      if (writes.buffered > 0 || writes.isOver) {
        return Effect.flatMap(restore(flush), () =>
          writes.ending === "Eof" ? Effect.fail(new ClosedStream({ operation, reason: "Eof" })) : begin(restore)
        )
      }
      // from here on there is no way back
      const { told } = session
      const leftover = session.detach()
      let changed = change(leftover)
      if (told !== undefined) {
        told.upgrading = new Opening(told.teller, told.id)
        changed = Effect.provideService(changed, CurrentOpening, told.upgrading)
      }
      return Effect.onExit(restore(Effect.raceFirst(changed, givenUp)), (exit) => {
        session.detachEnded()
        if (Exit.isSuccess(exit)) return Effect.void
        const error = Exit.findErrorOption(exit)
        if (Option.isSome(error) && error.value._tag === "TlsFailed") told?.failed(error.value)
        return session.abort
      })
    })
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(begin(restore), ({ leftover, transport }) => {
      const connection = renew(transport)
      session.succeed(connection.session)
      const { ahead, behind } = leftover()
      for (const bytes of ahead) connection.session.replay(bytes)
      for (const bytes of behind) connection.session.onData(bytes)
      return owned(connection)
    })
  )
}
