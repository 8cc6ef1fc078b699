/**
 * SMTP (RFC 5321): a client, whose error says whether a message may have been delivered, and a server that receives. It
 * refuses line breaks other than CRLF: whoever takes one for a line break sees other messages (CVE-2023-51764).
 */
import { Effect, Option, Redacted, Result, Schema, Stream } from "effect"
import { Exchange, Frame, openConnection, startServer, StreamError } from "effect-byte-streams"
import type { Connection, Server, Tls } from "effect-byte-streams"

/** No spaces and no controls: an address cannot bring commands of its own. */
const Path = Schema.String.check(Schema.isPattern(/^[!-;=?-~]*$/))
/** Who sends and who receives. `from` is empty where nobody is to hear that a message was not delivered. */
export const Envelope = Schema.Struct({ from: Path, to: Schema.NonEmptyArray(Path.check(Schema.isMinLength(1))) })

const reply = { code: Schema.Int, enhanced: Schema.optional(Schema.String), message: Schema.String }
/** A refusal. With a code of 4xx it may go well later. */
export class SmtpError extends Schema.TaggedError<SmtpError>()("SmtpError", reply) {}
type Reply = Pick<SmtpError, keyof typeof reply>

const replyLine = Frame.refine(Frame.line({ maxBytes: 2000, end: "crlf" }), (line) => /^[2-5]\d\d([ -]|$)/.test(line))
const Reply = Frame.gen({ maxBytes: 65_536 }, function* (): Generator<Frame.Decoder<any>, Reply, string> {
  const lines = [yield* replyLine]
  while (lines.at(-1)![3] === "-") lines.push(yield* replyLine)
  const text = lines.map((line) => line.slice(4)).join("\n")
  const enhanced = /^[245]\.\d{1,3}\.\d{1,3}(?= )/.exec(text)?.[0]
  return { code: Number(lines[0]!.slice(0, 3)), enhanced, message: text.replaceAll(/^[245]\.\d+\.\d+ /gm, "") }
})

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")
const malformed = "521 5.5.2 too long, no text, or a CR or an LF outside of CRLF"
/** A line with its CR. Another CR, and an LF without one, is malformed. */
const command = Frame.refine(Frame.line({ maxBytes: 2000 }), (line) => /^[^\r]*\r$/.test(line))

