/**
 * Listening on Unix sockets.
 *
 * A socket is bound under a name that nobody else knows, and then linked to its path. So of several servers that start
 * at once exactly one gets the path; it has its permissions, and somebody listens, from the moment that it is there; and
 * Node, which removes at close whatever has the name that was bound, finds nothing. The price is that the system shows
 * the first name, to the clients and in lists of sockets.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Fs from "node:fs"
import type * as Net from "node:net"
import * as Path from "node:path"
import type { ListenFailed } from "../base/errors.ts"
import type { Listen } from "../base/networkOptions.ts"
import * as NodeAddress from "./address.ts"
import { type Accept, type Bound, isOnItsOwn, makeServer, nothing, start } from "./listener.ts"
import { listenFailed } from "../transport/failure.ts"
import { clearStalePath, removePath, whatLiesAt } from "./staleUnixPath.ts"
import * as NodeUnixPath from "./unixPath.ts"
import * as UnixSocket from "../base/unixSocket.ts"
import { maxPathRounds } from "../base/defaults.ts"

interface Binding {
  /** As it was given: what errors and addresses show. */
  readonly path: string
  /** The same, whatever becomes of the working directory. */
  readonly absolute: string
  readonly options: Listen
  readonly accept: Accept
  readonly bound: Array<Bound>
}

export const bindUnix = (
  path: string,
  options: Listen,
  accept: Accept,
  bound: Array<Bound>
): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    if (NodeUnixPath.isUnsupported(path)) return yield* listenFailed(path, "ENOTSUP")
    if (NodeUnixPath.isTooLong(path)) return yield* listenFailed(path, "ENAMETOOLONG")
    const absolute = yield* NodeUnixPath.attempt(path, () => NodeUnixPath.absolute(path))
    const binding: Binding = { path, absolute, options, accept, bound }
    const shared = yield* isShared(options)
    // of these the system itself sees that one server has the name, and that nothing is left of it
    if (UnixSocket.isAbstract(path) || NodeUnixPath.isPipe(path)) {
      yield* listenAs(binding, path, shared)
      bound.push({ address: NodeAddress.unix(path), cleanup: nothing })
      return
    }
    yield* checkDirectory(binding)
    yield* shared ? bindItself(binding, true) : bindOwn(binding)
  })

/** Whether the primary process of a cluster listens for this one, and for others. */
const isShared = (options: Listen): Effect.Effect<boolean> =>
  isOnItsOwn(options)
    ? Effect.succeed(false)
    : Effect.map(
        // programs that were not forked do not load it
        Effect.promise(() => import("node:cluster")),
        (cluster) => cluster.default.isWorker
      )

const listenAs = ({ accept, options, path }: Binding, absolute: string, shared: boolean) =>
  Effect.suspend(() =>
    start(
      makeServer(options, accept, path),
      { path: NodeUnixPath.spelled(absolute), backlog: options.backlog, exclusive: !shared },
      path
    )
  )

/** Node says of a directory that does not exist that access is denied. */
const checkDirectory = ({ absolute, path }: Binding): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    // what ends in a slash can be nothing but a directory
    const named = absolute.endsWith("/")
    const stat = yield* NodeUnixPath.attempt(path, () => Fs.statSync(named ? absolute : Path.dirname(absolute)))
    if (!stat.isDirectory()) return yield* listenFailed(path, "ENOTDIR")
    if (named) return yield* listenFailed(path, "ENOTSOCK")
  })

// ---------------------------------------------------------------------------
// a path of this process's own
// ---------------------------------------------------------------------------

const bindOwn = (binding: Binding): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const { server, temporary } = yield* listenAside(binding)
    const taken = yield* Effect.ensuring(
      takePath(binding, temporary),
      Effect.sync(() => Fs.rmSync(temporary, { force: true }))
    )
    if (taken) return
    binding.accept.servers.delete(server)
    server.close()
    yield* bindItself(binding, false)
  })

interface Aside {
  readonly server: Net.Server
  readonly temporary: string
}

/** Listens beside the path, under a name of which nobody knows, and answers where that is. */
const listenAside = (binding: Binding): Effect.Effect<Aside, ListenFailed> =>
  Effect.gen(function* () {
    const base = Path.basename(binding.absolute)
    const directory = binding.absolute.slice(0, -base.length)
    let taken: ListenFailed | undefined
    for (const name of namesAside(base, roomBeside(binding.absolute, base))) {
      const listening = yield* Effect.result(listenAs(binding, directory + name, false))
      if (Result.isSuccess(listening)) return { server: listening.success, temporary: directory + name }
      if (listening.failure.code !== "EADDRINUSE") return yield* listening.failure
      taken = listening.failure
    }
    return yield* taken ?? listenFailed(binding.path, "EADDRINUSE")
  })

