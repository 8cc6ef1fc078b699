/**
 * The benchmark: `npm run bench -- --help` says how to run parts of it.
 *
 * Servers run in processes of their own, bound to one core; what works them runs on another. Every server is checked
 * byte for byte before it is measured. All contenders of a case are alive at the same time and are measured in turn,
 * round after round, so that what happens to the machine happens to all of them.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cases } from "./cases.ts"
import { available, baseline } from "./contenders.ts"
import { number, ratio } from "./report/table.ts"
import { details, page, summary, withGroups } from "./report/text.ts"
import type { Growth, Result } from "./result.ts"
import * as Calls from "./suites/calls.ts"
import * as GrowthSuite from "./suites/growth.ts"
import * as Http from "./suites/http.ts"
import * as Http2 from "./suites/http2.ts"
import * as InProcess from "./suites/inProcess.ts"
import * as Memory from "./suites/memory.ts"
import * as Mqtt from "./suites/mqtt.ts"
import * as Network from "./suites/network.ts"
import * as Observed from "./suites/observed.ts"
import * as Postgres from "./suites/postgres.ts"
import * as Relay from "./suites/relay.ts"
import * as Redis from "./suites/redis.ts"
import * as Rpc from "./suites/rpc.ts"
import * as Smtp from "./suites/smtp.ts"
import * as StartUp from "./suites/startUp.ts"
import { describe } from "./support/machine.ts"
import { parse, usage } from "./support/options.ts"
import { build, pinned, stepAside } from "./support/processes.ts"

const { help, list, options } = parse(process.argv.slice(2))

const run = async (): Promise<void> => {
  const known = available()
  const unknown = options.contenders.filter((id) => known.every((contender) => contender.id !== id))
  if (unknown.length > 0) throw new Error(`no such contender here: ${unknown.join(", ")}; try --list`)
  const contenders = known.filter(
    ({ id }) => id === baseline || options.contenders.length === 0 || options.contenders.includes(id)
  )

  const startedAt = performance.now()
  const machine = describe(contenders)
  for (const [label, text] of machine) console.log(`${label}: ${text}`)
  if (!pinned) console.warn("there is no taskset, or only one core: servers and load generator share what there is")
  build()
  stepAside()

  const results: Array<Result> = []
  const growths: Array<Growth> = []
  const onResult = (result: Result): void => {
    results.push(result)
    const [base, ...others] = result.entries
    const ratios = others.map((entry) => `${entry.id} ${ratio(entry.ratio)}`).join("  ")
    console.log(`${result.id.padEnd(26)} ${number(base!.median)} ${result.unit}  ${ratios}`)
  }
  const onGrowth = (growth: Growth): void => {
    growths.push(growth)
    console.log(growth.id)
  }
  const suites: ReadonlyArray<() => Promise<void>> = [
    () => Network.run(contenders, options, onResult),
    () => Observed.run(options, onResult),
    () => Relay.run(options, onResult),
    () => Memory.run(contenders, options, onResult),
    () => StartUp.run(contenders, options, onResult),
    () => InProcess.run(options, onResult),
    () => Calls.run(options, onResult),
    () => Http.run(options, onResult),
    () => Http2.run(options, onResult),
    () => Mqtt.run(options, onResult),
    () => Postgres.run(options, onResult),
    () => Redis.run(options, onResult),
    () => Rpc.run(options, onResult),
    () => Smtp.run(options, onResult),
    () => GrowthSuite.run(contenders, options, onGrowth)
  ]
  let failed = 0
  for (const suite of suites) {
    try {
      await suite()
    } catch (error) {
      // what others took long to measure is not thrown away for it
      console.error(error)
      process.exitCode = 1
      failed++
    }
  }

  const report = { results, growths }
  console.log(`\n${summary(report)}\n`)
  if (options.details) console.log(`${details(results)}\n`)
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  if (options.only.length > 0 || options.contenders.length > 0 || options.nodeFlags.length > 0) {
    if (!options.keep) {
      console.log(`Took ${seconds} s. Nothing is written: this was a part of the whole.`)
      return
    }
    const kept = join(import.meta.dirname, "results.md")
    const facts = new Map(machine)
    const how = `Measured apart from the rest: ${facts.get("date")}, load before the run ${facts.get("system")?.split("load before the run ")[1]}.`
    writeFileSync(kept, withGroups(readFileSync(kept, "utf8"), results, how))
    console.log(`Took ${seconds} s. Written: bench/results.md, the tables of what was run`)
    return
  }
  const { draw } = await import("./report/chart.ts")
  const missing = failed === 0 ? "" : ` Incomplete: of ${suites.length} suites ${failed} failed.`
  const how = `${options.rounds} rounds of ${options.millis} ms each, over ${options.starts} start${options.starts === 1 ? "" : "s"} of every process${options.quick ? " (a quick run: rough)" : ""}, ${seconds} s in all.${missing}`
  writeFileSync(join(import.meta.dirname, "results.svg"), draw(report))
  writeFileSync(join(import.meta.dirname, "results.md"), page(report, machine, how, "results.svg"))
  console.log(`Took ${seconds} s. Written: bench/results.md, bench/results.svg`)
}

if (help) console.log(usage)
else if (list) {
  console.log(`cases: ${cases.map(({ id }) => id).join(" ")}`)
  console.log(
    `       memory-untouched memory-used start-up ${InProcess.names.join(" ")} calls-redis-64 ${Http.names.join(" ")} ${Http2.names.join(" ")} ${Mqtt.names.join(" ")} ${Postgres.names.join(" ")} ${Redis.names.join(" ")} ${Rpc.names.join(" ")} ${Smtp.names.join(" ")} ${Observed.names.join(" ")} ${Relay.names.join(" ")}`
  )
  console.log("       growth-read-exactly growth-line growth-connections")
  console.log(
    `contenders: ${available()
      .map(({ id }) => id)
      .join(" ")}`
  )
} else await run()
