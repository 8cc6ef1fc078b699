/** A real `redis-server`, and as much of its protocol as tests of exchanges need. */
import { type Connection, Exchange, Frame, openConnection, startServer } from "effect-byte-streams"
import { Effect, Latch, type Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { temporaryDirectory } from "./temporary.ts"
import { pathOf } from "./peers.ts"

export type Reply = string | number | null | ReadonlyArray<Reply>

const number = Frame.integerText({ end: "\r\n", signed: true })
const crlf = Frame.literal("\r\n")

/** Only what RESP2 has: simple text, errors as text, numbers, bulk text, arrays. */
const reply: Frame.Decoder<Reply> = Frame.gen({ maxBytes: 1_000_000 }, function* (): Generator<any, Reply, any> {
  const kind: number = yield* Frame.uint8
  switch (kind) {
    case 36: {
      const size: number = yield* number
      if (size < 0) return null
      const text: string = yield* Frame.utf8(size)
      yield* crlf
      return text
    }
    case 58:
      return yield* number
    case 42: {
      const items: Array<Reply> = []
      for (let left: number = yield* number; left > 0; left--) items.push(yield* reply as Frame.Frame<Reply>)
      return items
    }
    default:
      return yield* Frame.line({ maxBytes: 100_000, end: "crlf" })
  }
})

const command = Frame.encoder<ReadonlyArray<string>>({
  encode: (sink, words) => {
    let text = `*${words.length}\r\n`
    for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`
    sink.text(text)
  }
})

export type Redis = Exchange.Exchange<ReadonlyArray<string>, Reply>

/** A client of Redis, over any connection. */
export const redisOver = (
  connection: Connection.Connection,
  options?: Partial<Exchange.PipelinedOptions<ReadonlyArray<string>, Reply>>
): Effect.Effect<Redis, never, Scope.Scope> =>
  Exchange.makePipelined<ReadonlyArray<string>, Reply>(connection, {
    request: command,
    response: reply,
    ...options
  } as Exchange.PipelinedOptions<ReadonlyArray<string>, Reply>)

/** Starts a server on a Unix socket, with further arguments; stops it with the scope. */
export const redisServerAt = (
  directory: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<{ readonly path: string }, never, Scope.Scope> => {
  const path = `${directory}/redis.sock`
  return Effect.acquireRelease(
    Effect.promise(async () => {
      const server = spawn(
        pathOf("redis-server")!,
        ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", directory, ...args],
        { stdio: ["ignore", "pipe", "inherit"] }
      )
      const ready = (async () => {
        let said = ""
        for await (const chunk of server.stdout) {
          said += String(chunk)
          if (/ready to accept connections/i.test(said)) return
        }
        throw new Error(`redis-server did not start: ${said}`)
      })()
      await ready
      server.stdout.resume()
      return server
    }),
    (server) =>
      Effect.promise(async () => {
        const exited = server.exitCode === null ? once(server, "exit") : undefined
        server.kill()
        await exited
      })
  ).pipe(Effect.as({ path }))
}

/** Starts a server on a Unix socket; stops it with the scope. */
export const redisServer: Effect.Effect<{ readonly path: string }, unknown, Scope.Scope> = Effect.flatMap(
  temporaryDirectory,
  (directory) => redisServerAt(directory)
)

/** A proxy in front of it whose answers wait for `answers` to be opened: the slow network of the reports. */
export const slowProxy = (path: string) =>
  Effect.gen(function* () {
    const answers = yield* Latch.make(true)
    const proxy = yield* startServer({ host: "127.0.0.1", port: 0 }, (client) =>
      Effect.gen(function* () {
        const server = yield* openConnection({ path })
        const forward = Effect.gen(function* () {
          for (
            let bytes = yield* client.reader.read(65536);
            bytes.length > 0;
            bytes = yield* client.reader.read(65536)
          ) {
            yield* server.writer.write(bytes)
          }
        })
        const back = Effect.gen(function* () {
          for (
            let bytes = yield* server.reader.read(65536);
            bytes.length > 0;
            bytes = yield* server.reader.read(65536)
          ) {
            yield* answers.await
            yield* client.writer.write(bytes)
          }
        })
        yield* Effect.raceFirst(forward, back)
      })
    )
    return { answers, port: proxy.port }
  })
