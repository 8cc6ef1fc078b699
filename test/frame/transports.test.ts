/** Messages on real sockets: interrupted, between plain reads, and across an upgrade to TLS. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import { type Connection, Frame, NodeNetwork, type Tls } from "effect-byte-streams"
import { inTurn } from "../../src/internal/testing/laws/messages.ts"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { start } from "../support/fibers.ts"
import { bothKinds, everyKind, type Kind } from "../support/kinds.ts"
import { eventuallyEffect, within } from "../support/wait.ts"

/** Both ends of a connection. */
const ends = ({ client, serve }: Kind, options?: Connection.Options) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<Connection.Connection>()
    const { at } = yield* serve((connection) => Effect.andThen(Deferred.succeed(accepted, connection), Effect.never), {
      ...options,
      gracePeriod: 0
    })
    const left = yield* client(at, options)
    return { left, right: yield* within("the server has its end", Deferred.await(accepted)) }
  })

describe.each(everyKind)("$kind", (kind) => {
  it.live("messages and plain reads in turn, both ways at once, with reads that are given up", () =>
    Effect.gen(function* () {
      const { left, right } = yield* ends(kind, { limit: 512, highWaterMark: 4096 })
      yield* within(
        "both ways",
        Effect.scoped(
          Effect.all([inTurn(left.writer, right.reader, 7), inTurn(right.writer, left.reader, 8)], { concurrency: 2 })
        )
      )
      assert.strictEqual(yield* left.reader.buffered, 0)
      assert.strictEqual(yield* right.reader.buffered, 0)
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a mistake in a frame is a defect of the read that waits, and the connection goes on", () =>
    Effect.gen(function* () {
      const { left, right } = yield* ends(kind)
      const reading = yield* start(Effect.exit(right.reader.readFrame(Frame.tuple(Frame.uint8, Frame.rest))))
      yield* left.writer.write("abc")
      const exit = yield* within("the read", Fiber.join(reading))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(text(yield* within("the bytes", right.reader.readExactly(3))), "abc")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

describe.each(bothKinds)("an upgrade over $kind", (kind) => {
  const Command = Frame.named(Frame.lengthPrefixed(Frame.uint8, { maxBytes: 255 }, Frame.utf8Rest), "Command")
  const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost" }
  const asServer: Tls.StartTlsOptions = { side: "server", identity: certificates.server.identity }

  it.live("messages, the upgrade, messages: every one arrives, before it and behind it", () =>
    Effect.gen(function* () {
      const { left, right } = yield* ends(kind, { limit: 512, highWaterMark: 4096 })
      yield* within("in the clear", Effect.scoped(inTurn(left.writer, right.reader, 3)))
      const serving = yield* start(
        Effect.gen(function* () {
          assert.strictEqual(yield* right.reader.readFrame(Command), "STARTTLS")
          yield* right.writer.writeFrame(Command, "GO AHEAD")
          return yield* right.startTls(asServer)
        })
      )
      yield* left.writer.writeFrame(Command, "STARTTLS")
      assert.strictEqual(yield* left.reader.readFrame(Command), "GO AHEAD")
      const secureLeft = yield* within("the upgrade", left.startTls(asClient))
      const secureRight = yield* within("the upgrade", Fiber.join(serving))
      yield* within(
        "encrypted",
        Effect.scoped(
          Effect.all(
            [inTurn(secureLeft.writer, secureRight.reader, 4), inTurn(secureRight.writer, secureLeft.reader, 5)],
            {
              concurrency: 2
            }
          )
        )
      )
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("a message of which a part came before the upgrade is no message of the encrypted stream", () =>
    Effect.gen(function* () {
      const { left, right } = yield* ends(kind)
      yield* left.writer.write(Uint8Array.of(200, 65, 66))
      yield* left.writer.flush
      // the read has gone into the message, and is given up
      const reading = yield* start(right.reader.readFrame(Command))
      yield* eventuallyEffect(
        "a part arrives",
        Effect.map(right.reader.buffered, (size) => size === 3)
      )
      yield* Fiber.interrupt(reading)
      assert.strictEqual((yield* right.reader.readExactly(3)).length, 3)
      const serving = yield* start(right.startTls(asServer))
      const secureLeft = yield* within("the upgrade", left.startTls(asClient))
      const secureRight = yield* within("the upgrade", Fiber.join(serving))
      yield* secureLeft.writer.writeFrame(Command, "fresh")
      assert.strictEqual(yield* within("the first message", secureRight.reader.readFrame(Command)), "fresh")
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})
