/** What a transport knows of a write that the system takes piece by piece. */
import { assert, describe, it } from "@effect/vitest"
import { Network, NodeNetwork } from "effect-byte-streams"
import { Effect } from "effect"
import { pattern } from "../support/bytes.ts"
import { onPartOfNode } from "../support/nodeParts.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { eventually } from "../support/wait.ts"

const large = pattern(30_000_000)

describe("Transport.unsent", onPartOfNode("unsent", "it is not known"), () => {
  for (const kind of ["TCP", "Unix"] as const) {
    it.live(`${kind}: becomes less while the peer reads a little, before the write is done`, () =>
      Effect.gen(function* () {
        const network = yield* Network.Network
        const at = kind === "TCP" ? { host: "127.0.0.1", port: 0 } : yield* socketPath()
        const server = yield* serveRaw({ at, paused: true })
        const transport = yield* network.connect(
          typeof at === "string" ? { path: at } : { host: at.host, port: server.port }
        )
        yield* Effect.addFinalizer(() => Effect.sync(() => transport.abort()))
        let done = false
        transport.attach({
          onData: () => {},
          onEnd: () => {},
          onDrain: () => (done = true),
          onWriteFailure: () => {},
          onClose: () => {}
        })
        const peer = yield* server.accept
        assert.strictEqual(transport.unsent, 0)
        assert.isFalse(transport.write([large]))
        const first = transport.unsent!
        assert.isAbove(first, 0)
        assert.isBelow(first, large.length)
        let last = first
        for (let i = 0; i < 2; i++) {
          yield* peer.unstall
          yield* eventually("less is unsent", () => transport.unsent! < last)
          yield* peer.stall
          assert.isFalse(done)
          last = transport.unsent!
        }
        yield* peer.unstall
        yield* peer.awaitBytes(large.length)
        yield* eventually("the write is done", () => done)
        assert.strictEqual(transport.unsent, 0)
        transport.abort()
        assert.isTrue(transport.unsent === undefined || transport.unsent === 0)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
})
