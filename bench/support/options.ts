/** What the command line asks for. */
import { parseArgs } from "node:util"

export interface Options {
  /** Fewer and shorter rounds, and no growth to ten thousand connections. */
  readonly quick: boolean
  /** Parts of the names of the cases to run; all if empty. */
  readonly only: ReadonlyArray<string>
  /** The contenders to run; all if empty. */
  readonly contenders: ReadonlyArray<string>
  /** Where to put a processor profile of each server, if anywhere. */
  readonly profile: string | undefined
  /** Settings of Node and V8 that all servers are started with. */
  readonly nodeFlags: ReadonlyArray<string>
  /** Puts the tables of a part of the whole into the page that is kept. */
  readonly keep: boolean
  /** Prints the details too. */
  readonly details: boolean
  /** How often all servers are started anew: how fast one is depends a little on how its process happened to begin. */
  readonly starts: number
  /** Rounds in all. */
  readonly rounds: number
  /** How long one server is worked in one round. */
  readonly millis: number
  /** How long a server is worked before the first round. */
  readonly warmUpMillis: number
  /** How long a server is worked in each round before it is measured: it has rested while the others had their turn. */
  readonly rampMillis: number
}

export const usage = `Usage: npm run bench -- [options]

  --quick              under two minutes; figures are rougher
  --only CASE,...      only cases whose name begins with CASE (exchange, pipeline-line, bulk, connect, memory,
                       start-up, in-process, frames, growth, ...)
  --contenders A,...   only these contenders; node:net by hand always runs
  --profile FOLDER     processor profiles of all servers, for Chrome's or an editor's viewer
  --rounds N           rounds a case
  --millis N           milliseconds a server is worked in a round
  --node-flags A,...   starts all servers of Node with these flags, to try settings: --max-semi-space-size=32,...
  --keep               puts the tables of protocols, observed and relays into bench/results.md, where they were run
  --details            prints processor time and load of each contender too
  --list               names cases and contenders
  --help               this

A run of everything writes bench/results.md and bench/results.svg; a partial one only prints.`

const list = (value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : value.split(",").filter((part) => part !== "")

export const parse = (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      contenders: { type: "string" },
      profile: { type: "string" },
      rounds: { type: "string" },
      millis: { type: "string" },
      "node-flags": { type: "string" },
      details: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  const { quick } = values
  const options: Options = {
    quick,
    only: list(values.only),
    contenders: list(values.contenders),
    profile: values.profile,
    nodeFlags: list(values["node-flags"]),
    details: values.details,
    keep: values.keep,
    starts: quick ? 1 : 2,
    rounds: Number(values.rounds ?? (quick ? 2 : 12)),
    millis: Number(values.millis ?? (quick ? 50 : 300)),
    warmUpMillis: quick ? 50 : 2500,
    rampMillis: quick ? 10 : 100
  }
  return { options, help: values.help, list: values.list }
}

/** Whether a case is among those asked for. */
export const wanted = (options: Options, id: string): boolean =>
  options.only.length === 0 || options.only.some((part) => id.startsWith(part))
