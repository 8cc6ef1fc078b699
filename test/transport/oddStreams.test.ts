/**
 * What Node's streams can do to a connection over one of them: break off, throw, speak in text or in objects, repeat
 * themselves, be set going by somebody else. None of it loses or repeats a byte, looks complete, or reaches others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Connection, StreamError } from "effect-byte-streams"
import { Deferred, Effect, Fiber } from "effect"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import { Duplex, type DuplexOptions, duplexPair } from "node:stream"
import * as NodeTls from "node:tls"
import { assertBytes } from "../support/assertBytes.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { authority } from "../support/certificates.ts"
import { serveRaw } from "../support/rawPeer.ts"
import { tlsServerOn } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

/** A duplex that is read by hand, and takes what is written. */
class ByHand extends Duplex {
  readonly written: Array<Buffer> = []
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.written.push(Buffer.from(chunk))
    callback()
  }
}

const byHand = (options?: Connection.Options & { readonly stream?: DuplexOptions }) =>
  Effect.gen(function* () {
    const { stream: streamOptions, ...rest } = options ?? {}
    const stream = new ByHand(streamOptions)
    const connection = yield* Connection.fromDuplex(stream, rest)
    return { stream, connection, reader: connection.reader, writer: connection.writer }
  })

const isLost = (error: unknown): StreamError.ConnectionLost => {
  assert(error instanceof StreamError.ConnectionLost)
  return error
}

/** Everything that can be read, and what it ends with: a loss, or nothing. */
const collect = ({ reader }: Connection.Connection) =>
  Effect.gen(function* () {
    const pieces: Array<Uint8Array> = []
    while (true) {
      const read = yield* within("what can be read", Effect.result(reader.read(65_536)))
      if (read._tag === "Failure") return { got: Buffer.concat(pieces), lost: isLost(read.failure) }
      if (read.success.length === 0) return { got: Buffer.concat(pieces), lost: undefined }
      pieces.push(read.success)
    }
  })

/** Both ends of a stream of HTTP/2, and what they go over. */
const http2 = Effect.gen(function* () {
  const server = Http2.createServer()
  const accepted = yield* Deferred.make<Http2.ServerHttp2Stream>()
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200 })
    Deferred.doneUnsafe(accepted, Effect.succeed(stream))
  })
  server.on("sessionError", () => {})
  yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
  const socket = Net.connect({ host: "127.0.0.1", port: (server.address() as Net.AddressInfo).port })
  const session = Http2.connect("http://127.0.0.1", { createConnection: () => socket })
  session.on("error", () => {})
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      session.destroy()
      server.close()
    })
  )
  const client = session.request({ ":method": "POST", ":path": "/" }, { endStream: false })
  return { client, server: yield* within("the stream", Deferred.await(accepted)), socket }
})

type Open = (stream: Duplex, options?: Connection.Options) => ReturnType<typeof Connection.fromDuplex>

const overEither: ReadonlyArray<readonly [string, Open]> = [
  ["a Duplex", (stream, options) => Connection.fromDuplex(stream, options)],
  ["two halves", (stream, options) => Connection.fromPair({ readable: stream, writable: stream }, options)]
]

