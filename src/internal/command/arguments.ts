/** What the command line asks for. */
import { parseArgs } from "node:util"
import { diagramBytes, diagramWidth, maxDiagramWidth, minDiagramWidth } from "../base/defaults.ts"

export type Request =
  | { readonly _tag: "Help" }
  | { readonly _tag: "Version" }
  | { readonly _tag: "Wrong"; readonly problem: string }
  | {
      readonly _tag: "Transcript"
      /** `-` is the standard input. */
      readonly files: ReadonlyArray<string>
      /** Which connections, in order; without any, all of them. */
      readonly connections: ReadonlyArray<number>
      readonly width: number | undefined
      readonly bytes: number
      readonly color: boolean
    }

export const help = `Usage: effect-byte-streams transcript [options] FILE...

Shows a transcript of Wiretap.layerTranscript as a sequence diagram. Several
FILEs are read in order, as they were rotated. FILE - is the standard input.

Options:
  --connection N  Show connection N only. Several are shown one after the other.
  --width N       Columns, from ${minDiagramWidth} to ${maxDiagramWidth}. Default: the terminal's, or ${diagramWidth}.
  --bytes N       Show at most N bytes of each piece. Default: ${diagramBytes}.
  --no-color      No colors, as where NO_COLOR is set or there is no terminal.
  --help          Show this help.
  --version       Show the version.
`

/** Whether there are colors where none are refused: on a terminal that knows them, for people who want them. */
export const hasColors = (isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean =>
  isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb"

const options = {
  connection: { type: "string", multiple: true },
  width: { type: "string" },
  bytes: { type: "string" },
  "no-color": { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" }
} as const

/** Says what is wrong with an argument. */
class Wrong extends Error {}

const integer = (name: string, value: string, least: number, most: number): number => {
  const number = /^\d+$/.test(value) ? Number(value) : NaN
  if (number >= least && number <= most) return number
  const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`
  throw new Wrong(`--${name} must be an integer ${range}, got ${JSON.stringify(value)}`)
}

/** What Node says of arguments, in one line. */
const firstLine = (error: unknown): string => String((error as Error).message).split("\n", 1)[0]!

export const parse = (args: ReadonlyArray<string>): Request => {
  try {
    const { positionals, values } = parseArgs({ args: [...args], options, allowPositionals: true })
    if (values.help === true) return { _tag: "Help" }
    if (values.version === true) return { _tag: "Version" }
    const [command, ...files] = positionals
    if (command === undefined) throw new Wrong("a command is missing: transcript")
    if (command !== "transcript") throw new Wrong(`there is no command ${JSON.stringify(command)}, only transcript`)
    if (files.length === 0) throw new Wrong("a FILE is missing, or - for the standard input")
    if (files.indexOf("-") !== files.lastIndexOf("-")) throw new Wrong("the standard input can be read once only")
    return {
      _tag: "Transcript",
      files,
      connections: (values.connection ?? []).map((id) => integer("connection", id, 1, Number.MAX_SAFE_INTEGER)),
      width: values.width === undefined ? undefined : integer("width", values.width, minDiagramWidth, maxDiagramWidth),
      bytes: values.bytes === undefined ? diagramBytes : integer("bytes", values.bytes, 0, Number.MAX_SAFE_INTEGER),
      color: values["no-color"] !== true
    }
  } catch (error) {
    return { _tag: "Wrong", problem: firstLine(error) }
  }
}
