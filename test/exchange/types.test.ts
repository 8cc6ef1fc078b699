/** What the compiler makes of exchanges that are written without a type: as a user writes them. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Connection, Exchange, Frame, type StreamError } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Cause, Data, Effect, Option, Stream } from "effect"

type Message =
  | { readonly kind: "ask"; readonly id: number; readonly text: string }
  | { readonly kind: "answer"; readonly id: number; readonly text: string }
type Command = ReadonlyArray<string>
type ServeError = StreamError.FramedReadError | StreamError.WriteError | StreamError.EncodeFailed

class Refused extends Data.TaggedError("Refused")<{ readonly text: string }> {}
class Other extends Data.TaggedError("Other") {}

const text = Frame.lengthPrefixed(Frame.uint8, { maxBytes: 255 }, Frame.utf8Rest)
const message = Frame.union(
  Frame.uint8,
  {
    0: Frame.transform(Frame.struct({ id: Frame.uint32, text }), {
      decode: (fields): Message => ({ kind: "ask", ...fields }),
      encode: (value) => value
    }),
    1: Frame.transform(Frame.struct({ id: Frame.uint32, text }), {
      decode: (fields): Message => ({ kind: "answer", ...fields }),
      encode: (value) => value
    })
  },
  { tagOf: ({ kind }) => (kind === "ask" ? 0 : 1) }
)
const command: Frame.Encoder<Command> = Frame.encoder<Command>({
  encode: (sink, words) => sink.text(`${words.join(" ")}\n`)
})
const idOf = (value: Message) => (value.kind === "answer" ? value.id : undefined)

const fails = (value: Message) => (value.text === "no" ? Effect.fail(new Refused(value)) : Effect.succeed(value))

describe("what is inferred of an exchange", () => {
  it("what is put into a request, or cancels one, needs no `as const`", () => {
    const multiplexed = (connection: Connection.Connection) =>
      Exchange.makeMultiplexed(connection, {
        request: message,
        response: message,
        id: { put: ({ text }, id) => ({ kind: "ask", id, text }), get: idOf },
        cancel: { request: (id) => ({ kind: "ask", id, text: "never mind" }), answered: true }
      })
    const peer = (connection: Connection.Connection) =>
      Exchange.makePeer(
        connection,
        {
          message,
          isRequest: ({ kind }) => kind === "ask",
          id: { put: ({ text }, id) => ({ kind: "ask", id, text }), get: idOf },
          cancel: { request: (id) => ({ kind: "ask", id, text: "never mind" }), answered: true },
          serve: { onFailure: (cause, { id }) => ({ kind: "answer", id, text: String(Cause.squash(cause)) }) }
        },
        (asked) => (asked.text === "no" ? Effect.fail(new Refused(asked)) : Effect.succeed(asked))
      )
    expectTypeOf<Effect.Success<ReturnType<typeof multiplexed>>>().toEqualTypeOf<Exchange.Exchange<Message, Message>>()
    expectTypeOf<Effect.Success<ReturnType<typeof peer>>>().toEqualTypeOf<Exchange.Exchange<Message, Message>>()
    assert.isFunction(Exchange.makePeer)
  })

  it("what keeps a connection alive does not narrow what may be asked", () => {
    const make = (connection: Connection.Connection) =>
      Exchange.makePipelined(connection, {
        request: command,
        response: message,
        keepAlive: { every: "1 minute", request: ["PING"], within: "1 second" }
      })
    expectTypeOf<Effect.Success<ReturnType<typeof make>>>().toEqualTypeOf<Exchange.Exchange<Command, Message>>()
    assert.isFunction(Exchange.makePipelined)
  })

  it("of an option that is missing the compiler tells, and not of pushes: it goes by the last of the ways to give those", () => {
    type Last<Union> = Every<Union extends unknown ? () => Union : never> extends () => infer One ? One : never
    type Every<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
      ? All
      : never
    expectTypeOf<Last<Exchange.PushOptions<string>>["isPush"]>().toEqualTypeOf<undefined>()
    assert.isFunction(Exchange.makePipelined)
  })

  it("the types of the request and the answer alone leave open how a handler fails, and those with its error do not", () => {
    const open = (connection: Connection.Connection) =>
      Exchange.serve<Message, Message>(connection, { request: message, response: message }, fails)
    const said = (connection: Connection.Connection) =>
      Exchange.serve<Message, Message, Refused>(connection, { request: message, response: message }, fails)
    expectTypeOf<Effect.Error<ReturnType<typeof open>>>().toEqualTypeOf<unknown>()
    expectTypeOf<Effect.Error<ReturnType<typeof said>>>().toEqualTypeOf<ServeError | Refused>()
    assert.isFunction(Exchange.serve)
  })

  it("a handler may fail as it likes beside `onFailure`, and `serve` fails with exactly that", () => {
    const served = (connection: Connection.Connection) =>
      Exchange.serve(
        connection,
        {
          request: message,
          response: message,
          onFailure: (cause, { id }) => ({ kind: "answer", id, text: String(Cause.squash(cause)) })
        },
        (asked) => (asked.text === "no" ? Effect.fail(new Refused(asked)) : Effect.succeed(asked))
      )
    const unanswered = (connection: Connection.Connection) =>
      Exchange.serve(connection, { request: message, response: message }, (asked) => fails(asked))
    const never = (connection: Connection.Connection) =>
      Exchange.serve(connection, { request: message, response: message }, (asked) =>
        Effect.succeed(Stream.make(asked, { kind: "answer", id: 1, text: "and more" }))
      )
    expectTypeOf<Effect.Error<ReturnType<typeof served>>>().toEqualTypeOf<ServeError | Refused>()
    expectTypeOf<Effect.Error<ReturnType<typeof unanswered>>>().toEqualTypeOf<ServeError | Refused>()
    expectTypeOf<Effect.Error<ReturnType<typeof never>>>().toEqualTypeOf<ServeError>()
    assert.isFunction(Exchange.serve)
  })

  it("`onFailure` knows how a handler fails that has a type of its own, and may say so of any other", () => {
    const known = (connection: Connection.Connection) =>
      Exchange.serve(
        connection,
        {
          request: message,
          response: message,
          onFailure: (cause, asked) => {
            expectTypeOf(cause).toEqualTypeOf<Cause.Cause<Refused>>()
            return asked
          }
        },
        fails
      )
    const options = {
      request: message,
      response: message,
      onFailure: (_: Cause.Cause<Refused>, asked: Message) => asked
    }
    const said = (connection: Connection.Connection) =>
      Exchange.serve(connection, options, (asked) => Effect.fail(new Refused(asked)))
    // @ts-expect-error a handler that fails in another way than `onFailure` is written for
    const wrong = (connection: Connection.Connection) => Exchange.serve(connection, options, () => new Other())
    expectTypeOf<Effect.Error<ReturnType<typeof known>>>().toEqualTypeOf<ServeError | Refused>()
    expectTypeOf<Effect.Error<ReturnType<typeof said>>>().toEqualTypeOf<ServeError | Refused>()
    assert.isFunction(wrong)
  })

  it.effect("and what was inferred works: a failure is answered, with its text", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      yield* Effect.forkScoped(
        Exchange.serve(
          right,
          {
            request: message,
            response: message,
            onFailure: (cause, { id }) => {
              const error = Option.getOrUndefined(Cause.findErrorOption(cause))
              return { kind: "answer", id, text: error instanceof Refused ? `refused: ${error.text}` : "died" }
            }
          },
          (asked) => (asked.text === "no" ? Effect.fail(new Refused(asked)) : Effect.succeed(asked))
        )
      )
      const client = yield* Exchange.makePipelined(left, { request: message, response: message })
      const answers = yield* client.callAll([
        { kind: "ask", id: 1, text: "yes" },
        { kind: "ask", id: 2, text: "no" }
      ])
      assert.deepStrictEqual(
        answers.map(({ text }) => text),
        ["yes", "refused: no"]
      )
    })
  )
})
