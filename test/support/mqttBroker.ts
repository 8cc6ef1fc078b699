/** As much of a broker as a client can tell: one session, which outlives its connections, and gives back what it is sent. */
import { Effect, Option, Result } from "effect"
import { type Connection, Frame, startServer, type StreamWriter } from "effect-byte-streams"
import { type Packet, packetFrame } from "../../examples/protocols/mqtt.ts"

const hello = Frame.tuple(
  Frame.literal(Uint8Array.of(0x10)),
  Frame.lengthPrefixed(Frame.varintWith({ maxBytes: 4, padded: "accept" }), { maxBytes: 100_000 })
)

type Publish = Extract<Packet, { readonly type: "publish" }>

export class Broker {
  /** What was accepted, in order: of QoS 2 once, however often it came. */
  readonly accepted: Array<string> = []
  readonly subscribed: Array<string> = []
  connections = 0
  /** The connection breaks at so many subscriptions, and this one is not made. */
  breaksAt = Infinity
  /** Whether what is accepted goes back to the client. */
  echoes = true
  /** Whether there is a session. */
  exists = false
  private readonly inbound = new Set<number>()
  private readonly outbound = new Map<number, Packet>()
  private writer: StreamWriter.StreamWriter | undefined = undefined
  /** Resets the connection that there is. */
  breakOff: Effect.Effect<void> = Effect.void
  private lastId = 0

  private send(packet: Packet): void {
    // one that is gone is told when it comes again
    Result.try(() => this.writer?.writeFrameUnsafe(packetFrame, packet))
  }

  /** Sends a message to the client, now or when it comes. */
  publish(message: Omit<Publish, "type" | "dup" | "id">): void {
    const id = message.qos === 0 ? 0 : ++this.lastId
    const packet: Packet = { ...message, type: "publish", dup: false, id }
    if (id > 0) this.outbound.set(id, packet)
    this.send(packet)
  }

  private accept({ payload, qos, retain, topic }: Publish): void {
    this.accepted.push(Buffer.from(payload).toString())
    if (this.echoes) this.publish({ topic, payload: payload.slice(), qos, retain })
  }

  private heard(packet: Packet): void {
    switch (packet.type) {
      case "publish": {
        const { id, qos } = packet
        if (qos < 2 || !this.inbound.has(id)) this.accept(packet)
        if (qos === 2) this.inbound.add(id)
        if (qos > 0) this.send({ type: qos === 1 ? "puback" : "pubrec", id })
        return
      }
      case "pubrel":
        this.inbound.delete(packet.id)
        return this.send({ type: "pubcomp", id: packet.id })
      case "pubrec": {
        const release: Packet = { type: "pubrel", id: packet.id }
        if (this.outbound.has(packet.id)) this.outbound.set(packet.id, release)
        return this.send(release)
      }
      case "puback":
      case "pubcomp":
        return void this.outbound.delete(packet.id)
      case "subscribe":
        this.subscribed.push(packet.filter)
        if (this.subscribed.length === this.breaksAt) return
        return this.send({ type: "suback", id: packet.id, code: packet.qos })
      case "pingreq":
        return this.send({ type: "pingresp" })
      default:
        // of acknowledgements, and of a good-bye, nothing follows
        break
    }
  }

  private readonly serve = Effect.fnUntraced(function* (
    this: Broker,
    { abort, reader, writer }: Connection.Connection
  ) {
    const [, connect] = yield* reader.readFrame(hello)
    this.connections++
    const clean = (connect[7]! & 2) !== 0
    if (clean) {
      this.inbound.clear()
      this.outbound.clear()
    }
    this.writer = writer
    this.breakOff = abort
    this.send({ type: "connack", sessionPresent: this.exists && !clean ? 1 : 0, code: 0 })
    this.exists = true
    for (const packet of this.outbound.values())
      this.send(packet.type === "publish" ? { ...packet, dup: true } : packet)
    while (true) {
      const packet = yield* reader.readFrameOption(packetFrame)
      if (Option.isNone(packet)) return
      // another connection has taken its place
      if (this.writer !== writer) return
      this.heard(packet.value)
      if (this.subscribed.length === this.breaksAt) return yield* abort
      yield* writer.drain
    }
  }).bind(this)

  /** Listens on port 1883. */
  readonly listen = startServer({ port: 1883, onHandlerError: () => Effect.void }, (connection) =>
    this.serve(connection)
  )
}
