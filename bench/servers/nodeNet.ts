/** `node:net` and `node:tls` by hand, as a good Node developer writes it: answers corked, reading paused while the peer does not read. */
import type * as Net from "node:net"
import { service } from "./support/announce.ts"
import { listenByHand } from "./support/byHand.ts"
import { block, readFrameLength, readLength, Receipt } from "./support/service.ts"

const nothing = Buffer.alloc(0)

/** Reads no more until what was written has left. */
const holdBack = (socket: Net.Socket): void => {
  socket.pause()
  socket.once("drain", () => socket.resume())
}

const raw = (socket: Net.Socket): void => {
  socket.on("data", (chunk) => {
    if (!socket.write(chunk)) holdBack(socket)
  })
}

const line = (socket: Net.Socket): void => {
  let rest: Buffer = nothing
  socket.on("data", (chunk: Buffer) => {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    socket.cork()
    for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, start)) {
      socket.write(data.subarray(start, end + 1))
      start = end + 1
    }
    socket.uncork()
    rest = data.subarray(start)
    if (socket.writableNeedDrain) holdBack(socket)
  })
}

const frame = (socket: Net.Socket): void => {
  let rest: Buffer = nothing
  socket.on("data", (chunk: Buffer) => {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    socket.cork()
    while (data.length - start >= 4) {
      const end = start + 4 + readFrameLength(data, start)
      if (end > data.length) break
      socket.write(data.subarray(start, end))
      start = end
    }
    socket.uncork()
    rest = data.subarray(start)
    if (socket.writableNeedDrain) holdBack(socket)
  })
}

const sink = (socket: Net.Socket): void => {
  let header: Buffer = nothing
  let receipt = new Receipt()
  let left = 0
  socket.on("data", (chunk: Buffer) => {
    while (chunk.length > 0) {
      if (left === 0) {
        const missing = 8 - header.length
        header = Buffer.concat([header, chunk.subarray(0, missing)])
        chunk = chunk.subarray(missing)
        if (header.length < 8) return
        left = readLength(header)
        receipt = new Receipt()
        header = nothing
      } else {
        const part = chunk.length <= left ? chunk : chunk.subarray(0, left)
        chunk = chunk.subarray(part.length)
        receipt.add(part)
        left -= part.length
      }
      if (left === 0) socket.write(receipt.toBytes())
    }
  })
}

const source = (socket: Net.Socket): void => {
  let rest: Buffer = nothing
  const asked: Array<number> = []
  let left = 0
  let waiting = false
  let over = false
  const send = (): void => {
    waiting = false
    while (left > 0 || asked.length > 0) {
      if (left === 0) left = asked.shift()!
      const part = left >= block.length ? block : block.subarray(0, left)
      left -= part.length
      if (!socket.write(part)) {
        waiting = true
        socket.once("drain", send)
        return
      }
    }
    if (over) socket.end()
  }
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (; rest.length >= 8; rest = rest.subarray(8)) asked.push(readLength(rest))
    if (!waiting) send()
  })
  socket.on("end", () => {
    over = true
    if (!waiting) send()
  })
}

const serve = { raw, line, frame, sink, source }[service]

const onConnection = (socket: Net.Socket): void => {
  serve(socket)
  // what it was asked for before comes first
  if (service !== "source") socket.on("end", () => socket.end())
  socket.on("error", () => socket.destroy())
}

await listenByHand(onConnection)
