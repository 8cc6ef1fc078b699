/**
 * Connections over Node's streams: pairs in memory, the pipes of a child process, and streams that misbehave in the
 * ways that Node's streams can.
 */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError } from "effect-byte-streams"
import { Effect, Exit, Fiber, Scope } from "effect"
import { spawn } from "node:child_process"
import { Duplex, duplexPair, PassThrough } from "node:stream"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

/** Says much, a little at a time, as it is asked. */
class Talking extends Duplex {
  said = 0
  private readonly all: Uint8Array

  constructor(all: Uint8Array) {
    super({ highWaterMark: 1000 })
    this.all = all
  }
  override _read(): void {
    const from = this.said
    this.said = Math.min(this.all.length, from + 500)
    this.push(from === this.all.length ? null : this.all.slice(from, this.said))
  }
  override _write(_chunk: Buffer, _encoding: string, callback: () => void): void {
    callback()
  }
}

/** Two connections that are each other's peer. */
const pair = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const [left, right] = duplexPair()
    return [yield* Connection.fromDuplex(left, options), yield* Connection.fromDuplex(right, options)] as const
  })

/** A duplex that is read and written by hand. */
class ByHand extends Duplex {
  readonly written: Array<Buffer> = []
  /** Set to hold writes back. */
  holding = false
  private held: Array<() => void> = []

  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    const take = () => {
      this.written.push(Buffer.from(chunk))
      callback()
    }
    if (this.holding) this.held.push(take)
    else take()
  }
  acceptHeld(): void {
    this.holding = false
    for (const take of this.held.splice(0)) take()
  }
}

describe("a pair in memory", () => {
  it.live("carries bytes both ways, and ends", () =>
    Effect.gen(function* () {
      const [left, right] = yield* pair()
      yield* left.writer.write("ping\n")
      assert.strictEqual(text(yield* within("ping", right.reader.readLine)), "ping\n")
      yield* right.writer.write("pong\n")
      assert.strictEqual(text(yield* within("pong", left.reader.readLine)), "pong\n")
      yield* left.writer.writeEof
      assert.strictEqual((yield* within("the end", right.reader.read(1))).length, 0)
      yield* right.writer.write("after your end\n")
      yield* right.writer.writeEof
      assert.strictEqual(text(yield* within("the rest", left.reader.readAll({ maxBytes: 100 }))), "after your end\n")
      assert.deepStrictEqual(yield* left.closed, { _tag: "PeerEof" })
      assert.deepStrictEqual(left.info, { local: undefined, remote: undefined })
    })
  )

  it.live("holds a fast writer back, and loses nothing", () =>
    Effect.gen(function* () {
      const [left, right] = yield* pair({ limit: 1000, highWaterMark: 1000 })
      const sent = pattern(1_000_000)
      let written = 0
      const writing = yield* Effect.forkChild(
        Effect.gen(function* () {
          for (; written < sent.length; written += 1000)
            yield* left.writer.write(sent.subarray(written, written + 1000))
          return yield* left.writer.close
        })
      )
      yield* eventuallyEffect(
        "the writer is held back",
        Effect.map(left.writer.buffered, (buffered) => buffered > left.writer.lowWaterMark)
      )
      yield* turns(20)
      assert.isBelow(written, 400_000)
      const received = yield* within("the bytes", right.reader.readAll({ maxBytes: "unbounded" }))
      assert.strictEqual(Buffer.compare(received, sent), 0)
      assert.deepStrictEqual(yield* within("close", Fiber.join(writing)), { _tag: "Graceful" })
    })
  )

  it.live("shares no memory with whoever reads the other end", () =>
    Effect.gen(function* () {
      const [left, right] = duplexPair()
      const { writer } = yield* Connection.fromDuplex(left)
      const got: Array<Buffer> = []
      right.on("data", (chunk: Buffer) => got.push(chunk))
      for (const size of [10, 10_000, 100_000]) {
        const mine = new Uint8Array(size).fill(1)
        yield* writer.write(mine)
        yield* within("the flush", writer.flush)
        mine.fill(2)
        yield* writer.write("x".repeat(100))
        yield* within("the flush", writer.flush)
      }
      yield* turns()
      const all = Buffer.concat(got)
      assert.strictEqual(all.filter((byte) => byte === 1).length, 110_010)
      assert.isFalse(all.includes(2))
    })
  )
})

