/**
 * A client of Redis: RESP3 on one connection that any number of fibers share, and that comes back by itself.
 *
 * - Commands are pipelined. Each fiber gets the answer to its own, also where others are interrupted.
 * - A transaction is written as one run: no command of another fiber comes between its own.
 * - Messages of channels come on the same connection. A subscriber that is too slow is told so, and holds up nobody.
 * - After a loss it connects, authenticates, selects and subscribes again. What may have been sent is not sent again: such a
 *   call fails with `RequestLost`, `sent: "Maybe"`. Messages that were published meanwhile are lost, as Redis has it.
 */
import { isUtf8 } from "node:buffer"
import { Cause, Context, Effect, Exit, Layer, Queue, Redacted, Schedule, Schema, Stream } from "effect"
import { type Connection, Exchange, Frame, openConnection } from "effect-byte-streams"

export type Command = readonly [name: string, ...words: ReadonlyArray<string | number | Uint8Array>]

/** Text where it is valid UTF-8, and bytes elsewhere: nothing is lost either way. */
export type Text = string | Uint8Array
export type Reply =
  | (null | boolean | number | bigint | Text | RedisError)
  | (ReadonlyArray<Reply> | ReadonlySet<Reply> | ReadonlyMap<Reply, Reply>)

/** What the server refuses. The first word is its code, such as `WRONGTYPE`. */
export class RedisError extends Schema.TaggedError<RedisError>()("RedisError", {
  code: Schema.String,
  message: Schema.String
}) {
  static readonly of = (message: Text) =>
    new RedisError({ code: `${message}`.split(" ", 1)[0]!, message: `${message}` })
}

/** What the server says unasked. That a subscription begins or ends is said in the same way, and is an answer. */
class Push extends Array<Reply> {}
const isUnasked = (message: Reply) => message instanceof Push && !/^(un)?subscribe$/.test(`${message[0]}`)

/** A reply may have so many bytes, with all that is in it. */
const [maxBytes, maxItems] = [64 * 1024 * 1024, 1_000_000]
const maxInFlight = 1024

const unwritten = (): never => {
  throw new Error("only a server says it")
}
const as = <A, B extends Reply>(frame: Frame.Frame<A>, decode: (value: A) => B): Frame.Frame<B> =>
  Frame.transform(frame, { decode, encode: unwritten })

/** Node's own decoder: it costs less than the standard one, and says U+FFFD for what is not valid. */
const { utf8Slice } = Buffer.prototype as unknown as Record<"utf8Slice", (from: number, to: number) => string>
const textOf = (bytes: Uint8Array): Text => {
  const end = bytes.length - 2
  if (bytes[end] !== 13 || bytes[end + 1] !== 10) throw new Error("no CRLF behind the text")
  const text = utf8Slice.call(bytes, 0, end)
  return !text.includes("\ufffd") || isUtf8(bytes) ? text : bytes.subarray(0, end)
}
const integerOf = (digits: string) => {
  if (!/^[+-]?\d+$/.test(digits)) throw new Error("no integer")
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : BigInt(digits)
}

/** A value: a letter says what it is. Streamed ones (`$?`) are malformed: no server sends them. */
export const reply: Frame.Frame<Reply> = Frame.suspend(() => value, { maxBytes, maxDepth: 32 })
const size = Frame.integerText({ end: "\r\n" })
const line = Frame.line({ end: "crlf", maxBytes: 65_536 })
const text = as(Frame.lengthPrefixed(size, { maxBytes, adjust: 2 }), textOf)
const items = Frame.array(reply, { prefix: size, maxItems })
const entries = Frame.array(Frame.tuple(reply, reply), { prefix: size, maxItems })
const letters = {
  $: text,
  "+": line,
  "-": as(line, RedisError.of),
  ":": as(line, integerOf),
  _: as(Frame.literal("\r\n"), () => null),
  "#": as(line, (letter) => letter === "t"),
  ",": as(line, (digits) => Number(digits.replace("inf", "Infinity"))),
  "(": as(line, integerOf),
  "!": as(text, RedisError.of),
  "=": as(text, (text) => text.slice("txt:".length)),
  "*": items,
  "~": as(items, (all) => new Set(all)),
  ">": as(items, (all) => Push.from(all)),
  "%": as(entries, (all) => new Map(all)),
  "|": as(Frame.tuple(entries, reply), ([, value]) => value)
}
const kinds = Object.fromEntries(Object.entries(letters).map(([letter, frame]) => [letter.charCodeAt(0), frame]))
const value = Frame.union(Frame.uint8, kinds, { tagOf: unwritten })

