/**
 * A transcript as a sequence diagram: this side on the left, the peer on the right, time downwards. Each row is at most as
 * wide as it may be, and has no character that controls a terminal, but those of its own colours.
 */
import type { CutOff, Entry } from "../observe/readTranscript.ts"
import type { Line } from "../observe/transcript.ts"
import * as Bytes from "../base/bytes.ts"
import { hexRows } from "./hexRows.ts"
import { printable, width, wrapped } from "./printable.ts"

export interface DiagramOptions {
  /** Columns, at least `minDiagramWidth`. */
  readonly width: number
  /** Bytes of each piece that are shown. */
  readonly bytes: number
  readonly color: boolean
}

type Piece = Extract<Line, { readonly type: "in" | "out" }>
type Opened = Extract<Line, { readonly type: "opened" }>

type Style = "plain" | "dim" | "in" | "out" | "mark" | "bad"

const codes: Record<Style, string> = { plain: "", dim: "2", in: "36", out: "32", mark: "1", bad: "31" }
/** The numbers of connections have colours of their own. */
const numbers = ["33", "35", "34", "36", "32"] as const

const timeColumns = 9
/** Digits of a number that stand below each other, `#` included. */
const idColumns = 3

export class Diagram {
  private readonly options: DiagramOptions
  private began: number | undefined
  private any = false
  private readonly open = new Set<number>()
  /** Those that were there already, or are. */
  private readonly known = new Set<number>()

  constructor(options: DiagramOptions) {
    this.options = options
  }

  /** The rows of a line. */
  entry({ bytes, line }: Entry): ReadonlyArray<string> {
    this.any = true
    this.began ??= line.time
    if (line.type === "missing") {
      return this.note(`${line.lines} ${line.lines === 1 ? "line is" : "lines are"} missing here`, "bad", line.time)
    }
    const rows = new Rows(this.options, this.prefix(line.time, line.id), line.id)
    if (line.type !== "opened" && !this.known.has(line.id)) rows.words("… begun before this transcript", "dim")
    if (line.type === "opened" || !this.known.has(line.id)) this.open.add(line.id)
    if (line.type === "closed") this.open.delete(line.id)
    this.known.add(line.id)
    draw(rows, line, bytes, this.options.bytes)
    return rows.done
  }

  cutOff({ number }: CutOff): ReadonlyArray<string> {
    return this.note(`line ${number}, the last one, is cut off`, "bad")
  }

  /** What is told when there is no more. `ids`: of which connections, if not of all. */
  end(ids?: ReadonlySet<number>): ReadonlyArray<string> {
    if (!this.any) return this.note("the transcript is empty", "dim")
    const open = [...this.open].filter((id) => ids === undefined || ids.has(id))
    if (open.length === 0) return []
    const named = open.map((id) => `#${id}`).join(", ")
    return this.note(`still open where the transcript ends: ${named}`, "dim")
  }

  private prefix(time: number, id: number): Prefix {
    return { time: clock(time - this.began!).padStart(timeColumns), id: `#${id}`.padEnd(idColumns) }
  }

  private note(text: string, style: Style, time?: number): ReadonlyArray<string> {
    const at = time === undefined ? "" : clock(time - this.began!)
    const indent = timeColumns + 2
    const rows = wrapped(text, this.options.width - indent - 2, true)
    return rows.map(
      (row, index) => `${(index === 0 ? at : "").padStart(timeColumns)}  ${this.paint(`┄ ${row}`, codes[style])}`
    )
  }

  private paint(text: string, code: string): string {
    return paint(text, code, this.options.color)
  }
}

interface Prefix {
  readonly time: string
  readonly id: string
}

const paint = (text: string, code: string, color: boolean): string =>
  color && code !== "" ? `\u{1b}[${code}m${text}\u{1b}[0m` : text

/** Milliseconds since the first line, in no more than nine columns. */
const clock = (millis: number): string => {
  const exact = Number.isInteger(millis) ? String(millis) : millis.toFixed(1)
  if (exact.length <= timeColumns && !exact.includes("e")) return exact
  const seconds = `${Math.round(millis / 1000)}s`
  return seconds.length <= timeColumns && !seconds.includes("e") ? seconds : millis.toExponential(0)
}

/** The rows of one line of one connection. Only the first one has the time and the number. */
class Rows {
  readonly done: Array<string> = []
  /** Columns between the lanes. */
  readonly inner: number
  private readonly options: DiagramOptions
  private readonly prefix: Prefix
  private readonly id: number

  constructor(options: DiagramOptions, prefix: Prefix, id: number) {
    this.options = options
    this.prefix = prefix
    this.id = id
    this.inner = options.width - prefix.time.length - prefix.id.length - 5
  }

  /** A row between the lanes. `middle` has the columns of `inner`. */
  private row(left: string, middle: string, right: string, style: Style): void {
    const { color } = this.options
    const first = this.done.length === 0
    const time = first ? this.prefix.time : " ".repeat(this.prefix.time.length)
    const id = first ? this.prefix.id : " ".repeat(this.prefix.id.length)
    const lane = style === "in" || style === "out" ? "plain" : style
    this.done.push(
      [
        paint(time, codes.dim, color),
        "  ",
        paint(id, numbers[this.id % numbers.length]!, color),
        " ",
        paint(left, codes[lane], color),
        paint(middle, codes[style], color),
        paint(right, codes[lane], color)
      ].join("")
    )
  }

