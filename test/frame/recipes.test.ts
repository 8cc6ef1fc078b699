/** The frames of examples/frames that no server of ours speaks, on bytes of specifications and of other programs. */
import { assert, describe, it } from "@effect/vitest"
import { Frame } from "effect-byte-streams"
import * as FrameLaws from "effect-byte-streams/testing/FrameLaws"
import { Result } from "effect"
import * as Ber from "../../examples/frames/ber.ts"
import * as Dns from "../../examples/frames/dns.ts"
import * as Kafka from "../../examples/frames/kafka.ts"
import { bytes } from "../support/bytes.ts"

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"))

const refusal = <A>(frame: Frame.Decoder<A>, given: Uint8Array): string => {
  const result = Frame.decodeResult(frame, given)
  return Result.isFailure(result) ? result.failure.message : "read"
}

describe("text and lists of Kafka that may be null", () => {
  describe("text, with a size of two bytes", () => {
    FrameLaws.suite(it, {
      frame: Kafka.nullableString,
      values: ["", "x".repeat(300), null],
      known: [
        [null, hex("ffff")],
        ["", hex("0000")],
        ["kafka", hex("00056b61666b61")]
      ],
      malformed: [hex("fffe"), hex("0001ff")],
      unwritable: ["x".repeat(32_768), "\ud800", undefined]
    })
  })

  describe("text, compact (KIP-482)", () => {
    FrameLaws.suite(it, {
      frame: Kafka.compactNullableString,
      values: ["x".repeat(300)],
      known: [
        [null, hex("00")],
        ["", hex("01")],
        ["hi", hex("036869")]
      ],
      unwritable: ["x".repeat(32_768)]
    })
  })

  describe("a whole request", () => {
    const header = { key: 3, version: 1, correlation: 7, client: null }
    FrameLaws.suite(it, {
      frame: Kafka.metadataRequest,
      values: [{ header: { ...header, client: "x".repeat(300) }, topics: ["a".repeat(200), ""] }],
      known: [
        [{ header, topics: null }, hex("0000000e 0003 0001 00000007 ffff ffffffff")],
        [{ header, topics: [] }, hex("0000000e 0003 0001 00000007 ffff 00000000")],
        [
          { header: { ...header, client: "me" }, topics: ["ab"] },
          hex("00000014 0003 0001 00000007 00026d65 00000001 00026162")
        ]
      ],
      malformed: [hex("0000000e 0003 0001 00000007 ffff fffffffe"), hex("0000000c 0003 0001 00000007 ffff 0000")]
    })
  })

  it("what is no null cannot be null", () => {
    assert.strictEqual(
      refusal(Kafka.string, hex("ffff")),
      "decode: length is malformed: -1 is no length (at byte 0: ff ff)"
    )
    assert.match(refusal(Kafka.compactString, hex("00")), /-1 is no length/)
    assert.isTrue(Result.isFailure(Frame.encodeResult(Kafka.string, null as never)))
  })
})

/** Lists in lists, each of one byte of length. */
const deep = (depth: number): Uint8Array => {
  let all = hex("3000")
  for (let i = 1; i < depth; i++) all = Uint8Array.of(0x30, all.length, ...all)
  return all
}

describe("BER", () => {
  const bind: Ber.Element = {
    tag: 0x30,
    value: [
      { tag: 2, value: hex("01") },
      {
        tag: 0x60,
        value: [
          { tag: 2, value: hex("03") },
          { tag: 4, value: hex("") },
          { tag: 0x80, value: hex("") }
        ]
      }
    ]
  }

  describe("an element", () => {
    FrameLaws.suite(it, {
      frame: Ber.element,
      values: [{ tag: 0x30, value: [{ tag: 4, value: new Uint8Array(3000) }] }],
      known: [
        // LDAP's anonymous bind, as ldapsearch sends it
        [bind, hex("300c 020101 6007 020103 0400 8000")],
        [{ tag: 0x30, value: [] }, hex("3000")],
        [{ tag: 4, value: new Uint8Array(127) }, Uint8Array.of(4, 127, ...new Uint8Array(127))],
        [{ tag: 4, value: new Uint8Array(128) }, Uint8Array.of(4, 0x81, 128, ...new Uint8Array(128))],
        [{ tag: 4, value: new Uint8Array(256) }, Uint8Array.of(4, 0x82, 1, 0, ...new Uint8Array(256))]
      ],
      // an indefinite length, one of five bytes, elements that are longer than what they are in, or too deep
      malformed: [hex("3080"), hex("04850000000001"), hex("3003020201"), hex("300104"), deep(40)],
      unwritable: [
        { tag: 4, value: [] },
        { tag: 0x30, value: hex("00") },
        { tag: 256, value: hex("") },
        { tag: 4, value: new Uint8Array(1_000_001) }
      ]
    })
  })

  it("lengths of more bytes than they need be are read: Active Directory writes four", () => {
    const answer = hex("30 84 00000010 020101 61 84 00000007 0a0100 0400 0400")
    assert.deepStrictEqual(Frame.decodeResultUnsafe(Ber.element, answer), {
      tag: 0x30,
      value: [
        { tag: 2, value: hex("01") },
        {
          tag: 0x61,
          value: [
            { tag: 10, value: hex("00") },
            { tag: 4, value: hex("") },
            { tag: 4, value: hex("") }
          ]
        }
      ]
    })
  })
})

