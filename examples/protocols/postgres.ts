/**
 * A client of PostgreSQL (protocol 3.0): the queries of many fibers on one connection. README.md says what it leaves out.
 * Every request is answered up to a ReadyForQuery, in order: a pipelined `Exchange`, whose pushes are the notifications.
 */
import { type Connection, Exchange, Frame, Network, openConnection, type Tls } from "effect-byte-streams"
import { Effect, Fiber, Redacted, Schedule, Schema, Stream } from "effect"
import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto"
import { promisify } from "node:util"
const maybe = Schema.UndefinedOr(Schema.String)
const told = { code: Schema.String, severity: Schema.String, message: Schema.String, detail: maybe, constraint: maybe }
/** What the server refuses. The SQLSTATE says why: `23505` is a unique violation, `57014` a query that was cancelled. */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", told) {}
const isFatal = ({ severity }: PostgresError): boolean => severity === "FATAL" || severity === "PANIC"
const errorOf = (fields: ReadonlyArray<readonly [letter: string, text: string]>): PostgresError => {
  const { C = "XX000", D, M = "", S = "ERROR", V = S, n } = Object.fromEntries(fields)
  return new PostgresError({ code: C, severity: V, message: M, detail: D, constraint: n })
}
/** Why this client does not log in, or does not believe that the server is the right one. */
export class LoginFailed extends Schema.TaggedError<LoginFailed>()("LoginFailed", { message: Schema.String }) {}
const noLogin = (why: string) => Effect.fail(new LoginFailed({ message: `cannot log in: ${why}` }))
const maxMessage = 16 * 1024 * 1024
const text = Frame.cstring({ maxBytes: maxMessage })
const [zero, allText, empty] = [Frame.literal("\0"), Frame.literal("\0\0"), Frame.succeed<void>(undefined)]
const body = <A>(frame: Frame.Frame<A>) =>
  Frame.lengthPrefixed(Frame.uint32, { covers: "all", maxBytes: maxMessage }, frame)
const is = <const Tag extends string, A>(_tag: Tag, frame: Frame.Frame<A>) =>
  Frame.transform(body(frame), { decode: (value) => ({ _tag, value }), encode: ({ value }) => value })
