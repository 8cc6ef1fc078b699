/** What a fault of a script does, and to which direction of which connection. */
import type * as Faults from "../../../testing/Faults.ts"
import * as Argument from "../../base/argument.ts"

/** The side that sends in a direction. */
export type Side = "client" | "server"

/** What happens in one direction, behind a number of bytes. */
export interface PathFault {
  readonly kind: "Reset" | "Fin" | "Stall" | "Vanish"
  readonly after: number
  /** How long a stall lasts: `Infinity` for ever. */
  readonly millis: number
}

/** The kinds of faults of a connection. */
export const ofConnections = [
  "Reset",
  "Fin",
  "Stall",
  "Vanish",
  "Refuse",
  "ConnectTimeout",
  "HostNotFound",
  "AcceptError"
] as const

/** The kinds of faults of hosts. */
export const ofHosts = ["Cut", "Crash"] as const

/** All kinds, for scripts and bounds that are no code, such as JSON. */
export const kinds: ReadonlyArray<Faults.Kind> = [...ofConnections, ...ofHosts]

/** A fault of no kind, or in an impossible place, would never happen, and no test would tell. */
export const checkFault = (operation: string, name: string, fault: Faults.Fault): void => {
  Argument.record(operation, name, fault)
  Argument.oneOf(operation, `${name}._tag`, fault._tag, kinds)
  if (fault._tag === "Cut") {
    checkPair(operation, `${name}.between`, fault.between)
    Argument.amount(operation, `${name}.at`, fault.at)
    if (fault.millis !== "forever") Argument.amount(operation, `${name}.millis`, fault.millis)
    return
  }
  if (fault._tag === "Crash") {
    checkHost(operation, `${name}.host`, fault.host)
    Argument.amount(operation, `${name}.at`, fault.at)
    Argument.oneOf(operation, `${name}.connections`, fault.connections, ["reset", "vanish"])
    return
  }
  Argument.positive(operation, `${name}.connection`, fault.connection)
  if ("from" in fault) {
    Argument.oneOf(operation, `${name}.from`, fault.from, ["client", "server"])
    Argument.count(operation, `${name}.after`, fault.after)
  }
  if (fault._tag === "Stall" && fault.millis !== "forever") {
    Argument.amount(operation, `${name}.millis`, fault.millis)
  }
  if (fault._tag === "AcceptError") Argument.amount(operation, `${name}.retryAfter`, fault.retryAfter)
}

/** A host is called by a name, or by an address. */
export const checkHost = (operation: string, name: string, host: unknown): string => {
  if (typeof host === "string" && host !== "") return host
  throw Argument.wrongType(operation, name, "the name of a host", host)
}

/** Nobody is cut off from itself. */
export const checkPair = (operation: string, name: string, pair: unknown): readonly [string, string] => {
  if (!Array.isArray(pair) || pair.length !== 2 || pair[0] === pair[1]) {
    throw Argument.wrongType(operation, name, "the names of two hosts", pair)
  }
  return [checkHost(operation, `${name}[0]`, pair[0]), checkHost(operation, `${name}[1]`, pair[1])]
}

/** A fault of hosts, which happens at a time. */
export type HostFault = Extract<Faults.Fault, { readonly _tag: "Cut" | "Crash" }>

export const isHostFault = (fault: Faults.Fault): fault is HostFault => fault._tag === "Cut" || fault._tag === "Crash"

/** The faults of one direction of a connection. */
export const faultsOf = (script: Faults.Script, number: number, from: Side): ReadonlyArray<PathFault> =>
  script.flatMap((fault) => {
    if (!("from" in fault) || fault.connection !== number || fault.from !== from) return []
    const millis = fault._tag === "Stall" && fault.millis !== "forever" ? fault.millis : Infinity
    return [{ kind: fault._tag, after: fault.after, millis }]
  })

/** What a direction can suffer. */
export interface Victim {
  /** A reset enters, and nothing behind it. */
  resetHere(): void
  /** The end enters, and nothing behind it. */
  endHere(): void
  /** Nothing passes for so long. */
  holdUp(millis: number): void
  /** Nothing passes any more, and what is sent fills the way. */
  lose(): void
}

/** What a fault does to the direction that it is in. A connection that vanishes does so for the other one as well. */
export const strike = ({ kind, millis }: PathFault, victim: Victim): void => {
  switch (kind) {
    case "Reset":
      return victim.resetHere()
    case "Fin":
      return victim.endHere()
    case "Stall":
      return millis === Infinity ? victim.lose() : victim.holdUp(millis)
    case "Vanish":
      return victim.lose()
  }
}

export const describeFault = ({ after, kind, millis }: PathFault): string => {
  const behind = `after ${after} B`
  if (kind === "Reset") return `reset ${behind}`
  if (kind === "Vanish") return `vanished ${behind}`
  return `stall ${behind} ${millis === Infinity ? "for ever" : `for ${millis} ms`}`
}