/** Short pieces, which are known already, are written faster than one long one is put together. */
const heads = (mark: string, end: string) => Array.from({ length: 100 }, (_, size) => `${mark}${size}${end}`)
const [counts, sizes] = [heads("*", ""), heads("\r\n$", "\r\n")]
/** To ask for the size of a short word costs more than to look at its letters does. */
const sizeOf = (word: string) => {
  for (let i = 0; i < word.length; i++) if (i === 32 || word.charCodeAt(i) > 127) return Buffer.byteLength(word)
  return word.length
}
const command = Frame.encoder<Command>({
  encode: (sink, words) => {
    sink.text(counts[words.length] ?? `*${words.length}`)
    for (const word of words) {
      const size = typeof word === "object" ? word.length : sizeOf(`${word}`)
      sink.text(sizes[size] ?? `\r\n$${size}\r\n`)
      if (typeof word === "object") sink.put(word)
      else sink.text(`${word}`)
    }
    sink.text("\r\n")
  }
})

/** Commands and their answers on one connection, which is given up when it answers nothing for long. */
export const exchange = (connection: Connection.Connection, options: { maxInFlight?: number; keepAlive?: undefined }) =>
  Exchange.makePipelined<Command, Reply>(connection, {
    request: command,
    response: reply,
    isPush: isUnasked,
    pushes: { overflow: "suspend" },
    stallTimeout: "30 seconds",
    keepAlive: { every: "30 seconds", request: ["PING"], within: "10 seconds" },
    ...options
  })

const checked = (answer: Reply) => (answer instanceof RedisError ? Effect.fail(answer) : Effect.succeed(answer))
/** These would change the connection for all who share it. */
const unshared = /^(auth|client|hello|monitor|multi|p?sync|quit|reset|select|[ps]?(un)?subscribe|watch)$/i
const refused = ([name]: Command) => Effect.fail(RedisError.of(`UNSHARED ${name} would change the connection of all`))
type Failure = RedisError | Exchange.CallError

export interface Options extends Connection.OpenOptions {
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  readonly database?: number | undefined
}

