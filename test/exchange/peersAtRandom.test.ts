/**
 * Two peers that ask each other at random: calls, streams, pushes, cancelled requests, handlers that fail or ask back, and an
 * end of some kind in the middle of all that. What holds of each request holds whatever comes of the others.
 */
import { assert, it } from "@effect/vitest"
import { Exchange } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Clock, Effect, Exit, Fiber, Metric, Scheduler, Scope, Stream } from "effect"
import { schedulerOf } from "../../src/internal/testing/exchange/run.ts"
import * as Random from "../../src/internal/testing/random.ts"
import { line } from "../support/exchanges.ts"
import { nobody, waiting } from "../support/waiters.ts"

type Peer = Exchange.Exchange<string, string>
type Side = 0 | 1

/** A request: `?7 token`, or `?0 token` where it has no answer. Its answers: `=7 token#0`, the last with a dot behind. */
const idOf = (message: string): number => Number(/^.(\d+) /.exec(message)?.[1])
const tokenOf = (message: string): string => message.slice(message.indexOf(" ") + 1)
const parts = 3
const answersTo = (token: string): ReadonlyArray<string> =>
  token.startsWith("rows")
    ? Array.from({ length: parts }, (_, i) => `${token}#${i}${i === parts - 1 ? "." : ""}`)
    : [`${token}.`]

/** What was asked, and what came of it. */
interface Asked {
  readonly side: Side
  readonly kind: "call" | "collect" | "stream" | "part" | "callAll" | "send"
  readonly requests: ReadonlyArray<string>
  readonly startedAt: number
  struckAt?: number
  end?: { readonly at: number; readonly exit: Exit.Exit<ReadonlyArray<string>, unknown> }
}

/** What was put on trial, all in all. */
const total: Record<string, number> = {}
const count = (what: string): void => void (total[what] = (total[what] ?? 0) + 1)

