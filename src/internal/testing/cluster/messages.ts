/** The messages and replies of a cluster, in memory: what `SqlMessageStorage` does, table by table. */
import type * as Envelope from "effect/cluster/Envelope"
import type { EntityAddress } from "effect/cluster/EntityAddress"
import { PersistenceError } from "effect/cluster/ClusterError"
import * as MessageStorage from "effect/cluster/MessageStorage"
import type * as Reply from "effect/cluster/Reply"
import * as ShardId from "effect/cluster/ShardId"
import * as Snowflake from "effect/cluster/Snowflake"
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Host } from "../../../testing/TestNetwork.ts"
import { claimMillis } from "../../base/defaults.ts"
import type { Transactions } from "./transactions.ts"

export interface MessageRow {
  readonly id: string
  readonly rowid: number
  /** The key by which a request is found to be there already. */
  readonly key: string | null
  readonly envelope: Envelope.Encoded
  readonly shard: string
  readonly deliverAt: number | null
  processed: boolean
  lastReplyId: string | null
  /** When a runner has claimed it. */
  lastRead: number | null
}

interface ReplyRow {
  readonly rowid: number
  readonly reply: Reply.Encoded
  acked: boolean
}

type Unprocessed = Effect.Success<ReturnType<MessageStorage.Encoded["unprocessedMessages"]>>[number]
type UnprocessedOptions = Parameters<MessageStorage.Encoded["unprocessedMessages"]>[2]

const copy = <A>(value: A): A => JSON.parse(JSON.stringify(value)) as A

const addressOf = ({ entityId, entityType, shardId }: Envelope.Encoded["address"] | EntityAddress): string =>
  JSON.stringify([ShardId.toString(shardId), entityType, entityId])

export class Messages {
  /** By id, in the order of their coming. */
  readonly rows = new Map<string, MessageRow>()
  private readonly replies = new Map<string, ReplyRow>()
  private readonly repliesOf = new Map<string, Array<ReplyRow>>()
  private readonly byKey = new Map<string, MessageRow>()
  private readonly byRequest = new Map<string, Array<MessageRow>>()
  private readonly open = new Set<MessageRow>()
  private made = 0
  private readonly clock: Clock.Clock
  private readonly transactions: Transactions

  constructor(clock: Clock.Clock, transactions: Transactions) {
    this.clock = clock
    this.transactions = transactions
  }

  /** As one runner uses them. */
  encoded(host: Host | undefined): MessageStorage.Encoded {
    const step = <A>(f: () => A): Effect.Effect<A, PersistenceError> =>
      PersistenceError.refail(this.transactions.step(f))
    return {
      saveEnvelope: (options) => step(() => this.saveEnvelope(options)),
      saveReply: (reply) => step(() => this.saveReply(copy(reply))),
      clearReplies: (id, options) =>
        step(() =>
          options?.expectedReplyId === undefined
            ? this.clearReplies(String(id))
            : this.clearExpected(String(id), String(options.expectedReplyId))
        ),
      requestIdForPrimaryKey: (key) =>
        step(() => Option.map(Option.fromNullishOr(this.byKey.get(key)?.id), Snowflake.Snowflake)),
      repliesFor: (ids) => step(() => this.repliesToAll(ids, ({ acked, reply }) => reply._tag !== "Chunk" || !acked)),
      repliesForUnfiltered: (ids) => step(() => this.repliesToAll(ids, () => true)),
      unprocessedMessages: (shards, now, options) => step(() => this.unprocessed(shards, now, options)),
      unprocessedMessagesById: (ids, now) => step(() => this.unprocessedById(ids.map(String), now)),
      resetRequests: (ids) => step(() => this.reset(({ id }) => ids.map(String).includes(id))),
      resetAddresses: (addresses) =>
        step(() => {
          const known = new Set(addresses.map(addressOf))
          this.reset(({ envelope }) => known.has(addressOf(envelope.address)))
        }),
      resetShards: (shards) => step(() => this.reset(({ shard }) => shards.includes(shard))),
      clearAddress: (address) => step(() => this.clearAddress(address)),
      withTransaction: (effect) => this.transactions.run(effect, host)
    }
  }

  isAnswered(row: MessageRow): boolean {
    return this.repliesTo(row.envelope.requestId).some(({ reply }) => reply._tag === "WithExit")
  }