/** Connects. If the first attempt fails, so does this; a connection that is lost later is replaced until that succeeds. */
const make = Effect.fnUntraced(function* ({ database = 0, password, username = "default", ...to }: Options) {
  const scope = yield* Effect.scope
  const subscribers = new Map<string, Set<Queue.Queue<Text, RedisError | Cause.Done>>>()
  const end = (channel: string, why: RedisError | Cause.Done) =>
    subscribers.get(channel)?.forEach((queue) => Queue.failCauseUnsafe(queue, Cause.fail(why)))

  let connected = false
  const onConnect = Effect.fnUntraced(function* (redis: Exchange.Exchange<Command, Reply>) {
    const hello: Command = ["HELLO", 3, ...(password === undefined ? [] : ["AUTH", username, Redacted.value(password)])]
    for (const answer of yield* redis.callAll([hello, ["SELECT", database]])) yield* checked(answer)
    const channels = Array.from(subscribers.keys())
    const answers = yield* redis.callAll(channels.map((channel) => ["SUBSCRIBE", channel]))
    answers.forEach((answer, i) => answer instanceof RedisError && end(channels[i]!, answer))
    connected = true
  })
  const redis = yield* Exchange.makeReconnecting(
    Effect.flatMap(openConnection(to), (open) => exchange(open, { maxInFlight })),
    {
      schedule: Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")]).pipe(
        Schedule.jittered,
        Schedule.while(() => connected)
      ),
      whileDown: "wait",
      onConnect
    }
  )

  const tooSlow = Cause.fail(RedisError.of("SLOW messages had no room"))
  const deliver = ([kind, channel, message]: ReadonlyArray<any>) => {
    if (kind !== "message") return
    for (const queue of subscribers.get(channel) ?? []) {
      if (!Queue.offerUnsafe(queue, message)) Queue.failCauseUnsafe(queue, tooSlow)
    }
  }
  yield* Effect.forkScoped(Stream.runForEach(redis.pushes, (push) => Effect.sync(() => deliver(push as Push))))
  yield* Effect.addFinalizer(() => Effect.sync(() => subscribers.forEach((_, channel) => end(channel, Cause.Done()))))

  const ask = <A, E>(command: Command, decode: (answer: Reply) => Effect.Effect<A, E>): Effect.Effect<A, E | Failure> =>
    unshared.test(command[0]) ? refused(command) : Effect.flatMap(redis.call(command), decode)
  const call = (...command: Command) => ask(command, checked)

  /** As `call`, of an answer that a schema describes. */
  const typed = <A>(schema: Schema.Codec<A, any>) => {
    const decode = Schema.decodeUnknownExit(schema)
    const decoded = (answer: Reply) => (answer instanceof RedisError ? Exit.fail(answer) : decode(answer))
    return (...command: Command) => ask<A, RedisError | Schema.SchemaError>(command, decoded)
  }
  const textOrNull = typed(Schema.NullOr(Schema.String))

  const askAll = (commands: ReadonlyArray<Command>, all = commands): Effect.Effect<ReadonlyArray<Reply>, Failure> => {
    const wrong = commands.find(([name]) => unshared.test(name))
    return wrong === undefined ? redis.callAll(all) : refused(wrong)
  }
  /** Commands in one write, and their answers: a `RedisError` where one was refused. */
  const pipeline = (commands: ReadonlyArray<Command>) => askAll(commands)

  /** As `pipeline`, and nothing comes between. If one cannot be queued none is done, and this fails with the reason. */
  const multi = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
    if (commands.length > maxInFlight - 2) return yield* RedisError.of("LONG transactions hold up all others")
    const answers = yield* askAll(commands, [["MULTI"], ...commands, ["EXEC"]])
    const reason = answers.find((answer) => answer instanceof RedisError)
    return reason === undefined ? (answers.at(-1) as ReadonlyArray<Reply>) : yield* reason
  })

  /** What is published to a channel from now on, for as long as the scope. */
  const subscribe = Effect.fnUntraced(function* (channel: string) {
    const queue = yield* Queue.dropping<Text, RedisError | Cause.Done>(1024)
    const enter = () => subscribers.set(channel, (subscribers.get(channel) ?? new Set()).add(queue))
    const leave = Effect.suspend(() => {
      Queue.endUnsafe(queue)
      if (subscribers.get(channel)!.delete(queue) && subscribers.get(channel)!.size > 0) return Effect.void
      subscribers.delete(channel)
      return Effect.forkIn(Effect.ignore(redis.call(["UNSUBSCRIBE", channel])), scope, { startImmediately: true })
    })
    yield* Effect.acquireRelease(Effect.sync(enter), () => leave)
    yield* Effect.retry(Effect.flatMap(redis.call(["SUBSCRIBE", channel]), checked), {
      while: (error) => error._tag === "RequestLost" && error.sent === "Maybe"
    })
    return Stream.fromQueue(queue)
  })

  const get = (key: string) => textOrNull("GET", key)
  const set = (key: string, value: Text) => Effect.asVoid(call("SET", key, value))
  return { call, get, multi, pipeline, set, subscribe, typed }
})

export class Redis extends Context.Service<Redis, Effect.Success<ReturnType<typeof make>>>()("example/Redis") {
  static readonly make = make
  static readonly layer = (options: Options) => Layer.effect(Redis, make(options))
}
