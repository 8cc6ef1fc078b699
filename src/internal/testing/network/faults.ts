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

/** A fault in an impossible place would never happen, and no test would tell. */
export const checkFault = (operation: string, name: string, fault: Faults.Fault): void => {
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

/** The faults of one direction of a connection. */
export const faultsOf = (script: Faults.Script, number: number, from: Side): ReadonlyArray<PathFault> =>
  script.flatMap((fault) => {
    if (fault.connection !== number || !("from" in fault) || fault.from !== from) return []
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