describe("one end of a stream of Node's", () => {
  it.live("a PassThrough gives back what it is given", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Connection.fromDuplex(new PassThrough())
      yield* writer.write("there and back\n")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "there and back\n")
      yield* writer.writeEof
      assert.strictEqual((yield* within("the end", reader.read(1))).length, 0)
    })
  )

  it.live("text that it decodes is bytes again", () =>
    Effect.gen(function* () {
      const stream = new PassThrough()
      stream.setEncoding("utf8")
      const { reader, writer } = yield* Connection.fromDuplex(stream)
      yield* writer.write("größer\n")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "größer\n")
    })
  )

  it.live("what it had read before is not lost", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.push("early\n")
      stream.push(null)
      yield* turns()
      const { reader } = yield* Connection.fromDuplex(stream)
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "early\n")
      assert.strictEqual((yield* within("the end", reader.read(1))).length, 0)
    })
  )

  it.live(
    "somebody who has begun to read it listens still for what is readable: all the rest is read, and is held back",
    () =>
      Effect.gen(function* () {
        for (const connect of [
          (stream: Duplex) => Connection.fromDuplex(stream, { limit: 1000 }),
          (stream: Duplex) => Connection.fromPair({ readable: stream, writable: stream }, { limit: 1000 })
        ]) {
          const sent = Buffer.concat([Buffer.from("head\nearly\n"), pattern(100_000)])
          const stream = new Talking(sent)
          let head = ""
          stream.on("readable", () => {
            if (head === "") head = String(stream.read(5))
          })
          yield* eventually("the head is read", () => head !== "")
          const { reader } = yield* connect(stream)
          assert.strictEqual(text(yield* within("what had come", reader.readLine)), "early\n")
          yield* turns()
          assert.isAtMost(stream.said, 10_000)
          const rest = yield* within("the rest", reader.readAll({ maxBytes: "unbounded" }))
          assertBytes(rest, pattern(100_000))
          assert.strictEqual(head, "head\n")
        }
      })
  )

  it.live("somebody listens still for what is readable, and nothing more comes: what was held back is read", () =>
    Effect.gen(function* () {
      for (const connect of [
        (stream: Duplex) => Connection.fromDuplex(stream, { limit: 100 }),
        (stream: Duplex) => Connection.fromPair({ readable: stream, writable: stream }, { limit: 100 })
      ]) {
        const stream = new ByHand()
        stream.on("readable", () => {})
        const { reader } = yield* connect(stream)
        yield* turns()
        for (let i = 0; i < 5; i++) {
          stream.push(pattern(1000))
          yield* turns()
        }
        for (let i = 0; i < 5; i++) {
          assertBytes(yield* within(`piece ${i}`, reader.readExactly(1000)), pattern(1000))
          yield* turns()
        }
      }
    })
  )

  it.live(
    "somebody listens still for what is readable, and this side closes: what comes is thrown away, and nobody waits",
    () =>
      Effect.gen(function* () {
        const stream = new ByHand()
        stream.on("readable", () => {})
        const { writer } = yield* Connection.fromDuplex(stream)
        stream.push(pattern(1000))
        yield* writer.write("answer")
        yield* within("the close", writer.close)
        stream.push(pattern(1000))
        stream.push(null)
        yield* within(
          "it is let go of, as its end has come",
          eventually("destroyed", () => stream.destroyed),
          1000
        )
      })
  )

  it.live("its end has been seen before: reads are at the end, and writes go on", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.push(null)
      stream.resume()
      yield* eventually("its end is seen", () => stream.readableEnded)
      const { closed, reader, writer } = yield* Connection.fromDuplex(stream)
      assert.strictEqual((yield* within("a read", reader.read(1), 1000)).length, 0)
      assert.deepStrictEqual(yield* within("closed", closed, 1000), { _tag: "PeerEof" })
      yield* writer.write("still here")
      yield* within("the flush", writer.flush, 1000)
      assert.strictEqual(Buffer.concat(stream.written).toString(), "still here")
    })
  )

  it.live("it is gone already: everything fails typed, and nothing waits", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.destroy()
      yield* eventually("it is gone", () => stream.closed)
      const { closed, reader, writer } = yield* Connection.fromDuplex(stream)
      assert.strictEqual((yield* within("closed", closed, 1000))._tag, "Lost")
      assert.strictEqual((yield* within("a read", Effect.flip(reader.read(1)), 1000))._tag, "ConnectionLost")
      assert.strictEqual((yield* within("a write", Effect.flip(writer.write("x")), 1000))._tag, "ConnectionLost")
    })
  )

  it.live("it has just been destroyed: the same", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.destroy()
      const { closed, reader, writer } = yield* Connection.fromDuplex(stream)
      assert.strictEqual((yield* within("closed", closed, 1000))._tag, "Lost")
      assert.strictEqual((yield* within("a read", Effect.flip(reader.read(1)), 1000))._tag, "ConnectionLost")
      assert.strictEqual((yield* within("a write", Effect.flip(writer.write("x")), 1000))._tag, "ConnectionLost")
    })
  )

  it.live("it breaks: what came before is read, then ConnectionLost with its error as the cause", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      const { closed, reader, writer } = yield* Connection.fromDuplex(stream)
      stream.push("before\n")
      yield* turns()
      const error = new Error("snapped")
      stream.destroy(error)
      assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
      assert.strictEqual(text(yield* reader.readLine), "before\n")
      const lost = yield* Effect.flip(reader.read(1))
      assert(lost instanceof StreamError.ConnectionLost)
      assert.strictEqual(lost.kind, "Unknown")
      assert.strictEqual(lost.cause, error)
      assert.strictEqual((yield* Effect.flip(writer.write("x")))._tag, "ConnectionLost")
    })
  )

  it.live("it breaks while it is paused: what it had read ahead is not lost", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      const { closed, reader } = yield* Connection.fromDuplex(stream, { limit: 10 })
      stream.push("0123456789".repeat(3))
      yield* turns()
      stream.push("behind the pause")
      yield* turns()
      assert.strictEqual(yield* reader.buffered, 30)
      stream.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }))
      yield* within("closed", closed)
      assert.strictEqual((yield* reader.readExactly(30)).length, 30)
      assert.strictEqual(text(yield* reader.readExactly(16)), "behind the pause")
      const lost = yield* Effect.flip(reader.read(1))
      assert(lost instanceof StreamError.ConnectionLost)
      assert.strictEqual(lost.kind, "Reset")
    })
  )

  it.live("it cannot be written: who waits is told", () =>
    Effect.gen(function* () {
      const stream = new Duplex({
        read() {},
        write(_chunk, _encoding, callback) {
          setImmediate(() => callback(Object.assign(new Error("no"), { code: "EPIPE" })))
        }
      })
      const { writer } = yield* Connection.fromDuplex(stream)
      yield* writer.write("x")
      const lost = yield* within("the flush", Effect.flip(writer.flush))
      assert(lost instanceof StreamError.ConnectionLost)
      assert.strictEqual(lost.kind, "BrokenPipe")
      assert.strictEqual(lost.code, "EPIPE")
    })
  )

  it.live("an error is told also by streams that never say that they are closed", () =>
    Effect.gen(function* () {
      for (const options of [{ emitClose: false }, { autoDestroy: false }]) {
        const stream = new Duplex({
          ...options,
          read() {},
          write(_chunk, _encoding, callback) {
            callback(new Error("no"))
          }
        })
        const { closed, reader, writer } = yield* Connection.fromDuplex(stream)
        const reading = yield* Effect.forkChild(Effect.flip(reader.read(1)))
        yield* Effect.ignore(writer.write("x"))
        const what = JSON.stringify(options)
        assert.strictEqual((yield* within(`closed of ${what}`, closed, 1000))._tag, "Lost")
        assert.strictEqual((yield* within(`a read of ${what}`, Fiber.join(reading), 1000))._tag, "ConnectionLost")
        assert.strictEqual(
          (yield* within(`a write to ${what}`, Effect.flip(writer.write("x")), 1000))._tag,
          "ConnectionLost"
        )
      }
    })
  )
})

