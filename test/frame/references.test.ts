/** Numbers as others write them: CPython's `struct`, and the packages `varint` and `protobufjs`. */
import { assert, describe, it } from "@effect/vitest"
import { Frame } from "effect-byte-streams"
import * as fc from "fast-check"
import { createRequire } from "node:module"
import { needs } from "../support/peers.ts"
import { python } from "../support/python.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const sample = <A>(arbitrary: fc.Arbitrary<A>, special: ReadonlyArray<A>): ReadonlyArray<A> => [
  ...special,
  ...fc.sample(arbitrary, { numRuns: 200, seed: 1 })
]

describe("CPython's struct writes the same bytes, and reads the same numbers", needs("python3"), () => {
  /** A number of bytes that `struct` does not know is one of `int.to_bytes`. */
  const program = `
import json, struct, sys
def pack(format, text):
  if format[1:] in ("3", "-3"):
    order = "big" if format[0] == ">" else "little"
    return int(text).to_bytes(3, order, signed=format[1] == "-")
  return struct.pack(format, float(text) if format[1] in "fd" else int(text))
def unpack(format, data):
  if format[1:] in ("3", "-3"):
    order = "big" if format[0] == ">" else "little"
    return str(int.from_bytes(data, order, signed=format[1] == "-"))
  value = struct.unpack(format, data)[0]
  return value.hex() if isinstance(value, float) else str(value)
print(json.dumps([[pack(f, t).hex(), unpack(f, pack(f, t))] for f, t in json.load(sys.stdin)]))`

  const integer = (bits: number, signed: boolean) => {
    const [min, max] = signed ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n]
    return sample(fc.bigInt({ min, max }), [min, max, 0n, 1n])
  }
  const letters: Readonly<Record<string, string>> = {
    uint8: "B",
    int8: "b",
    uint16: "H",
    int16: "h",
    uint24: "3",
    int24: "-3",
    uint32: "I",
    int32: "i",
    uint64: "Q",
    int64: "q"
  }
  const integers = Object.entries(letters).flatMap(([name, letter]) =>
    ["", "LE"].flatMap((order) => {
      const frame = (Frame as unknown as Record<string, Frame.Frame<any> | undefined>)[name + order]
      const bits = Number(/\d+/.exec(name)![0])
      const values = integer(bits, name.startsWith("int"))
      return frame === undefined
        ? []
        : [{ name: name + order, frame, format: (order === "" ? ">" : "<") + letter, values }]
    })
  )

  it("every integer is among them", () => assert.strictEqual(integers.length, 18))

  it.each(integers)("$name", ({ format, frame, name, values }) => {
    const answers = python<ReadonlyArray<readonly [string, string]>>(
      program,
      values.map((value) => [format, String(value)])
    )
    assert.strictEqual(answers.length, values.length)
    for (const [i, [packed, unpacked]] of answers.entries()) {
      const value = name.includes("64") ? values[i]! : Number(values[i]!)
      assert.strictEqual(hex(Frame.encodeResultUnsafe(frame, value)), packed)
      assert.strictEqual(String(Frame.decodeResultUnsafe(frame, Buffer.from(packed, "hex"))), unpacked)
    }
  })

  it.each([
    ["uint64Number", ">Q", Frame.uint64Number],
    ["uint64NumberLE", "<Q", Frame.uint64NumberLE]
  ] as const)("%s", (_, format, frame) => {
    const values = sample(fc.maxSafeNat(), [0, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])
    const answers = python<ReadonlyArray<readonly [string, string]>>(
      program,
      values.map((value) => [format, String(value)])
    )
    for (const [i, [packed]] of answers.entries()) {
      assert.strictEqual(hex(Frame.encodeResultUnsafe(frame, values[i]!)), packed)
      assert.strictEqual(Frame.decodeResultUnsafe(frame, Buffer.from(packed, "hex")), values[i])
    }
  })

  it.each([
    ["float32", ">f", Frame.float32],
    ["float32LE", "<f", Frame.float32LE],
    ["float64", ">d", Frame.float64],
    ["float64LE", "<d", Frame.float64LE]
  ] as const)("%s", (name, format, frame) => {
    const narrow = name.startsWith("float32")
    const numbers = narrow ? fc.float({ noNaN: true }) : fc.double({ noNaN: true })
    // of 64 bits that 32 cannot hold the nearest is written
    const special = [0, -0, 1 / 3, Infinity, -Infinity, 1e-45, Math.PI]
    const values = sample(numbers, special)
    const text = (value: number): string => (Object.is(value, -0) ? "-0.0" : String(value))
    const answers = python<ReadonlyArray<readonly [string, string]>>(
      program,
      values.map((value) => [format, text(value)])
    )
    for (const [i, [packed]] of answers.entries()) {
      const value = values[i]!
      assert.strictEqual(hex(Frame.encodeResultUnsafe(frame, value)), packed, String(value))
      assert.strictEqual(
        Frame.decodeResultUnsafe(frame, Buffer.from(packed, "hex")),
        narrow ? Math.fround(value) : value
      )
    }
    const [[nan]] = python<[[string, string]]>(program, [[format, "nan"]])
    assert.isNaN(Frame.decodeResultUnsafe(frame, Buffer.from(nan, "hex")))
  })
})

