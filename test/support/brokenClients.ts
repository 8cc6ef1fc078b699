/** Clients of lines and of messages that are written by hand, sound or with one fault each. */
import { Data, Effect, type Exit } from "effect"
import type * as Connection from "../../src/Connection.ts"
import type * as ExchangeLaws from "../../src/testing/ExchangeLaws.ts"
import { line, lineServer, message, messageServer } from "./exchangeSubjects.ts"

/** What can be wrong with a client. */
export type Fault =
  /** The waiter of an interrupted call is forgotten, though its answer has yet to come. */
  | "the waiter removed on interrupt"
  /** The id of an interrupted call is given to the next, though its answer has yet to come. */
  | "the answer not awaited"
  /** A call waits for its answer before its request was accepted, and goes on to when it never is. */
  | "the waiter queued before the write was accepted"
  /** A call that is interrupted while it waits for its turn is sent when that has come. */
  | "sent for nobody"
  /** An interrupted caller waits for the answer. */
  | "the answer awaited by its caller"
  /** Those who wait for answers are not told that the connection is lost. */
  | "the pending list not failed on loss"
  /** Those who wait for answers are told that they were not sent. */
  | "nothing was ever sent"
  /** What answers nobody is ignored. */
  | "strays ignored"
  /** An id is given out again while an answer with it may come: right behind the first. */
  | "ids reused at once"
  | "maxInFlight ignored"
  /** The last to come is the first to be sent. */
  | "the gate a stack"

class Lost extends Data.TaggedError("Lost")<{ readonly sent: "No" | "Maybe"; readonly reason: string }> {}

interface Waiter {
  readonly token: string
  readonly resume: (exit: Exit.Exit<string, Lost> | Effect.Effect<string, Lost>) => void
  id: number
  isSent: boolean
}

/** Who waits for which answer. */
interface Book {
  readonly size: number
  readonly add: (waiter: Waiter) => void
  readonly remove: (waiter: Waiter) => void
  /** Takes out the one whose answer has come. */
  readonly take: (id: number) => Waiter | undefined
  readonly all: () => ReadonlyArray<Waiter>
}

const inOrder = (): Book => {
  const waiters: Array<Waiter> = []
  return {
    get size() {
      return waiters.length
    },
    add: (waiter) => void waiters.push(waiter),
    remove: (waiter) => void waiters.splice(waiters.indexOf(waiter), 1),
    take: () => waiters.shift(),
    all: () => waiters.splice(0)
  }
}

const byId = (reuse: boolean): Book => {
  const waiters = new Map<number, Waiter>()
  let last = 0
  const unused = () => {
    if (!reuse) return ++last
    let id = 1
    while (waiters.has(id)) id++
    return id
  }
  return {
    get size() {
      return waiters.size
    },
    add: (waiter) => {
      waiter.id = unused()
      waiters.set(waiter.id, waiter)
    },
    remove: ({ id }) => void waiters.delete(id),
    take: (id) => {
      const waiter = waiters.get(id)
      waiters.delete(id)
      return waiter
    },
    all: () => {
      const all = [...waiters.values()]
      waiters.clear()
      return all
    }
  }
}

const forgetting: ReadonlyArray<Fault | undefined> = ["the waiter removed on interrupt", "the answer not awaited"]

/** The order in which those who wait for their turn are sent is that in which they came, and what is sent is queued at once. */
const make = (
  { abort, reader, writer }: Connection.Connection,
  maxInFlight: number,
  shape: ExchangeLaws.Subject["shape"],
  fault: Fault | undefined
) =>
  Effect.gen(function* () {
    const book =
      shape === "pipelined" ? inOrder() : byId(fault === "ids reused at once" || fault === "the answer not awaited")
    const most = fault === "maxInFlight ignored" ? Infinity : maxInFlight
    const gate: Array<Waiter> = []
    let over: string | undefined

    const lose = (reason: string): void => {
      if (over !== undefined) return
      over = reason
      Effect.runFork(abort)
      const all = book.all()
      if (fault !== "the pending list not failed on loss") {
        const sent = fault === "nothing was ever sent" ? "No" : "Maybe"
        for (const { resume } of all) resume(Effect.fail(new Lost({ sent, reason })))
      }
      for (const { resume } of gate.splice(0)) resume(Effect.fail(new Lost({ sent: "No", reason })))
    }

    const pump = (): void => {
      while (over === undefined && gate.length > 0 && book.size < most) {
        const waiter = (fault === "the gate a stack" ? gate.pop() : gate.shift())!
        book.add(waiter)
        waiter.isSent = true
        const { id, token } = waiter
        try {
          if (shape === "pipelined") writer.writeFrameUnsafe(line, token)
          else writer.writeFrameUnsafe(message, { kind: 0, id, text: token })
        } catch (error) {
          lose(String(error))
        }
      }
    }

    const ask = (token: string) =>
      Effect.callback<string, Lost>((resume) => {
        if (over !== undefined) return resume(Effect.fail(new Lost({ sent: "No", reason: over })))
        const waiter: Waiter = { token, resume, id: 0, isSent: false }
        gate.push(waiter)
        pump()
        return Effect.sync(() => {
          const at = gate.indexOf(waiter)
          if (at !== -1 && fault !== "sent for nobody") gate.splice(at, 1)
          else if (at === -1 && forgetting.includes(fault)) {
            book.remove(waiter)
            pump()
          }
        })
      })

    /** A write that waits, and a waiter that does not wait for it. */
    const askTooEarly = (token: string) =>
      Effect.suspend(() => {
        if (over !== undefined) return Effect.fail(new Lost({ sent: "No", reason: over }))
        let exit: Effect.Effect<string, Lost> | undefined
        let wake = (): void => {}
        const resume: Waiter["resume"] = (given) => {
          exit = given
          wake()
        }
        book.add({ token, resume, id: 0, isSent: true })
        const written = Effect.mapError(
          writer.writeFrame(line, token),
          ({ message }) => new Lost({ sent: "Maybe", reason: message })
        )
        const answered = Effect.callback<string, Lost>((resume) => {
          wake = () => resume(exit!)
          if (exit !== undefined) wake()
        })
        return Effect.andThen(written, answered)
      })

    const next =
      shape === "pipelined"
        ? Effect.map(reader.readFrame(line), (text) => ({ id: 0, text }))
        : reader.readFrame(message)
    const loop = Effect.forever(
      Effect.map(next, ({ id, text }) => {
        const waiter = book.take(id)
        if (waiter === undefined) {
          if (fault !== "strays ignored") lose("a stray")
          return
        }
        waiter.resume(Effect.succeed(text))
        pump()
      })
    )
    yield* Effect.forkScoped(Effect.catch(loop, ({ message }) => Effect.sync(() => lose(message))))
    const call = fault === "the waiter queued before the write was accepted" ? askTooEarly : ask
    return {
      call: (token: string) =>
        fault === "the answer awaited by its caller" ? Effect.uninterruptible(call(token)) : call(token)
    }
  })

export const byHand = (shape: ExchangeLaws.Subject["shape"], fault?: Fault): ExchangeLaws.Subject => ({
  shape,
  client: (connection, { maxInFlight }) => make(connection, maxInFlight, shape, fault),
  server: shape === "pipelined" ? lineServer : messageServer,
  sent: (error) => (error instanceof Lost ? error.sent : undefined),
  isViolation: (error) => error instanceof Lost && error.reason === "a stray"
})
