/** Connections over streams of the Web, and connections as streams of the Web. */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { eventually, turns, within } from "../support/wait.ts"
import { bytePipe } from "../support/webStreams.ts"
import { Restless } from "../support/yieldingSchedulers.ts"

const isLost = (error: unknown): StreamError.ConnectionLost => {
  assert(error instanceof StreamError.ConnectionLost, String(error))
  return error
}

/** What became of a promise. */
const outcome = <A>(what: string, promise: PromiseLike<A>) =>
  within(
    what,
    Effect.promise(() =>
      Promise.resolve(promise).then(
        (value) => ({ value, reason: undefined }),
        (reason: unknown) => ({ value: undefined, reason })
      )
    )
  )

/** A readable and a writable, given and taken by hand. */
const byHand = (options?: Connection.Options) =>
  Effect.gen(function* () {
    let source!: ReadableStreamDefaultController<unknown>
    let target!: WritableStreamDefaultController
    const seen = { pulls: 0, cancelled: [] as Array<unknown>, aborted: [] as Array<unknown>, closed: 0, text: "" }
    const readable = new ReadableStream<unknown>({
      start: (controller) => void (source = controller),
      pull: () => void seen.pulls++,
      cancel: (reason) => void seen.cancelled.push(reason)
    })
    const writable = new WritableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => void (target = controller),
      write: (chunk) => void (seen.text += text(chunk)),
      close: () => void seen.closed++,
      abort: (reason) => void seen.aborted.push(reason)
    })
    const connection = yield* Connection.fromWebStreams({ readable, writable }, options)
    const { closed, reader, writer } = connection
    return { source, target, seen, readable, writable, connection, closed, reader, writer }
  })

const reasons: ReadonlyArray<readonly [string, unknown]> = [
  ["an error", new Error("snapped")],
  ["one of the system", Object.assign(new Error("snapped"), { code: "ECONNRESET" })],
  ["text", "snapped"],
  ["an object", { snapped: true }]
]

describe("what is no stream of the Web", () => {
  it.effect("dies, and nothing was locked", () =>
    Effect.gen(function* () {
      const fine = () => new TransformStream()
      const locked = { readable: fine().readable, writable: fine().writable }
      locked.readable.getReader()
      locked.writable.getWriter()
      const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
        [undefined, /^TypeError: Connection.fromWebStreams: streams must be an object, got undefined$/],
        [
          { readable: 1, writable: fine().writable },
          /readable must be a ReadableStream, or what behaves like one, got 1/
        ],
        [
          { readable: fine().readable, writable: {} },
          /writable must be a WritableStream, or what behaves like one, got/
        ],
        [{ ...fine(), readable: locked.readable, writable: fine().writable }, /readable must not be locked/],
        [{ readable: fine().readable, writable: locked.writable }, /writable must not be locked/]
      ]
      for (const [streams, message] of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(Connection.fromWebStreams(streams as never)))
        assert(Exit.isFailure(exit))
        assert.match(String(Cause.squash(exit.cause)), message)
        const { readable, writable } = (streams ?? {}) as Partial<TransformStream>
        if (readable !== locked.readable) assert.notStrictEqual(readable?.locked, true)
        if (writable !== locked.writable) assert.notStrictEqual(writable?.locked, true)
      }
    })
  )
})

describe("a writable that cannot be taken over", () => {
  it.effect("dies, and the readable does not stay with nobody", () =>
    Effect.gen(function* () {
      const thrown = new Error("thrown")
      let cancelled: unknown
      const readable = new ReadableStream({ cancel: (reason) => void (cancelled = reason) })
      const writable = {
        locked: false,
        getWriter: () => {
          throw thrown
        }
      }
      const exit = yield* Effect.exit(Effect.scoped(Connection.fromWebStreams({ readable, writable })))
      assert(Exit.isFailure(exit))
      assert.strictEqual(Cause.squash(exit.cause), thrown)
      assert.strictEqual(cancelled, thrown)
    })
  )
})

