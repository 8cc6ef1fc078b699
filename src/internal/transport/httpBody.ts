/**
 * The body of a message of HTTP/1. Node's server tells nobody what becomes of a connection once the answer is complete: a
 * request that is still being read is broken off, and is silent. The socket below it tells.
 */
import type { ReadableLike } from "../../Connection.ts"
import { nextTurn } from "../runtime/turn.ts"
import { http2Below } from "./resetToLoss.ts"

interface Socket {
  on(event: string, listener: () => void): unknown
  off(event: string, listener: () => void): unknown
  readonly destroyed: boolean
}

/** What Node's `http` says of a message beside what all its streams do. */
interface Message {
  readonly socket?: Partial<Socket> | null
  /** Whether all of it has come, read or not. */
  readonly complete?: unknown
}

const isSocket = (socket: Partial<Socket> | null | undefined): socket is Socket =>
  typeof socket?.on === "function" && typeof socket.off === "function"

/** Tells of a body whose connection is gone before all of it has come. */
export const whenCutOff = (readable: ReadableLike, tell: (error: Error) => void): void => {
  const message: ReadableLike & Message = readable
  const { complete, socket } = message
  // those of HTTP/2 share a socket, and tell
  if (typeof complete !== "boolean" || http2Below(readable) !== undefined || !isSocket(socket)) return
  const look = () => {
    if (message.complete === false && !readable.destroyed) tell(broken())
  }
  // behind what Node says of it, where it says anything
  const gone = () => nextTurn(look)
  if (socket.destroyed) return gone()
  socket.on("close", gone)
  // there may be many messages, one after the other
  const over = () => void socket.off("close", gone)
  readable.on("end", over)
  readable.on("close", over)
}

/** As Node says it of a request whose answer is not complete. */
const broken = (): Error => Object.assign(new Error("aborted"), { code: "ECONNRESET" })
