/** A relay by this library: `Connection.relay`, or one loop each way, of `read` or of `readInto`. */
import { argv } from "node:process"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Connection from "effect-byte-streams/Connection"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Server from "effect-byte-streams/Server"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { announce, identity, upstream } from "./support/announce.ts"

const read = Effect.fnUntraced(function* (from: Connection.Connection, to: Connection.Connection) {
  for (let bytes = yield* from.reader.read(65536); bytes.length > 0; bytes = yield* from.reader.read(65536)) {
    yield* to.writer.write(bytes)
  }
  yield* to.writer.writeEof
})

const readInto = Effect.fnUntraced(function* (from: Connection.Connection, to: Connection.Connection) {
  const array = new Uint8Array(65536)
  for (let size = yield* from.reader.readInto(array); size > 0; size = yield* from.reader.readInto(array)) {
    yield* to.writer.write(array.subarray(0, size))
    yield* to.writer.flush
  }
  yield* to.writer.writeEof
})

const both =
  (oneWay: typeof read): typeof Connection.relay | typeof read =>
  (a, b) =>
    Effect.all([oneWay(a, b), oneWay(b, a)], { concurrency: "unbounded", discard: true })

const relay = argv.includes("--relay") ? Connection.relay : both(argv.includes("--read-into") ? readInto : read)

const program = Effect.gen(function* () {
  const tls =
    identity === undefined ? undefined : { identity: { cert: identity.cert, key: Redacted.make(identity.key) } }
  const server = yield* Server.startServer(
    { host: "127.0.0.1", port: 0, tls },
    Effect.fnUntraced(function* (a: Connection.Connection) {
      const b = yield* Connection.openConnection({ host: "127.0.0.1", port: upstream })
      yield* relay(a, b)
    })
  )
  announce(server.port)
  return yield* Effect.never
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
