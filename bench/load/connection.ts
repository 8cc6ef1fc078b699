/**
 * The load generator's end of a connection: a socket that reads into memory that all of them share, so that reading
 * costs it less than it costs any server.
 */
import * as Net from "node:net"
import * as Tls from "node:tls"

/** Bytes are read into this, and only looked at until the next read. */
const buffer = Buffer.allocUnsafeSlow(512 * 1024)

export interface Peer {
  readonly socket: Net.Socket
  /** Called with every piece of bytes that arrives; the memory is used again afterwards. */
  onBytes: (bytes: Uint8Array) => void
}

/** Connects; what is written before that goes out with it. */
export const connect = (port: number, noDelay: boolean, tls: boolean, onError: (error: Error) => void): Peer => {
  const options: Net.TcpNetConnectOpts = {
    host: "127.0.0.1",
    port,
    noDelay,
    allowHalfOpen: true,
    onread: {
      buffer,
      callback: (length, memory) => {
        peer.onBytes(length === memory.length ? memory : memory.subarray(0, length))
        return true
      }
    }
  }
  const peer: Peer = {
    // it is the server that is measured, not who it is
    socket: tls
      ? Tls.connect({ ...options, rejectUnauthorized: false } as Tls.ConnectionOptions)
      : Net.connect(options),
    onBytes: () => {}
  }
  peer.socket.on("error", onError)
  return peer
}

/** Opens many connections, some at a time, lest a listen queue overflows. */
export const connectAll = (
  port: number,
  count: number,
  tls: boolean,
  onError: (error: Error) => void
): Promise<Array<Peer>> =>
  new Promise((resolve) => {
    const peers: Array<Peer> = []
    let asked = 0
    if (count === 0) resolve(peers)
    const next = (): void => {
      if (asked === count) return
      asked++
      const peer = connect(port, true, tls, onError)
      peer.socket.on(tls ? "secureConnect" : "connect", () => {
        peers.push(peer)
        if (peers.length === count) resolve(peers)
        else next()
      })
    }
    for (let i = 0; i < 64; i++) next()
  })

/** Ends a connection in good order: the server ends its side too, and no port is left in the way. */
export const disconnect = ({ socket }: Peer): Promise<void> =>
  new Promise((resolve) => {
    socket.on("close", () => resolve())
    socket.end()
  })