  // ------------------------------------------------------------------------
  // saving
  // ------------------------------------------------------------------------

  private saveEnvelope({
    deliverAt,
    envelope,
    primaryKey
  }: Parameters<MessageStorage.Encoded["saveEnvelope"]>[0]): MessageStorage.SaveResult.Encoded {
    const known = primaryKey === null ? undefined : this.byKey.get(primaryKey)
    if (known !== undefined) {
      const last = known.lastReplyId === null ? undefined : this.replies.get(known.lastReplyId)
      return MessageStorage.SaveResultEncoded.Duplicate({
        originalId: Snowflake.Snowflake(known.id),
        lastReceivedReply: Option.map(Option.fromUndefinedOr(last), ({ reply }) => copy(reply))
      })
    }
    if (envelope._tag === "AckChunk") {
      const chunk = this.replies.get(envelope.replyId)
      if (chunk !== undefined) this.set(chunk, { acked: true })
      for (const row of this.rowsOf(envelope.requestId)) {
        if (row.envelope._tag === "AckChunk") this.set(row, { processed: true })
      }
    }
    const id = envelope._tag === "Request" ? envelope.requestId : envelope.id
    if (this.rows.has(id)) throw new Error(`a message has the id ${id} already`)
    this.insert({
      id,
      rowid: this.made++,
      key: primaryKey,
      envelope: copy(envelope),
      shard: ShardId.toString(envelope.address.shardId),
      deliverAt,
      processed: false,
      lastReplyId: null,
      lastRead: null
    })
    return MessageStorage.SaveResultEncoded.Success()
  }

  private saveReply(reply: Reply.Encoded): void {
    const { id, requestId } = reply
    if (reply._tag === "Chunk") {
      const row = this.rows.get(requestId)
      if (row !== undefined) this.set(row, { lastReplyId: id })
    } else for (const row of this.rowsOf(requestId)) this.set(row, { processed: true, lastReplyId: id })
    if (this.replies.has(id)) throw new Error(`a reply has the id ${id} already`)
    for (const { reply: other } of this.repliesTo(requestId)) {
      if (
        reply._tag === "WithExit"
          ? other._tag === "WithExit"
          : other._tag === "Chunk" && other.sequence === reply.sequence
      ) {
        throw new Error(`the request ${requestId} has such a reply already`)
      }
    }
    this.insertReply({ rowid: this.made++, reply, acked: false })
  }

  private clearReplies(request: string): void {
    this.dropExits(request)
    for (const row of this.rowsOf(request)) if (row.envelope._tag === "Interrupt") this.drop(row)
    for (const row of this.rowsOf(request)) this.set(row, { processed: false, lastReplyId: null, lastRead: null })
  }

  private clearExpected(request: string, expected: string): void {
    if (this.rows.get(request)?.lastReplyId === expected) this.dropExits(request)
    for (const row of this.rowsOf(request)) {
      if (row.lastReplyId === expected) this.set(row, { processed: false, lastReplyId: null, lastRead: null })
    }
  }

  private clearAddress({ entityId, entityType }: EntityAddress): void {
    for (const row of Array.from(this.rows.values())) {
      const { address } = row.envelope
      if (address.entityType !== entityType || address.entityId !== entityId) continue
      for (const reply of this.repliesTo(row.id)) this.dropReply(reply)
      this.drop(row)
    }
  }

  private reset(isMeant: (row: MessageRow) => boolean): void {
    for (const row of this.open) if (isMeant(row)) this.set(row, { lastRead: null })
  }

  // ------------------------------------------------------------------------
  // reading
  // ------------------------------------------------------------------------

  private unprocessed(shards: ReadonlyArray<string>, now: number, options: UnprocessedOptions): Array<Unprocessed> {
    const addresses = options?.addresses === undefined ? undefined : new Set(options.addresses.map(addressOf))
    const claimed = this.clock.currentTimeMillisUnsafe() - claimMillis
    return this.ready(now, (row) => {
      if (!shards.includes(row.shard) || (row.lastRead !== null && row.lastRead >= claimed)) return false
      return addresses === undefined || addresses.has(addressOf(row.envelope.address))
    })
      .slice(0, options?.limit === undefined ? undefined : Math.floor(options.limit))
      .map((row) => {
        this.set(row, { lastRead: this.clock.currentTimeMillisUnsafe() })
        return this.toMessage(row)
      })
  }