describe("a stream of HTTP/2 that is broken off is lost, though it says that it has ended", () => {
  for (const [over, open] of overEither) {
    for (const ours of ["before our end", "after our end"]) {
      it.live(`as ${over}, with its socket, ${ours}`, () =>
        Effect.gen(function* () {
          const { client, server, socket } = yield* http2
          const connection = yield* open(client)
          if (ours === "after our end") yield* within("our end", connection.writer.writeEof)
          server.write("half a mess")
          assert.strictEqual(text(yield* within("a part", connection.reader.readExactly(11))), "half a mess")
          socket.destroy()
          assert.strictEqual((yield* within("closed", connection.closed))._tag, "Lost")
          assert.isDefined((yield* collect(connection)).lost)
        })
      )
    }

    it.live(`as ${over}, by its peer's abort`, () =>
      Effect.gen(function* () {
        const streams = yield* http2
        const connection = yield* open(streams.server)
        const peer = yield* Connection.fromDuplex(streams.client)
        yield* peer.writer.write("half a mess")
        assert.strictEqual(text(yield* within("a part", connection.reader.readExactly(11))), "half a mess")
        yield* peer.abort
        assert.strictEqual((yield* within("closed", connection.closed))._tag, "Lost")
        assert.strictEqual((yield* collect(connection)).lost?.kind, "Reset")
      })
    )

    it.live(`as ${over}, also if it was before there was a connection`, () =>
      Effect.gen(function* () {
        for (const ended of [false, true]) {
          const stream = Object.assign(new ByHand(), { rstCode: 8 })
          stream.push("early")
          stream.push(null)
          if (ended)
            yield* within(
              "the end",
              Effect.promise(() => stream.resume().toArray())
            )
          const { got, lost } = yield* collect(yield* open(stream))
          assert.strictEqual(got.toString(), ended ? "" : "early")
          assert.strictEqual(lost?.kind, "Reset")
        }
      })
    )
  }

  for (const [over, open] of overEither) {
    it.live(`as ${over}, one that its peer lets go of fails those who wait to write`, () =>
      Effect.gen(function* () {
        // Node's own never calls back what it holds then
        const stream = Object.assign(new Duplex({ read() {}, write() {} }), { aborted: false })
        const { reader, writer } = yield* open(stream)
        yield* writer.write("never sent")
        const flushing = yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
        stream.push("all of it")
        stream.aborted = true
        stream.push(null)
        assert.strictEqual(text(yield* within("all of it", reader.readAll({ maxBytes: 100 }))), "all of it")
        isLost(yield* within("the flush", Fiber.join(flushing)))
        assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      })
    )
  }

  const letGo: ReadonlyArray<readonly [string, (stream: Http2.ServerHttp2Stream) => void]> = [
    ["lets go of", (stream) => stream.close()],
    ["resets", (stream) => stream.destroy(new Error("no more"))]
  ]
  for (const [over, open] of overEither) {
    for (const [what, end] of letGo) {
      it.live(`as ${over}, one that its peer ${what} fails those who wait to write also while nobody reads`, () =>
        Effect.gen(function* () {
          const { client, server } = yield* http2
          server.on("error", () => {})
          // one that has answered, and that nobody reads, is let go of by itself
          server.pause()
          const { closed, reader, writer } = yield* open(client, { limit: 16 })
          const answer = pattern(30_000)
          if (what === "lets go of") server.end(answer)
          else server.write(answer)
          yield* eventuallyEffect(
            "more than is taken",
            Effect.map(reader.buffered, (size) => size > 32)
          )
          // more than its peer allows it to send
          yield* writer.write(new Uint8Array(200_000))
          const flushing = yield* Effect.forkChild(Effect.flip(writer.flush), { startImmediately: true })
          end(server)
          isLost(yield* within("the flush", Fiber.join(flushing)))
          assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
          isLost(yield* Effect.flip(writer.write("one more")))
          // what it had said by then was all
          if (what === "lets go of") {
            assertBytes(yield* within("the answer", reader.readAll({ maxBytes: 100_000 })), answer)
          }
          assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
        })
      )
    }

    it.live(`as ${over}, one that its peer had let go of before is read to its end, whoever writes`, () =>
      Effect.gen(function* () {
        const { client, server } = yield* http2
        const answer = pattern(30_000)
        client.pause()
        server.pause()
        server.end(answer)
        yield* eventually("the answer", () => client.readableLength > 0)
        server.close()
        yield* eventually("the end of it", () => client.aborted)
        const connection = yield* open(client, { limit: 16 })
        isLost(
          yield* within(
            "the write",
            Effect.flip(Effect.andThen(connection.writer.write("late"), connection.writer.flush))
          )
        )
        const { got, lost } = yield* collect(connection)
        assertBytes(got, answer)
        assert.strictEqual(lost, undefined)
      })
    )
  }

  it.live("one that has ended has", () =>
    Effect.gen(function* () {
      const streams = yield* http2
      const connection = yield* Connection.fromDuplex(streams.client)
      const peer = yield* Connection.fromDuplex(streams.server)
      yield* peer.writer.write("a message")
      yield* peer.writer.close
      const { got, lost } = yield* collect(connection)
      assert.strictEqual(got.toString(), "a message")
      assert.strictEqual(lost, undefined)
    })
  )
})

