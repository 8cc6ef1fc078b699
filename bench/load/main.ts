/**
 * The load generator, as a process that is told what to do. It has a core to itself; the servers have the other.
 */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Case } from "../cases.ts"
import type { Service } from "../servers/support/service.ts"
import { connectAll, disconnect, type Peer } from "./connection.ts"
import { message } from "./messages.ts"
import { start } from "./patterns.ts"
import { verify } from "./verify.ts"

export type Order =
  | { readonly _tag: "Verify"; readonly service: Service; readonly port: number; readonly tls: boolean }
  | {
      readonly _tag: "Work"
      readonly case: Case
      readonly port: number
      readonly pid: number
      /** Milliseconds of work that are not measured, and those that follow and are. */
      readonly ramp: number
      readonly millis: number
    }
  | { readonly _tag: "Connect"; readonly port: number; readonly count: number }
  | { readonly _tag: "Use" }
  | { readonly _tag: "Disconnect"; readonly port: number }

/** What a server did in a while. */
export interface Sample {
  readonly done: number
  readonly seconds: number
  /** Seconds of processor time that the server and the load generator took meanwhile, where the system tells. */
  readonly serverCpu: number | undefined
  readonly loadCpu: number | undefined
  /** Milliseconds that all requests but the slowest hundredth took at most, where there are requests. */
  readonly p99: number | undefined
}

export type Reply = { readonly ok: true; readonly sample?: Sample } | { readonly ok: false; readonly error: string }

/** Processor time of a process so far, in seconds. */
const cpuTime = (pid: number | "self"): number | undefined => {
  try {
    const tasks = `/proc/${pid}/task`
    let nanos = 0
    for (const task of readdirSync(tasks)) {
      nanos += Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0])
    }
    return nanos / 1e9
  } catch {
    return undefined
  }
}

const difference = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : b - a

/** Connections that are kept between two orders. */
let kept: Array<Peer> = []

const work = async (order: Order & { _tag: "Work" }, onError: (error: Error) => void): Promise<Sample> => {
  const running = await start(order.case, order.port, onError)
  await sleep(order.ramp)
  running.latencies?.clear()
  const before = { done: running.done(), server: cpuTime(order.pid), load: cpuTime("self"), at: performance.now() }
  await sleep(order.millis)
  const seconds = (performance.now() - before.at) / 1000
  const sample = {
    done: running.done() - before.done,
    seconds,
    serverCpu: difference(before.server, cpuTime(order.pid)),
    loadCpu: difference(before.load, cpuTime("self")),
    p99: running.latencies?.percentile(99)
  }
  await running.stop()
  return sample
}

/** One request and its answer. */
const use = (peer: Peer): Promise<void> =>
  new Promise((resolve) => {
    const bytes = message("raw", 64)
    let missing = bytes.length
    peer.onBytes = (received) => {
      missing -= received.length
      if (missing === 0) resolve()
    }
    peer.socket.write(bytes)
  })

/** Connections wait in a queue until they are accepted: once a later one is answered, those before it have been. */
const settle = async (port: number, onError: (error: Error) => void): Promise<void> => {
  const [probe] = await connectAll(port, 1, false, onError)
  await use(probe!)
  await disconnect(probe!)
}

const carryOut = async (order: Order, onError: (error: Error) => void): Promise<Sample | undefined> => {
  switch (order._tag) {
    case "Verify":
      await verify(order.service, order.port, order.tls, onError)
      return undefined
    case "Work":
      return work(order, onError)
    case "Connect":
      kept = await connectAll(order.port, order.count, false, onError)
      await settle(order.port, onError)
      return undefined
    case "Use":
      for (const peer of kept) await use(peer)
      return undefined
    case "Disconnect":
      await Promise.all(kept.map(disconnect))
      await settle(order.port, onError)
      kept = []
      return undefined
  }
}

process.on("message", (order: Order) => {
  new Promise<Sample | undefined>((resolve, reject) => {
    carryOut(order, reject).then(resolve, reject)
  }).then(
    (sample) => process.send!({ ok: true, ...(sample === undefined ? undefined : { sample }) } satisfies Reply),
    (error: unknown) => process.send!({ ok: false, error: String(error) } satisfies Reply)
  )
})

process.on("disconnect", () => process.exit())
