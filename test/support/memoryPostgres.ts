/** As much of a PostgreSQL server as tests need, written from the protocol's description, and not with the client's frames. */
import { type Connection } from "effect-byte-streams"
import { Deferred, Effect } from "effect"

const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A message: its letter, its length, and its parts, of which text ends with a zero byte. */
export const message = (letter: string, ...parts: ReadonlyArray<Uint8Array | string>): Buffer => {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(`${part}\0`) : part)))
  return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body])
}

export const login = (kind: number, data = ""): Buffer => message("R", int32(kind), Buffer.from(data))
export const ready = message("Z", Buffer.from("I"))
export const columns = (...names: ReadonlyArray<string>): Buffer =>
  message("T", int16(names.length), ...names.flatMap((name) => [name, Buffer.alloc(18)]))
export const row = (...cells: ReadonlyArray<string | null>): Buffer =>
  message(
    "D",
    int16(cells.length),
    ...cells.flatMap((cell) => (cell === null ? [int32(-1)] : [int32(Buffer.byteLength(cell)), Buffer.from(cell)]))
  )
export const error = (code: string, severity = "ERROR"): Buffer =>
  message("E", `S${severity}`, `V${severity}`, `C${code}`, "Mno", Buffer.alloc(1))
export const begun = Buffer.concat([message("1"), message("2")])
export const done = (command: string): Buffer => message("C", command)

/** The next message without a letter: its number, and what is behind it. */
export const opening = ({ reader }: Connection.Connection) =>
  Effect.gen(function* () {
    const head = Buffer.from(yield* reader.readExactly(8))
    return [head.readInt32BE(4), Buffer.from(yield* reader.readExactly(head.readInt32BE(0) - 8))] as const
  })

export const next = ({ reader }: Connection.Connection) =>
  Effect.gen(function* () {
    const head = Buffer.from(yield* reader.readExactly(5))
    return [String.fromCharCode(head[0]!), Buffer.from(yield* reader.readExactly(head.readInt32BE(1) - 4))] as const
  })

/** The text up to a zero byte, and where it ends. */
const textAt = (bytes: Buffer, at: number): readonly [text: string, end: number] => {
  const end = bytes.indexOf(0, at)
  return [bytes.toString("utf8", at, end), end + 1]
}

/** The values of a Bind, whose names end at `at`. */
const valuesOf = (bind: Buffer, from: number): ReadonlyArray<string> => {
  const values: Array<string> = []
  for (let at = from + 4; values.length < bind.readInt16BE(from + 2);) {
    const size = bind.readInt32BE(at)
    values.push(bind.toString("utf8", at + 4, at + 4 + size))
    at += 4 + size
  }
  return values
}

/** Answers each statement with its first value, as often as the second says, after as many milliseconds as the third says. */
export class MemoryPostgres {
  /** The first values of all statements, in their order. */
  readonly seen: Array<string> = []
  /** Of those that were cancelled. */
  readonly cancelled: Array<string> = []
  /** How many statements were parsed, and how many a session had at most. */
  parses = 0
  most = 0
  /** Whether a statement that has a name is still there when it is wanted. */
  keeps: (name: string) => boolean = () => true
  private readonly running = new Map<number, { readonly token: string; readonly cancelled: Deferred.Deferred<void> }>()
  private sessions = 0

  serve(connection: Connection.Connection) {
    return Effect.gen({ self: this }, function* () {
      const { writer } = connection
      const [number, body] = yield* opening(connection)
      if (number === 80_877_102) {
        const query = this.running.get(body.readInt32BE(0))
        if (query !== undefined) yield* Deferred.succeed(query.cancelled, undefined)
        return
      }
      const session = ++this.sessions
      const setting = message("S", "server_version", "17")
      yield* writer.write(Buffer.concat([login(0), setting, message("K", int32(session), int32(7)), ready]))
      const statements = new Map<string, string>()
      let heads: Array<Buffer> = []
      let run: ReadonlyArray<string> | undefined
      while (true) {
        const [letter, body] = yield* next(connection)
        if (letter === "X") return
        if (letter === "C") {
          statements.delete(textAt(body, 1)[0])
          heads.push(message("3"))
        } else if (letter === "P") {
          const [name, end] = textAt(body, 0)
          statements.set(name, textAt(body, end)[0])
          this.parses++
          this.most = Math.max(this.most, statements.size)
          heads.push(message("1"))
        } else if (letter === "B") {
          const [name, end] = textAt(body, 1)
          const sql = statements.get(name)
          if (sql === undefined || (heads.length === 0 && !this.keeps(name))) {
            statements.delete(name)
            heads.push(error("26000"))
          } else {
            const [token = "", ...others] = valuesOf(body, end)
            // each text has its own answer, so that one that is run in place of another is seen
            run = [sql.slice("echo".length) + token, ...others]
            heads.push(message("2"))
          }
        } else if (letter === "D" && run !== undefined) {
          heads.push(columns("t", "i"))
        } else if (letter === "S") {
          const [token = "", count = "1", millis = "0"] = run ?? []
          const tail = run === undefined ? ready : yield* this.answer(session, token, Number(count), Number(millis))
          yield* writer.write(Buffer.concat([...heads, tail]))
          heads = []
          run = undefined
        }
      }
    })
  }

  private answer(session: number, token: string, count: number, millis: number) {
    return Effect.gen({ self: this }, function* () {
      this.seen.push(token)
      const cancelled = yield* Deferred.make<void>()
      this.running.set(session, { token, cancelled })
      yield* Effect.raceFirst(Effect.sleep(millis), Deferred.await(cancelled))
      this.running.delete(session)
      if (yield* Deferred.isDone(cancelled)) {
        this.cancelled.push(token)
        return Buffer.concat([row(token, null), error("57014"), ready])
      }
      const rows = Array.from({ length: count }, (_, i) => row(token, String(i)))
      const news = message("A", int32(session), "news", token)
      return Buffer.concat([...rows, done(`SELECT ${count}`), news, ready])
    })
  }
}
