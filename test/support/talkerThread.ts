/** The thread of `talker.ts`. */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { parentPort, workerData } from "node:worker_threads"
import type { Orders } from "./talker.ts"

const { at, cert, clients = 0, key, shared, tls = false, word } = workerData as Orders
const state = new Int32Array(shared)
const sockets = new Set<Net.Socket>()
let reads = (workerData as Orders).reads ?? true

const join = (socket: Net.Socket): void => {
  let said = 0
  socket.setNoDelay(true)
  socket.on("error", () => {})
  socket.on("data", (data) => Atomics.add(state, 3, data.length))
  if (!reads) socket.pause()
  sockets.add(socket)
  Atomics.add(state, 1, 1)
  const talking = setInterval(() => {
    if (Atomics.load(state, 0) === 0) return
    socket.write(word === undefined ? `${said++}\n` : Buffer.alloc(word, "x"))
    Atomics.add(state, 2, 1)
  }, 10)
  socket.on("close", () => {
    clearInterval(talking)
    sockets.delete(socket)
    Atomics.add(state, 4, 1)
  })
}

const connect = (): void => {
  const where = typeof at === "number" ? { host: "127.0.0.1", port: at } : { path: at! }
  for (let i = 0; i < clients; i++) {
    const socket = tls
      ? Tls.connect({ ...where, servername: "localhost", rejectUnauthorized: false })
      : Net.connect(where)
    const refused = () => Atomics.add(state, 4, 1)
    socket.once("close", refused).on("error", () => {})
    socket.once(tls ? "secureConnect" : "connect", () => {
      socket.off("close", refused)
      join(socket)
    })
  }
}

parentPort!.on("message", (order: "connect" | "read" | "end") => {
  if (order === "connect") return connect()
  if (order === "read") reads = true
  for (const socket of sockets) {
    if (order === "read") socket.resume()
    else socket.end("end\n")
  }
})

if (clients > 0) parentPort!.postMessage(0)
else {
  const server = tls ? Tls.createServer({ key, cert }, join) : Net.createServer(join)
  server.listen(at ?? 0, () => {
    const address = server.address()
    parentPort!.postMessage(typeof address === "object" && address !== null ? address.port : 0)
  })
}
