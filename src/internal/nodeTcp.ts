/** The transport of a TCP or Unix connection, which can be turned into an encrypted one. */
import * as Effect from "effect/Effect"
import type { TlsFailed } from "../StreamError.ts"
import type { StartTlsOptions } from "../Tls.ts"
import type { Handler, Transport } from "../Transport.ts"
import { NodeTransport } from "./nodeTransport.ts"

export class TcpTransport extends NodeTransport {
  /** What happened between two handlers, for the second. */
  private meanwhile: Array<(handler: Handler) => void> = []

  override attach(handler: Handler): void {
    super.attach(handler)
    for (const tell of this.meanwhile.splice(0)) tell(handler)
  }

  startTls(options: StartTlsOptions, leftover: ReadonlyArray<Uint8Array>): Effect.Effect<Transport, TlsFailed> {
    return Effect.suspend(() => {
      const { meanwhile } = this
      this.handler = {
        onData: (bytes) => meanwhile.push((handler) => handler.onData(bytes)),
        onEnd: () => meanwhile.push((handler) => handler.onEnd()),
        onDrain: () => {},
        onWriteFailure: (failure) => meanwhile.push((handler) => handler.onWriteFailure(failure)),
        onClose: (failure) => meanwhile.push((handler) => handler.onClose(failure))
      }
      this.pause()
      // programs without TLS do not load it
      return Effect.promise(() => import("./nodeTls.ts")).pipe(
        Effect.onInterrupt(() => Effect.sync(() => this.abort())),
        Effect.flatMap((tls) =>
          options.side === "client"
            ? tls.secureClient(this, options, options.serverName, leftover)
            : tls.secureServer(this, options, leftover)
        )
      )
    })
  }
}