/** How many bytes a name may have in place of the last part of a path. */
const roomBeside = (absolute: string, base: string): number =>
  NodeUnixPath.longest() - UnixSocket.sizeOf(NodeUnixPath.spelled(absolute)) + UnixSocket.sizeOf(base)

/** Names that a directory is unlikely to have, each of which is tried once. They begin as the path does, if they may. */
function* namesAside(base: string, room: number): Generator<string> {
  if (room > 1) {
    const head = UnixSocket.sizeOf(base) + 1 + NodeUnixPath.suffixLength <= room ? `${base}.` : "."
    for (let i = 0; i < maxPathRounds; i++)
      yield head + NodeUnixPath.random(Math.min(NodeUnixPath.suffixLength, room - head.length))
  }
  for (const name of `~+=@%,^-_${NodeUnixPath.random(1)}${NodeUnixPath.letters}`) if (name !== base) yield name
}

/**
 * Gives what listens under a name of its own the path, if nobody listens there. `false`: nothing has two names here, and
 * the path was left alone.
 */
const takePath = (binding: Binding, temporary: string): Effect.Effect<boolean, ListenFailed> =>
  Effect.gen(function* () {
    const { mode } = binding.options
    if (mode !== undefined) yield* NodeUnixPath.attempt(binding.path, () => Fs.chmodSync(temporary, mode))
    for (let round = 0; round < maxPathRounds; round++) {
      const before = yield* whatLiesAt(binding)
      const outcome = yield* NodeUnixPath.attempt(binding.path, () => linked(binding, temporary))
      if (outcome !== "in use") return outcome === "linked"
      yield* clearStalePath(binding, before)
    }
    return yield* listenFailed(binding.path, "EADDRINUSE")
  })

/** What a system says whose directory cannot have a second name for a socket: by its kind, or by that of its disk. */
const unlinkable = new Set(["EPERM", "ENOTSUP", "ENOSYS"])

const linked = ({ absolute, bound, options, path }: Binding, temporary: string): "linked" | "in use" | "unlinkable" => {
  const identity = Fs.lstatSync(temporary)
  try {
    Fs.linkSync(temporary, absolute)
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return "in use"
    if (unlinkable.has(code)) return "unlinkable"
    throw error
  }
  bound.push({
    address: NodeAddress.unix(path),
    cleanup:
      options.cleanupSocket === false
        ? nothing
        : () => {
            try {
              removePath(absolute, identity)
            } catch {
              // it is not ours to remove any more
            }
          }
  })
  return "linked"
}

// ---------------------------------------------------------------------------
// a path that is bound itself: one that the workers of a cluster share, and where nothing can have two names
// ---------------------------------------------------------------------------

/**
 * `shared`: the primary process listens on the path, for the first worker that asks, and lets the others share it: it tells
 * them apart by their paths. It removes the path once the last of them has stopped. Otherwise this process does.
 */
const bindItself = (binding: Binding, shared: boolean): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const { absolute, bound, options, path } = binding
    let inUse: ListenFailed | undefined
    for (let round = 0; round < maxPathRounds; round++) {
      const before = yield* whatLiesAt(binding)
      const listening = yield* Effect.result(listenAs(binding, absolute, shared))
      if (Result.isSuccess(listening)) {
        const { mode } = options
        if (mode !== undefined) yield* NodeUnixPath.attempt(path, () => Fs.chmodSync(absolute, mode))
        bound.push({ address: NodeAddress.unix(path), cleanup: nothing })
        return
      }
      if (listening.failure.code !== "EADDRINUSE") return yield* listening.failure
      if (inUse !== undefined) return yield* inUse
      // what was bound since may be another worker's, for which the primary has yet to listen
      const cleared = yield* Effect.result(clearStalePath(binding, before))
      if (Result.isSuccess(cleared)) continue
      // another worker may have cleared it before this one came to look: the primary listens for both then
      if (!shared || cleared.failure.kind !== "AddressInUse") return yield* cleared.failure
      inUse = cleared.failure
    }
    return yield* listenFailed(path, "EADDRINUSE")
  })
