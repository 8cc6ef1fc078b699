/**
 * `startTls` and `stopTls` are interrupted before each of their steps, and in each turn of the event loop that they wait.
 * Either nothing has happened yet, and the connection goes on as it was, or it is reset; nothing is left behind, and no
 * byte is lost or repeated.
 */
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { type Connection, NodeNetwork, type Tls } from "effect-byte-streams"
import { text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { backTo, held } from "../support/descriptors.ts"
import { start } from "../support/fibers.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { streamsBelow } from "../support/otherEngines.ts"
import { plainFacing } from "../support/plainPair.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { facing, type Side, tlsClientOn, type TlsPeer, tlsServerOn } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const sides: ReadonlyArray<Side> = ["client", "server"]

const as = (side: Side, stoppable: boolean): Tls.StartTlsOptions =>
  side === "client"
    ? { side: "client", ca: authority.cert, serverName: "localhost", stoppable }
    : { side: "server", identity: certificates.server.identity, stoppable }

/** Runs an effect, and interrupts it at one point or another: the later, the higher the number. */
type Interrupt = <A, E>(
  point: number,
  effect: Effect.Effect<A, E, Scope.Scope>
) => Effect.Effect<Exit.Exit<A, E>, never, Scope.Scope>

const ways: ReadonlyArray<readonly [string, Interrupt]> = [
  ["before every step", interruptBefore],
  [
    "in every turn of the event loop",
    (turn, effect) =>
      Effect.gen(function* () {
        const fiber = yield* start(effect)
        yield* turns(turn - 1)
        yield* Fiber.interrupt(fiber)
        return yield* Fiber.await(fiber)
      })
  ]
]

/** Does something between two steps of whoever runs under it. */
class DoBefore extends Scheduler.MixedScheduler {
  done = false
  private readonly step: number
  private readonly what: () => void
  private steps = 0

  constructor(step: number, what: () => void) {
    super()
    this.step = step
    this.what = what
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (++this.steps !== this.step) return super.shouldYield(fiber)
    queueMicrotask(() => {
      this.done = true
      this.what()
    })
    return true
  }
}

/** As `interrupt`, for a program that ends where it is interrupted: then its scope does too. */
const interruptIn = <A, E>(interrupt: Interrupt, point: number, effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const exit = yield* interrupt(point, Scope.provide(effect, scope))
    if (Exit.isFailure(exit)) yield* Scope.close(scope, exit)
    return exit
  })

/** Tries `once` with every point up to the first at which the interruption comes too late. Answers how many there were. */
const throughout = <E, R>(once: (point: number) => Effect.Effect<boolean, E, R | Scope.Scope>) =>
  Effect.gen(function* () {
    const before = held()
    let point = 0
    let over = false
    while (!over) over = yield* Effect.scoped(once(++point))
    yield* backTo(before)
    return point
  })

/** It is over for this side and for the other one. */
const isReset = (connection: Connection.Connection, wire: RawPeer, what: string) =>
  Effect.gen(function* () {
    yield* within(`${what}: the connection is reset`, wire.awaitClosed, 3000)
    const closed = yield* within(`${what}: the old handle is over`, connection.closed, 3000)
    assert.strictEqual(closed._tag, "Local", what)
    assert.strictEqual((yield* within(`${what}: the close`, connection.writer.close))._tag, "Aborted")
  })

describe("startTls that is interrupted", () => {
  const plain = "in plain text\n"

  const once = (side: Side, stoppable: boolean, interrupt: Interrupt) => (point: number) =>
    Effect.gen(function* () {
      const what = `interrupted at ${point}`
      const { connection: old, peer: raw } = yield* plainFacing(side)
      let peer: TlsPeer | undefined
      yield* start(
        Effect.map(raw.awaitBytes(plain.length), () => {
          peer = (side === "client" ? tlsServerOn : tlsClientOn)(raw, {}, { from: plain.length })
        })
      )
      yield* old.writer.write(plain)
      const exit = yield* within(`${what}: it ends`, interruptIn(interrupt, point, old.startTls(as(side, stoppable))))
      yield* turns(2)
      // of what was written before, nothing is missing, and nothing came twice
      yield* within(`${what}: what was written before arrives`, raw.awaitText(plain))
      assert.strictEqual(raw.received.toString("latin1").lastIndexOf(plain), 0, what)
      if (Exit.isSuccess(exit)) {
        const { reader, writer } = exit.value
        yield* writer.write("secret\n")
        yield* peer!.secure.awaitText("secret\n")
        peer!.tls.write("secret too\n")
        assert.strictEqual(text(yield* within("the answer", reader.readLine)), "secret too\n")
        return true
      }
      if (yield* old.writer.isClosing) {
        yield* isReset(old, raw, what)
        return false
      }
      // nothing has happened yet
      yield* old.writer.write("still\n")
      yield* raw.awaitText("still\n")
      assert.strictEqual(raw.text, `${plain}still\n`, what)
      yield* eventuallyEffect(
        `${what}: what the peer has said since is all there`,
        Effect.map(old.reader.buffered, (buffered) => buffered === raw.socket.bytesWritten)
      )
      return false
    })

  for (const side of sides) {
    for (const stoppable of [true, false]) {
      for (const [when, interrupt] of ways) {
        it.live(
          `rank 6: leaves nothing behind and loses nothing, ${when}, for a ${side}, ${stoppable ? "with a way back" : "for good"}`,
          () =>
            Effect.gen(function* () {
              assert.isAbove(yield* throughout(once(side, stoppable, interrupt)), 2)
            }).pipe(Effect.provide(NodeNetwork.layer)),
          60_000
        )
      }
    }
  }
})