describe("a stream that is destroyed in front of its end is lost, not complete", () => {
  const destroys: ReadonlyArray<readonly [string, (stream: ByHand) => void]> = [
    ["without an error", (stream) => stream.destroy()],
    ["with an error", (stream) => stream.destroy(new Error("snapped"))]
  ]
  for (const [how, destroy] of destroys) {
    for (const ours of ["before our end", "after our end"]) {
      for (const paused of [false, true]) {
        it.live(`${how}, ${ours}${paused ? ", while it is paused" : ""}`, () =>
          Effect.gen(function* () {
            const { connection, stream, writer } = yield* byHand({ limit: 10 })
            if (ours === "after our end") yield* within("our end", writer.writeEof)
            stream.push("a part ".repeat(paused ? 10 : 1))
            yield* turns()
            if (paused) stream.push("and some more ")
            yield* turns()
            destroy(stream)
            const closed = yield* within("closed", connection.closed, 1000)
            assert.strictEqual(closed._tag, "Lost")
            const { got, lost } = yield* collect(connection)
            assert.strictEqual(got.toString(), paused ? `${"a part ".repeat(10)}and some more ` : "a part ")
            assert.strictEqual(lost?.kind, "Unknown")
            assert.include(lost?.message, how === "with an error" ? "snapped" : "destroyed before it had ended")
            assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
          })
        )
      }
    }
  }

  it.live("also if it never says that it is closed: a write learns of it", () =>
    Effect.gen(function* () {
      const { connection, stream, writer } = yield* byHand({ stream: { emitClose: false } })
      stream.destroy()
      yield* Effect.ignore(writer.write("x"))
      isLost(yield* within("the flush", Effect.flip(writer.flush), 1000))
      assert.strictEqual((yield* within("closed", connection.closed, 1000))._tag, "Lost")
      isLost(yield* within("a read", Effect.flip(connection.reader.read(1)), 1000))
    })
  )

  it.live("also if it was before there was a connection: what it had read is read first", () =>
    Effect.gen(function* () {
      for (const closed of [false, true]) {
        for (const error of [undefined, new Error("snapped")]) {
          const stream = new ByHand()
          stream.on("error", () => {})
          stream.push("early")
          stream.destroy(error)
          if (closed) yield* eventually("it is closed", () => stream.closed)
          const connection = yield* Connection.fromDuplex(stream)
          const { got, lost } = yield* collect(connection)
          assert.strictEqual(got.toString(), "early")
          assert.include(lost?.message, error === undefined ? "destroyed before it had ended" : "snapped")
        }
      }
    })
  )

  it.live("and one that had ended before there was a connection is complete, though it is closed", () =>
    Effect.gen(function* () {
      const stream = new ByHand()
      stream.push(null)
      stream.resume()
      stream.end()
      yield* eventually("it is closed", () => stream.closed)
      const connection = yield* Connection.fromDuplex(stream)
      const { lost } = yield* collect(connection)
      assert.strictEqual(lost, undefined)
      isLost(yield* within("a write", Effect.flip(Effect.forever(connection.writer.write("x")))))
    })
  )

  it.live("what it calls written, when it is gone, is not taken for sent", () =>
    Effect.gen(function* () {
      let done = () => {}
      const stream = new Duplex({
        read() {},
        write(_chunk, _encoding, callback) {
          done = callback
        }
      })
      const { closed, writer } = yield* Connection.fromDuplex(stream)
      yield* writer.write("never sent")
      const flushing = yield* Effect.forkChild(writer.flush, { startImmediately: true })
      yield* turns()
      // as the sockets of Node do
      stream.destroy()
      done()
      isLost(yield* within("the flush", Effect.flip(Fiber.join(flushing)), 1000))
      assert.strictEqual((yield* within("closed", closed, 1000))._tag, "Lost")
    })
  )
})

