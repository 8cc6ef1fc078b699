/**
 * Which bytes of a stream nobody may see. A rule has a matcher for each direction of each connection, which looks at every
 * byte once and keeps a few numbers, so that it does not matter how the bytes were cut on the way.
 */
import type { Direction } from "../../Observer.ts"
import type { Mask } from "../../Wiretap.ts"
import * as Bytes from "../base/bytes.ts"

export const TypeId = "~effect-byte-streams/Wiretap/Mask"

/** Ranges of bytes, in order and apart: from where to where, the end not included. */
export type Ranges = ReadonlyArray<readonly [number, number]>

/** What stands where a byte was masked. */
const masked = 0x2a

/** Looks at the bytes of one direction, and finds those of each piece that are masked. */
interface Matcher {
  readonly feed: (bytes: Uint8Array) => Ranges
}

/** A rule. What it hides is not to be seen on it. */
export class Rule implements Mask {
  readonly [TypeId] = TypeId
  readonly #direction: Direction | undefined
  readonly #start: () => Matcher

  constructor(direction: Direction | undefined, start: () => Matcher) {
    this.#direction = direction
    this.#start = start
  }

  /** A matcher for the beginning of a stream. */
  static matcher(rule: Rule, direction: Direction): Matcher | undefined {
    return rule.#direction === undefined || rule.#direction === direction ? rule.#start() : undefined
  }
}

// ---------------------------------------------------------------------------
// patterns
// ---------------------------------------------------------------------------

const folded = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)

/** Bytes that are looked for, after Knuth, Morris and Pratt. A state is how many of them have just been seen. */
export class Pattern {
  readonly length: number
  private readonly bytes: Uint8Array
  private readonly ignoreCase: boolean
  /** Where to go on from each state if the next byte does not fit. */
  private readonly fallback: Uint32Array

  constructor(bytes: Uint8Array, ignoreCase = false) {
    this.bytes = ignoreCase ? bytes.map(folded) : Uint8Array.from(bytes)
    this.ignoreCase = ignoreCase
    this.length = bytes.length
    this.fallback = new Uint32Array(bytes.length + 1)
    for (let i = 1; i < bytes.length; i++) this.fallback[i + 1] = this.next(this.fallback[i]!, this.bytes[i]!)
  }

  /** The state behind another byte. It is `length` where the pattern is complete. */
  step(state: number, byte: number): number {
    return this.next(state, this.ignoreCase ? folded(byte) : byte)
  }

  private next(state: number, byte: number): number {
    let at = state === this.length ? this.fallback[state]! : state
    while (at > 0 && this.bytes[at] !== byte) at = this.fallback[at]!
    return this.bytes[at] === byte ? at + 1 : 0
  }

  /** Where the pattern may begin, at `from` or later, or the end: until there the state stays 0. */
  begin(bytes: Uint8Array, from: number): number {
    if (this.ignoreCase) return from
    const at = Bytes.indexOfByte(bytes, this.bytes[0]!, from)
    return at === -1 ? bytes.length : at
  }
}

/** Collects ranges that come in the order of their beginnings. */
const collector = () => {
  const ranges: Array<[number, number]> = []
  const add = (from: number, to: number): void => {
    if (from >= to) return
    const last = ranges.at(-1)
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to)
    else ranges.push([from, to])
  }
  return { ranges, add }
}

// ---------------------------------------------------------------------------
// rules
// ---------------------------------------------------------------------------

/**
 * Every occurrence of some bytes. The end of a piece that may be the beginning of an occurrence is masked as well: what
 * follows comes too late.
 */
export const occurrences = (direction: Direction | undefined, pattern: Pattern): Rule =>
  new Rule(direction, () => {
    let state = 0
    return {
      feed: (bytes) => {
        const { add, ranges } = collector()
        for (let i = 0; i < bytes.length; i++) {
          if (state === 0) {
            i = pattern.begin(bytes, i)
            if (i === bytes.length) break
          }
          state = pattern.step(state, bytes[i]!)
          if (state === pattern.length) add(Math.max(0, i + 1 - state), i + 1)
        }
        add(Math.max(0, bytes.length - state), bytes.length)
        return ranges
      }
    }
  })

/**
 * What stands between a prefix and the first of some ends, of which none overlaps the prefix. The end of a piece that may
 * be the beginning of an end is masked as well.
 */
