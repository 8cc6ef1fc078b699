/**
 * HTTP/1.1 (RFC 9110, 9112): a server, as Effect's own `HttpServer` service.
 *
 * ```
 * POST /notes HTTP/1.1 CRLF              method, target, version
 * Host: notes.example CRLF               fields
 * Transfer-Encoding: chunked CRLF CRLF   how the body ends: so, or by Content-Length; with neither there is none
 * 5 CRLF hello CRLF 0 CRLF CRLF          chunks, of which an empty one is the last; trailers may follow
 * ```
 *
 * A connection is a loop: read a head, run the application, which may read the body, write the answer. Pipelined requests
 * wait in the reader. (`Exchange.serve` takes whole requests; here the application reads the rest of one.)
 *
 * Two programs that disagree about where a request ends let one client speak in the name of another (request smuggling).
 * So what RFC 9112 allows a server to repair is refused here, and the connection closed.
 */
import { Connection, Frame, type Server, startServer, type StreamError } from "effect-byte-streams"
import { Clock, Context, Effect, Fiber, Inspectable, Latch, Layer, Option, Result, Schema, Stream } from "effect"
import { Cookies, Headers, HttpEffect, HttpIncomingMessage, HttpServer, HttpServerError } from "effect/http"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Multipart from "effect/http/Multipart"
import * as UrlParams from "effect/http/UrlParams"
import { STATUS_CODES } from "node:http"
/** The options: those of every server of this library (addresses, TLS, timeouts, `maxConnections`), and one more. */
export interface Options extends Server.Options {
  /** The most bytes of the body of a request. Default 10 MiB. */
  readonly maxBodyBytes?: number
}
/** Against clients that send a byte now and then, or do not take their answer. */
const timeouts = { minRate: { bytes: 3_000, per: "30 seconds" }, write: "30 seconds" } as const
const maxHeadBytes = 16_384
const maxDiscarded = 256 * 1024 // of a body that nobody reads: more costs the connection
const headTime = "15 seconds" // for the next request, also where nothing comes
const bodyTime = "10 seconds" // for the next part of a body
const halfClosedTime = "1 second" // for a client that has ended its output, and may still read

/** What is not served: the status that says so is the last word on its connection. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { status: Schema.Int, message: Schema.String }) {}
const refused = (status: number, message: string) => new Refused({ status, message })
const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Z]+) ([!"$-~]+) HTTP\/(\d\.\d)\r\n/ // no small letters: "get" is none
const nameText = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const controlCharacter = /[^\t -~\x80-\uffff]/ // a bare CR or LF is one
const authority = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/i
const absoluteTarget = /^https?:\/\/([^/?]+)(.*)$/i

/** A head, up to its empty line. Throws what is `Refused`. */
export const decodeHead = (text: string) => {
  if (!text.endsWith("\r\n\r\n")) throw refused(400, "a bare LF")
  const [start, method, target, version] = requestLine.exec(text) ?? []
  if (start === undefined || method === undefined || target === undefined) throw refused(400, "the request line")
  if (version !== "1.1" && version !== "1.0") throw refused(505, "the version")
  const old = version === "1.0"
  const headers = decodeFields(text, start.length)
  const url = decodeTarget(method, target, old, headers)
  const length = bodyLength(old, headers)
  const connection = headers.connection?.toLowerCase() ?? ""
  const expect = headers.expect?.toLowerCase()
  if (expect !== undefined && expect !== "100-continue") throw refused(417, "Expect")
  const keepAlive = !old && !hasToken(connection, "close")
  const expects = expect !== undefined && !old && length !== 0 // 100 Continue, before it sends the body
  const upgrade = !old && hasToken(connection, "upgrade") ? headers.upgrade : undefined
  return { method, url, old, headers: headers as Headers.Headers, length, keepAlive, expects, upgrade }
}

type Fields = Record<string, string>
const hasToken = (list: string, token: string): boolean =>
  list === token || (list.includes(token) && list.split(",").some((item) => item.trim() === token))

