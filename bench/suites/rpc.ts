/** Effect's RPC: calls over sockets of this library, beside those over Effect's own. */
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { entriesOf, sliced } from "../support/slices.ts"

/** The ways of `readers/rpc.ts`, the one that is compared with first. */
const ways = [
  { id: "effectSocket", title: "NodeSocketServer.layer, NodeSocket.layerNet" },
  { id: "layerSocket", title: "Server.layerSocketServer, Connection.layerSocket" }
]

const suites = [
  { serialization: "ndjson", name: "ndjson", callers: 1 },
  { serialization: "ndjson", name: "ndjson", callers: 64 },
  { serialization: "binary", name: "schema-binary", callers: 64 }
].map((suite) => ({ ...suite, id: `rpc-${suite.serialization}-x${suite.callers}` }))

export const names = suites.map(({ id }) => id)

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  for (const { callers, id, name, serialization } of suites) {
    if (!wanted(options, id)) continue
    const readers = ways.map((way) => new ReaderProcess<number, number>("rpc", way.id, serialization, String(callers)))
    let rounds: ReadonlyArray<ReadonlyArray<number>>
    try {
      rounds = await sliced(readers, options)
    } finally {
      await Promise.all(readers.map((reader) => reader.stop()))
    }
    onResult({
      id,
      title: `RPC, ${name}, 64 B, one connection, ${callers} caller${callers === 1 ? "" : "s"}`,
      unit: "1/s",
      better: "more",
      entries: entriesOf(ways, rounds)
    })
  }
}
