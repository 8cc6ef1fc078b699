/** Listening on Unix sockets. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import type { ListenOptions } from "../Network.ts"
import { ListenFailed } from "./errors.ts"
import * as NodeAddress from "./nodeAddress.ts"
import { type Accept, type Bound, defaultBacklog, makeServer, nothing, start, toListenFailed } from "./nodeListener.ts"

export const bindUnix = (
  path: string,
  options: ListenOptions,
  accept: Accept,
  bound: Array<Bound>
): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const server = makeServer(options, accept, path)
    const backlog = options.backlog ?? defaultBacklog
    if (path.startsWith("\0")) {
      yield* start(server, { path, backlog }, path)
      bound.push({ address: NodeAddress.unix(path), cleanup: nothing })
      return
    }
    if (Buffer.byteLength(path) > longestPath) {
      return yield* new ListenFailed({ kind: "Unknown", address: path, code: "ENAMETOOLONG" })
    }
    const directory = Path.dirname(path)
    if (!Fs.existsSync(directory)) {
      return yield* new ListenFailed({ kind: "NotFound", address: path, code: "ENOENT" })
    }
    // Bound under another name and then linked: of two that start at once only one gets the path, and Node, which
    // removes at close whatever has the name that was bound, finds nothing of that name.
    const temporary = freeName(directory, longestPath - Buffer.byteLength(directory) - 1, path)
    yield* start(server, { path: temporary, backlog }, path)
    yield* Effect.onExit(takePath(temporary, path, options.mode), (exit) =>
      Effect.sync(() => {
        Fs.rmSync(temporary, { force: true })
        if (!Exit.isSuccess(exit)) server.close()
      })
    )
    const { dev, ino } = Fs.lstatSync(path)
    bound.push({
      address: NodeAddress.unix(path),
      cleanup: options.cleanupSocket === false ? nothing : () => removeIfSame(path, dev, ino)
    })
  })

/** The longest path that fits into a socket address, in bytes. */
const longestPath = process.platform === "linux" ? 107 : 103

/** A path in `directory` that nothing has, of a name that fits where there is room for `most` bytes. */
const freeName = (directory: string, most: number, except: string): string => {
  const length = Math.min(8, Math.max(1, most))
  while (true) {
    const name = Array.from({ length }, () => Math.floor(Math.random() * 36).toString(36))
    if (length > 1) name[0] = "."
    const path = Path.join(directory, name.join(""))
    if (path !== except && !Fs.existsSync(path)) return path
  }
}

/** Gives what listens as `temporary` its real name, if nobody listens there. */
const takePath = (temporary: string, path: string, mode: number | undefined): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    if (mode !== undefined) yield* attempt(path, () => Fs.chmodSync(temporary, mode))
    while (true) {
      const linked = yield* attempt(path, () => {
        try {
          Fs.linkSync(temporary, path)
          return true
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
          throw error
        }
      })
      if (linked) return
      const stale = Fs.lstatSync(path, { throwIfNoEntry: false })
      yield* refuseLivePath(path)
      if (stale !== undefined) removeIfSame(path, stale.dev, stale.ino)
    }
  })

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, ListenFailed> =>
  Effect.try({ try: run, catch: (error) => toListenFailed(path, error) })

/** A path may be taken over only if it is a socket that nobody listens on. */
const refuseLivePath = (path: string): Effect.Effect<void, ListenFailed> =>
  Effect.callback<void, ListenFailed>((resume) => {
    let stat: Fs.Stats | undefined
    try {
      stat = Fs.lstatSync(path, { throwIfNoEntry: false })
    } catch (error) {
      return resume(Effect.fail(toListenFailed(path, error)))
    }
    if (stat === undefined) return resume(Effect.void)
    if (!stat.isSocket()) return resume(Effect.fail(new ListenFailed({ kind: "AddressInUse", address: path })))
    const probe = Net.connect({ path })
    probe.once("connect", () => {
      probe.destroy()
      resume(Effect.fail(new ListenFailed({ kind: "AddressInUse", address: path, code: "EADDRINUSE" })))
    })
    probe.once("error", (error: NodeJS.ErrnoException) => {
      resume(
        error.code === "ECONNREFUSED" || error.code === "ENOENT"
          ? Effect.void
          : Effect.fail(toListenFailed(path, error))
      )
    })
    return Effect.sync(() => {
      probe.on("error", nothing)
      probe.destroy()
    })
  })

const removeIfSame = (path: string, dev: number, ino: number): void => {
  try {
    const now = Fs.lstatSync(path, { throwIfNoEntry: false })
    if (now !== undefined && now.dev === dev && now.ino === ino) Fs.unlinkSync(path)
  } catch {
    // it went away in between, or is no longer ours to remove
  }
}