const unsigned = sample(fc.maxSafeNat(), [0, 127, 128, 16383, 16384, 2 ** 32, 2 ** 53 - 1])
const unsigned64 = sample(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), [0n, 127n, 128n, 2n ** 63n, 2n ** 64n - 1n])
const signed64 = sample(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), [
  0n,
  -1n,
  1n,
  -(2n ** 63n),
  2n ** 63n - 1n
])

const require = createRequire(import.meta.url)

describe("the package varint", () => {
  const Varint = require("varint") as {
    encode(value: number): ReadonlyArray<number>
    decode: ((bytes: Uint8Array) => number) & { readonly bytes: number }
  }

  it("writes the same bytes, and reads the same numbers", () => {
    for (const value of unsigned) {
      const bytes = Frame.encodeResultUnsafe(Frame.varint, value)
      assert.strictEqual(hex(bytes), hex(Uint8Array.from(Varint.encode(value))))
      assert.strictEqual(Varint.decode(bytes), value)
      assert.strictEqual(Frame.decodeResultUnsafe(Frame.varint, Uint8Array.from(Varint.encode(value))), value)
    }
  })
})

describe("the package protobufjs", () => {
  interface Writer {
    uint64(value: unknown): Writer
    sint64(value: unknown): Writer
    uint32(value: number): Writer
    sint32(value: number): Writer
    fixed32(value: number): Writer
    float(value: number): Writer
    double(value: number): Writer
    string(value: string): Writer
    finish(): Uint8Array
  }
  const { Writer, util } = require("protobufjs/minimal.js") as {
    readonly Writer: { create(): Writer }
    readonly util: { readonly Long: { fromString(text: string, unsigned: boolean): unknown } }
  }
  const long = (value: bigint, isUnsigned: boolean) => util.Long.fromString(String(value), isUnsigned)
  const agree = <A>(frame: Frame.Frame<A>, value: A, written: Writer): void => {
    const bytes = Uint8Array.from(written.finish())
    assert.strictEqual(hex(Frame.encodeResultUnsafe(frame, value)), hex(bytes), String(value))
    assert.deepStrictEqual(Frame.decodeResultUnsafe(frame, bytes), value)
  }

  it("writes uint64 and sint64 as varint64 and zigzag64", () => {
    for (const value of unsigned64) agree(Frame.varint64, value, Writer.create().uint64(long(value, true)))
    for (const value of signed64) agree(Frame.zigzag64, value, Writer.create().sint64(long(value, false)))
  })

  it("writes uint32 and sint32 as varint and zigzag", () => {
    for (const value of sample(fc.nat(2 ** 31 - 1), [2 ** 32 - 1]))
      agree(Frame.varint, value, Writer.create().uint32(value))
    for (const value of sample(fc.integer(), [-(2 ** 31)])) agree(Frame.zigzag, value, Writer.create().sint32(value))
  })

  it("writes fixed32, float and double with the least significant byte first", () => {
    for (const value of sample(fc.nat(2 ** 31 - 1), [2 ** 32 - 1])) {
      agree(Frame.uint32LE, value, Writer.create().fixed32(value))
    }
    for (const value of fc.sample(fc.float({ noNaN: true }), { numRuns: 200, seed: 1 })) {
      agree(Frame.float32LE, value, Writer.create().float(value))
    }
    for (const value of fc.sample(fc.double({ noNaN: true }), { numRuns: 200, seed: 1 })) {
      agree(Frame.float64LE, value, Writer.create().double(value))
    }
  })

  it("writes a string as a varint and its bytes", () => {
    const frame = Frame.lengthPrefixed(Frame.varint, { maxBytes: 10_000 }, Frame.utf8Rest)
    for (const value of fc.sample(fc.string({ unit: "grapheme", maxLength: 300 }), { numRuns: 100, seed: 1 })) {
      agree(frame, value, Writer.create().string(value))
    }
  })
})
