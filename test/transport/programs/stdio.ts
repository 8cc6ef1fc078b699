/** Programs on the standard input and output. The argument names one. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Option, Stream } from "effect"
import { Connection, StreamReader, StreamWriter } from "effect-byte-streams"

const [name = ""] = process.argv.slice(2)

const programs: Record<string, (connection: Connection.Connection) => Effect.Effect<unknown, unknown>> = {
  /** Gives back what comes, to its end. */
  echo: ({ reader, writer }) => Stream.run(StreamReader.stream(reader), StreamWriter.sink(writer)),

  /** Is done with the first line, although more may come. */
  oneLine: ({ reader, writer }) =>
    Effect.flatMap(reader.readLineText, (line) => writer.write(`${Option.getOrElse(line, () => "nothing")}!\n`)),

  /** Fails in the middle of a message. */
  fails: ({ writer }) =>
    Effect.andThen(writer.write("half of i"), Effect.andThen(writer.flush, Effect.fail(new Error("it failed")))),

  /** Ends its output, and goes on reading: tells what it read by its errors. */
  halfCloses: ({ reader, writer }) =>
    Effect.gen(function* () {
      yield* writer.write("all that I say\n")
      yield* writer.writeEof
      const rest = yield* reader.readAll({ maxBytes: 1000 })
      process.stderr.write(`read ${new TextDecoder().decode(rest)}\n`)
    }),

  /** Says much to a peer that may not read. */
  floods: ({ writer }) =>
    Effect.gen(function* () {
      const block = new Uint8Array(50_000)
      for (let written = 0; ; written += block.length) {
        yield* writer.write(block)
        if (written % 1_000_000 === 0) process.stderr.write(`wrote ${written}\n`)
      }
    })
}

Effect.flatMap(Connection.stdio(), programs[name]!).pipe(
  Effect.scoped,
  NodeRuntime.runMain({ disableErrorReporting: true })
)