export interface ClientOptions extends Connection.OpenOptions {
  readonly name: string
  /** STARTTLS, without which nothing is sent. TLS from the beginning is `tls`. */
  readonly startTls?: Tls.ClientOptions
  readonly auth?: { readonly user: string; readonly password: Redacted.Redacted<string> }
}
/** Connects and logs in, until the scope closes. Any number of fibers may send: they do so one after the other. */
export const connect = Effect.fnUntraced(function* ({ auth, name, startTls, ...to }: ClientOptions) {
  let connection = yield* openConnection({ timeouts: { write: "5 minutes" }, ...to })
  const ask = Effect.fnUntraced(function* (line: string, code: number) {
    if (line !== "") yield* connection.writer.write(`${line}\r\n`)
    const reply = yield* connection.reader.within("5 minutes").readFrame(Reply)
    return reply.code === code ? reply.message.toUpperCase().split("\n") : yield* new SmtpError(reply)
  })
  yield* ask("", 220)
  let can = yield* ask(`EHLO ${name}`, 250)
  if (startTls !== undefined) {
    yield* ask("STARTTLS", 220)
    connection = yield* connection.startTls({ side: "client", ...startTls })
    can = yield* ask(`EHLO ${name}`, 250)
  }
  if (auth !== undefined) {
    if (connection.info.tls === undefined) return yield* new SmtpError({ code: 538, message: "a password wants TLS" })
    const isPlain = can.some((line) => /^AUTH .*\bPLAIN\b/.test(line))
    const [user, password] = [auth.user, Redacted.value(auth.password)]
    const words = isPlain ? [`\0${user}\0${password}`] : [user, password]
    yield* ask(isPlain ? "AUTH PLAIN" : "AUTH LOGIN", 334)
    while (words.length > 0) yield* ask(Buffer.from(words.shift()!).toString("base64"), words.length > 0 ? 334 : 235)
  }
  const [reader, writer] = [connection.reader.within("10 minutes"), connection.writer]
  const smtp = yield* Exchange.makePipelined(connection, { request: command, response: Reply, stallTimeout: 2000 })
  yield* Effect.addFinalizer(() => Effect.ignore(smtp.call("QUIT\r")))

  /** Fails with `RequestLost` where the connection is lost: `sent` says whether the message may have been delivered. */
  const send = Effect.fnUntraced(function* <E = never, R = never>(
    envelope: typeof Envelope.Type,
    message: string | Uint8Array | Stream.Stream<Uint8Array, E, R>
  ) {
    const { from, to } = yield* Schema.decodeEffect(Envelope)(envelope)
    const mail = `MAIL FROM:<${from}>${can.includes("8BITMIME") ? " BODY=8BITMIME" : ""}`
    const commands = [mail, ...to.map((recipient) => `RCPT TO:<${recipient}>`), "DATA"]
    let [sent, before]: ["No" | "Maybe", string] = ["No", "\n"]
    const lost = Effect.mapError((cause: StreamError.LostCause) => new StreamError.RequestLost({ sent, cause }))
    const write = (data: string | Uint8Array) => lost(writer.write(data))
    const next = lost(reader.readFrame(Reply))
    // a refusal is a value, for both sides are in step; what fails, or is interrupted, ends the connection
    const dialogue = Effect.gen(function* () {
      const replies: Array<Reply> = []
      for (const run of can.includes("PIPELINING") ? [commands] : commands.map((command) => [command])) {
        yield* write(`${run.join("\r\n")}\r\n`)
        for (const _ of run) replies.push(yield* next)
      }
      const [ofMail, ofData] = [replies.shift()!, replies.pop()!]
      const refused = to.flatMap((recipient, i) => (replies[i]!.code < 400 ? [] : { recipient, ...replies[i]! }))
      const refusal = [ofMail, refused.length < to.length ? ofData : replies[0]!].find(({ code }) => code >= 400)
      const undo = Effect.andThen(write(ofData.code === 354 ? ".\r\n" : "RSET\r\n"), next)
      if (refusal !== undefined) return Result.fail(yield* Effect.as(undo, new SmtpError(refusal)))
      const pieces = Stream.isStream(message) ? message : Stream.succeed(Buffer.from(message))
      // every line break is CRLF, and a line that begins with a dot has one more
      yield* Stream.runForEach(pieces, (bytes) => {
        const text = before + latin1(bytes).replaceAll("\r", "")
        const stuffed = text.replaceAll("\n.", "\n..").replaceAll("\n", "\r\n")
        const piece = Buffer.from(stuffed.slice(2 * before.length), "latin1")
        before = text.endsWith("\n") ? "\n" : ""
        return write(piece)
      })
      sent = "Maybe"
      yield* write(before === "" ? "\r\n.\r\n" : ".\r\n")
      const answer = yield* next
      return answer.code < 400 ? Result.succeed({ ...answer, refused }) : Result.fail(new SmtpError(answer))
    })
    return yield* Effect.fromResult(yield* smtp.exclusive(() => dialogue))
  })
  return { send, closed: smtp.closed }
})

