/** What a Redis server answers: RESP3, whose every value begins with a letter that says what it is. */
import { Frame } from "effect-byte-streams"

export type Value = null | boolean | number | bigint | string | Error | ReadonlyArray<Value> | ReadonlyMap<Value, Value>

const size = Frame.integerText({ end: "\r\n", signed: true })
const line = Frame.line({ end: "crlf", maxBytes: 65_536 })
const end = Frame.literal("\r\n")
const blob = Frame.tuple(Frame.lengthPrefixed(size, { maxBytes: 1_000_000 }, Frame.utf8Rest), end)

const unwritten = (): never => {
  throw new Error("a client only reads it")
}
const as = <A>(frame: Frame.Frame<A>, decode: (value: A) => Value): Frame.Frame<Value> =>
  Frame.transform(frame, { decode, encode: unwritten })

export const value: Frame.Frame<Value> = Frame.suspend(() => Frame.union(Frame.utf8(1), cases, { tagOf: unwritten }), {
  maxDepth: 32
})
const items = Frame.array(value, { prefix: size, maxItems: 100_000 })
const entries = Frame.array(Frame.tuple(value, value), { prefix: size, maxItems: 100_000 })

const cases = {
  "+": as(line, (text) => text),
  "-": as(line, (text) => new Error(text)),
  ":": as(size, (number) => number),
  $: as(blob, ([text]) => text),
  "=": as(blob, ([text]) => text.slice("txt:".length)),
  "!": as(blob, ([text]) => new Error(text)),
  _: as(end, () => null),
  "#": as(line, (text) => text === "t"),
  ",": as(line, (text) => (text.endsWith("inf") ? Number(text.replace("inf", "Infinity")) : Number(text))),
  "(": as(line, BigInt),
  "*": as(items, (all) => all),
  "~": as(items, (all) => all),
  ">": as(items, (all) => all),
  "%": as(entries, (all) => new Map(all)),
  "|": as(Frame.tuple(entries, value), ([, value]) => value)
}
