/**
 * What the library does on systems that the tests do not run on: Node says that it is one, and functions of Node's are made
 * to answer as they do there. `docs/platforms.md` has what that shows, and what it cannot.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openUnixConnection, startServer, startUnixServer, StreamError } from "effect-byte-streams"
import { Effect } from "effect"
import { NetAddress } from "effect/net"
import Fs, { existsSync, lstatSync, readdirSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import Net from "node:net"
import { join } from "node:path"
import * as UnixPath from "../../src/internal/node/unixPath.ts"
import { text } from "../support/bytes.ts"
import { backTo, held } from "../support/descriptors.ts"
import { onPlatform } from "../support/platform.ts"
import { leaveStale } from "../support/staleSocket.ts"
import { inDirectory, temporaryDirectory } from "../support/temporary.ts"
import { within } from "../support/wait.ts"

const greet = ({ writer }: { readonly writer: { write(line: string): Effect.Effect<void, unknown> } }) =>
  writer.write("hello\n")

const greetingOf = (path: string) =>
  Effect.scoped(Effect.flatMap(openUnixConnection(path), ({ reader }) => Effect.map(reader.readLine, text)))

/** Puts other functions into a module of Node's, until the end of the scope. */
const replaced = <M extends object>(module: M, others: Partial<M>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const own = Object.fromEntries(Object.keys(others).map((name) => [name, module[name as keyof M]]))
      Object.assign(module, others)
      syncBuiltinESMExports()
      return own
    }),
    (own) =>
      Effect.sync(() => {
        Object.assign(module, own)
        syncBuiltinESMExports()
      })
  )

const failure = (code: string) => Object.assign(new Error(code), { code })

const pathOfBytes = (directory: string, bytes: number): string =>
  join(directory, "x".repeat(bytes - Buffer.byteLength(directory) - 1))

