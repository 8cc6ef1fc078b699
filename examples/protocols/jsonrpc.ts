/**
 * JSON-RPC 2.0 with Content-Length: what language servers speak over their standard input and output (LSP 3.17).
 *
 * Both sides call and are called on one connection. A call that is interrupted cancels its request at the other side, and a
 * request that the other side cancels interrupts its handler.
 */
import { Cause, Effect, Option, Predicate, Result, Schema } from "effect"
import type { ChildProcess } from "effect/process"
import { Connection, Exchange, Frame } from "effect-byte-streams"

const refusal = { code: Schema.Int, message: Schema.String, data: Schema.optional(Schema.Unknown) }

/** What one side answers instead of a result. */
export class JsonRpcError extends Schema.TaggedError<JsonRpcError>()("JsonRpcError", refusal) {}

const jsonrpc = Schema.Literal("2.0")
const Id = Schema.Union([Schema.Number, Schema.String])
const Params = Schema.optional(Schema.Union([Schema.Array(Schema.Unknown), Schema.ObjectKeyword, Schema.Null]))
const Request = Schema.Struct({ jsonrpc, id: Schema.optionalKey(Id), method: Schema.String, params: Params })
const Answer = Schema.Union([
  Schema.Struct({ jsonrpc, id: Schema.NullOr(Id), error: Schema.Struct(refusal) }),
  Schema.Struct({ jsonrpc, id: Schema.NullOr(Id), result: Schema.Unknown })
])
type Request = typeof Request.Type
type Answer = typeof Answer.Type
/** `refusal`: what came is no request, and this is the answer to it. */
type Message = Request | Answer | { readonly refusal: Answer }

const no = (code: number, message: string) => new JsonRpcError({ code, message })
const refuse = (id: typeof Id.Type | null, { code, data, message }: JsonRpcError): Answer => ({
  jsonrpc: "2.0",
  id,
  error: { code, message, data }
})

const decode = (text: string): Result.Result<Message, string> => {
  const json = Result.try((): unknown => JSON.parse(text))
  if (Result.isFailure(json)) return Result.succeed({ refusal: refuse(null, no(-32700, "this is no JSON")) })
  const input = json.success
  // an answer that is none ends the connection: somebody waits for it, and nobody knows who
  if (Predicate.isObject(input) && !("method" in input)) {
    return Result.mapError(Schema.decodeUnknownResult(Answer)(input), String)
  }
  const request = Schema.decodeUnknownResult(Request)(input)
  return Result.succeed(Result.getOrElse(request, () => ({ refusal: refuse(null, no(-32600, "this is no request")) })))
}
const encode = (message: Message) => Result.succeed(JSON.stringify(message))
const body = Frame.transformOrFail(Frame.utf8Rest, { decode, encode })
const message = Frame.contentLength({ maxBytes: 64 * 1024 * 1024 }, body)

/** What is sent and not answered. Without parameters: `Schema.Undefined`. */
export type Notification<P> = { readonly method: string; readonly params: Schema.Codec<P, any> }
export type Method<P, A> = Notification<P> & { readonly result: Schema.Codec<A, any> }
type CallError = JsonRpcError | Schema.SchemaError | Exchange.CallError

export interface Peer {
  readonly call: <P, A>(method: Method<P, A>, params: P) => Effect.Effect<A, CallError>
  readonly notify: <P>(notification: Notification<P>, params: P) => Effect.Effect<void, CallError>
  readonly closed: Effect.Effect<Exchange.Closed>
}

const peerOf = (exchange: Exchange.Exchange<Message, Message>): Peer => ({
  call: Effect.fnUntraced(function* ({ method, params, result }, input) {
    const request = { jsonrpc: "2.0", method, params: yield* Schema.encodeEffect(params)(input) } as const
    const answer = (yield* exchange.call(request)) as Answer
    if ("error" in answer) return yield* new JsonRpcError(answer.error)
    return yield* Schema.decodeUnknownEffect(result)(answer.result)
  }),
  notify: Effect.fnUntraced(function* ({ method, params }, input) {
    yield* exchange.send({ jsonrpc: "2.0", method, params: yield* Schema.encodeEffect(params)(input) })
  }),
  closed: exchange.closed
})

