/**
 * A reset is never an end, whoever hears of it first: the read, a write of the program's, or one that the engine of TLS
 * makes of itself. And a peer that leaves in good order is no reset, however much is written to it afterwards.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import { type Connection, NodeNetwork } from "effect-byte-streams"
import type { Duplex } from "node:stream"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern } from "../support/bytes.ts"
import { type Leaving, type LeavingPeer, leavingWays } from "../support/leaving.ts"
import { onPartOfNode } from "../support/nodeParts.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { connectTls } from "../support/tlsPair.ts"
import { facing, type Side, tlsServerOn } from "../support/tlsPeer.ts"
import { eventuallyEffect, turns, within } from "../support/wait.ts"

const sides: ReadonlyArray<Side> = ["client", "server"]

const few = pattern(1000)
/** More than is read while nobody asks for it, and less than the systems have room for. */
const many = pattern(100_000)

/** Reads to the end, or to what is in its place. */
const readOut = ({ reader }: Connection.Connection) =>
  Effect.gen(function* () {
    const pieces: Array<Uint8Array> = []
    while (true) {
      const read = yield* Effect.result(within("a read", reader.read(65_536)))
      if (Result.isFailure(read)) return { bytes: Buffer.concat(pieces), error: read.failure }
      if (read.success.length === 0) return { bytes: Buffer.concat(pieces), error: undefined }
      pieces.push(read.success)
    }
  })

/** All that was sent is read, and then the connection is lost, for good. */
const isLostBehind = (sent: Uint8Array, connection: Connection.Connection) =>
  Effect.gen(function* () {
    const { bytes, error } = yield* readOut(connection)
    assertBytes(bytes, sent)
    assert(error?._tag === "ConnectionLost", `${error ?? "a clean end"}`)
    const again = yield* Effect.flip(connection.reader.read(1))
    assert.strictEqual(again._tag, "ConnectionLost")
    assert.strictEqual(yield* connection.reader.atEof, false)
    assert.strictEqual((yield* connection.closed)._tag, "Lost")
    return error
  })

/** Whoever only writes is told as well, and closing is over at once. */
const isLostForWriters = ({ writer }: Connection.Connection) =>
  Effect.gen(function* () {
    const writing = Effect.forever(Effect.andThen(writer.write(few), Effect.andThen(writer.flush, turns(1))))
    const error = yield* within("a write fails", Effect.flip(writing))
    assert.include(["ConnectionLost", "ClosedStream"], error._tag)
    assert.strictEqual((yield* within("the close", writer.close, 2000))._tag, "Reset")
  })

/** Written whatever has become of the connection, to the system at once. */
const poke = ({ writer }: Connection.Connection) =>
  Effect.ignore(
    Effect.andThen(
      Effect.try(() => writer.writeUnsafe(few)),
      turns(1)
    )
  )

const nextTick = Effect.callback<void>((resume) => process.nextTick(() => resume(Effect.void)))

const sayEof = ({ writer }: Connection.Connection) =>
  Effect.asVoid(Effect.forkChild(Effect.ignore(writer.writeEof), { startImmediately: true }))

interface Manner {
  readonly how: string
  readonly limit?: number
  readonly sent: Uint8Array
  /** What this side says may reach a peer that has closed already. */
  readonly crosses?: boolean
  /** The socket may read ahead of its reader, to the end and to the failure behind it. */
  readonly readsAhead?: boolean
  /** What the peer does at once, behind what it sends, and then nothing else happens. */
  readonly atOnce?: (peer: LeavingPeer) => void
  /** What this side does as soon as there is a connection. */
  readonly first?: (connection: Connection.Connection) => Effect.Effect<unknown>
  readonly act?: (connection: Connection.Connection, peer: LeavingPeer) => Effect.Effect<unknown, unknown>
}

