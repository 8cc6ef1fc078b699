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
import * as Net from "node:net"
import * as Path from "node:path"
import type { ListenFailed } from "../base/errors.ts"
import type { Listen } from "../base/networkOptions.ts"
import * as NodeAddress from "./address.ts"
import {
  type Accept,
  type Bound,
  isOnItsOwn,
  listenFailed,
  makeServer,
  nothing,
  start,
  toListenFailed
} from "./listener.ts"
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
    if (NodeUnixPath.isTooLong(path)) return yield* listenFailed(path, "ENAMETOOLONG")
    const absolute = yield* attempt(path, () => NodeUnixPath.absolute(path))
    const binding: Binding = { path, absolute, options, accept, bound }
    const shared = yield* isShared(options)
    if (UnixSocket.isAbstract(path)) {
      yield* listenAs(binding, path, shared)
      bound.push({ address: NodeAddress.unix(path), cleanup: nothing })
      return
    }
    yield* checkDirectory(binding)
    yield* shared ? bindShared(binding) : bindOwn(binding)
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

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, ListenFailed> =>
  Effect.try({ try: run, catch: (error) => toListenFailed(path, error) })

/** Node says of a directory that does not exist that access is denied. */
const checkDirectory = ({ absolute, path }: Binding): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    // what ends in a slash can be nothing but a directory
    const named = absolute.endsWith("/")
    const stat = yield* attempt(path, () => Fs.statSync(named ? absolute : Path.dirname(absolute)))
    if (!stat.isDirectory()) return yield* listenFailed(path, "ENOTDIR")
    if (named) return yield* listenFailed(path, "ENOTSOCK")
  })

// ---------------------------------------------------------------------------
// a path of this process's own
// ---------------------------------------------------------------------------

const bindOwn = (binding: Binding): Effect.Effect<void, ListenFailed> =>
  Effect.flatMap(listenAside(binding), (temporary) =>
    Effect.ensuring(
      takePath(binding, temporary),
      Effect.sync(() => Fs.rmSync(temporary, { force: true }))
    )
  )

/** Listens beside the path, under a name of which nobody knows, and answers where that is. */
const listenAside = (binding: Binding): Effect.Effect<string, ListenFailed> =>
  Effect.gen(function* () {
    const base = Path.basename(binding.absolute)
    const directory = binding.absolute.slice(0, -base.length)
    let taken: ListenFailed | undefined
    for (const name of namesAside(base, roomBeside(binding.absolute, base))) {
      const listening = yield* Effect.result(listenAs(binding, directory + name, false))
      if (Result.isSuccess(listening)) return directory + name
      if (listening.failure.code !== "EADDRINUSE") return yield* listening.failure
      taken = listening.failure
    }
    return yield* taken ?? listenFailed(binding.path, "EADDRINUSE")
  })

/** How many bytes a name may have in place of the last part of a path. */
const roomBeside = (absolute: string, base: string): number =>
  NodeUnixPath.longest - UnixSocket.sizeOf(NodeUnixPath.spelled(absolute)) + UnixSocket.sizeOf(base)

const letters = "0123456789abcdefghijklmnopqrstuvwxyz"

const random = (length: number): string => {
  let out = ""
  for (let i = 0; i < length; i++) out += letters[Math.floor(Math.random() * letters.length)]
  return out
}

const suffixLength = 8

/** Names that a directory is unlikely to have, each of which is tried once. They begin as the path does, if they may. */
function* namesAside(base: string, room: number): Generator<string> {
  if (room > 1) {
    const head = UnixSocket.sizeOf(base) + 1 + suffixLength <= room ? `${base}.` : "."
    for (let i = 0; i < maxPathRounds; i++) yield head + random(Math.min(suffixLength, room - head.length))
  }
  for (const name of `~+=@%,^-_${random(1)}${letters}`) if (name !== base) yield name
}

