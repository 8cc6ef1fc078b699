/** A `redis-server` on a Unix socket, with a value to ask for. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

export interface RedisServer {
  readonly path: string
  readonly stop: () => void
}

/** Starts one whose `key` has a value of `size` bytes. `on`: the command that starts it where it is to run. */
export const startRedis = async (
  size: number,
  on = (command: ReadonlyArray<string>): [string, Array<string>] => [command[0]!, command.slice(1)]
): Promise<RedisServer> => {
  const directory = mkdtempSync(join(tmpdir(), "bench-"))
  const path = join(directory, "redis.sock")
  const [file, args] = on([
    ...["redis-server", "--port", "0", "--unixsocket", path],
    ...["--save", "", "--appendonly", "no", "--dir", directory]
  ])
  const server = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] })
  const stop = (): void => {
    server.kill()
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    for await (const line of createInterface(server.stdout)) if (/ready to accept/i.test(line)) break
    server.stdout.resume()
    await new Promise<void>((resolve, reject) => {
      const socket = connect(path, () => socket.write(`SET key ${"x".repeat(size)}\r\n`))
      socket.on("data", () => socket.end())
      socket.on("close", () => resolve())
      socket.on("error", reject)
    })
  } catch (cause) {
    stop()
    throw cause
  }
  return { path, stop }
}
