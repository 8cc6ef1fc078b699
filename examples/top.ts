/**
 * A look into a running server: a live table of its connections, as `top` has one of processes.
 *
 * All that it shows comes from `server.snapshot`, which needs no observer and costs the connections nothing: who is
 * connected, what came and went, what is held back and by whom, and which operation waits, and since when.
 *
 * Usage: npm run example:top                  (a server whose clients misbehave, until ctrl-C; three tables without a terminal)
 *        npm run example:top -- --serve       (an echo server for `nc`, on PORT or 7009, until ctrl-C)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Config, Console, Effect, Option } from "effect"
import {
  type Connection,
  NodeNetwork,
  type Observer,
  openConnection,
  type Server,
  startServer
} from "effect-byte-streams"

// ---------------------------------------------------------------------------
// the table
// ---------------------------------------------------------------------------

type Snapshot = Observer.ConnectionSnapshot

/** What a table is made of, and what has passed since the one before. */
interface Sample {
  readonly now: number
  readonly connections: ReadonlyArray<Snapshot>
  readonly perSecond: (connection: Snapshot, count: "bytesRead" | "bytesWritten") => number
}

interface Column {
  readonly title: string
  /** Columns of the highest rank go first where the terminal is narrow. */
  readonly rank: number
  readonly align: "left" | "right"
  readonly cell: (connection: Snapshot, sample: Sample) => string
}

const size = (bytes: number): string => {
  if (bytes < 1000) return bytes.toFixed(0)
  const power = Math.min(4, Math.floor(Math.log(bytes) / Math.log(1024)) || 1)
  return `${(bytes / 1024 ** power).toFixed(1)}${"KMGT"[power - 1]}`
}

const age = (millis: number): string => {
  const seconds = Math.max(0, millis) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)}s`
  if (seconds < 100) return `${seconds.toFixed(0)}s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 100 ? `${minutes}m` : `${Math.floor(minutes / 60)}h`
}

const column = (title: string, rank: number, cell: Column["cell"], align: Column["align"] = "right"): Column => ({
  title,
  rank,
  align,
  cell
})

/** A client that waits for its place in the server waits since it came. */
const waits = ({ since, state, waiting }: Snapshot) => (state === "waiting" ? [{ operation: "place", since }] : waiting)