describe("a readable of the Web", () => {
  for (const [what, reason] of [...reasons, ["nothing", undefined] as const]) {
    it.live(`that fails with ${what}: reads are lost behind what came, with the reason, and writing goes on`, () =>
      Effect.gen(function* () {
        const { closed, reader, seen, source, writer } = yield* byHand()
        source.enqueue(new TextEncoder().encode("what came"))
        yield* turns()
        source.error(reason)
        assert.strictEqual(text(yield* within("what came", reader.readExactly(9))), "what came")
        for (let i = 0; i < 2; i++) {
          const lost = isLost(yield* within("a read", Effect.flip(reader.read(1))))
          assert.strictEqual(lost.kind, what === "one of the system" ? "Reset" : "Unknown")
          if (reason !== undefined) assert.strictEqual(lost.cause, reason)
          else assert.match(String(lost.cause), /the stream has failed, and has not said why/)
        }
        assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
        yield* writer.write("still here")
        yield* within("a flush", writer.flush)
        assert.strictEqual(seen.text, "still here")
      })
    )
  }

  it.live("gives memory in every form, and text; anything else is a loss that names it", () =>
    Effect.gen(function* () {
      const { reader, source } = yield* byHand()
      const bytes = new Uint8Array([0, 97, 98, 99, 100, 0]).buffer
      source.enqueue(new Uint8Array(bytes, 1, 2))
      source.enqueue(new DataView(bytes, 3, 2))
      source.enqueue(new TextEncoder().encode("ef").buffer)
      source.enqueue("gö")
      assert.strictEqual(text(yield* within("all", reader.readExactly(9))), "abcdefgö")
      source.enqueue(12)
      const { cause } = isLost(yield* within("a read", Effect.flip(reader.read(1))))
      assert.instanceOf(cause, TypeError)
      assert.include(cause.message, "expected a stream of bytes or of text, got number")
    })
  )

  it.live("is asked for no more than the reader has room for", () =>
    Effect.gen(function* () {
      let given = 0
      const readable = new ReadableStream<Uint8Array>(
        {
          pull: (controller) => {
            given += 1000
            controller.enqueue(pattern(1000))
          }
        },
        { highWaterMark: 0 }
      )
      const { reader } = yield* Connection.fromWebStreams({ readable, writable: new WritableStream() }, { limit: 4000 })
      yield* turns(20)
      assert.isAtMost(given, 10_000)
      for (let read = 0; read < 100_000; read += 1000) yield* within("a read", reader.skip(1000))
      yield* turns(20)
      assert.isAtMost(given, 110_000)
    })
  )

  it.live("that always has more leaves others their turns", () =>
    Effect.gen(function* () {
      const readable = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(pattern(10)) })
      const { reader } = yield* Connection.fromWebStreams({ readable, writable: new WritableStream() })
      let read = 0
      // it waits for each, and so is woken within the turn of the stream
      const reading = Effect.forever(
        Effect.tap(reader.readExactly(1000), () => Effect.sync(() => void read++)),
        { disableYield: true }
      )
      yield* Effect.raceFirst(reading, Effect.sleep(50))
      assert.isAbove(read, 0)
    })
  )

  it.live("of bytes is read in pieces, however large what it has is, and small pieces keep little memory", () =>
    Effect.gen(function* () {
      const { readable, writable } = bytePipe()
      const { reader } = yield* Connection.fromWebStreams({ readable, writable: new WritableStream() }, { limit: 1000 })
      const giving = writable.getWriter()
      yield* turns()
      void giving.write(pattern(5_000_000))
      yield* eventually("it comes", () => Effect.runSync(reader.buffered) > 0)
      yield* turns(20)
      assert.isBelow(Effect.runSync(reader.buffered), 140_000)
      assertBytes(yield* within("all of it", reader.readExactly(5_000_000)), pattern(5_000_000))
      void giving.write(new TextEncoder().encode("small"))
      const [piece] = yield* within("a piece", reader.pull)
      assert.strictEqual(text(piece), "small")
      assert.isBelow(piece.buffer.byteLength, 10_000)
      void giving.close()
      assert.strictEqual((yield* within("the end", reader.read(1))).length, 0)
    })
  )

  it.live("that throws where it is read is lost", () =>
    Effect.gen(function* () {
      const thrown = new Error("thrown")
      const readable = {
        locked: false,
        getReader: () => ({
          read: (): Promise<never> => {
            throw thrown
          },
          cancel: (): Promise<never> => {
            throw thrown
          }
        })
      }
      const { reader } = yield* Connection.fromWebStreams({ readable, writable: new WritableStream() })
      assert.strictEqual(isLost(yield* within("a read", Effect.flip(reader.read(1)))).cause, thrown)
    })
  )
})

