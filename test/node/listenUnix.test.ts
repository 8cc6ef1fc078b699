/**
 * Listening on Unix sockets, rank 25 of what users ask for: what becomes of the path, before and after. The five cases
 * of CPython's `test_unix_server_*cleanup*` are here under their names.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  NodeNetwork,
  openUnixConnection,
  startServer,
  startUnixServer,
  type StreamError,
  type Transport
} from "effect-byte-streams"
import { Effect, Exit, Result, Scope } from "effect"
import { NetAddress } from "effect/net"
import Fs, {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { dirname, join } from "node:path"
import { clearStalePath, whatLiesAt } from "../../src/internal/node/staleUnixPath.ts"
import { text } from "../support/bytes.ts"
import { deafUnixServer } from "../support/deafServer.ts"
import { backTo, held } from "../support/descriptors.ts"
import { deathOf } from "../support/exits.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { unprivileged } from "../support/privileges.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { leaveStale } from "../support/staleSocket.ts"
import { inDirectory, socketPath, temporaryDirectory } from "../support/temporary.ts"
import { within } from "../support/wait.ts"

/** A handler that says who it is and leaves. */
const greet =
  (name = "hello") =>
  ({ writer }: { readonly writer: { readonly write: (line: string) => Effect.Effect<void, unknown> } }) =>
    writer.write(`${name}\n`)

/** A path of so many bytes in a directory. */
const pathOfBytes = (directory: string, bytes: number, letter: string): string => {
  const room = bytes - Buffer.byteLength(directory) - 1
  const size = Buffer.byteLength(letter)
  return `${directory}/${letter.repeat(room / size)}${"-".repeat(room % size)}`
}

type Call = "linkSync" | "lstatSync" | "renameSync" | "rmSync" | "unlinkSync"

/** Does something right before functions of `node:fs` are called with a path, `times` times. */
const beforeCalls = (calls: ReadonlyArray<Call>, path: string, run: () => void, times = 1) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const originals: Partial<typeof Fs> = {}
      let left = times
      let within = false
      for (const call of calls) {
        const original: (...args: Array<any>) => unknown = Fs[call]
        Object.assign(originals, { [call]: original })
        const patched = (...args: Array<any>) => {
          // what it does itself is none of them
          if (!within && args.includes(path) && left-- > 0) {
            within = true
            try {
              run()
            } finally {
              within = false
            }
          }
          return original(...args)
        }
        Object.assign(Fs, { [call]: patched })
      }
      syncBuiltinESMExports()
      return originals
    }),
    (originals) =>
      Effect.sync(() => {
        Object.assign(Fs, originals)
        syncBuiltinESMExports()
      })
  )

const removals = ["renameSync", "rmSync", "unlinkSync"] as const

/** What a client there is told. */
const greetingOf = (path: string) =>
  Effect.scoped(Effect.flatMap(openUnixConnection(path), ({ reader }) => Effect.map(reader.readLine, text)))

