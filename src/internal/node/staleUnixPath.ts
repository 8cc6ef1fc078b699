/**
 * Stale Unix paths. A server that did not remove its path leaves it behind, and nobody listens there any more: the next
 * server clears it away. A path where somebody listens, or which is no socket, stays as it is.
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import { refusalPauseMillis, refusalsOfNobody } from "../base/defaults.ts"
import type { ListenFailed } from "../base/errors.ts"
import { listenFailed, toListenFailed } from "../transport/failure.ts"
import * as NodeUnixPath from "./unixPath.ts"

interface PathOfSocket {
  /** As it was given: what errors and addresses show. */
  readonly path: string
  /** The same, whatever becomes of the working directory. */
  readonly absolute: string
}

/** What lies at a path, if anything does. */
export const whatLiesAt = ({ absolute, path }: PathOfSocket): Effect.Effect<Fs.Stats | undefined, ListenFailed> =>
  NodeUnixPath.attempt(path, () => Fs.lstatSync(absolute, { throwIfNoEntry: false }))

/**
 * Makes room at a path where nobody listens. Fails where somebody does, or where it is not ours to make room. Only what lay
 * there before it was taken in vain goes: whoever took it since may be about to listen.
 */
export const clearStalePath = (place: PathOfSocket, before: Fs.Stats | undefined): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const { absolute, path } = place
    const there = yield* whatLiesAt(place)
    if (there === undefined || !isUntouched(before, there)) return
    if (!there.isSocket())
      return yield* listenFailed(path, NodeUnixPath.refusedBy(absolute) === "ENOTSOCK" ? "ENOTSOCK" : "EADDRINUSE")
    const error = yield* probeUntilSure(absolute)
    switch (error?.code) {
      case "ENOENT":
        return
      case "ECONNREFUSED":
        return yield* NodeUnixPath.attempt(path, () => {
          // Somebody may have removed it meanwhile, and taken the path: some systems give the next one the same number.
          if (isUntouched(there, Fs.lstatSync(absolute, { throwIfNoEntry: false }))) removePath(absolute, there)
        })
      // Somebody listens, has no room for one more in the queue, or is no stream.
      case undefined:
      case "EAGAIN":
      case "EPROTOTYPE":
        return yield* listenFailed(path, "EADDRINUSE", error)
      default:
        return yield* toListenFailed(path, error)
    }
  })

/**
 * Linux refuses where nobody listens, and only there. Other systems also do while the queue of a server is full: nobody is
 * taken to listen there only after several refusals. Some runtimes say so of everything that fails (Bun).
 */
const probeUntilSure = (absolute: string): Effect.Effect<NodeJS.ErrnoException | undefined> =>
  Effect.gen(function* () {
    for (let refusals = 1, pause = refusalPauseMillis; ; refusals++, pause *= 2) {
      const error = yield* probe(absolute)
      if (error?.code !== "ECONNREFUSED" || refusals === refusalsOfNobody) return error
      if (NodeUnixPath.isLinux() && (yield* tellsFailuresApart)) return error
      yield* Effect.sleep(pause)
    }
  })

/** Whether a refusal is the system's own word: of this path it has another. */
const tellsFailuresApart = Effect.suspend(() =>
  Effect.map(probe("/dev/null/socket"), (error) => error?.code === "ENOTDIR")
)

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

/** Whether it is the same, as far as its numbers say. */
const isSame = (was: Fs.Stats | undefined, now: Fs.Stats | undefined): boolean =>
  was !== undefined && now !== undefined && now.dev === was.dev && now.ino === was.ino

/** Whether it is the same, and nothing was done to it. Deno tells the time of a change in whole seconds only. */
const isUntouched = (was: Fs.Stats | undefined, now: Fs.Stats | undefined): boolean =>
  isSame(was, now) && was?.ctimeMs === now?.ctimeMs && was?.mtimeMs === now?.mtimeMs

/** Removes a path, if it still is what it was. */
export const removePath = (path: string, was: Fs.Stats): void => {
  const same = (now: Fs.Stats | undefined) => isSame(was, now)
  if (!same(Fs.lstatSync(path, { throwIfNoEntry: false }))) return
  // Somebody else may take the path at any moment. What lies aside stays what it is while it is looked at.
  const aside = `${path}.${NodeUnixPath.random(NodeUnixPath.suffixLength)}`
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
