/** Connections and what happens to them, in words. */
import * as Duration from "effect/Duration"
import * as NetAddress from "effect/net/NetAddress"
import type { ConnectionEvent, Event, OpeningEvent, ServerEvent } from "../../Observer.ts"
import type { ConnectionInfo } from "../../Transport.ts"
import { count } from "./dump.ts"

type Address = NonNullable<ConnectionInfo["local"]>

export const address = (address: Address): string =>
  address._tag === "UnixPathAddress" ? address.path : NetAddress.formatInet(address)

/** The peer, or this side where the peer has no address. `undefined` where neither has one. */
export const peer = ({ local, remote }: ConnectionInfo): string | undefined => {
  const known = remote ?? local
  return known === undefined ? undefined : address(known)
}

const addresses = (all: ReadonlyArray<Address>): string => all.map(address).join(", ")

const with_ = (info: ConnectionInfo): string => {
  const known = peer(info)
  return known === undefined ? "" : ` with ${known}`
}

/** Without the operation, which is that of nobody here. */
export const failure = ({ message }: Error): string => message.replace(/^closed: /, "")

/** Events that have their connection, and what there is to say beside that. */
export const ofConnection = (event: ConnectionEvent): string => {
  switch (event._tag) {
    case "Opened": {
      const { local, tls } = event.connection.info
      return `opened${local === undefined ? "" : ` at ${address(local)}`}${tls === undefined ? "" : `, ${tls.protocol}`}`
    }
    case "Admitted":
      return "admitted"
    case "Ended":
      return "the peer has ended its output"
    case "Upgraded": {
      const { tls } = event.connection.info
      return tls === undefined ? "TLS has ended" : `upgraded to ${tls.protocol}`
    }
    case "Closing":
      return "closing"
    case "Paused":
      return `${event.direction} paused by the ${event.reason}`
    case "Resumed":
      return `${event.direction} resumed, paused by the ${event.reason} until now`
    case "TimedOut":
      return `the ${event.kind} timeout of ${Duration.format(event.duration)} expired`
    case "Failed":
      return `failed: ${failure(event.error)}`
    case "Closed": {
      const { bytesRead, bytesWritten } = event.connection.snapshot()
      return `closed: ${event.outcome._tag}, ${count(bytesRead)} in, ${count(bytesWritten)} out`
    }
  }
}

/** Events of what is no connection yet, or none of its own. */
export const ofOthers = (event: OpeningEvent | ServerEvent): string => {
  switch (event._tag) {
    case "Connecting":
      return `#${event.id} connecting to ${event.target}`
    case "AttemptStarted":
      return `#${event.id} trying ${event.address}`
    case "AttemptFailed":
      return `#${event.id} ${event.attempt.address} failed: ${event.attempt.code ?? event.attempt.kind}`
    case "ConnectFailed":
      return `#${event.id} ${reason(`connecting to ${event.target}`, event.error)}`
    case "HandshakeStarted":
      return `#${event.id} ${event.side} handshake${with_(event.info)} started`
    case "HandshakeSucceeded": {
      const { tls } = event.info
      return `#${event.id} ${event.side} handshake${with_(event.info)} succeeded${tls === undefined ? "" : `: ${tls.protocol}`}`
    }
    case "HandshakeFailed":
      return `#${event.id} ${reason(`${event.side} handshake${with_(event.info)}`, event.error)}`
    case "Listening":
      return `listening at ${addresses(event.addresses)}`
    case "AcceptFailed":
      return `accept failed: ${event.failure.code ?? event.failure.kind}`
    case "Rejected":
      return `#${event.id} ${peer(event.info) ?? "a client"} was rejected: ${event.reason}`
    case "ShutdownStarted":
      return `shutting down at ${addresses(event.addresses)}, within ${Duration.format(event.gracePeriod)}`
    case "ShutdownEnded":
      return `shut down at ${addresses(event.addresses)}: ${event.completed} completed, ${event.aborted} aborted`
  }
}

const reason = (what: string, error: Error | undefined): string =>
  error === undefined ? `${what} was given up` : `${what} failed: ${error.message}`

/** Whether an event has its connection. */
export const hasConnection = (event: Event): event is ConnectionEvent => "connection" in event
