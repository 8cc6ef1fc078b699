/**
 * Bytes of another realm: what `node:vm` and with it some test runners make has classes of its own, and is none of ours by
 * `instanceof`. They are bytes wherever bytes are taken, and nothing else is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Redacted, Stream } from "effect"
import {
  Connection,
  Frame,
  NodeNetwork,
  openConnection,
  startServer,
  type StreamError,
  StreamReader,
  StreamWriter
} from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Duplex, duplexPair } from "node:stream"
import { createContext, runInContext } from "node:vm"
import { bytes, text } from "../support/bytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { defectOf } from "../support/fibers.ts"
import { handFed, held } from "../support/handFed.ts"
import { everyKind } from "../support/kinds.ts"
import { eventually } from "../support/wait.ts"

const realm = createContext({})
const Foreign = runInContext("Uint8Array", realm) as Uint8ArrayConstructor

const foreign = (of: string): Uint8Array => Foreign.from(bytes(of))

/** In a larger piece of memory, as most are. */
const foreignView = (of: string): Uint8Array => foreign(`<<${of}>>`).subarray(2, -2)

it("a Uint8Array of another realm is none of this one", () => {
  assert.notInstanceOf(foreign("a"), Uint8Array)
  assert.notInstanceOf(foreignView("a"), Uint8Array)
})

describe("bytes of another realm are taken by the reader", () => {
  it.effect("unread", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      feed("line\n")
      const given = foreignView("a ")
      yield* reader.unread(given)
      // the array stays the caller's
      given.fill(0)
      const line = yield* reader.readLine
      assert.strictEqual(text(line), "a line\n")
      assert.instanceOf(line, Uint8Array)
    })
  )

  for (const [name, separator] of [
    ["one", foreignView(";;")],
    ["of one byte", foreignView(";").subarray(0, 1)],
    ["one of several", ["\n", foreignView(";;")]],
    ["one of several in an array of that realm", runInContext("[new Uint8Array([59, 59]), '\\n']", realm)]
  ] as const) {
    it.effect(`as a separator: ${name}`, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        feed("one;;two;;three;;")
        assert.match(text(yield* reader.readUntil(separator)), /^one;+$/)
        yield* reader.discardUntil(separator)
        assert.match(text(yield* reader.read(100)), /three;;$/)
      })
    )
  }

  it.effect("readInto puts them there, whether it waits or not", () =>
    Effect.gen(function* () {
      const { feed, reader } = yield* handFed()
      const memory = foreign("..........")
      const target = memory.subarray(2, 8)
      feed("abc")
      assert.strictEqual(yield* reader.readInto(target), 3)
      const waiting = yield* Effect.forkChild(reader.readInto(target.subarray(3)), { startImmediately: true })
      feed("def")
      yield* Effect.yieldNow
      assert.strictEqual(waiting.pollUnsafe()?._tag, "Success")
      assert.strictEqual(text(memory), "..abcdef..")
    })
  )

  it.effect("feedUnsafe", () =>
    Effect.gen(function* () {
      const { feedUnsafe, reader } = yield* StreamReader.make()
      feedUnsafe(foreignView("hel"))
      feedUnsafe(foreignView("lo\n"))
      const line = yield* reader.readLine
      assert.strictEqual(text(line), "hello\n")
      assert.instanceOf(line, Uint8Array)
    })
  )

  const pieces = () => [foreignView("hel"), foreignView("lo\n")]
  for (const [name, make] of [
    ["fromBytes", StreamReader.fromBytes(foreignView("hello\n"))],
    ["fromBytes, in pieces", StreamReader.fromBytes(pieces())],
    ["fromStream", StreamReader.fromStream(Stream.fromIterable(pieces()))],
    [
      "fromReadableStream",
      StreamReader.fromReadableStream(
        new ReadableStream<Uint8Array>({
          start: (controller) => {
            for (const piece of pieces()) controller.enqueue(piece)
            controller.close()
          }
        })
      )
    ]
  ] as const) {
    it.live(name, () =>
      Effect.gen(function* () {
        const reader = yield* make
        const line = yield* reader.readLine
        assert.strictEqual(text(line), "hello\n")
        assert.instanceOf(line, Uint8Array)
        assert.isTrue(yield* Effect.map(reader.readOption(1), (option) => option._tag === "None"))
      })
    )
  }
})