/** Gives what listens under a name of its own the path, if nobody listens there. */
const takePath = (binding: Binding, temporary: string): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const { mode } = binding.options
    if (mode !== undefined) yield* attempt(binding.path, () => Fs.chmodSync(temporary, mode))
    for (let round = 0; round < maxPathRounds; round++) {
      if (yield* attempt(binding.path, () => linked(binding, temporary))) return
      yield* clear(binding)
    }
    return yield* listenFailed(binding.path, "EADDRINUSE")
  })

/** Whether nothing had the path. */
const linked = ({ absolute, bound, options, path }: Binding, temporary: string): boolean => {
  const identity = Fs.lstatSync(temporary)
  try {
    Fs.linkSync(temporary, absolute)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
  bound.push({
    address: NodeAddress.unix(path),
    cleanup:
      options.cleanupSocket === false
        ? nothing
        : () => {
            try {
              remove(absolute, identity)
            } catch {
              // it is not ours to remove any more
            }
          }
  })
  return true
}

// ---------------------------------------------------------------------------
// a path that the workers of a cluster share
// ---------------------------------------------------------------------------

/**
 * The primary process listens on the path itself, for the first worker that asks, and lets the others share it: it tells
 * them apart by their paths. It removes the path once the last of them has stopped.
 */
const bindShared = (binding: Binding): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const { absolute, bound, options, path } = binding
    for (let round = 0; round < maxPathRounds; round++) {
      const listening = yield* Effect.result(listenAs(binding, absolute, true))
      if (Result.isSuccess(listening)) {
        const { mode } = options
        if (mode !== undefined) yield* attempt(path, () => Fs.chmodSync(absolute, mode))
        bound.push({ address: NodeAddress.unix(path), cleanup: nothing })
        return
      }
      if (listening.failure.code !== "EADDRINUSE") return yield* listening.failure
      yield* clear(binding)
    }
    return yield* listenFailed(path, "EADDRINUSE")
  })

// ---------------------------------------------------------------------------
// what is there already
// ---------------------------------------------------------------------------

/** Makes room at a path where nobody listens. Fails where somebody does, or where it is not ours to make room. */
const clear = ({ absolute, path }: Binding): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const there = yield* attempt(path, () => Fs.lstatSync(absolute, { throwIfNoEntry: false }))
    if (there === undefined) return
    if (!there.isSocket())
      return yield* listenFailed(path, NodeUnixPath.isOccupied(absolute) ? "ENOTSOCK" : "EADDRINUSE")
    const error = yield* probe(absolute)
    switch (error?.code) {
      case "ENOENT":
        return
      case "ECONNREFUSED":
        return yield* attempt(path, () => remove(absolute, there))
      // Somebody listens, has no room for one more in the queue, or is no stream.
      case undefined:
      case "EAGAIN":
      case "EPROTOTYPE":
        return yield* listenFailed(path, "EADDRINUSE", error)
      default:
        return yield* toListenFailed(path, error)
    }
  })

/** Connects and leaves. Answers what it met, if it could not. */
const probe = (absolute: string): Effect.Effect<NodeJS.ErrnoException | undefined> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ path: NodeUnixPath.spelled(absolute) })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(undefined))
    })
    socket.on("error", (error) => resume(Effect.succeed(error)))
    return Effect.sync(() => socket.destroy())
  })

/** Removes a path, if it still is what it was. */
const remove = (path: string, was: Fs.Stats): void => {
  const same = (now: Fs.Stats | undefined) => now !== undefined && now.dev === was.dev && now.ino === was.ino
  if (!same(Fs.lstatSync(path, { throwIfNoEntry: false }))) return
  // Somebody else may take the path at any moment. What lies aside stays what it is while it is looked at.
  const aside = `${path}.${random(suffixLength)}`
  try {
    Fs.renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return
    throw error
  }
  if (!same(Fs.lstatSync(aside))) giveBack(aside, path)
  Fs.unlinkSync(aside)
}

const giveBack = (aside: string, path: string): void => {
  try {
    Fs.linkSync(aside, path)
  } catch (error) {
    // a third one has it by now
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
}
