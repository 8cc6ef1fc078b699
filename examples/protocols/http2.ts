/**
 * A client of HTTP/2 (RFC 9113): many requests at once on one connection, each of which may be left at any time.
 *
 * A response is as long as its scope: leaving that cancels the request, and no other. Bodies flow both ways as fast as
 * they are read. A failure says whether the request is `safeToRetry`. What a server may say unasked is bounded: a flood
 * (section 10.5 of the RFC, and what was found since) ends the connection with ENHANCE_YOUR_CALM.
 */
import { Array as Arr, Cause, Effect, Result, Schema, Stream } from "effect"
import { type Connection, Frame, openConnection, type StreamError } from "effect-byte-streams"
import { createRequire } from "node:module"

const codes = [
  "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR",
  "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
].flatMap((names) => names.split(" "))

/** `code` is one of RFC 9113, section 7, or `LOST`. Where the `connection` has not ended, it is this request alone. */
export class Http2Error extends Schema.TaggedError<Http2Error>()("Http2Error", {
  code: Schema.String,
  message: Schema.String,
  connection: Schema.Boolean,
  by: Schema.Literals(["client", "server", "network"]),
  /** Whether the server has not acted on the request, for certain. */
  safeToRetry: Schema.Boolean
}) {}

const fault = (code: string, message: string, connection = true, by: Http2Error["by"] = "client") =>
  new Http2Error({ code, message, connection, by, safeToRetry: false })