const resets: ReadonlyArray<Manner> = [
  {
    how: "behind its handshake",
    sent: few,
    atOnce: (peer) => peer.reset()
  },
  {
    how: "behind its handshake, and writeEof comes next",
    sent: few,
    atOnce: (peer) => peer.reset(),
    first: (connection) => sayEof(connection)
  },
  {
    how: "behind its handshake, and a write comes next",
    sent: few,
    atOnce: (peer) => peer.reset(),
    first: (connection) => poke(connection)
  },
  {
    how: "at any time, and the read hears of it",
    sent: few,
    act: (_, peer) =>
      Effect.sync(() => {
        peer.say(few)
        peer.reset()
      })
  },
  {
    how: "and a write hears of it first",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        peer.reset()
        yield* poke(connection)
      })
  },
  {
    how: "and writeEof hears of it first",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        peer.reset()
        yield* sayEof(connection)
      })
  },
  {
    how: "and writeEof hears of it first, when everything else has been read",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        yield* turns(10)
        peer.reset()
        yield* sayEof(connection)
      })
  },
  {
    how: "and a write with the end behind it hears of it first",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        peer.reset()
        connection.writer.writeUnsafe(few)
        yield* sayEof(connection)
      })
  },
  {
    how: "after this side's end",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        yield* connection.writer.writeEof
        yield* turns(10)
        peer.say(few)
        peer.reset()
      })
  },
  {
    how: "in the turn of this side's end, and behind it",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        yield* sayEof(connection)
        for (let i = 0; i < 10; i++) yield* nextTick
        peer.say(few)
        peer.reset()
      })
  },
  {
    how: "after this side's end, when everything else has been read",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        yield* connection.writer.writeEof
        peer.say(few)
        yield* turns(10)
        peer.reset()
      })
  },
  {
    how: "while nobody reads",
    limit: 100,
    sent: many,
    act: (_, peer) =>
      Effect.gen(function* () {
        peer.say(many)
        yield* turns(20)
        peer.reset()
        yield* turns(5)
      })
  },
  {
    how: "while nobody reads, and writes hear of it",
    limit: 100,
    sent: many,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(many)
        yield* turns(20)
        peer.reset()
        for (let i = 0; i < 3; i++) yield* poke(connection)
      })
  },
  {
    how: "while nobody reads, and writeEof hears of it",
    limit: 100,
    sent: many,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(many)
        yield* turns(20)
        peer.reset()
        yield* sayEof(connection)
        yield* turns(10)
      })
  },
  {
    how: "while nobody reads, after this side's end",
    limit: 100,
    sent: many,
    act: (connection, peer) =>
      Effect.gen(function* () {
        yield* connection.writer.writeEof
        peer.say(many)
        yield* turns(20)
        peer.reset()
        yield* turns(5)
      })
  }
]

/** `leave` is how the peer says that it ends: in good order, or only that of the connection below TLS. */
const departures = (leave: (peer: LeavingPeer) => void): ReadonlyArray<Manner> => [
  {
    how: "behind its handshake",
    sent: few,
    atOnce: leave
  },
  {
    how: "behind its handshake, and is gone",
    sent: few,
    atOnce: (peer) => {
      leave(peer)
      peer.leave()
    }
  },
  {
    how: "at any time",
    sent: few,
    act: (_, peer) =>
      Effect.sync(() => {
        peer.say(few)
        leave(peer)
      })
  },
  {
    how: "after this side's end",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        yield* connection.writer.writeEof
        peer.say(few)
        leave(peer)
      })
  },
  {
    how: "in the turn of this side's end",
    sent: few,
    crosses: true,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        leave(peer)
        peer.leave()
        yield* sayEof(connection)
      })
  },
  {
    how: "and this side answers what it said with its end",
    sent: few,
    crosses: true,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        leave(peer)
        peer.leave()
        yield* connection.reader.peek(1)
        yield* sayEof(connection)
      })
  },
  {
    how: "is gone, and written to",
    sent: few,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(few)
        leave(peer)
        peer.leave()
        yield* peer.gone
        for (let i = 0; i < 3; i++) yield* poke(connection)
      })
  },
  {
    how: "is gone, and written to once, while nobody reads",
    limit: 100,
    sent: many,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(many)
        leave(peer)
        peer.leave()
        yield* peer.gone
        yield* poke(connection)
        yield* turns(10)
      })
  },
  {
    how: "is gone, and written to again and again, while nobody reads",
    limit: 100,
    sent: many,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(many)
        leave(peer)
        peer.leave()
        yield* peer.gone
        for (let i = 0; i < 3; i++) yield* poke(connection)
      })
  },
  {
    how: "is gone, and told of this side's end behind what it is written, while nobody reads",
    readsAhead: true,
    limit: 100,
    sent: many,
    act: (connection, peer) =>
      Effect.gen(function* () {
        peer.say(many)
        leave(peer)
        peer.leave()
        yield* peer.gone
        yield* poke(connection)
        yield* turns(10)
        yield* sayEof(connection)
        yield* turns(10)
      })
  }
]

