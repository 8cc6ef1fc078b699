/** Throughput: each case with every contender in turn, round after round. */
import { type Case, cases, unitOf } from "../cases.ts"
import { type Available, baseline, loadedBaseline, offers } from "../contenders.ts"
import type { Sample } from "../load/main.ts"
import type { Entry, Result } from "../result.ts"
import { makeCertificate } from "../support/certificate.ts"
import { type Options, wanted } from "../support/options.ts"
import { LoadProcess, ServerProcess } from "../support/processes.ts"
import { median, medianRatio } from "../support/statistics.ts"

export interface Measured {
  readonly contender: Available
  readonly samples: ReadonlyArray<Sample>
}

const flags = ({ nodeFlags, profile }: Options): ReadonlyArray<string> => [
  ...nodeFlags,
  ...(profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profile])
]

/** One case, with every contender side by side: in processes that are all started anew some times. */
export const measure = async (
  one: Case,
  contenders: ReadonlyArray<Available>,
  options: Options
): Promise<ReadonlyArray<Measured>> => {
  const able = contenders.filter((contender) => offers(contender, one))
  const samples = able.map((): Array<Sample> => [])
  const rounds = Math.max(1, Math.round(options.rounds / options.starts))
  for (let start = 0; start < options.starts; start++) await measureRounds(one, able, options, rounds, samples)
  return able.map((contender, index) => ({ contender, samples: samples[index]! }))
}

/** Starts the servers, checks each, and measures them in turn. */
const measureRounds = async (
  one: Case,
  contenders: ReadonlyArray<Available>,
  options: Options,
  rounds: number,
  samples: ReadonlyArray<Array<Sample>>
): Promise<void> => {
  const load = new LoadProcess()
  const tls = one.tls === true
  const certificate = tls ? await makeCertificate() : undefined
  const servers = await Promise.all(
    contenders.map((contender) => ServerProcess.start(contender, one.service, flags(options), certificate))
  )
  try {
    for (const [index, { port }] of servers.entries()) {
      await load.order({ _tag: "Verify", service: one.service, port, tls }).catch((error: unknown) => {
        throw new Error(`${contenders[index]!.title} failed its check`, { cause: error })
      })
    }
    const work = ({ pid, port }: ServerProcess, ramp: number, millis: number) =>
      load.work({ case: one, port, pid, ramp, millis })
    for (const server of servers) await work(server, options.warmUpMillis, 0)
    for (let round = 0; round < rounds; round++) {
      for (const [index, server] of servers.entries()) {
        samples[index]!.push(await work(server, options.rampMillis, options.millis))
      }
    }
  } finally {
    await load.stop()
    await Promise.all(servers.map((server) => server.stop()))
  }
}

const known = (values: ReadonlyArray<number | undefined>): number | undefined => {
  const present = values.filter((value) => value !== undefined)
  return present.length === 0 ? undefined : median(present)
}

const quotient = (a: number | undefined, b: number): number | undefined => (a === undefined ? undefined : a / b)

/** `against`: whom all are compared with. */
export const evaluate = (one: Case, measured: ReadonlyArray<Measured>, against: string = baseline): Result => {
  const unit = unitOf(one)
  const bytesEach = one.pattern === "pipeline" ? one.size : 1
  const rate = ({ done, seconds }: Sample): number =>
    unit === "MB/s" ? (done * bytesEach) / seconds / 1e6 : done / seconds
  // what one operation is where bytes are counted: as many as fit into one read
  const operations = ({ done }: Sample): number =>
    one.pattern === "upload" || one.pattern === "download" ? done / one.size : done
  const rounds = measured.map(({ samples }) => samples.map(rate))
  const roundsOf = (id: string) => rounds[measured.findIndex(({ contender }) => contender.id === id)]
  const base = roundsOf(against)!
  const loaded = roundsOf(loadedBaseline)
  return {
    id: one.id,
    title: one.title,
    unit,
    better: "more",
    entries: measured.map(({ contender, samples }, index): Entry => {
      const micros = (cpu: (sample: Sample) => number | undefined) =>
        known(samples.map((sample) => quotient(cpu(sample), operations(sample) / 1e6)))
      return {
        id: contender.id,
        title: one.tls === true ? contender.title.replace("node:net", "node:tls") : contender.title,
        rounds: rounds[index]!,
        median: median(rounds[index]!),
        ratio: medianRatio(rounds[index]!, base),
        loadedRatio: loaded === undefined ? undefined : medianRatio(rounds[index]!, loaded),
        serverMicros: micros(({ serverCpu }) => serverCpu),
        loadMicros: micros(({ loadCpu }) => loadCpu),
        p99: known(samples.map(({ p99 }) => p99)),
        serverBusy: known(samples.map(({ seconds, serverCpu }) => quotient(serverCpu, seconds))),
        loadBusy: known(samples.map(({ loadCpu, seconds }) => quotient(loadCpu, seconds)))
      }
    })
  }
}

export const run = async (
  contenders: ReadonlyArray<Available>,
  options: Options,
  onResult: (result: Result) => void
): Promise<void> => {
  for (const one of cases) {
    if (wanted(options, one.id)) onResult(evaluate(one, await measure(one, contenders, options)))
  }
}
