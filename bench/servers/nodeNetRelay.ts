/** A relay as it is written by hand: what one socket reads is piped to the other, both ways. */
import * as Net from "node:net"
import { announce, identity, upstream } from "./support/announce.ts"

const onConnection = (a: Net.Socket): void => {
  const b = Net.connect({ host: "127.0.0.1", port: upstream, noDelay: true, allowHalfOpen: true })
  a.pipe(b)
  b.pipe(a)
  a.on("error", () => b.destroy())
  b.on("error", () => a.destroy())
}

const options = { allowHalfOpen: true, noDelay: true }
const server =
  identity === undefined
    ? Net.createServer(options, onConnection)
    : // what does not speak TLS does not load it
      (await import("node:tls")).createServer({ ...options, ...identity }, onConnection)

server.listen(0, "127.0.0.1", () => announce((server.address() as Net.AddressInfo).port))
