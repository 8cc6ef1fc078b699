/**
 * One gateway: members connect to it over TLS, and it is one of the cluster that the rooms live in.
 *
 * Started by examples/gateway.ts, with HOST, DATABASE (a Unix socket) and CERTIFICATES (a folder) in its environment.
 * SIGTERM ends it in good order: its rooms go elsewhere at once, and its members are sent away.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Option, Redacted, References, Stream } from "effect"
import { type Connection, NodeNetwork, Server } from "effect-byte-streams"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { cluster, database } from "./cluster.ts"
import { maxLineBytes, messageLine, okLine, readJoin, readSay } from "./lines.ts"
import { Room, type RoomClient, RoomLive } from "./room.ts"

// ---------------------------------------------------------------------------
// members
// ---------------------------------------------------------------------------

/** What the member says, into the room. */
const talk = Effect.fnUntraced(function* ({ reader, writer }: Connection.Connection, room: RoomClient, name: string) {
  for (let said = yield* readSay(reader); Option.isSome(said); said = yield* readSay(reader)) {
    const { id, text } = said.value
    // A call has no bound of its own. One that is given up may still be handled: the member says it again, with its id.
    const number = yield* room.Say({ id, name, text }).pipe(Effect.timeout("20 seconds"))
    yield* writer.write(okLine(id, number))
  }
})

/** What the room says, to the member. A room that moves ends the stream: it is asked again, from there on. */
const listen = ({ writer }: Connection.Connection, room: RoomClient, after: number) => {
  let told = after
  return Stream.suspend(() => room.Listen({ after: told })).pipe(
    Stream.catchCause(() => Stream.empty),
    Stream.runForEach(({ name, number, text }) => {
      // a call that Effect repeats, because its runner was lost, begins with what it began with before
      if (number <= told) return Effect.void
      told = number
      return writer.write(messageLine(number, name, text))
    }),
    Effect.andThen(Effect.sleep("100 millis")),
    Effect.forever
  )
}

const serve = (roomOf: (name: string) => RoomClient) =>
  Effect.fnUntraced(function* (connection: Connection.Connection) {
    const joined = yield* readJoin(connection.reader)
    if (Option.isNone(joined)) return
    const { after, name } = joined.value
    const room = roomOf(joined.value.room)
    yield* Effect.raceFirst(talk(connection, room, name), listen(connection, room, after))
  })

// ---------------------------------------------------------------------------
// the process
// ---------------------------------------------------------------------------

const program = Effect.gen(function* () {
  const host = yield* Config.String("HOST")
  const folder = yield* Config.String("CERTIFICATES")
  const read = (name: string) => readFileSync(join(folder, name), "utf8")
  const ca = read("authority.pem")
  const identity = { cert: read(`${host}.pem`), key: Redacted.make(read(`${host}.key`)) }

  const Members = Layer.unwrap(
    Effect.map(Room.client, (roomOf) =>
      Server.layerServer(
        { host, port: 7007, limit: maxLineBytes, tls: { identity }, gracePeriod: "1 second" },
        serve(roomOf)
      )
    )
  )
  // what stands further down is there first, and goes last
  const Gateway = Layer.effectDiscard(Console.log("ready")).pipe(
    Layer.provide(Members),
    Layer.provide(RoomLive),
    Layer.provide(cluster(host, { ca, identity })),
    Layer.provide(database(yield* Config.String("DATABASE"))),
    Layer.provide(NodeNetwork.layer)
  )
  return yield* Layer.launch(Gateway)
})

// the last one to go would warn that there is none left
program.pipe(Effect.provideService(References.MinimumLogLevel, "Error"), NodeRuntime.runMain)
