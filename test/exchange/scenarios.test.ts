/** Laws of exchanges beyond calls, in random scenarios; and constructors that break them, which are told by what they do. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schedule } from "effect"
import type * as Connection from "../../src/Connection.ts"
import type * as Exchange from "../../src/Exchange.ts"
import {
  type Counts,
  coming,
  dialogues,
  type Law,
  laws,
  patience,
  sound,
  type Subject
} from "../support/exchangeScenarios.ts"

const scenarios = 100

/** What has to be put on trial, and how often, for a law to prove something. */
const atLeast = new Map<Law, Counts>([
  [
    dialogues,
    { dialogues: 300, "dialogues cut short": 30, "interrupted before their turn": 60, lost: 150, released: 40 }
  ],
  [patience, { "out of patience": 100, "given up": 25 }],
  [coming, { connections: 120, "lost: No": 100, "lost: Maybe": 40 }]
])

describe("exchanges", () => {
  for (const law of laws) {
    it(law.name, async () => {
      const counts = await law.check(sound, { scenarios })
      console.log(counts)
      for (const [what, count] of Object.entries(atLeast.get(law)!)) assert.isAtLeast(counts[what] ?? 0, count, what)
    })
  }
})

type Lines = Exchange.Exchange<string, string>

/** The same, but for some of its members. */
const but = (exchange: Lines, members: Partial<Lines>): Lines =>
  Object.create(exchange, Object.getOwnPropertyDescriptors(members)) as Lines

const exchanging = (members: (exchange: Lines, connection: Connection.Connection) => Partial<Lines>): Subject => ({
  ...sound,
  pipelined: (connection, options) =>
    Effect.map(sound.pipelined(connection, options), (exchange) => but(exchange, members(exchange, connection)))
})

const pipelined = (change: (options: Exchange.PipelinedOptions<string, string>) => object): Subject => ({
  ...sound,
  pipelined: (connection, options) => sound.pipelined(connection, { ...options, ...change(options) })
})

const reconnecting = (change: (options: Exchange.ReconnectingOptions<string, string, unknown>) => object): Subject => ({
  ...sound,
  reconnecting: (open, options) => sound.reconnecting(open, { ...options, ...change(options) })
})

/** Gives up where nothing has been answered for so long, whether anything is awaited or not. */
const stallsWhenIdle: Subject = {
  ...sound,
  pipelined: (connection, { stallTimeout, ...options }) =>
    Effect.gen(function* () {
      const exchange = yield* sound.pipelined(connection, options)
      if (stallTimeout === undefined) return exchange
      let answers = 0
      const watch = Effect.gen(function* () {
        for (let before = -1; before !== answers;) {
          before = answers
          yield* Effect.sleep(stallTimeout)
        }
        yield* connection.abort
      })
      yield* Effect.forkScoped(watch)
      const call = (request: string) =>
        Effect.ensuring(
          exchange.call(request),
          Effect.sync(() => answers++)
        )
      return but(exchange, { call })
    })
}

const broken: ReadonlyArray<readonly [fault: string, Law, Subject, found: RegExp]> = [
  [
    "a dialogue does not wait for its turn",
    dialogues,
    exchanging((_, { reader, writer }) => ({ exclusive: (dialogue) => dialogue(reader, writer) })),
    /./
  ],
  [
    "a dialogue that is interrupted gives the connection back",
    dialogues,
    exchanging(({ exclusive }) => ({
      exclusive: (dialogue) =>
        Effect.gen(function* () {
          const left = yield* Deferred.make<Exit.Exit<never>>()
          // in a fiber of its own, which nobody interrupts
          const speaking = yield* Effect.forkDetach(
            exclusive((reader, writer) => Effect.raceFirst(Effect.exit(dialogue(reader, writer)), Deferred.await(left)))
          )
          const leave = Deferred.succeed(left, Exit.interrupt())
          return yield* Effect.flatten(Effect.onInterrupt(Fiber.join(speaking), () => leave))
        })
    })),
    /was cut short, and the exchange goes on|was given|the exchange has ended, with nothing wrong/
  ],
  [
    "what was read ahead is lost when the connection is released",
    dialogues,
    exchanging((exchange) => ({
      release: Effect.tap(
        Effect.suspend(() => exchange.release),
        ({ reader }) =>
          Effect.orDie(
            Effect.andThen(
              Effect.sleep(100),
              Effect.flatMap(reader.buffered, (count) => reader.skip(count))
            )
          )
      )
    })),
    /what was behind the last answer/
  ],
  [
    "the connection is released before those in flight are answered",
    dialogues,
    exchanging((exchange, connection) => ({ release: Effect.succeed(connection) })),
    /./
  ],
  [
    "callers are twice as patient",
    patience,
    pipelined(({ callTimeout }) => ({ callTimeout: callTimeout === undefined ? undefined : 2 * Number(callTimeout) })),
    /took \d+ ms of \d+/
  ],
  [
    "silence is borne",
    patience,
    pipelined(() => ({ stallTimeout: undefined })),
    /was awaited in silence for \d+ ms of \d+|never come to an end/
  ],
  ["being idle is silence", patience, stallsWhenIdle, /the connection was given up at|was given up because/],
  [
    "what may have been sent is sent again",
    coming,
    {
      ...sound,
      reconnecting: (open, options) =>
        Effect.map(sound.reconnecting(open, options), (exchange) =>
          but(exchange, { call: (request) => Effect.retry(exchange.call(request), { times: 2 }) })
        )
    },
    /was sent [23] times/
  ],
  [
    "callers do not wait for the greeting",
    coming,
    reconnecting(({ onConnect }) => ({
      onConnect: (exchange: Lines) => Effect.forkDetach(Effect.andThen(Effect.sleep(1), onConnect!(exchange)))
    })),
    /before or behind the greeting/
  ],
  [
    "callers wait for a connection without end",
    coming,
    reconnecting(() => ({ waitTimeout: "1 day" })),
    /took \d+ ms of/
  ],
  [
    "the second connection is the last",
    coming,
    reconnecting(() => ({ schedule: Schedule.recurs(1) })),
    /nobody is served any more|ConnectFailed/
  ],
  [
    "closing it closes one connection",
    coming,
    {
      ...sound,
      reconnecting: (open, options) =>
        Effect.gen(function* () {
          let last: Lines | undefined
          const exchange = yield* sound.reconnecting(
            Effect.tap(open, (opened) => Effect.sync(() => (last = opened))),
            options
          )
          return but(exchange, {
            close: Effect.andThen(
              Effect.exit(Effect.suspend(() => last!.exclusive(() => Effect.fail("lost")))),
              exchange.closed
            )
          })
        })
    },
    /closing it does not end/
  ]
]

describe("one with a deliberate fault", () => {
  for (const [fault, law, subject, found] of broken) {
    it(`${fault}: ${law.name}`, async () => {
      const refusal = await law.check(subject, { scenarios, asItIs: true }).then(
        () => "nothing was found",
        (error: Error) => error.message
      )
      assert.match(refusal, /found: /)
      assert.match(/found: (.*)/.exec(refusal)![1]!, found)
    })
  }
})