const meet = (
  leaving: Leaving,
  side: Side,
  { act, atOnce, first, limit, sent }: Manner,
  allowTruncation: boolean,
  unread = false
) =>
  Effect.gen(function* () {
    const { connection, peer } = yield* leaving.facing(side, {
      allowTruncation,
      connection: limit === undefined ? {} : { limit },
      ...(first === undefined ? {} : { first }),
      ...(atOnce === undefined ? {} : { atOnce: { say: sent, act: atOnce } })
    })
    if (leaving.unix && unread) {
      // without it leaving is no reset
      peer.deafen()
      yield* connection.writer.write("unread")
      yield* connection.writer.flush
    }
    if (act !== undefined) yield* act(connection, peer)
    return connection
  })

const ofTheRead = onPartOfNode("read", "an end that was read ahead, and not told, is told as the failure behind it")

for (const leaving of leavingWays) {
  const { tls, unix, way } = leaving
  const tolerance = tls ? [false, true] : [false]

  describe(`${way}: a peer that resets`, () => {
    for (const manner of resets) {
      // a Unix socket cannot be reset before it was written to
      if (unix && manner.atOnce !== undefined) continue
      it.live(`${manner.how}: what it sent is read, and then the connection is lost`, () =>
        Effect.gen(function* () {
          for (const side of sides) {
            for (const allowTruncation of tolerance) {
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const connection = yield* meet(leaving, side, manner, allowTruncation, true)
                  yield* isLostBehind(manner.sent, connection)
                  yield* isLostForWriters(connection)
                })
              )
            }
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })

  if (!unix) {
    it.live(`${way}: a peer that resets behind its handshake fails those who only write`, () =>
      Effect.gen(function* () {
        for (const side of sides) {
          for (const allowTruncation of tolerance) {
            const atOnce = { say: many, act: (peer: LeavingPeer) => peer.reset() }
            yield* Effect.scoped(
              Effect.gen(function* () {
                const { connection } = yield* leaving.facing(side, {
                  allowTruncation,
                  connection: { limit: 100 },
                  atOnce
                })
                yield* isLostForWriters(connection)
              })
            )
          }
        }
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  describe(`${way}: a peer that leaves in good order`, () => {
    for (const manner of departures((peer) => peer.goodbye())) {
      it.live(`${manner.how}: what it sent is read, and then its end`, () =>
        Effect.gen(function* () {
          for (const side of sides) {
            for (const allowTruncation of tolerance) {
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const connection = yield* meet(leaving, side, manner, allowTruncation)
                  const { bytes, error } = yield* readOut(connection)
                  assertBytes(bytes, manner.sent)
                  assert.strictEqual(error, undefined)
                  assert.strictEqual(yield* connection.reader.atEof, true)
                })
              )
            }
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    }
  })

  if (!tls) continue

  describe(`${way}: a peer that leaves without a word`, () => {
    for (const manner of departures((peer) => peer.finish())) {
      // which on a Unix socket is a reset
      if (unix && manner.crosses === true) continue
      it.live(
        `${manner.how}: what it sent is read, and then that it was cut, or the end where that is allowed`,
        () =>
          Effect.gen(function* () {
            for (const side of sides) {
              for (const allowTruncation of [false, true]) {
                yield* Effect.scoped(
                  Effect.gen(function* () {
                    const connection = yield* meet(leaving, side, manner, allowTruncation)
                    const { bytes, error } = yield* readOut(connection)
                    assertBytes(bytes, manner.sent)
                    if (allowTruncation) assert.strictEqual(error, undefined)
                    else assert(error?._tag === "TlsFailed" && error.kind === "Truncated", `${error ?? "a clean end"}`)
                  })
                )
              }
            }
          }).pipe(Effect.provide(NodeNetwork.layer)),
        manner.readsAhead === true ? ofTheRead : {}
      )
    }
  })
}

// As Bun's sockets do, where the peer has left and was written to.
for (const { how, failure, isLost } of [
  { how: "a broken pipe behind the end leaves it an end", failure: "EPIPE", isLost: false },
  { how: "a failure in place of the end is none", failure: "ECONNRESET", isLost: true }
]) {
  it.live(
    `a socket that reads on while it is paused: ${how}`,
    () =>
      Effect.gen(function* () {
        const { connection, peer } = yield* leavingWays[0]!.facing("client", { connection: { limit: 100 } })
        peer.say(few)
        yield* eventuallyEffect(
          "the connection is paused",
          Effect.map(connection.reader.buffered, (buffered) => buffered === few.length)
        )
        const { session } = connection as unknown as { readonly session: { readonly transport: { duplex: Duplex } } }
        const { duplex } = session.transport
        assert.isTrue(duplex.isPaused())
        duplex.push(many)
        if (!isLost) duplex.push(null)
        duplex.destroy(Object.assign(new Error(`read ${failure}`), { code: failure }))
        yield* turns()
        const { bytes, error } = yield* readOut(connection)
        assertBytes(bytes, Buffer.concat([few, many]))
        assert.strictEqual(error?._tag, isLost ? "ConnectionLost" : undefined)
        assert.strictEqual(yield* connection.reader.atEof, !isLost)
      }).pipe(Effect.provide(NodeNetwork.layer)),
    isLost ? {} : ofTheRead
  )
}

// What the system has taken the engine still has to be told of, which looks as if nobody had taken it.
describe("an engine right on a socket", onPartOfNode("directTls", "there is none: TLS takes the detour"), () => {
  it.live.each(sides)("what the engine of TLS seems to keep is not lost while there is a peer, for a %s", (side) =>
    Effect.gen(function* () {
      for (const told of ["in time", "late"]) {
        const { connection, peer } = yield* facing(side)
        const { session } = connection as unknown as { readonly session: { readonly transport: { duplex: object } } }
        const { _handle: handle } = session.transport.duplex as { readonly _handle: object }
        let asked = 0
        const kept = told === "in time" ? 3 : 20
        Object.defineProperty(handle, "writeQueueSize", { get: () => (asked++ < kept ? 100 : 0) })
        yield* connection.writer.write("all of it")
        yield* within("writeEof", connection.writer.writeEof)
        yield* peer.secure.awaitEnd
        assert.strictEqual(peer.secure.text, "all of it")
        assert.isAtLeast(asked, kept)
        peer.tls.end("and back")
        const { bytes, error } = yield* readOut(connection)
        assert.strictEqual(bytes.toString(), "and back")
        assert.strictEqual(error, undefined)
        assert.strictEqual((yield* connection.writer.close)._tag, "Graceful")
      }
    }).pipe(Effect.provide(NodeNetwork.layer))
  )
})

// A server has said all that it has to say before the client has, and the client is done when it has said its last word.
for (const stoppable of [false, true]) {
  for (const allowTruncation of [false, true]) {
    it.live(
      `a server that resets in front of the client's last word is lost, or never was there${
        stoppable ? ", with a way back" : ""
      }${allowTruncation ? ", with allowTruncation" : ""}`,
      () =>
        Effect.gen(function* () {
          for (let i = 0; i < 10; i++) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const server = yield* serveRaw({ halfOpen: true })
                const connecting = yield* Effect.forkChild(
                  Effect.result(connectTls(server.port, { allowTruncation, stoppable, minVersion: "TLSv1.3" }))
                )
                const peer = tlsServerOn(yield* server.accept, {}, { hold: true })
                const flight = yield* peer.takeHeld("the server has said what it has to say")
                peer.wire.socket.write(flight)
                yield* peer.wire.reset
                const connected = yield* Fiber.join(connecting)
                if (Result.isFailure(connected)) return assert.strictEqual(connected.failure._tag, "TlsFailed")
                yield* isLostBehind(new Uint8Array(0), connected.success)
                yield* isLostForWriters(connected.success)
              })
            )
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }
}