type Handle<R> = (params: unknown, peer: Peer) => Effect.Effect<unknown, JsonRpcError, R>
export type Handler<R> = readonly [method: string, handle: Handle<R>]

/** Handles what the other side asks: parameters and result are what their schemas say, or there is an error instead. */
export const on = <P, A, R>(
  { method, params, result }: Notification<P> & { readonly result?: Schema.Codec<A, any> },
  handle: (params: P, peer: Peer) => Effect.Effect<A, JsonRpcError, R>
): Handler<R> => [
  method,
  Effect.fnUntraced(function* (input, peer) {
    const decoded = Schema.decodeUnknownEffect(params)(input)
    const value = yield* handle(yield* Effect.mapError(decoded, ({ message }) => no(-32602, message)), peer)
    return result === undefined ? undefined : yield* Effect.orDie(Schema.encodeEffect(result)(value))
  })
]

const Cancel = { method: "$/cancelRequest", params: Schema.Struct({ id: Id }) }

/** Calls the other side, and answers it by `handlers`, which are started in the order in which they were asked. */
export const make = <R = never>(connection: Connection.Connection, handlers: ReadonlyArray<Handler<R>>) => {
  const running = new Map<unknown, () => void>()
  const cancel = on(Cancel, ({ id }) => Effect.sync(() => running.get(id)?.()))
  const handlerOf = new Map<string, Handle<R>>([cancel, ...handlers])

  const answer = ({ id, method, params }: Request, peer: Peer): Effect.Effect<Message | void, never, R> => {
    const handled = handlerOf.get(method)?.(params ?? undefined, peer) ?? Effect.fail(no(-32601, `no ${method}`))
    if (id === undefined) return Effect.ignoreCause(handled)
    const cancelled = Effect.callback<never, JsonRpcError>((resume) => {
      running.set(id, () => resume(Effect.fail(no(-32800, "it was cancelled"))))
    })
    return Effect.raceFirst(cancelled, handled).pipe(
      Effect.matchCause({
        onSuccess: (result): Message => ({ jsonrpc: "2.0", id, result: result ?? null }),
        onFailure: (cause) =>
          refuse(
            id,
            Option.getOrElse(Cause.findErrorOption(cause), () => no(-32603, "the handler has died"))
          )
      }),
      Effect.ensuring(Effect.sync(() => running.delete(id)))
    )
  }
  const options: Exchange.PeerOptions<Message, never> = {
    message,
    isRequest: (message) => "method" in message || "refusal" in message,
    id: {
      put: (message, id) => ({ ...message, id }),
      get: (answer) => ("id" in answer && typeof answer.id === "number" ? answer.id : undefined)
    },
    // it is answered all the same
    cancel: { request: (id) => ({ jsonrpc: "2.0", method: Cancel.method, params: { id } }), answered: true },
    serve: { concurrency: 64, order: "completion" }
  }
  const exchange = Exchange.makePeer(connection, options, (message, exchange) =>
    "refusal" in message ? Effect.succeed(message.refusal) : answer(message as Request, peerOf(exchange))
  )
  return Effect.map(exchange, peerOf)
}

const Initialize = { method: "initialize", params: Schema.Unknown, result: Schema.Unknown }
const Shutdown = { method: "shutdown", params: Schema.Undefined, result: Schema.Unknown }
const Exit = { method: "exit", params: Schema.Undefined }

/** Starts a language server, which ends with the scope: it is asked to, and told to where it does not. */
export const languageServer = Effect.fnUntraced(function* <R = never>(
  command: ChildProcess.Command,
  capabilities: Readonly<Record<string, unknown>>,
  handlers: ReadonlyArray<Handler<R>>
) {
  const peer = yield* make(yield* Connection.fromProcess(yield* command), handlers)
  const server = yield* peer.call(Initialize, { processId: process.pid, rootUri: null, capabilities })
  const leave = Effect.andThen(peer.call(Shutdown, undefined), peer.notify(Exit, undefined))
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(Effect.interruptible(leave), "2 seconds")))
  yield* peer.notify({ method: "initialized", params: Schema.Unknown }, {})
  return { ...peer, server }
})
