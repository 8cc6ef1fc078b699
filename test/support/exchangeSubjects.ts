/** Clients and servers for the laws of exchanges. */
import { Effect, Option, Schedule, Stream } from "effect"
import type * as Connection from "../../src/Connection.ts"
import * as Exchange from "../../src/Exchange.ts"
import * as Frame from "../../src/Frame.ts"
import * as StreamError from "../../src/StreamError.ts"
import type * as ExchangeLaws from "../../src/testing/ExchangeLaws.ts"

export const line = Frame.line({ maxBytes: 4096 })

/** What an exchange says of a call that has no answer. */
const saidByExchange = {
  sent: (error: unknown) => (error instanceof StreamError.RequestLost ? error.sent : undefined),
  isViolation: (error: unknown) => error instanceof StreamError.RequestLost && error.cause._tag === "ProtocolViolation"
} satisfies Partial<ExchangeLaws.Subject>

/** Lines that are answered with lines. */
export const lineServer = ({ reader, writer }: Connection.Connection): Effect.Effect<ExchangeLaws.Server> =>
  Effect.succeed({
    receive: Effect.map(
      reader.readFrameOption(line),
      Option.map((token) => ({ token }))
    ),
    answer: (_, token) => writer.writeFrame(line, token),
    stray: (token) => writer.writeFrame(line, token)
  })

const pipelined: ExchangeLaws.Subject = {
  shape: "pipelined",
  client: (connection, { maxInFlight }) =>
    Exchange.makePipelined(connection, { request: line, response: line, maxInFlight }),
  server: lineServer,
  ...saidByExchange
}

/** A kind (a call, or what cancels one), an id, and a text. */
export const message = Frame.struct({
  kind: Frame.uint8,
  id: Frame.uint32,
  text: Frame.cstring({ maxBytes: 4096 })
})

interface Message {
  readonly kind: number
  readonly id: number
  readonly text: string
}

const calls = 0
const cancels = 1

/** An id that no call of a test comes to. */
const unknownId = 4_000_000_000

export const messageServer = ({ reader, writer }: Connection.Connection): Effect.Effect<ExchangeLaws.Server> =>
  Effect.succeed({
    receive: Effect.map(
      reader.readFrameOption(message),
      Option.map(({ id, kind, text }) => (kind === cancels ? { cancels: id } : { token: text, id }))
    ),
    answer: ({ id }, text) => writer.writeFrame(message, { kind: calls, id: id as number, text }),
    stray: (text) => writer.writeFrame(message, { kind: calls, id: unknownId, text })
  })

const put = (request: Message, id: number): Message => ({ ...request, id })
const get = ({ id }: Message): number => id

const asClient = ({ call, inFlight }: Exchange.Exchange<Message, Message>): ExchangeLaws.Client => ({
  call: (token) => Effect.map(call({ kind: calls, id: 0, text: token }), ({ text }) => text),
  inFlight
})

/** Messages that are answered with messages, in any order. `cancel`: how a caller that is gone is told of. */
export const multiplexed = (cancel?: { readonly answered: boolean }): ExchangeLaws.Subject => ({
  shape: "multiplexed",
  client: (connection, { maxInFlight }) =>
    Effect.map(
      Exchange.makeMultiplexed<Message, Message>(connection, {
        request: message,
        response: message,
        maxInFlight,
        id: {
          put,
          get,
          // as few as there may be, so that they come round, unless an answer may come long after
          range: cancel?.answered === false ? undefined : [0, 2 * maxInFlight + 1]
        },
        cancel: cancel === undefined ? undefined : { ...cancel, request: (id) => ({ kind: cancels, id, text: "" }) }
      }),
      asClient
    ),
  server: messageServer,
  answersCancelled: cancel?.answered,
  ...saidByExchange
})

/** Each call as a stream of the answers to it. */
const byStream: ExchangeLaws.Subject = {
  ...pipelined,
  client: (connection, { maxInFlight }) =>
    Effect.map(
      Exchange.makePipelined<string, string>(connection, { request: line, response: line, maxInFlight }),
      ({ inFlight, stream }) => ({
        call: (token) => Effect.map(Stream.runCollect(stream(token)), (answers) => [...answers].join()),
        inFlight
      })
    )
}

/** A peer that is asked nothing. */
const peer: ExchangeLaws.Subject = {
  ...multiplexed(),
  client: (connection, { maxInFlight }) =>
    Effect.map(
      Exchange.makePeer<Message>(
        connection,
        { message, maxInFlight, isRequest: () => false, id: { put, get, range: [0, 2 * maxInFlight + 1] } },
        () => Effect.never
      ),
      asClient
    )
}

/** The only one of connections that come and go. */
const reconnecting: ExchangeLaws.Subject = {
  ...pipelined,
  client: (connection, { maxInFlight }) => {
    let opened = false
    const open = Effect.suspend(() => {
      if (opened) return Effect.fail("there is no other")
      opened = true
      return Exchange.makePipelined<string, string>(connection, { request: line, response: line, maxInFlight })
    })
    return Effect.orDie(Exchange.makeReconnecting(open, { schedule: Schedule.recurs(0), whileDown: "fail" }))
  }
}

/** The constructors of `Exchange`. */
export const exchanges: ReadonlyArray<readonly [name: string, subject: ExchangeLaws.Subject]> = [
  ["makePipelined", pipelined],
  ["makeMultiplexed", multiplexed()],
  ["makeMultiplexed, with cancelled calls that are answered", multiplexed({ answered: true })],
  ["makeMultiplexed, with cancelled calls that may not be answered", multiplexed({ answered: false })]
]

/** Other ways to call, and to be called. */
export const otherExchanges: typeof exchanges = [
  ["makePipelined, by stream", byStream],
  ["makePeer", peer],
  ["makeReconnecting, with one connection", reconnecting]
]