describe("Windows has no Unix sockets for Node", () => {
  it.live("a server on a path fails with kind Unsupported, and nothing was tried", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, "s")
      yield* onPlatform("win32")
      for (const start of [startUnixServer(path, greet), startServer({ path }, greet), startUnixServer("\0s", greet)]) {
        const failed = yield* Effect.flip(start)
        assert(failed instanceof StreamError.ListenFailed)
        assert.deepStrictEqual([failed.kind, failed.code], ["Unsupported", "ENOTSUP"])
      }
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a client of a path fails with kind Unsupported, also where somebody listens, who hears nothing of it", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "s")
      let clients = 0
      yield* startUnixServer(path, () => Effect.sync(() => clients++))
      const before = held()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* onPlatform("win32")
          const failed = yield* Effect.flip(openUnixConnection(path))
          assert.strictEqual(failed.kind, "Unsupported")
          assert.deepStrictEqual(failed.attempts, [{ address: path, kind: "Unsupported", code: "ENOTSUP" }])
        })
      )
      yield* backTo(before)
      assert.strictEqual(clients, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  const names: ReadonlyArray<readonly [name: string, isPipe: boolean]> = [
    ["\\\\.\\pipe\\app", true],
    ["\\\\?\\pipe\\app", true],
    ["\\\\.\\PIPE\\app", true],
    ["//./pipe/app", true],
    ["\\\\.\\pipe", false],
    ["\\\\server\\pipe\\app", false],
    ["C:\\app.sock", false],
    ["pipe\\app", false],
    ["app.sock", false],
    ["\0app", false]
  ]
  for (const [name, isPipe] of names) {
    it.live(`${JSON.stringify(name)} is ${isPipe ? "the name of a pipe, there alone" : "no name of a pipe"}`, () =>
      Effect.gen(function* () {
        assert.isFalse(UnixPath.isPipe(name))
        yield* onPlatform("win32")
        assert.deepStrictEqual([UnixPath.isPipe(name), UnixPath.isUnsupported(name)], [isPipe, !isPipe])
        if (isPipe) {
          assert.strictEqual(UnixPath.absolute(name), name)
          assert.isFalse(UnixPath.isTooLong(name + "x".repeat(200)))
        }
      })
    )
  }

  it.live("a pipe is listened on and connected to by the name that was given, and by no other", () =>
    Effect.gen(function* () {
      // a file of this name, as systems that are no Windows see it
      const name = "\\\\.\\pipe\\app"
      const directory = yield* temporaryDirectory
      yield* inDirectory(directory)
      yield* onPlatform("win32")
      const { address } = yield* startUnixServer(name, greet)
      assert.deepStrictEqual(address, NetAddress.unixPathAddress(name))
      assert.deepStrictEqual(readdirSync(directory), [name])
      assert.strictEqual(yield* within("the greeting", greetingOf(name)), "hello\n")
      assert.strictEqual((yield* Effect.flip(startUnixServer(name, greet))).kind, "AddressInUse")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("macOS", () => {
  it.live("has no abstract sockets: kind Unsupported, for servers and clients", () =>
    Effect.gen(function* () {
      yield* onPlatform("darwin")
      assert.strictEqual((yield* Effect.flip(startUnixServer("\0app", greet))).kind, "Unsupported")
      assert.strictEqual((yield* Effect.flip(openUnixConnection("\0app"))).kind, "Unsupported")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("has room for 104 bytes of a path", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* onPlatform("darwin")
      const longest = pathOfBytes(directory, 104)
      yield* startUnixServer(longest, greet)
      assert.strictEqual(yield* within("the greeting", greetingOf(longest)), "hello\n")
      for (const use of [startUnixServer(`${longest}x`, greet), openUnixConnection(`${longest}x`)]) {
        assert.strictEqual(
          (yield* Effect.flip<unknown, StreamError.ListenFailed | StreamError.ConnectFailed, any>(use)).kind,
          "PathTooLong"
        )
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live(
    "refuses while the queue of a server is full: the path of one that has room a moment later stays its own",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const [path, stale] = [join(directory, "s"), join(directory, "stale")]
        yield* leaveStale(stale)
        yield* startUnixServer(path, greet)
        const { ino } = lstatSync(path)
        const { connect } = Net
        let refusals = 0
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* replaced(Net, {
              connect: ((options: Net.IpcNetConnectOpts) =>
                connect(options.path === path && ++refusals < 4 ? { ...options, path: stale } : options)) as never
            })
            yield* onPlatform("darwin")
            assert.strictEqual((yield* Effect.flip(startUnixServer(path, greet))).kind, "AddressInUse")
          })
        )
        assert.strictEqual(refusals, 4)
        assert.strictEqual(lstatSync(path).ino, ino)
        assert.strictEqual(yield* within("the greeting", greetingOf(path)), "hello\n")
      }).pipe(Effect.provide(NodeNetwork.layer))
  )

  for (const [platform, runtime, expected] of [
    ["darwin", "", 5],
    ["linux", "", 1],
    ["linux", ", by a runtime that calls all that fails refused", 5]
  ] as const) {
    it.live(`a stale path is replaced on ${platform}${runtime}, after so many refusals as it takes to be sure`, () =>
      Effect.gen(function* () {
        const path = join(yield* temporaryDirectory, "s")
        yield* leaveStale(path)
        const { connect } = Net
        let probes = 0
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* replaced(Net, {
              connect: ((options: Net.IpcNetConnectOpts) => {
                if (options.path === path) probes++
                return connect(runtime === "" ? options : { path })
              }) as never
            })
            yield* onPlatform(platform)
            yield* startUnixServer(path, greet)
            assert.strictEqual(probes, expected)
            assert.strictEqual(yield* within("the greeting", greetingOf(path)), "hello\n")
          })
        )
        assert.isFalse(existsSync(path))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("does not share a port: reusePort fails with kind Unsupported", () =>
    Effect.gen(function* () {
      const { listen } = Net.Server.prototype
      yield* replaced(Net.Server.prototype, {
        listen(this: Net.Server, options: Net.ListenOptions) {
          if (options.reusePort !== true) return listen.call(this, options)
          // as libuv answers there
          process.nextTick(() => this.emit("error", failure("ENOTSUP")))
          return this
        }
      } as never)
      const failed = yield* Effect.flip(startServer({ host: "127.0.0.1", port: 0, reusePort: true }, greet))
      assert.deepStrictEqual([failed.kind, failed.code], ["Unsupported", "ENOTSUP"])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe("where a socket cannot have two names", () => {
  for (const code of ["EPERM", "ENOTSUP", "ENOSYS"]) {
    it.live(`${code}: the path itself is bound, as if nothing were different`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const path = join(directory, "s")
        const { linkSync } = Fs
        const before = held()
        let links = 0
        yield* leaveStale(path)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* replaced(Fs, {
              linkSync: () => {
                links++
                throw failure(code)
              }
            })
            const server = yield* startUnixServer(path, greet, { mode: 0o600 })
            assert.deepStrictEqual(server.address, NetAddress.unixPathAddress(path))
            assert.strictEqual(lstatSync(path).mode & 0o777, 0o600)
            assert.deepStrictEqual(readdirSync(directory), ["s"])
            assert.strictEqual(yield* within("the greeting", greetingOf(path)), "hello\n")
            assert.strictEqual((yield* Effect.flip(startUnixServer(path, greet))).kind, "AddressInUse")
            assert.strictEqual(yield* within("the greeting", greetingOf(path)), "hello\n")
          })
        )
        assert.deepStrictEqual(readdirSync(directory), [])
        yield* backTo(before)
        assert.isAbove(links, 0)
        assert.strictEqual(Fs.linkSync, linkSync)
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("another failure of linking is one of the server", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* replaced(Fs, {
        linkSync: () => {
          throw failure("ENOSPC")
        }
      })
      const failed = yield* Effect.flip(startUnixServer(join(directory, "s"), greet))
      assert.deepStrictEqual([failed.kind, failed.code], ["Unknown", "ENOSPC"])
      assert.deepStrictEqual(readdirSync(directory), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