describe("a stream that says twice that it has passed on what it was given", () => {
  const overs = {
    "a Duplex": (stream: Duplex) => Connection.fromDuplex(stream),
    "a pair": (stream: Duplex) => Connection.fromPair({ readable: stream, writable: stream })
  }
  for (const [over, connect] of Object.entries(overs)) {
    it.live(`${over}: what it was given next is not taken for sent`, () =>
      Effect.gen(function* () {
        const calls: Array<() => void> = []
        const stream = new Duplex({ read() {} })
        stream.write = ((_chunk: unknown, callback: () => void) => {
          calls.push(callback)
          return true
        }) as never
        const { writer } = yield* connect(stream)
        yield* writer.write("one")
        yield* eventually("the first is there", () => calls.length === 1)
        yield* writer.write("two")
        calls[0]!()
        yield* eventually("the second is there", () => calls.length === 2)
        const flushing = yield* Effect.forkChild(writer.flush, { startImmediately: true })
        calls[0]!()
        yield* turns()
        assert.isUndefined(flushing.pollUnsafe())
        assert.strictEqual(yield* writer.buffered, 3)
        calls[1]!()
        yield* within("the flush", Fiber.join(flushing))
      })
    )
  }
})

describe("a stream whose methods throw fails alone, typed, with the cause", () => {
  /** A bystander whose bytes are to be sent in the same turn. */
  const bystander = Effect.gen(function* () {
    const { stream, writer } = yield* byHand()
    return { writer, sent: () => Buffer.concat(stream.written).toString() }
  })

  const error = Object.assign(new Error("thrown"), { code: "EPIPE" })
  const fail = (): never => {
    throw error
  }
  const isThrown = (found: unknown) => {
    const { cause, code, kind } = isLost(found)
    assert.strictEqual(cause, error)
    assert.strictEqual(code, "EPIPE")
    assert.strictEqual(kind, "BrokenPipe")
  }

  for (const method of ["_write", "write"] as const) {
    it.live(`${method}: the bytes of others go out`, () =>
      Effect.gen(function* () {
        const before = yield* bystander
        const { connection, reader, stream, writer } = yield* byHand()
        const after = yield* bystander
        stream[method] = fail
        stream.push("what arrived")
        yield* turns()
        before.writer.writeUnsafe("before")
        writer.writeUnsafe("never sent")
        after.writer.writeUnsafe("after")
        yield* turns(1)
        isThrown(yield* within("the flush", Effect.flip(writer.flush)))
        assert.strictEqual(before.sent(), "before")
        assert.strictEqual(after.sent(), "after")
        assert.strictEqual((yield* within("closed", connection.closed))._tag, "Lost")
        assert.strictEqual(text(yield* reader.read(100)), "what arrived")
        isThrown(yield* Effect.flip(reader.read(1)))
        assert.isTrue(stream.destroyed)
      })
    )
  }

  it.live("_writev: all of a turn is one write, and never waits in the stream", () =>
    Effect.gen(function* () {
      const { stream, writer } = yield* byHand()
      stream._writev = fail
      for (const size of [10, 5000, 6000, 300_000]) yield* writer.writeAll([pattern(size), "and text"])
      yield* within("the flush", writer.flush)
      assert.strictEqual(Buffer.concat(stream.written).length, 311_010 + 4 * 8)
    })
  )

  it.live("end and _final: writeEof fails, or the connection is lost behind it", () =>
    Effect.gen(function* () {
      for (const method of ["end", "_final"] as const) {
        const { connection, stream, writer } = yield* byHand()
        stream[method] = fail
        yield* writer.write("all of it")
        const exit = yield* within(`writeEof, where ${method} throws`, Effect.result(writer.writeEof))
        if (exit._tag === "Failure") isThrown(exit.failure)
        const closed = yield* within(`closed, where ${method} throws`, connection.closed)
        assert(closed._tag === "Lost")
        isThrown(closed.error)
        isThrown(yield* within(`a read, where ${method} throws`, Effect.flip(connection.reader.read(1))))
        assert.deepStrictEqual(yield* writer.close, { _tag: "Reset" })
      }
    })
  )

  it.live("pause and resume: what arrived is read, and then the failure", () =>
    Effect.gen(function* () {
      for (const method of ["pause", "resume"] as const) {
        const { reader, stream, writer } = yield* byHand({ limit: 10 })
        stream[method] = fail
        stream.push("0123456789".repeat(3))
        yield* turns()
        assert.strictEqual((yield* within(`a read, where ${method} throws`, reader.readExactly(30))).length, 30)
        isThrown(yield* within(`a read behind it, where ${method} throws`, Effect.flip(reader.read(1))))
        isThrown(yield* Effect.flip(writer.write("x")))
      }
    })
  )

  it.live("on, resume and _read, at the very beginning", () =>
    Effect.gen(function* () {
      const reading = new ByHand()
      reading._read = fail
      const resuming = new ByHand()
      resuming.resume = fail
      for (const stream of [reading, resuming]) {
        const { closed, reader, writer } = yield* Connection.fromDuplex(stream)
        assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
        isThrown(yield* within("a read", Effect.flip(reader.read(1))))
        isThrown(yield* within("a write", Effect.flip(writer.write("x"))))
      }
    })
  )

  it.live("read and destroy, when it breaks: nobody else hears of it", () =>
    Effect.gen(function* () {
      const { closed, reader, stream } = yield* Effect.map(byHand({ limit: 10 }), ({ connection, ...rest }) => ({
        ...rest,
        closed: connection.closed
      }))
      stream.push("0123456789".repeat(3))
      yield* turns()
      stream.read = fail
      stream.destroy(error)
      assert.strictEqual((yield* within("closed", closed))._tag, "Lost")
      assert.strictEqual((yield* reader.readExactly(30)).length, 30)
      isThrown(yield* Effect.flip(reader.read(1)))
      for (const end of ["abort", "close"] as const) {
        // nor is it Node that destroys it
        const { stream, writer } = yield* byHand({ stream: { autoDestroy: false } })
        stream.destroy = fail
        yield* writer.write("all of it")
        yield* within(end, Effect.asVoid(writer[end]))
        stream.push(null)
        yield* turns()
      }
    })
  )

  it.live("an error of its own making, told in the middle of a call, is told to nobody within it", () =>
    Effect.gen(function* () {
      const { reader, stream, writer } = yield* byHand()
      stream.write = () => {
        stream.push("last words")
        stream.emit("error", error)
        return false
      }
      const reading = yield* Effect.forkChild(reader.readExactly(10), { startImmediately: true })
      let within_ = true
      const watching = yield* Effect.forkChild(
        Effect.map(Fiber.await(reading), () => within_),
        { startImmediately: true }
      )
      writer.writeUnsafe(pattern(100_000))
      within_ = false
      assert.isFalse(yield* within("the read", Fiber.join(watching)))
      isThrown(yield* within("a read", Effect.flip(reader.read(1))))
    })
  )
})

