/** A socket of Effect's own as a transport. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import { PreventSchedulerYield } from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { Failure, Handler, Transport } from "../../Transport.ts"
import { abortKey, type Aborting } from "../base/aborting.ts"
import * as Bytes from "../base/bytes.ts"
import { socketCloseTimeout } from "../base/defaults.ts"
import { Linger } from "./linger.ts"

const info = { local: undefined, remote: undefined }

/**
 * A close in good order, as Effect's sockets say it: also that of a WebSocket whose peer closed it without a code. One that
 * broke off is 1006 (RFC 6455, 7.1.5).
 */
const cleanCloses: ReadonlyArray<number> = [1000, 1005]

/**
 * What an abort closes a WebSocket with: it would say 1000 otherwise, and its peer would take the output for complete. Of
 * the codes that are no clean close a browser lets programs send the private ones alone.
 */
const abortCode = 4000

/**
 * The socket is read by one fiber and written by another, so that it never sees
 * two pulls at once, and a write that it would leave waiting for ever is given
 * up when the reading fiber has seen the end.
 */
export const toTransport = (socket: Socket.Socket): Effect.Effect<Transport, Socket.SocketError, Scope.Scope> =>
  Effect.gen(function* () {
    // closed as soon as the connection lets go, and with the scope that it was opened in at the latest, unless the peer
    // speaks then, who might lose what was sent
    const scope = yield* Scope.make()
    let linger: Linger | undefined
    yield* Effect.addFinalizer((exit) =>
      Effect.suspend(() => (linger === undefined ? Scope.close(scope, exit) : Effect.sync(() => linger?.release())))
    )
    const pull = yield* Scope.provide(Socket.readerBytes(socket), scope)
    const writerScope = yield* Scope.fork(scope)
    const writer = yield* Scope.provide(socket.writer, writerScope)
    // with the writer of a WebSocket nothing ends: its peer hears of an end that is the whole socket's
    const halfCloses = writerScope.state._tag !== "Empty"
    // at once, whatever the scheduler: the scope may be closed in the next step, and an abort has to be told before
    const release = Effect.runForkWith(Context.add(yield* Effect.context<never>(), PreventSchedulerYield, true))

    let handler: Handler | undefined
    let over = false
    let aborted = false
    /** The socket reads no more, and writes no more. */
    const ended = { input: false, output: false }
    /** The handler is there, and wants more. */
    let wanted = false
    const flowing = Latch.makeUnsafe(false)
    const output = yield* Queue.unbounded<NonEmptyReadonlyArray<Uint8Array>, Cause.Done>()

    const finish = (failure: Failure | undefined) => {
      if (over) return
      over = true
      handler?.onClose(failure)
    }

    const pump = Effect.forever(
      Effect.andThen(
        flowing.await,
        Effect.map(pull, (pieces) => {
          for (const piece of pieces) (handler ?? linger)?.onData(Bytes.copy(piece))
        })
      )
    )
    const reading = Effect.onExit(pump, (exit) =>
      Effect.sync(() => {
        ended.input = true
        if (linger !== undefined) letGo()
        if (over) return
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        if (isCleanClose(error)) {
          handler?.onEnd()
          // such a socket is gone as a whole: nothing can be sent any more either
          handler?.onWriteFailure({ kind: "BrokenPipe", cause: error })
          finish({ kind: "BrokenPipe", cause: error })
        } else finish({ kind: "Unknown", cause: error })
      })
    )
    let outputEnds = false
    const endOutput = Effect.suspend(() => {
      if (outputEnds) return Effect.void
      outputEnds = true
      return Effect.andThen(
        // an output that was given up is not complete, for sockets that can say so
        Scope.close(writerScope, aborted ? Exit.interrupt() : Exit.void),
        Effect.sync(() => {
          ended.output = true
          if (linger === undefined) return
          if (halfCloses) linger.everythingSent()
          else letGo()
        })
      )
    })
    const writing = Effect.forever(
      Effect.flatMap(Queue.take(output), (chunks) =>
        Effect.map(writer.writeAll(chunks), () => {
          if (!over) handler?.onDrain()
        })
      )
    ).pipe(
      Effect.onExit((exit) => {
        if (!over && Exit.isFailure(exit) && !isDone(exit.cause)) {
          handler?.onWriteFailure({ kind: "BrokenPipe", cause: Cause.squash(exit.cause) })
        }
        return endOutput
      })
    )

    const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkIn(effect, scope)
    yield* fork(reading)
    yield* fork(writing)

    // not at once: the fiber that reads would call the handler in the middle of what it does
    const flow = () => {
      wanted = true
      queueMicrotask(() => {
        if (wanted) flowing.openUnsafe()
      })
    }
    /** What tells the peer that the output is cut off. */
    const telling = () => {
      const own = (writer as Partial<Aborting>)[abortKey]
      // those of Node would destroy their stream with an error that nobody hears any more, which ends the process
      if (own !== undefined || halfCloses) return own
      // it is closed, and may have been connected anew
      if (ended.input) return undefined
      return Effect.suspend(() => writer.write(new Socket.CloseEvent(abortCode, "aborted")))
    }
    const stop = () => {
      over = true
      handler = undefined
      Queue.endUnsafe(output)
    }
    const letGo = () => {
      linger?.over()
      release(Scope.close(scope, Exit.void))
    }
    const transport: Transport = {
      info,
      attach(to) {
        handler = to
        flow()
      },
      pause() {
        wanted = false
        flowing.closeUnsafe()
      },
      resume: flow,
      write(chunks) {
        // a socket may be done with a write before it is done with the memory (a web stream keeps it in its queue)
        Queue.offerUnsafe(output, chunks.map(Bytes.copy) as unknown as NonEmptyReadonlyArray<Uint8Array>)
        return false
      },
      end: () => void Queue.endUnsafe(output),
      close(unread = false) {
        stop()
        // in this step: the socket may be connected anew in the next, and its writers end what it has then
        release(endOutput)
        if (ended.input || (ended.output && !halfCloses)) return letGo()
        // what still arrives is thrown away
        flow()
        // a socket of Effect's holds the process, and cannot be told not to
        linger ??= new Linger({ heard: unread, safe: false, holdProcess: () => {}, letGo })
        if (ended.output) linger.everythingSent()
      },
      abort() {
        aborted = true
        over = true
        handler = undefined
        linger?.over()
        // before the output ends, which would look complete; a socket that lets it wait is let go of all the same
        const letGo = Scope.close(scope, Exit.interrupt())
        const tell = telling()
        release(
          tell === undefined
            ? letGo
            : Effect.andThen(Effect.ignoreCause(Effect.timeoutOption(tell, socketCloseTimeout)), letGo)
        )
      }
    }
    return transport
  })

const isDone = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) => reason._tag === "Fail" && Cause.isDone(reason.error))

const isCleanClose = (error: unknown): boolean =>
  error instanceof Socket.SocketError &&
  error.reason._tag === "SocketCloseError" &&
  cleanCloses.includes(error.reason.code)
