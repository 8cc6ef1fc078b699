/** What the system says about a socket of this process; Node can set these options but not show them. */
import { Effect } from "effect"
import { readFileSync, readdirSync, readlinkSync } from "node:fs"
import { run } from "./program.ts"

export interface SocketOptions {
  readonly noDelay: boolean
  readonly keepAlive: boolean
  /** Seconds of silence before the first probe. */
  readonly keepAliveIdle: number
}

// given the socket as its descriptor 3
const script = `
import json, socket
s = socket.socket(fileno=3)
print(json.dumps({
  "noDelay": s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
  "keepAlive": s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0,
  "keepAliveIdle": s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
}))
s.detach()
`

/** The inode of the TCP socket between two ports of this machine. */
const inodeOf = (localPort: number, remotePort: number): string => {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0")
  for (const line of readFileSync("/proc/self/net/tcp", "utf8").split("\n")) {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/)
    if (local?.endsWith(`:${hex(localPort)}`) && remote?.endsWith(`:${hex(remotePort)}`)) return inode!
  }
  throw new Error(`there is no socket from port ${localPort} to port ${remotePort}`)
}

const descriptorOf = (inode: string): number => {
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) === `socket:[${inode}]`) return Number(fd)
    } catch {
      // closed in between
    }
  }
  throw new Error(`this process has no socket with inode ${inode}`)
}

/** The options of this process's end of the connection from `localPort` to `remotePort`. */
export const socketOptions = (localPort: number, remotePort: number): Effect.Effect<SocketOptions> =>
  Effect.suspend(() =>
    Effect.map(
      run("python3", ["-c", script], {
        stdio: ["ignore", "pipe", "pipe", descriptorOf(inodeOf(localPort, remotePort))]
      }),
      (output) => JSON.parse(output)
    )
  )
