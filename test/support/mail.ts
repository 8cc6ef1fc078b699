/** What tests of SMTP have in common: a server that keeps what it is sent, and dialogues by hand. */
import { type Connection, type StreamReader } from "effect-byte-streams"
import { Cause, Effect, Option } from "effect"
import { type Mail, serve, type ServerOptions, SmtpError } from "../../examples/protocols/smtp.ts"

interface Kept extends Mail {
  readonly message: Buffer
}

/** A server that keeps messages, but none for `nobody@…`, and what its handlers died of. */
export const keeping = (options: Partial<ServerOptions>) =>
  Effect.gen(function* () {
    const kept: Array<Kept> = []
    const defects: Array<unknown> = []
    const server = yield* serve(
      {
        name: "server.test",
        accept: (recipient) =>
          recipient.startsWith("nobody@")
            ? Effect.fail(new SmtpError({ code: 550, enhanced: "5.1.1", message: "nobody\r\n250 is here" }))
            : Effect.void,
        onHandlerError: ({ cause }) =>
          Effect.sync(() => {
            if (Cause.hasDies(cause)) defects.push(Cause.squash(cause))
          }),
        ...options
      } as ServerOptions,
      (mail, message) => Effect.sync(() => void kept.push({ ...mail, message: Buffer.from(message) }))
    )
    return { defects, kept, port: server.port, shutdown: server.shutdown() }
  })

/** All that a peer says from here on. */
export const rest = (reader: StreamReader.StreamReader) =>
  Effect.map(reader.readAll({ maxBytes: 1_000_000 }), (bytes) => Buffer.from(bytes).toString("latin1"))

/** Says lines one after the other, each behind the answer to the one before; gives the first line of each answer. */
export const talk = Effect.fnUntraced(function* (
  { reader, writer }: Connection.Connection,
  ...lines: ReadonlyArray<string>
) {
  const answers: Array<string> = []
  for (const line of lines) {
    if (line !== "") yield* writer.write(`${line}\r\n`)
    let answer = Option.getOrThrow(yield* reader.readLineText)
    answers.push(answer)
    while (answer[3] === "-") answer = Option.getOrThrow(yield* reader.readLineText)
  }
  return answers
})
