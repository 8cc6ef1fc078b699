/** Connections over two streams of Node's, one to read and one to write: child processes, and halves that fail apart. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError } from "effect-byte-streams"
import { Effect, Exit, Fiber, Scope } from "effect"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { PassThrough, Readable, Writable } from "node:stream"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

// ---------------------------------------------------------------------------
// processes
// ---------------------------------------------------------------------------

const run = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): ChildProcessWithoutNullStreams => spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** A process that runs a program of Node's. */
const node = (program: string) => run(process.execPath, "--eval", program)

const over = (child: ChildProcessWithoutNullStreams, options?: Connection.Options) =>
  Connection.fromPair({ readable: child.stdout, writable: child.stdin }, options)

const isLost = (error: unknown): StreamError.ConnectionLost => {
  assert(error instanceof StreamError.ConnectionLost)
  return error
}

const said = 3_000_000

describe("a process that does not read its input", () => {
  const sayings: ReadonlyArray<readonly [string, string]> = [
    ["and exits when it has said everything", "head -c 3000000 /dev/zero"],
    ["and closes it", "exec 0<&-; sleep 0.1; head -c 3000000 /dev/zero"]
  ]
  for (const [how, program] of sayings) {
    it.live(`${how}: all of its output is read, which Duplex.from drops when the input breaks`, () =>
      Effect.gen(function* () {
        const child = yield* run("sh", "-c", program)
        const { reader, writer } = yield* over(child, { limit: 1000 })
        const writing = yield* Effect.forkChild(
          Effect.flip(Effect.forever(Effect.andThen(writer.write(pattern(100_000)), Effect.sleep(1))))
        )
        yield* eventuallyEffect(
          "it has begun to speak",
          Effect.map(reader.buffered, (buffered) => buffered > 0)
        )
        if (how === "and closes it") isLost(yield* within("the writing", Fiber.join(writing)))
        const got = yield* within("its output", reader.readAll({ maxBytes: "unbounded" }))
        assert.strictEqual(got.length, said)
        isLost(yield* within("the writing", Fiber.join(writing)))
        assert.strictEqual((yield* writer.close)._tag, "Reset")
      })
    )
  }

  it.live("nor is given any: it has come to its end in good order", () =>
    Effect.gen(function* () {
      const child = yield* run("echo", "hello")
      const { closed, reader, writer } = yield* over(child)
      yield* eventually("it has exited", () => child.exitCode === 0)
      assert.strictEqual(text(yield* within("its output", reader.readAll({ maxBytes: 100 }))), "hello\n")
      assert.deepStrictEqual(yield* within("closed", closed), { _tag: "PeerEof" })
      assert.strictEqual(
        isLost(yield* within("a write", Effect.flip(Effect.forever(writer.write("?"))))).kind,
        "BrokenPipe"
      )
    })
  )
})

