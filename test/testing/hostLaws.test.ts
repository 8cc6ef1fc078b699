/** The laws of a byte stream between two hosts that are cut off from each other, and healed, again and again. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { Network } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { vi } from "vitest"

// most of what the laws do is wait, and interruptions wait at a thousand points
vi.setConfig({ maxConcurrency: 4, testTimeout: 300_000 })

const path: TestNetwork.Path = { chunking: { random: { max: 20_000 } }, capacity: 30_000 }

/** In the midst of everything that a law does. */
const flapping = Effect.forever(
  Effect.gen(function* () {
    yield* Effect.sleep(2)
    yield* TestNetwork.cut("left", "right")
    yield* Effect.sleep(1)
    yield* TestNetwork.heal("left", "right")
  })
)

/** `onAbort` is told when an end is broken off. */
const transports = (onAbort: () => void) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(TestNetwork.layerWith({ fromClient: path, fromServer: path }))
    const pair = yield* Effect.gen(function* () {
      const left = yield* TestNetwork.host("left")
      const right = yield* TestNetwork.host("right")
      const connected = yield* Deferred.make<void>()
      // it ends behind the connection; one that is made while the hosts are cut off is tried again a second later
      yield* Effect.forkScoped(Effect.andThen(Deferred.await(connected), flapping))
      const pair = yield* StreamLaws.overNetwork({ port: 0 }, { host: "right" }).pipe(
        Effect.provideService(Network.Network, Network.Network.of({ connect: left.connect, listen: right.listen }))
      )
      yield* Deferred.succeed(connected, undefined)
      return pair
    }).pipe(Effect.provideContext(services))
    for (const transport of [pair.left, pair.right]) {
      const abort = transport.abort.bind(transport)
      transport.abort = () => {
        onAbort()
        abort()
      }
    }
    return pair
  })

/** How long after an abort its news may take, in milliseconds. */
const newsMillis = 10_000

/**
 * A law holds, or waits in vain for the news of a reset: that is sent once, a cut loses it, and who says nothing is not
 * told. Where nobody breaks off, there is no excuse, and each wait has two minutes: the laws share one event loop.
 */
const holds = (check: (onAbort: () => void) => Effect.Effect<void, StreamLaws.LawViolation>) =>
  Effect.suspend(() => {
    let aborted = false
    let timer: NodeJS.Timeout | undefined
    let excuse = () => {}
    const excused = Effect.callback<void>((resume) => {
      excuse = () => resume(Effect.void)
      return Effect.sync(() => clearTimeout(timer))
    })
    const onAbort = () => {
      aborted = true
      clearTimeout(timer)
      timer = setTimeout(() => excuse(), newsMillis)
    }
    const checked = check(onAbort).pipe(
      Effect.provideService(StreamLaws.patience, "2 minutes"),
      Effect.catch((violation) => (aborted ? Effect.void : Effect.fail(violation)))
    )
    return Effect.raceFirst(excused, checked)
  })

/** What is cut off while the event loop stands still has not come by then. */
const ofWhatHasCome = "what came while the event loop stood still is in time"

describe.concurrent("two hosts that are cut off from each other again and again", () => {
  assert.include(
    StreamLaws.all.map(({ name }) => name),
    ofWhatHasCome
  )
  for (const law of StreamLaws.all.filter(({ name }) => name !== ofWhatHasCome)) {
    it.live(`a law of streams: ${law.name}`, () =>
      holds((onAbort) => law.check(StreamLaws.fromTransports(transports(onAbort))))
    )
  }
  for (const law of StreamLaws.transport) {
    it.live(`a law of transports: ${law.name}`, () => holds((onAbort) => law.check(transports(onAbort))))
  }
})
