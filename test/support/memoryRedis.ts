/** A Redis server of a few commands, over connections in memory: its data outlives them, and it notes what no client may do. */
import { type Connection, Frame, type StreamWriter } from "effect-byte-streams"
import { Effect, Option } from "effect"

const size = Frame.integerText({ end: "\r\n" })
const word = Frame.struct({
  is: Frame.literal("$"),
  text: Frame.lengthPrefixed(size, { maxBytes: 1_000_000 }, Frame.utf8Rest),
  end: Frame.literal("\r\n")
})
const request = Frame.struct({ is: Frame.literal("*"), words: Frame.array(word, { prefix: size, maxItems: 100 }) })

export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`

/** The next command that a client sends. */
export const nextCommand = ({ reader }: Connection.Connection) =>
  Effect.map(
    reader.readFrameOption(request),
    Option.map(({ words }) => words.map(({ text }) => text))
  )

export class MemoryRedis {
  /** What was done without a login, or in another database than the one that is expected. */
  readonly wrongs: Array<string> = []
  /** How often each counter was incremented. */
  readonly counters = new Map<string, number>()
  connections = 0
  private readonly subscribers = new Map<StreamWriter.StreamWriter, Set<string>>()
  private readonly password: string
  private readonly database: string

  constructor(password: string, database: number) {
    this.password = password
    this.database = String(database)
  }

  /** Serves a connection to its end. */
  readonly serve = (connection: Connection.Connection) =>
    Effect.gen({ self: this }, function* () {
      this.connections++
      const { writer } = connection
      const session = { loggedIn: false, database: "0", queued: undefined as Array<ReadonlyArray<string>> | undefined }
      const answer = (words: ReadonlyArray<string>): string => {
        const [name, first = "", second = ""] = words
        if (name === "HELLO") {
          session.loggedIn = words.slice(2).join(" ") === `AUTH default ${this.password}`
          return session.loggedIn ? "%1\r\n+proto\r\n:3\r\n" : "-WRONGPASS no such user\r\n"
        }
        if (!session.loggedIn) return this.wrong(words, "-NOAUTH log in first\r\n")
        if (name === "SELECT") {
          session.database = first
          return "+OK\r\n"
        }
        if (session.database !== this.database) return this.wrong(words, "-ERR another database\r\n")
        if (name === "EXEC") {
          const { queued } = session
          session.queued = undefined
          return `*${queued!.length}\r\n${queued!.map(answer).join("")}`
        }
        if (session.queued !== undefined) {
          session.queued.push(words)
          return "+QUEUED\r\n"
        }
        switch (name) {
          case "MULTI":
            session.queued = []
            return "+OK\r\n"
          case "ECHO":
            return bulk(first)
          case "PING":
            return "+PONG\r\n"
          case "INCR": {
            const count = (this.counters.get(first) ?? 0) + 1
            this.counters.set(first, count)
            return `:${count}\r\n`
          }
          case "SUBSCRIBE":
          case "UNSUBSCRIBE": {
            const channels = this.subscribers.get(writer) ?? new Set()
            this.subscribers.set(writer, channels)
            if (name === "SUBSCRIBE") channels.add(first)
            else channels.delete(first)
            return `>3\r\n${bulk(name.toLowerCase())}${bulk(first)}:${channels.size}\r\n`
          }
          case "PUBLISH":
            return `:${this.publish(first, second)}\r\n`
          default:
            return `-ERR unknown command '${name}'\r\n`
        }
      }
      for (let words = yield* nextCommand(connection); Option.isSome(words); words = yield* nextCommand(connection)) {
        yield* writer.write(answer(words.value))
      }
    }).pipe(Effect.ensuring(Effect.sync(() => this.subscribers.delete(connection.writer))))

  /** Tells subscribers of a channel, and returns how many there are. */
  publish(channel: string, message: string): number {
    const them = [...this.subscribers].filter(([, channels]) => channels.has(channel))
    for (const [writer] of them) {
      writer.writeUnsafe(`>3\r\n${bulk("message")}${bulk(channel)}${bulk(message)}`)
    }
    return them.length
  }

  private wrong(words: ReadonlyArray<string>, answer: string): string {
    this.wrongs.push(words.join(" "))
    return answer
  }
}