describe("a stream that is lost repeats nothing", () => {
  it.live("what is read from it when it breaks, it may say as well", () =>
    Effect.gen(function* () {
      const { connection, stream } = yield* byHand({ limit: 10 })
      stream.push("0123456789".repeat(3))
      yield* turns()
      stream.push("once")
      yield* turns()
      // not destroyed: reading it is no secret
      stream.emit("error", new Error("told by hand"))
      const { got, lost } = yield* collect(connection)
      assert.strictEqual(got.toString(), `${"0123456789".repeat(3)}once`)
      assert.include(lost?.message, "told by hand")
    })
  )

  it.live("it speaks or ends behind its end: the reader is at the end, and the connection is over", () =>
    Effect.gen(function* () {
      const { connection, reader, stream, writer } = yield* byHand()
      stream.push("all of it")
      stream.push(null)
      yield* within("its end", connection.closed)
      stream.emit("end")
      stream.emit("data", Buffer.from("and more"))
      assert.strictEqual(text(yield* reader.readAll({ maxBytes: 100 })), "all of it")
      const lost = isLost(yield* within("a write", Effect.flip(Effect.forever(writer.write("x")))))
      assert.include(lost.message, "behind its end")
    })
  )
})

describe("a stream that somebody else sets going", () => {
  it.live("is paused again: no more is buffered than one piece", () =>
    Effect.gen(function* () {
      const { reader, stream } = yield* byHand({ limit: 1000 })
      const sent = pattern(100_000)
      for (let at = 0; at < sent.length; at += 1000) {
        stream.push(sent.subarray(at, at + 1000))
        // as Node does with the output of a process when that exits
        if (at % 10_000 === 0) stream.resume()
        yield* turns(1)
      }
      assert.isAtMost(yield* reader.buffered, 20_000)
      stream.push(null)
      assertBytes(yield* within("all of it", reader.readAll({ maxBytes: 200_000 })), sent)
    })
  )
})