/** The field lines from `at` on, up to the empty line. Those of one name are joined. */
const decodeFields = (text: string, at: number): Fields => {
  const fields: Fields = Object.create(Object.getPrototypeOf(Headers.empty))
  while (at < text.length - 2) {
    const end = text.indexOf("\r\n", at)
    const colon = text.indexOf(":", at)
    const name = fieldName(text.slice(at, colon))
    let [from, to] = [colon + 1, end]
    while (text[from] === " " || text[from] === "\t") from++
    while (text[to - 1] === " " || text[to - 1] === "\t") to--
    const value = text.slice(from, to)
    if (controlCharacter.test(value)) throw refused(400, "a control character")
    const before = fields[name]
    fields[name] = before === undefined ? value : `${before}${name === "cookie" ? ";" : ","} ${value}`
    at = end + 2
  }
  return fields
}

const knownNames = new Map<string, string>()
/** A name in lower case. White space is no part of one, be it in front of the colon, or of a line, which then is folded. */
const fieldName = (text: string): string => {
  const known = knownNames.get(text)
  if (known !== undefined) return known
  if (!nameText.test(text)) throw refused(400, "the name of a field")
  if (knownNames.size < 1000) knownNames.set(text, text.toLowerCase())
  return text.toLowerCase()
}

const bodyLength = (old: boolean, fields: Fields): number | "chunked" => {
  const { "content-length": length, "transfer-encoding": coding } = fields
  if (coding !== undefined) {
    if (length !== undefined || old) throw refused(400, "Transfer-Encoding where none may be")
    if (coding.toLowerCase() === "chunked") return "chunked"
    const known = !/,[ \t]*chunked$/i.test(coding) || /chunked.*chunked/i.test(coding)
    throw refused(known ? 400 : 501, "Transfer-Encoding")
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw refused(400, "Content-Length")
  return Number(length ?? 0)
}

/** In an absolute target the authority counts, and not Host (RFC 9112, 3.2.2): `fields` says so from then on. */
const decodeTarget = (method: string, target: string, old: boolean, fields: Fields): string => {
  if (method === "CONNECT") throw refused(501, "CONNECT")
  if (fields.host === undefined ? !old : !authority.test(fields.host)) throw refused(400, "Host")
  if (target[0] === "/" || (target === "*" && method === "OPTIONS")) return target
  const [, host, rest] = (absoluteTarget.exec(target) ?? []) as Array<string | undefined>
  if (host === undefined || !authority.test(host)) throw refused(400, "the target")
  fields.host = host
  return rest![0] === "/" ? rest! : `/${rest}`
}

type BodyError = Refused | StreamError.FramedReadError | StreamError.WriteError
type Head = ReturnType<typeof decodeHead>
type Asked = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse
type Body = Stream.Stream<Uint8Array, unknown>
// each is one read: interrupted, it leaves the body in step
const chunkLine = Frame.line({ maxBytes: 4096, end: "crlf" })
const nextChunkLine = Frame.tuple(Frame.literal("\r\n"), chunkLine)
const trailerLines = Frame.repeatUntil(chunkLine, Frame.literal("\r\n"), { maxItems: 100 })
const chunkSize = /^([\da-f]{1,8})(;[\t -~\x80-\uffff]*)?$/i // no sign, no white space; eight digits are enough
const behindChunks = -1

/** The next bytes of a body; none behind its end. */
const readPiece = Effect.fnUntraced(function* (self: State): Effect.fn.Return<Uint8Array | undefined, BodyError> {
  const { connection, maxBodyBytes, reader } = self.link
  if (self.over) return undefined
  if (self.expects && !self.answered) yield* connection.writer.write("HTTP/1.1 100 Continue\r\n\r\n")
  self.expects = false
  if (self.left === 0) {
    const line = self.size === 0 ? yield* reader.readFrame(chunkLine) : (yield* reader.readFrame(nextChunkLine))[1]
    const [, size, extension] = chunkSize.exec(line) ?? []
    if (size === undefined) return yield* refused(400, "the size of a chunk")
    const length = Number.parseInt(size, 16)
    self.left = length === 0 ? behindChunks : length
    self.size += length + (extension?.length ?? 0)
    if (self.size > maxBodyBytes) return yield* refused(413, "a long body")
  }
  if (self.left === behindChunks) {
    const lines = yield* reader.readFrame(Frame.limited(trailerLines, maxHeadBytes))
    self.trailers = (yield* decoded(() => decodeFields([...lines, "", ""].join("\r\n"), 0))) as Headers.Headers
    self.over = true
    return undefined
  }
  const bytes = yield* reader.read(Math.min(self.left, 65_536))
  if (bytes.length === 0) return yield* refused(400, "the body is cut off")
  self.left -= bytes.length
  self.over = self.left === 0 && self.head.length !== "chunked"
  return bytes
})
const decoded = <A>(decode: () => A) => Effect.try({ try: decode, catch: (fault) => fault as Refused })
const readWhole = Effect.fnUntraced(function* (self: State): Effect.fn.Return<ArrayBuffer, BodyError> {
  const max = Number((yield* HttpIncomingMessage.MaxBodySize) ?? Infinity) // an application may set it
  const pieces: Array<Uint8Array> = []
  for (let size = 0; !self.over;) {
    const bytes = (yield* readPiece(self)) ?? new Uint8Array()
    size += bytes.length
    if (size > max) return yield* refused(413, "a long body")
    pieces.push(bytes)
  }
  return new Uint8Array(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)).buffer
})

