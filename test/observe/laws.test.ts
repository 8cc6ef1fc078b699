/** What an observer is told of any program, on any network: the order of events, the bytes, and the waits. */
import { assert, describe, it } from "@effect/vitest"
import { type Connection, Observer, openConnection, startServer } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, Exit, Layer } from "effect"
import * as fc from "fast-check"
import { pattern } from "../support/bytes.ts"
import { faultsOf, Recording, type Story } from "../support/observing.ts"
import { logged } from "../support/logged.ts"
import { forAll } from "../support/property.ts"

type Step =
  | { readonly _tag: "write"; readonly size: number }
  | { readonly _tag: "read"; readonly size: number }
  | { readonly _tag: "sleep"; readonly millis: number }
  | { readonly _tag: "readLine" | "flush" | "drain" | "writeEof" | "toEnd" }

interface Program {
  readonly steps: ReadonlyArray<Step>
  readonly end: "return" | "fail" | "close" | "abort"
  /** When it is interrupted, in milliseconds. */
  readonly interrupted: number | undefined
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ _tag: fc.constant("write" as const), size: fc.integer({ min: 0, max: 5000 }) }),
  fc.record({ _tag: fc.constant("read" as const), size: fc.integer({ min: 1, max: 5000 }) }),
  fc.record({ _tag: fc.constant("sleep" as const), millis: fc.integer({ min: 0, max: 50 }) }),
  fc.record({ _tag: fc.constantFrom("readLine" as const, "flush" as const, "drain" as const, "writeEof" as const) }),
  fc.constant({ _tag: "toEnd" as const })
)

const program: fc.Arbitrary<Program> = fc.record({
  steps: fc.array(step, { maxLength: 8 }),
  end: fc.constantFrom("return", "return", "fail", "close", "abort"),
  interrupted: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined, freq: 4 })
})

const path = fc.record({
  latency: fc.integer({ min: 0, max: 20 }),
  chunking: fc.constantFrom<TestNetwork.Chunking>("asIs", "halves", "random"),
  capacity: fc.constantFrom(300, 2000, 65_536)
})

const options = fc.record({
  limit: fc.constantFrom(500, 65_536),
  highWaterMark: fc.constantFrom(300, 16_384),
  closeTimeout: fc.constantFrom(20, 1000),
  timeouts: fc.record({ idle: fc.constantFrom(40, 400), read: fc.constantFrom(20, 200), total: fc.constant(2000) })
})

const world = fc.record({
  clients: fc.array(program, { minLength: 1, maxLength: 3 }),
  handler: program,
  options,
  maxConnections: fc.integer({ min: 1, max: 3 }),
  overflow: fc.constantFrom("wait" as const, "reject" as const),
  shutdownAt: fc.integer({ min: 0, max: 300 }),
  gracePeriod: fc.integer({ min: 0, max: 100 }),
  fromClient: path,
  fromServer: path,
  seed: fc.nat(),
  faults: Faults.arbitrary(fc)
})

const sent = pattern(5000)

const perform = ({ reader, writer }: Connection.Connection, step: Step): Effect.Effect<unknown, unknown> => {
  switch (step._tag) {
    case "write":
      return writer.write(sent.subarray(0, step.size))
    case "read":
      return reader.read(step.size)
    case "sleep":
      return Effect.sleep(step.millis)
    case "toEnd":
      return reader.readAll({ maxBytes: 1_000_000 })
    default:
      return step._tag === "readLine" ? reader.readLine : writer[step._tag]
  }
}

/** Each step may fail; the program goes on. */
const run =
  ({ end, interrupted, steps }: Program) =>
  (connection: Connection.Connection): Effect.Effect<unknown, unknown> => {
    const all = Effect.andThen(
      Effect.forEach(steps, (step) => Effect.result(perform(connection, step)), { discard: true }),
      Effect.suspend((): Effect.Effect<unknown, string> => {
        if (end === "fail") return Effect.fail("no")
        if (end === "close") return connection.writer.close
        return end === "abort" ? connection.abort : Effect.void
      })
    )
    return interrupted === undefined ? all : Effect.andThen(Effect.timeoutOption(all, interrupted), Effect.interrupt)
  }

type World = typeof world extends fc.Arbitrary<infer W> ? W : never

