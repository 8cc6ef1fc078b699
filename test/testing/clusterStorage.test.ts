/** Storage of a cluster in memory: it does what Effect's SQL storage does, leases and heartbeats end by the clock, a crash undoes. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Option, Result } from "effect"
import {
  EntityAddress,
  EntityId,
  EntityType,
  MessageStorage,
  Runner,
  RunnerAddress,
  RunnerStorage,
  ShardId,
  ShardingConfig,
  Snowflake,
  SqlMessageStorage,
  SqlRunnerStorage
} from "effect/cluster"
import { Digest, WebCrypto } from "effect/crypto"
import type * as Envelope from "effect/cluster/Envelope"
import type * as Reply from "effect/cluster/Reply"
import * as ClusterStorage from "effect-byte-streams/testing/ClusterStorage"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as fc from "fast-check"
import { Messages } from "../../src/internal/testing/cluster/messages.ts"
import { Runners } from "../../src/internal/testing/cluster/runners.ts"
import { Transactions } from "../../src/internal/testing/cluster/transactions.ts"
import { start } from "../support/fibers.ts"
import { forAll } from "../support/property.ts"
import { layerSqlite } from "../support/sqlite.ts"

const shard = (id: number) => ShardId.make("default", id)
const address = (entity: number) =>
  EntityAddress.make({
    shardId: shard(1 + (entity % 2)),
    entityType: EntityType.make("Room"),
    entityId: EntityId.make(`room${entity}`)
  })
const encodedAddress = (entity: number): Envelope.Encoded["address"] => ({
  shardId: { group: "default", id: 1 + (entity % 2) },
  entityType: "Room",
  entityId: `room${entity}`
})

const request = (id: number, entity: number): Envelope.Encoded =>
  ({
    _tag: "Request",
    requestId: String(id),
    address: encodedAddress(entity),
    tag: "Say",
    payload: { text: `message ${id}` },
    headers: {}
  }) as Envelope.Encoded

const exitOf = (id: number, of: number): Reply.Encoded =>
  ({ _tag: "WithExit", id: String(id), requestId: String(of), exit: { _tag: "Success", value: id } }) as Reply.Encoded

const chunkOf = (id: number, of: number, sequence: number): Reply.Encoded =>
  ({ _tag: "Chunk", id: String(id), requestId: String(of), sequence, values: [id] }) as unknown as Reply.Encoded

// ---------------------------------------------------------------------------
// against SQL
// ---------------------------------------------------------------------------

type Step =
  | {
      readonly do: "request"
      readonly id: number
      readonly entity: number
      readonly key: number | null
      readonly late: boolean
    }
  | {
      readonly do: "ack" | "interrupt"
      readonly id: number
      readonly of: number
      readonly reply: number
      readonly entity: number
    }
  | { readonly do: "exit"; readonly id: number; readonly of: number }
  | { readonly do: "chunk"; readonly id: number; readonly of: number; readonly sequence: number }
  | { readonly do: "clear"; readonly of: number; readonly expected: number | null }
  | {
      readonly do: "read"
      readonly shards: ReadonlyArray<number>
      readonly limit: number | null
      readonly entity: number | null
    }
  | { readonly do: "byId" | "replies" | "allReplies" | "resetRequests"; readonly ids: ReadonlyArray<number> }
  | { readonly do: "resetAddresses"; readonly entities: ReadonlyArray<number> }
  | { readonly do: "resetShards"; readonly shards: ReadonlyArray<number> }
  | { readonly do: "clearAddress" | "find"; readonly entity: number }
  | { readonly do: "transaction"; readonly steps: ReadonlyArray<Step>; readonly fails: boolean }

const ids = fc.integer({ min: 1, max: 5 })
const replies = fc.integer({ min: 10, max: 15 })
const entities = fc.integer({ min: 0, max: 2 })
const shards = fc.uniqueArray(fc.integer({ min: 1, max: 2 }), { minLength: 1 })
const some = fc.uniqueArray(ids, { minLength: 1, maxLength: 3 })
const single = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("request" as const),
      id: ids,
      entity: entities,
      key: fc.constantFrom(null, null, 1, 2),
      late: fc.constantFrom(false, false, false, true)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("ack", "interrupt" as const),
      id: fc.integer({ min: 20, max: 24 }),
      of: ids,
      reply: replies,
      entity: entities
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("exit" as const), id: replies, of: ids }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("chunk" as const),
      id: replies,
      of: ids,
      sequence: fc.integer({ min: 0, max: 2 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("clear" as const), of: ids, expected: fc.oneof(fc.constant(null), replies) })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      shards,
      limit: fc.constantFrom(null, null, 1, 2),
      entity: fc.oneof(fc.constant(null), entities)
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("byId", "replies", "allReplies", "resetRequests" as const), ids: some })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("resetAddresses" as const),
      entities: fc.uniqueArray(entities, { minLength: 1 })
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("resetShards" as const), shards }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("clearAddress", "find" as const), entity: entities }) }
) as fc.Arbitrary<Step>

const script = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: single },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("transaction" as const),
        steps: fc.array(single, { maxLength: 4 }),
        fails: fc.boolean()
      }) as fc.Arbitrary<Step>
    }
  ),
  { maxLength: 25 }
)

/**
 * The same script with ids in the order of their coming, which is that of the rows. One in five is taken already, and what
 * belongs to a request belongs to one that there is.
 */
