/**
 * The client of HTTP/2 in examples/protocols beside that of Node: one way of it a process. Started with the way, the port of a
 * server and its certificate, it counts responses of 1 KB.
 */
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as http2 from "node:http2"
import { connect } from "../../examples/protocols/http2.ts"
import { type Work, workWhenAsked } from "./support/worked.ts"

const [way, port, ca] = [process.argv[2]!, Number(process.argv[3]), process.argv[4]!]

const callers = 100
const path = "/1k.txt"

const check = (length: number): void => {
  if (length !== 1024) throw new Error(`${way}: a body of ${length} bytes`)
}

/** What is connected once, and asks until a moment: how many answers came. */
type Way = () => Promise<Work>

const ways: Record<string, Way> = {
  node: async () => {
    const client = http2.connect(`https://localhost:${port}`, { ca })
    const get = () =>
      new Promise<void>((resolve, reject) => {
        const request = client.request({ ":path": path })
        const parts: Array<Buffer> = []
        request.on("data", (part: Buffer) => parts.push(part))
        request.on("end", () => {
          check(Buffer.concat(parts).length)
          resolve()
        })
        request.on("error", reject)
        request.end()
      })
    return async (until) => {
      let answers = 0
      const caller = async (): Promise<void> => {
        while (performance.now() < until) {
          await get()
          answers++
        }
      }
      await Promise.all(Array.from({ length: callers }, caller))
      return answers
    }
  },
  example: async () => {
    const client = await connect({ host: "localhost", port, tls: { ca } }).pipe(
      Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
      Effect.provide(NodeNetwork.layer),
      Effect.runPromise
    )
    return (until) => {
      let answers = 0
      const caller = Effect.gen(function* () {
        while (performance.now() < until) {
          check((yield* client.fetch({ path })).body.length)
          answers++
        }
      })
      const all = Effect.all(
        Array.from({ length: callers }, () => caller),
        { concurrency: "unbounded", discard: true }
      )
      return Effect.runPromise(Effect.map(all, () => answers))
    }
  }
}

workWhenAsked(ways[way]!())