describe("the end of the scope", () => {
  it.live("success: everything written is handed over, and the stream is let go of", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.holding = true
      const scope = yield* Scope.make()
      const { writer } = yield* Scope.provide(Connection.fromDuplex(stream), scope)
      yield* writer.write("last words")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* turns()
      assert.strictEqual(closing.pollUnsafe(), undefined)
      stream.acceptHeld()
      yield* within("the scope's end", Fiber.join(closing))
      yield* eventually("the stream is finished", () => stream.writableFinished)
      stream.push(null)
      yield* eventually("the stream is gone", () => stream.closed)
      assert.strictEqual(Buffer.concat(stream.written).toString(), "last words")
    })
  )

  it.live("failure: the stream is destroyed at once", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.holding = true
      const scope = yield* Scope.make()
      const { writer } = yield* Scope.provide(Connection.fromDuplex(stream), scope)
      yield* writer.write("never sent")
      yield* turns()
      yield* within("the scope's end", Scope.close(scope, Exit.fail("failed")), 1000)
      assert.isTrue(stream.destroyed)
      stream.acceptHeld()
    })
  )

  it.live("is bounded by closeTimeout when the stream takes nothing", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.holding = true
      const scope = yield* Scope.make()
      const { writer } = yield* Scope.provide(Connection.fromDuplex(stream, { closeTimeout: 50 }), scope)
      yield* writer.write("never sent")
      yield* within("the scope's end", Scope.close(scope, Exit.void), 2000)
      assert.deepStrictEqual(yield* writer.close, { _tag: "TimedOut", unsent: 10 })
      assert.isTrue(stream.destroyed)
    })
  )

  it.live("lets go of a stream that never ends by itself", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      yield* Effect.scoped(Effect.flatMap(Connection.fromDuplex(stream), ({ writer }) => writer.write("bye")))
      yield* eventually("the stream is gone", () => stream.closed, 4000)
      assert.strictEqual(Buffer.concat(stream.written).toString(), "bye")
    })
  )

  it.live("lets go of a stream that never finishes, also after its end", () =>
    Effect.gen(function* () {
      const stream = new Duplex({
        read() {},
        write(_chunk, _encoding, callback) {
          callback()
        },
        // the end of the output is never acknowledged
        final() {}
      })
      stream.push(null)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { closed, writer } = yield* Connection.fromDuplex(stream)
          yield* within("its end", closed)
          yield* writer.write("bye")
        })
      )
      yield* eventually("the stream is gone", () => stream.closed, 4000)
    })
  )

  it.live("an error that comes afterwards disturbs nobody", () =>
    Effect.gen(function* () {
      for (const exit of [Exit.void, Exit.fail("failed")]) {
        const stream = new ByHand({ autoDestroy: false })
        const scope = yield* Scope.make()
        yield* Scope.provide(Connection.fromDuplex(stream), scope)
        yield* Scope.close(scope, exit)
        // without a listener it would end the process
        stream.emit("error", new Error("too late"))
        stream.destroy()
      }
    })
  )
})