const numbered = (steps: ReadonlyArray<Step>): ReadonlyArray<Step> => {
  let made = 0
  // those whose rows are there: what came with an id that was freed would be in front of its time
  let taken: Array<number> = []
  const requests: Array<number> = []
  const another = () => {
    taken.push(++made)
    return made
  }
  const idOf = (wish: number) => (wish % 5 === 0 && taken.length > 0 ? taken[wish % taken.length]! : another())
  const of = (wish: number) => requests[wish % Math.max(1, requests.length)] ?? 999
  const number = (step: Step): Step => {
    switch (step.do) {
      case "request": {
        // SQLite, and no other, drops a request with a key whose id is taken
        const id = step.key === null ? idOf(step.id) : another()
        requests.push(id)
        return { ...step, id }
      }
      case "ack":
      case "interrupt":
        return { ...step, id: idOf(step.id), of: of(step.of) }
      case "exit":
      case "chunk":
      case "clear":
        return { ...step, of: of(step.of) }
      case "byId":
      case "replies":
      case "allReplies":
      case "resetRequests":
        return { ...step, ids: step.ids.map(of) }
      case "clearAddress":
        taken = []
        return step
      case "transaction": {
        const before = [...taken]
        const numbers = step.steps.map(number)
        if (step.fails) taken = before
        return { ...step, steps: numbers }
      }
      default:
        return step
    }
  }
  return steps.map(number)
}

const flake = (id: number) => Snowflake.Snowflake(id)
const nonEmpty = <A>(values: ReadonlyArray<A>) => [...values] as [A, ...Array<A>]

