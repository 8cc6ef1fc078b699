/**
 * A transport over a child process, as Effect's `ChildProcess` has it: what the process says is a `Stream`, what it is told
 * goes into a `Sink`.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { ChildProcessHandle } from "effect/process/ChildProcessSpawner"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { exitNoticeMillis, killTimeout } from "../base/defaults.ts"
import { afterRound, timeoutOption } from "../runtime/deadline.ts"
import { processExit } from "./failure.ts"
import { type Source, SourceReadable, type Target, TargetWritable } from "./halves.ts"
import { PairTransport } from "./pair.ts"

type Run = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** What a fiber comes to, as a promise. */
const settled = <A, E>(fiber: Fiber.Fiber<A, E>): Promise<Exit.Exit<A, E>> =>
  new Promise((resolve) => void fiber.addObserver(resolve))

const nothing = (): void => {}

// ------------------------------------------------------------------------
// what the process says
// ------------------------------------------------------------------------

type NextPieces = Pull.Pull<ReadonlyArray<Uint8Array>, unknown>

class Output implements Source {
  private readonly handle: ChildProcessHandle
  private readonly run: Run
  private readonly noticeMillis: number
  private readonly scope = Scope.makeUnsafe()
  private pull: NextPieces | undefined = undefined
  private reading: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Told if the process has exited. */
  exited: (error: Error) => void = nothing

  constructor(handle: ChildProcessHandle, run: Run, noticeMillis: number) {
    this.handle = handle
    this.run = run
    this.noticeMillis = noticeMillis
  }

  async next(): Promise<ReadonlyArray<unknown> | undefined> {
    const fiber = this.run(this.pull ?? this.begin)
    this.reading = fiber
    const exit = await settled(fiber)
    if (Exit.isSuccess(exit)) return exit.value
    const error = Cause.squash(exit.cause)
    if (!Cause.isDone(error)) throw error
    const broken = await this.exit()
    if (broken !== undefined) throw broken
    return undefined
  }

  private get begin(): NextPieces {
    return Effect.flatMap(Scope.provide(Stream.toPull(this.handle.stdout), this.scope), (pull) => {
      this.pull = pull
      return pull
    })
  }

  /**
   * Why the end of the output is none. The process is given some time to exit: its output ends before it does, and a
   * process that broke off must not look complete.
   */
  private exit(): Promise<Error | undefined> {
    return new Promise((resolve) => {
      const fiber = this.run(this.handle.exitCode)
      const goesOn = setTimeout(() => afterRound(() => resolve(undefined)), this.noticeMillis)
      fiber.addObserver((exit) => {
        clearTimeout(goesOn)
        const error = Exit.isFailure(exit)
          ? brokenOff("the process was ended", Cause.squash(exit.cause))
          : brokenOff(`the process exited with code ${exit.value}`)
        this.exited(notRead(error))
        resolve(Exit.isSuccess(exit) && exit.value === 0 ? undefined : error)
      })
    })
  }

  cancel(): void {
    this.reading?.interruptUnsafe()
    this.run(Scope.close(this.scope, Exit.void))
  }
}

/** The process has ended, and has not said that this was its end. */
const brokenOff = (message: string, cause?: unknown): Error =>
  Object.assign(new Error(message, { cause }), { code: processExit })

/** What the process is told is lost. */
const notRead = (cause: unknown): Error =>
  Object.assign(new Error("the process does not read its input any more", { cause }), { code: "EPIPE" })

// ------------------------------------------------------------------------
// what the process is told
// ------------------------------------------------------------------------

interface Asked {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** The sink is run by one fiber, from the first chunk on. It has passed a chunk on once it asks for the next one. */
class Input implements Target {
  private readonly handle: ChildProcessHandle
  private readonly run: Run
  private fiber: Fiber.Fiber<void, unknown> | undefined = undefined
  private chunk: Uint8Array | undefined = undefined
  private passing: Asked | undefined = undefined
  private ending: Asked | undefined = undefined
  private wanted: ((next: Pull.Pull<readonly [Uint8Array]>) => void) | undefined = undefined
  /** What broke the sink. */
  private broken: Error | undefined = undefined
  /** Told if that happens while nobody waits for it. */
  left: (error: Error) => void = nothing

  constructor(handle: ChildProcessHandle, run: Run) {
    this.handle = handle
    this.run = run
  }