const columns: ReadonlyArray<Column> = [
  column("#", 0, ({ id }) => String(id)),
  column("PEER", 1, ({ info }) => String(info.remote ?? "-").replace(/^\w+:\/\//, ""), "left"),
  column("STATE", 6, ({ peerEnded, state }) => (peerEnded && state === "open" ? "half" : state), "left"),
  column("AGE", 5, ({ since }, { now }) => age(now - since)),
  column("IN", 4, ({ bytesRead }) => size(bytesRead)),
  column("OUT", 4, ({ bytesWritten }) => size(bytesWritten)),
  column("IN/S", 7, (connection, { perSecond }) => size(perSecond(connection, "bytesRead"))),
  column("OUT/S", 7, (connection, { perSecond }) => size(perSecond(connection, "bytesWritten"))),
  column("UNREAD", 3, ({ unread }) => size(unread)),
  column("UNSENT", 3, ({ unsent }) => size(unsent)),
  column(
    "HELD BY",
    2,
    ({ paused }, { now }) => paused.map(({ reason, since }) => `${reason} ${age(now - since)}`).join(", "),
    "left"
  ),
  column(
    "WAITS FOR",
    2,
    (connection, { now }) =>
      waits(connection)
        .map(({ operation, since }) => `${operation} ${age(now - since)}`)
        .join(", "),
    "left"
  ),
  column("TLS", 8, ({ info }) => info.tls?.protocol ?? "", "left")
]

const gap = " "

/** As many columns as the width has room for, and as many rows as the height. */
const table = (sample: Sample, width: number, height: number): ReadonlyArray<string> => {
  const rows = sample.connections.slice(0, Math.max(1, height - 2))
  const laidOut = columns.map(({ align, cell, rank, title }) => {
    const cells = [title, ...rows.map((connection) => cell(connection, sample))]
    const widest = Math.max(...cells.map((text) => text.length))
    return {
      rank,
      widest,
      cells: cells.map((text) => (align === "left" ? text.padEnd(widest) : text.padStart(widest)))
    }
  })
  const shown = new Set(laidOut)
  const needed = () => Array.from(shown).reduce((sum, { widest }) => sum + widest + gap.length, -gap.length)
  for (const one of laidOut.toSorted((a, b) => b.rank - a.rank)) if (needed() > width) shown.delete(one)
  const lines = Array.from({ length: rows.length + 1 }, (_, i) =>
    Array.from(shown, ({ cells }) => cells[i])
      .join(gap)
      .slice(0, width)
      .trimEnd()
  )
  const left = sample.connections.length - rows.length
  return left > 0 ? [...lines, `… and ${left} more`] : lines
}

/** Reads the server again and again, and tells how much passed in between. */
const sampler = (server: Server.Server) => {
  let before: { readonly at: number; readonly counts: ReadonlyMap<number, Snapshot> } | undefined
  return Effect.gen(function* () {
    const connections = yield* server.snapshot
    const now = yield* Clock.currentTimeMillis
    const last = before
    before = { at: now, counts: new Map(connections.map((connection) => [connection.id, connection])) }
    const perSecond: Sample["perSecond"] = (connection, count) => {
      const was = last?.counts.get(connection.id)
      const [since, counted] = was === undefined ? [connection.since, 0] : [last!.at, was[count]]
      return (connection[count] - counted) / Math.max(0.001, (now - since) / 1000)
    }
    return { now, connections, perSecond }
  })
}

const summary = (server: Server.Server, sample: Sample) =>
  Effect.gen(function* () {
    const waiting = yield* server.waiting
    const rejected = yield* server.rejected
    const sum = (of: (connection: Snapshot) => number) => size(sample.connections.reduce((n, one) => n + of(one), 0))
    return `${String(server.address)}  ${sample.connections.length - waiting} served, ${waiting} waiting, ${rejected} rejected  unread ${sum((one) => one.unread)}, unsent ${sum((one) => one.unsent)}`
  })

/** Draws over itself on a terminal, and one below the other elsewhere. */
const show = Effect.fnUntraced(function* (server: Server.Server) {
  const { stdout } = process
  const sample = sampler(server)
  const draw = Effect.gen(function* () {
    const now = yield* sample
    const width = stdout.columns ?? 80
    const title = (yield* summary(server, now)).slice(0, width)
    const lines = [title, "", ...table(now, width, (stdout.rows ?? 24) - 4)]
    if (stdout.isTTY) stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`)
    else yield* Console.log(`${lines.join("\n")}\n`)
  })
  if (!stdout.isTTY) {
    for (let i = 0; i < 3; i++) yield* Effect.andThen(Effect.sleep("400 millis"), draw)
    return
  }
  // a screen of its own, which leaves the one below as it was
  yield* Effect.acquireRelease(
    Effect.sync(() => stdout.write("\x1b[?1049h\x1b[?25l")),
    () => Effect.sync(() => stdout.write("\x1b[?25h\x1b[?1049l"))
  )
  while (true) yield* Effect.andThen(draw, Effect.sleep("500 millis"))
})

// ---------------------------------------------------------------------------
// a server, and clients of all sorts
// ---------------------------------------------------------------------------

/** Answers each line with itself. `slow` takes its time over each, and `much` is answered with more than is asked for. */
const echo = Effect.fnUntraced(
  function* ({ reader, writer }: Connection.Connection) {
    while (true) {
      const line = yield* reader.readLineText
      if (Option.isNone(line)) return
      if (line.value.startsWith("slow")) yield* Effect.sleep("200 millis")
      yield* writer.write(line.value.startsWith("much") ? "much ".repeat(4_000_000) : `${line.value}\n`)
    }
  },
  Effect.catchTag(["ConnectionLost", "IncompleteRead", "ClosedStream"], () => Effect.void)
)

const talks = Effect.fnUntraced(function* ({ reader, writer }: Connection.Connection) {
  while (true) {
    yield* writer.write("what I say\n")
    yield* reader.readLine
    yield* Effect.sleep("20 millis")
  }
})

/** Says more than is listened to. */
const floods = ({ writer }: Connection.Connection) => Effect.forever(writer.write(`slow ${"x".repeat(1000)}\n`))

/** Asks for more than it reads. */
const isDeaf = ({ writer }: Connection.Connection) => Effect.andThen(writer.write("much\n"), Effect.never)

const stopsInTheMiddle = ({ writer }: Connection.Connection) => Effect.andThen(writer.write("half a li"), Effect.never)

const isQuiet = () => Effect.never

const demo = Effect.gen(function* () {
  const server = yield* startServer({ host: "127.0.0.1", port: 0, limit: 8192, maxConnections: 5 }, echo)
  for (const client of [talks, floods, isDeaf, stopsInTheMiddle, isQuiet, isQuiet, isQuiet]) {
    const connection = yield* openConnection({ host: "127.0.0.1", port: server.port })
    yield* Effect.forkScoped(client(connection), { startImmediately: true })
  }
  yield* show(server)
  yield* server.abortClients
})

const serve = Effect.gen(function* () {
  const port = yield* Config.Int("PORT").pipe(Config.withDefault(7009))
  const server = yield* startServer({ host: "127.0.0.1", port }, echo)
  yield* Console.log(`try, in another terminal: nc 127.0.0.1 ${server.port}`)
  yield* show(server)
})

const program = Effect.gen(function* () {
  yield* process.argv.includes("--serve") ? serve : demo
})

program.pipe(Effect.scoped, Effect.provide(NodeNetwork.layer), NodeRuntime.runMain)