/** Does a step, and returns what it answered, in a form that can be compared. */
const perform = (storage: MessageStorage.Encoded, step: Step, said: Array<unknown>): Effect.Effect<void> => {
  const answer = (effect: Effect.Effect<unknown, unknown>) =>
    Effect.map(Effect.result(effect), (result) => {
      said.push([
        step.do,
        Result.isSuccess(result)
          ? JSON.parse(
              JSON.stringify(result.success ?? null, (_, value) => (typeof value === "bigint" ? String(value) : value))
            )
          : "fails"
      ])
    })
  switch (step.do) {
    case "request":
      return answer(
        storage.saveEnvelope({
          envelope: request(step.id, step.entity),
          primaryKey: step.key === null ? null : `key/${step.key}`,
          deliverAt: step.late ? 4_000_000_000_000 : null
        })
      )
    case "ack":
      return answer(
        storage.saveEnvelope({
          envelope: {
            _tag: "AckChunk",
            id: String(step.id),
            requestId: String(step.of),
            replyId: String(step.reply),
            address: encodedAddress(step.entity)
          },
          primaryKey: null,
          deliverAt: null
        })
      )
    case "interrupt":
      return answer(
        storage.saveEnvelope({
          envelope: {
            _tag: "Interrupt",
            id: String(step.id),
            requestId: String(step.of),
            address: encodedAddress(step.entity)
          },
          primaryKey: null,
          deliverAt: null
        })
      )
    case "exit":
      return answer(storage.saveReply(exitOf(step.id, step.of)))
    case "chunk":
      return answer(storage.saveReply(chunkOf(step.id, step.of, step.sequence)))
    case "clear":
      return answer(
        storage.clearReplies(
          flake(step.of),
          step.expected === null ? undefined : { expectedReplyId: flake(step.expected) }
        )
      )
    case "read":
      return answer(
        storage.unprocessedMessages(nonEmpty(step.shards.map((id) => shard(id).toString())), Date.now(), {
          limit: step.limit ?? undefined,
          addresses: step.entity === null ? undefined : [address(step.entity)]
        })
      )
    case "byId":
      return answer(storage.unprocessedMessagesById(nonEmpty(step.ids.map(flake)), Date.now()))
    case "replies":
      // in one order: SQL has that of all replies, and nobody rests on it
      return answer(
        Effect.map(storage.repliesFor(nonEmpty(step.ids.map(String))), (all) =>
          all.toSorted((a, b) => Number(a.id) - Number(b.id))
        )
      )
    case "allReplies":
      return answer(
        Effect.map(storage.repliesForUnfiltered(nonEmpty(step.ids.map(String))), (all) =>
          all.toSorted((a, b) => Number(a.id) - Number(b.id))
        )
      )
    case "resetRequests":
      return answer(storage.resetRequests(step.ids.map(flake)))
    case "resetAddresses":
      return answer(storage.resetAddresses(step.entities.map(address)))
    case "resetShards":
      return answer(storage.resetShards(nonEmpty(step.shards.map((id) => shard(id).toString()))))
    case "clearAddress":
      return answer(storage.clearAddress(address(step.entity)))
    case "find":
      return answer(storage.requestIdForPrimaryKey(`key/${1 + (step.entity % 2)}`))
    case "transaction":
      return Effect.asVoid(
        Effect.exit(
          storage.withTransaction(
            Effect.andThen(
              Effect.forEach(step.steps, (one) => perform(storage, one, said), { discard: true }),
              step.fails ? Effect.fail("undone") : Effect.void
            )
          )
        )
      )
  }
}

const digest = Digest.layerWebCrypto.pipe(Layer.provide(Layer.succeed(WebCrypto.WebCrypto)(globalThis.crypto)))

describe("against Effect's SQL storage, over SQLite", () => {
  it.live("property: messages and replies, step by step", () =>
    forAll(
      script,
      (steps) =>
        Effect.gen(function* () {
          const sql = yield* SqlMessageStorage.makeEncoded({})
          const clock = yield* Clock.Clock
          const memory = new Messages(clock, new Transactions(Context.empty())).encoded(undefined)
          const said: Record<"sql" | "memory", Array<unknown>> = { sql: [], memory: [] }
          for (const step of numbered(steps)) {
            yield* perform(sql, step, said.sql)
            yield* perform(memory, step, said.memory)
          }
          assert.deepStrictEqual(said.memory, said.sql)
        }).pipe(Effect.provide(layerSqlite), Effect.provide(digest)),
      { numRuns: 150 }
    )
  )

  it.live("property: runners and leases, step by step", () =>
    forAll(
      fc.array(
        fc.record({
          do: fc.constantFrom(
            "acquire",
            "refresh",
            "release",
            "releaseAll",
            "register",
            "unregister",
            "health",
            "list"
          ),
          runner: fc.integer({ min: 1, max: 3 }),
          shards: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1 }),
          healthy: fc.boolean()
        }),
        { maxLength: 30 }
      ),
      (steps) =>
        Effect.gen(function* () {
          const sql = yield* SqlRunnerStorage.make({})
          const memory = RunnerStorage.makeEncoded(new Runners(yield* Clock.Clock).encoded(35_000))
          const numbers = new Map<unknown, number>()
          const say = (storage: RunnerStorage.RunnerStorage["Service"], step: (typeof steps)[number]) => {
            const runner = RunnerAddress.make(`host${step.runner}`, 1)
            const wanted = step.shards.map(shard)
            const sorted = Effect.map((found: ReadonlyArray<ShardId.ShardId>) => found.map(String).toSorted())
            switch (step.do) {
              case "acquire":
                return sorted(storage.acquire(runner, wanted))
              case "refresh":
                return sorted(storage.refresh(runner, wanted))
              case "release":
                return storage.release(runner, wanted[0]!)
              case "releaseAll":
                return storage.releaseAll(runner)
              case "register":
                // SQL leaves gaps between numbers; what counts is that a runner keeps the one that it has
                return Effect.map(storage.register(runnerOf(runner), step.healthy), (number) => {
                  const key = JSON.stringify([storage === memory, step.runner])
                  const known = numbers.get(key)
                  numbers.set(key, number)
                  return known === undefined || known === number
                })
              case "unregister":
                numbers.clear()
                return storage.unregister(runner)
              case "health":
                return storage.setRunnerHealth(runner, step.healthy)
              default:
                return Effect.map(storage.getRunners, (all) =>
                  all.map(([one, healthy]) => `${one.address.host} ${healthy}`).toSorted()
                )
            }
          }
          for (const step of steps) {
            assert.deepStrictEqual<unknown>(yield* say(memory, step), yield* say(sql, step))
          }
        }).pipe(Effect.provide(layerSqlite), Effect.provide(ShardingConfig.layer())),
      { numRuns: 60 }
    )
  )
})