/** Throws away what nobody has read. Answers whether the connection can go on. */
const discard = Effect.fnUntraced(function* (self: State): Effect.fn.Return<boolean, BodyError> {
  for (let left = maxDiscarded; !self.over && left > 0;) left -= (yield* readPiece(self))?.length ?? 0
  return self.over
})

/** What the requests of one connection have in common. */
const linkOf = (connection: Connection.Connection, clock: Clock.Clock, isClosing: () => boolean, max?: number) => {
  const { remote } = connection.info
  const address = remote !== undefined && "address" in remote ? String(remote.address) : undefined
  const [reader, remoteAddress] = [connection.reader.within(bodyTime), Option.fromUndefinedOr(address)]
  return { connection, clock, isClosing, maxBodyBytes: max ?? 10 * 1024 * 1024, reader, remoteAddress }
}
type Link = ReturnType<typeof linkOf>

/** A request on its connection, and how far it has come. */
const begin = (link: Link, head: Head) => ({
  link,
  head,
  keepAlive: head.keepAlive, // another request may follow
  expects: head.expects,
  answered: false, // an answer has begun
  released: undefined as Response | undefined, // the answer with which the connection was given away
  over: head.length === 0, // the body was read to its end
  left: head.length === "chunked" ? 0 : head.length, // bytes of this chunk, or of the body, that were not read
  size: 0, // of its chunks so far, with their extensions
  trailers: Headers.empty as Headers.Headers,
  whole: undefined as Effect.Effect<ArrayBuffer, BodyError> | undefined
})
type State = ReturnType<typeof begin>
const multipart = Effect.fail(Multipart.MultipartError.fromReason("InternalError", "no multipart bodies here"))
const [multipartStream, utf8] = [Stream.fromEffect(multipart), new TextDecoder()]
class Request extends Inspectable.Class implements Asked {
  readonly [HttpServerRequest.TypeId] = HttpServerRequest.TypeId as typeof HttpServerRequest.TypeId
  readonly [HttpIncomingMessage.TypeId] = HttpIncomingMessage.TypeId as typeof HttpIncomingMessage.TypeId
  readonly source: State
  readonly method: string
  readonly url: string
  readonly headers: Headers.Headers
  readonly remoteAddress: Option.Option<string>
  readonly peerAddress: Option.Option<string>
  readonly protocol = undefined
  readonly multipart = multipart
  readonly multipartStream = multipartStream
  constructor(source: State) {
    super()
    this.source = source
    this.method = source.head.method
    this.url = source.head.url
    this.headers = source.head.headers
    this.remoteAddress = source.link.remoteAddress
    this.peerAddress = source.link.remoteAddress
  }
  modify(options: Parameters<Asked["modify"]>[0]): Request {
    return Object.assign(Object.create(Request.prototype), this, options)
  }
  get originalUrl() {
    const { head, link } = this.source
    return `http${link.connection.info.tls ? "s" : ""}://${head.headers.host ?? "localhost"}${head.url}`
  }
  get cookies() {
    return Cookies.parseHeader(this.headers.cookie ?? "")
  }
  get stream() {
    const next = (source: State) => Effect.map(readPiece(source), (bytes) => bytes && ([bytes, source] as const))
    return Stream.mapError(Stream.unfold(this.source, next), (cause) => this.failed(cause))
  }
  get arrayBuffer() {
    const { source } = this
    const whole =
      source.whole ?? Effect.flatMap(Effect.cached(readWhole(source)), (cached) => (source.whole ??= cached))
    return Effect.mapError(whole, (cause) => this.failed(cause))
  }
  get text() {
    return Effect.map(this.arrayBuffer, (bytes) => utf8.decode(bytes))
  }
  get json() {
    const parse = (text: string) => (text === "" ? null : JSON.parse(text))
    return Effect.flatMap(this.text, (text) => Effect.try({ try: () => parse(text), catch: (e) => this.failed(e) }))
  }
  get urlParamsBody() {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text.replace(/^\?/, "%3F"))))
  }
  get upgrade() {
    return this.upgradeWith({})
  }
  /** Answers 101, and gives the connection away, with every byte that the client has sent behind its request. */
  upgradeWith(options: { readonly headers?: Headers.Input | undefined }) {
    const { source } = this
    return Effect.gen(function* () {
      const { upgrade } = source.head
      if (upgrade === undefined || /websocket/i.test(upgrade) || source.answered || !(yield* discard(source))) {
        return yield* refused(400, "not an upgrade that this server knows")
      }
      const headers = { ...Headers.fromInput(options.headers ?? {}), upgrade }
      source.released = HttpServerResponse.empty({ status: 101, headers })
      source.answered = true
      yield* source.link.connection.writer.write(`${encodeFields(source.released)}connection: upgrade\r\n\r\n`)
      return Connection.toSocket(source.link.connection)
    }).pipe(Effect.mapError((cause) => this.failed(cause)))
  }
  /** Nobody knows where a body ends that could not be read: nothing may follow it. */
  private failed(cause: unknown) {
    if (!this.source.over) this.source.keepAlive = false
    const reason = cause instanceof Refused && cause.status === 413 ? "BodyTooLarge" : "Parse"
    const parse = new HttpServerError.RequestParseError({ request: this, reason, cause })
    return new HttpServerError.HttpServerError({ reason: parse })
  }
  toJSON() {
    return HttpIncomingMessage.inspect(this, { _id: "HttpServerRequest", method: this.method, url: this.url })
  }
}

