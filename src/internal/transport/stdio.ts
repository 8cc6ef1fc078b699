/** What `Connection.stdio` reads and writes. */
import type { ReadableLike, WritableLike } from "../../Connection.ts"
import type { StreamPair } from "./pair.ts"

export interface Process {
  readonly stdin?: ReadableLike
  readonly stdout?: WritableLike
  getBuiltinModule?(name: "node:net"): { readonly Socket: new (options: object) => unknown }
}

/** There can be one of the descriptor. */
let socket: unknown

/**
 * Node's own stream over a pipe is a socket. Others (Deno's) go on with a read that was begun, for which the process stays:
 * a socket of our own lets go of it. There is none for a file, which needs none: it has an end.
 */
const inputOf = (process: Process, stdin: ReadableLike): ReadableLike => {
  const { unref } = stdin as { unref?(): unknown }
  if (typeof unref === "function" || typeof process.getBuiltinModule !== "function") return stdin
  try {
    socket ??= new (process.getBuiltinModule("node:net").Socket)({ fd: 0, readable: true, writable: false })
    return socket as ReadableLike
  } catch {
    return stdin
  }
}

/** The standard input and output of this process, if it has them. */
export const stdioOf = (process: Process | undefined): StreamPair | undefined =>
  process?.stdin === undefined || process.stdout === undefined
    ? undefined
    : { readable: inputOf(process, process.stdin), writable: process.stdout }
