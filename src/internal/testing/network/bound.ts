/** One address of a network in memory that is listened on, and the clients that come to it. */
import type { SocketAddress } from "effect/net/NetAddress"
import type { ListenEvents } from "../../../Network.ts"
import type * as Faults from "../../../testing/Faults.ts"
import type { Transport } from "../../../Transport.ts"
import type { Listen } from "../../base/networkOptions.ts"
import type { Link } from "./link.ts"

/** What is connected to. */
export type Target =
  | { readonly _tag: "Inet"; readonly address: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string }

/** Addresses in the spelling that `Endpoint.canonical` gives them. */
export const servesInet =
  (address: string, port: number, ipv6Only: boolean) =>
  (target: Target): boolean => {
    if (target._tag !== "Inet" || target.port !== port) return false
    if (address === "::") return !ipv6Only || target.address.includes(":")
    if (address === "0.0.0.0") return !target.address.includes(":")
    return address === target.address
  }

/** Is told of the connections that come. */
export interface Accepting extends ListenEvents {
  readonly onTransport: (transport: Transport) => void
}

/** One address that is listened on. */
export class Bound {
  readonly address: SocketAddress
  /** Whether connections to a target belong here. */
  readonly serves: (target: Target) => boolean
  readonly shared: boolean

  private readonly backlog: number
  private readonly accepting: Accepting
  /** Connected, and not accepted yet. */
  private readonly waiting: Array<Link> = []
  private acceptsFrom = -Infinity
  private closed = false

  constructor(address: SocketAddress, serves: (target: Target) => boolean, options: Listen, accepting: Accepting) {
    this.address = address
    this.serves = serves
    this.shared = options.reusePort
    // the least that systems hold
    this.backlog = Math.max(1, options.backlog)
    this.accepting = accepting
  }

  get full(): boolean {
    return this.waiting.length >= this.backlog
  }

  /** A client has come. */
  knock(link: Link, error: Extract<Faults.Fault, { readonly _tag: "AcceptError" }> | undefined): void {
    this.waiting.push(link)
    const { eventQueue } = link
    if (error !== undefined) {
      link.record("server", { kind: "fault", detail: `accept: ${error.code}` })
      this.accepting.onAcceptError?.({ kind: "Unknown", code: error.code })
      this.acceptsFrom = Math.max(this.acceptsFrom, eventQueue.now + error.retryAfter)
    }
    if (this.acceptsFrom > eventQueue.now) eventQueue.at(this.acceptsFrom, () => this.accept())
    else this.accept()
  }

  private accept(): void {
    while (!this.closed && this.waiting.length > 0 && this.acceptsFrom <= this.waiting[0]!.eventQueue.now) {
      const link = this.waiting.shift()!
      link.record("server", { kind: "accept" })
      this.accepting.onTransport(link.server)
    }
  }

  /** The program is gone. What becomes of those who wait is for its machine. */
  crash(): void {
    this.closed = true
    this.waiting.length = 0
  }

  close(): void {
    this.closed = true
    // a client that was not accepted is told, also over a Unix socket
    for (const link of this.waiting.splice(0)) link.server.reset()
  }
}
