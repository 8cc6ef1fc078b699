/**
 * A client of MQTT 3.1.1: QoS 0, 1 and 2, retained messages, a will, and a session that outlives its connections.
 *
 * What is published with QoS 1 or 2 is kept until the broker has it, and sent again, in order, on the next connection. What
 * comes with QoS 2 is handed over once, however often it is sent.
 */
import { type Cause, Deferred, Effect, Exit, Fiber, Latch, Queue, Schema, Semaphore, Stream } from "effect"
import { type Connection, Exchange, Frame, StreamError, type StreamWriter } from "effect-byte-streams"

export type QoS = 0 | 1 | 2
export interface Message {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
}

/** The broker says no, or the client is closed. */
export class MqttError extends Schema.TaggedError<MqttError>()("MqttError", { message: Schema.String }) {}

// Packets: a first byte, a length, and a body (sections 2 and 3 of the specification).
const body = <A>(frame: Frame.Frame<A>): Frame.Frame<A> =>
  Frame.lengthPrefixed(Frame.varintWith({ maxBytes: 4, padded: "accept" }), { maxBytes: 16 * 1024 * 1024 }, frame)
const bytes = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 65_535 })
const text = Frame.lengthPrefixed(Frame.uint16, { maxBytes: 65_535 }, Frame.utf8Rest).pipe(
  Frame.refine((text) => !text.includes("\0"), "has U+0000 in it")
)
const topic = Frame.refine(text, (text) => /^[^+#]+$/.test(text), "is no name of a topic")
const id = Frame.refine(Frame.uint16, (id) => id > 0, "must be above 0")

type Fields = { readonly [name: string]: Frame.Frame<any> }
const kind = <const T extends string, const F extends Fields>(type: T, fields: F) =>
  body(Frame.struct({ type: Frame.succeed(type), ...fields }))
/** The first byte says how something is published. What none of them says, such as QoS 3, is malformed. */
const publish = (first: number) => {
  const qos = ((first >> 1) & 3) as QoS
  const flags = { dup: Frame.succeed(first > 0x37), qos: Frame.succeed(qos), retain: Frame.succeed(first % 2 === 1) }
  return kind("publish", { ...flags, topic, id: qos === 0 ? Frame.succeed(0) : id, payload: Frame.rest })
}
const first = {
  ...{ connack: 0x20, puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 },
  ...{ subscribe: 0x82, suback: 0x90, pingreq: 0xc0, pingresp: 0xd0, disconnect: 0xe0 }
}
export const packetFrame = Frame.union(
  Frame.uint8,
  {
    0x20: kind("connack", { sessionPresent: Frame.uint8, code: Frame.uint8 }),
    ...{ 0x30: publish(0x30), 0x31: publish(0x31), 0x32: publish(0x32), 0x33: publish(0x33), 0x34: publish(0x34) },
    ...{ 0x35: publish(0x35), 0x3a: publish(0x3a), 0x3b: publish(0x3b), 0x3c: publish(0x3c), 0x3d: publish(0x3d) },
    ...{ 0x40: kind("puback", { id }), 0x50: kind("pubrec", { id }) },
    ...{ 0x62: kind("pubrel", { id }), 0x70: kind("pubcomp", { id }) },
    0x82: kind("subscribe", { id, filter: text, qos: Frame.uint8 }),
    0x90: kind("suback", { id, code: Frame.uint8 }),
    ...{ 0xc0: kind("pingreq", {}), 0xd0: kind("pingresp", {}), 0xe0: kind("disconnect", {}) }
  },
  {
    tagOf: (packet) => {
      if (packet.type !== "publish") return first[packet.type]
      return 0x30 | (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0)
    }
  }
)
export type Packet = Frame.Value<typeof packetFrame>
type Of<T extends Packet["type"]> = Extract<Packet, { readonly type: T }>

export interface Options<F extends string> {
  readonly clientId: string
  /** Whether the broker forgets the session with the connection. */
  readonly cleanSession: boolean
  /** After how many seconds without a word a PINGREQ is sent. Its answer may take as long. */
  readonly keepAlive: number
  /** What the broker publishes if this client is gone without a word: its scope has failed, or nothing is heard of it. */
  readonly will?: Message
  readonly credentials?: { readonly username: string; readonly password: string }
  /** What is subscribed to, by filter. */
  readonly subscriptions: Readonly<Record<F, QoS>>
}
type Open<E, R> = Effect.Effect<Connection.Connection, E, R>

const absent: Frame.Frame<any> = Frame.succeed(undefined)
const connect = ({ cleanSession, clientId, credentials, keepAlive, will }: Options<string>) => {
  const willFlags = will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)
  const flags = willFlags | (cleanSession ? 0x02 : 0) | (credentials === undefined ? 0 : 0xc0)
  const willFrame = will === undefined ? absent : Frame.struct({ topic, payload: bytes })
  const credentialsFrame = credentials === undefined ? absent : Frame.struct({ username: text, password: text })
  const head = Frame.tuple(text, Frame.uint8, Frame.uint8, Frame.uint16, text)
  return Frame.encodeResult(Frame.tuple(Frame.uint8, body(Frame.tuple(head, willFrame, credentialsFrame))), [
    0x10,
    [["MQTT", 4, flags, keepAlive, clientId], will, credentials]
  ])
}

/** The topics of a filter: `+` is a level, `#` any number of them, and neither is a first one that begins with `$`. */
const topicsOf = (filter: string): RegExp => {
  const plain = filter.replace(/[.*?^${}()|[\]\\]/g, "\\$&")
  const levels = plain.replaceAll("+", "[^/]*").replace(/(^|\/)#$/, "($1.*)?")
  return new RegExp(`^${/^[+#]/.test(filter) ? "(?!\\$)" : ""}${levels}$`, "s")
}

const violation = (reason: string) => Effect.fail(new StreamError.ProtocolViolation({ reason }))
const no = (message: string) => Exit.fail(new MqttError({ message }))
type PublishError = MqttError | Exchange.CallError

const peerOptions = (time: Exchange.KeepAlive<Packet>["every"]): Exchange.PeerOptions<Packet, never> => {
  let ping: number | undefined
  return {
    message: packetFrame,
    isPush: ({ type }) => type === "puback" || type === "pubrec" || type === "pubcomp",
    pushes: { overflow: "suspend" },
    isRequest: ({ type }) => type === "publish" || type === "pubrel",
    serve: { concurrency: 64 },
    keepAlive: { every: time, within: time, request: { type: "pingreq" } },
    id: {
      // PINGREQ has none, and there is one at a time; those below the range are for messages
      put: (packet, id) => ("id" in packet ? { ...packet, id } : ((ping = id), packet)),
      get: (packet) => (packet.type === "suback" ? packet.id : packet.type === "pingresp" ? ping : undefined),
      range: [60_001, 65_535]
    }
  }
}

/** A message with QoS 1 or 2, until the broker has it. */
interface Outgoing {
  packet: Of<"publish" | "pubrel">
  awaits: Packet["type"]
  sent: boolean
  readonly done: Deferred.Deferred<void, PublishError>
}
/** A client that connects by `open`, again and again until its scope ends. Fails as the first time does. */
export const make = Effect.fnUntraced(function* <E, R, F extends string>(open: Open<E, R>, options: Options<F>) {
  const hello = yield* Effect.fromResult(connect(options))
  const services = yield* Effect.context<never>()
  // as many as mosquitto takes at once without losing one: its max_inflight_messages
  const places = yield* Semaphore.make(20)
  const online = yield* Latch.make(false)
  const outgoing = new Map<number, Outgoing>()
  const received = new Map<number, Fiber.Fiber<unknown>>()
  const subscriptions = yield* Effect.forEach(Object.entries<QoS>(options.subscriptions), ([filter, qos]) =>
    Effect.map(Queue.bounded<Message, Cause.Done>(256), (queue) => ({ filter, qos, topics: topicsOf(filter), queue }))
  )
  let link: readonly [Exchange.Exchange<Packet, Packet>, StreamWriter.StreamWriter] | undefined
  let [lastId, failures, subscribed, closed] = [0, 0, false, false]

  const end = (id: number, exit: Exit.Exit<void, PublishError>): Effect.Effect<unknown> => {
    Deferred.doneUnsafe(outgoing.get(id)!.done, exit)
    outgoing.delete(id)
    return places.release(1)
  }
  const send = (entry: Outgoing): void => {
    if (link === undefined) return
    const { packet, sent } = entry
    entry.sent = true
    try {
      link[1].writeFrameUnsafe(packetFrame, sent && packet.type === "publish" ? { ...packet, dup: true } : packet)
    } catch (error) {
      // what this connection does not take any more is for the next one
      if (error instanceof StreamError.EncodeFailed) Effect.runSync(end(packet.id, Exit.fail(error)))
    }
  }
  /** With QoS 1 and 2 it is done when the broker has it: by this connection or a later one, whoever waits for that. */
  const publish = ({ payload, qos, retain, topic }: Message): Effect.Effect<void, PublishError> => {
    const packetOf = (id: number) => ({ type: "publish", dup: false, qos, retain, topic, id, payload }) as const
    const sendNow = (): Effect.Effect<void, PublishError> => link?.[0].send(packetOf(0)) ?? no("there is no connection")
    if (qos === 0) return Effect.andThen(online.await, Effect.suspend(sendNow))
    const taken = (): Effect.Effect<void, PublishError> => {
      if (closed) return no("the client is closed")
      do lastId = (lastId % 60_000) + 1
      while (outgoing.has(lastId))
      const done = Deferred.makeUnsafe<void, PublishError>()
      outgoing.set(lastId, { packet: packetOf(lastId), awaits: qos === 1 ? "puback" : "pubrec", sent: false, done })
      send(outgoing.get(lastId)!)
      return Deferred.await(done)
    }
    return Effect.uninterruptibleMask((restore) => Effect.flatMap(restore(places.take(1)), () => restore(taken())))
  }
  const acknowledged = (packet: Packet) => {
    const { id, type } = packet as Of<"puback" | "pubrec" | "pubcomp">
    const entry = outgoing.get(id)
    if (entry === undefined) return Effect.void
    if (type !== entry.awaits) return violation(`${type} where ${entry.awaits} is awaited`)
    if (type !== "pubrec") return end(id, Exit.void)
    return Effect.sync(() => send(Object.assign(entry, { packet: { type: "pubrel", id }, awaits: "pubcomp" })))
  }

  const deliver = ({ payload, qos, retain, topic }: Of<"publish">) =>
    Effect.forEach(
      subscriptions.filter(({ topics }) => topics.test(topic)),
      ({ queue }) => Queue.offer(queue, { topic, payload: payload.slice(), qos, retain }),
      // each has its place in the queue at once
      { concurrency: "unbounded" }
    )
  /** What comes unasked. A message is acknowledged once there is room for it. */
  const handle = (packet: Packet): Effect.Effect<Packet | void> => {
    if (packet.type === "pubrel") {
      received.delete(packet.id)
      return Effect.succeed({ type: "pubcomp", id: packet.id })
    }
    const { id, qos } = packet as Of<"publish">
    if (qos < 2) return Effect.as(deliver(packet as Of<"publish">), qos === 0 ? undefined : { type: "puback", id })
    // handed over once, whatever becomes of the connection meanwhile
    const delivery = received.get(id) ?? Effect.runForkWith(services)(deliver(packet as Of<"publish">))
    received.set(id, delivery)
    return Effect.as(Fiber.await(delivery), { type: "pubrec", id })
  }

  const session = Effect.gen(function* () {
    const connection = yield* open
    yield* connection.writer.write(hello)
    const welcome = yield* Effect.timeout(connection.reader.readFrame(packetFrame), "10 seconds")
    if (welcome.type !== "connack") return yield* violation(`${welcome.type} where connack is awaited`)
    if (welcome.code !== 0) return yield* no(`the broker refuses the connection: code ${welcome.code}`)
    const isNew = welcome.sessionPresent === 0
    subscribed &&= !isNew
    if (isNew) received.clear()
    for (const [id, { awaits }] of isNew ? outgoing : []) {
      if (awaits === "pubcomp") yield* end(id, no("the broker has forgotten the session: it may have it, or not"))
    }
    const exchange = yield* Exchange.makePeer(connection, peerOptions(`${options.keepAlive} seconds`), handle)
    for (const { filter, qos } of subscribed ? [] : subscriptions) {
      const answer = yield* exchange.call({ type: "subscribe", id: 0, filter, qos })
      if (answer.type === "suback" && answer.code > 2) yield* no(`the broker refuses ${filter}`)
    }
    // in one step, so that nothing new comes in between
    yield* Effect.sync(() => {
      subscribed = true
      link = [exchange, connection.writer]
      failures = 0
      for (const entry of outgoing.values()) send(entry)
    })
    yield* online.open
    yield* Stream.runForEachArray(exchange.pushes, Effect.forEach(acknowledged, { discard: true }))
  }).pipe(Effect.scoped, Effect.ensuring(Effect.sync(() => online.closeUnsafe() && (link = undefined))))

  yield* Effect.addFinalizer(() => {
    closed = true
    const ends = Array.from(outgoing.keys(), (id) => end(id, no("the client is closed")))
    const streams = subscriptions.map(({ queue }) => Queue.end(queue))
    return Effect.all([...ends, ...streams, online.open, places.release(1e9)])
  })
  const first = yield* Effect.forkScoped(session)
  yield* Effect.raceFirst(online.await, Fiber.join(first))
  const again = Effect.suspend(() => Effect.delay(Effect.exit(session), Math.min(10_000, 50 * 2 ** failures++)))
  yield* Effect.forkScoped(Effect.andThen(Fiber.await(first), Effect.forever(again)))
  yield* Effect.addFinalizer((exit) => {
    if (link === undefined || Exit.isFailure(exit)) return Effect.void
    return Effect.ignore(Effect.andThen(link[0].send({ type: "disconnect" }), link[0].close))
  })
  const messages = (filter: F) => Stream.fromQueue(subscriptions.find((one) => one.filter === filter)!.queue)
  return { publish, messages }
})
