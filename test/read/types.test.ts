/**
 * The types of every operation of the reader and the writer: what it answers with, and exactly how it can fail. The
 * compiler checks them (`npm run types`); when the tests run, the operations are there.
 */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Frame, StreamError, StreamReader, StreamWriter } from "effect-byte-streams"
import { type Cause, Effect, type Option, type Pull, type Scope, type Sink, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { fake } from "../support/fakeTransport.ts"

type Reader = StreamReader.StreamReader
type Writer = StreamWriter.StreamWriter
type ReadError =
  | StreamError.ConnectionLost
  | StreamError.ClosedStream
  | StreamError.StreamBusy
  | StreamError.StreamTimeout
  // a session over TLS that is cut off is no end of the stream
  | StreamError.TlsFailed
type WriteError = StreamError.ConnectionLost | StreamError.ClosedStream | StreamError.StreamTimeout
type LimitOverrun = StreamError.LimitOverrun
type IncompleteRead = StreamError.IncompleteRead

/** An operation that succeeds with `A`, fails with `E`, and needs nothing. */
type Read<A, E = ReadError> = Effect.Effect<A, E>

describe("types of errors", () => {
  it("ReadError and WriteError are exactly what the design says", () => {
    expectTypeOf<StreamError.ReadError>().toEqualTypeOf<ReadError>()
    expectTypeOf<StreamError.WriteError>().toEqualTypeOf<WriteError>()
    assert.isFunction(StreamError.ConnectionLost)
  })

  it("the fields of the errors", () => {
    expectTypeOf<Pick<IncompleteRead, "_tag" | "operation" | "expected">>().toEqualTypeOf<{
      readonly _tag: "IncompleteRead"
      readonly operation: string
      readonly expected?: number | undefined
    }>()
    expectTypeOf<IncompleteRead["partial"]>().toExtend<Uint8Array>()
    expectTypeOf<Pick<LimitOverrun, "_tag" | "operation" | "consumed" | "limit" | "found">>().toEqualTypeOf<{
      readonly _tag: "LimitOverrun"
      readonly operation: string
      readonly consumed: number
      readonly limit: number
      readonly found: boolean
    }>()
    expectTypeOf<Pick<StreamError.ClosedStream, "_tag" | "operation" | "reason">>().toEqualTypeOf<{
      readonly _tag: "ClosedStream"
      readonly operation: string
      readonly reason: "Closed" | "Eof" | "Aborted" | "Upgraded"
    }>()
    expectTypeOf<Pick<StreamError.StreamBusy, "_tag" | "operation" | "holder">>().toEqualTypeOf<{
      readonly _tag: "StreamBusy"
      readonly operation: string
      readonly holder: string
    }>()
    expectTypeOf<StreamError.ConnectionLost["_tag"]>().toEqualTypeOf<"ConnectionLost">()
    expectTypeOf<"Reset" | "BrokenPipe" | "TimedOut">().toExtend<StreamError.ConnectionLost["kind"]>()
    expectTypeOf<StreamError.ConnectionLost["code"]>().toEqualTypeOf<string | undefined>()
    expectTypeOf<StreamError.StreamTimeout["_tag"]>().toEqualTypeOf<"StreamTimeout">()
    expectTypeOf<StreamError.StreamTimeout["kind"]>().toEqualTypeOf<
      "Idle" | "Read" | "Write" | "Total" | "MinRate" | "Lookup" | "Connect" | "Handshake" | "Answer"
    >()
    assert.isFunction(StreamError.StreamTimeout)
  })
})

describe("unions of errors", () => {
  it("reads of whole items fail with one, all of the library's with the other", () => {
    const items = (reader: Reader) => [
      reader.readLineText,
      reader.readExactlyOption(1),
      reader.readUntilOption("\n"),
      reader.readFrame(Frame.uint8),
      reader.readLineWith({ end: "required" })
    ]
    expectTypeOf<Effect.Error<ReturnType<typeof items>[number]>>().toEqualTypeOf<StreamError.FramedReadError>()
    type Class = {
      [K in keyof typeof StreamError]: (typeof StreamError)[K] extends new (...args: any) => infer E ? E : never
    }
    expectTypeOf<Class[keyof Class]["_tag"]>().toEqualTypeOf<StreamError.StreamError["_tag"]>()
    expectTypeOf<Class[keyof Class]>().toExtend<StreamError.StreamError>()
  })
})

describe("types of the reader", () => {
  it.effect("each operation is there", () =>
    Effect.gen(function* () {
      const { reader } = yield* fake()
      const operations: Record<keyof Reader, "function" | "effect" | "number"> = {
        limit: "number",
        read: "function",
        readInto: "function",
        readOption: "function",
        readAll: "function",
        readExactly: "function",
        readExactlyOption: "function",
        readUntil: "function",
        readLine: "effect",
        readLineOption: "effect",
        readLineText: "effect",
        readUntilOption: "function",
        readLineWith: "function",
        readFrame: "function",
        readFrameOption: "function",
        readFrames: "function",
        peek: "function",
        skip: "function",
        discardUntil: "function",
        unread: "function",
        pull: "effect",
        atEof: "effect",
        buffered: "effect",
        within: "function"
      }
      for (const [name, kind] of Object.entries(operations)) {
        const operation = reader[name as keyof Reader]
        assert.strictEqual(Effect.isEffect(operation) ? "effect" : typeof operation, kind, name)
      }
    })
  )

  it("read and readOption", () => {
    expectTypeOf<Reader["read"]>().toEqualTypeOf<(maxBytes: number) => Read<Uint8Array>>()
    expectTypeOf<ReturnType<Reader["read"]>>().toEqualTypeOf<Read<Uint8Array>>()
    expectTypeOf<ReturnType<Reader["readOption"]>>().toEqualTypeOf<Read<Option.Option<Uint8Array>>>()
    expectTypeOf<Reader["readInto"]>().toEqualTypeOf<(target: Uint8Array) => Read<number>>()
    expectTypeOf<Parameters<Reader["readOption"]>>().toEqualTypeOf<[maxBytes: number]>()
  })

  it("readAll has to say how much", () => {
    expectTypeOf<ReturnType<Reader["readAll"]>>().toEqualTypeOf<Read<Uint8Array, ReadError | LimitOverrun>>()
    expectTypeOf<Parameters<Reader["readAll"]>>().toEqualTypeOf<
      [options: { readonly maxBytes: number | "unbounded" }]
    >()
  })

  it("readExactly and readExactlyOption", () => {
    expectTypeOf<ReturnType<Reader["readExactly"]>>().toEqualTypeOf<Read<Uint8Array, ReadError | IncompleteRead>>()
    expectTypeOf<ReturnType<Reader["readExactlyOption"]>>().toEqualTypeOf<
      Read<Option.Option<Uint8Array>, ReadError | IncompleteRead>
    >()
  })

  it("readUntil", () => {
    expectTypeOf<ReturnType<Reader["readUntil"]>>().toEqualTypeOf<
      Read<Uint8Array, ReadError | IncompleteRead | LimitOverrun>
    >()
    expectTypeOf<StreamReader.Separator>().toEqualTypeOf<string | Uint8Array | ReadonlyArray<string | Uint8Array>>()
    expectTypeOf<Parameters<Reader["readUntil"]>[0]>().toEqualTypeOf<StreamReader.Separator>()
    expectTypeOf<NonNullable<Parameters<Reader["readUntil"]>[1]>>().toEqualTypeOf<{
      readonly limit?: number | undefined
      readonly keepDelimiter?: boolean | undefined
    }>()
  })

  it("readUntilOption", () => {
    expectTypeOf<ReturnType<Reader["readUntilOption"]>>().toEqualTypeOf<
      Read<Option.Option<Uint8Array>, ReadError | IncompleteRead | LimitOverrun>
    >()
    expectTypeOf<Parameters<Reader["readUntilOption"]>>().toEqualTypeOf<Parameters<Reader["readUntil"]>>()
  })

  it("readLineText", () => {
    expectTypeOf<Reader["readLineText"]>().toEqualTypeOf<
      Read<Option.Option<string>, ReadError | IncompleteRead | LimitOverrun>
    >()
  })

  it("readLineWith and lines fail with IncompleteRead where the end is required, or may be", () => {
    const strict = (reader: Reader) => reader.readLineWith({ end: "required", keepDelimiter: false })
    const either = (reader: Reader, end: "optional" | "required") => reader.readLineWith({ end })
    const some = (reader: Reader, keepDelimiter: boolean) => reader.readLineWith({ keepDelimiter })
    const lines = (reader: Reader, end: "optional" | "required") => StreamReader.lines(reader, { end })
    expectTypeOf(strict).returns.toEqualTypeOf<
      Read<Option.Option<Uint8Array>, ReadError | LimitOverrun | IncompleteRead>
    >()
    expectTypeOf(either).returns.toEqualTypeOf<Read<Uint8Array, ReadError | LimitOverrun | IncompleteRead>>()
    expectTypeOf(some).returns.toEqualTypeOf<Read<Uint8Array | Option.Option<Uint8Array>, ReadError | LimitOverrun>>()
    expectTypeOf(lines).returns.toEqualTypeOf<Stream.Stream<string, ReadError | LimitOverrun | IncompleteRead>>()
  })

  it("readLine and readLineOption", () => {
    expectTypeOf<Reader["readLine"]>().toEqualTypeOf<Read<Uint8Array, ReadError | LimitOverrun>>()
    expectTypeOf<Reader["readLineOption"]>().toEqualTypeOf<Read<Option.Option<Uint8Array>, ReadError | LimitOverrun>>()
  })

  it("readLineWith cannot overrun when it discards", () => {
    const discarding = (reader: Reader) => reader.readLineWith({ onOverrun: "discard" })
    const bounded = (reader: Reader) => reader.readLineWith({ limit: 10, onOverrun: "discard" })
    const failing = (reader: Reader) => reader.readLineWith({ onOverrun: "fail" })
    const silent = (reader: Reader) => reader.readLineWith({})
    const either = (reader: Reader, onOverrun: "fail" | "discard") => reader.readLineWith({ limit: 10, onOverrun })
    expectTypeOf(discarding).returns.toEqualTypeOf<Read<Uint8Array>>()
    expectTypeOf(bounded).returns.toEqualTypeOf<Read<Uint8Array>>()
    expectTypeOf(failing).returns.toEqualTypeOf<Read<Uint8Array, ReadError | LimitOverrun>>()
    expectTypeOf(silent).returns.toEqualTypeOf<Read<Uint8Array, ReadError | LimitOverrun>>()
    expectTypeOf(either).returns.toEqualTypeOf<Read<Uint8Array, ReadError | LimitOverrun>>()
  })

  it("peek, skip, discardUntil and unread", () => {
    expectTypeOf<ReturnType<Reader["peek"]>>().toEqualTypeOf<Read<Uint8Array>>()
    expectTypeOf<ReturnType<Reader["skip"]>>().toEqualTypeOf<Read<void, ReadError | IncompleteRead>>()
    expectTypeOf<ReturnType<Reader["discardUntil"]>>().toEqualTypeOf<Read<void, ReadError | IncompleteRead>>()
    expectTypeOf<ReturnType<Reader["unread"]>>().toEqualTypeOf<Read<void>>()
    expectTypeOf<Parameters<Reader["unread"]>>().toEqualTypeOf<[bytes: Uint8Array]>()
  })

  it("pull ends with Done", () => {
    expectTypeOf<Reader["pull"]>().toEqualTypeOf<Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, ReadError>>()
    expectTypeOf<Effect.Error<Reader["pull"]>>().toEqualTypeOf<ReadError | Cause.Done>()
  })

  it("what cannot fail", () => {
    expectTypeOf<Reader["atEof"]>().toEqualTypeOf<Read<boolean, never>>()
    expectTypeOf<Reader["buffered"]>().toEqualTypeOf<Read<number, never>>()
    expectTypeOf<Reader["limit"]>().toEqualTypeOf<number>()
  })

  it("what may not be written", () => {
    const refused = (reader: Reader) => [
      // @ts-expect-error a bound is required
      reader.readAll(),
      // @ts-expect-error a bound is required
      reader.readAll({}),
      // @ts-expect-error no count is no count
      reader.read(),
      // @ts-expect-error a separator is text or bytes
      reader.readUntil(10),
      // @ts-expect-error nothing is kept
      reader.readLineWith({ onOverrun: "keep" }),
      // @ts-expect-error bytes, not text
      reader.unread("text")
    ]
    assert.isFunction(refused)
  })

  it("a read in a generator has the type of the read", () => {
    const program = (reader: Reader) =>
      Effect.gen(function* () {
        const line = yield* reader.readLine
        const byte = yield* reader.readExactly(1)
        return [line, byte] as const
      })
    expectTypeOf(program).returns.toEqualTypeOf<
      Effect.Effect<readonly [Uint8Array, Uint8Array], ReadError | LimitOverrun | IncompleteRead>
    >()
  })

  it("catching by tag takes the error away", () => {
    const program = (reader: Reader) =>
      reader.readLine.pipe(
        Effect.catchTag("LimitOverrun", (error) => {
          expectTypeOf(error).toEqualTypeOf<LimitOverrun>()
          return Effect.succeed(new Uint8Array(0))
        }),
        Effect.catchTags({
          ConnectionLost: () => Effect.succeed(undefined),
          ClosedStream: () => Effect.succeed(undefined),
          StreamBusy: () => Effect.succeed(undefined),
          StreamTimeout: () => Effect.succeed(undefined),
          TlsFailed: () => Effect.succeed(undefined)
        })
      )
    expectTypeOf<Effect.Error<ReturnType<typeof program>>>().toEqualTypeOf<never>()
  })
})

describe("types of the reader's module", () => {
  it("stream", () => {
    expectTypeOf(StreamReader.stream).toEqualTypeOf<(self: Reader) => Stream.Stream<Uint8Array, ReadError>>()
  })

  it("lines cannot overrun when it discards", () => {
    const plain = (reader: Reader) => StreamReader.lines(reader)
    const failing = (reader: Reader) => StreamReader.lines(reader, { encoding: "latin1", onOverrun: "fail" })
    const discarding = (reader: Reader) => StreamReader.lines(reader, { limit: 10, onOverrun: "discard" })
    expectTypeOf(plain).returns.toEqualTypeOf<Stream.Stream<string, ReadError | LimitOverrun>>()
    expectTypeOf(failing).returns.toEqualTypeOf<Stream.Stream<string, ReadError | LimitOverrun>>()
    expectTypeOf(discarding).returns.toEqualTypeOf<Stream.Stream<string, ReadError>>()
  })

  it("constructors", () => {
    expectTypeOf<ReturnType<typeof StreamReader.make>>().toEqualTypeOf<
      Effect.Effect<{
        readonly reader: Reader
        readonly feedUnsafe: (bytes: Uint8Array) => boolean
        readonly endUnsafe: () => void
        readonly failUnsafe: (error: StreamError.ConnectionLost) => void
      }>
    >()
    expectTypeOf<ReturnType<typeof StreamReader.fromBytes>>().toEqualTypeOf<Effect.Effect<Reader>>()
    expectTypeOf<ReturnType<typeof StreamReader.fromReadableStream>>().toEqualTypeOf<
      Effect.Effect<Reader, never, Scope.Scope>
    >()
    const ofPull = (pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, "error", void, "service">) =>
      StreamReader.fromPull(pull)
    expectTypeOf(ofPull).returns.toEqualTypeOf<Effect.Effect<Reader, never, "service" | Scope.Scope>>()
    const ofStream = (stream: Stream.Stream<Uint8Array, "error", "service">) => StreamReader.fromStream(stream)
    expectTypeOf(ofStream).returns.toEqualTypeOf<Effect.Effect<Reader, never, "service" | Scope.Scope>>()
  })

  it("a web stream of bytes is accepted as it is", () => {
    const ofResponse = (response: Response) =>
      response.body === null ? undefined : StreamReader.fromReadableStream(response.body)
    expectTypeOf(ofResponse).returns.toEqualTypeOf<Effect.Effect<Reader, never, Scope.Scope> | undefined>()
  })

  it("the tag is the reader itself", () => {
    const asked = Effect.gen(function* () {
      return yield* StreamReader.StreamReader
    })
    expectTypeOf(asked).toEqualTypeOf<Effect.Effect<Reader, never, Reader>>()
  })
})

describe("types of the writer", () => {
  it.effect("each operation is there", () =>
    Effect.gen(function* () {
      const { writer } = yield* fake()
      const operations: Record<keyof Writer, "function" | "effect" | "number"> = {
        highWaterMark: "number",
        lowWaterMark: "number",
        write: "function",
        writeAll: "function",
        writeFrame: "function",
        writeFrames: "function",
        writeFrameUnsafe: "function",
        writeUnsafe: "function",
        writeAllUnsafe: "function",
        drain: "effect",
        flush: "effect",
        writeEof: "effect",
        close: "effect",
        abort: "effect",
        isClosing: "effect",
        buffered: "effect"
      }
      for (const [name, kind] of Object.entries(operations)) {
        const operation = writer[name as keyof Writer]
        assert.strictEqual(Effect.isEffect(operation) ? "effect" : typeof operation, kind, name)
      }
    })
  )

  it("write and writeAll take bytes and text", () => {
    expectTypeOf<Writer["write"]>().toEqualTypeOf<(data: Uint8Array | string) => Effect.Effect<void, WriteError>>()
    expectTypeOf<Writer["writeAll"]>().toEqualTypeOf<
      (chunks: Iterable<Uint8Array | string>) => Effect.Effect<void, WriteError>
    >()
  })

  it("writeUnsafe is no effect", () => {
    expectTypeOf<Writer["writeUnsafe"]>().toEqualTypeOf<(data: Uint8Array | string) => boolean>()
  })

  it("drain, flush and writeEof", () => {
    expectTypeOf<Writer["drain"]>().toEqualTypeOf<Effect.Effect<void, WriteError>>()
    expectTypeOf<Writer["flush"]>().toEqualTypeOf<Effect.Effect<void, WriteError>>()
    expectTypeOf<Writer["writeEof"]>().toEqualTypeOf<Effect.Effect<void, WriteError>>()
  })

  it("close and abort never fail; close tells what happened", () => {
    expectTypeOf<Writer["close"]>().toEqualTypeOf<Effect.Effect<StreamWriter.CloseOutcome>>()
    expectTypeOf<StreamWriter.CloseOutcome>().toEqualTypeOf<
      | { readonly _tag: "Graceful" }
      | { readonly _tag: "Reset" }
      | { readonly _tag: "Aborted"; readonly unsent: number }
      | { readonly _tag: "TimedOut"; readonly unsent: number }
    >()
    expectTypeOf<Writer["abort"]>().toEqualTypeOf<Effect.Effect<void>>()
  })

  it("what cannot fail", () => {
    expectTypeOf<Writer["isClosing"]>().toEqualTypeOf<Effect.Effect<boolean>>()
    expectTypeOf<Writer["buffered"]>().toEqualTypeOf<Effect.Effect<number>>()
    expectTypeOf<Writer["highWaterMark"]>().toEqualTypeOf<number>()
    expectTypeOf<Writer["lowWaterMark"]>().toEqualTypeOf<number>()
  })

  it("sink", () => {
    expectTypeOf(StreamWriter.sink).toEqualTypeOf<
      (self: Writer) => Sink.Sink<void, Uint8Array | string, never, WriteError>
    >()
    const sent = (writer: Writer) => Stream.run(Stream.make("one", new Uint8Array(1)), StreamWriter.sink(writer))
    expectTypeOf(sent).returns.toEqualTypeOf<Effect.Effect<void, WriteError>>()
  })

  it("what may not be written", () => {
    const refused = (writer: Writer) => [
      // @ts-expect-error bytes or text
      writer.write(5),
      // @ts-expect-error bytes or text
      writer.write([1, 2]),
      // @ts-expect-error several chunks
      writer.writeAll(5)
    ]
    assert.isFunction(refused)
  })

  it("the tag is the writer itself", () => {
    const asked = Effect.gen(function* () {
      return yield* StreamWriter.StreamWriter
    })
    expectTypeOf(asked).toEqualTypeOf<Effect.Effect<Writer, never, Writer>>()
  })
})
