/** An observer whose lines are written to files, by a fiber of its own: no connection waits for that. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Latch from "effect/Latch"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import type { Observer } from "../../Observer.ts"
import * as Defaults from "../base/defaults.ts"
import { tellNow } from "../base/othersWait.ts"
import * as Lines from "./lines.ts"
import { PendingLines } from "./pendingLines.ts"
import { RotatingFile } from "./rotatingFile.ts"
import { type TapOptions, Taps } from "./taps.ts"
import type { Line } from "./transcript.ts"

export interface TranscriptOptions extends TapOptions {
  readonly path: string
  readonly maxBytes: number
  readonly maxFiles: number
  readonly maxPending: number
  readonly flushTimeout: Duration.Duration
}

/** The observer. Its files are closed with the scope. */
export const transcript = (
  options: TranscriptOptions
): Effect.Effect<Observer, PlatformError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const file = new RotatingFile(yield* FileSystem.FileSystem, options.path, options.maxFiles)
    const clock = Context.get(context, Clock.Clock)
    // an interruption finds either no open file, or one that the scope closes
    const writing = yield* Effect.uninterruptibleMask((restore) =>
      Effect.onError(restore(file.prepare), () => file.close).pipe(
        Effect.map(() => new Writing(context, file, options)),
        Effect.tap((writing) => Effect.addFinalizer(() => writing.end))
      )
    )
    const taps = new Taps(options)
    const now = (): number => clock.currentTimeMillisUnsafe()
    return {
      onEvent: (event) => {
        if (taps.isLeftOut(event)) return
        const time = now()
        if ("connection" in event && taps.of(event.connection, time) === undefined) return
        const line = Lines.ofEvent(time, event)
        if (line !== undefined) writing.add(line)
      },
      onBytes: (connection, direction, bytes) => {
        const time = now()
        const tap = taps.of(connection, time)
        if (tap === undefined) return
        const { ranges } = tap.pass(direction, bytes)
        for (const line of Lines.ofBytes(time, connection, direction, bytes, ranges, Defaults.transcriptLineBytes)) {
          writing.add(line)
        }
      }
    }
  })

class Writing {
  private readonly context: Context.Context<never>
  private readonly file: RotatingFile
  private readonly options: TranscriptOptions
  private readonly pending: PendingLines
  private readonly fiber: Fiber.Fiber<void>
  private readonly some = Latch.makeUnsafe(false)
  private readonly ending = Latch.makeUnsafe(false)
  /** Whether the log says already that nothing can be written. */
  private complained = false
  private waking = false

  constructor(context: Context.Context<never>, file: RotatingFile, options: TranscriptOptions) {
    this.context = context
    this.file = file
    this.options = options
    const clock = Context.get(context, Clock.Clock)
    this.pending = new PendingLines(options.maxPending, (lines) =>
      Lines.encode({ time: clock.currentTimeMillisUnsafe(), id: 0, type: "missing", lines })
    )
    this.fiber = Effect.runForkWith(context)(this.work)
  }

  add(line: Line): void {
    if (this.ending.isOpen()) return
    this.pending.add(Lines.encode(line))
    if (this.waking) return
    this.waking = true
    // not here: a file system may do anything
    queueMicrotask(() => this.some.openUnsafe())
  }

  /** Writes what is left, unless that takes too long. */
  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      // what has passed is written, also where it has yet to be told
      tellNow()
      this.ending.openUnsafe()
      this.some.openUnsafe()
      return Effect.andThen(
        endOf(this.fiber, Duration.toMillis(this.options.flushTimeout)),
        Effect.suspend(() => {
          const { unwritten } = this.pending
          return unwritten === 0
            ? Effect.void
            : Effect.logWarning(`${unwritten} lines at the end of the transcript ${this.options.path} are lost`)
        })
      )
    })
  }

  private get work(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        yield* this.some.await
        this.some.closeUnsafe()
        this.waking = false
        while (!this.pending.isEmpty) {
          const failure = yield* this.write
          if (failure === undefined) this.complained = false
          else {
            yield* this.complain(failure)
            if (this.ending.isOpen()) return
            yield* Effect.raceFirst(Effect.sleep(Defaults.transcriptRetryPause), this.ending.await)
          }
        }
        if (this.ending.isOpen()) return
      }
    }).pipe(Effect.ensuring(this.file.close))
  }

  /** Writes the first lines, and has what went wrong. */
  private get write(): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      const { file, pending } = this
      let lines = this.fitting
      if (lines.length === 0) {
        file.rotate()
        lines = this.fitting
      }
      return Effect.map(file.append(lines), () => pending.drop(lines.length))
    }).pipe(
      Effect.as(undefined),
      Effect.catchCause((cause) => Effect.succeed(cause))
    )
  }

  /** A line that is longer than a file has one of its own. */
  private get fitting(): ReadonlyArray<Uint8Array> {
    const { size } = this.file
    return this.pending.first(this.options.maxBytes - size, Defaults.transcriptWriteBytes, size === 0)
  }

  private complain(cause: unknown): Effect.Effect<void> {
    if (this.complained) return Effect.void
    this.complained = true
    return Effect.logWarning(`the transcript ${this.options.path} cannot be written`, cause)
  }
}

/** Waits for a fiber in real time, as files do, whatever the clock of the program is; then gives it up. */
const endOf = (fiber: Fiber.Fiber<void>, millis: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const timer = setTimeout(
      () => {
        fiber.interruptUnsafe()
        resume(Effect.void)
      },
      Math.min(millis, maxTimer)
    )
    fiber.addObserver(() => {
      clearTimeout(timer)
      resume(Effect.void)
    })
  })

/** The longest time that a timer can be set to. */
const maxTimer = 2 ** 31 - 1