const lost = (message: string) => fault("LOST", message, true, "network")
const malformed = (message: string) => fault("PROTOCOL_ERROR", message, false)
const safely = (error: Http2Error) => new Http2Error({ ...error, message: error.message, safeToRetry: true })
const left = fault("CANCEL", "the scope of the request has closed", false)
const [maxFrame, maxHeaders, maxStreams, maxWindow] = [16_384, 65_536, 100, 2 ** 31 - 1] as const
/** What the server may send of one body before it is read. The window of the connection has room for all bodies. */
const window = 262_144
const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS] = [0, 1, 2, 3, 4] as const
const [PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [5, 6, 7, 8, 9] as const
const [ACK, END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY] = [0x1, 0x1, 0x4, 0x8, 0x20] as const
const sizes: { readonly [type: number]: number } = { [PRIORITY]: 5, [RST_STREAM]: 4, [PING]: 8, [WINDOW_UPDATE]: 4 }

/** The length in front does not count the six bytes of a header behind it. */
export const frame = Frame.lengthPrefixed(
  Frame.uint24,
  { maxBytes: 6 + maxFrame, adjust: 6 },
  Frame.struct({ type: Frame.uint8, flags: Frame.uint8, stream: Frame.uint32, payload: Frame.rest })
)
type AnyFrame = typeof frame extends Frame.Frame<infer A> ? A : never
const goAway = Frame.struct({ last: Frame.uint32, code: Frame.uint32 })
const settings = (count: number) => Frame.array(Frame.tuple(Frame.uint16, Frame.uint32), { count, maxItems: maxFrame })
const [HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS] = [1, 2, 3] as const
const [INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE] = [4, 5, 6] as const
const { decodeResultUnsafe: valueOf, encodeResultUnsafe: bytesOf } = Frame
/** A payload without its padding, and without the priority of headers. */
const contentOf = ({ flags, payload, type }: AnyFrame): Uint8Array => {
  const isPadded = type <= HEADERS && (flags & PADDED) !== 0
  const from = (isPadded ? 1 : 0) + (type === HEADERS && (flags & WITH_PRIORITY) !== 0 ? 5 : 0)
  const to = payload.length - (isPadded ? (payload[0] ?? 0) : 0)
  if (from > to) throw fault("PROTOCOL_ERROR", "more padding than there is room for")
  return payload.subarray(from, to)
}

export type Headers = ReadonlyArray<readonly [name: string, value: string]>
const count = (parts: ReadonlyArray<Uint8Array>) => parts.reduce((sum, part) => sum + part.length, 0)
// the two of the package are streams of Node; they are used without the buffers of such
const hpack = createRequire(import.meta.url)("hpack.js")
// secrets stay out of the table (RFC 7541, 7.1); what every object has, the package takes for entries of its table
const isSecret = (name: string, value: string) => /^(.*authorization|cookie)$/.test(name) || name in {} || value in {}
/** HPACK (RFC 7541), of which both sides remember what was said: every block has to pass here, in its turn. */
const makeHpack = () => {
  const table = { maxSize: 4096 }
  const compressor = hpack.compressor.create({ table })
  const block: Array<Uint8Array> = []
  compressor.push = (part: Uint8Array) => block.push(part)
  const encode = (headers: Headers): Uint8Array => {
    const fields = headers.map(([name, value]) => ({ name, value, neverIndex: isSecret(name, value) }))
    compressor._write(fields, undefined, () => {})
    return Buffer.concat(block.splice(0))
  }
  /** The next block begins with a clear table of this size, which the package tells when it is reset. */
  const setTableSize = (size: number) => {
    compressor.updateTableSize(Math.min(size, table.maxSize))
    block.splice(0)
    compressor.reset()
  }
  const decompressor = hpack.decompressor.create({ table })
  const headers: Array<readonly [string, string]> = []
  let size = 0
  decompressor.push = ({ name, value }: { readonly name: string; readonly value: string }) => {
    size += name.length + value.length + 32
    if (size <= maxHeaders) headers.push([name, value])
  }
  decompressor.on("error", (error: Error) => {
    throw fault("COMPRESSION_ERROR", error.message)
  })
  /** What is too large is read all the same, and not kept. */
  const decode = (bytes: Uint8Array): Headers => {
    size = 0
    decompressor._write(bytes, undefined, () => {})
    decompressor.execute()
    const all = headers.splice(0)
    if (size > maxHeaders) throw fault("ENHANCE_YOUR_CALM", "the headers are too large", false)
    return all
  }
  return { decode, encode, setTableSize }
}

// what HTTP/1.1 alone has is no field here (RFC 9113, 8.2)
const unfit = "connection|keep-alive|proxy-connection|transfer-encoding|upgrade"
const field = new RegExp(
  `^(?!(${unfit}):|te:(?!trailers$))[!#$%&'*+.^_\`|~0-9a-z-]+:(?![ \\t])[\\t -~\\x80-\\xff]*(?<![ \\t])$`
)
const wrongOf = (headers: Headers) => {
  const wrong = headers.find(([name, value]) => !field.test(`${name}:${value}`))
  return wrong && malformed(`no field: ${JSON.stringify(wrong)}`)
}

/** `GET` is the default. Names of headers are in lower case. Arrays of a body are left alone until they are sent. */
export interface Request {
  readonly method?: string | undefined
  readonly path: string
  readonly headers?: Headers | undefined
  readonly body?: Stream.Stream<Uint8Array, unknown> | undefined
}

/** A request, from the call on until both sides are done with it. It has no `id` as long as it waits for its turn. */
const callWith = (size: number, method: string, headers: Headers, sent: boolean) => ({
  ...{ id: 0, method, headers, waiting: new Set<() => void>() },
  // how many bytes the server may send, how many were read since it was told, and how many it has room for
  ...{ size, left: size, taken: 0, outflow: 65_535 },
  // whether the server has it all, whether all of the answer is here, and the number of the PING that cancels it
  ...{ sent, ended: false, farewell: 0, failure: undefined as Http2Error | undefined },
  // what there is of the body, how much came, and how much was announced
  ...{ chunks: [] as Array<Uint8Array>, received: 0, length: NaN },
  ...{ status: 0, answer: [] as Headers, trailers: [] as Headers }
})
type Call = ReturnType<typeof callWith>

/** Waits until something is found. It is looked for again whenever the call is woken. */
const when = <A>(call: Call, found: () => A | false): Effect.Effect<A, Http2Error> =>
  Effect.suspend(() => {
    const value = found()
    if (value !== false) return Effect.succeed(value)
    if (call.failure !== undefined) return Effect.fail(call.failure)
    const woken = Effect.callback<void>((resume) => {
      const wake = () => resume(Effect.sync(() => call.waiting.delete(wake)))
      call.waiting.add(wake)
      return Effect.sync(() => call.waiting.delete(wake))
    })
    return Effect.andThen(woken, when(call, found))
  })

/** Connects, and waits for the server's settings. With `tls` both agree on `h2`; without, the server has to know. */
export const connect = Effect.fnUntraced(function* (to: Connection.OpenOptions) {
  const tls = to.tls && { ...(to.tls === true ? {} : to.tls), alpnProtocols: ["h2"] }
  const { info, reader, writer } = yield* openConnection({ ...to, tls })
  if (tls && info.tls?.alpn !== "h2") return yield* fault("HTTP_1_1_REQUIRED", "the server does not speak HTTP/2")
  const clock = yield* Effect.clockWith(Effect.succeed)
  const port = to.port === undefined || to.port === (tls ? 443 : 80) ? "" : `:${to.port}`
  const origin = { ":scheme": tls ? "https" : "http", ":authority": `${to.host ?? "localhost"}${port}` }

  const { decode, encode, setTableSize } = makeHpack()
  const calls = new Map<number, Call>()
  const queue = new Set<Call>()
  const whole = callWith(maxStreams * window, "", [], true)
  const peer: { maxStreams: number; outflow: number } = { maxStreams, outflow: 65_535 }
  let [lastId, greeted, pinged, ponged] = [-1, false, 0, 0]
  /** Why no call begins any more. `whole.failure` is why none goes on. */
  let closing: Http2Error | undefined
  // who is woken may do anything, so nobody is while a frame is handled
  const due: Array<Set<() => void>> = []
  const flush = () => {
    for (let all = due.shift(); all !== undefined; all = due.shift()) for (const wake of Array.from(all)) wake()
  }
  const act = (what: () => void) => Effect.sync(() => (what(), flush()))
  const fail = (call: Call, error: Http2Error) => {
    call.failure ??= error
    due.push(call.waiting)
  }
  const send = (type: number, flags: number, stream: number, payload: Uint8Array) => {
    if (whole.failure !== undefined) return
    const sent = Result.try(() => writer.writeFrameUnsafe(frame, { type, flags, stream, payload }))
    if (Result.isFailure(sent)) end(lost(String(sent.failure)))
  }
  /** Ends the connection, and all that is on it. The server is told, where it is not its own doing. */
  const end = (error: Http2Error) => {
    if (whole.failure !== undefined) return
    // there is no number for `LOST`, of which the server is not told
    const head = bytesOf(goAway, { last: 0, code: codes.indexOf(error.code) >>> 0 })
    if (error.by === "client") send(GOAWAY, 0, 0, Buffer.concat([head, Buffer.from(error.message)]))
    closing = error
    fail(whole, error)
    for (const call of [...calls.values(), ...queue]) fail(call, call.id === 0 ? safely(error) : error)
    calls.clear()
    queue.clear()
  }
  // what brings nothing costs one of 1,000, of which 100 come back in a second, and some with what is of use
  let [calm, then] = [1000, clock.currentTimeMillisUnsafe()]
  const spend = (some = 1) => {
    const now = clock.currentTimeMillisUnsafe()
    calm = Math.min(1000, calm + (now - then) / 10) - some
    then = now
    if (calm < 0) throw fault("ENHANCE_YOUR_CALM", "too many frames that bring nothing")
  }
  const sendPing = () => (send(PING, 0, 0, bytesOf(Frame.uint64Number, ++pinged)), pinged)
  const ping = Effect.flatMap(Effect.sync(sendPing), (number) => when(whole, () => ponged >= number && undefined))
  const pump = () => {
    for (const call of queue) {
      if (calls.size >= peer.maxStreams) break
      queue.delete(call)
      if (lastId === maxWindow) closing = fault("REFUSED_STREAM", "the connection has no numbers left")
      begin(call)
    }
    if (closing !== undefined && calls.size === 0) end(closing)
  }
  const begin = (call: Call) => {
    if (closing !== undefined) return fail(call, safely(closing))
    calls.set((call.id = lastId += 2), call)
    call.outflow = peer.outflow
    calm += 4
    const block = encode(call.headers)
    for (let at = 0; at < block.length; at += maxFrame) {
      const flags = (call.sent && at === 0 ? END_STREAM : 0) | (at + maxFrame >= block.length ? END_HEADERS : 0)
      send(at === 0 ? HEADERS : CONTINUATION, flags, call.id, block.subarray(at, at + maxFrame))
    }
    due.push(call.waiting)
  }
  const forget = (call: Call) => (calls.delete(call.id), pump())
  // A call that is cancelled keeps its place until the server has heard: it answers the PING behind the RST_STREAM. So
  // it has no more than `maxStreams` on its hands, however fast calls come and go, and what may still come is known.
  const reset = (call: Call | undefined, error: Http2Error) => {
    if (error.connection || call === undefined) return end(error)
    fail(call, error)
    if (calls.get(call.id) !== call || call.farewell !== 0) return
    send(RST_STREAM, 0, call.id, bytesOf(Frame.uint32, codes.indexOf(error.code)))
    call.farewell = sendPing()
  }
  const leave = (call: Call) => {
    queue.delete(call)
    reset(call, left)
    take(whole, count(call.chunks.splice(0)))
  }
  /** The server may send as much again. */
  const take = (flow: Call, size: number) => {
    flow.taken += size
    if (flow.taken < flow.size / 2) return
    send(WINDOW_UPDATE, 0, flow.id, bytesOf(Frame.uint32, flow.taken))
    flow.left += flow.taken
    flow.taken = 0
  }
  /** Whose frame it is: nobody's any more, where both sides are done. */
  const callOf = (id: number, isAnswer = false) => {
    const call = calls.get(id)
    if (id % 2 === 0 || id > lastId) throw fault("PROTOCOL_ERROR", `stream ${id} was never opened`)
    if (isAnswer && (call === undefined || call.ended)) throw fault("STREAM_CLOSED", `stream ${id} has ended`)
    return call
  }
  const ended = (call: Call) => {
    if (call.length !== call.received && call.length >= 0) throw malformed(`${call.received} bytes of ${call.length}`)
    call.ended = true
    due.push(call.waiting)
    if (call.sent) forget(call)
  }
  const onHeaders = (call: Call, headers: Headers, isLast: boolean) => {
    if (call.farewell > 0) return
    const [[name, status] = ["", ""], ...others] = headers
    const wrong = wrongOf(call.status > 0 ? headers : others)
    if (wrong !== undefined) throw wrong
    if (call.status > 0) {
      if (!isLast) throw malformed("trailers that are not the end")
      call.trailers = headers
    } else {
      if (name !== ":status" || !/^[1-5]\d\d$/.test(status) || status === "101") throw malformed("there is no status")
      if (status < "200") return isLast ? reset(call, malformed("there is no answer")) : spend()
      const lengths = others.flatMap(([name, value]) => (name === "content-length" ? [value] : []))
      if (lengths.some((length) => !/^\d{1,15}$/.test(length) || length !== lengths[0])) throw malformed("what length?")
      if (call.method !== "HEAD" && status !== "304") call.length = Number(lengths[0])
      call.status = Number(status)
      call.answer = others
    }
    due.push(call.waiting)
    if (isLast) ended(call)
  }
  const onData = (call: Call, size: number, data: Uint8Array, isLast: boolean) => {
    call.left -= size
    whole.left -= size
    if (call.left < 0 || whole.left < 0) throw fault("FLOW_CONTROL_ERROR", "more than there is room for")
    if (data.length === 0 && !isLast) spend()
    calm += data.length / 4096
    const isKept = call.farewell === 0 && call.status > 0
    take(whole, isKept ? size - data.length : size)
    if (!isKept) return reset(call, malformed("a body without a status"))
    if (!isLast) take(call, size - data.length)
    call.received += data.length
    // what is kept takes no more than a few times its size, however small the pieces are
    if (data.length > 0) call.chunks.push(data.length * 4 < data.buffer.byteLength ? data.slice() : data)
    if (call.chunks.length === 256) call.chunks = [Buffer.concat(call.chunks)]
    due.push(call.waiting)
    if (isLast) ended(call)
  }
  const onSetting = ([id, value]: readonly [number, number]) => {
    if (id === HEADER_TABLE_SIZE) setTableSize(value)
    if (id === ENABLE_PUSH && value !== 0) throw fault("PROTOCOL_ERROR", "a client does not push")
    if (id === MAX_CONCURRENT_STREAMS) peer.maxStreams = Math.min(value, maxStreams)
    // frames that are sent have no more than the least that may be asked for
    if (id === MAX_FRAME_SIZE && (value < maxFrame || value >= 2 ** 24)) throw fault("PROTOCOL_ERROR", "what frames?")
    if (id !== INITIAL_WINDOW_SIZE) return
    const more = value - peer.outflow
    for (const flow of [peer, ...calls.values()]) {
      if ((flow.outflow += more) > maxWindow) throw fault("FLOW_CONTROL_ERROR", `a window of ${flow.outflow} bytes`)
    }
  }
  /** Headers of which more are to come. Nothing else may come in between. */
  let block: { readonly id: number; readonly isLast: boolean; readonly bytes: Uint8Array } | undefined
  const onFrame = (frame: AnyFrame) => {
    const { flags, payload, type } = frame
    const id = frame.stream & maxWindow
    const [isLast, isAck] = [(flags & END_STREAM) !== 0, (flags & ACK) !== 0]
    if (!greeted && (type !== SETTINGS || isAck)) throw fault("PROTOCOL_ERROR", "this is no HTTP/2")
    const isCut = block === undefined ? type === CONTINUATION : type !== CONTINUATION || id !== block.id
    if (isCut) throw fault("PROTOCOL_ERROR", "headers are in pieces")
    if (id !== 0 && (type === SETTINGS || type === PING || type === GOAWAY))
      throw fault("PROTOCOL_ERROR", "on a stream")
    if (payload.length !== (sizes[type] ?? payload.length)) throw fault("FRAME_SIZE_ERROR", `the size of type ${type}`)
    switch (type) {
      case DATA:
        return onData(callOf(id, true)!, payload.length, contentOf(frame), isLast)
      case HEADERS:
      case CONTINUATION: {
        const call = callOf(id, true)!
        if (type === CONTINUATION) spend()
        const bytes = Buffer.concat([block?.bytes ?? new Uint8Array(), contentOf(frame)])
        if (bytes.length > maxHeaders) throw fault("ENHANCE_YOUR_CALM", "headers without an end")
        const all = { id, isLast: block?.isLast ?? isLast, bytes }
        block = (flags & END_HEADERS) === 0 ? all : undefined
        return block === undefined ? onHeaders(call, decode(bytes), all.isLast) : undefined
      }
      case RST_STREAM: {
        const call = callOf(id)
        if (call === undefined) return spend()
        const code = codes[valueOf(Frame.uint32, payload)] ?? "INTERNAL_ERROR"
        const error = fault(code, "the server has ended it", false, "server")
        // one that has answered, and needs no more of the request, says so
        if (!call.ended || code !== "NO_ERROR") fail(call, code === "REFUSED_STREAM" ? safely(error) : error)
        call.sent = true
        return forget(call)
      }
      case SETTINGS: {
        if (payload.length % 6 !== 0 || (isAck && payload.length > 0)) throw fault("FRAME_SIZE_ERROR", "odd settings")
        spend(1 + payload.length / 6)
        if (isAck) return
        valueOf(settings(payload.length / 6), payload).forEach(onSetting)
        greeted = true
        send(SETTINGS, ACK, 0, new Uint8Array())
        due.push(whole.waiting, ...Array.from(calls.values(), (call) => call.waiting))
        return pump()
      }
      case PING: {
        const number = Number(valueOf(Frame.uint64, payload))
        if (!isAck || number <= ponged || number > pinged) spend()
        if (!isAck) return send(PING, ACK, 0, payload)
        ponged = Math.max(ponged, Math.min(number, pinged))
        due.push(whole.waiting)
        return calls.forEach((call) => call.farewell > 0 && call.farewell <= ponged && forget(call))
      }
      case GOAWAY: {
        spend()
        if (payload.length < 8) throw fault("FRAME_SIZE_ERROR", "a GOAWAY is too short")
        const { code, last } = valueOf(goAway, payload.subarray(0, 8))
        const text = Buffer.from(payload.subarray(8, 200)).toString()
        closing ??= fault(codes[code] ?? "INTERNAL_ERROR", `the server goes away: ${text}`, true, "server")
        for (const call of [...calls.values(), ...queue]) {
          if (call.id !== 0 && call.id <= (last & maxWindow)) continue
          fail(call, safely(closing))
          calls.delete(call.id)
          queue.delete(call)
        }
        return pump()
      }
      case WINDOW_UPDATE: {
        spend()
        const flow = id === 0 ? whole : callOf(id)
        if (flow === undefined) return
        const more = valueOf(Frame.uint32, payload) & maxWindow
        if (more === 0) throw fault("PROTOCOL_ERROR", "a window grows by nothing", id === 0)
        if ((flow.outflow += more) > maxWindow) throw fault("FLOW_CONTROL_ERROR", "a window is too large", id === 0)
        return calls.forEach((call) => call.sent || due.push(call.waiting))
      }
      default:
        if (type === PUSH_PROMISE) throw fault("PROTOCOL_ERROR", "pushes are not allowed")
        spend()
    }
  }

  const reading = Effect.gen(function* () {
    while (whole.failure === undefined) {
      const frames = yield* reader.readFrames(frame)
      if (frames.length === 0) return end(closing ?? lost("the server has ended the connection"))
      for (const each of frames) {
        if (whole.failure !== undefined) break
        try {
          onFrame(each)
        } catch (error) {
          const why = error instanceof Http2Error ? error : fault("INTERNAL_ERROR", String(error))
          reset(calls.get(each.stream & maxWindow), why)
        }
      }
      flush()
      if ((yield* writer.buffered) > 4 * 1024 * 1024) end(fault("ENHANCE_YOUR_CALM", "answers are not read"))
    }
  }).pipe(
    Effect.catchTag("LimitOverrun", ({ message }) => fault("FRAME_SIZE_ERROR", message)),
    Effect.catch((error) => act(() => end(error instanceof Http2Error ? error : lost(error.message))))
  )
  /** Asks a server that is silent while something is awaited of it. */
  const keepAlive = Effect.suspend(() => (calls.size === 0 ? Effect.void : Effect.timeout(ping, "10 seconds"))).pipe(
    Effect.delay("30 seconds"),
    Effect.forever,
    Effect.catch(() => act(() => end(lost("the server is silent"))))
  )
  /** Sends as there is room, each call in its turn, unless the server has answered, and needs no more. */
  const write = (call: Call, data: Uint8Array, flags = 0): Effect.Effect<void, Http2Error | StreamError.WriteError> => {
    const some = when(call, () => {
      if (call.sent) return data.length
      const size = Math.min(data.length, maxFrame, whole.outflow, call.outflow)
      if (call.failure !== undefined || call.id === 0 || (size <= 0 && data.length > 0)) return false
      whole.outflow -= size
      call.outflow -= size
      if (calls.delete(call.id)) calls.set(call.id, call)
      calm += 4
      send(DATA, flags, call.id, data.subarray(0, size))
      call.sent = flags === END_STREAM
      if (call.sent && call.ended) forget(call)
      return size
    })
    const rest = (size: number) => (size === data.length ? Effect.void : write(call, data.subarray(size), flags))
    return Effect.andThen(writer.drain, Effect.flatMap(some, rest))
  }
  const upload = (call: Call, body: NonNullable<Request["body"]>) =>
    Stream.takeWhile(body, () => !call.sent).pipe(
      Stream.runForEach((chunk) => write(call, chunk)),
      Effect.andThen(write(call, new Uint8Array(), END_STREAM)),
      Effect.catchCause((cause) => act(() => reset(call, fault("CANCEL", `the body: ${Cause.squash(cause)}`, false)))),
      Effect.ensuring(Effect.sync(flush))
    )
  /** What is there of the body: nothing at its end. */
  const next = (call: Call) =>
    when(call, () => {
      const chunks = call.chunks.splice(0)
      const size = count(chunks)
      take(whole, size)
      if (!call.ended && call.farewell === 0) take(call, size)
      return (size > 0 || (call.ended && call.failure === undefined)) && chunks
    })

  const open = Effect.fnUntraced(function* ({ body, headers = [], method = "GET", path }: Request) {
    const all: Headers = [...Object.entries({ ":method": method, ...origin, ":path": path }), ...headers]
    const isRequest = /^[A-Z]+$/.test(method) && method !== "CONNECT" && /^[!-~]+$/.test(path)
    const wrong = isRequest ? wrongOf(headers) : malformed(`no request: ${method} ${path}`)
    if (wrong !== undefined) return yield* wrong
    if (closing !== undefined) return yield* safely(closing)
    const call = callWith(window, method, all, body === undefined)
    yield* Effect.addFinalizer(() => act(() => leave(call)))
    yield* act(() => (queue.add(call), pump()))
    if (body !== undefined) yield* Effect.forkScoped(upload(call, body))
    return yield* when(call, () => call.status > 0 && call)
  })
  /** The response comes with its headers, and ends with the scope. 256 KiB come of a body that nobody reads. */
  const request = (input: Request) =>
    Effect.map(open(input), (call) => {
      const pull = Effect.flatMap(next(call), (all) => (Arr.isArrayNonEmpty(all) ? Effect.succeed(all) : Cause.done()))
      const trailers = when(call, () => call.ended && call.trailers)
      return { status: call.status, headers: call.answer, body: Stream.fromPull(Effect.succeed(pull)), trailers }
    })
  /** All of the response, whose body may have 64 MiB. */
  const fetch = Effect.fnUntraced(function* (input: Request) {
    const call = yield* open(input)
    const parts: Array<Uint8Array> = []
    for (let some = yield* next(call); some.length > 0; some = yield* next(call)) {
      parts.push(...some)
      if (call.received > 64 * 1024 * 1024) return yield* fault("CANCEL", "the body is too long", false)
    }
    return { status: call.status, headers: call.answer, body: Buffer.concat(parts), trailers: call.trailers }
  }, Effect.scoped)
  const ours = Object.entries({ [ENABLE_PUSH]: 0, [INITIAL_WINDOW_SIZE]: window, [MAX_HEADER_LIST_SIZE]: maxHeaders })
  const list = ours.map(([id, value]) => [Number(id), value] as const)
  writer.writeUnsafe("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
  send(SETTINGS, 0, 0, bytesOf(settings(list.length), list))
  send(WINDOW_UPDATE, 0, 0, bytesOf(Frame.uint32, whole.size - 65_535))
  const over = Effect.raceAllFirst([reading, keepAlive, Effect.ignore(when(whole, () => false))])
  const bye = Effect.suspend(() => (flush(), whole.failure?.code === "LOST" ? writer.abort : writer.close))
  yield* Effect.forkScoped(Effect.andThen(over, bye), { startImmediately: true })
  yield* Effect.addFinalizer(() => act(() => end(fault("NO_ERROR", "the client is closed"))))
  const silent = fault("SETTINGS_TIMEOUT", "the server says nothing")
  yield* Effect.timeoutOrElse(
    when(whole, () => greeted),
    { duration: "10 seconds", orElse: () => silent }
  )
  return { fetch, ping, request }
})
export type Client = Effect.Success<ReturnType<typeof connect>>