describe("the pipes of a process", () => {
  it.live("there and back, and the process ends with our output", () =>
    Effect.gen(function* () {
      const child = yield* run("cat")
      const { closed, info, reader, writer } = yield* over(child)
      yield* writer.write("a line\n")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "a line\n")
      const sent = pattern(said)
      const writing = yield* Effect.forkChild(Effect.andThen(writer.write(sent), writer.writeEof))
      assertBytes(yield* within("the rest", reader.readAll({ maxBytes: "unbounded" })), sent)
      yield* within("the writing", Fiber.join(writing))
      yield* eventually("cat ends", () => child.exitCode === 0)
      assert.deepStrictEqual(yield* closed, { _tag: "PeerEof" })
      assert.deepStrictEqual(info, { local: undefined, remote: undefined })
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
    })
  )

  it.live("close: everything written arrives, then the end; what it still says is thrown away", () =>
    Effect.gen(function* () {
      const child = yield* run("sh", "-c", "wc -c >&2; head -c 1000000 /dev/zero")
      let counted = ""
      child.stderr.setEncoding("utf8").on("data", (text: string) => (counted += text))
      const { reader, writer } = yield* over(child)
      yield* writer.write(pattern(said))
      assert.deepStrictEqual(yield* within("close", writer.close), { _tag: "Graceful" })
      yield* eventually("it ends", () => child.exitCode === 0)
      assert.strictEqual(Number(counted), said)
      yield* eventually("its pipes are closed", () => child.stdin.closed && child.stdout.closed)
      assert.strictEqual((yield* Effect.flip(reader.read(1)))._tag, "ClosedStream")
    })
  )

  it.live("close does not wait for one that says no end, and lets go of it", () =>
    Effect.gen(function* () {
      const child = yield* node("process.stdin.resume(); setInterval(() => {}, 1000)")
      const { writer } = yield* over(child)
      yield* writer.write("bye")
      assert.deepStrictEqual(yield* within("close", writer.close, 2000), { _tag: "Graceful" })
      yield* eventually("its pipes are closed", () => child.stdin.closed && child.stdout.closed, 4000)
    })
  )

  it.live("close is bounded by closeTimeout where it takes nothing", () =>
    Effect.gen(function* () {
      const child = yield* run("sleep", "60")
      const { writer } = yield* over(child, { closeTimeout: "200 millis" })
      yield* Effect.forkChild(writer.write(pattern(said)), { startImmediately: true })
      const outcome = yield* within("close", writer.close)
      assert.strictEqual(outcome._tag, "TimedOut")
      yield* eventually("its pipes are closed", () => child.stdin.closed && child.stdout.closed)
    })
  )

  it.live("a scope that fails destroys both at once, and one that succeeds sends everything", () =>
    Effect.gen(function* () {
      for (const exit of [Exit.void, Exit.fail("failed")]) {
        const child = yield* run("cat")
        const scope = yield* Scope.make()
        const { writer } = yield* Scope.provide(over(child), scope)
        yield* writer.write("never read")
        yield* within("the scope's end", Scope.close(scope, exit), 1000)
        yield* eventually("cat ends", () => child.exitCode !== null || child.signalCode !== null)
        yield* eventually("its pipes are closed", () => child.stdin.closed && child.stdout.closed)
      }
    })
  )

  it.live("an abort is no error of theirs: where a runtime watches them, nobody could hear it", () =>
    Effect.gen(function* () {
      const child = yield* run("cat")
      const heard: Array<unknown> = []
      for (const stream of [child.stdout, child.stdin]) {
        stream.on("error", (error) => heard.push(error)).on("close", () => heard.push("close"))
      }
      const { abort, writer } = yield* over(child)
      yield* writer.write(pattern(1000))
      yield* abort
      yield* eventually("both have closed", () => heard.filter((event) => event === "close").length === 2)
      assert.deepStrictEqual(heard, ["close", "close"])
    })
  )

  it.live("it is killed: what it had said is read, and then the end", () =>
    Effect.gen(function* () {
      const child = yield* run("cat")
      const { closed, reader, writer } = yield* over(child)
      yield* writer.write("one\ntwo\n")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "one\n")
      child.kill("SIGKILL")
      yield* within("the end", closed)
      assert.strictEqual(text(yield* reader.readLine), "two\n")
      isLost(yield* within("a write", Effect.flip(Effect.forever(Effect.andThen(writer.write("?"), Effect.sleep(1))))))
    })
  )

  it.live("it exits and leaves its output to another: a reader that does not read is given no more", () =>
    Effect.gen(function* () {
      // Node sets the output of a process going when that exits, whoever has paused it
      const child = yield* run("sh", "-c", "(sleep 0.3; head -c 5000000 /dev/zero) & echo begun")
      const { reader } = yield* over(child, { limit: 1000 })
      assert.strictEqual(text(yield* within("its line", reader.readLine)), "begun\n")
      yield* eventually("it exits", () => child.exitCode === 0)
      yield* eventuallyEffect(
        "the other speaks",
        Effect.map(reader.buffered, (buffered) => buffered > 0)
      )
      yield* Effect.sleep(100)
      assert.isBelow(yield* reader.buffered, 500_000)
      const got = yield* within("all of it", reader.readAll({ maxBytes: "unbounded" }))
      assert.strictEqual(got.length, 5_000_000)
    })
  )

  it.live("it could not be started: nobody waits for it", () =>
    Effect.gen(function* () {
      const missing = "there-is-no-such-program"
      const child = spawn(missing)
      const failed = yield* Effect.callback<Error>((resume) => {
        child.on("error", (error) => resume(Effect.succeed(error)))
      }).pipe(Effect.forkChild({ startImmediately: true }))
      const { closed, reader, writer } = yield* over(child as ChildProcessWithoutNullStreams)
      yield* within("its failure", Fiber.join(failed))
      yield* within("closed", closed)
      yield* within("a read", Effect.exit(reader.read(1)))
      isLost(yield* within("a write", Effect.flip(Effect.forever(Effect.andThen(writer.write("?"), Effect.sleep(1))))))
    })
  )
})