// ---------------------------------------------------------------------------
// time, hosts
// ---------------------------------------------------------------------------

const config = ShardingConfig.layer({ shardLockExpiration: "9 seconds" })
const storageOf = Effect.map(Layer.build(ClusterStorage.layerStorage().pipe(Layer.provide(config))), (context) => ({
  messages: Context.get(context, MessageStorage.MessageStorage),
  runners: Context.get(context, RunnerStorage.RunnerStorage)
}))
const a = RunnerAddress.make("a", 1)
const b = RunnerAddress.make("b", 1)
const runnerOf = (at: RunnerAddress.RunnerAddress) => Runner.make({ address: at, groups: ["default"], weight: 1 })

describe("leases and heartbeats", () => {
  it.effect("a lease that is refreshed is kept, one that is not is anybody's once it has run out", () =>
    Effect.gen(function* () {
      const database = yield* ClusterStorage.ClusterStorage
      const { runners } = yield* storageOf
      assert.strictEqual((yield* runners.acquire(a, [shard(1), shard(2)])).length, 2)
      yield* Effect.sleep("5 seconds")
      assert.strictEqual((yield* runners.refresh(a, [shard(1)])).length, 1)
      yield* Effect.sleep("4 seconds")
      assert.strictEqual((yield* runners.acquire(b, [shard(1), shard(2)])).length, 0)
      yield* Effect.sleep(1)
      assert.deepStrictEqual(yield* runners.acquire(b, [shard(1), shard(2)]), [shard(2)])
      assert.deepStrictEqual(Array.from(yield* database.owners("9 seconds")), [
        ["default:1", "a:1"],
        ["default:2", "b:1"]
      ])
      // the one that lost it is told, and cannot give away what is no longer its own
      assert.deepStrictEqual(yield* runners.refresh(a, [shard(1), shard(2)]), [shard(1)])
      yield* runners.releaseAll(a)
      yield* runners.release(a, shard(2))
      assert.strictEqual((yield* runners.acquire(a, [shard(1), shard(2)])).length, 1)
    }).pipe(Effect.scoped, Effect.provide(ClusterStorage.layer), TestNetwork.simulate)
  )

  it.effect("a runner without a heartbeat is none, and gets its number back", () =>
    Effect.gen(function* () {
      const { runners } = yield* storageOf
      const first = yield* runners.register(runnerOf(a), true)
      const second = yield* runners.register(runnerOf(b), true)
      assert.notStrictEqual(first, second)
      yield* Effect.sleep("8 seconds")
      yield* runners.refresh(a, [])
      yield* Effect.sleep("2 seconds")
      assert.deepStrictEqual(
        (yield* runners.getRunners).map(([runner]) => runner.address.host),
        ["a"]
      )
      assert.strictEqual(yield* runners.register(runnerOf(b), false), second)
      assert.deepStrictEqual(
        (yield* runners.getRunners).map(([runner, healthy]) => [runner.address.host, healthy]),
        [
          ["a", true],
          ["b", false]
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(ClusterStorage.layer), TestNetwork.simulate)
  )

  it.effect("what a runner has read is nobody else's for ten minutes, unless its shard is reset", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const messages = new Messages(clock, new Transactions(Context.empty())).encoded(undefined)
      yield* messages.saveEnvelope({ envelope: request(1, 0), primaryKey: null, deliverAt: 1000 })
      const read = Effect.suspend(() =>
        Effect.map(
          messages.unprocessedMessages([shard(1).toString()], clock.currentTimeMillisUnsafe()),
          (found) => found.length
        )
      )
      assert.strictEqual(yield* read, 0)
      yield* Effect.sleep("1 second")
      assert.strictEqual(yield* read, 1)
      yield* Effect.sleep("10 minutes")
      assert.strictEqual(yield* read, 0)
      yield* Effect.sleep(1)
      assert.strictEqual(yield* read, 1)
      yield* messages.resetShards([shard(1).toString()])
      assert.strictEqual(yield* read, 1)
    }).pipe(TestNetwork.simulate)
  )
})

describe("hosts", () => {
  it.effect("the storage of a host that crashed never answers; with `at`, none is reached across a cut", () =>
    Effect.gen(function* () {
      const database = yield* TestNetwork.host("database")
      const host = yield* TestNetwork.host("a")
      const layer = ClusterStorage.layerStorage({ at: database.name }).pipe(Layer.provide(config))
      const { runners } = yield* Effect.provideService(
        Effect.map(Layer.build(layer), (context) => ({ runners: Context.get(context, RunnerStorage.RunnerStorage) })),
        TestNetwork.CurrentHost,
        host
      )
      yield* TestNetwork.cut("a", "database")
      const acquiring = yield* start(runners.acquire(a, [shard(1)]))
      yield* Effect.sleep("1 minute")
      assert.isUndefined(acquiring.pollUnsafe())
      yield* TestNetwork.heal("a", "database")
      assert.strictEqual((yield* Fiber.join(acquiring)).length, 1)
      yield* TestNetwork.crash("a")
      const after = yield* start(runners.acquire(a, [shard(2)]))
      yield* Effect.sleep("1 minute")
      assert.isUndefined(after.pollUnsafe())
      yield* Fiber.interrupt(after)
    }).pipe(Effect.scoped, Effect.provide(ClusterStorage.layer), TestNetwork.simulate)
  )

  it.effect(
    "transactions come one after the other; a failure undoes one, and a crash does; both let others go on",
    () =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const transactions = new Transactions(yield* Effect.context<never>())
        const messages = new Messages(clock, transactions)
        const host = yield* TestNetwork.host("a")
        const outside = messages.encoded(undefined)
        const inside = host.through(messages.encoded(host))
        const save = (storage: MessageStorage.Encoded, id: number) =>
          storage.saveEnvelope({ envelope: request(id, 0), primaryKey: null, deliverAt: null })
        const failed = yield* Effect.exit(
          outside.withTransaction(Effect.andThen(save(outside, 1), Effect.andThen(Effect.sleep(1), Effect.fail("no"))))
        )
        assert.isTrue(Exit.isFailure(failed))
        assert.strictEqual(messages.rows.size, 0)
        yield* start(Effect.exit(host.run(inside.withTransaction(Effect.andThen(save(inside, 2), Effect.never)))))
        yield* Effect.sleep(1)
        assert.deepStrictEqual([...messages.rows.keys()], ["2"])
        const waiting = yield* start(save(outside, 3))
        yield* Effect.sleep("1 minute")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestNetwork.crash("a")
        yield* Fiber.join(waiting)
        assert.deepStrictEqual([...messages.rows.keys()], ["3"])
      }).pipe(Effect.scoped, TestNetwork.simulate)
  )

  it.effect("requests can be asked for, with whether they were answered", () =>
    Effect.gen(function* () {
      const database = yield* ClusterStorage.ClusterStorage
      assert.deepStrictEqual(yield* database.requests, [])
      assert.isTrue(
        Option.isNone(
          yield* (yield* storageOf).messages.requestIdForPrimaryKey({ address: address(1), tag: "Say", id: "1" })
        )
      )
    }).pipe(Effect.scoped, Effect.provide(ClusterStorage.layer), TestNetwork.simulate)
  )
})