describe("text", () => {
  const said = "größer: 鯨, 🐋 and a tail"
  const utf8 = bytes(said)

  for (const end of ["ends", "breaks", "breaks while it is paused"]) {
    it.live(`a stream that decodes UTF-8, cut between any two bytes, and ${end}`, () =>
      Effect.gen(function* () {
        for (let cut = 1; cut < utf8.length; cut++) {
          const { connection, reader, stream } = yield* byHand({ limit: 4 })
          stream.setEncoding("utf8")
          if (end !== "breaks while it is paused") {
            const reading = yield* Effect.forkChild(collect(connection), { startImmediately: true })
            stream.push(utf8.subarray(0, cut))
            yield* turns(1)
            stream.push(utf8.subarray(cut))
            if (end === "ends") stream.push(null)
            yield* turns(1)
            stream.destroy()
            const { got, lost } = yield* Fiber.join(reading)
            assert.strictEqual(got.toString(), said)
            assert.strictEqual(lost === undefined, end === "ends")
            continue
          }
          stream.push("more than enough")
          yield* turns(1)
          stream.push(utf8.subarray(0, cut))
          stream.push(utf8.subarray(cut))
          yield* turns(1)
          stream.destroy()
          assert.strictEqual(text(yield* within("what flowed", reader.readExactly(16))), "more than enough")
          const { got, lost } = yield* collect(connection)
          assert.strictEqual(got.toString(), said)
          assert.isDefined(lost)
        }
      })
    )
  }

  it.live("a stream that decodes UTF-8 and breaks within a character: its first bytes are read, as they came", () =>
    Effect.gen(function* () {
      for (let cut = 0; cut < utf8.length; cut++) {
        const { connection, stream } = yield* byHand()
        stream.setEncoding("utf8")
        stream.push(utf8.subarray(0, cut))
        yield* turns(1)
        stream.destroy()
        assertBytes((yield* collect(connection)).got, utf8.subarray(0, cut))
      }
    })
  )

  it.live("any other encoding is undone: the bytes are those that came", () =>
    Effect.gen(function* () {
      const sent = pattern(1001)
      for (const encoding of ["latin1", "binary", "hex", "base64", "base64url", "utf16le", "ucs2"] as const) {
        const { connection, stream } = yield* byHand()
        stream.setEncoding(encoding)
        for (let at = 0; at < sent.length; at += 7) stream.push(sent.subarray(at, at + 7))
        yield* turns()
        // an odd byte is no character of UTF-16, and is left over
        stream.destroy()
        assertBytes((yield* collect(connection)).got, sent, encoding)
      }
    })
  )

  it.live("a stream of texts, with a character cut in two: it is the character, and half a one is U+FFFD", () =>
    Effect.gen(function* () {
      const whale = "🐋"
      for (const [texts, expected] of [
        [["a", whale[0]!, whale[1]!, "b"], "a🐋b"],
        [[`a${whale[0]}`, `${whale[1]}${whale[0]}`, "", `${whale[1]}b`], "a🐋🐋b"],
        [[`a${whale[0]}`, "b"], "a\ufffdb"],
        [[whale[1]!, "b"], "\ufffdb"],
        [[`a${whale[0]}`], "a\ufffd"]
      ] as const) {
        for (const end of ["ends", "breaks"]) {
          const { connection, stream } = yield* byHand({ stream: { readableObjectMode: true } })
          for (const text of texts) stream.push(text)
          if (end === "ends") stream.push(null)
          yield* turns()
          stream.destroy()
          assert.strictEqual((yield* collect(connection)).got.toString(), expected)
        }
      }
    })
  )
})

