/** `upgrade` of Effect's own sockets: STARTTLS, under pulls and writes that go on. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, openConnection } from "effect-byte-streams"
import { Deferred, Effect, Exit, Fiber, Option, Redacted, Scheduler, Scope } from "effect"
import type { Socket } from "effect/socket"
import { pattern } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { backTo, held } from "../support/descriptors.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { echo, overSockets, pullText, served, why } from "../support/sockets.ts"
import { turns, within } from "../support/wait.ts"
import { HeldBefore } from "../support/yieldingSchedulers.ts"

const identity = { cert: certificates.server.cert, key: Redacted.make(certificates.server.key) }
const trust = { ca: authority.cert, servername: "localhost" }
const never: Effect.Effect<never> = Effect.never

for (const { kind, network, place } of overSockets.filter(({ kind }) => kind !== "TLS")) {
  describe(`upgrade of a socket, over ${kind}`, () => {
    it.live(
      "a pull that waits goes on behind it, and writes that begin meanwhile go out encrypted, in their order",
      () =>
        Effect.gen(function* () {
          const at = yield* place
          const heard = yield* Deferred.make<string>()
          /** All at once, on one side: a pull, the upgrade, and writes. */
          const busy = (socket: Socket.Socket, options: Socket.TlsUpgradeOptions) =>
            Effect.gen(function* () {
              const writer = yield* socket.writer
              const { pull, upgrade } = yield* socket.reader
              const pulling = yield* Effect.forkChild(pullText(pull, 11), { startImmediately: true })
              const upgrading = yield* Effect.forkChild(upgrade(options), { startImmediately: true })
              const writing = yield* Effect.forkChild(
                Effect.andThen(writer.write("one, "), writer.writeAll(["two", ", 3"])),
                { startImmediately: true }
              )
              assert.strictEqual(upgrading.pollUnsafe(), undefined)
              assert.strictEqual(writing.pollUnsafe(), undefined)
              yield* within("the upgrade", Fiber.join(upgrading))
              yield* within("the writes", Fiber.join(writing))
              return yield* within("what the other side says", Fiber.join(pulling))
            })
          yield* served(at, (socket) =>
            Effect.scoped(Effect.flatMap(busy(socket, identity), (text) => Deferred.succeed(heard, text)))
          )
          const socket = yield* Connection.makeSocket(at.dial())
          assert.strictEqual(yield* busy(socket, trust), "one, two, 3")
          assert.strictEqual(yield* within("what the server hears", Deferred.await(heard)), "one, two, 3")
        }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a write and a pull that hear of it only when it is over go on behind it as well", () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* served(at, (socket) => Effect.ignore(echo(socket, identity)))
        for (const how of ["write", "pull"] as const) {
          let held = 0
          for (let step = 2; step <= 8; step++) {
            const session = Effect.gen(function* () {
              const socket = yield* Connection.makeSocket(at.dial())
              const writer = yield* socket.writer
              const { pull, upgrade } = yield* socket.reader
              const scheduler = new HeldBefore(step)
              const slowly = <A, E>(effect: Effect.Effect<A, E>) =>
                Effect.forkChild(Effect.provideService(effect, Scheduler.Scheduler, scheduler), {
                  startImmediately: true
                })
              const slow = yield* slowly(how === "write" ? writer.write("slowly") : pullText(pull, 6))
              // one that has been written goes out in plain text
              if (how === "write" && !scheduler.holds) return
              yield* within("the upgrade", upgrade(trust))
              if (scheduler.holds) held++
              if (how === "pull") yield* writer.write("slowly")
              scheduler.goOn()
              const answer = yield* within("the slow one", Fiber.join(slow))
              assert.strictEqual(
                how === "pull" ? answer : yield* within("the echo", pullText(pull, 6)),
                "slowly",
                `step ${step}`
              )
            })
            yield* Effect.scoped(session)
          }
          assert.isAbove(held, 1)
        }
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("plain bytes that were read ahead fail it, and the connection", () =>
      Effect.gen(function* () {
        const at = yield* place
        const seen = yield* Deferred.make<ReadonlyArray<Socket.SocketError>>()
        yield* served(at, (socket) =>
          Effect.scoped(
            Effect.gen(function* () {
              const { pull, upgrade } = yield* socket.reader
              // the request to upgrade, and what somebody has put behind it
              assert.strictEqual(yield* pullText(pull, 8), "STARTTLS")
              const connection = Option.getOrThrow(yield* Effect.serviceOption(Connection.Connection))
              while ((yield* connection.reader.buffered) === 0) yield* Effect.sleep(1)
              yield* Deferred.succeed(seen, [yield* Effect.flip(upgrade(identity)), yield* Effect.flip(pull)])
            })
          )
        )
        const client = yield* openConnection(at.dial())
        yield* client.writer.write("STARTTLS")
        yield* client.writer.flush
        yield* turns(10)
        yield* client.writer.write("injected")
        const [upgrade, pull] = yield* within("the upgrade", Deferred.await(seen))
        assert(upgrade!.reason._tag === "SocketUpgradeError")
        assert.deepInclude(upgrade!.reason.cause, { _tag: "TlsFailed", kind: "InjectedPlaintext" })
        assert.strictEqual(pull, upgrade)
        yield* within("the client is told", client.closed)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("a server may ask for a certificate, and a client shows one", () =>
      Effect.gen(function* () {
        const at = yield* place
        const asking = { ...identity, ca: authority.cert, requestCert: true }
        yield* served(at, (socket) => Effect.ignore(echo(socket, asking)))
        const session = (options: Socket.TlsUpgradeOptions) =>
          Effect.scoped(
            Effect.gen(function* () {
              const socket = yield* Connection.makeSocket(at.dial())
              const writer = yield* socket.writer
              const { pull, upgrade } = yield* socket.reader
              yield* upgrade(options)
              yield* writer.write("hello")
              return yield* pullText(pull, 5)
            })
          )
        const { cert, key } = certificates.client
        const shown = { ...trust, cert, key: Redacted.make(key) }
        assert.strictEqual(yield* within("with one", session(shown)), "hello")
        const refused = yield* within("without one", Effect.flip(session(trust)))
        assert.include(["SocketReadError", "SocketUpgradeError"], refused.reason._tag)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("the end of the reader's scope behind it: 1006 first, and then all that was written", () =>
      Effect.gen(function* () {
        const at = yield* place
        const sent = pattern(2_000_000)
        yield* served(at, (socket) =>
          Effect.gen(function* () {
            const writer = yield* socket.writer
            const scope = yield* Scope.make()
            const { pull, upgrade } = yield* Scope.provide(socket.reader, scope)
            yield* upgrade(identity)
            yield* Effect.forkChild(writer.write(sent), { startImmediately: true })
            const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
            yield* Scope.close(scope, Exit.fail("failed"))
            assert.strictEqual(why(yield* Fiber.join(pulling)), "close 1006")
            return yield* never
          }).pipe(Effect.scoped)
        )
        const socket = yield* Connection.makeSocket(at.dial())
        const { pull, upgrade } = yield* socket.reader
        yield* within("the upgrade", upgrade(trust))
        const received: Array<Uint8Array> = []
        const end = yield* within(
          "all of it",
          Effect.flip(
            Effect.forever(Effect.map(pull, (chunks) => received.push(...(chunks as ReadonlyArray<Uint8Array>))))
          )
        )
        assert.strictEqual(why(end), "close 1000")
        assert.strictEqual(Buffer.concat(received).compare(sent), 0)
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("the end of the reader's scope gives it up, and fails the pull that waits for it", () =>
      Effect.gen(function* () {
        const at = yield* place
        // says nothing that TLS could use
        yield* served(at, (socket) => Effect.scoped(Effect.andThen(socket.reader, never)))
        const socket = yield* Connection.makeSocket(at.dial())
        const writer = yield* socket.writer
        const scope = yield* Scope.make()
        const { pull, upgrade } = yield* Scope.provide(socket.reader, scope)
        const pulling = yield* Effect.forkChild(Effect.flip(pull), { startImmediately: true })
        const upgrading = yield* Effect.forkChild(Effect.flip(upgrade(trust)), { startImmediately: true })
        const writing = yield* Effect.forkChild(writer.write("never sent"), { startImmediately: true })
        yield* turns(20)
        yield* within("the end of the scope", Scope.close(scope, Exit.void), 1000)
        assert.strictEqual(why(yield* within("the pull", Fiber.join(pulling))), "close 1006")
        assert.strictEqual(why(yield* within("the upgrade", Fiber.join(upgrading))), "SocketUpgradeError")
        yield* within("the write", Fiber.join(writing))
      }).pipe(Effect.scoped, Effect.provide(network))
    )

    it.live("that is interrupted at any step has failed the socket, or has not begun, and may begin again", () =>
      Effect.gen(function* () {
        const at = yield* place
        // answers in plain text, which is no TLS
        yield* served(at, (socket) => Effect.ignore(echo(socket)), { onHandlerError: () => Effect.void })
        const ways = new Set<string>()
        for (let step = 1; ; step++) {
          const gone = yield* Effect.scoped(
            Effect.gen(function* () {
              const socket = yield* Connection.makeSocket(at.dial())
              const { write } = yield* socket.writer
              const { pull, upgrade } = yield* socket.reader
              const exit = yield* within("the interruption", interruptBefore(step, upgrade(trust)))
              if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) return true
              yield* within("a write", write("plain"))
              const answer = yield* within(`step ${step}: a pull`, Effect.exit(pullText(pull, 5)))
              ways.add(Exit.isSuccess(answer) ? answer.value : "gone")
              if (Exit.isFailure(answer)) return false
              const again = yield* within("another upgrade", Effect.flip(upgrade(trust)))
              assert.notInclude(String((again.reason as { readonly cause?: unknown }).cause), "is being upgraded")
              return false
            })
          )
          if (gone) break
        }
        assert.deepStrictEqual([...ways].toSorted(), ["gone", "plain"])
      }).pipe(Effect.provide(network), Effect.scoped)
    )

    it.live("leaves nothing, whether it succeeds, fails, or is interrupted", () =>
      Effect.gen(function* () {
        const before = held()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const at = yield* place
            yield* served(at, (socket) => Effect.ignore(echo(socket, identity)), {
              onHandlerError: () => Effect.void
            })
            for (let step = 0; step < 12; step++) {
              const options = step % 3 === 0 ? { servername: "localhost" } : trust
              const session = Effect.gen(function* () {
                const socket = yield* Connection.makeSocket(at.dial())
                const { upgrade } = yield* socket.reader
                yield* Effect.raceFirst(upgrade(options), step % 3 === 1 ? turns(step) : never)
              })
              yield* within("the session", Effect.ignore(Effect.scoped(session)))
            }
          })
        )
        yield* backTo(before)
      }).pipe(Effect.provide(network))
    )
  })
}