describe("rank 25 the path after the end", () => {
  it.live("rank 25, CPython unix_server_addr_cleanup: it is removed", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* startUnixServer(path, greet())
          assert.isTrue(lstatSync(path).isSocket())
          assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
          assert.strictEqual(yield* greetingOf(path), "hello\n")
        })
      )
      assert.deepStrictEqual(readdirSync(dirname(path)), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25, CPython unix_server_sock_cleanup: it is removed as soon as the server stops accepting", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* startServer({ path }, greet())
      const report = yield* server.shutdown({ gracePeriod: 0 })
      assert.deepStrictEqual(report, { completed: 0, aborted: 0 })
      assert.isFalse(existsSync(path))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25, CPython unix_server_cleanup_gone: it is gone already, and nobody minds", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* startUnixServer(path, greet())
          rmSync(path)
        })
      )
      assert.deepStrictEqual(readdirSync(dirname(path)), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25, CPython unix_server_cleanup_replaced: it is somebody else's by now, and stays", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const ours = yield* Scope.make()
          yield* Scope.provide(startUnixServer(path, greet("ours")), ours)
          rmSync(path)
          yield* startUnixServer(path, greet("theirs"))
          yield* Scope.close(ours, Exit.void)
          assert.isTrue(lstatSync(path).isSocket())
          assert.strictEqual(yield* greetingOf(path), "theirs\n")
        })
      )
      assert.isFalse(existsSync(path))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25, CPython unix_server_cleanup_replaced: the same for a file, or another server's socket", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* startUnixServer(path, greet())
          rmSync(path)
          writeFileSync(path, "precious")
        })
      )
      assert.strictEqual(readFileSync(path, "utf8"), "precious")
      rmSync(path)
      const ours = yield* Scope.make()
      yield* Scope.provide(startUnixServer(path, greet()), ours)
      rmSync(path)
      yield* serveRaw({ at: path })
      yield* Scope.close(ours, Exit.void)
      yield* connectRaw(path)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25, CPython unix_server_cleanup_prevented: it stays with cleanupSocket: false", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* Effect.scoped(startUnixServer(path, greet(), { cleanupSocket: false }))
      assert.isTrue(lstatSync(path).isSocket())
      assert.strictEqual((yield* Effect.flip(openUnixConnection(path))).kind, "Refused")
      // and is a stale path for the next
      yield* startUnixServer(path, greet("next"))
      assert.strictEqual(yield* greetingOf(path), "next\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a server that takes over the path after shutdown keeps it when the first one's scope ends", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const first = yield* Scope.make()
      const server = yield* Scope.provide(startUnixServer(path, greet("first")), first)
      yield* server.shutdown()
      yield* startUnixServer(path, greet("second"))
      yield* Scope.close(first, Exit.void)
      assert.strictEqual(yield* greetingOf(path), "second\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("rank 25 the path before the start", () => {
  it.live("rank 25 a stale path, which nobody listens on, is replaced", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* leaveStale(path)
      yield* startUnixServer(path, greet())
      assert.strictEqual(yield* greetingOf(path), "hello\n")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a live one is refused, and goes on", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, greet("first"))
      const failed = yield* Effect.flip(startUnixServer(path, greet("second")))
      assert.strictEqual(failed._tag, "ListenFailed")
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.strictEqual(failed.address, path)
      assert.strictEqual(yield* greetingOf(path), "first\n")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 of two that start at once, one is refused", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const started = yield* Effect.all(
        ["first", "second"].map((name) => Effect.result(startUnixServer(path, greet(name)))),
        { concurrency: "unbounded" }
      )
      const failures = started.filter(Result.isFailure).map(({ failure }) => failure.kind)
      assert.deepStrictEqual(failures, ["AddressInUse"])
      assert.strictEqual(yield* greetingOf(path), Result.isSuccess(started[0]!) ? "first\n" : "second\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 what is not a socket is refused, and left alone", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = join(directory, "file")
      writeFileSync(file, "precious")
      const folder = join(directory, "folder")
      mkdirSync(folder)
      const link = join(directory, "link")
      symlinkSync(file, link)
      for (const path of [file, folder, link]) {
        assert.strictEqual((yield* Effect.flip(startUnixServer(path, greet()))).kind, "NotASocket")
      }
      assert.strictEqual(readFileSync(file, "utf8"), "precious")
      assert.isTrue(lstatSync(folder).isDirectory())
      assert.isTrue(lstatSync(link).isSymbolicLink())
      assert.deepStrictEqual(readdirSync(directory).toSorted(), ["file", "folder", "link"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a symbolic link is in use, wherever it leads, and left alone", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const [stale, live, nowhere] = ["stale", "live", "nowhere"].map((name) => join(directory, name)) as [
        string,
        string,
        string
      ]
      yield* leaveStale(stale)
      yield* startUnixServer(live, greet())
      for (const target of [stale, live, nowhere]) {
        const link = `${target}.link`
        symlinkSync(target, link)
        assert.strictEqual((yield* Effect.flip(startUnixServer(link, greet()))).kind, "AddressInUse")
        assert.isTrue(lstatSync(link).isSymbolicLink())
      }
      assert.isTrue(lstatSync(stale).isSocket())
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a stale path of another user's, in a directory with the sticky bit: AccessDenied at once", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* leaveStale(path)
      chmodSync(path, 0o777)
      chmodSync(dirname(path), 0o1777)
      const began = performance.now()
      const failed = yield* within("it fails", unprivileged(Effect.flip(startUnixServer(path, greet()))), 5000)
      assert.isBelow(performance.now() - began, 1000)
      assert.strictEqual(failed.kind, "AccessDenied")
      assert.strictEqual(failed.code, "EPERM")
      assert.strictEqual(failed.address, path)
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
      // it is nobody's yet
      assert.strictEqual((yield* Effect.flip(openUnixConnection(path))).kind, "Refused")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a socket of another user's that we may not connect to: AccessDenied, and it is left alone", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, greet("first"), { mode: 0o600 })
      chmodSync(dirname(path), 0o777)
      const failed = yield* unprivileged(Effect.flip(startUnixServer(path, greet("second"))))
      assert.strictEqual(failed.kind, "AccessDenied")
      assert.strictEqual(yield* greetingOf(path), "first\n")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a server whose queue is full is alive: AddressInUse", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const { hear } = yield* deafUnixServer(path)
      const failed = yield* Effect.flip(startUnixServer(path, greet()))
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.strictEqual(failed.code, "EADDRINUSE")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
      yield* hear
      assert.strictEqual(yield* greetingOf(path), "at last\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 what took the path since is left alone, though it has yet to listen", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const place = { path, absolute: path }
      yield* leaveStale(path)
      const before = yield* whatLiesAt(place)
      rmSync(path)
      // one that is bound, and nothing more, refuses as one does that was left behind; it may have the same number
      yield* leaveStale(path)
      yield* clearStalePath(place, before)
      yield* clearStalePath(place, undefined)
      assert.isTrue(existsSync(path))
      yield* clearStalePath(place, yield* whatLiesAt(place))
      assert.isFalse(existsSync(path))
    })
  )

  it.live("rank 25 who takes a stale path at the same moment keeps it", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* leaveStale(path)
      const other = yield* socketPath()
      yield* startUnixServer(other, greet("other"))
      // between the look at what is there and its removal
      yield* beforeCalls(removals, path, () => {
        rmSync(path)
        linkSync(other, path)
      })
      const failed = yield* Effect.flip(startUnixServer(path, greet("ours")))
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.strictEqual(yield* greetingOf(path), "other\n")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 who takes the path while it is removed at close keeps it", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const other = yield* socketPath()
      yield* startUnixServer(other, greet("other"))
      const ours = yield* Scope.make()
      yield* Scope.provide(startUnixServer(path, greet("ours")), ours)
      yield* beforeCalls(removals, path, () => {
        rmSync(path)
        linkSync(other, path)
      })
      yield* Scope.close(ours, Exit.void)
      assert.strictEqual(yield* greetingOf(path), "other\n")
      assert.deepStrictEqual(readdirSync(dirname(path)), ["s"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a path that is taken and left again and again is given up on", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      // there whenever it is to be taken, gone whenever it is looked at
      yield* beforeCalls(["linkSync"], path, () => writeFileSync(path, ""), Infinity)
      yield* beforeCalls(["lstatSync"], path, () => rmSync(path, { force: true }), Infinity)
      const failed = yield* within("it fails", Effect.flip(startUnixServer(path, greet())), 5000)
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.notInclude(readdirSync(dirname(path)).join(), ".")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 interrupting startUnixServer at any step leaves nothing behind", () =>
    Effect.gen(function* () {
      const isOverBefore = (step: number) =>
        Effect.gen(function* () {
          const path = yield* socketPath()
          yield* leaveStale(path)
          const starting = Effect.scoped(startUnixServer(path, greet()))
          const exit = yield* within("it ends", interruptBefore(step, starting))
          const left = readdirSync(dirname(path))
          assert.isTrue(
            left.every((name) => name === "s"),
            `before step ${step}: ${left}`
          )
          if (left.length > 0) {
            assert.strictEqual((yield* Effect.flip(openUnixConnection(path))).kind, "Refused", `before step ${step}`)
          }
          return Exit.isSuccess(exit)
        })
      const before = held()
      // several at once: it takes a while to be sure of a path where a full queue refuses as well
      const several = 20
      let over = false
      for (let step = 1; !over; step += several) {
        const steps = Array.from({ length: several }, (_, i) => step + i)
        over = (yield* Effect.forEach(steps, isOverBefore, { concurrency: several })).includes(true)
      }
      yield* backTo(before)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 the directory does not exist: NotFound", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const failed = yield* Effect.flip(startUnixServer(join(directory, "no", "s"), greet()))
      assert.strictEqual(failed.kind, "NotFound")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 the directory is not ours to write to: AccessDenied", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      chmodSync(directory, 0o555)
      const failed = yield* unprivileged(Effect.flip(startUnixServer(join(directory, "s"), greet())))
      assert.strictEqual(failed.kind, "AccessDenied")
      assert.strictEqual(failed.code, "EACCES")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 the longest path that a socket can have is listened on, in bytes and not in characters", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      for (const letter of ["x", "é", "日"]) {
        const path = pathOfBytes(directory, 108, letter)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* startUnixServer(path, greet())
            assert.strictEqual(yield* greetingOf(path), "hello\n")
            assert.strictEqual(readdirSync(directory).length, 1)
          })
        )
      }
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a path without room for another name beside it is listened on while one of a byte is free", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const directory = pathOfBytes(root, 106, "x")
      mkdirSync(directory)
      const path = `${directory}/s`
      for (let code = 33; code < 127; code++) {
        const name = String.fromCharCode(code)
        if (!"/.se".includes(name)) writeFileSync(`${directory}/${name}`, "")
      }
      const others = readdirSync(directory)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* startUnixServer(path, greet())
          assert.strictEqual(yield* greetingOf(path), "hello\n")
        })
      )
      assert.sameMembers(readdirSync(directory), others)
      writeFileSync(`${directory}/e`, "")
      const failed = yield* within("it fails", Effect.flip(startUnixServer(path, greet())), 5000)
      assert.strictEqual(failed.kind, "AddressInUse")
      assert.sameMembers(readdirSync(directory), [...others, "e"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a relative path is that of the directory in which listening began, to the end", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* inDirectory(dirname(path))
      for (const given of ["s", "./s"]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const server = yield* startUnixServer(given, greet())
            assert.deepStrictEqual(server.addresses, [NetAddress.unixPathAddress(given)])
            assert.strictEqual(yield* greetingOf(given), "hello\n")
            process.chdir("/")
          })
        )
        assert.deepStrictEqual(readdirSync(dirname(path)), [])
        process.chdir(dirname(path))
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 a relative path may be short where the absolute one would be too long", () =>
    Effect.gen(function* () {
      const deep = join(yield* temporaryDirectory, "x".repeat(120))
      mkdirSync(deep)
      yield* inDirectory(deep)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* startUnixServer("s", greet())
          assert.strictEqual(yield* greetingOf("s"), "hello\n")
          assert.strictEqual((yield* Effect.flip(startUnixServer("s", greet()))).kind, "AddressInUse")
          assert.strictEqual((yield* Effect.flip(startUnixServer(join(deep, "s"), greet()))).kind, "PathTooLong")
          process.chdir("/")
        })
      )
      assert.deepStrictEqual(readdirSync(deep), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 what can be no path dies, and says so", () =>
    Effect.gen(function* () {
      assert.include(yield* deathOf(startUnixServer("", greet())), "startUnixServer: path must be")
      assert.include(yield* deathOf(startUnixServer("/tmp/a\0b", greet())), "/tmp/a\\u0000b")
      assert.include(
        yield* deathOf(startUnixServer(5 as never, greet())),
        "path must be text that is not empty, without a NUL but in front, got 5"
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("a path that leads to no server is of one kind, for those who connect and those who listen", () => {
  const cases: ReadonlyArray<
    readonly [string, string | ((directory: string) => string), StreamError.ConnectFailed["kind"]]
  > = [
    ["a file", "file", "NotASocket"],
    ["a directory", "folder", "NotASocket"],
    ["a directory, with a slash", "folder/", "NotASocket"],
    ["a symbolic link to a file", "link", "NotASocket"],
    ["below a file", "file/s", "NotADirectory"],
    ["far below a file", "file/x/s", "NotADirectory"],
    ["below a socket", "socket/s", "NotADirectory"],
    ["a socket, with a slash", "socket/", "NotADirectory"],
    ["in a directory that does not exist", "no/s", "NotFound"],
    ["a name that does not exist, with a slash", "no/", "NotFound"],
    ["109 bytes", (directory) => pathOfBytes(directory, 109, "x"), "PathTooLong"],
    ["109 bytes in 60 characters", (directory) => pathOfBytes(directory, 109, "日"), "PathTooLong"],
    ["an abstract name of 109 bytes", () => pathOfBytes("\0", 109, "日"), "PathTooLong"]
  ]
  for (const [what, where, kind] of cases) {
    it.live(`${what}: ${kind}`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        writeFileSync(join(directory, "file"), "")
        mkdirSync(join(directory, "folder"))
        symlinkSync(join(directory, "file"), join(directory, "link"))
        yield* startUnixServer(join(directory, "socket"), greet())
        const before = readdirSync(directory)
        const path = typeof where === "string" ? `${directory}/${where}` : where(directory)
        const connecting = yield* Effect.flip(openUnixConnection(path))
        assert.strictEqual(connecting.kind, kind)
        assert.strictEqual(connecting.target, path)
        const listening = yield* Effect.flip(startUnixServer(path, greet()))
        assert.strictEqual(listening.kind, kind)
        assert.strictEqual(listening.address, path)
        assert.strictEqual(listening.code, connecting.attempts[0]?.code)
        assert.deepStrictEqual(readdirSync(directory), before)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("a directory that we may not look into: AccessDenied", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      chmodSync(dirname(path), 0o700)
      const both = Effect.all([Effect.flip(openUnixConnection(path)), Effect.flip(startUnixServer(path, greet()))])
      const [connecting, listening] = yield* unprivileged(both)
      assert.strictEqual(connecting.kind, "AccessDenied")
      assert.strictEqual(listening.kind, "AccessDenied")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a relative path where the working directory is gone: NotFound", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* inDirectory(directory)
      rmdirSync(directory)
      assert.strictEqual((yield* Effect.flip(openUnixConnection("s"))).kind, "NotFound")
      assert.strictEqual((yield* Effect.flip(startUnixServer("s", greet()))).kind, "NotFound")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("rank 25 short names", () => {
  it.live("rank 25 a name of one character is as good as any other, every time, and beside others", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* startUnixServer(join(directory, "a"), greet("another"))
      for (let i = 0; i < 200; i++) yield* Effect.scoped(startUnixServer(join(directory, "s"), greet()))
      assert.deepStrictEqual(readdirSync(directory), ["a"])
      assert.strictEqual(yield* greetingOf(join(directory, "a")), "another\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("rank 25 the socket", () => {
  it.live("rank 25 mode: the permissions of the path", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, greet(), { mode: 0o640 })
      assert.strictEqual(lstatSync(path).mode & 0o777, 0o640)
      const another = yield* socketPath()
      yield* startUnixServer(another, greet(), { mode: 0o606 })
      assert.strictEqual(lstatSync(another).mode & 0o777, 0o606)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 an abstract name: no path at all", () =>
    Effect.gen(function* () {
      const name = `\0effect-byte-streams-${process.pid}-${Math.random()}`
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startUnixServer(name, greet())
          assert.strictEqual((server.address as NetAddress.UnixPathAddress).path, name)
          assert.strictEqual(yield* greetingOf(name), "hello\n")
          assert.strictEqual((yield* Effect.flip(startUnixServer(name, greet()))).kind, "AddressInUse")
        })
      )
      assert.strictEqual((yield* Effect.flip(openUnixConnection(name))).kind, "Refused")
      yield* startUnixServer(name, greet("again"))
      assert.strictEqual(yield* greetingOf(name), "again\n")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 the system shows the name that was bound, which begins with the path where there is room", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      yield* startUnixServer(path, greet())
      const shown = readFileSync("/proc/net/unix", "utf8").split(/\s/)
      assert.strictEqual(shown.filter((name) => name.startsWith(path)).length, 1)
      assert.isTrue(shown.some((name) => /^\.[0-9a-z]{8}$/.test(name.slice(path.length)) && name.startsWith(path)))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 address is the path; there is no port", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const infos: Array<Transport.ConnectionInfo> = []
      const server = yield* startUnixServer(path, ({ info }) => Effect.sync(() => infos.push(info)))
      assert.deepStrictEqual(server.addresses, [NetAddress.unixPathAddress(path)])
      assert.include(yield* deathOf(Effect.sync(() => server.port)), path)
      const client = yield* openUnixConnection(path)
      yield* client.reader.readLine
      assert.deepStrictEqual(infos, [{ local: NetAddress.unixPathAddress(path), remote: undefined }])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
