/** TLS for the sockets of Node, loaded when it is first needed. */
import * as Effect from "effect/Effect"
import type { LoadTls } from "../../transport/tlsEngine.ts"

export const loadTls: LoadTls = Effect.promise(() => import("./handshake.ts"))
