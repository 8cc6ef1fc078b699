/** `effect/socket` through `NodeSocketServer`: the same programs, one effect an operation, with framing by hand. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import { announce, service } from "./support/announce.ts"
import { block, readFrameLength, readLength, Receipt } from "./support/service.ts"

const nothing: Uint8Array = Buffer.alloc(0)

const join = (rest: Uint8Array, chunk: Uint8Array): Uint8Array =>
  rest.length === 0 ? chunk : Buffer.concat([rest, chunk])

const raw = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const pull = yield* Socket.readerBytes(socket)
    const { writeAll } = yield* socket.writer
    while (true) yield* writeAll(yield* pull)
  })

const line = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const pull = yield* Socket.readerBytes(socket)
    const { write } = yield* socket.writer
    let rest = nothing
    while (true) {
      for (const chunk of yield* pull) {
        const data = join(rest, chunk)
        let start = 0
        for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, start)) {
          yield* write(data.subarray(start, end + 1))
          start = end + 1
        }
        rest = data.subarray(start)
      }
    }
  })

const frame = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const pull = yield* Socket.readerBytes(socket)
    const { write } = yield* socket.writer
    let rest = nothing
    while (true) {
      for (const chunk of yield* pull) {
        const data = join(rest, chunk)
        let start = 0
        while (data.length - start >= 4) {
          const end = start + 4 + readFrameLength(data, start)
          if (end > data.length) break
          yield* write(data.subarray(start, end))
          start = end
        }
        rest = data.subarray(start)
      }
    }
  })

const sink = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const pull = yield* Socket.readerBytes(socket)
    const { write } = yield* socket.writer
    let header = nothing
    let receipt = new Receipt()
    let left = 0
    while (true) {
      for (let chunk of yield* pull) {
        while (chunk.length > 0) {
          if (left === 0) {
            const missing = 8 - header.length
            header = join(header, chunk.subarray(0, missing))
            chunk = chunk.subarray(missing)
            if (header.length < 8) break
            left = readLength(header)
            receipt = new Receipt()
            header = nothing
          } else {
            const part = chunk.subarray(0, left)
            chunk = chunk.subarray(part.length)
            receipt.add(part)
            left -= part.length
          }
          if (left === 0) yield* write(receipt.toBytes())
        }
      }
    }
  })

const source = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const pull = yield* Socket.readerBytes(socket)
    const { write } = yield* socket.writer
    let rest = nothing
    while (true) {
      for (const chunk of yield* pull) {
        for (rest = join(rest, chunk); rest.length >= 8; rest = rest.subarray(8)) {
          let left = readLength(rest)
          for (; left >= block.length; left -= block.length) yield* write(block)
          if (left > 0) yield* write(block.subarray(0, left))
        }
      }
    }
  })

const program = Effect.gen(function* () {
  const server = yield* NodeSocketServer.make({ host: "127.0.0.1", port: 0, allowHalfOpen: true, noDelay: true })
  if (server.address._tag === "UnixPathAddress") return
  announce(server.address.port)
  const serve = { raw, line, frame, sink, source }[service]
  // the end of the stream is an error there
  yield* server.run((socket) => serve(socket).pipe(Effect.scoped, Effect.ignore))
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
