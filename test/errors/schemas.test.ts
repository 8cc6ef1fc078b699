/** The errors as schemas: they cross boundaries, and what arrives is what was sent. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { StreamError, StreamReader } from "effect-byte-streams"

const AnyError = Schema.Union([
  StreamError.IncompleteRead,
  StreamError.LimitOverrun,
  StreamError.ClosedStream,
  StreamError.ConnectionLost,
  StreamError.StreamBusy,
  StreamError.StreamTimeout,
  StreamError.ConnectFailed,
  StreamError.ListenFailed,
  StreamError.TlsFailed
])

const samples: ReadonlyArray<typeof AnyError.Type> = [
  new StreamError.IncompleteRead({ operation: "readExactly", partial: Uint8Array.of(1, 2, 255), expected: 4 }),
  new StreamError.IncompleteRead({ operation: "readUntil", partial: new Uint8Array(0) }),
  new StreamError.LimitOverrun({ operation: "readUntil", consumed: 65, limit: 64, found: false }),
  new StreamError.ClosedStream({ operation: "write", reason: "Eof" }),
  new StreamError.ConnectionLost({ operation: "read", kind: "Reset", code: "ECONNRESET" }),
  new StreamError.StreamBusy({ operation: "readLine", holder: "read" }),
  new StreamError.StreamTimeout({ operation: "readLine", kind: "Read", duration: Duration.minutes(1) }),
  new StreamError.ConnectFailed({
    target: "example:1",
    kind: "Refused",
    attempts: [{ address: "127.0.0.1:1", kind: "Refused", code: "ECONNREFUSED" }]
  }),
  new StreamError.ListenFailed({ kind: "AddressInUse", address: "127.0.0.1:1", code: "EADDRINUSE" }),
  new StreamError.TlsFailed({ kind: "Truncated" })
]

describe("the errors as schemas", () => {
  const json = Schema.fromJsonString(Schema.toCodecJson(AnyError))

  for (const sample of samples) {
    it.effect(`${sample._tag} is the same after a journey as JSON: ${sample.message}`, () =>
      Effect.gen(function* () {
        const arrived = yield* Schema.decodeEffect(json)(yield* Schema.encodeEffect(json)(sample))
        assert.deepStrictEqual({ ...arrived }, { ...sample })
        assert.strictEqual(Object.getPrototypeOf(arrived), Object.getPrototypeOf(sample))
        assert.strictEqual(arrived.message, sample.message)
        assert.instanceOf(arrived, Error)
      })
    )
  }

  it.effect("what a reader fails with is an instance of the class that is exported, and of its schema", () =>
    Effect.gen(function* () {
      const reader = yield* StreamReader.fromBytes("abc")
      const error = yield* Effect.flip(reader.readExactly(4))
      assert.instanceOf(error, StreamError.IncompleteRead)
      assert.isTrue(Schema.is(StreamError.IncompleteRead)(error))
      assert.isFalse(Schema.is(StreamError.LimitOverrun)(error))
      const sent = yield* Schema.encodeUnknownEffect(json)(error)
      assert.deepStrictEqual(JSON.parse(sent), {
        _tag: "IncompleteRead",
        operation: "readExactly",
        partial: "YWJj",
        expected: 4
      })
    })
  )

  it.effect("what is no such error is refused", () =>
    Effect.gen(function* () {
      const wrong = '{"_tag":"ClosedStream","operation":"write","reason":"Tired"}'
      assert.strictEqual((yield* Effect.flip(Schema.decodeEffect(json)(wrong)))._tag, "SchemaError")
    })
  )

  it("the schema knows its fields, and can be extended", () => {
    assert.sameMembers(Object.keys(StreamError.LimitOverrun.fields), [
      "_tag",
      "operation",
      "consumed",
      "limit",
      "found"
    ])
    class Named extends StreamError.StreamBusy.extend<Named>("Named")({ connection: Schema.String }) {}
    const named = new Named({ operation: "read", holder: "readLine", connection: "a" })
    assert.instanceOf(named, StreamError.StreamBusy)
    assert.isTrue(Schema.is(Named)(named))
    assert.strictEqual(named.message, "read: readLine is already waiting for bytes of this stream")
  })
})
