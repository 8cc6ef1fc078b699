/** Talks to a broker of its own: `mosquitto` has to be installed. Usage: npm run example:mqtt */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Fiber, Schedule, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { NodeNetwork, openConnection } from "effect-byte-streams"
import { make, type QoS } from "./mqtt.ts"

const port = 18_830
const broker = ChildProcess.make("mosquitto", ["-p", String(port)], {
  stdout: "ignore",
  stderr: "ignore",
  extendEnv: true,
  env: { PATH: `${process.env.PATH}:/usr/sbin` }
})
const open = openConnection({ host: "127.0.0.1", port })
const message = (topic: string, qos: QoS) => ({ topic, payload: new TextEncoder().encode("on"), qos, retain: false })

const program = Effect.gen(function* () {
  const first = yield* broker
  yield* Effect.retry(Effect.scoped(open), { schedule: Schedule.spaced("20 millis"), times: 200 })
  const client = yield* make(open, {
    clientId: "example",
    cleanSession: false,
    keepAlive: 10,
    will: message("gone", 0),
    subscriptions: { "room/+/light": 2 }
  })
  const heard = client.messages("room/+/light").pipe(
    Stream.map(({ payload, qos, topic }) => `${topic} (QoS ${qos}): ${new TextDecoder().decode(payload)}`),
    Stream.take(3),
    Stream.runForEach((text) => Console.log(text))
  )
  for (const qos of [0, 1, 2] as const) yield* client.publish(message("room/kitchen/light", qos))
  yield* Console.log("the broker has them")
  yield* heard
  yield* first.kill()
  yield* Console.log("the broker is gone; something is published all the same")
  const publishing = yield* Effect.forkChild(client.publish(message("room/hall/light", 2)), { startImmediately: true })
  yield* broker
  yield* Fiber.join(publishing)
  yield* Console.log("another broker is there, and has it")
})

program.pipe(Effect.scoped, Effect.provide([NodeNetwork.layer, NodeServices.layer]), NodeRuntime.runMain)
