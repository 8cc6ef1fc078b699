/** Remote procedure calls for tests: what a server offers, and how both sides are made. */
import { Effect, Layer, type Schedule, Schema, Stream } from "effect"
import { Connection } from "effect-byte-streams"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { Socket } from "effect/socket"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

const calls = RpcGroup.make(
  Rpc.make("echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("refuse", { payload: { why: Schema.String }, error: Refused }),
  Rpc.make("die", { payload: { why: Schema.String } }),
  Rpc.make("count", { payload: { to: Schema.Number }, success: Schema.Number, stream: true }),
  // answers when it is told to
  Rpc.make("wait", { payload: { name: Schema.String }, success: Schema.String }),
  // the same, and cannot be interrupted
  Rpc.make("finish", { payload: { name: Schema.String }, success: Schema.String })
)

/** What a test sees of the handlers, and tells them. */
export class Seen {
  /** Calls of `wait` and `finish` that have begun, and those that were interrupted. */
  readonly begun: Array<string> = []
  readonly interrupted: Array<string> = []
  /** Numbers that `count` has made. */
  counted = 0
  /** What `wait` and `finish` wait for. */
  answer: Effect.Effect<unknown> = Effect.never
}

const handlers = (seen: Seen) => {
  const waiting = (name: string) =>
    Effect.suspend(() => {
      seen.begun.push(name)
      return Effect.as(seen.answer, `${name} is done`)
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => void seen.interrupted.push(name))))
  return calls.toLayer({
    echo: ({ text }) => Effect.succeed(text),
    refuse: ({ why }) => Effect.fail(new Refused({ why })),
    die: ({ why }) => Effect.die(new Error(why)),
    count: ({ to }) =>
      Stream.range(1, to).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => void seen.counted++))
      ),
    wait: ({ name }) => waiting(name),
    finish: ({ name }) => Rpc.uninterruptible(waiting(name))
  })
}

export const serializations = [
  ["ndjson", RpcSerialization.layerNdjson],
  ["schema-binary", RpcSerialization.layerSchemaBinary()]
] as const

/** Serves on a socket server. A handler's defect is its call's alone. */
export const layerServer = (seen: Seen) =>
  RpcServer.layer(calls, { disableFatalDefects: true, disableTracing: true }).pipe(
    Layer.provide(handlers(seen)),
    Layer.provide(RpcServer.layerProtocolSocketServer)
  )

interface ClientOptions {
  readonly retryPolicy?: Schedule.Schedule<any, Socket.SocketError>
  /** Whether it connects and sends, and reads nothing. */
  readonly deaf?: boolean
}

/** A client of a place, in the scope of whoever asks. */
export const client = (options: Connection.OpenOptions, { deaf = false, retryPolicy }: ClientOptions = {}) =>
  Effect.gen(function* () {
    const socket = yield* Connection.makeSocket(options)
    const protocol = yield* Layer.build(
      Layer.provide(
        RpcClient.layerProtocolSocket({ retryPolicy }),
        Layer.succeed(Socket.Socket, deaf ? deafened(socket) : socket)
      )
    )
    return yield* Effect.provideContext(RpcClient.make(calls, { disableTracing: true }), protocol)
  })

const deafened = ({ reader, writer }: Socket.Socket): Socket.Socket =>
  Socket.make({ reader: Effect.map(reader, (reader) => ({ ...reader, pull: Effect.never })), writer })
