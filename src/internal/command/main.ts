#!/usr/bin/env node
/** The command `effect-byte-streams`. */
import { once } from "node:events"
import { createReadStream, readFileSync } from "node:fs"
import { argv, env, stdin, stdout } from "node:process"
import { getSystemErrorMessage } from "node:util"
import { diagramWidth, maxDiagramWidth, minDiagramWidth } from "../base/defaults.ts"
import { type CutOff, type Entry, type Malformed, TranscriptReader } from "../observe/readTranscript.ts"
import { hasColors, help, parse, type Request } from "./arguments.ts"
import { Diagram } from "./diagram.ts"
import { printable } from "./printable.ts"

const name = "effect-byte-streams"

/** Ends with a message of one line, of which parts may come from elsewhere. */
const fail = (code: number, problem: string): void => {
  process.stderr.write(`${name}: ${printable(problem)}\n`)
  process.exitCode = code
}

const print = async (rows: ReadonlyArray<string>): Promise<void> => {
  if (rows.length === 0) return
  if (!stdout.write(`${rows.join("\n")}\n`)) await once(stdout, "drain")
}

type Transcript = Extract<Request, { readonly _tag: "Transcript" }>

const columns = (asked: number | undefined): number =>
  // a terminal that does not know its width says 0
  asked ?? Math.min(Math.max(stdout.columns || diagramWidth, minDiagramWidth), maxDiagramWidth)

/** What has to be told instead of more rows. */
class Problem extends Error {}

/** Why a file cannot be read, without its name once more. */
const reason = (error: NodeJS.ErrnoException): string =>
  error.errno === undefined ? error.message : getSystemErrorMessage(error.errno)

async function* chunks(file: string): AsyncGenerator<string> {
  try {
    const input = file === "-" ? stdin : createReadStream(file)
    input.setEncoding("utf8")
    for await (const chunk of input) yield chunk as string
  } catch (error) {
    throw new Problem(`${nameOf(file)}: ${reason(error as NodeJS.ErrnoException)}`)
  }
}

const nameOf = (file: string): string => (file === "-" ? "standard input" : file)

/** Where rows go: to the output at once, or behind those of the connections in front of theirs. */
class Selection {
  private readonly ids: ReadonlyArray<number>
  private readonly kept = new Map<number, Array<string>>()
  private readonly all = new Set<number>()

  constructor(ids: ReadonlyArray<number>) {
    this.ids = [...new Set(ids)]
  }

  /** The connections that were chosen, or nothing for all. */
  get chosen(): ReadonlySet<number> | undefined {
    return this.ids.length === 0 ? undefined : new Set(this.ids)
  }

  /** The rows to print now. `id` is nothing for what is about all connections. */
  add(id: number | undefined, rows: ReadonlyArray<string>): ReadonlyArray<string> {
    if (id !== undefined) this.all.add(id)
    if (this.ids.length === 0) return rows
    if (this.ids.length === 1) return id === undefined || id === this.ids[0] ? rows : []
    for (const one of id === undefined ? this.ids : [id]) {
      if (!this.ids.includes(one)) continue
      const kept = this.kept.get(one) ?? []
      this.kept.set(one, kept)
      for (const row of rows) kept.push(row)
    }
    return []
  }

  /** What is wrong if there is no more: a connection was asked for that is not there. */
  check(): void {
    for (const id of this.ids) {
      if (this.all.has(id)) continue
      const known = [...this.all].toSorted((a, b) => a - b).join(", ")
      throw new Problem(`there is no connection ${id}${known === "" ? "" : `, but ${known}`}`)
    }
  }

  /** The rows that were kept, a connection after the other. */
  rest(): ReadonlyArray<string> {
    return this.ids.flatMap((id) => this.kept.get(id) ?? [])
  }
}

const show = async (request: Transcript): Promise<void> => {
  const diagram = new Diagram({
    width: columns(request.width),
    bytes: request.bytes,
    color: request.color && hasColors(stdout.isTTY, env)
  })
  const selection = new Selection(request.connections)
  for (const file of request.files) {
    const reader = new TranscriptReader()
    const draw = async (items: Iterable<Entry | CutOff | Malformed>): Promise<void> => {
      const rows: Array<string> = []
      let problem: Problem | undefined
      for (const item of items) {
        if (item._tag === "Malformed") {
          problem = new Problem(`${nameOf(file)}: ${item.message}`)
          break
        }
        const id = item._tag === "CutOff" || item.line.type === "missing" ? undefined : item.line.id
        const drawn = item._tag === "CutOff" ? diagram.cutOff(item) : diagram.entry(item)
        for (const row of selection.add(id, drawn)) rows.push(row)
      }
      await print(rows)
      if (problem !== undefined) throw problem
    }
    try {
      for await (const chunk of chunks(file)) await draw(reader.read(chunk))
      await draw(reader.end())
    } catch (error) {
      await print(selection.rest())
      throw error
    }
  }
  selection.check()
  await print(selection.rest())
  await print(diagram.end(selection.chosen))
}

const version = (): string => {
  const manifest = new URL("../../../package.json", import.meta.url)
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version
}

// `head` has seen enough
stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
  fail(1, `standard output: ${reason(error)}`)
  process.exit(1)
})

const request = parse(argv.slice(2))
switch (request._tag) {
  case "Help":
    await print([help.trimEnd()])
    break
  case "Version":
    await print([version()])
    break
  case "Wrong":
    fail(2, `${request.problem} (try --help)`)
    break
  case "Transcript":
    try {
      await show(request)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      fail(1, error.message)
    }
}
