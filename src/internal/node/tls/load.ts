/** TLS for the sockets of Node, loaded when it is first needed. */
import { lazily } from "../../base/lazily.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"

export const loadTls: LoadTls = lazily(() => import("./handshake.ts"))
