/** The log of a server: of each kind of thing at most one line a second, with a count of those that were left out. */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as NetAddress from "effect/net/NetAddress"
import * as References from "effect/References"
import type { TlsFailed } from "../../StreamError.ts"
import type { ConnectionInfo, Failure } from "../../Transport.ts"
import { logSpan } from "../base/defaults.ts"
import * as Endpoint from "../base/endpoint.ts"
import * as HandlerExit from "./handlerExit.ts"

/** A line: what it says, with how many others it stands for. */
type Line = (others: string) => ReadonlyArray<unknown>

/** Lines of one kind. Of those that come within a second of another the last one is logged, at its end. */
class Lines {
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly level: LogLevel.Severity
  private loggedAt = -Infinity
  /** What is logged next, and how many were left out beside it. */
  private next: Line | undefined = undefined
  private others = 0
  private timer: Fiber.Fiber<unknown> | undefined = undefined

  constructor(context: Context.Context<never>, level: LogLevel.Severity) {
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.level = level
  }

  log(line: Line): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.enabled) return Effect.void
      if (this.next !== undefined) this.others++
      this.next = line
      const wait = this.wait()
      if (wait <= 0) return this.take()
      this.timer ??= Effect.runForkWith(this.context)(
        Effect.andThen(
          Effect.sleep(Math.ceil(wait)),
          Effect.suspend(() => {
            this.timer = undefined
            return this.take()
          })
        )
      )
      return Effect.void
    })
  }

  /** Logs a line that stands for no others, or nothing. */
  logAtMost(...message: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.enabled || this.wait() > 0) return Effect.void
      this.loggedAt = this.now()
      return Effect.logWithLevel(this.level)(...message)
    })
  }

  /** Logs at once what waits for the end of its second. */
  flush(): void {
    if (this.next !== undefined) Effect.runForkWith(this.context)(this.take())
  }

  private take(): Effect.Effect<void> {
    const { next, others } = this
    this.timer?.interruptUnsafe()
    this.timer = undefined
    this.next = undefined
    this.others = 0
    this.loggedAt = this.now()
    return next === undefined ? Effect.void : Effect.logWithLevel(this.level)(...next(andOthers(others)))
  }

  /** How long no line may be logged. */
  private wait(): number {
    return this.loggedAt + logSpan - this.now()
  }

  /** Whether anybody sees the lines; nobody counts them otherwise. */
  private get enabled(): boolean {
    return !LogLevel.isGreaterThan(Context.get(this.context, References.MinimumLogLevel), this.level)
  }

  private now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
  }
}

const andOthers = (others: number): string => (others === 0 ? "" : ` (and ${others} more within a second)`)

export class ServerLog {
  private readonly ends: Lines
  private readonly failures: Lines
  private readonly handshakes: Lines
  private readonly accepts: Lines

  constructor(context: Context.Context<never>) {
    this.ends = new Lines(context, "Debug")
    this.failures = new Lines(context, "Error")
    this.handshakes = new Lines(context, "Warn")
    this.accepts = new Lines(context, "Warn")
  }

  handlerFailed(cause: Cause.Cause<unknown>, exit: HandlerExit.HandlerExit, info: ConnectionInfo): Effect.Effect<void> {
    switch (exit) {
      case "Told":
        return Effect.void
      case "Peer": {
        const ended = HandlerExit.described(cause)
        return this.ends.log((others) => [
          `${about("a connection", "the connection of", ended, info)} ended: ${ended}${others}`
        ])
      }
      case "Handshake":
        return this.handshakeLost(HandlerExit.described(cause), info)
      case "Program":
        return this.failures.log((others) => [`handler of ${describe(info)} failed${others}`, cause])
    }
  }

  handshakeFailed(error: TlsFailed, info: ConnectionInfo): Effect.Effect<void> {
    return this.handshakeLost(error.message, info)
  }

  private handshakeLost(reason: string, info: ConnectionInfo): Effect.Effect<void> {
    return this.handshakes.log((others) => [
      `${about("handshake", "handshake with", reason, info)} failed: ${reason}${others}`
    ])
  }

  /** The system could not accept, and goes on trying. */
  acceptFailed(failure: Failure): Effect.Effect<void> {
    return this.accepts.logAtMost(`accept failed: ${failure.code ?? failure.kind}`)
  }

  /** Nothing more is to come. */
  flush(): void {
    for (const lines of [this.ends, this.failures, this.handshakes]) lines.flush()
  }
}

/** What ended or failed, and whose it was, unless the reason says so as well. */
const about = (what: string, of: string, reason: string, info: ConnectionInfo): string => {
  const peer = Endpoint.peerOf(info)
  return peer !== undefined && reason.includes(peer) ? what : `${of} ${describe(info)}`
}

const describe = (info: ConnectionInfo): string => {
  const address = info.remote ?? info.local
  if (address === undefined) return "a client"
  return address._tag === "UnixPathAddress" ? `a client of ${address.path}` : NetAddress.formatInet(address)
}