const unsaid = (): never => {
  throw Frame.invalid("the other side says this")
}
type Cells = Array<string | null>
/** A row is a number of cells, and a cell its length and its text. The length of NULL is -1. */
const cellsOf = (bytes: Buffer, at: number, end: number): Cells | undefined => {
  const row: Cells = []
  const count = end - at < 2 ? 0 : bytes.readInt16BE(at)
  for (at += 2; row.length < count; at += 4) {
    const size = end - at < 4 ? Infinity : bytes.readInt32BE(at)
    if (size > end - at - 4) return undefined
    row.push(size < 0 ? null : bytes.toString("utf8", at + 4, (at += size) + 4))
  }
  return at === end ? row : undefined
}
/** As many rows as are there, at least one: they are one answer, and not one each. */
const decodeRows = (cursor: Frame.Cursor): { readonly _tag: "Rows"; readonly value: Array<Cells> } | Frame.Stop => {
  const bytes = Buffer.from(cursor.bytes.buffer, cursor.bytes.byteOffset, cursor.end)
  const rows = { _tag: "Rows", value: [] as Array<Cells> } as const
  for (let at = cursor.at; ; at++) {
    const there = cursor.end - at
    const size = there < 4 ? Infinity : bytes.readInt32BE(at)
    if (there >= 4 && (size < 4 || size > maxMessage)) return cursor.malformed(`a row of ${size} bytes`, at)
    if (there < size) return rows.value.length > 0 ? rows : cursor.more(there < 4 ? 1 : size - there)
    const row = cellsOf(bytes, at + 4, at + size)
    if (row === undefined) return cursor.malformed("cells that are not as long as their row", at)
    rows.value.push(row)
    cursor.at = at += size
    if (at === cursor.end || bytes[at] !== 68) return rows
  }
}
const rowsDecoder = Frame.decoder({ maxBytes: "unbounded", decode: decodeRows })
const letter = Frame.utf8(1)
const [step, aside] = [body(Frame.succeed({ _tag: "Step", value: undefined } as const)), is("Aside", Frame.rest)]
const fields = Frame.repeatUntil(Frame.tuple(letter, text), zero, { maxItems: 64 })
const error = Frame.transform(fields, { decode: errorOf, encode: unsaid })
const always = { E: is("Failed", error), N: aside, S: aside, Z: is("Ready", Frame.uint8) }
const loginCases = { ...always, R: is("Login", Frame.tuple(Frame.uint32, Frame.rest)), K: is("Key", Frame.rest) }
const steps = { ...always, 1: step, 2: step, 3: step, I: step, H: aside, c: step, C: is("Done", text) }
const column = Frame.tuple(text, Frame.uint32, Frame.uint16, Frame.uint32, Frame.uint16, Frame.uint32, Frame.uint16)
const cases = {
  ...steps,
  T: is("Columns", Frame.array(column, { prefix: Frame.uint16, maxItems: 2000 })),
  n: body(Frame.succeed({ _tag: "Columns", value: [] } as const)),
  D: Frame.make({ decoder: rowsDecoder, encoder: Frame.encoder({ encode: unsaid }) }),
  d: is("Piece", Frame.rest),
  A: is("Notification", Frame.struct({ process: Frame.uint32, channel: text, payload: text }))
}
const loginAnswer = Frame.union(letter, loginCases, { tagOf: unsaid })
/** Without CopyInResponse: a caller that is asked for data, and has none, would hold up all others for ever. */
const answer = Frame.union(letter, cases, { tagOf: unsaid })
const copyAnswer = Frame.union(letter, { ...cases, G: aside }, { tagOf: unsaid })
type Answer = Frame.Value<typeof copyAnswer>
const notified = ({ _tag, value }: Answer) => (_tag === "Notification" ? [value] : [])
/** Sent as text. The server reads it as the type that the statement has in its place. */
export type Parameters = ReadonlyArray<string | number | bigint | boolean | null>
const bytesOf = (value: Parameters[number]) => {
  const bytes = Buffer.from(`\0\0\0\0${value ?? ""}`)
  bytes.writeInt32BE(value === null ? -1 : bytes.length - 4)
  return bytes
}
const parameter = Frame.transform(Frame.rest, { decode: unsaid, encode: bytesOf })
const parameters = Frame.array(parameter, { prefix: Frame.uint16, maxItems: 65_535 })
const parse = body(Frame.struct({ name: text, sql: text, types: allText }))
const bind = body(Frame.struct({ portal: zero, name: text, formats: allText, parameters, results: allText }))
const close = body(Frame.struct({ kind: Frame.literal("S"), name: text }))
const [P, B, describe] = [Frame.literal("P"), Frame.literal("B"), Frame.literal("D\0\0\0\x06P\0")]
const run = Frame.literal("E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04") // Execute of all rows, and Sync
/** What a name is for, and what has come of the query that has parsed it: `null` while that is awaited. */
type Statement = { readonly name: string; columns: ReadonlyArray<string> | null | undefined }
type Request = { readonly tag: string; readonly value?: any; readonly reply?: Reply }
const says = (frame: Frame.Frame<any>, parts = (value: any) => value): Frame.Frame<Request> =>
  Frame.transform(frame, { decode: (value): Request => ({ tag: "", value }), encode: ({ value }) => parts(value) })