export type Mail = { readonly from: string; readonly to: Array<string>; readonly user: string }
export interface ServerOptions extends Server.Options {
  readonly name: string
  readonly startTls?: Tls.ServerOptions
  /** Whether a password is right. It is asked for over TLS only; `user` is empty until it was right. */
  readonly authenticate?: (user: string, password: Redacted.Redacted<string>) => Effect.Effect<boolean>
  readonly accept?: (recipient: string, user: string) => Effect.Effect<void, SmtpError>
  readonly maxSize?: number
}
/** Starts a server. A client is told that its message was delivered once `receive` ends. */
export const serve = <R = never>(
  { accept, authenticate, maxSize = 16 * 1024 * 1024, name, startTls, ...options }: ServerOptions,
  receive: (mail: Mail, message: Uint8Array) => Effect.Effect<void, SmtpError, R>
) => {
  const session = Effect.fnUntraced(function* (plain: Connection.Connection) {
    let [connection, user] = [plain, ""]
    let mail: Mail | undefined
    const say = (text: string) => connection.writer.write(`${text}\r\n`)
    const answer = Effect.fnUntraced(function* (verb: string, argument: string) {
      const secure = connection.info.tls !== undefined
      const extension = secure ? authenticate && "AUTH PLAIN" : startTls && "STARTTLS"
      switch (verb) {
        case "EHLO":
          return `250-${[name, "PIPELINING", "8BITMIME", extension ?? "HELP"].join("\r\n250-")}\r\n250 SIZE ${maxSize}`
        case "STARTTLS":
          if (startTls === undefined || secure) return "503 5.5.1 not now"
          yield* say("220 2.0.0 go on")
          connection = yield* connection.startTls({ side: "server", ...startTls })
          return undefined
        case "AUTH": {
          if (!secure || authenticate === undefined || user !== "" || mail !== undefined) return "503 5.5.1 not now"
          const [isPlain, initial] = /^PLAIN(?: (\S+))?$/i.exec(argument) ?? []
          if (isPlain === undefined) return "504 5.5.4 PLAIN only"
          const base64 = initial ?? (yield* Effect.andThen(say("334 "), connection.reader.readFrame(command)))
          const [, who = "", password = ""] = Buffer.from(base64, "base64").toString().split("\0")
          if (who === "" || !(yield* authenticate(who, Redacted.make(password)))) return "535 5.7.8 this is not right"
          user = who
          return "235 2.7.0 welcome"
        }
        case "MAIL": {
          const [, from, more] = /^FROM: ?<([!-;=?-~]*)>(( SIZE=\d+| BODY=7BIT| BODY=8BITMIME)*)$/i.exec(argument) ?? []
          if (from === undefined || mail !== undefined) return "503 5.5.1 once, as MAIL FROM:<address>"
          if (Number(/\d{3,}/.exec(more!)?.[0] ?? 0) > maxSize) return "552 5.3.4 the message is too large"
          mail = { from, to: [], user }
          return "250 2.1.0 ok"
        }
        case "RCPT": {
          const [, to] = /^TO: ?<([!-;=?-~]+)>$/i.exec(argument) ?? []
          if (to === undefined || mail === undefined) return "503 5.5.1 RCPT TO:<address>, behind MAIL"
          if (mail.to.length === 100) return "452 4.5.3 too many recipients"
          if (accept !== undefined) yield* accept(to, user)
          mail.to.push(to)
          return "250 2.1.5 ok"
        }
        case "DATA": {
          if (mail === undefined || mail.to.length === 0) return "503 5.5.1 RCPT comes first"
          yield* say("354 go on")
          // an empty message has a line break in front of its dot as well
          yield* connection.reader.unread(Buffer.from("\r\n"))
          const text = latin1(yield* connection.reader.readUntil("\n.\r\n", { limit: maxSize }))
          if (/\r(?!\n)|(?<!\r)\n/.test(text)) return malformed
          const message = text.slice(0, -3).replaceAll("\r\n.", "\r\n").slice(2)
          yield* receive(mail, Buffer.from(message, "latin1"))
          return "250 2.0.0 it is here"
        }
        case "QUIT":
          return "221 2.0.0 bye"
        default:
          return /^(HELO|NOOP|RSET)$/.test(verb) ? "250 2.0.0 ok" : "500 5.5.2 no such command"
      }
    })
    const told = (e: SmtpError) => Effect.succeed(`${e.code} ${e.enhanced ?? ""} ${e.message.replaceAll(/\s/g, " ")}`)
    const dialogue = Effect.gen(function* () {
      yield* say(`220 ${name} ESMTP`)
      while (true) {
        const line = yield* connection.reader.readFrameOption(command)
        if (Option.isNone(line)) return yield* say("421 4.3.2 bye")
        const [word = "", argument = ""] = line.value.trimEnd().split(/ +(.*)/)
        const verb = word.toUpperCase()
        const text = yield* Effect.catchTag(answer(verb, argument), "SmtpError", told)
        if (/^(DATA|EHLO|HELO|RSET|STARTTLS)$/.test(verb)) mail = undefined
        if (text !== undefined) yield* say(text)
        if (text === malformed || verb === "QUIT") return
      }
    })
    const lost = Effect.catchTag(dialogue, "StreamTimeout", () => say("421 4.4.2 nothing has come"))
    // behind this nobody knows what is a command
    yield* Effect.catchTag(lost, ["LimitOverrun", "MalformedFrame"], () => say(malformed))
  })
  const timeouts = { read: "5 minutes", write: "5 minutes" } as const
  return startServer({ timeouts, whenDraining: "endIdleReads", ...options }, session)
}
