/** The errors as schemas: they cross boundaries, and what arrives is what was sent. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { StreamError, StreamReader } from "effect-byte-streams"

const AnyError = Schema.Union([
  StreamError.IncompleteRead,
  StreamError.LimitOverrun,
  StreamError.MalformedFrame,
  StreamError.EncodeFailed,
  StreamError.InvalidText,
  StreamError.ClosedStream,
  StreamError.ConnectionLost,
  StreamError.StreamBusy,
  StreamError.StreamTimeout,
  StreamError.ConnectFailed,
  StreamError.ListenFailed,
  StreamError.TlsFailed
])

const peer = "127.0.0.1:7000"
const late = new StreamError.StreamTimeout({
  operation: "startServer",
  kind: "Handshake",
  duration: Duration.minutes(1)
})

const samples: ReadonlyArray<typeof AnyError.Type> = [
  new StreamError.IncompleteRead({ operation: "readExactly", partial: Uint8Array.of(1, 2, 255), expected: 4 }),
  new StreamError.IncompleteRead({ operation: "readUntil", partial: new Uint8Array(0) }),
  new StreamError.LimitOverrun({ operation: "readUntil", consumed: 65, limit: 64, found: false }),
  new StreamError.LimitOverrun({ operation: "readFrame", consumed: 0, limit: 64, found: false, frame: "Packet.body" }),
  new StreamError.MalformedFrame({
    operation: "readFrame",
    frame: "Packet.tag",
    reason: "the tag 9 is not known",
    offset: 12,
    bytes: Uint8Array.of(9, 0)
  }),
  new StreamError.EncodeFailed({ operation: "writeFrame", frame: "Packet.topic", reason: "must be a string" }),
  new StreamError.InvalidText({ operation: "lines", encoding: "utf-8", bytes: Uint8Array.of(255, 10) }),
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
  new StreamError.ListenFailed({
    kind: "Tls",
    address: "127.0.0.1:1",
    code: "ERR_OSSL_BAD_DECRYPT",
    cause: new Error("identity.key cannot be opened")
  }),
  new StreamError.TlsFailed({ operation: "read", kind: "Truncated" }),
  new StreamError.TlsFailed({ kind: "Truncated" }),
  new StreamError.TlsFailed({ operation: "startTls", kind: "Unsupported" }),
  new StreamError.TlsFailed({ operation: "stopTls", kind: "Unsupported" }),
  new StreamError.TlsFailed({ operation: "startTls", kind: "InjectedPlaintext" }),
  new StreamError.TlsFailed({ operation: "startServer", kind: "Timeout" }),
  new StreamError.TlsFailed({
    operation: "openConnection",
    kind: "Handshake",
    cause: new Error("the peer left during the handshake")
  }),
  new StreamError.TlsFailed({
    operation: "openConnection",
    kind: "Certificate",
    code: "CERT_HAS_EXPIRED",
    cause: new Error("certificate has expired")
  }),
  new StreamError.TlsFailed({
    operation: "read",
    kind: "Certificate",
    code: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
    cause: new Error("0A:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:rec_layer_s3.c:918:\n")
  }),
  new StreamError.TlsFailed({ operation: "startServer", kind: "Timeout", peer, cause: late }),
  new StreamError.TlsFailed({ operation: "read", kind: "Truncated", peer }),
  new StreamError.TlsFailed({ operation: "startTls", kind: "InjectedPlaintext", peer }),
  new StreamError.TlsFailed({ operation: "openConnection", kind: "Handshake", code: "ECONNRESET", peer }),
  new StreamError.TlsFailed({ operation: "openConnection", kind: "Certificate", code: "CERT_HAS_EXPIRED", peer }),
  new StreamError.TlsFailed({ operation: "read", kind: "Certificate", code: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", peer }),
  new StreamError.ConnectionLost({ operation: "readLine", kind: "Reset", code: "ECONNRESET", peer }),
  new StreamError.ConnectionLost({ operation: "readLine", kind: "Reset" }),
  new StreamError.StreamTimeout({ operation: "read", kind: "Read", duration: Duration.seconds(5), peer }),
  new StreamError.StreamTimeout({ operation: "write", kind: "Write", duration: Duration.millis(1500) })
]

/** What each of the last ones says. */
const said = [
  "cannot listen on 127.0.0.1:1: Tls (ERR_OSSL_BAD_DECRYPT): identity.key cannot be opened",
  "read: the connection was cut without a close_notify",
  "TLS: the connection was cut without a close_notify",
  "startTls: this transport cannot begin TLS",
  "stopTls: there is no TLS that could be ended",
  "startTls: bytes came along with the request to upgrade, and were not asked for",
  "startServer: the peer took longer than handshakeTimeout",
  "openConnection: TLS failed: the peer left during the handshake",
  "openConnection: the peer's certificate is not accepted (CERT_HAS_EXPIRED): certificate has expired",
  "read: the peer does not accept this side's certificate (ERR_SSL_TLSV1_ALERT_UNKNOWN_CA): tlsv1 alert unknown ca",
  "startServer: 127.0.0.1:7000 took longer than handshakeTimeout (1m)",
  "read: the connection to 127.0.0.1:7000 was cut without a close_notify",
  "startTls: bytes came along with the request to upgrade, and were not asked for (127.0.0.1:7000)",
  "openConnection: TLS with 127.0.0.1:7000 failed (ECONNRESET)",
  "openConnection: the certificate of 127.0.0.1:7000 is not accepted (CERT_HAS_EXPIRED)",
  "read: 127.0.0.1:7000 does not accept this side's certificate (ERR_SSL_TLSV1_ALERT_UNKNOWN_CA)",
  "readLine: the connection to 127.0.0.1:7000 was lost (Reset, ECONNRESET)",
  "readLine: the connection was lost (Reset)",
  "read: the Read timeout of 5s expired (127.0.0.1:7000)",
  "write: the Write timeout of 1s 500ms expired"
]

describe("the errors as schemas", () => {
  const json = Schema.fromJsonString(Schema.toCodecJson(AnyError))

  for (const sample of samples) {
    it.effect(`${sample._tag} is the same after a journey as JSON: ${sample.message}`, () =>
      Effect.gen(function* () {
        const arrived = yield* Schema.decodeEffect(json)(yield* Schema.encodeEffect(json)(sample))
        assert.deepStrictEqual({ ...arrived, cause: undefined }, { ...sample, cause: undefined })
        assert.strictEqual(Object.getPrototypeOf(arrived), Object.getPrototypeOf(sample))
        assert.strictEqual(arrived.message, sample.message)
        assert.instanceOf(arrived, Error)
      })
    )
  }

  it("a failure of TLS says which operation met it, and why", () => {
    assert.deepStrictEqual(
      samples.slice(-said.length).map((sample) => sample.message),
      said
    )
    const long = new StreamError.TlsFailed({ kind: "Handshake", cause: new Error("x".repeat(100_000)) })
    assert.isBelow(long.message.length, 400)
  })

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
      "found",
      "frame"
    ])
    class Named extends StreamError.StreamBusy.extend<Named>("Named")({ connection: Schema.String }) {}
    const named = new Named({ operation: "read", holder: "readLine", connection: "a" })
    assert.instanceOf(named, StreamError.StreamBusy)
    assert.isTrue(Schema.is(Named)(named))
    assert.strictEqual(named.message, "read: readLine is already waiting for bytes of this stream")
  })
})
