/** What the peer said is handed over whole: whoever takes it is interrupted, wherever, and the next finds what he has not had. */
import { assert, describe, it } from "@effect/vitest"
import { Exchange } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Channel, Effect, Exit, Fiber, Latch, Pull, Schedule, Scheduler, type Scope, Stream } from "effect"
import { Mailbox } from "../../src/internal/exchange/mailbox.ts"
import * as Interruption from "../../src/internal/testing/laws/interruptAt.ts"
import { line, pipelined } from "../support/exchanges.ts"
import { Restless, YieldFirst } from "../support/yieldingSchedulers.ts"

const messages = Array.from({ length: 9 }, (_, i) => `!${i}`)

const options = { request: line, response: line }
const pushing = {
  ...options,
  isPush: (message: string) => message.startsWith("!"),
  pushes: { overflow: "suspend", capacity: 2 }
} as const

type Side = TestNetwork.Pair["right"]

/** Writes messages, a few at a time, and lets others run in between. */
const say = ({ writer }: Side, said: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    for (let i = 0; i < said.length; i += 3) {
      yield* writer.writeFrames(line, said.slice(i, i + 3))
      yield* writer.flush
      yield* Effect.replicateEffect(Effect.yieldNow, 3)
    }
  }).pipe(Effect.orDie)

const meanwhile = (effect: Effect.Effect<unknown, unknown>) => Effect.forkScoped(effect, { startImmediately: true })

/** Takes some messages, and notes them in the step in which it is given them. */
type Take = (note: (taken: ReadonlyArray<string>) => void) => Effect.Effect<void, unknown>

/** Something of which all messages are taken, and then its end. */
type Source = Effect.Effect<Take, unknown, Scope.Scope>

/** What the stream pulls, with nothing in between. */
const pullOf = <E>(stream: Stream.Stream<string, E>): Source =>
  Effect.map(
    Effect.flatMap(Effect.scope, (scope) => Channel.toPullScoped(Stream.toChannel(stream), scope)),
    (pull) => (note) =>
      Effect.flatMap(pull, (taken) => {
        note(taken)
        return Effect.void
      })
  )

/** Interrupts whoever takes, and has another take the rest. */
const trial = (source: Source, point: Interruption.Point | undefined) =>
  Effect.scoped(
    Effect.gen(function* () {
      const got: Array<string> = []
      const once = (yield* source)((taken) => void got.push(...taken))
      const take = Pull.catchDone(Effect.forever(once, { disableYield: true }), () => Effect.void)
      const { exit, points } = yield* Interruption.run(take, point)
      const before = got.length
      if (Exit.isFailure(exit)) {
        assert.isTrue(Cause.hasInterruptsOnly(exit.cause), String(Cause.squash(exit.cause)))
        yield* take
      }
      assert.deepStrictEqual(got, messages, `${JSON.stringify(point)}, and ${before} were taken before`)
      return points
    })
  )

/** At every point at which it can be interrupted, under a scheduler that lets others run where it has to, and under others. */
const everywhere = (source: Source) =>
  Effect.gen(function* () {
    const points = yield* trial(source, undefined)
    assert.isAbove(points.length, 10)
    for (let seed = 0; seed < 2; seed++) {
      for (const point of points) {
        const run = trial(source, point)
        yield* seed === 0 ? run : Effect.provideService(run, Scheduler.Scheduler, new Restless(seed))
      }
    }
  })

/** An exchange over connections that come and go, each of which says some of the messages. */
const reconnecting = (
  serve: (side: Side, number: number) => Effect.Effect<unknown, unknown>,
  each: Exchange.PipelinedOptions<string, string> = pushing
) => {
  let opened = 0
  const open = Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair()
    const client = yield* Exchange.makePipelined<string, string>(left, each)
    yield* meanwhile(serve(right, opened++))
    return client
  })
  return Exchange.makeReconnecting(open, {
    schedule: Schedule.recurs(10),
    whileDown: "wait",
    pushes: { overflow: "suspend", capacity: 1 }
  })
}

