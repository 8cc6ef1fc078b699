/**
 * A chat on three machines, one of which dies.
 *
 * Members connect to gateways. The rooms live in a cluster that the gateways form (Effect Cluster, over PostgreSQL). This
 * program starts PostgreSQL, three gateways, and thirty members who talk all the time. It kills a gateway, and looks what
 * became of every message that was acknowledged.
 *
 *     gateway/lines.ts          what members and gateways say to each other
 *     gateway/room.ts           a room: an entity of the cluster
 *     gateway/cluster.ts        the cluster: mutual TLS, PostgreSQL, and how soon it notices what
 *     gateway/gateway.ts        a gateway, which is a process
 *     gateway/member.ts         a member, who connects again when a gateway is gone
 *     gateway/postgres.ts       )
 *     gateway/certificates.ts   ) what a real deployment has already
 *     gateway/machines.ts       )
 *
 * Usage: npm run example:gateway     (it needs PostgreSQL: apt-get install postgresql)
 *
 * It ends within a minute, with exit code 0 if every acknowledged message reached every member of its room.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schedule } from "effect"
import { NodeNetwork } from "effect-byte-streams"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { writeCertificates } from "./gateway/certificates.ts"
import { database, tables, whatFollows } from "./gateway/cluster.ts"
import { gatewayProcess, machines, temporaryFolder } from "./gateway/machines.ts"
import { Member } from "./gateway/member.ts"
import { startPostgres } from "./gateway/postgres.ts"

const rooms = ["kitchen", "library", "garden"]
const membersOfARoom = 10

// ---------------------------------------------------------------------------
// what is looked at
// ---------------------------------------------------------------------------

const membersOf = (room: string, members: ReadonlyArray<Member>) => members.filter((member) => member.room === room)

const total = (members: ReadonlyArray<Member>, count: (member: Member) => number) =>
  members.reduce((sum, member) => sum + count(member), 0)

/** All that is wrong with what the members of a room have heard. */
const faultsOf = (members: ReadonlyArray<Member>): ReadonlyArray<string> =>
  members.flatMap((listener) => [
    ...listener.heard.flatMap(({ number }, index) =>
      number === index + 1 ? [] : [`${listener.name} heard number ${number} in place ${index + 1}`]
    ),
    ...members.flatMap((speaker) =>
      [...speaker.acknowledged].flatMap(([number, text]) => {
        const heard = listener.heard[number - 1]
        return heard?.name === speaker.name && heard.text === text
          ? []
          : [`${listener.name} did not hear number ${number}, which ${speaker.name} has said`]
      })
    )
  ])

/** Waits until something holds, looking now and then. */
const until = (what: string, holds: () => boolean, bound: `${number} seconds`) =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.timeoutOrElse({ duration: bound, orElse: () => Effect.die(new Error(`not within ${bound}: ${what}`)) }),
    Effect.orDie
  )

// ---------------------------------------------------------------------------
// what happens
// ---------------------------------------------------------------------------

const program = Effect.gen(function* () {
  const begun = Date.now()
  const tell = (text: string) =>
    Effect.suspend(() => Console.log(`${((Date.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${text}`))

  // the machines
  const hosts = machines(3)
  const certificates = yield* temporaryFolder
  yield* Effect.promise(() => writeCertificates(certificates, hosts))
  const socket = yield* startPostgres
  yield* Effect.scoped(Layer.build(tables.pipe(Layer.provide(database(socket)))))
  yield* tell("PostgreSQL is there")
  /** Which gateway runs which room, as far as one has said so. */
  const runs = new Map<string, string>()
  const gateways = yield* Effect.forEach(
    hosts,
    (host) =>
      gatewayProcess({ HOST: host, DATABASE: socket, CERTIFICATES: certificates }, (room) => void runs.set(room, host)),
    { concurrency: "unbounded" }
  )
  yield* tell(`three gateways are there, on ${hosts.join(", ")}`)
  for (const line of whatFollows) yield* Console.log(`         ${line}`)

  // the members
  const members = rooms.flatMap((room) =>
    Array.from({ length: membersOfARoom }, (_, index) => new Member(`${room}${index + 1}`, room))
  )
  const tls = { ca: readFileSync(join(certificates, "authority.pem")) }
  const places = hosts.map((host) => ({ host, port: 7007 }))
  for (const [index, member] of members.entries()) yield* Effect.forkScoped(member.stay(places, index, tls))
  const acknowledged = () => total(members, (member) => member.acknowledged.size)
  yield* until("all are answered", () => members.every((member) => member.acknowledged.size >= 5), "20 seconds")
  yield* tell(`${members.length} members talk; ${acknowledged()} messages are acknowledged so far`)
  for (const room of rooms) yield* Console.log(`         the ${room} is on ${runs.get(room)}`)

  // the end of a gateway: of one that runs a room
  const dead = runs.get(rooms[0]!)!
  const theirs = members.filter((member) => member.gateway === dead)
  const before = new Map(members.map((member) => [member, member.acknowledged.size]))
  gateways[hosts.indexOf(dead)]!.kill("SIGKILL")
  const itsRooms = rooms.filter((room) => runs.get(room) === dead)
  yield* tell(`the gateway ${dead} is killed: it ran ${itsRooms.join(" and ")}, and had ${theirs.length} members`)
  const connectAgain = until(
    "they connect again",
    () => theirs.every(({ gateway }) => gateway !== undefined && gateway !== dead),
    "15 seconds"
  ).pipe(Effect.andThen(tell("each of these members is connected to another gateway")))
  const answersAgain = (room: string) =>
    until(
      `the ${room} answers`,
      // one answer may have been on its way
      () =>
        runs.get(room) !== dead &&
        membersOf(room, members).every((member) => member.acknowledged.size >= before.get(member)! + 2),
      "15 seconds"
    ).pipe(Effect.andThen(tellOf(room)))
  const tellOf = (room: string) =>
    Effect.suspend(() => tell(`the ${room}, on ${runs.get(room)}, has answered each of its members again`))
  yield* Effect.all([connectAgain, ...rooms.map(answersAgain)], { concurrency: "unbounded" })
  yield* Effect.sleep("2 seconds")

  // the end
  for (const member of members) member.quiet = true
  yield* until("all that was said is acknowledged", () => members.every(({ isDone }) => isDone), "15 seconds")
  const lastOf = (room: string) => Math.max(...membersOf(room, members).flatMap((one) => [...one.acknowledged.keys()]))
  yield* until("all is heard", () => members.every(({ last, room }) => last >= lastOf(room)), "15 seconds")
  yield* tell(
    `${acknowledged()} messages were acknowledged, ${total(members, ({ heard }) => heard.length)} were heard; ` +
      `members connected again ${total(members, ({ connects }) => connects - 1)} times`
  )
  const faults = rooms.flatMap((room) => faultsOf(membersOf(room, members)))
  if (faults.length > 0) return yield* Effect.die(new Error(faults.slice(0, 10).join("\n")))
  yield* tell("every acknowledged message reached every member of its room, once, and in the order of its numbers")
})

program.pipe(Effect.scoped, Effect.timeout("50 seconds"), Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