describe("a writable of the Web", () => {
  for (const [what, reason] of [...reasons, ["nothing", undefined] as const]) {
    it.live(
      `that fails with ${what}: writes are lost with the reason, as soon as it is known, and reading goes on`,
      () =>
        Effect.gen(function* () {
          const { closed, reader, source, target, writer } = yield* byHand()
          target.error(reason)
          const end = yield* within("closed", closed)
          assert(end._tag === "Lost")
          const lost = isLost(yield* Effect.flip(writer.write("x")))
          if (reason === undefined) assert.strictEqual(lost.kind, "BrokenPipe")
          else assert.strictEqual(lost.cause, reason)
          source.enqueue("and on")
          source.close()
          assert.strictEqual(text(yield* within("the rest", reader.readAll({ maxBytes: 100 }))), "and on")
          assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
        })
    )
  }

  it.live("that somebody else closes: a write is a broken pipe, and a close without one is in good order", () =>
    Effect.gen(function* () {
      for (const writes of [true, false]) {
        const taken: Array<string> = []
        const inner = new WritableStream<Uint8Array>({ write: (chunk) => void taken.push(text(chunk)) }).getWriter()
        const { reader, writer } = yield* Connection.fromWebStreams({
          readable: new ReadableStream({ start: (controller) => controller.enqueue(Uint8Array.of(120)) }),
          writable: { locked: false, getWriter: () => inner }
        })
        yield* writer.write("before")
        yield* writer.flush
        yield* outcome("the closing", inner.close())
        assert.strictEqual(text(yield* reader.read(10)), "x")
        if (writes) {
          yield* writer.write("behind")
          const lost = isLost(yield* within("the flush", Effect.flip(writer.flush)))
          assert.strictEqual(lost.kind, "BrokenPipe")
        }
        const closed = yield* within("close", writer.close)
        assert.deepStrictEqual(closed._tag, writes ? "Reset" : "Graceful")
        assert.deepStrictEqual(taken, ["before"])
      }
    })
  )

  it.live("whose other end is cancelled: writes that wait are lost with the reason", () =>
    Effect.gen(function* () {
      const pipe = new TransformStream()
      const { writer } = yield* Connection.fromWebStreams(
        { readable: new ReadableStream(), writable: pipe.writable },
        { highWaterMark: 10 }
      )
      yield* writer.write("more than ten bytes")
      const waiting = yield* Effect.forkChild(Effect.flip(writer.write("x")), { startImmediately: true })
      const flushing = yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
      yield* turns()
      const reason = new Error("nobody listens")
      void pipe.readable.cancel(reason)
      for (const fiber of [waiting, flushing]) {
        assert.strictEqual(isLost(yield* within("who waits", Fiber.join(fiber))).cause, reason)
      }
    })
  )

  it.live("that is never read holds a writer back, whatever it is", () =>
    Effect.gen(function* () {
      const { writable } = new TransformStream()
      const { abort, writer } = yield* Connection.fromWebStreams({ readable: new ReadableStream(), writable })
      let written = 0
      yield* Effect.forkChild(
        Effect.forever(Effect.tap(writer.write(pattern(10_000)), () => Effect.sync(() => (written += 10_000))))
      )
      yield* turns(50)
      assert.isBelow(written, 200_000)
      yield* abort
    })
  )
})

