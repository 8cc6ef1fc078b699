/** Paths of Unix sockets, as this system sees them. */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { ListenFailed } from "../base/errors.ts"
import * as UnixSocket from "../base/unixSocket.ts"
import { codeOf, toListenFailed } from "../transport/failure.ts"

/** Android is one. */
export const isLinux = (): boolean => process.platform === "linux" || process.platform === "android"

/**
 * Whether it is the name of a pipe of Windows, which is in no directory, is gone with the process that listens on it, and
 * has no bound that paths have.
 */
export const isPipe = (path: string): boolean =>
  process.platform === "win32" && /^[\\/]{2}[.?][\\/]pipe[\\/]/i.test(path)

/** Whether this system has no such socket. Only Linux has abstract ones, and Node has none on Windows: pipes alone. */
export const isUnsupported = (path: string): boolean => {
  if (process.platform === "win32") return !isPipe(path)
  return UnixSocket.isAbstract(path) && !isLinux()
}

/** What a socket address has room for, in bytes. */
export const longest = (): number => (isLinux() ? UnixSocket.longestOnLinux : UnixSocket.longestElsewhere)

export const isTooLong = (path: string): boolean => !isPipe(path) && UnixSocket.sizeOf(path) > longest()

/**
 * The same path for as long as the process lives, wherever it goes. It is not normalised: what `..` leads to behind a
 * symbolic link is for the system to say. Throws where a relative path leads nowhere, the working directory being gone.
 */
export const absolute = (path: string): string =>
  UnixSocket.isAbstract(path) || isPipe(path) || Path.isAbsolute(path) ? path : `${process.cwd()}/${path}`

/** An absolute path as a socket call can be told of it now: one that is too long may still be short from here. */
export const spelled = (absolute: string): string => {
  if (!isTooLong(absolute)) return absolute
  const here = `${process.cwd()}/`
  return absolute.startsWith(here) ? absolute.slice(here.length) : absolute
}

/** What a path says of a refusal, as a code, if it says anything. */
export const refusedBy = (path: string): string | undefined => {
  try {
    // Linux refuses to connect to what is no socket, as it does where nobody listens
    return Fs.statSync(path).isSocket() ? undefined : "ENOTSOCK"
  } catch (error) {
    // some say of all that fails that it was refused (Bun)
    const code = codeOf(error)
    return code !== undefined && atPath.has(code) ? code : undefined
  }
}

const atPath = new Set(["ENOENT", "ENOTDIR", "EACCES"])

/** What a system call did at a path, or why it could not. */
export const attempt = <A>(path: string, run: () => A): Effect.Effect<A, ListenFailed> =>
  Effect.try({ try: run, catch: (error) => toListenFailed(path, error) })

export const letters = "0123456789abcdefghijklmnopqrstuvwxyz"

export const random = (length: number): string => {
  let out = ""
  for (let i = 0; i < length; i++) out += letters[Math.floor(Math.random() * letters.length)]
  return out
}

/** How long the random part of a name is. */
export const suffixLength = 8
