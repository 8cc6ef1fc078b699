/**
 * A chat room: a cluster entity. One of the gateways runs it, whichever that is, and all others ask that one.
 *
 * A room keeps nothing that it cannot read again: its messages are in a table, numbered without gaps. When its gateway
 * dies, another one builds the room anew and goes on with the next number.
 */
import { Console, Effect, Layer, Schema, Stream, SubscriptionRef } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { SqlClient } from "effect/sql"

class Message extends Schema.Class<Message>("Message")({
  number: Schema.Int,
  name: Schema.String,
  text: Schema.String
}) {}

/**
 * Says something in the room. Answers its number.
 *
 * - `Persisted`: the call is stored before it is sent, and again when it was answered. Whatever dies, it is handled.
 * - `primaryKey`: the same id is the same call. Who got no answer asks again, and gets the number of the first time.
 * - `Uninterruptible`: a member that leaves does not take back what it has said.
 */
const Say = Rpc.make("Say", {
  payload: { id: Schema.String, name: Schema.String, text: Schema.String },
  primaryKey: ({ id }) => id,
  success: Schema.Int
})
  .annotate(ClusterSchema.Persisted, true)
  .annotate(ClusterSchema.Uninterruptible, true)

/** The messages behind a number, and then those to come. Not stored: who loses the stream asks again, with a later number. */
const Listen = Rpc.make("Listen", {
  payload: { after: Schema.Int },
  success: Message,
  stream: true
}).annotate(ClusterSchema.InterruptOnTermination, true)

export const Room = Entity.make("Room", [Say, Listen])

/** One room, as others call it. */
export type RoomClient = ReturnType<Effect.Success<typeof Room.client>>

export const RoomTable = Layer.effectDiscard(
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`
      CREATE TABLE messages (
        room TEXT, number INT, id TEXT, name TEXT, text TEXT, PRIMARY KEY (room, number), UNIQUE (room, id)
      )`
  )
)

/** What a room has heard: the table, and the newest messages once more in memory. */
const openLog = Effect.fnUntraced(function* (room: string) {
  const sql = yield* SqlClient.SqlClient
  const [found] = yield* sql<{ last: number }>`
    SELECT coalesce(max(number), 0) AS last FROM messages WHERE room = ${room}`
  const last = yield* SubscriptionRef.make(found!.last)
  let newest: Array<Message> = []

  /**
   * Stores a message, once. A room may run in two places for a moment, when its first gateway was only held up. So the
   * table decides: an id has one number, and a number one message.
   */
  const append = Effect.fnUntraced(
    function* (id: string, name: string, text: string) {
      const [inserted] = yield* sql<{ number: number }>`
        INSERT INTO messages (room, number, id, name, text)
        SELECT ${room}, coalesce(max(number), 0) + 1, ${id}, ${name}, ${text} FROM messages WHERE room = ${room}
        ON CONFLICT (room, id) DO NOTHING RETURNING number`
      if (inserted === undefined) {
        const [first] = yield* sql<{ number: number }>`SELECT number FROM messages WHERE room = ${room} AND id = ${id}`
        return first!.number
      }
      const { number } = inserted
      if (newest.at(-1)?.number !== number - 1) newest = []
      newest.push(new Message({ number, name, text }))
      if (newest.length > 200) newest = newest.slice(-100)
      yield* SubscriptionRef.set(last, number)
      return number
    },
    // somebody else took the number
    Effect.retry({ times: 5 })
  )

  /** The next messages behind a number, in order. */
  const next = (after: number) => {
    const from = after + 1 - (newest[0]?.number ?? Infinity)
    return from >= 0
      ? Effect.succeed(newest.slice(from))
      : Effect.map(
          sql<{ number: number; name: string; text: string }>`
            SELECT number, name, text FROM messages WHERE room = ${room} AND number > ${after} ORDER BY number LIMIT 100`,
          (rows) => rows.map((row) => new Message(row))
        )
  }

  /** All messages behind a number, as they come. A slow listener holds up itself alone: it asks when it is ready. */
  const listen = (after: number) =>
    Stream.unfold(after, (seen) =>
      SubscriptionRef.changes(last).pipe(
        Stream.filter((number) => number > seen),
        Stream.runHead,
        Effect.andThen(next(seen)),
        Effect.map((messages) => [messages, messages.at(-1)?.number ?? seen] as const)
      )
    ).pipe(Stream.flattenIterable)

  return { append, listen }
})

/** How a gateway runs rooms. Calls of one room are handled one by one; streams (`fork`) go on beside them. */
export const RoomLive = Room.toLayer(
  Effect.gen(function* () {
    const { entityId: room } = yield* Entity.CurrentAddress
    const log = yield* Effect.orDie(openLog(room))
    yield* Console.log(`room ${room}`)
    return Room.of({
      Say: ({ payload: { id, name, text } }) => Effect.orDie(log.append(id, name, text)),
      Listen: ({ payload: { after } }) => Rpc.fork(Stream.orDie(log.listen(after)))
    })
  })
)