const inWorld = (observed: Layer.Layer<never>, given: World) => {
  const outcomes: Array<string> = []
  const noted = (who: string) => (program: Program) => (connection: Connection.Connection) =>
    Effect.onExit(run(program)(connection), (exit) =>
      Effect.sync(() => void outcomes.push(`${who} ${Exit.isSuccess(exit) ? "succeeds" : "fails"}`))
    )
  const simulated = TestNetwork.simulate(
    Effect.gen(function* () {
      const server = yield* startServer(
        {
          port: 7000,
          ...given.options,
          maxConnections: given.maxConnections,
          overflow: given.overflow,
          gracePeriod: given.gracePeriod,
          onHandlerError: () => Effect.void,
          onAcceptError: () => Effect.void
        } as never,
        noted("a handler")(given.handler)
      )
      yield* Effect.forEach(
        given.clients,
        (client, i) =>
          Effect.exit(
            Effect.scoped(
              Effect.flatMap(
                openConnection({ host: "server.example", port: 7000, connectTimeout: 200, ...given.options }),
                noted(`client ${i}`)(client)
              )
            )
          ),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.race(Effect.sleep(given.shutdownAt)))
      const report = yield* server.shutdown()
      outcomes.push(`${report.completed} completed, ${report.aborted} aborted`)
      return yield* TestNetwork.events
    }).pipe(Effect.provide(observed)),
    given
  )
  return Effect.map(Effect.exit(simulated), (exit) => ({ exit, outcomes }))
}

const sum = (pieces: ReadonlyArray<Uint8Array>): number => pieces.reduce((size, piece) => size + piece.length, 0)

/** The other end of a connection. */
const peerOf = (story: Story, recording: Recording): Story | undefined => {
  const { local, remote } = story.connection!.info
  return recording.all.find(({ connection }) => {
    if (connection === undefined || connection.side === story.side) return false
    return String(connection.info.local) === String(remote) && String(connection.info.remote) === String(local)
  })
}

/** Whether what came is what went, as far as it came. */
const isBegin = (came: Uint8Array, went: Uint8Array | undefined): boolean =>
  Buffer.from(came).equals(went === undefined ? new Uint8Array() : went.subarray(0, came.length))

const broken = () => {
  throw new Error("a broken observer")
}

describe("what is told of any program", () => {
  it.live(
    "opened once, closed once and last, pauses and waits alternate, and the bytes are those that the state counts",
    () =>
      Effect.gen(function* () {
        const seen = new Set<string>()
        const numbers = new Set<number>()
        yield* forAll(
          world,
          (given) =>
            Effect.gen(function* () {
              const recording = new Recording()
              yield* inWorld(recording.layer, given)
              for (const story of recording.all) {
                assert.deepStrictEqual(faultsOf(story), [])
                assert.isFalse(numbers.has(story.id))
                numbers.add(story.id)
                for (const tag of story.tags) seen.add(tag.split(" ")[0]!)
                if (story.connection === undefined) continue
                const state = story.connection.snapshot()
                assert.strictEqual(state.state, "closed")
                assert.strictEqual(state.bytesRead, sum(story.came))
                assert.isAtMost(sum(story.went), state.bytesWritten)
                assert.isTrue(isBegin(story.in, peerOf(story, recording)?.out))
                if (story.tags.at(-1) === "Closed Graceful") {
                  assert.strictEqual(sum(story.went), state.bytesWritten)
                }
              }
            }),
          { numRuns: 300, timeout: 10_000, interruptAfterTimeLimit: 60_000 }
        )
        // or little was shown
        for (const tag of [
          "Connecting",
          "ConnectFailed",
          "Opened",
          "Admitted",
          "Paused",
          "Resumed",
          "TimedOut",
          "Ended",
          "Failed",
          "Closing",
          "Closed"
        ]) {
          assert.isTrue(seen.has(tag), tag)
        }
      }),
    120_000
  )

  it.live(
    "a program ends as it does without an observer, if it has one that throws wherever it is told something",
    () => {
      const throwing = {
        onEvent: broken,
        onBytes: broken,
        onReadStarted: broken,
        onReadEnded: broken,
        handlerContext: broken
      }
      return forAll(
        world,
        (given) =>
          Effect.gen(function* () {
            const { layer } = logged()
            const without = yield* inWorld(Layer.empty, given)
            const observed = yield* Effect.provide(inWorld(Observer.layer(throwing), given), layer)
            assert.deepStrictEqual(observed.outcomes, without.outcomes)
            assert.deepStrictEqual(observed.exit, without.exit)
          }),
        { numRuns: 100, timeout: 10_000, interruptAfterTimeLimit: 60_000 }
      )
    },
    120_000
  )
})