const scenario = (seed: number) => {
  const random = Random.make(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const chance = (probability: number): boolean => random() < probability
  const pick = <const A>(choices: ReadonlyArray<A>): A => choices[below(choices.length)]!
  const drawn = {
    scheduler: pick(["waiting", "immediate", "restless"]),
    cancel: pick(["none", "answered", "not answered"]),
    overflow: pick(["suspend", "dropping", "sliding", undefined]),
    maxInFlight: pick([1, 3, 8]),
    concurrency: pick([1, 2, 5]),
    order: pick(["request", "completion"]),
    callTimeout: pick([undefined, 50, 200]),
    onFailure: chance(0.7),
    latency: pick([0, 1, 7]),
    capacity: pick([65_536, 30]),
    highWaterMark: pick([65_536, 40]),
    chunking: pick(["asIs", "oneByte", "random"]),
    end: pick(["close", "scope", "failure", "owner", "release", "writeEof", "abort", "none"])
  }
  return { drawn, below, chance, pick }
}

const stallTimeout = 300
const drainTimeout = 50

const run = (seed: number) =>
  Effect.gen(function* () {
    const { below, chance, drawn, pick } = scenario(seed)
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const path = { latency: drawn.latency, capacity: drawn.capacity, chunking: drawn.chunking }
    const { left, right } = yield* TestNetwork.pair({
      fromClient: path,
      fromServer: path,
      highWaterMark: drawn.highWaterMark
    })
    let fibers = 0
    const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, Metric.FiberRuntimeMetrics, {
        recordFiberStart: () => void fibers++,
        recordFiberEnd: () => void fibers--
      })

    const asked: Array<Asked> = []
    /** The messages that each side has read. One that waits for room is looked at again. */
    const read: readonly [Set<string>, Set<string>] = [new Set(), new Set()]
    const handling: [number, number] = [0, 0]
    let tokens = 0

    const ask = (side: Side, peer: Peer, name: "t" | "rows" | "s" | "back"): Effect.Effect<unknown> =>
      Effect.suspend(() => {
        const token = `${name}${tokens++}z`
        const kind =
          name === "s" ? "send" : pick(name === "rows" ? ["call", "collect", "stream", "part"] : ["call", "callAll"])
        const requests = kind === "callAll" ? [`${token}x`, `${token}y`] : [token]
        const record: Asked = { side, kind, requests, startedAt: now() }
        asked.push(record)
        const all = (): Effect.Effect<ReadonlyArray<string>, unknown> => {
          const stream = Stream.tap(peer.stream(token), () => (chance(0.3) ? Effect.sleep(below(10)) : Effect.void))
          switch (kind) {
            case "call":
              return Effect.map(peer.call(token), (answer) => [answer])
            case "collect":
              return peer.collect(token)
            case "stream":
              return Stream.runCollect(stream)
            case "part":
              return Stream.runCollect(Stream.take(stream, 1))
            case "callAll":
              return peer.callAll(requests)
            case "send":
              return Effect.as(peer.send(`?0 ${token}`), [])
          }
        }
        const noted = Effect.onExit(Effect.suspend(all), (exit) =>
          Effect.sync(() => {
            record.end = { at: now(), exit }
          })
        )
        if (name === "back" || chance(0.7)) return Effect.exit(noted)
        return Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(noted, { startImmediately: true })
          if (chance(0.6)) yield* Effect.sleep(below(40))
          for (let turn = below(5); turn > 0; turn--) yield* Effect.yieldNow
          if (record.end === undefined) {
            record.struckAt = now()
            count("interrupted")
          }
          yield* Fiber.interrupt(fiber)
          // never begun, and so never asked
          record.end ??= { at: now(), exit: Exit.interrupt() }
        })
      })

    const handler =
      (side: Side): Exchange.PeerHandler<string, string, never> =>
      (request, peer) =>
        Effect.gen(function* () {
          assert.isAtMost(++handling[side], drawn.concurrency, "handlers at once")
          if (chance(0.5)) yield* Effect.sleep(below(40))
          const token = tokenOf(request)
          const how = below(6)
          if (token.startsWith("s") || token.startsWith("cancel")) return undefined
          if (how === 0 && drawn.onFailure && !token.startsWith("rows"))
            return yield* pick([Effect.fail("no"), Effect.die("no")])
          if (how === 1 && !token.startsWith("back")) yield* ask(side, peer, "back")
          if (how > 2 && !token.startsWith("rows")) return `${token}.`
          return Stream.tap(Stream.fromIterable(answersTo(token)), () =>
            chance(0.3) ? Effect.sleep(below(10)) : Effect.void
          )
        }).pipe(Effect.ensuring(Effect.sync(() => handling[side]--)))

    const make = (side: Side) =>
      Exchange.makePeer<string, string, never>(
        side === 0 ? left : right,
        {
          message: line,
          isRequest: (message: string) => {
            read[side].add(message)
            return message.startsWith("?")
          },
          id: {
            put: (request: string, id: number) => `?${id} ${request}`,
            get: (message: string) => (message.startsWith("=") ? idOf(message) : undefined)
          },
          isLast: (message: string) => message.endsWith("."),
          answers: (request: string) => answersTo(request).length,
          maxInFlight: drawn.maxInFlight,
          callTimeout: drawn.callTimeout,
          stallTimeout,
          drainTimeout,
          serve: {
            concurrency: drawn.concurrency,
            order: drawn.order,
            id: { get: idOf, put: (answer: string, id: number) => `=${id} ${answer}` },
            onFailure: drawn.onFailure ? (_: unknown, request: string) => answersTo(tokenOf(request)).at(-1)! : "close"
          },
          cancel:
            drawn.cancel === "none"
              ? undefined
              : { request: (id: number) => `?0 cancel${id}`, answered: drawn.cancel === "answered" },
          ...(drawn.overflow === undefined
            ? undefined
            : {
                isPush: (message: string) => message.startsWith("!"),
                pushes: { overflow: drawn.overflow, capacity: 1 }
              })
        } as Exchange.PeerOptions<string, string>,
        handler(side)
      )

    const scopes = [yield* Scope.make(), yield* Scope.make()] as const
    const peers = [
      yield* counted(Scope.provide(make(0), scopes[0])),
      yield* counted(Scope.provide(make(1), scopes[1]))
    ] as const
    const pushed: Array<number> = []
    const unsent = new Set<number>()
    const consumers = yield* counted(
      Effect.forEach(peers, ({ pushes }, side) =>
        Effect.forkScoped(
          Stream.runForEach(pushes, (push) => {
            if (side === 1) pushed.push(Number(push.slice(1)))
            return chance(0.3) ? Effect.sleep(below(20)) : Effect.void
          })
        )
      )
    )
    const callers = yield* counted(
      Effect.forEach(Array.from({ length: 2 + below(5) }), (_, i) =>
        Effect.forkScoped(
          Effect.gen(function* () {
            for (let left = 2 + below(6); left > 0; left--) {
              if (chance(0.4)) yield* Effect.sleep(below(30))
              const side = (i % 2) as Side
              yield* ask(side, peers[side], pick(["t", "t", "rows", "s"]))
            }
          })
        )
      )
    )
    if (drawn.overflow !== undefined) {
      const push = (number: number) =>
        Effect.andThen(
          Effect.sleep(below(20)),
          Effect.exit(Effect.tapError(peers[0].send(`!${number}`), () => Effect.sync(() => void unsent.add(number))))
        )
      yield* counted(
        Effect.forkScoped(
          Effect.forEach(
            Array.from({ length: 20 }, (_, i) => i),
            push
          )
        )
      )
    }

    const { end } = drawn
    yield* Effect.sleep(chance(0.5) ? below(150) : below(1500))
    const endedAt = now()
    yield* counted(
      Effect.suspend((): Effect.Effect<unknown, unknown> => {
        switch (end) {
          case "close":
            return peers[0].close
          case "scope":
            return Scope.close(scopes[0], Exit.void)
          case "failure":
            return Scope.close(scopes[0], Exit.fail("no"))
          case "owner":
            return left.writer.close
          case "release":
            // behind it nothing is written but by whoever has the connection
            return Effect.andThen(
              Effect.timeout(peers[0].release, stallTimeout),
              Effect.andThen(left.writer.write("?0 slast\n"), Effect.andThen(Effect.sleep(1000), left.abort))
            )
          case "writeEof":
            return left.writer.writeEof
          case "abort":
            return left.abort
          case "none":
            return Effect.void
        }
      })
    ).pipe(Effect.exit)
    // the peer reads all the while: what has to be sent needs no longer
    if (end !== "release") assert.isAtMost(now() - endedAt, drainTimeout + 1000, `${end} took too long`)

    yield* Effect.timeout(Fiber.awaitAll(callers), "10 minutes")
    for (const scope of [scopes[1], scopes[0]]) yield* Effect.timeout(Scope.close(scope, Exit.void), "10 seconds")
    const closed = yield* Effect.forEach(peers, (peer) => Effect.timeout(peer.closed, 2 * drainTimeout))
    yield* Effect.timeout(Fiber.awaitAll(consumers), "10 seconds")

    // nothing is left
    yield* Effect.sleep("1 minute")
    assert.strictEqual(fibers, 0, "fibers that are left")
    assert.deepStrictEqual(handling, [0, 0], "handlers that are left")
    for (const connection of [left, right]) assert.deepStrictEqual(waiting(connection), nobody)

    // pushes come in order
    const sorted = pushed.toSorted((a, b) => a - b)
    assert.deepStrictEqual(pushed, sorted)
    if (drawn.overflow === "suspend") {
      const sent = Array.from({ length: 20 }, (_, i) => i).filter((number) => !unsent.has(number))
      assert.deepStrictEqual(pushed, sent.slice(0, pushed.length))
    }

    const last = [...read[1]].indexOf("?0 slast")
    if (last >= 0) {
      count("released")
      assert.strictEqual(last, read[1].size - 1, "something was written behind the release")
    }
    // it was closed in good order, and the other side has read all of it
    const inOrder =
      ["close", "scope", "owner"].includes(end) &&
      (closed[0]!._tag === "Closed" || (closed[0]!._tag === "Lost" && closed[0]!.cause._tag === "ClosedStream")) &&
      (closed[1]!._tag === "PeerEof" || (closed[1]!._tag === "Lost" && closed[1]!.cause._tag === "IncompleteRead"))
    for (const { end, kind, requests, side, startedAt, struckAt } of asked) {
      const name = `${requests.join()} (${kind})`
      const heard = requests.filter((request) =>
        [...read[side === 0 ? 1 : 0]].some((it) => tokenOf(it) === request && it.startsWith("?"))
      )
      // a handler that was interrupted has asked, and has no more to say
      if (end === undefined) continue
      const { at, exit } = end
      if (struckAt !== undefined) assert.strictEqual(at, struckAt, `${name} went on when it was interrupted`)
      if (Exit.isSuccess(exit)) {
        count("answered")
        const answers = requests.flatMap(answersTo)
        const wanted = kind === "call" ? [answers.at(-1)!] : kind === "part" ? [answers[0]!] : answers
        if (kind !== "send") assert.deepStrictEqual(exit.value.map(tokenOf), wanted, name)
        else if (inOrder && side === 0) {
          count("sent before an end in good order")
          assert.deepStrictEqual(heard, requests, `${name} was accepted, and never came`)
        }
        continue
      }
      if (Cause.hasInterruptsOnly(exit.cause)) {
        assert.isTrue(struckAt !== undefined || name.startsWith("back"), `${name} was interrupted by nobody`)
        continue
      }
      const error = Cause.squash(exit.cause) as Exchange.CallError
      assert.oneOf(error._tag, ["RequestLost", "StreamTimeout"], name)
      if (error._tag === "StreamTimeout") {
        count("timed out")
        if (kind !== "stream" && kind !== "part") assert.isAtMost(at - startedAt, drawn.callTimeout!, name)
      } else if (error._tag === "RequestLost") {
        count(`lost: ${error.sent}`)
        assert.notInclude(["ProtocolViolation", "MalformedFrame", "LimitOverrun"], error.cause._tag, name)
        if (error.sent === "No") assert.deepStrictEqual(heard, [], `${name} is said not to have been sent`)
      }
    }
  })

it.live(
  "whatever comes of the others: each request ends once, with its own answers, or truly told what became of it",
  () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 120; seed++) {
        const { drawn } = scenario(seed)
        const program = Effect.flatMap(Scheduler.Scheduler, (parent) =>
          Effect.provideService(
            run(seed),
            Scheduler.Scheduler,
            schedulerOf({ scheduler: drawn.scheduler, seed }, parent)
          )
        )
        const exit = yield* Effect.exit(TestNetwork.simulate(program, { seed }))
        if (Exit.isFailure(exit)) assert.fail(`${JSON.stringify({ seed, ...drawn })}: ${Cause.pretty(exit.cause)}`)
      }
      console.log(total)
      const atLeast = {
        answered: 700,
        interrupted: 200,
        released: 10,
        "sent before an end in good order": 10,
        "timed out": 60,
        "lost: No": 300,
        "lost: Maybe": 80
      }
      for (const [what, least] of Object.entries(atLeast)) assert.isAtLeast(total[what] ?? 0, least, what)
    }),
  60_000
)
