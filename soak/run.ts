/**
 * `npm run soak`: the numbers that show only with many connections or much time. Prints them and exits with 1 if one
 * of the promises behind them is broken.
 *
 * Options: `--connections N` (default 10,000), `--seconds N` of connect-request-close (default 60).
 */
import { type ChildProcess, fork } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Net from "node:net"
import { parseArgs } from "node:util"
import type { Numbers } from "./server.ts"

const { values } = parseArgs({
  options: { connections: { type: "string", default: "10000" }, seconds: { type: "string", default: "60" } }
})
const connections = Number(values.connections)
const seconds = Number(values.seconds)

const line = Buffer.from("a line of forty bytes, counting its end.\n")
const mebibytes = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`
const report = (label: string, value: string): void => console.log(`  ${label.padEnd(46)} ${value}`)

let broken = 0
const promise = (label: string, kept: boolean): void => {
  if (!kept) broken++
  report(label, kept ? "kept" : "BROKEN")
}

/** Starts the server, and resolves with its port. */
const startServer = async (): Promise<{ readonly server: ChildProcess; readonly port: number }> => {
  const server = fork(new URL("./server.ts", import.meta.url), { execArgv: ["--expose-gc"] })
  const port = await new Promise<number>((resolve) =>
    server.once("message", (message) => resolve((message as { port: number }).port))
  )
  return { server, port }
}

const ask = (server: ChildProcess): Promise<Numbers> =>
  new Promise((resolve) => {
    server.once("message", (message) => resolve(message as Numbers))
    server.send("numbers")
  })

/** Asks until the server says what is expected, ten seconds at the most. */
const settled = async (server: ChildProcess, expected: (numbers: Numbers) => boolean): Promise<Numbers> => {
  const deadline = Date.now() + 10_000
  while (true) {
    const numbers = await ask(server)
    if (expected(numbers) || Date.now() > deadline) return numbers
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** From one of many addresses: one has too few ports for as many connections as a minute sees here. */
let from = 0
const connect = (port: number): Promise<Net.Socket> =>
  new Promise((resolve, reject) => {
    const localAddress = `127.0.0.${2 + (from++ % 200)}`
    const socket = Net.connect({ port, host: "127.0.0.1", localAddress, noDelay: true }, () => resolve(socket))
    socket.once("error", reject)
  })

const request = (socket: Net.Socket): Promise<void> =>
  new Promise((resolve, reject) => {
    let received = 0
    const onData = (chunk: Buffer) => {
      received += chunk.length
      if (received < line.length) return
      socket.off("data", onData)
      resolve()
    }
    socket.on("data", onData)
    socket.once("error", reject)
    socket.write(line)
  })

/** Runs `make` for each of `count`, at most `width` at a time. */
const many = async <A>(count: number, width: number, make: (index: number) => Promise<A>): Promise<Array<A>> => {
  const results: Array<A> = []
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      results[index] = await make(index)
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}

const held = async (server: ChildProcess, port: number): Promise<void> => {
  console.log(`\n${connections} connections, held and served`)
  const before = await ask(server)
  const started = performance.now()
  const sockets = await many(connections, 64, () => connect(port))
  report("connected after", `${((performance.now() - started) / 1000).toFixed(2)} s`)
  const untouched = await settled(server, (numbers) => numbers.connections === connections)
  promise("all of them served at the same time", untouched.connections === connections)
  report(
    "memory per idle connection, untouched",
    `${((untouched.rssBytes - before.rssBytes) / connections).toFixed(0)} bytes`
  )
  const round = performance.now()
  await many(connections, 256, (index) => request(sockets[index]!))
  report("one request on each after", `${((performance.now() - round) / 1000).toFixed(2)} s`)
  const used = await ask(server)
  report(
    "memory per idle connection, after a request",
    `${((used.rssBytes - before.rssBytes) / connections).toFixed(0)} bytes`
  )
  for (const socket of sockets) socket.end()
  const after = await settled(server, (numbers) => numbers.descriptors === before.descriptors)
  promise("every descriptor returned", after.descriptors === before.descriptors && after.connections === 0)
}

const resets = async (server: ChildProcess, port: number): Promise<void> => {
  console.log("\n1000 resets in the middle of a line")
  const before = await ask(server)
  await many(1000, 50, async () => {
    const socket = await connect(port)
    socket.write(line.subarray(0, 20))
    await request(socket)
    socket.write(line.subarray(0, 20))
    socket.resetAndDestroy()
  })
  const after = await settled(server, (numbers) => numbers.descriptors === before.descriptors)
  report("handlers that failed", String(after.failures - before.failures))
  promise("each failed handler was reported", after.failures - before.failures === 1000)
  promise("every descriptor returned", after.descriptors === before.descriptors && after.connections === 0)
}

const churn = async (server: ChildProcess, port: number): Promise<void> => {
  console.log(`\n${seconds} s of connect-request-close`)
  const until = performance.now() + seconds * 1000
  let count = 0
  const heaps: Array<number> = []
  const worker = async () => {
    while (performance.now() < until) {
      const socket = await connect(port)
      await request(socket)
      socket.end()
      await new Promise((resolve) => socket.once("close", resolve))
      count++
    }
  }
  const sample = async () => {
    while (performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(250, (seconds * 1000) / 12)))
      const numbers = await ask(server)
      heaps.push(numbers.heapBytes)
      report(
        `heap and resident memory after ${count} connections`,
        `${mebibytes(numbers.heapBytes)}, ${mebibytes(numbers.rssBytes)}`
      )
    }
  }
  await Promise.all([...Array.from({ length: 8 }, worker), sample()])
  report("connections a second", (count / seconds).toFixed(0))
  report("as many as in an hour at", `${(count / 3600).toFixed(0)} a second`)
  // the first quarter is still warming up
  const from = heaps[Math.floor(heaps.length / 4)] ?? 0
  const to = heaps[heaps.length - 1] ?? 0
  report("heap grew, behind the first quarter, by", mebibytes(to - from))
  promise("memory is flat (less than 2 MiB)", to - from < 2 * 1048576)
}

/** Node has raised the soft limit to this by itself. */
const descriptors = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1])
if (descriptors < connections + 100) {
  console.error(
    `${connections} connections need as many descriptors, and some; the limit is ${descriptors} (ulimit -n)`
  )
  process.exit(1)
}

const { port, server } = await startServer()
await held(server, port)
await resets(server, port)
await churn(server, port)
server.disconnect()
process.exitCode = broken === 0 ? 0 : 1
