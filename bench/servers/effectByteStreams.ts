/** This library as a user writes it: one effect an operation, in a generator. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { Connection } from "effect-byte-streams/Connection"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Server from "effect-byte-streams/Server"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { announce, identity, service } from "./support/announce.ts"
import { block, readFrameLength, readLength, Receipt } from "./support/service.ts"

const raw = Effect.fnUntraced(function* ({ reader, writer }: Connection) {
  for (let bytes = yield* reader.read(65536); bytes.length > 0; bytes = yield* reader.read(65536)) {
    yield* writer.write(bytes)
  }
})

const line = Effect.fnUntraced(function* ({ reader, writer }: Connection) {
  for (let bytes = yield* reader.readLine; bytes.length > 0; bytes = yield* reader.readLine) {
    yield* writer.write(bytes)
  }
})

const frame = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    while (true) {
      const header = yield* reader.readExactly(4)
      const body = yield* reader.readExactly(readFrameLength(header))
      yield* writer.writeAll([header, body])
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

const sink = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    while (true) {
      const receipt = new Receipt()
      let left = readLength(yield* reader.readExactly(8))
      while (left > 0) {
        const bytes = yield* reader.read(Math.min(left, 65536))
        if (bytes.length === 0) return
        receipt.add(bytes)
        left -= bytes.length
      }
      yield* writer.write(receipt.toBytes())
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

const source = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    while (true) {
      let left = readLength(yield* reader.readExactly(8))
      for (; left >= block.length; left -= block.length) yield* writer.write(block)
      yield* writer.write(block.subarray(0, left))
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

const program = Effect.gen(function* () {
  const tls =
    identity === undefined ? undefined : { identity: { cert: identity.cert, key: Redacted.make(identity.key) } }
  const server = yield* Server.startServer(
    { host: "127.0.0.1", port: 0, tls },
    { raw, line, frame, sink, source }[service]
  )
  announce(server.port)
  return yield* Effect.never
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
