/** Reading lines and messages without a network: what an operation costs beyond the search for the end of what it reads. */
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { entriesOf, sliced } from "../support/slices.ts"

/** One way of reading, by its name in the file in `readers/`. */
interface Way {
  readonly id: string
  readonly title: string
}

interface Suite {
  readonly id: string
  readonly title: string
  /** The file in `readers/`, and what else it is started with. */
  readonly reader: string
  readonly arguments: ReadonlyArray<string>
  /** The one that is compared with first. */
  readonly ways: ReadonlyArray<Way>
  /** Whether a quick run leaves it out. */
  readonly slow?: boolean
}

const lines = (length: number): Suite => ({
  id: `in-process-${length}`,
  title: `in one process, lines of ${length} B out of chunks of 64 KiB`,
  reader: "lines",
  arguments: [String(length)],
  ways: [
    { id: "indexOf", title: "indexOf by hand" },
    { id: "readLine", title: "readLine" },
    { id: "readUntil", title: 'readUntil("\\n")' },
    { id: "readExactly", title: "readExactly" },
    { id: "lines", title: "StreamReader.lines, per chunk" },
    { id: "linesEach", title: "StreamReader.lines, per line" },
    { id: "readline", title: "node:readline" },
    { id: "splitLines", title: "Stream.splitLines, per chunk" }
  ]
})

const messages = (id: string, title: string, ways: ReadonlyArray<Way>): Suite => ({
  id,
  title: `in one process, ${title} out of chunks of 64 KiB`,
  reader: "frames",
  arguments: [],
  ways
})

const suites: ReadonlyArray<Suite> = [
  lines(32),
  { ...lines(128), slow: true },
  messages("frames-prefixed", "messages of 4 + 110 B", [
    { id: "byHand", title: "by hand over read" },
    { id: "readFrame", title: "readFrame" },
    { id: "readFrames", title: "readFrames" },
    { id: "frames", title: "StreamReader.frames, per chunk" },
    { id: "readExactly", title: "readExactly, twice" }
  ]),
  messages("frames-struct", "structs of five fields, decoded without a stream,", [
    { id: "structByHand", title: "by hand" },
    { id: "structCompiled", title: "struct" },
    { id: "structLoop", title: "struct, compile: false" }
  ]),
  messages("frames-ndjson", "a JSON text a line", [
    { id: "ndjsonByHand", title: "split and JSON.parse by hand" },
    { id: "ndjson", title: "FrameSchema.ndjson, readFrames" }
  ])
]

export const names: ReadonlyArray<string> = suites.map(({ id }) => id)

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const { arguments: args, id, reader, slow, title, ways } of suites) {
    if (!wanted(options, id) || (options.quick && slow === true)) continue
    const readers = ways.map((way) => new ReaderProcess<number, number>(reader, way.id, ...args))
    let rounds: ReadonlyArray<ReadonlyArray<number>>
    try {
      rounds = await sliced(readers, options)
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
    }
    onResult({
      id,
      title,
      unit: "1/s",
      better: "more",
      entries: entriesOf(ways, rounds)
    })
  }
}
