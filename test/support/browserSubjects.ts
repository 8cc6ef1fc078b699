/** What is held to the laws in a browser. It is bundled, and needs nothing of Node. */
import { Effect, Exit, Layer, Redacted, Scheduler } from "effect"
import * as fc from "fast-check"
import * as Connection from "../../src/Connection.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as Server from "../../src/Server.ts"
import * as ExchangeLaws from "../../src/testing/ExchangeLaws.ts"
import * as FrameLaws from "../../src/testing/FrameLaws.ts"
import * as StreamLaws from "../../src/testing/StreamLaws.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"
import { exchanges, otherExchanges } from "./exchangeSubjects.ts"
import { constructors } from "./frames.ts"
import { bytePipe, overPipes, thereAndBack, type WebStreams } from "./webStreams.ts"

/** Turns of a browser take long, and it may have to share its processor. */
const patience = "60 seconds"

interface Subject {
  readonly name: string
  readonly checks: ReadonlyArray<{ readonly name: string; readonly check: Effect.Effect<unknown, unknown> }>
}

const patiently = <A, E>(check: Effect.Effect<A, E>) => Effect.provideService(check, StreamLaws.patience, patience)

const streams = <E>(name: string, pair: StreamLaws.MakePair<E>): Subject => ({
  name,
  checks: StreamLaws.all.map((law) => ({ name: law.name, check: patiently(law.check(pair)) }))
})

const inMemory = Effect.flatMap(Layer.build(TestNetwork.layer), (services) =>
  Effect.provideContext(StreamLaws.overNetwork({ port: 0 }), services)
)

const transports: Subject = {
  name: "transports of a network in memory",
  checks: StreamLaws.transport.map((law) => ({ name: law.name, check: patiently(law.check(inMemory)) }))
}

const pipes = (name: string, pipe: () => WebStreams): Subject => streams(name, overPipes(pipe))

const frames: Subject = {
  name: "frames",
  checks: constructors.flatMap(({ frame, name, values }) =>
    FrameLaws.all.map((law) => ({
      name: `${name}: ${law.name}`,
      check: law.check({ frame, values: fc.sample(values, { numRuns: 4, seed: 1 }) })
    }))
  )
}

const ofExchanges: Subject = {
  name: "exchanges",
  checks: [...exchanges, ...otherExchanges].flatMap(([name, subject]) =>
    ExchangeLaws.all.map((law) => ({ name: `${name}: ${law.name}`, check: law.check(subject, { scenarios: 4 }) }))
  )
}

/** Sees that an effect ends as it should: `found` is looked for in what it ends with. */
const ends = (name: string, found: RegExp, effect: Effect.Effect<unknown, unknown>) => ({
  name,
  check: Effect.flatMap(Effect.exit(effect), (exit) => {
    const text = Exit.isSuccess(exit) ? "success" : String(exit.cause)
    return found.test(text) ? Effect.void : Effect.fail(new Error(`${text} does not match ${found}`))
  })
})

const tls = { identity: { cert: "", key: Redacted.make("") } }

const ofNode: Subject = {
  name: "what is Node's",
  checks: [
    {
      name: "there is nothing of Node",
      check: Effect.sync(() => {
        for (const name of ["process", "Buffer", "setImmediate", "global"]) {
          if (name in globalThis) throw new Error(`there is ${name}`)
        }
      })
    },
    ends(
      "a connection that is asked of NodeNetwork",
      /Die.*openConnection: .* browser/,
      Effect.scoped(Connection.openConnection({ host: "127.0.0.1", port: 1 })).pipe(Effect.provide(NodeNetwork.layer))
    ),
    ends(
      "a server that is asked of NodeNetwork",
      /Die.*startServer: .* browser/,
      Effect.scoped(Server.startServer({ port: 0 }, () => Effect.void)).pipe(
        Effect.provide(NodeNetwork.layerWith({ lookup: () => Promise.resolve([]) }))
      )
    ),
    ends(
      "a TLS connection over a network in memory",
      /Fail.*TlsFailed.*openConnection: this transport cannot begin TLS: .* browser/,
      TestNetwork.simulate(Effect.scoped(Connection.openConnection({ host: "a.example", port: 1, tls: true })))
    ),
    ends(
      "a TLS server over a network in memory",
      /Fail.*ListenFailed.*cannot listen on \*:1: Tls: startServer: .* browser/,
      TestNetwork.simulate(Effect.scoped(Server.startServer({ port: 1, tls }, () => Effect.void)))
    ),
    ends(
      "STARTTLS over a network in memory",
      /Fail.*TlsFailed.*startTls: this transport cannot begin TLS: .* browser/,
      Effect.scoped(Effect.flatMap(TestNetwork.pair(), ({ left }) => left.startTls({ side: "client" })))
    ),
    ends("standard input and output", /Die.*Connection.stdio: .*no process/, Effect.scoped(Connection.stdio()))
  ]
}

/** A task for the next turn, without the four milliseconds that browsers make nested timers wait. */
const byMessage = (task: () => void): (() => void) => {
  const { port1, port2 } = new MessageChannel()
  let cancelled = false
  port1.addEventListener("message", () => {
    port1.close()
    if (!cancelled) task()
  })
  port1.start()
  port2.postMessage(undefined)
  return () => {
    cancelled = true
  }
}

/** The same checks, with a scheduler that a program may choose for its speed. */
const quickly = ({ checks, name }: Subject): Subject => ({
  name: `${name}, by messages`,
  checks: checks.map(({ check, name }) => ({
    name,
    check: Effect.suspend(() =>
      Effect.provideService(check, Scheduler.Scheduler, new Scheduler.MixedScheduler("async", byMessage))
    )
  }))
})

const memory = streams("memory", (options) => TestNetwork.pair(options))
const withRoom = pipes("streams of the Web with room", () => new TransformStream({}, {}, { highWaterMark: 1 }))

export const subjects: ReadonlyArray<Subject> = [
  ofNode,
  memory,
  withRoom,
  ...[
    memory,
    withRoom,
    streams("memory, lock-step", (options) => TestNetwork.lockstep(options)),
    streams("a network in memory", StreamLaws.fromTransports(inMemory)),
    transports,
    pipes("streams of the Web without room", () => new TransformStream()),
    pipes("byte streams of the Web", bytePipe),
    streams(
      "streams of the Web over memory",
      thereAndBack((options) => TestNetwork.pair(options))
    ),
    frames,
    ofExchanges
  ].map(quickly)
]