describe("DNS over TCP", () => {
  /** A message with its length in front. */
  const sent = (message: string): Uint8Array => {
    const body = hex(message)
    return Uint8Array.of(body.length >> 8, body.length & 255, ...body)
  }
  const question = { name: "example", type: 2, class: 1 }
  const query = { id: 7, flags: 0x0100, questions: [question], answers: [], others: [] }
  const example = "076578616d706c6500"
  /** Answers of Knot DNS, whose names refer to earlier ones, and go on there behind labels of their own. */
  const ns =
    "000785000001000100000001 076578616d706c650000020001 c00c000200010000003c0005026e73c00c c025000100010000003c00047f000001"

  describe("a message", () => {
    FrameLaws.suite(it, {
      frame: Dns.message,
      values: [
        {
          ...query,
          answers: [
            { name: "", type: 2, class: 1, ttl: 60, data: `${"x".repeat(63)}.example` },
            { name: "example", type: 16, class: 1, ttl: 0, data: new Uint8Array(300) }
          ],
          others: [{ name: "ns.example", type: 1, class: 1, ttl: 60, data: hex("7f000001") }]
        }
      ],
      known: [[query, sent(`000701000001000000000000 ${example} 00020001`)]],
      malformed: [
        // a name that refers to itself, one that goes round, one beyond the message, and a label of an unknown kind
        sent("000701000001000000000000 c00c 00020001"),
        sent("000701000001000000000000 0161c00c 00020001"),
        sent("000701000001000000000000 c0ff 00020001"),
        sent("000701000001000000000000 40 00020001"),
        sent("000701000002000000000000 00 00020001")
      ],
      unwritable: [
        { ...query, questions: [{ ...question, name: "a..b" }] },
        { ...query, questions: [{ ...question, name: "x".repeat(64) }] }
      ]
    })
  })

  it("names that refer to others are read whole", () => {
    const message = Frame.decodeResultUnsafe(Dns.message, sent(ns))
    assert.deepStrictEqual(message, {
      id: 7,
      flags: 0x8500,
      questions: [question],
      answers: [{ name: "example", type: 2, class: 1, ttl: 60, data: "ns.example" }],
      others: [{ name: "ns.example", type: 1, class: 1, ttl: 60, data: hex("7f000001") }]
    })
    assert.deepStrictEqual(
      Frame.decodeResultUnsafe(Dns.message, Frame.encodeResultUnsafe(Dns.message, message)),
      message
    )
  })

  it("what refers on and on, or comes to too long a name, is refused before it costs much", () => {
    // each name goes on at the one in front of it
    const label = `3f${"61".repeat(63)}`
    const chained = sent(
      `000701000005000000000000 ${label}00 00020001 ${label}c00c 00020001 ${label}c051 00020001 ${label}c097 00020001 ${label}c0dd 00020001`
    )
    assert.match(refusal(Dns.message, chained), /a name is too long/)
  })

  it("what is wrong in it is said in words of the message", () => {
    assert.match(
      refusal(Dns.message, sent("0007")),
      /lengthPrefixed is malformed: decode: the stream ended after 2 bytes/
    )
    assert.match(refusal(Dns.message, bytes("\u0000")), /the stream ended/)
  })
})