describe.concurrent("the end of a connection over streams of the Web", () => {
  it.live("close: the writable is closed behind everything, and the readable is cancelled", () =>
    Effect.gen(function* () {
      const { seen, writer } = yield* byHand()
      yield* writer.write("all of it")
      assert.deepStrictEqual(yield* within("close", writer.close), { _tag: "Graceful" })
      assert.strictEqual(seen.text, "all of it")
      assert.strictEqual(seen.closed, 1)
      yield* eventually("cancelled", () => seen.cancelled.length > 0)
      assert.deepStrictEqual(seen.aborted, [])
    })
  )

  it.live("abort, and a scope that fails: both are told with an error, and the writable is not complete", () =>
    Effect.gen(function* () {
      for (const how of ["abort", "scope"] as const) {
        const scope = yield* Scope.make()
        const { connection, seen, writer } = yield* Scope.provide(byHand(), scope)
        yield* writer.write("not all of it")
        if (how === "abort") yield* connection.abort
        else yield* Scope.close(scope, Exit.fail("failed"))
        yield* eventually("told", () => seen.cancelled.length === 1 && seen.aborted.length === 1)
        for (const reason of [...seen.cancelled, ...seen.aborted]) {
          assert.match(String(reason), /this side has aborted the connection/)
        }
        assert.strictEqual(seen.closed, 0)
      }
    })
  )

  it.live("an interruption at any step leaves the streams alone, or ends them", () =>
    Effect.gen(function* () {
      const ended: Array<Effect.Effect<unknown>> = []
      for (let step = 1; ; step++) {
        const pipe = new TransformStream()
        const other = new TransformStream()
        const exit = yield* interruptBefore(
          step,
          Effect.scoped(Connection.fromWebStreams({ readable: pipe.readable, writable: other.writable }))
        )
        if (Exit.isSuccess(exit)) break
        if (!pipe.readable.locked) {
          assert.isFalse(other.writable.locked)
          continue
        }
        // the other sides hear of it
        ended.push(
          Effect.suspend(() => outcome(`step ${step}: the reading`, other.readable.getReader().read())),
          Effect.suspend(() => outcome(`step ${step}: the writing`, pipe.writable.getWriter().closed))
        )
      }
      assert.isAbove(ended.length, 0)
      yield* Effect.all(ended, { concurrency: "unbounded" })
    })
  )
})

// ---------------------------------------------------------------------------
// compressed
// ---------------------------------------------------------------------------

/** What one end writes is compressed, sent, and read by the other end as it was. */
const compressed = Effect.gen(function* () {
  const [there, back] = [new CompressionStream("gzip"), new CompressionStream("gzip")]
  const [fromThere, fromBack] = [new DecompressionStream("gzip"), new DecompressionStream("gzip")]
  void there.readable.pipeTo(fromThere.writable).catch(() => {})
  void back.readable.pipeTo(fromBack.writable).catch(() => {})
  return {
    left: yield* Connection.fromWebStreams({ readable: fromBack.readable, writable: there.writable }),
    right: yield* Connection.fromWebStreams({ readable: fromThere.readable, writable: back.writable })
  }
})

const zipped = (content: Uint8Array) =>
  Effect.promise(() =>
    new Response(new Blob([Uint8Array.from(content)]).stream().pipeThrough(new CompressionStream("gzip"))).bytes()
  )

describe("through CompressionStream and DecompressionStream", () => {
  it.live("every byte arrives, both ways, and the ends behind them", () =>
    Effect.gen(function* () {
      const { left, right } = yield* compressed
      const sent = pattern(1_000_000)
      const send = ({ writer }: Connection.Connection) =>
        Effect.forkChild(Effect.andThen(writer.write(sent), writer.writeEof))
      const receive = ({ reader }: Connection.Connection) => within("all", reader.readAll({ maxBytes: "unbounded" }))
      yield* send(left)
      yield* send(right)
      assertBytes(yield* receive(right), sent)
      assertBytes(yield* receive(left), sent)
      assert.deepStrictEqual(yield* within("close", left.writer.close), { _tag: "Graceful" })
      assert.deepStrictEqual(yield* within("close", right.writer.close), { _tag: "Graceful" })
    })
  )

  for (const [what, spoil] of [
    ["cut off", (bytes: Uint8Array) => bytes.slice(0, -10)],
    ["spoilt", (bytes: Uint8Array) => bytes.map((byte, at) => (at === bytes.length - 6 ? byte ^ 255 : byte))]
  ] as const) {
    it.live(`what is ${what} is a loss, and never an end`, () =>
      Effect.gen(function* () {
        const bytes = spoil(yield* zipped(pattern(10_000)))
        const { readable, writable } = new DecompressionStream("gzip")
        const { reader } = yield* Connection.fromWebStreams({ readable, writable: new WritableStream() })
        const giving = writable.getWriter()
        giving.write(Uint8Array.from(bytes)).catch(() => {})
        giving.close().catch(() => {})
        isLost(yield* within("reading", Effect.flip(reader.readAll({ maxBytes: "unbounded" }))))
      })
    )
  }
})