const each = (value: unknown) => ({ close: value, parse: value, bind: value })
/** Of a statement that the server has by its name, and of one that is new: the name may be another's, which is closed. */
const [known, anew] = [Frame.struct({ bind, run }), Frame.struct({ close, P, parse, B, bind, describe, run })]
const queries = { B: says(known, each), C: says(anew, each), Q: says(body(text)), X: says(body(empty)) }
const others = { c: says(body(empty)), d: says(body(Frame.rest)), p: says(body(Frame.rest)) }
const request = Frame.union(letter, { ...queries, ...others }, { tagOf: ({ tag }) => tag })
const opening = body(Frame.tuple(Frame.uint32, Frame.rest))
const startUp = body(Frame.tuple(Frame.uint32, Frame.array(text, { count: 6 }), zero))
const [version, sslRequest, cancelRequest] = [196_608, 80_877_103, 80_877_102] as const
export interface Options {
  readonly address: Connection.OpenOptions // `{ host, port }`, or the `path` of a Unix socket
  readonly user: string
  readonly password?: Redacted.Redacted | undefined
  readonly database?: string | undefined // by default as the user
  readonly tls?: Tls.ClientOptions | undefined // with these TLS, or no connection
  readonly statements?: number | undefined // that the server keeps by a name: by default 256; 0 for a pooler
}
const open = Effect.fnUntraced(function* ({ address, tls }: Options) {
  const plain = yield* openConnection(address)
  if (tls === undefined) return plain
  yield* plain.writer.writeFrame(opening, [sslRequest, new Uint8Array(0)])
  if ((yield* plain.reader.readFrame(Frame.uint8)) !== 83) return yield* noLogin("the server has no TLS")
  // what lies behind that one byte was not said by the server: startTls fails
  return yield* plain.startTls({ side: "client", ...tls })
})
const mac = (key: Buffer, data: string) => createHmac("sha256", key).update(data).digest()
/** SCRAM-SHA-256 (RFC 7677): both sides prove that they know the password, and neither says it. */
const scram = Effect.fnUntraced(function* (nonce: string, challenge: string, password: string) {
  const [, r = "", salt = "", rounds] = /^r=([^,]+),s=([^,]+),i=([1-9]\d{0,5})$/.exec(challenge) ?? []
  if (!r.startsWith(nonce) || r === nonce) return yield* noLogin("the server's challenge is not one of SCRAM")
  const salting = [password.normalize("NFKC"), Buffer.from(salt, "base64"), Number(rounds), 32, "sha256"] as const
  const salted = yield* Effect.promise(() => promisify(pbkdf2)(...salting))
  const key = mac(salted, "Client Key")
  const signed = `n=,r=${nonce},${challenge},c=biws,r=${r}`
  const signature = mac(createHash("sha256").update(key).digest(), signed)
  const proof = Buffer.from(key.map((byte, i) => byte ^ signature[i]!)).toString("base64")
  return [`c=biws,r=${r},p=${proof}`, `v=${mac(mac(salted, "Server Key"), signed).toString("base64")}`] as const
})
const login = Effect.fnUntraced(function* (options: Options) {
  const { database = options.user, password, user } = options
  const connection = yield* open(options)
  const settings = ["user", user, "database", database, "client_encoding", "UTF8"]
  yield* connection.writer.writeFrame(startUp, [version, settings, undefined])
  const nonce = randomBytes(18).toString("base64")
  let secret = new Uint8Array(0)
  /** What the server has to say before it is believed: `false` while that is not known. */
  let expected: string | false | undefined
  while (true) {
    const { _tag, value } = yield* connection.reader.readFrame(loginAnswer)
    if (_tag === "Failed") return yield* value
    if (_tag === "Key") secret = value.slice()
    if (_tag === "Ready") return expected === undefined ? { connection, secret } : yield* noLogin("without a proof")
    if (_tag !== "Login" || value[0] === 0) continue
    const [kind, data] = [value[0], Buffer.from(value[1]).toString("latin1")]
    if (password === undefined) return yield* noLogin("the server asks for a password")
    const isFirst = kind === 10 && data.split("\0").includes("SCRAM-SHA-256")
    // at first the name, and 32 bytes behind their number
    const first = [`SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=${nonce}`, false] as const
    if (isFirst || kind === 11) {
      const [proof, itsProof] = isFirst ? first : yield* scram(nonce, data, Redacted.value(password))
      expected = itsProof
      yield* connection.writer.writeFrame(request, { tag: "p", value: Buffer.from(proof) })
    } else if (kind === 12 && data === expected) expected = undefined
    else return yield* noLogin(`the server says what is not expected here (${kind})`)
  }
})
/** Rows as they come: the names of columns, and text as the server writes it, or NULL. Schemas of rows begin there. */
export const Rows = Schema.Array(Schema.Record(Schema.String, Schema.NullOr(Schema.String)))
export type Rows = typeof Rows.Type
type Schemas<A> = Schema.Codec<ReadonlyArray<A>, Rows>
const decode = <A>(schema: Schemas<A>, rows: Rows): Effect.Effect<ReadonlyArray<A>, Schema.SchemaError> =>
  (schema as unknown) === Rows ? Effect.succeed(rows as ReadonlyArray<any>) : Schema.decodeEffect(schema)(rows)
