/** Stands for `node/tls/handshake` in a browser, which has no TLS that a program could speak. */
import * as Effect from "effect/Effect"
import * as Endpoint from "../base/endpoint.ts"
import { ListenFailed, TlsFailed } from "../base/errors.ts"
import type { TlsEngine } from "../transport/tlsEngine.ts"

const unsupported = (operation: string): TlsFailed =>
  new TlsFailed({
    operation,
    kind: "Unsupported",
    cause: new Error("TLS is that of Node, and there is none in a browser")
  })

const engine: TlsEngine = {
  client: (operation) => Effect.fail(unsupported(operation)),
  listening: (options) =>
    Effect.fail(
      new ListenFailed({ kind: "Tls", address: Endpoint.listening(options), cause: unsupported("startServer") })
    ),
  startTls: (transport) =>
    Effect.suspend(() => {
      transport.abort()
      return Effect.fail(unsupported("startTls"))
    })
}

export const { client, listening, startTls } = engine
