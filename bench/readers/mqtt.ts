/**
 * Publishing 64 bytes to `mosquitto`, by the client of examples/protocols and by the one that programs use: one way of it a
 * process. Started with the way and the port of the broker, it counts messages.
 */
import { openConnection } from "effect-byte-streams"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { connectAsync } from "mqtt"
import { make, type QoS } from "../../examples/protocols/mqtt.ts"
import { type Work, workWhenAsked } from "./support/worked.ts"

const [way, port] = [process.argv[2]!, Number(process.argv[3])]

/** As many as are on their way at once. */
const publishers = 20
const topic = "bench/topic"
const payload = new Uint8Array(64).fill(120)

/** What is connected once, and publishes until a moment: how many messages the broker has then. */
type Way = () => Promise<Work>

const ours =
  (qos: QoS): Way =>
  async () => {
    const open = openConnection({ host: "127.0.0.1", port })
    const { publish } = await make(open, { clientId: way, cleanSession: true, keepAlive: 60, subscriptions: {} }).pipe(
      Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
      Effect.provide(NodeNetwork.layer),
      Effect.runPromise
    )
    return (until) => {
      let published = 0
      const publisher = Effect.gen(function* () {
        while (performance.now() < until) {
          yield* publish({ topic, payload, qos, retain: false })
          published++
        }
      })
      // one that is acknowledged, behind all that are not
      return Effect.all(
        Array.from({ length: publishers }, () => publisher),
        { concurrency: "unbounded", discard: true }
      ).pipe(
        Effect.andThen(publish({ topic, payload, qos: 1, retain: false })),
        Effect.map(() => published + 1),
        Effect.runPromise
      )
    }
  }

const theirs =
  (qos: QoS): Way =>
  async () => {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: way, clean: true })
    const bytes = Buffer.from(payload)
    return async (until) => {
      let published = 0
      const publisher = async (): Promise<void> => {
        while (performance.now() < until) {
          await client.publishAsync(topic, bytes, { qos })
          published++
        }
      }
      await Promise.all(Array.from({ length: publishers }, publisher))
      await client.publishAsync(topic, bytes, { qos: 1 })
      return published + 1
    }
  }

const ways: Record<string, Way> = { example0: ours(0), example1: ours(1), mqtt0: theirs(0), mqtt1: theirs(1) }

workWhenAsked(ways[way]!())
