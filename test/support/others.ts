/** Subjects for the laws, over streams of others: those of the Web, and processes as Effect has them. */
import { NodeSink, NodeStream } from "@effect/platform-node"
import { Cause, Deferred, Effect, PlatformError, type Scope, Sink } from "effect"
import { ChildProcessSpawner } from "effect/process"
import { PassThrough, Writable } from "node:stream"
import { exitTimeout } from "../../src/internal/base/defaults.ts"
import { open as processTransport } from "../../src/internal/transport/process.ts"
import { toTransport as webTransport } from "../../src/internal/transport/webStreams.ts"
import * as StreamLaws from "../../src/testing/StreamLaws.ts"
import type { Subject } from "./laws.ts"
import * as WebStreams from "./webStreams.ts"

// ---------------------------------------------------------------------------
// streams of the Web
// ---------------------------------------------------------------------------

/** Two ends that are made of two one-way pipes. */
export const overPipes = (name: string, pipe: () => WebStreams.WebStreams): Subject => ({
  name,
  transports: Effect.sync(() => {
    const { left, right } = WebStreams.crossed(pipe)
    return {
      left: webTransport(left.readable, left.writable),
      right: webTransport(right.readable, right.writable)
    }
  }),
  pair: (options) => WebStreams.overPipes(pipe)(options)
})

export const thereAndBack = <E>(name: string, pair: StreamLaws.MakePair<E>): Subject => ({
  name,
  pair: (options) => WebStreams.thereAndBack(pair)(options)
})

export const noRoom = "a TransformStream without room takes nothing before somebody reads"

// ---------------------------------------------------------------------------
// processes
// ---------------------------------------------------------------------------

const brokenPipe = (): Error => Object.assign(new Error("write EPIPE"), { code: "EPIPE" })

/** One process in the middle, which passes on what each end tells it, and whose pipes are those that Effect makes of Node's. */
const passingOn = Effect.sync(() => {
  const [there, back] = [new PassThrough(), new PassThrough()]
  const exit = Deferred.makeUnsafe<ChildProcessSpawner.ExitCode, PlatformError.PlatformError>()
  const failure = (method: string, cause: unknown) =>
    PlatformError.systemError({ _tag: "Unknown", module: "ChildProcess", method, cause })
  // it exits by itself once it has nothing more to pass on
  let open = 2
  for (const pipe of [there, back]) {
    pipe.on("error", () => {})
    pipe.on("finish", () => {
      if (--open === 0) Deferred.doneUnsafe(exit, Effect.succeed(ChildProcessSpawner.ExitCode(0)))
    })
  }
  // the pipes that it is told things by go with it, and what nobody has read by then is not read any more
  const inputs: Array<Writable> = []
  const inputTo = (told: PassThrough) => {
    const input = new Writable({
      write: (chunk, _, done) => void (told.write(chunk) ? done() : told.once("drain", done)),
      final: (done) => void told.end(done)
    })
    input.on("error", () => {})
    told.on("close", () => input.writableFinished || input.destroy(brokenPipe()))
    inputs.push(input)
    return input
  }
  const end = (told: Writable, telling: PassThrough) =>
    ChildProcessSpawner.makeHandle({
      pid: ChildProcessSpawner.ProcessId(1),
      exitCode: Deferred.await(exit),
      isRunning: Effect.sync(() => !Deferred.isDoneUnsafe(exit)),
      // it dies a moment later
      kill: () =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => {
            Deferred.doneUnsafe(exit, Effect.fail(failure("exitCode", new Error("SIGTERM"))))
            for (const input of inputs) input.destroy(brokenPipe())
            there.end()
            back.end()
          })
        ),
      stdin: NodeSink.fromWritable({ evaluate: () => told, onError: (cause) => failure("stdin", cause) }),
      stdout: NodeStream.fromReadable({ evaluate: () => telling, onError: (cause) => failure("stdout", cause) }),
      stderr: NodeStream.fromReadable({
        evaluate: () => new PassThrough(),
        onError: (cause) => failure("stderr", cause)
      }),
      all: NodeStream.fromReadable({ evaluate: () => telling, onError: (cause) => failure("all", cause) }),
      getInputFd: () => Sink.drain,
      getOutputFd: () =>
        NodeStream.fromReadable({ evaluate: () => new PassThrough(), onError: (cause) => failure("fd", cause) }),
      unref: Effect.die(new Cause.IllegalArgumentError("nobody asks for it"))
    })
  return { left: end(inputTo(there), back), right: end(inputTo(back), there) }
})

/**
 * An end of which nobody knows whether it is an exit is told at once, or the laws would take a second for each. `handles` are
 * two ends that one process stands between.
 */
export const overProcess = (
  name: string,
  handles: Effect.Effect<
    { readonly [Side in "left" | "right"]: ChildProcessSpawner.ChildProcessHandle },
    unknown,
    Scope.Scope
  >,
  noticeMillis: number
): Subject => {
  const transports = Effect.flatMap(handles, ({ left, right }) =>
    Effect.all({
      left: processTransport(left, exitTimeout, noticeMillis),
      right: processTransport(right, exitTimeout, noticeMillis)
    })
  )
  return { name, transports, pair: StreamLaws.fromTransports(transports) }
}

export const processInMemory: Subject = overProcess("a process of Effect's", passingOn, 1)
