/** The client of MQTT in examples/protocols, beside the one that programs use: what a message costs the client's process. */
import { spawn, spawnSync } from "node:child_process"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { freePort, untilListening } from "../support/ports.ts"
import { ReaderProcess } from "../support/processes.ts"
import { example, resultOf, type Worked } from "../support/protocols.ts"
import { sliced } from "../support/slices.ts"

const suites = [0, 1].map((qos) => ({ id: `protocols-mqtt-qos${qos}`, qos }))

export const names = suites.map(({ id }) => id)

const clients = [{ id: "mqtt", title: "mqtt (npm)" }, example("mqtt.ts")]

const startBroker = async () => {
  const port = await freePort()
  const broker = spawn("mosquitto", ["-p", String(port)], { stdio: "ignore", env: withServers })
  await untilListening("mosquitto", port)
  return { port: String(port), stop: () => broker.kill() }
}

// where Debian puts servers, which is not on the path of an ordinary user
const withServers = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const { id, qos } of suites) {
    if (!wanted(options, id)) continue
    if (spawnSync("mosquitto", ["-h"], { env: withServers }).error !== undefined) {
      console.warn(`${id}: there is no mosquitto here`)
      continue
    }
    const broker = await startBroker()
    const readers = clients.map((client) => new ReaderProcess<number, Worked>("mqtt", client.id + qos, broker.port))
    let rounds: ReadonlyArray<ReadonlyArray<Worked>>
    try {
      rounds = await sliced(readers, options)
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
      broker.stop()
    }
    onResult(resultOf(id, `PUBLISH of 64 B with QoS ${qos} to mosquitto, 20 publishers`, clients, rounds))
  }
}
