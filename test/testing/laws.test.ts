/**
 * The laws of a byte stream, over what most programs use. A new kind of connection is one more entry; those that fewer
 * use are in `lawsOfNodeStreams`, `lawsOfOthers` and `lawsOfPeers`.
 */
import { Effect } from "effect"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { authority, certificates } from "../support/certificates.ts"
import { checkLaws } from "../support/laws.ts"
import {
  endsInGoodOrder,
  lending,
  linkedPair,
  overDuplexes,
  overMemory,
  overNode,
  unix
} from "../support/streamSubjects.ts"

const host = "127.0.0.1"

const tcp = overNode("TCP", { host, port: 0 })
const tls = overNode(
  "TLS",
  { host, port: 0, tls: { identity: certificates.server.identity } },
  { host, tls: { ca: authority.cert } }
)

checkLaws([
  { name: "memory", pair: (options) => TestNetwork.pair(options) },
  overMemory("a network in memory", {}),
  { ...overMemory("a Unix socket in memory", {}, { path: "/run/laws.sock" }), ...endsInGoodOrder },
  { name: "memory, lock-step", pair: (options) => TestNetwork.lockstep(options) },
  tcp,
  lending(tcp),
  unix,
  tls,
  lending(tls),
  overDuplexes(
    "a Node Duplex",
    Effect.sync(() => linkedPair())
  )
])