/** What has come of an answer. An error is told behind the last message, when both sides are in step. */
class Reply {
  readonly results: Array<{ readonly rows: Rows; readonly command: string }> = []
  readonly rows: Array<Rows[number]> = []
  readonly pieces: Array<Uint8Array> = []
  statement: Statement | undefined
  names: Statement["columns"]
  error: PostgresError | undefined
  add({ _tag, value }: Answer): Effect.Effect<void, PostgresError> {
    if (_tag === "Rows") for (const cells of value) this.rows.push(this.row(cells))
    else if (_tag === "Piece") this.pieces.push(value)
    else if (_tag === "Columns") this.names = value.map(([name]) => name)
    else if (_tag === "Done") this.results.push({ rows: this.rows.splice(0), command: value })
    else if (_tag === "Failed") this.error ??= value
    return this.error && (_tag === "Ready" || isFatal(this.error)) ? Effect.fail(this.error) : Effect.void
  }
  private row(cells: Cells, names = this.names ?? []): Rows[number] {
    if (cells.length !== names.length) this.error ??= errorOf([["C", "08P01"]])
    const row: Record<string, string | null> = {}
    for (let i = 0; i < names.length; i++) row[names[i]!] = cells[i] ?? null
    return row
  }
}
/** A connection that is logged in, for any number of fibers, until the scope closes. */
export const connect = Effect.fnUntraced(function* (options: Options) {
  const network = Effect.provideService(Network.Network, yield* Network.Network)
  const { connection, secret } = yield* login(options)
  let [callers, cancelling] = [0, false]
  /** The last words of the server. They answer nobody, and are told to all. */
  let fatal: PostgresError | undefined
  const reason = <E>(error: E): E | PostgresError => fatal ?? error
  // the server says nothing, and ends it once the query is told
  const cancelOnce = Effect.flatMap(open(options), ({ reader, writer }) =>
    Effect.andThen(writer.writeFrame(opening, [cancelRequest, secret]), Effect.ignore(reader.read(1)))
  ).pipe(Effect.scoped, Effect.timeout("5 seconds"), Effect.catchTag("ConnectFailed", Effect.succeed))
  /** A cancel hits what runs when it arrives: it is sent while nobody waits, and no request is until it has arrived. */
  const cancel = Effect.gen(function* () {
    cancelling = true
    const again = { while: () => Effect.map(exchange.inFlight, (left) => left > 0), schedule: Schedule.spaced(20) }
    const told = yield* Effect.forkChild(network(Effect.repeat(cancelOnce, again)))
    yield* Effect.exit(exchange.exclusive(() => Fiber.join(told)))
    cancelling = false
  }).pipe(Effect.forkDetach({ startImmediately: true }))
  const [statements, most] = [new Map<string, Statement>(), options.statements ?? 256]
  /** Called as it is written: what the server has by a name is what was written last. With the last name all begin anew. */
  const words = (asked: Request): Request => {
    const { reply, tag, value } = asked
    if (tag !== "B" || reply === undefined) return asked
    if (statements.size === most && !statements.has(value.sql)) statements.clear()
    const statement = statements.get(value.sql) ?? { name: `${statements.size}`, columns: undefined }
    if (statement.columns === null || most === 0) return { tag: "C", value }
    statements.set(value.sql, statement)
    Object.assign(reply, { statement, names: statement.columns })
    statement.columns ??= null
    return { tag: reply.names === undefined ? "C" : "B", value: { ...value, name: statement.name } }
  }
  const exchange: Exchange.Exchange<Request, Answer> = yield* Exchange.makePipelined<Request, Answer>(connection, {
    request: Frame.transform(request, { decode: (said) => said, encode: words }),
    response: answer as Frame.Frame<any>,
    pushes: { overflow: "sliding", capacity: 1024 },
    isLast: ({ _tag }) => _tag === "Ready",
    isPush: ({ _tag, value }) => {
      if (_tag === "Failed" && isFatal(value)) fatal = value
      return _tag === "Aside" || _tag === "Notification" || (fatal !== undefined && value === fatal)
    }
  })
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(exchange.send({ tag: "X" }), "10 seconds")))
  const endRest = Effect.flatMap(exchange.inFlight, (left) => (left > 0 ? cancel : Effect.void))
  const leave = (reply: Reply) => {
    if (reply.names === undefined && reply.statement?.columns === null) reply.statement.columns = undefined
    return --callers > 0 || cancelling ? undefined : endRest
  }
  const all = (tag: string, value: unknown): Effect.Effect<Reply["results"], Exchange.CallError | PostgresError> =>
    Effect.suspend(() => {
      const reply = new Reply()
      callers++
      const messages = Effect.onExitPrimitive(exchange.collect({ tag, value, reply }), () => leave(reply))
      return Effect.flatMap(messages, (messages) => {
        const { names: known, statement } = reply
        for (const message of messages) reply.add(message)
        // in place of BindComplete: nothing was done, and 73 says that no transaction has failed with it
        const isStale = known && messages.length === 2 && /^(26000|0A000)$/.test(reply.error?.code ?? "")
        if (statement && statement.columns === known) statement.columns = isStale ? undefined : reply.names
        if (isStale && messages[1]!.value === 73) return all("C", value)
        return reply.error === undefined ? Effect.succeed(reply.results) : Effect.fail(reply.error)
      })
    }).pipe(Effect.mapError(reason))
  const parts = <A, E>(tag: string, value: unknown, pick: (reply: Reply) => Effect.Effect<ReadonlyArray<A>, E>) =>
    Stream.suspend(() => {
      const reply = new Reply()
      const each = (message: Answer) => Effect.flatMap(reply.add(message), () => pick(reply))
      callers++
      const left = Effect.suspend(() => leave(reply) ?? Effect.void)
      return Stream.mapEffect(Stream.ensuring(exchange.stream({ tag, value }), left), each)
    }).pipe(Stream.flattenIterable, Stream.mapError(reason))
  const news = Stream.flattenIterable(Stream.map(exchange.pushes, notified))
  const last = Stream.suspend(() => (fatal === undefined ? Stream.empty : Stream.fail(fatal)))
  return {
    /** One statement, with `$1` for the first parameter. */
    query: <A>(schema: Schemas<A>, sql: string, ...parameters: Parameters) =>
      Effect.flatMap(all("B", { name: "", sql, parameters }), ([result]) => decode(schema, result?.rows ?? [])),
    /** As `query`, and the rows as they come: the server waits for whoever takes them. */
    rows: <A>(schema: Schemas<A>, sql: string, ...parameters: Parameters) =>
      parts("C", { name: "", sql, parameters }, (reply) => decode(schema, reply.rows.splice(0))),
    /** Any number of statements, which are one transaction: the rows of each, and what it has done. */
    script: (sql: string) => all("Q", sql),
    copyOut: (sql: string) => parts("Q", sql, ({ pieces }) => Effect.succeed(pieces.splice(0))),
    /** `COPY … FROM STDIN`, on a connection of its own: others need not wait, and an interruption ends just that. */
    copyIn: <E, R>(sql: string, data: Stream.Stream<Uint8Array, E, R>) =>
      Effect.gen(function* () {
        const { reader, writer } = (yield* network(login(options))).connection
        const say = (tag: Request["tag"], value?: unknown) => writer.writeFrame(request, { tag, value })
        const reply = new Reply()
        const hear = Effect.flatMap(reader.readFrame(copyAnswer), (one) => Effect.as(reply.add(one), one._tag))
        yield* say("Q", sql)
        const over = yield* Effect.forkChild(Effect.repeat(hear, { until: (_tag) => _tag === "Ready" }))
        yield* Effect.raceFirst(
          Stream.runForEach(data, (bytes) => say("d", bytes)),
          Fiber.join(over)
        )
        yield* say("c")
        return yield* Effect.as(Fiber.join(over), reply.results)
      }).pipe(Effect.scoped),
    /** What was notified on the channels that this connection has a `LISTEN` for. The oldest of more than 1024 is dropped. */
    notifications: Stream.mapError(Stream.concat(news, last), reason)
  }
})
export type Postgres = Effect.Success<ReturnType<typeof connect>>
