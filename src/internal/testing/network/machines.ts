/** The machines of a network in memory: what is listened on and connected on each of them, and between which nothing passes. */
import * as Argument from "../../base/argument.ts"
import * as Endpoint from "../../base/endpoint.ts"
import type { LoadTls } from "../../transport/tlsEngine.ts"
import type { EventQueue } from "./eventQueue.ts"
import type { HostFault } from "./faults.ts"
import type { Link } from "./link.ts"
import { Listeners } from "./listeners.ts"
import type { Names } from "./names.ts"

const isLoopback = (address: string): boolean => address === "::1" || address.startsWith("127.")

/** What runs on a machine from when it starts until it crashes. */
export interface Life {
  readonly hasCrashed: boolean
  /** Nothing goes on any more. */
  stop(): void
  /** Those outside who wait for it learn of it. */
  tell(): void
}

export class Machine {
  /** `undefined`: the machine of all who connect and listen without a host. */
  readonly name: string | undefined
  /** Canonical. The machine without a name has all that nobody else has. */
  readonly addresses: ReadonlyArray<string>
  readonly listeners: Listeners
  /** The connections that end here, unless both ends have let go. */
  readonly links = new Set<Link>()
  life: Life | undefined = undefined
  /** Whether nothing answers here, not even to say that nobody listens. */
  isDown = false

  constructor(name: string | undefined, addresses: ReadonlyArray<string>, names: Names, loadTls: LoadTls) {
    this.name = name
    this.addresses = addresses
    this.listeners = new Listeners(
      names,
      loadTls,
      name === undefined ? undefined : (address) => isLoopback(address) || addresses.includes(address)
    )
  }

  /** The address that others see, on a connection to an address of theirs. */
  addressTo(address: string): string {
    const isV6 = address.includes(":")
    const own = isLoopback(address) ? undefined : this.addresses.find((one) => one.includes(":") === isV6)
    return own ?? (isV6 ? "::1" : "127.0.0.1")
  }

  crash(fate: "reset" | "vanish"): void {
    const { life } = this
    if (life === undefined || life.hasCrashed) return
    this.isDown = fate === "vanish"
    this.listeners.crash()
    const links = Array.from(this.links)
    for (const link of links) link.record("client", { kind: "fault", detail: `${this.name} crashed` })
    // nobody here notices what becomes of the connections
    life.stop()
    for (const link of links) link.endOn(this)?.crash(fate)
    // last: somebody may start it again at once
    life.tell()
  }

  /** It begins anew, with nothing but its name and its addresses. */
  start(life: Life): void {
    this.life = life
    this.isDown = false
    for (const link of Array.from(this.links)) link.endOn(this)?.revive()
  }
}

/** Where somebody connects from. */
export interface Origin {
  readonly machine: Machine
  /** Whether it has not crashed. */
  readonly isThere: () => boolean
  /** What drives the connections, also when it has. */
  readonly eventQueue: EventQueue
}

export class Machines {
  /** The machine of all who connect and listen without a host. */
  readonly nameless: Machine
  private readonly names: Names
  private readonly loadTls: LoadTls
  private readonly named = new Map<string, Machine>()
  private readonly cuts = new Set<string>()
  /** Those that wait for a cut to heal, or for a host to start again. */
  private readonly waiting = new Set<() => void>()

  constructor(names: Names, loadTls: LoadTls) {
    this.names = names
    this.loadTls = loadTls
    this.nameless = new Machine(undefined, [], names, loadTls)
  }

  private get all(): ReadonlyArray<Machine> {
    return [this.nameless, ...this.named.values()]
  }

  /** What is open, and what is wrong, for people. */
  get describe(): ReadonlyArray<string> {
    const links = new Set(this.all.flatMap((machine) => Array.from(machine.links)))
    return [
      ...Array.from(links)
        .toSorted((a, b) => a.number - b.number)
        .map((link) => link.describe),
      ...Array.from(
        this.cuts,
        (key) => `${(JSON.parse(key) as ReadonlyArray<string>).join(" and ")} are cut off from each other`
      ),
      ...this.all.flatMap(({ life, name }) => (life?.hasCrashed === true ? [`${name} has crashed`] : []))
    ]
  }

