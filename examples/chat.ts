/**
 * A chat room in which nobody waits for a slow member.
 *
 * Each member has an outbox of a fixed size, which a fiber of its own empties into the connection. When it is full the
 * oldest message makes room for the newest, and the member is told how many it missed. So a member who does not read
 * costs a bounded amount of memory, and holds up nobody.
 *
 * Usage: npm run example:chat                 (three members, one of whom does not read, then ends)
 *        npm run example:chat -- --serve      (a room for `nc`, on PORT or 7007, until ctrl-C)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Option, Queue } from "effect"
import { type Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd()

// ---------------------------------------------------------------------------
// the room
// ---------------------------------------------------------------------------

const outboxSize = 16

interface Member {
  readonly name: string
  readonly outbox: Queue.Queue<string>
  missed: number
}

const startRoom = (port: number) => {
  const members = new Set<Member>()

  const tellAllBut = (sender: Member | undefined, message: string) =>
    Effect.sync(() => {
      for (const member of members) {
        if (member === sender) continue
        if (Queue.isFullUnsafe(member.outbox)) member.missed++
        Queue.offerUnsafe(member.outbox, message)
      }
    })

  /** From the member to all others. */
  const listen = Effect.fnUntraced(function* (member: Member, { reader }: Connection.Connection) {
    const nextLine = reader.readLineWith({ onOverrun: "discard", end: "required", keepDelimiter: false })
    for (let line = yield* nextLine; Option.isSome(line); line = yield* nextLine) {
      yield* tellAllBut(member, `${member.name}: ${text(line.value)}\n`)
    }
  })

  /** From the outbox to the member. The only fiber that waits for this connection. */
  const deliver = Effect.fnUntraced(function* (member: Member, { writer }: Connection.Connection) {
    while (true) {
      const message = yield* Queue.take(member.outbox)
      const { missed } = member
      member.missed = 0
      yield* writer.writeAll(missed > 0 ? [`* you missed ${missed} messages\n`, message] : [message])
    }
  })

  return startServer(
    // when the room closes, a member who says nothing has left
    { host: "127.0.0.1", port, whenDraining: "endIdleReads" },
    Effect.fnUntraced(
      function* (connection: Connection.Connection) {
        yield* connection.writer.write("your name?\n")
        const line = yield* connection.reader.readLineText
        if (Option.isNone(line)) return
        const name = line.value.trimEnd()
        const member: Member = { name, outbox: yield* Queue.sliding<string>(outboxSize), missed: 0 }
        members.add(member)
        yield* tellAllBut(undefined, `* ${name} is here\n`)
        yield* Effect.raceFirst(listen(member, connection), deliver(member, connection)).pipe(
          Effect.ensuring(
            Effect.suspend(() => {
              members.delete(member)
              return tellAllBut(undefined, `* ${name} has left\n`)
            })
          )
        )
      },
      // a member may leave in any way, also in the middle of a line
      Effect.catchTag(["ConnectionLost", "IncompleteRead"], () => Effect.void)
    )
  )
}

// ---------------------------------------------------------------------------
// three members
// ---------------------------------------------------------------------------

const join = Effect.fnUntraced(function* (port: number, name: string) {
  const connection = yield* openConnection({ host: "127.0.0.1", port })
  yield* connection.reader.readUntil("\n")
  yield* connection.writer.write(`${name}\n`)
  yield* connection.reader.readUntil(`* ${name} is here\n`)
  return connection
})

const conversation = Effect.gen(function* () {
  const { port } = yield* startRoom(0)
  const alice = yield* join(port, "alice")
  const bob = yield* join(port, "bob")
  const carol = yield* join(port, "carol")
  yield* bob.reader.readUntil("* carol is here\n")

  const count = 400
  const long = "bla ".repeat(15_000)
  yield* Console.log(`alice says ${count} things of ${long.length} bytes; bob listens, carol does not`)
  let heard = 0
  for (let number = 1; number <= count; number++) {
    yield* alice.writer.write(`${number} ${long}\n`)
    if (text(yield* bob.reader.readUntil("\n")).startsWith(`alice: ${number} `)) heard++
  }
  yield* Console.log(`bob has heard ${heard} of them, each as it was said`)

  let received = 0
  let missed = 0
  while (received + missed < count) {
    const line = text(yield* carol.reader.readUntil("\n"))
    const notice = /^\* you missed (\d+) messages$/.exec(line)
    if (notice !== null) missed += Number(notice[1])
    else if (line.startsWith("alice: ")) received++
  }
  yield* Console.log(`carol listens now: ${received} received, and the room tells her that she missed ${missed}`)
})

const serve = Effect.gen(function* () {
  const server = yield* startRoom(yield* Config.Int("PORT").pipe(Config.withDefault(7007)))
  yield* Console.log(`try, in two terminals: nc 127.0.0.1 ${server.port}`)
  return yield* Effect.never
})

const program = Effect.gen(function* () {
  yield* process.argv.includes("--serve") ? serve : conversation
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
