/** A server of `node:net`, or of `node:tls` where it is to speak TLS. */
import * as Net from "node:net"
import { announce, identity } from "./announce.ts"

export const listenByHand = async (onConnection: (socket: Net.Socket) => void): Promise<void> => {
  const options = { allowHalfOpen: true, noDelay: true }
  const server =
    identity === undefined
      ? Net.createServer(options, onConnection)
      : // what does not speak TLS does not load it
        (await import("node:tls")).createServer({ ...options, ...identity }, onConnection)
  server.listen(0, "127.0.0.1", () => announce((server.address() as Net.AddressInfo).port))
}