// ---------------------------------------------------------------------------
// halves by hand
// ---------------------------------------------------------------------------

class Sink extends Writable {
  readonly got: Array<Buffer> = []
  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.got.push(Buffer.from(chunk))
    callback()
  }
  get text(): string {
    return Buffer.concat(this.got).toString()
  }
}

class Source extends Readable {
  override _read(): void {}
}

const halves = (options?: Connection.Options) =>
  Effect.gen(function* () {
    const readable = new Source()
    const writable = new Sink()
    const connection = yield* Connection.fromPair({ readable, writable }, options)
    return { readable, writable, connection, ...connection, closed: connection.closed }
  })

describe("two halves that fail apart", () => {
  const snapped = Object.assign(new Error("snapped"), { code: "EPIPE" })

  const breaks: ReadonlyArray<readonly [string, (writable: Sink) => void]> = [
    ["is destroyed", (writable) => writable.destroy()],
    ["fails", (writable) => writable.destroy(snapped)],
    ["refuses what it is given", (writable) => (writable._write = (_chunk, _encoding, callback) => callback(snapped))],
    [
      "throws",
      (writable) => {
        writable.write = () => {
          throw snapped
        }
      }
    ]
  ]
  for (const [how, breakIt] of breaks) {
    it.live(`the writable ${how}: writes fail, reading goes on to the end, and others do not notice`, () =>
      Effect.gen(function* () {
        const { closed, readable, reader, writable, writer } = yield* halves()
        const other = yield* halves()
        readable.push("before\n")
        assert.strictEqual(text(yield* within("a line", reader.readLine)), "before\n")
        breakIt(writable)
        writer.writeUnsafe("never sent")
        other.writer.writeUnsafe("unharmed")
        const lost = isLost(yield* within("the flush", Effect.flip(writer.flush)))
        assert.strictEqual(lost.kind, "BrokenPipe")
        if (how !== "is destroyed") assert.strictEqual(lost.cause, snapped)
        assert.strictEqual(other.writable.text, "unharmed")
        assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
        readable.push("after\n")
        assert.strictEqual(text(yield* within("a line", reader.readLine)), "after\n")
        readable.push("the rest")
        readable.push(null)
        assert.strictEqual(text(yield* within("the rest", reader.readAll({ maxBytes: 100 }))), "the rest")
        isLost(yield* Effect.flip(writer.write("x")))
        assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
        yield* eventually("both are gone", () => readable.destroyed && writable.destroyed)
      })
    )
  }

  it.live("the writable breaks while writes wait: they fail, and so does a flush", () =>
    Effect.gen(function* () {
      for (const error of [undefined, snapped]) {
        const { readable, reader, writable, writer } = yield* halves({ highWaterMark: 10 })
        writable._write = () => {}
        yield* writer.write("more than ten bytes")
        const waiting = [
          yield* Effect.forkChild(Effect.flip(writer.write("x")), { startImmediately: true }),
          yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
        ]
        yield* turns()
        writable.destroy(error)
        for (const fiber of waiting) {
          assert.strictEqual(isLost(yield* within("those who wait", Fiber.join(fiber))).kind, "BrokenPipe")
        }
        readable.push("and on")
        readable.push(null)
        assert.strictEqual(text(yield* within("the rest", reader.readAll({ maxBytes: 100 }))), "and on")
      }
    })
  )

  it.live("the writable cannot be ended: the connection is lost for writing, and is read on", () =>
    Effect.gen(function* () {
      for (const method of ["end", "_final"] as const) {
        const { closed, readable, reader, writable, writer } = yield* halves()
        writable[method] = () => {
          throw snapped
        }
        yield* writer.write("all of it")
        yield* within("writeEof", Effect.ignore(writer.writeEof))
        assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
        readable.push("and on")
        readable.push(null)
        assert.strictEqual(text(yield* within("the rest", reader.readAll({ maxBytes: 100 }))), "and on")
        assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      }
    })
  )

  it.live("the readable cannot be paused, resumed or read: reads fail behind what came, and writing goes on", () =>
    Effect.gen(function* () {
      for (const method of ["pause", "resume", "read"] as const) {
        const { readable, reader, writable, writer } = yield* halves({ limit: 4 })
        readable.push("what came")
        yield* turns()
        readable[method] = () => {
          throw snapped
        }
        if (method === "pause") readable.emit("data", Buffer.from(", and more"))
        if (method === "read") readable.destroy()
        yield* turns()
        assert.strictEqual(text(yield* within("what came", reader.readExactly(9))), "what came")
        const behind = yield* within("a read", Effect.flip(Effect.forever(reader.readExactly(1))))
        assert.include(["ConnectionLost", "IncompleteRead"], behind._tag)
        if (behind._tag === "ConnectionLost") assert.strictEqual(behind.cause, snapped)
        yield* writer.write("still here")
        yield* within("a flush", writer.flush)
        assert.strictEqual(writable.text, "still here")
      }
    })
  )

  for (const [how, destroy] of [
    ["is destroyed in front of its end", (readable: Source) => readable.destroy()],
    ["fails", (readable: Source) => readable.destroy(snapped)],
    ["fails, and does not say that it is closed", (readable: Source) => readable.emit("error", snapped)],
    ["is of objects", (readable: Source) => readable.emit("data", { an: "object" })]
  ] as const) {
    for (const paused of [false, true]) {
      it.live(
        `the readable ${how}${paused ? ", while it is paused" : ""}: what came is read, and writing goes on`,
        () =>
          Effect.gen(function* () {
            const { closed, readable, reader, writable, writer } = yield* halves({ limit: 4 })
            readable.push("what came")
            yield* turns()
            if (paused && how !== "is of objects") readable.push(" and more")
            yield* turns()
            destroy(readable)
            const wanted = paused && how !== "is of objects" ? "what came and more" : "what came"
            assert.strictEqual(text(yield* within("what came", reader.readExactly(wanted.length))), wanted)
            isLost(yield* within("a read behind it", Effect.flip(reader.read(1))))
            assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
            yield* writer.write("still ")
            yield* writer.flush
            yield* writer.write("here")
            yield* within("the end", writer.writeEof)
            assert.strictEqual(writable.text, "still here")
            yield* eventually("the end is told", () => writable.writableFinished)
            assert.isTrue(readable.destroyed)
            assert.notStrictEqual((yield* writer.close)._tag, "TimedOut")
          })
      )
    }
  }

  it.live("the readable is lost, and then this side closes: everything written is sent", () =>
    Effect.gen(function* () {
      const { readable, reader, writable, writer } = yield* halves()
      readable.destroy(snapped)
      isLost(yield* within("a read", Effect.flip(reader.read(1))))
      yield* writer.write("last words")
      assert.deepStrictEqual(yield* within("close", writer.close), { _tag: "Graceful" })
      assert.strictEqual(writable.text, "last words")
      yield* eventually("it is ended, and gone", () => writable.closed)
    })
  )

  it.live("both break: the connection is over", () =>
    Effect.gen(function* () {
      const { closed, readable, reader, writable, writer } = yield* halves()
      readable.destroy(snapped)
      writable.destroy(snapped)
      assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
      isLost(yield* within("a read", Effect.flip(reader.read(1))))
      isLost(yield* within("a write", Effect.flip(Effect.forever(writer.write("x")))))
      assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
    })
  )

  it.live("somebody else ends the writable: a write fails", () =>
    Effect.gen(function* () {
      const { writable, writer } = yield* halves()
      writable.end()
      yield* turns()
      isLost(yield* within("a write", Effect.flip(Effect.forever(Effect.andThen(writer.write("x"), turns(1))))))
    })
  )

  it.live("what happened before there was a connection is seen: an end, a loss, a writable that is gone", () =>
    Effect.gen(function* () {
      const ended = new Source()
      ended.push(null)
      ended.resume()
      yield* eventually("its end is seen", () => ended.readableEnded)
      const first = yield* Connection.fromPair({ readable: ended, writable: new Sink() })
      assert.strictEqual((yield* within("a read", first.reader.read(1))).length, 0)
      yield* first.writer.write("x")
      yield* within("a flush", first.writer.flush)

      const destroyed = new Source()
      destroyed.push("early")
      destroyed.destroy()
      const gone = new Sink()
      gone.destroy()
      const second = yield* Connection.fromPair({ readable: destroyed, writable: gone })
      assert.strictEqual(text(yield* within("a read", second.reader.read(10))), "early")
      isLost(yield* within("a read", Effect.flip(second.reader.read(1))))
      isLost(yield* within("a write", Effect.flip(Effect.forever(Effect.andThen(second.writer.write("x"), turns(1))))))
    })
  )

  it.live("what is called written when the writable is gone is not taken for sent", () =>
    Effect.gen(function* () {
      const { writable, writer } = yield* halves()
      let done = () => {}
      writable._write = (_chunk, _encoding, callback) => (done = callback)
      yield* writer.write("never sent")
      const flushing = yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
      yield* turns()
      writable.destroy()
      done()
      isLost(yield* within("the flush", Fiber.join(flushing)))
    })
  )

  it.live("aborting destroys both, also if one of them throws", () =>
    Effect.gen(function* () {
      for (const throwing of [false, true]) {
        const { connection, readable, writable } = yield* halves()
        readable.on("error", () => {})
        writable.on("error", () => {})
        const { destroy } = readable
        if (throwing) {
          readable.destroy = (error) => {
            destroy.call(readable, error)
            throw new Error("thrown")
          }
        }
        yield* connection.abort
        assert.isTrue(readable.destroyed && writable.destroyed)
      }
    })
  )

  it.live(
    "the other half of what is only read, or only written, is left alone: its reader gets everything, late as well",
    () =>
      Effect.gen(function* () {
        const there = new PassThrough()
        const back = new PassThrough()
        const { writer } = yield* Connection.fromPair({ readable: back, writable: there })
        yield* writer.write("read later")
        assert.deepStrictEqual(yield* within("close", writer.close), { _tag: "Graceful" })
        yield* Effect.sleep(2500)
        const other = yield* Connection.fromPair({ readable: there, writable: back })
        assert.strictEqual(text(yield* within("it", other.reader.readAll({ maxBytes: 100 }))), "read later")
        assert.deepStrictEqual(yield* other.closed, { _tag: "PeerEof" })
      })
  )
})

