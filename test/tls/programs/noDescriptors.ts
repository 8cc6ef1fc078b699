/** Begins with TLS while there is no descriptor left to read the modules by that it needs, and again when there is one. */
import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import { Effect, Redacted } from "effect"
import { closeSync, openSync } from "node:fs"

const [plainPort, tlsPort] = process.argv.slice(2).map(Number)
const host = "127.0.0.1"
const tls = { dangerouslyAcceptAnyCertificate: true, serverName: "localhost" } as const

/** Takes all descriptors that are left, and answers what gives them back. */
const takeAll = (): (() => void) => {
  const taken: Array<number> = []
  try {
    for (;;) taken.push(openSync("/dev/null", "r"))
  } catch {
    return () => taken.forEach(closeSync)
  }
}

const outcomeOf = <A, E extends object, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, {
    onFailure: (error) => {
      const { _tag, code, operation } = error as Record<string, unknown>
      return [_tag, operation, code].join(" ")
    },
    onSuccess: () => "fine"
  }).pipe(
    Effect.catchDefect((defect) => Effect.succeed(`died: ${String(defect)}`)),
    Effect.map((line) => console.log(line))
  )

const connect = Effect.scoped(openConnection({ host, port: tlsPort!, tls }))

const program = Effect.gen(function* () {
  const plain = yield* openConnection({ host, port: plainPort! })
  const giveBack = takeAll()
  const identity = { cert: "", key: Redacted.make("") }
  yield* outcomeOf(Effect.scoped(startServer({ host, port: 0, tls: { identity } }, () => Effect.void)))
  yield* outcomeOf(connect)
  yield* outcomeOf(plain.startTls({ side: "client", ...tls }))
  yield* outcomeOf(plain.writer.write("too late"))
  giveBack()
  yield* outcomeOf(connect)
})

Effect.runFork(program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer)))