describe("the pipes of a child process", () => {
  const cat = Effect.acquireRelease(
    Effect.sync(() => spawn("cat", { stdio: ["pipe", "pipe", "inherit"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

  it.live("are a connection: there and back, and the process ends with our output", () =>
    Effect.gen(function* () {
      const child = yield* cat
      const { reader, writer } = yield* Connection.fromDuplex(
        Duplex.from({ readable: child.stdout, writable: child.stdin })
      )
      yield* writer.write("a line\n")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "a line\n")
      const sent = pattern(3_000_000)
      const writing = yield* Effect.forkChild(Effect.andThen(writer.write(sent), writer.writeEof))
      const received = yield* within("the rest", reader.readAll({ maxBytes: "unbounded" }))
      yield* within("the writing", Fiber.join(writing))
      assert.strictEqual(Buffer.compare(received, sent), 0)
      yield* eventually("cat ends", () => child.exitCode === 0)
    })
  )

  it.live("end with the scope", () =>
    Effect.gen(function* () {
      const child = yield* cat
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { writer } = yield* Connection.fromDuplex(
            Duplex.from({ readable: child.stdout, writable: child.stdin })
          )
          yield* writer.write(bytes("never read"))
        })
      )
      yield* eventually("cat ends", () => child.exitCode !== null || child.signalCode !== null)
    })
  )

  it.live("the process is killed: what it had said is read, and then the end", () =>
    Effect.gen(function* () {
      const child = yield* cat
      const { closed, reader, writer } = yield* Connection.fromDuplex(
        Duplex.from({ readable: child.stdout, writable: child.stdin })
      )
      yield* writer.write("one\ntwo\n")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "one\n")
      child.kill("SIGKILL")
      yield* within("the end", closed)
      assert.strictEqual(text(yield* reader.readLine), "two\n")
      yield* within(
        "a write learns of it",
        Effect.flip(Effect.forever(Effect.andThen(writer.write("?"), Effect.sleep(1))))
      )
    })
  )
})
