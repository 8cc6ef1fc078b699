/**
 * For tests that hold over TLS of either kind: on the socket for good, and with a way back to plain text, for which all
 * that is sent takes another way.
 */
import { connectTls, serveTls, tlsPair } from "./tlsPair.ts"
import { facing } from "./tlsPeer.ts"

interface Way {
  readonly way: string
  /** The option that makes the difference. */
  readonly stoppable: boolean
  readonly facing: typeof facing
  readonly tlsPair: typeof tlsPair
  readonly serveTls: typeof serveTls
  readonly connectTls: typeof connectTls
}

export const tlsWays: ReadonlyArray<Way> = [false, true].map((stoppable) => ({
  way: stoppable ? "with a way back" : "for good",
  stoppable,
  facing: (side, options) => facing(side, { ...options, tls: { stoppable, ...options?.tls } }),
  tlsPair: (options) =>
    tlsPair({ ...options, server: { stoppable, ...options?.server }, client: { stoppable, ...options?.client } }),
  serveTls: (tls, options) => serveTls({ stoppable, ...tls }, options),
  connectTls: (port, tls, options) => connectTls(port, { stoppable, ...tls }, options)
}))
