/** A relay as it is written by hand: what one socket reads is piped to the other, both ways. */
import * as Net from "node:net"
import { upstream } from "./support/announce.ts"
import { listenByHand } from "./support/byHand.ts"

const onConnection = (a: Net.Socket): void => {
  const b = Net.connect({ host: "127.0.0.1", port: upstream, noDelay: true, allowHalfOpen: true })
  a.pipe(b)
  b.pipe(a)
  a.on("error", () => b.destroy())
  b.on("error", () => a.destroy())
}

await listenByHand(onConnection)