describe("bytes of another realm are taken by the writer", () => {
  // copied to the gathering buffer, and kept as a view
  const sizes = [3, 4096, 4097, 300_000]

  /** Everything that a writer takes, and what it comes to. */
  const writeAll = (writer: StreamWriter.StreamWriter) =>
    Effect.gen(function* () {
      let expected = ""
      const next = (size: number): Uint8Array => {
        const one = String.fromCharCode(97 + (expected.length % 23)).repeat(size)
        expected += one
        return foreignView(one)
      }
      for (const size of sizes) {
        yield* writer.write(next(size))
        yield* writer.writeAll([next(size), next(1)])
        yield* writer.writeAll(new Set([next(size), next(1)]))
        writer.writeUnsafe(next(size))
        yield* writer.writeFrame(Frame.tuple(Frame.bytes(size), Frame.bytes(1)), [next(size), next(1)])
        yield* Stream.make(next(size), next(1)).pipe(Stream.run(StreamWriter.sink(writer)))
      }
      yield* writer.writeEof
      return expected
    })

  const all = (reader: StreamReader.StreamReader) => reader.readAll({ maxBytes: 10_000_000 })

  const reaches = <E>(from: Connection.Connection, to: Effect.Effect<Uint8Array, E>) =>
    Effect.gen(function* () {
      const [expected, arrived] = yield* Effect.all([writeAll(from.writer), to], { concurrency: "unbounded" })
      assert.isTrue(text(arrived) === expected, "what arrived is what was written")
    })

  for (const { client, kind, serve } of everyKind) {
    it.live(`over ${kind}`, () =>
      Effect.gen(function* () {
        const arrived = yield* Deferred.make<Uint8Array, StreamError.ReadError | StreamError.LimitOverrun>()
        const { at } = yield* serve(({ reader }) => Deferred.into(all(reader), arrived))
        yield* reaches(yield* client(at), Deferred.await(arrived))
      }).pipe(Effect.provide(NodeNetwork.layer))
    )
  }

  it.live("over fromDuplex", () =>
    Effect.gen(function* () {
      const [one, other] = duplexPair()
      const a = yield* Connection.fromDuplex(one)
      const b = yield* Connection.fromDuplex(other)
      yield* reaches(a, all(b.reader))
    })
  )

  it.live("over an Effect socket", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
        Effect.flatMap(all(reader), (arrived) => writer.write(arrived))
      )
      const inner = yield* openConnection({ host: "127.0.0.1", port: server.port })
      const connection = yield* Connection.fromSocket(Connection.toSocket(inner))
      yield* reaches(connection, all(connection.reader))
    }).pipe(Effect.provide(NodeNetwork.layer))
  )

  it.live("in memory", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      yield* reaches(left, all(right.reader))
    })
  )

  it.live("from a stream of another realm's: what a Duplex gives out", () =>
    Effect.gen(function* () {
      const duplex = new Duplex({
        objectMode: true,
        read() {
          this.push(foreignView("hello\n"))
          this.push(null)
        },
        write: (_chunk, _encoding, callback) => callback()
      })
      const { reader } = yield* Connection.fromDuplex(duplex)
      const line = yield* reader.readLine
      assert.strictEqual(text(line), "hello\n")
      assert.instanceOf(line, Uint8Array)
    })
  )
})

it.live("certificates, keys and sessions of another realm are taken", () =>
  Effect.gen(function* () {
    const { cert, key } = certificates.server
    const sessions: Array<Uint8Array> = []
    const server = yield* startServer(
      {
        host: "127.0.0.1",
        port: 0,
        tls: {
          identity: { cert: foreign(cert), key: Redacted.make(foreign(key)) },
          ca: foreign(authority.cert),
          clientCertificate: "request"
        }
      },
      ({ writer }) => writer.write("hello\n")
    )
    const resumed: Array<boolean | undefined> = []
    for (const ca of [foreign(authority.cert), [foreign(authority.cert)]]) {
      const connection = yield* openConnection({
        host: "127.0.0.1",
        port: server.port,
        tls: {
          ca,
          ...(sessions[0] === undefined ? undefined : { session: Foreign.from(sessions[0]) }),
          onSession: (session) => void sessions.push(session)
        }
      })
      assert.strictEqual(text(yield* connection.reader.readLine), "hello\n")
      resumed.push(connection.info.tls?.resumed)
      yield* eventually("the session comes", () => sessions.length > 0)
    }
    assert.deepStrictEqual(resumed, [false, true])
  }).pipe(Effect.provide(NodeNetwork.layer))
)

describe("what only looks like bytes is refused as before", () => {
  const imitations: ReadonlyArray<readonly [string, unknown]> = [
    ["other typed arrays", new Uint16Array(2)],
    ["other typed arrays of another realm", runInContext("new Uint8ClampedArray(2)", realm)],
    ["memory of another realm", runInContext("new ArrayBuffer(2)", realm)],
    ["an array of another realm", runInContext("[1, 2]", realm)],
    ["an object that says so", { [Symbol.toStringTag]: "Uint8Array", length: 1, 0: 1 }],
    ["a proxy", new Proxy(foreign("a"), {})]
  ]
  for (const [name, imitation] of imitations) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const { feed, reader } = yield* handFed()
        feed("abc")
        const { left } = yield* TestNetwork.pair()
        for (const effect of [
          reader.unread(imitation as never),
          reader.readInto(imitation as never),
          left.writer.writeAll([imitation as never])
        ]) {
          assert.match(String(yield* defectOf(effect)), /(unread|readInto|writeAll): expected a Uint8Array, got/)
        }
        assert.match(String(yield* defectOf(left.writer.write(imitation as never))), /write: expected a Uint8Array or/)
        assert.throws(() => left.writer.writeUnsafe(imitation as never), /writeUnsafe: expected a Uint8Array/)
        const notWritten = yield* Effect.flip(left.writer.writeFrame(Frame.bytes(1), imitation as never))
        assert.match(notWritten.message, /writeFrame: bytes must be a Uint8Array, got/)
        assert.throws(() => Frame.decodeResult(Frame.uint8, imitation as never), /decodeResult: expected a Uint8Array/)
        assert.strictEqual(yield* held(reader), "abc")
        assert.strictEqual(yield* left.writer.buffered, 0)
      })
    )
  }
})
