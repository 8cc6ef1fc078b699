/** Ports for programs that have to be told theirs, and cannot say when they listen. */
import { once } from "node:events"
import { connect, createServer } from "node:net"

/** A port that is free now. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { readonly port: number }
  server.close()
  await once(server, "close")
  return port
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

/** Fails for a program that does not listen within some seconds. */
export const untilListening = async (program: string, port: number): Promise<void> => {
  for (let attempt = 0; !(await listens(port)); attempt++) {
    if (attempt === 500) throw new Error(`${program} does not listen`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