describe("chunks that are neither bytes nor text", () => {
  for (const [name, chunk] of [
    ["an object", { line: "one" }],
    ["a number", 7],
    ["an array of another kind", new Uint16Array([1, 2])],
    ["false", false],
    ["nothing that was ever called something", undefined]
  ] as const) {
    for (const paused of [false, true]) {
      it.live(`${name}${paused ? ", read ahead" : ""}: what came before is read, and then a typed failure`, () =>
        Effect.gen(function* () {
          const { connection, stream, writer } = yield* byHand({ limit: 4, stream: { readableObjectMode: true } })
          stream.push("in front")
          yield* turns()
          if (paused) {
            stream.push("more than enough")
            yield* turns()
          }
          if (chunk === undefined) stream.emit("data", chunk)
          else stream.push(chunk)
          stream.push("behind")
          if (paused && chunk !== undefined) {
            yield* turns()
            stream.destroy()
          }
          const { got, lost } = yield* collect(connection)
          assert.isTrue(got.toString().startsWith("in front"))
          assert.notInclude(got.toString(), "behind")
          assert.strictEqual(lost?.kind, "Unknown")
          assert(lost?.cause instanceof TypeError)
          assert.include(lost.message, "expected a stream of bytes or of text, got")
          assert.strictEqual((yield* within("closed", connection.closed))._tag, "Lost")
          isLost(yield* within("a write", Effect.flip(Effect.forever(writer.write("x")))))
          yield* eventually("the stream is let go of", () => stream.destroyed)
        })
      )
    }
  }

  it.live("what they are is none of a connection's that is being closed: its last words arrive", () =>
    Effect.gen(function* () {
      const { stream, writer } = yield* byHand({ stream: { readableObjectMode: true } })
      yield* writer.write("last words")
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      stream.push({ an: "object" })
      yield* turns()
      assert.isFalse(stream.destroyed)
      assert.strictEqual(Buffer.concat(stream.written).toString(), "last words")
      stream.push(null)
      yield* eventually("it is let go of", () => stream.closed)
    })
  )
})

