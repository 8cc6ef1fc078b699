/**
 * Listening on Unix sockets, rank 25 of what users ask for: what becomes of the path, before and after. The five cases
 * of CPython's `test_unix_server_*cleanup*` are here under their names.
 */
import { assert, describe, it } from "@effect/vitest"
import { NodeNetwork, openUnixConnection, startServer, startUnixServer, type Transport } from "effect-byte-streams"
import { Effect, Exit, Result, Scope } from "effect"
import { NetAddress } from "effect/net"
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { text } from "../support/bytes.ts"
import { deathOf } from "../support/exits.ts"
import { unprivileged } from "../support/privileges.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { socketPath, temporaryDirectory } from "../support/temporary.ts"

/** A handler that says who it is and leaves. */
const greet =
  (name = "hello") =>
  ({ writer }: { readonly writer: { readonly write: (line: string) => Effect.Effect<void, unknown> } }) =>
    writer.write(`${name}\n`)

/** What a client there is told. */
const greetingOf = (path: string) =>
  Effect.scoped(Effect.flatMap(openUnixConnection(path), ({ reader }) => Effect.map(reader.readLine, text)))

/** Leaves a socket's path behind as a process that dies does. */
const leaveStale = (path: string) =>
  Effect.sync(() => {
    const die = 'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))'
    assert.strictEqual(spawnSync(process.execPath, ["-e", die, path], { timeout: 10_000 }).signal, "SIGKILL")
    assert.isTrue(lstatSync(path).isSocket())
  })

describe("rank 25 the path after the end", () => {
  it.live("rank 25 unix_server_addr_cleanup: it is removed", () =>
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

  it.live("rank 25 unix_server_sock_cleanup: it is removed as soon as the server stops accepting", () =>
    Effect.gen(function* () {
      const path = yield* socketPath()
      const server = yield* startServer({ path }, greet())
      const report = yield* server.shutdown({ gracePeriod: 0 })
      assert.deepStrictEqual(report, { completed: 0, aborted: 0 })
      assert.isFalse(existsSync(path))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 unix_server_cleanup_gone: it is gone already, and nobody minds", () =>
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

  it.live("rank 25 unix_server_cleanup_replaced: it is somebody else's by now, and stays", () =>
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

  it.live("rank 25 unix_server_cleanup_replaced: the same for a file, or another server's socket", () =>
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

  it.live("rank 25 unix_server_cleanup_prevented: it stays with cleanupSocket: false", () =>
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
      assert.strictEqual((yield* Effect.flip(startUnixServer(file, greet()))).kind, "AddressInUse")
      assert.strictEqual(readFileSync(file, "utf8"), "precious")
      const folder = join(directory, "folder")
      mkdirSync(folder)
      assert.strictEqual((yield* Effect.flip(startUnixServer(folder, greet()))).kind, "AddressInUse")
      assert.isTrue(lstatSync(folder).isDirectory())
      const link = join(directory, "link")
      symlinkSync(file, link)
      assert.strictEqual((yield* Effect.flip(startUnixServer(link, greet()))).kind, "AddressInUse")
      assert.isTrue(lstatSync(link).isSymbolicLink())
      assert.deepStrictEqual(readdirSync(directory).toSorted(), ["file", "folder", "link"])
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

  it.live("rank 25 the path is longer than a socket's can be: it fails typed, and leaves nothing", () =>
    Effect.gen(function* () {
      const path = yield* socketPath("x".repeat(120))
      const failed = yield* Effect.flip(startUnixServer(path, greet()))
      assert.strictEqual(failed._tag, "ListenFailed")
      assert.strictEqual(failed.address, path)
      assert.deepStrictEqual(readdirSync(dirname(path)), [])
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("rank 25 the longest path that a socket can have is listened on", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, "x".repeat(107 - 3 - directory.length), "s")
      mkdirSync(dirname(path))
      assert.isAtMost(Buffer.byteLength(path), 107)
      assert.isAtLeast(Buffer.byteLength(path), 106)
      yield* startUnixServer(path, greet())
      assert.strictEqual(yield* greetingOf(path), "hello\n")
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
