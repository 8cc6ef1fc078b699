/** The thread of `talker.ts`. */
import * as Net from "node:net"
import { Duplex } from "node:stream"
import * as Tls from "node:tls"
import { parentPort, workerData } from "node:worker_threads"
import type { Orders } from "./talker.ts"

const { at, cert, clients = 0, key, shared, tls = false, word } = workerData as Orders
const state = new Int32Array(shared)
const sockets = new Set<Net.Socket>()
let reads = (workerData as Orders).reads ?? true

/** Whether the handshakes are over, and nothing is read from the wires. */
const stalled = new Set<Net.Socket>()

/**
 * What an engine takes for a socket, so that the socket itself can be kept from reading: Deno's engines read on while they
 * are paused.
 */
const wire = (socket: Net.Socket): Duplex => {
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => void (stalled.has(socket) || socket.resume()),
    write: (chunk, _encoding, callback) => void socket.write(chunk, callback),
    final: (callback) => void socket.end(callback),
    destroy: (error, callback) => {
      socket.destroy()
      callback(error)
    }
  })
  socket.on("data", (chunk) => void (stream.push(chunk) || socket.pause()))
  socket.on("end", () => stream.push(null))
  socket.on("error", () => {}).on("close", () => stream.destroy())
  return stream
}

/** Joins once its handshake is over, and reads nothing more from its wire. */
const joinStalled = (socket: Net.Socket, engine: Tls.TLSSocket): void => {
  engine.on("error", () => {})
  engine.once("secure", () => {
    stalled.add(socket.pause())
    join(engine)
  })
}

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
    if (tls && !reads) {
      const socket = Net.connect(where)
      joinStalled(
        socket,
        Tls.connect({ socket: wire(socket) as Net.Socket, servername: "localhost", rejectUnauthorized: false })
      )
      continue
    }
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
  if (order === "read") {
    reads = true
    for (const socket of stalled) socket.resume()
    stalled.clear()
  }
  for (const socket of sockets) {
    if (order === "read") socket.resume()
    else socket.end("end\n")
  }
})

if (clients > 0) parentPort!.postMessage(0)
else {
  const secureContext = tls ? Tls.createSecureContext({ key, cert }) : undefined
  const server =
    secureContext === undefined
      ? Net.createServer(join)
      : reads
        ? Tls.createServer({ key, cert }, join)
        : Net.createServer({ allowHalfOpen: true }, (socket) => {
            joinStalled(socket, new Tls.TLSSocket(wire(socket) as Net.Socket, { isServer: true, secureContext }))
          })
  server.listen(at ?? 0, () => {
    const address = server.address()
    parentPort!.postMessage(typeof address === "object" && address !== null ? address.port : 0)
  })
}