export const between = (
  direction: Direction | undefined,
  prefix: Pattern,
  ends: ReadonlyArray<Pattern>,
  maxBytes: number
): Rule => new Rule(direction, () => new Between(prefix, ends, maxBytes))

class Between implements Matcher {
  private readonly prefix: Pattern
  private readonly ends: ReadonlyArray<Pattern>
  private readonly maxBytes: number
  private ofPrefix = 0
  /** Of each end, while bytes are masked. */
  private readonly ofEnds: Array<number>
  private masking = false
  private count = 0

  constructor(prefix: Pattern, ends: ReadonlyArray<Pattern>, maxBytes: number) {
    this.prefix = prefix
    this.ends = ends
    this.maxBytes = maxBytes
    this.ofEnds = ends.map(() => 0)
  }

  feed(bytes: Uint8Array): Ranges {
    const { add, ranges } = collector()
    let from = 0
    for (let i = 0; i < bytes.length; i++) {
      if (!this.masking && this.ofPrefix === 0) {
        i = this.prefix.begin(bytes, i)
        if (i === bytes.length) break
      }
      const byte = bytes[i]!
      // a prefix may begin in what is masked, and in what ends that
      this.ofPrefix = this.prefix.step(this.ofPrefix, byte)
      if (this.masking) {
        const shown = this.end(byte)
        if (shown !== undefined) {
          add(from, i + 1 - shown)
          this.masking = false
        }
      }
      if (this.ofPrefix === this.prefix.length) {
        this.count = 0
        // what stands behind this one is as secret, and the end of both is the same
        if (this.masking) continue
        this.masking = true
        this.ofEnds.fill(0)
        from = i + 1
      }
    }
    if (this.masking) add(from, bytes.length)
    return ranges
  }

  /** The length of the end that a byte completes, or 0 if it is the last that may be masked. */
  private end(byte: number): number | undefined {
    this.count++
    let longest: number | undefined
    for (let k = 0; k < this.ends.length; k++) {
      const end = this.ends[k]!
      this.ofEnds[k] = end.step(this.ofEnds[k]!, byte)
      if (this.ofEnds[k] === end.length) longest = Math.max(longest ?? 0, end.length)
    }
    return longest ?? (this.count >= this.maxBytes ? 0 : undefined)
  }
}

// ---------------------------------------------------------------------------
// one direction of a connection
// ---------------------------------------------------------------------------

/** Finds what is masked in the pieces of one direction, by all rules together. */
export class Masker {
  private readonly matchers: ReadonlyArray<Matcher>

  constructor(rules: ReadonlyArray<Rule>, direction: Direction) {
    this.matchers = rules.flatMap((rule) => Rule.matcher(rule, direction) ?? [])
  }

  /** Of the next piece. */
  next(bytes: Uint8Array): Ranges {
    if (this.matchers.length === 0) return none
    if (this.matchers.length === 1) return this.matchers[0]!.feed(bytes)
    return union(this.matchers.flatMap((matcher) => matcher.feed(bytes)))
  }
}

const none: Ranges = []

const union = (all: Ranges): Ranges => {
  const { add, ranges } = collector()
  for (const [from, to] of all.toSorted(([a], [b]) => a - b)) add(from, to)
  return ranges
}

/** The part of the ranges that lies in a part of the bytes, counted from its beginning. */
export const within = (ranges: Ranges, start: number, end: number): Ranges => {
  const part: Array<readonly [number, number]> = []
  for (let i = firstBehind(ranges, start); i < ranges.length && ranges[i]![0] < end; i++) {
    const [from, to] = ranges[i]!
    part.push([Math.max(from, start) - start, Math.min(to, end) - start])
  }
  return part
}

/** The first of the ranges that ends behind a place: there may be as many as there are bytes. */
const firstBehind = (ranges: Ranges, at: number): number => {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ranges[middle]![1] > at) high = middle
    else low = middle + 1
  }
  return low
}

/** The bytes as they may be seen: a copy, unless nothing is masked. */
export const apply = (bytes: Uint8Array, ranges: Ranges): Uint8Array => {
  if (ranges.length === 0) return bytes
  const seen = Uint8Array.from(bytes)
  for (const [from, to] of ranges) seen.fill(masked, from, to)
  return seen
}