// ---------------------------------------------------------------------------
// a connection as streams of the Web
// ---------------------------------------------------------------------------

/** A connection as streams, and its peer. */
const streams = (options?: TestNetwork.PairOptions) =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair(options)
    return { ...(yield* Connection.toWebStreams(left)), connection: left, peer: right }
  })

interface AnyReader {
  read(view: Uint8Array): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
  cancel(): Promise<void>
}

const readerOf = (readable: Connection.WebStreams["readable"], mode: "byob" | undefined) =>
  (mode === undefined ? readable.getReader() : readable.getReader({ mode })) as AnyReader

describe("a connection that is read as a stream of the Web", () => {
  it.live("that is lost fails the body of a response, and is no end of it", () =>
    Effect.gen(function* () {
      const { peer, readable } = yield* streams()
      const body = new Response(readable).text()
      body.catch(() => {})
      yield* peer.writer.write("half of i")
      yield* peer.writer.flush
      yield* peer.abort
      const { reason } = yield* outcome("the body", body)
      assert.strictEqual(isLost(reason).kind, "Reset")
    })
  )

  it.live("is the body of a response", () =>
    Effect.gen(function* () {
      const { peer, readable } = yield* streams()
      const sent = pattern(300_000)
      yield* Effect.forkChild(Effect.andThen(peer.writer.write(sent), peer.writer.close))
      const body = yield* within(
        "the body",
        Effect.promise(() => new Response(readable).bytes())
      )
      assertBytes(body, sent)
    })
  )

  it.live("is given memory of its own: what it takes away was nobody else's", () =>
    Effect.gen(function* () {
      const { connection, peer, readable } = yield* streams()
      const sent = pattern(50_000)
      yield* peer.writer.write(sent)
      const before = yield* within("the first bytes", connection.reader.readExactly(10_000))
      const { value } = yield* outcome("a read", readable.getReader().read())
      assert.isAbove(value!.value!.length, 0)
      assertBytes(before, sent.subarray(0, 10_000))
    })
  )

  it.live("what was there before a loss is read before it, and the error is the one that reads have", () =>
    Effect.gen(function* () {
      const { peer, readable } = yield* streams()
      yield* peer.writer.write("there")
      yield* peer.writer.flush
      yield* turns()
      yield* peer.abort
      yield* turns()
      const reading = readable.getReader()
      assert.strictEqual(text((yield* outcome("a read", reading.read())).value!.value!), "there")
      isLost((yield* outcome("a read", reading.read())).reason)
      isLost((yield* outcome("closed", reading.closed)).reason)
    })
  )

  it.live("nothing is read that nobody asks for, and what was not taken is still the connection's", () =>
    Effect.gen(function* () {
      const { connection, peer, readable } = yield* streams()
      yield* peer.writer.write("one, and the rest")
      yield* turns()
      assert.strictEqual(yield* connection.reader.buffered, 17)
      const reading = readable.getReader({ mode: "byob" })
      const { value } = yield* outcome("a read", reading.read(new Uint8Array(3)))
      assert.strictEqual(text(value!.value!), "one")
      yield* within(
        "cancel",
        Effect.promise(() => reading.cancel())
      )
      assert.strictEqual(text(yield* connection.reader.readExactly(14)), ", and the rest")
    })
  )

  it.live("whenever it is cancelled, each byte was given to it or is the connection's", () =>
    Effect.gen(function* () {
      for (const mode of ["byob", undefined] as const) {
        for (let after = 0; after < 12; after++) {
          const { connection, peer, readable } = yield* streams()
          const reading = readerOf(readable, mode)
          let got = ""
          const read = reading.read(new Uint8Array(10)).then(({ value }) => {
            if (value !== undefined) got = text(value)
          })
          yield* turns(1)
          assert.strictEqual((yield* Effect.flip(connection.reader.read(1)))._tag, "StreamBusy")
          peer.writer.writeUnsafe(new TextEncoder().encode("late"))
          // so many steps later
          for (let step = 0; step < after; step++) yield* Effect.promise(() => Promise.resolve())
          const cancelled = reading.cancel()
          yield* within(
            "both",
            Effect.promise(() => Promise.all([read, cancelled]))
          )
          if (got === "") {
            const rest = yield* within(`${mode}, ${after}`, connection.reader.readExactly(4))
            assert.strictEqual(text(rest), "late", `${mode}, ${after}`)
          } else assert.strictEqual(got, "late")
        }
      }
    })
  )

  it.live("once it is cancelled nobody reads any more, also where fibers let others run at any step", () =>
    Effect.gen(function* () {
      for (const mode of ["byob", undefined] as const) {
        for (let seed = 1; seed <= 60; seed++) {
          const { connection, peer, readable } = yield* Effect.provideService(
            streams(),
            Scheduler.Scheduler,
            new Restless(seed)
          )
          const reading = readerOf(readable, mode)
          let got = ""
          const read = reading.read(new Uint8Array(10)).then(({ value }) => {
            if (value !== undefined) got = text(value)
          })
          yield* turns(2)
          peer.writer.writeUnsafe(new TextEncoder().encode("late"))
          for (let step = 0; step < seed % 4; step++) yield* Effect.promise(() => Promise.resolve())
          yield* within(
            "both",
            Effect.promise(() => Promise.all([read, reading.cancel()]))
          )
          if (got === "") got = text(yield* within(`seed ${seed}`, connection.reader.readExactly(4)))
          assert.strictEqual(got, "late", `${mode}, seed ${seed}`)
        }
      }
    })
  )

  it.live("a web reader that lets go while it waits leaves the bytes to the next one", () =>
    Effect.gen(function* () {
      const { peer, readable } = yield* streams()
      const first = readable.getReader()
      const waiting = first.read()
      yield* turns()
      first.releaseLock()
      assert.instanceOf((yield* outcome("the read", waiting)).reason, TypeError)
      yield* peer.writer.write("late")
      yield* turns()
      const { value } = yield* outcome("a read", readable.getReader().read())
      assert.strictEqual(text(value!.value!), "late")
    })
  )

  it.live("has an end, also for who brings memory", () =>
    Effect.gen(function* () {
      for (const mode of ["byob", undefined] as const) {
        const { peer, readable } = yield* streams()
        const reading = readerOf(readable, mode)
        const read = reading.read(new Uint8Array(10))
        yield* turns()
        yield* peer.writer.writeEof
        assert.isTrue((yield* outcome("a read", read)).value!.done)
      }
    })
  )

  it.live("that this side aborts fails, and says so", () =>
    Effect.gen(function* () {
      const { connection, readable, writable } = yield* streams()
      const read = readable.getReader().read()
      const { closed } = writable.getWriter()
      yield* turns()
      yield* connection.abort
      for (const promise of [read, closed]) {
        const { reason } = yield* outcome("it", promise as Promise<unknown>)
        assert.deepInclude(reason as object, { _tag: "ClosedStream", reason: "Aborted" })
      }
    })
  )
})