describe("half-closing over streams that do not allow it by default: the answer arrives", () => {
  it.live("a Duplex with allowHalfOpen: false", () =>
    Effect.gen(function* () {
      const { connection, reader, stream, writer } = yield* byHand({ stream: { allowHalfOpen: false } })
      stream.push("question")
      stream.push(null)
      assert.strictEqual(text(yield* within("the question", reader.readAll({ maxBytes: 100 }))), "question")
      yield* turns()
      yield* within("the answer", writer.write(pattern(100_000)))
      yield* within("the flush", writer.flush)
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
      assertBytes(Buffer.concat(stream.written), pattern(100_000))
      assert.deepStrictEqual(yield* connection.closed, { _tag: "PeerEof" })
      yield* eventually("it is let go of", () => stream.closed)
    })
  )

  it.live("both ends of a pair", () =>
    Effect.gen(function* () {
      const [left, right] = duplexPair({ allowHalfOpen: false })
      const asking = yield* Connection.fromDuplex(left)
      const answering = yield* Connection.fromDuplex(right)
      yield* asking.writer.write("question")
      yield* asking.writer.writeEof
      assert.strictEqual(text(yield* within("the question", answering.reader.readAll({ maxBytes: 100 }))), "question")
      yield* turns()
      yield* answering.writer.write("answer")
      yield* within("its end", answering.writer.writeEof)
      assert.strictEqual(text(yield* within("the answer", asking.reader.readAll({ maxBytes: 100 }))), "answer")
    })
  )

  const answers = (connection: Connection.Connection) =>
    Effect.gen(function* () {
      const { reader, writer } = connection
      assert.strictEqual(text(yield* within("the question", reader.readAll({ maxBytes: 100 }))), "question")
      yield* turns()
      yield* writer.write(pattern(3_000_000))
      return yield* within("the close", writer.close)
    })

  it.live("a socket of Node's", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const connection = yield* Connection.fromDuplex(Net.connect({ host: "127.0.0.1", port: server.port }))
      const peer = yield* server.accept
      yield* peer.send("question")
      yield* peer.finish
      assert.deepStrictEqual(yield* answers(connection), { _tag: "Graceful" })
      yield* peer.awaitEnd
      assertBytes(peer.received, pattern(3_000_000))
    })
  )

  it.live("a TLS socket of Node's", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const connection = yield* Connection.fromDuplex(
        NodeTls.connect({ host: "127.0.0.1", port: server.port, ca: authority.cert, servername: "localhost" })
      )
      const peer = tlsServerOn(yield* server.accept)
      yield* peer.secured
      yield* peer.secure.send("question")
      yield* peer.secure.finish
      assert.deepStrictEqual(yield* answers(connection), { _tag: "Graceful" })
      yield* peer.secure.awaitEnd
      assertBytes(peer.secure.received, pattern(3_000_000))
    })
  )
})

describe("aborting", () => {
  it.live("a socket of Node's is reset: what was cut off does not look complete to its peer", () =>
    Effect.gen(function* () {
      const server = yield* serveRaw({ halfOpen: true })
      const connection = yield* Connection.fromDuplex(Net.connect({ host: "127.0.0.1", port: server.port }))
      const peer = yield* server.accept
      yield* connection.writer.write("a part")
      yield* peer.awaitText("a part")
      yield* connection.abort
      assert.strictEqual(yield* peer.awaitClosed, "ECONNRESET")
      assert.isFalse(peer.ended)
    })
  )

  it.live("one end of a pair breaks the other: nothing looks complete there, nor fails the process", () =>
    Effect.gen(function* () {
      const [left, right] = duplexPair()
      // up to Node 22 the one is not told that the other is gone
      left.on("close", () => right.destroy())
      const connection = yield* Connection.fromDuplex(left)
      const other = yield* Connection.fromDuplex(right)
      yield* connection.writer.write("a part")
      assert.strictEqual(text(yield* within("a part", other.reader.read(100))), "a part")
      yield* other.writer.writeEof
      yield* connection.abort
      assert.isDefined((yield* collect(other)).lost)
    })
  )
})

describe("wrong arguments", () => {
  it.effect("what is no duplex dies with a message that says what it was", () =>
    Effect.gen(function* () {
      for (const wrong of [undefined, null, {}, "socket", new Response("x").body]) {
        const exit = yield* Effect.exit(Connection.fromDuplex(wrong as never))
        assert.match(
          String(exit),
          /Connection\.fromDuplex: duplex must be a Node Duplex, or what behaves like one, got/
        )
      }
    })
  )
})