  private unprocessedById(ids: ReadonlyArray<string>, now: number): Array<Unprocessed> {
    return this.ready(now, ({ id }) => ids.includes(id)).map((row) => this.toMessage(row))
  }

  /** What is not processed, and does not wait for a reply to be acknowledged, in the order of its coming. */
  private ready(now: number, isMeant: (row: MessageRow) => boolean): Array<MessageRow> {
    return Array.from(this.open)
      .filter(
        (row) =>
          isMeant(row) &&
          (row.deliverAt === null || row.deliverAt <= now) &&
          !this.repliesTo(row.envelope.requestId).some(({ acked, reply }) => reply._tag === "WithExit" || !acked)
      )
      .toSorted((a, b) => a.rowid - b.rowid)
  }

  private toMessage({ envelope, lastReplyId }: MessageRow): Unprocessed {
    const last = envelope._tag === "Request" && lastReplyId !== null ? this.replies.get(lastReplyId) : undefined
    return {
      envelope: copy(envelope),
      lastSentReply: Option.map(Option.fromUndefinedOr(last), ({ reply }) => copy(reply))
    }
  }

  // ------------------------------------------------------------------------
  // the tables
  // ------------------------------------------------------------------------

  private rowsOf(request: string): ReadonlyArray<MessageRow> {
    return Array.from(this.byRequest.get(request) ?? [])
  }

  private repliesTo(request: string): ReadonlyArray<ReplyRow> {
    return Array.from(this.repliesOf.get(request) ?? [])
  }

  /** In the order of their coming. */
  private repliesToAll(requests: ReadonlyArray<string>, isMeant: (row: ReplyRow) => boolean): Array<Reply.Encoded> {
    return Array.from(new Set(requests))
      .flatMap((request) => this.repliesTo(request).filter(isMeant))
      .toSorted((a, b) => a.rowid - b.rowid)
      .map(({ reply }) => copy(reply))
  }

  private set<Row extends object>(row: Row, changes: Partial<Row>): void {
    const before: Partial<Row> = {}
    for (const key of Object.keys(changes) as Array<keyof Row>) before[key] = row[key]
    const assign = (values: Partial<Row>) => {
      Object.assign(row, values)
      if ("processed" in row) this.follow(row as unknown as MessageRow)
    }
    assign(changes)
    this.transactions.undoBy(() => assign(before))
  }

  private follow(row: MessageRow): void {
    if (row.processed || !this.rows.has(row.id)) this.open.delete(row)
    else this.open.add(row)
  }

  private insert(row: MessageRow): void {
    this.put(row)
    this.transactions.undoBy(() => this.remove(row))
  }

  private drop(row: MessageRow): void {
    this.remove(row)
    this.transactions.undoBy(() => this.put(row))
  }

  private put(row: MessageRow): void {
    this.rows.set(row.id, row)
    if (row.key !== null) this.byKey.set(row.key, row)
    add(this.byRequest, row.envelope.requestId, row)
    this.follow(row)
  }

  private remove(row: MessageRow): void {
    this.rows.delete(row.id)
    if (row.key !== null) this.byKey.delete(row.key)
    take(this.byRequest, row.envelope.requestId, row)
    this.follow(row)
  }

  private insertReply(row: ReplyRow): void {
    this.putReply(row)
    this.transactions.undoBy(() => this.removeReply(row))
  }

  private dropReply(row: ReplyRow): void {
    this.removeReply(row)
    this.transactions.undoBy(() => this.putReply(row))
  }

  private dropExits(request: string): void {
    for (const row of this.repliesTo(request)) if (row.reply._tag === "WithExit") this.dropReply(row)
  }

  private putReply(row: ReplyRow): void {
    this.replies.set(row.reply.id, row)
    add(this.repliesOf, row.reply.requestId, row)
  }

  private removeReply(row: ReplyRow): void {
    this.replies.delete(row.reply.id)
    take(this.repliesOf, row.reply.requestId, row)
  }
}

const add = <A>(map: Map<string, Array<A>>, key: string, value: A): void => {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}

const take = <A>(map: Map<string, Array<A>>, key: string, value: A): void => {
  const values = map.get(key)?.filter((one) => one !== value) ?? []
  if (values.length === 0) map.delete(key)
  else map.set(key, values)
}