describe("a connection that is written as a stream of the Web", () => {
  it.live("to a peer that does not read is bounded, and gives way to an abort at once", () =>
    Effect.gen(function* () {
      const { connection, peer, writable } = yield* streams({ limit: 1000 })
      const writing = writable.getWriter()
      let written = 0
      const writes = (async () => {
        while (true) {
          await writing.ready
          written += 10_000
          writing.write(pattern(10_000)).catch(() => {})
        }
      })()
      writes.catch(() => {})
      yield* eventually("held back", () => written > 100_000)
      yield* turns(50)
      const before = written
      yield* turns(50)
      assert.strictEqual(written, before)
      assert.isBelow(written, 500_000)
      const reason = new Error("enough")
      yield* within(
        "abort",
        Effect.promise(() => writing.abort(reason)),
        1000
      )
      assert.strictEqual((yield* outcome("the writes", writes)).reason, reason)
      assert.strictEqual((yield* within("closed", connection.closed))._tag, "Local")
      isLost(yield* within("the peer", Effect.flip(peer.reader.readAll({ maxBytes: "unbounded" }))))
    })
  )

  it.live("that breaks fails the stream as soon as it is known, with the error that writes have", () =>
    Effect.gen(function* () {
      const { peer, writable } = yield* streams()
      const writing = writable.getWriter()
      yield* peer.abort
      isLost((yield* outcome("closed", writing.closed)).reason)
      isLost((yield* outcome("a write", writing.write("x"))).reason)
    })
  )

  it.live("goes on where reads alone are lost: what is written arrives, and its end is that of all", () =>
    Effect.gen(function* () {
      const { closed, connection, seen, source } = yield* byHand()
      const { readable, writable } = yield* Connection.toWebStreams(connection)
      const writing = writable.getWriter()
      yield* outcome("a write", writing.write("all "))
      source.error(new Error("snapped"))
      isLost((yield* outcome("a read", readable.getReader().read())).reason)
      assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
      yield* turns()
      assert.isUndefined((yield* outcome("another write", writing.write("of it"))).reason)
      assert.isUndefined((yield* outcome("the end", writing.close())).reason)
      yield* eventually("the end is there", () => seen.closed === 1)
      assert.strictEqual(seen.text, "all of it")
    })
  )

  it.live("memory is the writer's again behind the write", () =>
    Effect.gen(function* () {
      const { peer, writable } = yield* streams()
      const writing = writable.getWriter()
      for (const size of [10, 5000, 200_000]) {
        const memory = new Uint8Array(size).fill(1)
        const write = writing.write(memory).then(() => memory.fill(2))
        const got = yield* within("it", peer.reader.readExactly(size))
        yield* Effect.promise(() => write)
        assert.isTrue(got.every((byte) => byte === 1))
      }
    })
  )

  it.live("takes memory in every form, and text", () =>
    Effect.gen(function* () {
      const { peer, writable } = yield* streams()
      const writing = writable.getWriter()
      const bytes = new Uint8Array([0, 97, 98, 99, 100, 0]).buffer
      for (const chunk of [new Uint8Array(bytes, 1, 2), new DataView(bytes, 3, 2), new Uint8Array([101]).buffer, "ö"]) {
        yield* Effect.promise(() => writing.write(chunk))
      }
      yield* within(
        "close",
        Effect.promise(() => writing.close())
      )
      assert.strictEqual(text(yield* within("all", peer.reader.readAll({ maxBytes: 100 }))), "abcdeö")
      assert.deepStrictEqual(yield* peer.closed, { _tag: "PeerEof" })
    })
  )

  it.live("a chunk that is none is refused, and what was sent does not look complete", () =>
    Effect.gen(function* () {
      const { peer, writable } = yield* streams()
      const source = new ReadableStream({
        start: (controller) => {
          controller.enqueue("half of it")
          controller.enqueue({ half: "of it" })
          controller.close()
        }
      })
      const { reason } = yield* outcome("the pipe", source.pipeTo(writable))
      assert.match(String(reason), /TypeError: Connection.toWebStreams: a chunk must be bytes or text, got/)
      isLost(yield* within("the peer", Effect.flip(peer.reader.readAll({ maxBytes: "unbounded" }))))
    })
  )

  it.live("a source that fails resets what it was piped into", () =>
    Effect.gen(function* () {
      const { peer, writable } = yield* streams()
      const snapped = new Error("snapped")
      const source = new ReadableStream(
        {
          pull: (controller) => controller.error(snapped),
          start: (controller) => controller.enqueue("half of it")
        },
        { highWaterMark: 0 }
      )
      assert.strictEqual((yield* outcome("the pipe", source.pipeTo(writable))).reason, snapped)
      isLost(yield* within("the peer", Effect.flip(peer.reader.readAll({ maxBytes: "unbounded" }))))
    })
  )

  it.live("close half-closes, and the connection is closed once both are over", () =>
    Effect.gen(function* () {
      const { connection, peer, readable, writable } = yield* streams()
      const writing = writable.getWriter()
      void writing.write("question")
      yield* within(
        "close",
        Effect.promise(() => writing.close())
      )
      assert.isFalse(yield* connection.writer.isClosing)
      assert.strictEqual(text(yield* within("the question", peer.reader.readAll({ maxBytes: 100 }))), "question")
      yield* peer.writer.write("answer")
      yield* peer.writer.writeEof
      assert.strictEqual(
        yield* within(
          "the answer",
          Effect.promise(() => new Response(readable).text())
        ),
        "answer"
      )
      yield* eventually("closed", () => Effect.runSync(connection.writer.isClosing))
      assert.deepStrictEqual(yield* connection.writer.close, { _tag: "Graceful" })
    })
  )
})
