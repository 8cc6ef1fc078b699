/** An exchange of lines on one end of a pair, and the other end to answer by hand. */
import { Exchange, Frame, type StreamReader, type StreamWriter } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Effect, type Scope } from "effect"

export const line = Frame.line({ maxBytes: 10_000 })

export interface ByHand {
  /** The next lines that were asked. */
  readonly asked: (count: number) => Effect.Effect<ReadonlyArray<string>>
  readonly answer: (...lines: ReadonlyArray<string>) => Effect.Effect<void>
  readonly reader: StreamReader.StreamReader
  readonly writer: StreamWriter.StreamWriter
  readonly abort: Effect.Effect<void>
}

const byHand = (right: TestNetwork.Pair["right"]): ByHand => ({
  asked: (count) => Effect.orDie(Effect.replicateEffect(right.reader.readFrame(line), count)),
  answer: (...lines) => Effect.orDie(Effect.andThen(right.writer.writeFrames(line, lines), right.writer.flush)),
  reader: right.reader,
  writer: right.writer,
  abort: right.abort
})

/** Requests are lines, answers are lines. */
export const pipelined = (
  options?: Partial<Exchange.PipelinedOptions<string, string>>,
  pair?: TestNetwork.PairOptions
): Effect.Effect<
  {
    readonly client: Exchange.Exchange<string, string>
    readonly server: ByHand
    readonly left: TestNetwork.Pair["left"]
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair(pair)
    const client = yield* Exchange.makePipelined<string, string>(left, {
      request: line,
      response: line,
      ...options
    } as Exchange.PipelinedOptions<string, string>)
    return { client, server: byHand(right), left }
  })

/** As `pipelined`, with ids in front: `7 question`, and `7 answer`. */
export const multiplexed = (
  options?: Partial<Exchange.MultiplexedOptions<string, string>>,
  pair?: TestNetwork.PairOptions
): Effect.Effect<
  {
    readonly client: Exchange.Exchange<string, string>
    readonly server: ByHand
    readonly left: TestNetwork.Pair["left"]
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair(pair)
    const client = yield* Exchange.makeMultiplexed<string, string>(left, {
      request: line,
      response: line,
      id: {
        put: (request, id) => `${id} ${request}`,
        get: (answer) => (/^\d+ /.test(answer) ? Number.parseInt(answer, 10) : undefined)
      },
      ...options
    } as Exchange.MultiplexedOptions<string, string>)
    return { client, server: byHand(right), left }
  })
