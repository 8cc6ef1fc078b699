/** What lies between all pairs of ends of a network in memory. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Faults from "../../../testing/Faults.ts"
import type * as TestNetwork from "../../../testing/TestNetwork.ts"
import type { ConnectionInfo } from "../../../Transport.ts"
import * as Argument from "../../base/argument.ts"
import * as Defaults from "../../base/defaults.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"
import * as Random from "../random.ts"
import { cutter } from "./chunking.ts"
import { EventQueue } from "./eventQueue.ts"
import { checkFault, faultsOf, type HostFault, isHostFault, type Side } from "./faults.ts"
import { type Direction, Link, type OnMachine } from "./link.ts"
import type { Path } from "./pipe.ts"
import { Recorder } from "./timeline.ts"

/** Turns without anything to do after which a network is taken to be at rest. */
const settledTurns = 10
const neverSettled = `settled: the network has not come to rest for ${Defaults.settledMillis / 1000} seconds: somebody goes on and on`
/** The wire between all pairs of ends of one network. */
export class Wire {
  readonly seed: number
  readonly recorder = new Recorder()
  readonly faults: Faults.Script
  private readonly operation: string
  private readonly options: TestNetwork.WireOptions
  private readonly loadTls: LoadTls
  private readonly room: Record<Side, Path["room"]> | undefined
  private readonly eventQueues = new Map<Clock.Clock, EventQueue>()

  /** `room` replaces the capacity of the options, for each sending side. */
  constructor(
    operation: string,
    options: TestNetwork.WireOptions,
    loadTls: LoadTls,
    room?: Record<Side, Path["room"]>
  ) {
    const { faults = [], seed = Defaults.seed } = Argument.record(operation, "options", options)
    this.operation = operation
    this.options = options
    this.loadTls = loadTls
    this.room = room
    this.seed = Argument.finite(operation, "seed", seed)
    if (!Array.isArray(faults)) throw Argument.wrongType(operation, "faults", "an array", faults)
    this.faults = faults
    // wrong settings are found when they are made, not when they are first used
    this.faults.forEach((fault, index) => checkFault(operation, `faults[${index}]`, fault))
    this.direction("client", 1)
    this.direction("server", 1)
  }

  /** What drives all connections under one clock. */
  eventQueue(context: Context.Context<never>): EventQueue {
    const clock = Context.get(context, Clock.Clock)
    let eventQueue = this.eventQueues.get(clock)
    if (eventQueue === undefined) this.eventQueues.set(clock, (eventQueue = new EventQueue(context)))
    return eventQueue
  }

  link(
    number: number,
    eventQueue: EventQueue,
    info: Record<Side, ConnectionInfo>,
    machines?: Record<Side, OnMachine>
  ): Link {
    return new Link(
      number,
      eventQueue,
      this.recorder,
      this.loadTls,
      { client: this.direction("client", number), server: this.direction("server", number) },
      info,
      machines
    )
  }

  latency(from: Side): number {
    const { latency } = this.pathOptions(from)
    return latency === undefined
      ? 0
      : Duration.toMillis(Argument.duration(this.operation, `${pathOf(from)}.latency`, latency))
  }

  fault<Tag extends Exclude<Faults.Fault, HostFault>["_tag"]>(
    number: number,
    tag: Tag
  ): Extract<Faults.Fault, { readonly _tag: Tag }> | undefined {
    return this.faults.find(
      (fault) => !isHostFault(fault) && fault.connection === number && fault._tag === tag
    ) as never
  }

  /** What crossed it, with what it takes to see it again. */
  timeline(connection?: number): string {
    return this.recorder.render([`seed ${this.seed}`, ...Faults.format(this.faults).split("\n")], connection)
  }

  /** Waits until nothing is due, and has not been for a few turns in which programs could react. */
  readonly settled: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    const began = Date.now()
    let seen = -1
    for (let quiet = 0; quiet < settledTurns; quiet++) {
      yield* Effect.yieldNow
      if (Date.now() - began > Defaults.settledMillis) throw new Error(neverSettled)
      let turns = 0
      let busy = false
      for (const eventQueue of this.eventQueues.values()) {
        turns += eventQueue.turns
        busy ||= eventQueue.busy
      }
      if (busy || turns !== seen) quiet = 0
      seen = turns
    }
  })

  /** Nothing moves any more. */
  stop(): void {
    for (const eventQueue of this.eventQueues.values()) eventQueue.stop()
  }

  private pathOptions(from: Side): TestNetwork.Path {
    const path = this.options[pathOf(from)]
    return path === undefined ? {} : Argument.record(this.operation, pathOf(from), path)
  }

  private direction(from: Side, number: number): Direction {
    const { bandwidth, capacity = Defaults.capacity, chunking = "asIs" } = this.pathOptions(from)
    const name = (option: string) => `${pathOf(from)}.${option}`
    if (bandwidth !== undefined) Argument.rate(this.operation, name("bandwidth"), bandwidth)
    Argument.limit(this.operation, capacity, name("capacity"))
    const path: Path = {
      latency: this.latency(from),
      millisPerByte: bandwidth === undefined ? 0 : 1000 / bandwidth,
      cut: cutter(
        this.operation,
        name("chunking"),
        chunking,
        Random.derive(this.seed, number, from === "client" ? 1 : 2)
      ),
      room: this.room?.[from] ?? ((occupied) => capacity - occupied)
    }
    return { path, faults: faultsOf(this.faults, number, from) }
  }
}

const pathOf = (from: Side): "fromClient" | "fromServer" => (from === "client" ? "fromClient" : "fromServer")

// ---------------------------------------------------------------------------
// timelines of single connections
// ---------------------------------------------------------------------------

const wires = new WeakMap<ConnectionInfo, Wire>()

/** Remembers which wire a connection is on, by its info, which it keeps for good. */
export const remember = (info: ConnectionInfo, wire: Wire): void => void wires.set(info, wire)

export const timelineOf = (info: ConnectionInfo): string | undefined => wires.get(info)?.timeline()