  private readonly next: Pull.Pull<readonly [Uint8Array]> = Effect.callback((resume) => {
    const { passing } = this
    this.passing = undefined
    passing?.resolve()
    this.wanted = resume
    this.give()
    return Effect.sync(() => {
      this.wanted = undefined
    })
  })

  /** Hands over what there is to somebody who asks. */
  private give(): void {
    const { chunk, wanted } = this
    if (wanted === undefined) return
    if (chunk !== undefined) {
      this.chunk = undefined
      this.wanted = undefined
      wanted(Effect.succeed([chunk]))
    } else if (this.ending !== undefined) {
      this.wanted = undefined
      wanted(Cause.done())
    }
  }

  private begin(): void {
    if (this.fiber !== undefined) return
    this.fiber = this.run(Stream.run(Stream.fromPull(Effect.succeed(this.next)), this.handle.stdin))
    this.fiber.addObserver((exit) => this.over(exit))
  }

  private over(exit: Exit.Exit<void, unknown>): void {
    if (Exit.isSuccess(exit) && this.ending !== undefined && this.chunk === undefined) return this.ending.resolve()
    const error = notRead(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined)
    this.broken = error
    const asked = this.passing ?? this.ending
    if (asked === undefined) this.left(error)
    else asked.reject(error)
  }

  write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.broken !== undefined) return reject(this.broken)
      this.passing = { resolve, reject }
      this.chunk = chunk
      this.begin()
      this.give()
    })
  }

  end(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.broken !== undefined) return reject(this.broken)
      this.ending = { resolve, reject }
      this.begin()
      this.give()
    })
  }

  abort(): void {
    this.broken ??= new Error("this side has aborted the connection")
    this.left = nothing
    this.fiber?.interruptUnsafe()
  }
}

// ------------------------------------------------------------------------
// both
// ------------------------------------------------------------------------

export class ProcessTransport extends PairTransport {
  private readonly handle: ChildProcessHandle
  private readonly run: Run
  private readonly exitTimeout: Duration.Duration
  private closed = false
  private killing: Promise<unknown> | undefined = undefined

  constructor(
    handle: ChildProcessHandle,
    services: Context.Context<never>,
    exitTimeout: Duration.Duration,
    noticeMillis: number
  ) {
    const run: Run = Effect.runForkWith(services)
    const output = new Output(handle, run, noticeMillis)
    const input = new Input(handle, run)
    const writable = new TargetWritable(input)
    input.left = (error) => writable.left(error)
    output.exited = (error) => writable.left(error)
    super({ readable: new SourceReadable(output), writable })
    this.handle = handle
    this.run = run
    this.exitTimeout = exitTimeout
  }

  override close(unread?: boolean): void {
    this.closed = true
    super.close(unread)
  }

  override abort(): void {
    this.fallSilent()
    // not before it is gone: a process whose input ends might take that for complete
    void this.kill().then(() => super.abort())
  }

  private kill(): Promise<unknown> {
    const { exitTimeout, handle } = this
    return (this.killing ??= settled(
      this.run(
        timeoutOption(
          Effect.flatMap(handle.isRunning, (running) =>
            running ? handle.kill({ forceKillAfter: exitTimeout }) : Effect.void
          ),
          Duration.sum(exitTimeout, killTimeout)
        )
      )
    ))
  }

  /** Ends the process: one whose input has ended in good order may do that by itself. */
  readonly finish: Effect.Effect<void> = Effect.suspend(() => {
    const killed = Effect.asVoid(Effect.promise(() => this.kill()))
    if (!this.closed || this.killing !== undefined) return killed
    return Effect.flatMap(
      timeoutOption(Effect.interruptible(Effect.exit(this.handle.exitCode)), this.exitTimeout),
      (exit) => (Option.isSome(exit) ? Effect.void : killed)
    )
  })
}

/** The scope ends the process, behind the connection. */
export const open = (
  handle: ChildProcessHandle,
  exitTimeout: Duration.Duration,
  noticeMillis = exitNoticeMillis
): Effect.Effect<ProcessTransport, never, Scope.Scope> =>
  Effect.contextWith((services: Context.Context<never>) => {
    const transport = new ProcessTransport(handle, services, exitTimeout, noticeMillis)
    return Effect.as(
      Effect.addFinalizer(() => transport.finish),
      transport
    )
  })
