/**
 * The contract of `Transport` as laws, checked on transports that nobody is
 * attached to yet: which calls may come when, and which side owns memory.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Connection from "../../../Connection.ts"
import * as Bytes from "../../base/bytes.ts"
import {
  areBytes,
  aWhile,
  type Broken,
  broken,
  bytes,
  concat,
  eventually,
  finishes,
  holds,
  isFailure,
  isText,
  meanwhile,
  outcome,
  pattern,
  succeeds
} from "./law.ts"
import { collect } from "./pieces.ts"
import { lawsOfCalls } from "./transportCalls.ts"
import { lawsOfTransportEnding } from "./transportEnding.ts"
import { lawsOfHeldWrites } from "./transportHeld.ts"
import { law, type Observed, type TransportLaw } from "./transportLaw.ts"

const arrives = (end: Observed, size: number) =>
  eventually(
    `${size} bytes arrive`,
    Effect.sync(() => end.size >= size)
  )

const attachLater = law(
  "nothing is delivered before attach, and nothing is lost",
  "What comes before attach waits for it; after it everything is delivered.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      yield* a.write(bytes("early "))
      yield* aWhile
      yield* holds(b.size === 0, "bytes were delivered before attach")
      b.attach()
      yield* a.write(bytes("late"))
      yield* arrives(b, 10)
      yield* isText("what arrived", b.received, "early late")
    })
)

const endedBefore = law(
  "what is over before attach is told after it",
  "An end that has come is told behind the bytes before it, and a peer that has broken off is told of as well: nobody waits for ever.",
  (observe) =>
    Effect.gen(function* () {
      const ended = yield* observe
      ended.a.attach()
      yield* ended.a.write(bytes("all of it"))
      ended.a.end()
      const broken = yield* observe
      broken.a.attach()
      broken.a.abort()
      yield* aWhile
      ended.b.attach()
      broken.b.attach()
      yield* eventually(
        "onEnd",
        Effect.sync(() => ended.b.ends > 0)
      )
      yield* isText("what arrived before the end", ended.b.received, "all of it")
      yield* eventually(
        "the peer of one that broke off is told",
        Effect.sync(() => broken.b.closes.length > 0 || broken.b.ends > 0)
      )
    })
)

const ownMemory = law(
  "memory changes hands as agreed",
  "After a write that returned true, or after onDrain, the memory is the caller's again; what onData was given belongs to the handler for good.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      const sent: Array<Uint8Array> = []
      for (const [i, size] of [1, 100, 4096, 5000, 70_000, 1_000_000, 3].entries()) {
        const original = pattern(size, size)
        // now and then as connections do it: the `slice` of a `Buffer` is no copy
        const memory = i % 2 === 0 ? original.slice() : Bytes.part(original.slice().buffer, 0, size)
        sent.push(original)
        yield* a.write(memory)
        memory.fill(0xee)
        yield* arrives(b, concat(sent).length)
        // the sender must not see what becomes of it, nor the other way round
        yield* areBytes("what arrived", b.received, concat(sent))
      }
      // nor while the peer does not read: what has been taken may still lie somewhere on its way
      b.pause()
      const meanwhile = [10, 20, 30].map((size) => pattern(size, size))
      sent.push(...meanwhile.map((memory) => memory.slice()))
      const writing = yield* Effect.forkChild(
        Effect.forEach(
          meanwhile,
          (memory) =>
            Effect.andThen(
              a.write(memory),
              Effect.sync(() => memory.fill(0xee))
            ),
          { discard: true }
        ),
        { startImmediately: true }
      )
      // a transport without room of its own takes nothing until the peer reads again
      yield* aWhile
      b.resume()
      yield* Fiber.join(writing)
      yield* arrives(b, concat(sent).length)
      yield* areBytes("what arrived after a pause", b.received, concat(sent))
      const first = b.pieces[0]!
      first.fill(0xdd)
      yield* a.write(bytes("more"))
      yield* arrives(b, concat(sent).length + 4)
      yield* holds(
        first.every((byte) => byte === 0xdd),
        "what was delivered was written into again"
      )
    })
)

const oneRun = law(
  "the chunks of a write are one run of bytes",
  "They arrive in order, with nothing between, and in front of what is written later.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      const sent: Array<Uint8Array> = []
      for (let i = 0; i < 50; i++) {
        const chunks = Array.from({ length: 1 + (i % 5) }, (_, at) => pattern(1 + ((i * 37 + at * 11) % 3000), i + at))
        sent.push(...chunks.map((chunk) => Bytes.copy(chunk)))
        yield* a.write(...chunks)
      }
      const expected = concat(sent)
      yield* arrives(b, expected.length)
      yield* areBytes("what arrived", b.received, expected)
    })
)

const turnEnds = law(
  "the end of a turn comes, and comes later",
  "Where a transport says itself when a turn ends, it does what it was given then: once, in order, and not before the call has returned.",
  (observe) =>
    Effect.gen(function* () {
      const { a } = yield* observe
      a.attach()
      const done: Array<number> = []
      for (const task of [1, 2, 3]) if (!a.atEndOfTurn(() => done.push(task))) return
      yield* holds(done.length === 0, "a task was done within the call")
      yield* eventually(
        "all tasks are done",
        Effect.sync(() => done.length >= 3)
      )
      yield* aWhile
      yield* holds(done.join() === "1,2,3", () => `the tasks were done in the order ${done.join()}`)
    })
)

const pausing = law(
  "pause holds back, resume goes on",
  "After pause at most what was already on its way is delivered, the rest stays where it is; resume delivers all of it, in order; both may be repeated.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      yield* a.write(bytes("first"))
      yield* arrives(b, 5)
      b.pause()
      b.pause()
      const before = b.pieces.length
      const sent = pattern(1000)
      let taken = 0
      // until the system takes no more, or has taken enough to show that it keeps it
      for (let i = 0; i < 20; i++) {
        const writing = a.write(sent)
        const exit = yield* Effect.raceFirst(Effect.as(writing, true), Effect.as(aWhile, false))
        taken += sent.length
        if (!exit) break
      }
      yield* aWhile
      yield* holds(
        b.pieces.length <= before + 1,
        `${b.pieces.length - before} pieces were delivered while paused, ${b.size - 5} bytes`
      )
      b.resume()
      b.resume()
      yield* arrives(b, 5 + taken)
      const expected = concat([bytes("first"), ...Array.from({ length: taken / sent.length }, () => sent)])
      yield* areBytes("what arrived", b.received, expected)
    })
)

const ending = law(
  "end is told once, behind everything, and the other direction goes on",
  "onEnd comes once, after all that was written; end may be repeated; the peer can still write.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      const sent = pattern(200_000)
      yield* a.write(sent)
      a.end()
      a.end()
      yield* eventually(
        "onEnd",
        Effect.sync(() => b.ends > 0)
      )
      yield* areBytes("what arrived before the end", b.received, sent)
      yield* b.write(bytes("answer"))
      yield* arrives(a, 6)
      yield* isText("what came the other way", a.received, "answer")
      yield* holds(a.closes.length === 0, "the connection was closed although one direction was open")
    })
)

const lastCall = law(
  "onClose is the last call, and comes once",
  "When both have ended their output, each is told once that it is over, in good order, and nothing after that.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      yield* a.write(bytes("x"))
      a.end()
      yield* b.write(bytes("y"))
      b.end()
      yield* eventually(
        "onClose at both ends",
        Effect.sync(() => a.closes.length > 0 && b.closes.length > 0)
      )
      yield* aWhile
      for (const end of [a, b]) {
        yield* holds(end.closes.length === 1, `onClose was called ${end.closes.length} times`)
        yield* holds(
          end.closes[0] === undefined,
          () => `onClose was told of a failure: ${JSON.stringify(end.closes[0]?.code ?? end.closes[0]?.kind)}`
        )
        yield* holds(end.ends === 1, `onEnd was called ${end.ends} times`)
      }
    })
)

const aborting = law(
  "after abort there is silence here, and an end there",
  "abort calls nobody back, ever; later calls have no effect; the peer is told that it is over.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      yield* b.write(bytes("on its way"))
      a.abort()
      a.pause()
      a.resume()
      a.end()
      a.close()
      a.abort()
      yield* eventually(
        "the peer is told",
        Effect.sync(() => b.closes.length > 0 || b.ends > 0)
      )
      yield* aWhile
      yield* holds(b.closes.length <= 1, `onClose was called ${b.closes.length} times`)
    })
)

const cutOff = law(
  "what is cut off is not told as complete",
  "An end is told with onEnd, and by nothing else: a close without one has a failure, also if this side had ended its output before.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      yield* a.write(bytes("a part of it"))
      yield* arrives(b, 12)
      b.end()
      yield* eventually(
        "onEnd",
        Effect.sync(() => a.ends > 0)
      )
      a.abort()
      yield* eventually(
        "the peer is told",
        Effect.sync(() => b.closes.length > 0 || b.ends > 0)
      )
    })
)

const closing = law(
  "close hands over what was written, and is silent",
  "The peer gets all of it, then the end. The closed side is told nothing any more, and a peer that is in the middle of writing is not reset.",
  (observe) =>
    Effect.gen(function* () {
      const { a, b } = yield* observe
      a.attach()
      b.attach()
      const sent = pattern(100_000)
      yield* a.write(sent)
      // it is not read before the close, and not at once after it
      yield* b.write(bytes("one thing"))
      const closedAt = Date.now()
      a.close()
      a.close()
      yield* b.write(bytes("and another"))
      yield* eventually(
        "onEnd",
        Effect.sync(() => b.ends > 0)
      )
      yield* areBytes("what arrived before the end", b.received, sent)
      yield* aWhile
      // on a machine that is busy with other things it may be late
      const late = Date.now() - closedAt > 400
      yield* holds(
        late || (b.writeFailures.length === 0 && !b.closes.some((failure) => failure !== undefined)),
        "a peer that was still writing was reset"
      )
    })
)

const begunClose = law(
  "a close that has begun is not undone by the end of a scope",
  "A connection whose scope fails once its close has begun still hands over everything, then the end; one whose scope fails before that is aborted.",
  (_, bare) =>
    Effect.gen(function* () {
      for (const begun of [true, false]) {
        const { a, b } = yield* bare
        const scope = yield* Scope.make()
        const { reader, writer } = yield* Scope.provide(
          Connection.fromTransport(a, { closeTimeout: "1 minute" }),
          scope
        )
        const peer = yield* Connection.fromTransport(b)
        const sent = yield* clog(writer)
        const working = yield* meanwhile(reader.readLine)
        if (begun) yield* meanwhile(writer.close)
        const ending = yield* meanwhile(Scope.close(scope, Exit.fail("what the program was doing failed")))
        const got = yield* succeeds("reading what was sent", collect(peer.reader, 65_536))
        yield* finishes("the end of the scope", ending)
        const { _tag } = yield* succeeds("close", writer.close)
        yield* isFailure("what read", yield* outcome("it", working), "ClosedStream")
        if (begun) {
          yield* areBytes("what arrived", got, sent)
          yield* holds(_tag === "Graceful", `the close that had begun was ${_tag}`)
          yield* areBytes("behind it", yield* succeeds("the end", peer.reader.read(1)), new Uint8Array(0))
        } else {
          yield* holds(_tag === "Aborted", `the close of a connection whose scope had failed was ${_tag}`)
        }
      }
    })
)

/** Writes more than is taken by a peer that does not read; answers all of it. */
const clog = (writer: Connection.Connection["writer"]): Effect.Effect<Uint8Array, Broken> =>
  Effect.gen(function* () {
    const block = pattern(500_000)
    const blocks: Array<Uint8Array> = []
    // systems take more and more, up to a point
    while ((yield* writer.buffered) === 0) {
      if (blocks.length > 200) return yield* broken("a peer that does not read took 100 MB")
      blocks.push(block)
      writer.writeUnsafe(block)
      yield* aWhile
    }
    return concat(blocks)
  })

export const transportLaws: ReadonlyArray<TransportLaw> = [
  attachLater,
  endedBefore,
  ownMemory,
  oneRun,
  turnEnds,
  pausing,
  ending,
  lastCall,
  aborting,
  cutOff,
  closing,
  begunClose,
  ...lawsOfCalls,
  ...lawsOfHeldWrites,
  ...lawsOfTransportEnding
]