  /** Bytes that are text, in as many rows as they need. */
  bytes(text: string, style: Style): void {
    for (const row of wrapped(text, this.inner - indent - 1)) this.content(row, style)
  }

  /** Words between the lanes. */
  words(text: string, style: Style): void {
    for (const row of wrapped(text, this.inner - indent - 1, true)) this.content(row, style)
  }

  /** A row of what is printable and fits. */
  content(row: string, style: Style): void {
    const padding = this.inner - indent - width(row)
    this.row("│", `${" ".repeat(indent)}${row}${" ".repeat(padding)}`, "│", style)
  }

  /** A line from lane to lane with words in it, or inside of it if they are too long. */
  rule(ends: readonly [left: string, right: string], line: string, words: ReadonlyArray<string>, style: Style): void {
    const shown = words.map((word) => ` ${printable(word)} `)
    const free = this.inner - 2 - shown.reduce((sum, word) => sum + width(word), 0)
    if (free < shown.length - 1) {
      const isEnd = ends[0] === "└"
      if (!isEnd) this.row(ends[0], line.repeat(this.inner), ends[1], style)
      for (const word of words) this.words(word, style)
      if (isEnd) this.row(ends[0], line.repeat(this.inner), ends[1], style)
      return
    }
    // what is free is between the words, and with one word behind it
    const gaps = Math.max(1, shown.length - 1)
    const middle = shown.map((word, index) => word + line.repeat(index < gaps ? share(free, gaps, index) : 0))
    this.row(ends[0], `${line}${middle.join("")}${line}`, ends[1], style)
  }

  arrow(direction: "in" | "out", line: string, label: string): void {
    const words = ` ${label} `
    const shaft = line.repeat(Math.max(0, this.inner - 2 - width(words)))
    if (direction === "out") this.row("├", `${line}${words}${shaft}►`, "│", "out")
    else this.row("│", `◄${shaft}${words}${line}`, "┤", "in")
  }
}

/** Columns that bytes stand in from their lane. */
const indent = 2

/** The part of `free` that the gap with this index gets. */
const share = (free: number, gaps: number, index: number): number =>
  Math.floor((free * (index + 1)) / gaps) - Math.floor((free * index) / gaps)

const draw = (rows: Rows, line: Exclude<Line, { readonly type: "missing" }>, bytes: Uint8Array, most: number): void => {
  switch (line.type) {
    case "opened":
      return rows.rule(["┌", "┐"], "─", lanes(line), "mark")
    case "in":
    case "out":
      rows.arrow(line.type, "─", sizeOf(line, bytes))
      return dump(rows, line, bytes, most)
    case "upgraded":
      return rows.rule(
        ["╞", "╡"],
        "═",
        [line.tls === undefined ? "plain again, without TLS" : `upgraded, ${line.tls}`],
        "mark"
      )
    case "ended":
      return rows.arrow("in", "╌", "end")
    case "timedOut":
      return rows.words(`! timed out: ${line.kind}`, "bad")
    case "failed":
      return rows.words(`! failed: ${line.error}`, "bad")
    case "closed": {
      const totals = `${counted(line.bytesWritten)} out, ${counted(line.bytesRead)} in`
      const words = [`closed: ${line.outcome}`, totals]
      return rows.rule(["└", "┘"], "─", words, line.outcome === "Graceful" ? "mark" : "bad")
    }
  }
}

/** The names of both lanes, and what has happened between them. */
const lanes = ({ local, remote, side, tls }: Opened): ReadonlyArray<string> => {
  const other = side === undefined ? "peer" : side === "client" ? "server" : "client"
  return [
    [side ?? "this side", local].filter((word) => word !== undefined).join(" "),
    tls === undefined ? "opened" : `opened, ${tls}`,
    [remote, other].filter((word) => word !== undefined).join(" ")
  ]
}

const counted = (bytes: number): string => (bytes === 1 ? "1 byte" : `${bytes} bytes`)

const sizeOf = ({ masked = [] }: Piece, bytes: Uint8Array): string => {
  const mask = new Uint8Array(bytes.length)
  for (const [from, to] of masked) mask.fill(1, from, to)
  const hidden = mask.reduce((sum, one) => sum + one, 0)
  return hidden === 0 ? counted(bytes.length) : `${counted(bytes.length)}, ${hidden} masked`
}

/** The bytes of a piece, or the first of them: text a line a row, others in hexadecimal. */
const dump = (rows: Rows, line: Piece, bytes: Uint8Array, most: number): void => {
  const size = line.text === undefined ? Math.min(most, bytes.length) : wholeCharacters(bytes, most)
  const shown = bytes.subarray(0, size)
  if (line.text === undefined) for (const row of hexRows(shown, rows.inner - indent - 1)) rows.content(row, line.type)
  else if (size > 0) {
    const text = Bytes.decode(bytes, 0, size)
    for (const part of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) rows.bytes(part, line.type)
  }
  if (size < bytes.length) rows.content(`… ${counted(bytes.length - size)} more`, "dim")
}

/** At most `most` bytes, without a part of a character at the end. */
const wholeCharacters = (bytes: Uint8Array, most: number): number => {
  if (bytes.length <= most) return bytes.length
  let end = most
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return end
}