describe("wrong arguments", () => {
  it.effect("what is no pair dies with a message that says which half it is, and what it was", () =>
    Effect.gen(function* () {
      const readable = new Source()
      const writable = new Sink()
      for (const [pair, message] of [
        [undefined, "pair must be an object, got undefined"],
        [{ readable }, "writable must be a Node Writable, or what behaves like one, got undefined"],
        [
          { readable: writable, writable },
          "readable must be a Node Readable, or what behaves like one, got [object Object] (Sink)"
        ],
        [{ readable, writable: null }, "writable must be a Node Writable, or what behaves like one, got null"]
      ] as const) {
        const exit = yield* Effect.exit(Connection.fromPair(pair as never))
        assert.include(String(exit), `Connection.fromPair: ${message}`)
      }
    })
  )
})

describe("an end that is made, and interrupted at any step", () => {
  const kinds: ReadonlyArray<readonly [string, (stream: PassThrough) => Effect.Effect<unknown, never, Scope.Scope>]> = [
    ["two streams", (stream) => Connection.fromPair({ readable: stream, writable: stream })],
    ["a Duplex", (stream) => Connection.fromDuplex(stream)]
  ]
  for (const [what, make] of kinds) {
    it.live(`leaves ${what} alone, or ends them`, () =>
      Effect.gen(function* () {
        let ended = 0
        for (let step = 1; ; step++) {
          const stream = new PassThrough()
          const exit = yield* interruptBefore(step, Effect.scoped(make(stream)))
          if (Exit.isSuccess(exit)) break
          if (stream.listenerCount("error") === 0) continue
          ended++
          // a close that has begun listens to its peer for a while
          yield* eventually(`step ${step}: it ends`, () => stream.destroyed)
        }
        assert.isAbove(ended, 0)
      })
    )
  }
})