/** The fields behind the chunked body of a request, once that was read: kept apart from those of the head. */
export const trailersOf = ({ source }: Asked) => (source as State).trailers
const trailersOfBody = new WeakMap<object, Effect.Effect<Headers.Input>>()
/** An answer with fields behind its body, which is a stream of unknown length. */
export const withTrailers = (response: Response, trailers: Effect.Effect<Headers.Input>): Response => (
  trailersOfBody.set(response.body, trailers),
  response
)

/** A line that nothing in it can end. */
const fieldLine = (name: string, value: string): string => {
  if (/[^\t -~]/.test(value)) throw new TypeError(`not the value of a field: ${JSON.stringify(value)}`)
  return `${fieldName(name)}: ${value}\r\n`
}
const ownFields = new Set(["connection", "keep-alive", "transfer-encoding", "content-length"]) // the connection's
const encodeFields = ({ cookies, headers, status }: Response): string => {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`
  for (const name in headers) if (!ownFields.has(name)) text += fieldLine(name, headers[name]!)
  if (cookies === Cookies.empty) return text
  for (const cookie of Cookies.toSetCookieHeaders(cookies)) text += fieldLine("set-cookie", cookie)
  return text
}

/** The head of an answer. A body without a length is sent in chunks, or ends with the connection. */
const encodeHead = (self: State, response: Response, body: Body | undefined, length: number | undefined): string => {
  const { head, link } = self
  const { headers, status } = response
  if (status < 200 || status > 599) throw new RangeError(`not a final status: ${status}`)
  let text = encodeFields(response)
  if (headers.date === undefined) text += dateLine(link.clock.currentTimeMillisUnsafe())
  if (status === 205) length = 0
  else if (status === 304 || (head.method === "HEAD" && response.body._tag === "Empty")) length = announced(response)
  else if (status !== 204 && length === undefined && !head.old) text += "transfer-encoding: chunked\r\n"
  if (status !== 204 && length !== undefined) text += `content-length: ${length}\r\n`
  const leaves = body === undefined && head.length !== "chunked" && self.left > maxDiscarded // a stream may read yet
  if (leaves || self.expects || link.isClosing() || hasToken(headers.connection ?? "", "close")) self.keepAlive = false
  return `${text}${self.keepAlive ? "" : "connection: close\r\n"}\r\n`
}
const announced = ({ headers: { "content-length": length } }: Response): number | undefined =>
  length === undefined ? undefined : Number(length)
let date = { second: -1, line: "" }
const dateLine = (millis: number): string => {
  const second = Math.floor(millis / 1000)
  if (second !== date.second) date = { second, line: `date: ${new Date(millis).toUTCString()}\r\n` }
  return date.line
}

const respond = (request: Asked, response: Response): Effect.Effect<unknown, BodyError> => {
  const self = request.source as State
  const { writer } = self.link.connection
  if (self.answered) return Effect.succeed(self.released)
  const { body } = response
  const raw = (): Body => Stream.fromAsyncIterable((body as any).body, (error) => error) // a file is one of Node's
  const stream = body._tag === "Stream" ? body.stream : body._tag === "Raw" ? raw() : undefined
  const length = stream !== undefined ? announced(response) : body._tag === "Uint8Array" ? body.contentLength : 0
  const head = Result.try(() => encodeHead(self, response, stream, length))
  if (Result.isFailure(head)) {
    const answer = respond(request, HttpServerResponse.empty({ status: 500 }))
    return Effect.andThen(Effect.logError("an answer that cannot be sent", head.failure), answer)
  }
  self.answered = true
  const bare = HttpServerResponse.omitsBody(response, self.head.method === "HEAD")
  if (stream && !bare) return Effect.andThen(send(writer, head.success), sendStream(self, body, stream, length))
  if (body._tag !== "Uint8Array" || bare) return send(writer, head.success)
  return body.text === undefined ? writer.writeAll([head.success, body.body]) : send(writer, head.success + body.text)
}

/** With room for it this is done once it returns, with an `Exit`, which costs Effect the least. */
const send = (writer: Connection.Connection["writer"], text: string) => {
  const sent = Result.try(() => writer.writeUnsafe(text))
  if (Result.isFailure(sent)) return writer.write(text) // it fails likewise
  return sent.success ? Effect.void : writer.drain
}

/** An answer that breaks off must not look complete: the connection is reset. */
const sendStream = (self: State, body: object, stream: Body, length: number | undefined) => {
  const { abort, writer } = self.link.connection
  const chunked = length === undefined && !self.head.old
  let sent = 0
  const wrong = () => Effect.die(new RangeError(`a body of ${sent} bytes, where ${length} were announced`))
  const send = (pieces: ReadonlyArray<Uint8Array>) => {
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    sent += bytes.length
    if (length !== undefined && sent > length) return wrong()
    // an empty chunk would be the last
    return writer.writeAll(chunked && bytes.length > 0 ? [`${bytes.length.toString(16)}\r\n`, bytes, "\r\n"] : [bytes])
  }
  const end = Effect.suspend(() => {
    if (length !== undefined) return sent < length ? wrong() : Effect.void
    const trailers = trailersOfBody.get(body)
    if (!chunked || trailers === undefined) return writer.write(chunked ? "0\r\n\r\n" : "")
    return Effect.flatMap(trailers, (fields) => {
      const lines = Object.entries(Headers.fromInput(fields)).map(([name, value]) => fieldLine(name, value))
      return writer.writeAll(["0\r\n", ...lines, "\r\n"])
    })
  })
  const all = Stream.runForEachArray(Stream.orDie(stream), send)
  return Effect.onError(Effect.interruptible(Effect.andThen(all, end)), () => abort)
}

// Buffer's own, without a Buffer
const { latin1Slice } = Buffer.prototype as unknown as { readonly latin1Slice: (this: Uint8Array) => string }
const serveConnection = Effect.fnUntraced(function* (link: Link, handled: Effect.Effect<void, never, Asked>) {
  const { closed, reader } = link.connection
  const next = reader.within(headTime).readUntilOption("\r\n\r\n", { limit: maxHeadBytes })
  let request: State | undefined
  const fiber = Fiber.getCurrent()!
  const { context } = fiber
  // a client that is gone needs no answer; where one has begun, writing it fails
  yield* Effect.gen(function* () {
    const lost = (yield* closed)._tag !== "PeerEof"
    if (!lost) yield* Effect.sleep(halfClosedTime)
    if (request === undefined || (request.answered && !lost)) return
    fiber.interruptUnsafe(undefined, HttpServerError.ClientAbort.annotation)
  }).pipe(Effect.forkChild)
  for (let bytes = yield* next; bytes._tag === "Some"; bytes = yield* next) {
    const text = latin1Slice.call(bytes.value)
    // an empty line in front of a request is skipped (RFC 9112, 2.2)
    const head = yield* decoded(() => decodeHead(text.startsWith("\r\n") ? text.slice(2) : text))
    if (head.length !== "chunked" && head.length > link.maxBodyBytes) return yield* refused(413, "a long body")
    request = begin(link, head)
    fiber.setContext(Context.add(context, HttpServerRequest.HttpServerRequest, new Request(request)))
    yield* handled
    fiber.setContext(context)
    if (!request.keepAlive || request.released !== undefined) return
    if (!request.over && !(yield* Effect.orElseSucceed(discard(request), () => false))) return
    request = undefined
  }
})

/** The server: it listens from now on, and answers once it is told with what. */
export const make = Effect.fnUntraced(function* (options: Options) {
  const ready = Latch.makeUnsafe()
  let answer: (link: Link) => Effect.Effect<void, Effect.Error<ReturnType<typeof serveConnection>>>
  let closing = false
  const serve = Effect.fnUntraced(function* (connection: Connection.Connection) {
    yield* ready.await
    const link = linkOf(connection, yield* Clock.Clock, () => closing, options.maxBodyBytes)
    const say = (status: number) =>
      connection.writer.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\n\r\n`)
    const tooLong = Effect.map(connection.reader.peek(maxHeadBytes), (start) => (start.includes(10) ? 431 : 414))
    yield* Effect.catchTags(answer(link), {
      Refused: ({ status }) => say(status),
      IncompleteRead: () => say(400),
      StreamTimeout: () => Effect.flatMap(connection.reader.buffered, (size) => (size > 0 ? say(408) : Effect.void)),
      LimitOverrun: () => Effect.flatMap(tooLong, say)
    })
  })
  const server = yield* startServer({ timeouts, whenDraining: "endIdleReads", ...options }, serve)
  return HttpServer.make({
    address: server.address,
    serve: Effect.fnUntraced(function* (app, middleware) {
      const context = yield* Effect.context<any>()
      // it fails as the application does, also where that was answered
      const handled = Effect.catchCause(HttpEffect.toHandled(app, respond, middleware), Effect.logDebug)
      answer = (link) => Effect.setContext(serveConnection(link, handled), context)
      ready.openUnsafe()
      yield* Effect.addFinalizer(() => Effect.suspend(() => ((closing = true), server.shutdown())))
    })
  })
})

/** The server as a layer: what is served by `NodeHttpServer.layerServer` is served by it. */
export const layer = (options: Options) => Layer.effect(HttpServer.HttpServer)(make(options))