  /** The machine of a name, which there is from the first time that it is asked for. */
  make(operation: string, name: string): Machine {
    const known = this.named.get(name)
    if (known !== undefined) return known
    const addresses = (this.names.resolve(name) ?? []).map(Endpoint.canonical)
    if (addresses.length === 0) {
      throw new Error(`${operation}: ${JSON.stringify(name)} has no address, as the hosts of the options have it`)
    }
    for (const address of addresses) {
      const other = isLoopback(address) ? "every host" : this.ownerOf(address)?.name
      if (other !== undefined) {
        throw new Error(`${operation}: ${JSON.stringify(name)} has the address ${address}, which is that of ${other}`)
      }
    }
    const machine = new Machine(name, addresses, this.names, this.loadTls)
    this.named.set(name, machine)
    return machine
  }

  /** A machine that there is: a name that nobody has is a mistake. */
  get(operation: string, name: unknown): Machine {
    const machine = typeof name === "string" ? this.named.get(name) : undefined
    if (machine !== undefined) return machine
    const known = [...this.named.keys()].map((one) => JSON.stringify(one)).join(", ")
    const hosts = known === "" ? "there are none yet" : `there are ${known}`
    throw new Error(`${operation}: ${Argument.shown(name)} is not the name of a host: ${hosts}`)
  }

  /** Something begins to run on a machine. */
  start(machine: Machine, life: Life): void {
    machine.start(life)
    this.wakeWaiting()
  }

  /** Whether something on a host is there for another host. */
  isReachable(from: string, name: string): boolean {
    return !this.isCut(from, name) && this.named.get(name)?.life?.hasCrashed !== true
  }

  /** The machine that is met at an address. */
  at(from: Machine, address: string): Machine {
    return isLoopback(address) ? from : (this.ownerOf(address) ?? this.nameless)
  }

  private ownerOf(address: string): Machine | undefined {
    for (const machine of this.named.values()) if (machine.addresses.includes(address)) return machine
    return undefined
  }

  // ------------------------------------------------------------------------
  // faults of a script
  // ------------------------------------------------------------------------

  /** Makes appointments for what happens at a time, counted from now. */
  schedule(faults: ReadonlyArray<HostFault>, eventQueue: EventQueue): void {
    const began = eventQueue.now
    /** Cuts of the same two may overlap: the last end counts. */
    const ends = new Map<string, number>()
    for (const fault of faults) {
      if (fault._tag === "Crash") {
        eventQueue.at(began + fault.at, () => this.named.get(fault.host)?.crash(fault.connections))
        continue
      }
      const [a, b] = fault.between
      const key = keyOf(a, b)
      const end = fault.millis === "forever" ? Infinity : fault.at + fault.millis
      eventQueue.at(began + fault.at, () => {
        ends.set(key, Math.max(end, ends.get(key) ?? 0))
        this.cut(a, b)
      })
      if (end === Infinity) continue
      eventQueue.at(began + end, () => {
        if (ends.get(key) === end) this.heal(a, b)
      })
    }
  }

  // ------------------------------------------------------------------------
  // cuts
  // ------------------------------------------------------------------------

  isCut(a: string | undefined, b: string | undefined): boolean {
    return a !== undefined && b !== undefined && this.cuts.has(keyOf(a, b))
  }

  cut(a: string, b: string): void {
    this.cuts.add(keyOf(a, b))
    for (const link of this.between(a, b)) link.sever()
  }

  heal(a: string, b: string): void {
    if (!this.cuts.delete(keyOf(a, b))) return
    for (const link of this.between(a, b)) link.mend()
    this.wakeWaiting()
  }

  private wakeWaiting(): void {
    for (const resume of Array.from(this.waiting)) resume()
  }

  /** Calls back when something may be reachable again; returns how to wait no longer. */
  onChange(task: () => void): () => void {
    this.waiting.add(task)
    return () => void this.waiting.delete(task)
  }

  private between(a: string, b: string): ReadonlyArray<Link> {
    const there = this.named.get(b)
    if (there === undefined) return []
    return Array.from(this.named.get(a)?.links ?? []).filter((link) => there.links.has(link))
  }
}

const keyOf = (a: string, b: string): string => JSON.stringify([a, b].toSorted())