describe("what is taken reaches the taker, or stays for the next, wherever the taker is interrupted", () => {
  it.live("the items of a mailbox", () =>
    everywhere(
      Effect.gen(function* () {
        const mailbox = new Mailbox<string, never>(2)
        yield* meanwhile(
          Effect.gen(function* () {
            for (const message of messages) {
              while (mailbox.isFull) yield* mailbox.awaitRoom
              mailbox.offer(message)
            }
            mailbox.finish(Exit.fail(Cause.Done()))
          })
        )
        return (note) =>
          Effect.flatMap(mailbox.takeOne, (item) => {
            if (item._tag === "None") return Cause.done()
            note([item.value])
            return Effect.void
          })
      })
    )
  )

  it.live("pushes", () =>
    everywhere(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair()
        const client = yield* Exchange.makePipelined<string, string>(left, pushing)
        yield* meanwhile(Effect.andThen(say(right, messages), right.writer.close))
        return yield* pullOf(client.pushes)
      })
    )
  )

  it.live("the answers to a request, which is sent once", () =>
    everywhere(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair()
        const client = yield* Exchange.makePipelined<string, string>(left, {
          ...options,
          isLast: (answer) => answer === messages.at(-1)
        })
        let asked = 0
        yield* Effect.addFinalizer(() => Effect.sync(() => assert.strictEqual(asked, 1)))
        const answer = Effect.flatMap(right.reader.readFrame(line), () => {
          asked++
          return say(right, messages)
        })
        yield* meanwhile(Effect.forever(answer))
        return yield* pullOf(client.stream("all"))
      })
    )
  )

  it.live("pushes of connections that come and go, of which the last is closed by this side", () =>
    everywhere(
      Effect.gen(function* () {
        const last = Latch.makeUnsafe(false)
        const client = yield* reconnecting((side, number) =>
          Effect.gen(function* () {
            const said = messages.slice(3 * number, 3 * number + 3)
            if (number < 2) return yield* Effect.andThen(say(side, said), side.abort)
            last.openUnsafe()
            yield* side.reader.readFrame(line)
            return yield* say(side, [...said, "that is all"])
          })
        )
        // an answer behind them: all of them were read
        yield* meanwhile(Effect.andThen(Effect.andThen(last.await, client.call("all?")), client.close))
        return yield* pullOf(client.pushes)
      })
    )
  )

  it.live("the answers to a request on one of connections that come and go, which is sent once", () =>
    everywhere(
      Effect.gen(function* () {
        let asked = 0
        yield* Effect.addFinalizer(() => Effect.sync(() => assert.strictEqual(asked, 1)))
        const client = yield* reconnecting(
          ({ reader, ...side }) =>
            Effect.forever(
              Effect.flatMap(reader.readFrame(line), () => {
                asked++
                return say({ reader, ...side }, messages)
              })
            ),
          { ...options, isLast: (answer: string) => answer === messages.at(-1) }
        )
        return yield* pullOf(client.stream("all"))
      })
    )
  )

  it.live.each([
    ["one after the other", 1],
    ["three at once", 3]
  ] as const)("requests, by their handlers, of which serving is interrupted: %s", ([, concurrency]) =>
    everywhere(
      Effect.gen(function* () {
        const { left, right } = yield* TestNetwork.pair()
        yield* meanwhile(Effect.andThen(say(right, messages), right.writer.writeEof))
        return (note) =>
          Effect.andThen(
            Exchange.serve(left, { request: line, response: line, concurrency }, (message) => {
              note([message])
              return Effect.as(Effect.yieldNow, undefined)
            }),
            Cause.done()
          )
      })
    )
  )
})

it.live("a caller that is interrupted before it has begun asks nothing, also where others run first", () =>
  Effect.gen(function* () {
    const { client, server } = yield* pipelined()
    const asks: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
      client.call("call"),
      client.callAll(["of", "several"]),
      client.collect("collect"),
      client.send("send"),
      Stream.runDrain(client.stream("stream")),
      Effect.scoped(Stream.toPull(client.stream("a stream that is not pulled"))),
      client.exclusive((_, { writeFrame }) => writeFrame(line, "dialogue"))
    ]
    for (const ask of asks) {
      const fiber = yield* Effect.forkChild(ask)
      fiber.interruptUnsafe()
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
    }
    yield* client.send("last")
    assert.deepStrictEqual(yield* server.asked(1), ["last"])
  }).pipe(Effect.provideService(Scheduler.Scheduler, new YieldFirst()))
)
