/** Lines through `node:readline`, answered as it recommends: string by string, corked for the length of a turn. */
import * as Net from "node:net"
import * as Readline from "node:readline"
import { announce } from "./support/announce.ts"

const server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  const lines = Readline.createInterface({ input: socket, crlfDelay: Infinity })
  let corked = false
  const uncork = (): void => {
    corked = false
    socket.uncork()
  }
  lines.on("line", (line) => {
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(uncork)
    }
    if (!socket.write(`${line}\n`) && !socket.isPaused()) {
      lines.pause()
      socket.once("drain", () => lines.resume())
    }
  })
  lines.on("close", () => socket.end())
  socket.on("error", () => socket.destroy())
})

server.listen(0, "127.0.0.1", () => announce((server.address() as Net.AddressInfo).port))