describe("an upgrade that nobody takes over", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Not every runtime forgets an engine that is not told that it is over. */
  it.live.each(sides)(
    "lets go of the engine, whether the handshake was over or not, for a %s",
    (side) =>
      Effect.gen(function* () {
        const streams = streamsBelow()
        const once = (point: number) =>
          Effect.gen(function* () {
            const { connection: old, peer: raw } = yield* plainFacing(side)
            const makePeer = side === "client" ? tlsServerOn : tlsClientOn
            if (side === "client") yield* start(Effect.map(raw.awaitBytes(1), () => makePeer(raw)))
            else makePeer(raw)
            const exit = yield* interruptIn(interruptBefore, point, old.startTls(as(side, true)))
            if (Exit.isSuccess(exit)) return true
            yield* eventually(`interrupted at ${point}: the engine is gone`, () =>
              streams.every(({ destroyed }) => destroyed)
            )
            return false
          })
        yield* throughout(once)
        assert.isAbove(streams.length, 2)
      }).pipe(Effect.provide(NodeNetwork.layer), Effect.scoped),
    60_000
  )
})

describe("stopTls that is interrupted", () => {
  const once = (side: Side, interrupt: Interrupt) => (point: number) =>
    Effect.gen(function* () {
      const what = `interrupted at ${point}`
      const { connection: old, peer } = yield* facing(side, { tls: { stoppable: true } })
      peer.keepOpen = true
      peer.tls.write("one\n")
      yield* eventuallyEffect(
        "something lies unread",
        Effect.map(old.reader.buffered, (buffered) => buffered === 4)
      )
      yield* start(
        Effect.gen(function* () {
          yield* peer.secure.awaitEnd
          // the peer says one more thing in TLS, ends it, and goes on in plain text
          peer.hold()
          peer.tls.write("two\n")
          const end = yield* peer.endOfTls
          yield* Effect.sync(() => peer.wire.socket.write(Buffer.concat([end, Buffer.from("three\n")])))
        })
      )
      yield* old.writer.write("the last secret\n")
      const exit = yield* within(`${what}: it ends`, interruptIn(interrupt, point, old.stopTls))
      yield* turns(2)
      if (Exit.isSuccess(exit)) {
        assert.strictEqual(peer.secure.text, "the last secret\n", what)
        const { reader, writer } = exit.value
        for (const line of ["one\n", "two\n", "three\n"]) {
          assert.strictEqual(text(yield* within(line, reader.readLine)), line, what)
        }
        peer.plain = true
        yield* writer.write("in plain text\n")
        yield* peer.wire.awaitText("in plain text\n")
        return true
      }
      if (yield* old.writer.isClosing) {
        yield* isReset(old, peer.wire, what)
        assert.strictEqual("the last secret\n".indexOf(peer.secure.text), 0, what)
        return false
      }
      // nothing has happened yet
      assert.strictEqual(text(yield* within("the unread line", old.reader.readLine)), "one\n", what)
      yield* old.writer.write("still\n")
      yield* peer.secure.awaitText("still\n")
      assert.strictEqual(peer.secure.text, "the last secret\nstill\n", what)
      return false
    })

  for (const side of sides) {
    for (const [when, interrupt] of ways) {
      it.live(
        `leaves nothing behind and loses nothing, ${when}, for a ${side}`,
        () =>
          Effect.gen(function* () {
            assert.isAbove(yield* throughout(once(side, interrupt)), 2)
          }).pipe(Effect.provide(NodeNetwork.layer)),
        60_000
      )
    }
  }
})

describe("the old handle is aborted", () => {
  /** Between any two steps of the upgrade; answers whether the upgrade had ended before. */
  const once = (stoppable: boolean) => (step: number) =>
    Effect.gen(function* () {
      const { connection: old, peer: raw } = yield* plainFacing("client")
      const what = `aborted at ${step}`
      tlsServerOn(raw)
      const scheduler = new DoBefore(step, () => Effect.runSync(old.abort))
      const exit = yield* within(
        `${what}: the upgrade ends`,
        Effect.exit(Effect.provideService(old.startTls(as("client", stoppable)), Scheduler.Scheduler, scheduler))
      )
      const late = !scheduler.done
      if (late) yield* old.abort
      if (Exit.isSuccess(exit)) {
        const error = yield* within(`${what}: a read fails`, Effect.flip(exit.value.reader.read(1)))
        assert.strictEqual(error._tag, "ClosedStream", what)
        yield* within(`${what}: the close`, exit.value.writer.close)
      }
      yield* isReset(old, raw, what)
      return late
    })

  for (const stoppable of [true, false]) {
    it.live(
      `at any step of the upgrade: neither it nor the new connection goes on, ${stoppable ? "with a way back" : "for good"}`,
      () => throughout(once(stoppable)).pipe(Effect.provide(NodeNetwork.layer)),
      60_000
    )
  }
})
