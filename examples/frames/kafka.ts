/** What Kafka's messages are made of: text and lists that may be null, in the old form and in the compact one (KIP-482). */
import { Frame } from "effect-byte-streams"

/** What has a size or a count in front of it, or -1 there: null. `of` is told the frame of that number. */
const nullable = <A>(
  size: Frame.Frame<number>,
  of: (size: Frame.Frame<number>) => Frame.Frame<A>
): Frame.Frame<A | null> => {
  const whole = of(size)
  return Frame.make<A | null>({
    decoder: Frame.gen({ maxBytes: whole.maxBytes }, function* () {
      const number = yield* size
      return number === -1 ? null : yield* of(Frame.succeed(number))
    }),
    encoder: Frame.encoder({
      encode: (sink, value) => (value === null ? sink.writeFrame(size, -1) : sink.writeFrame(whole, value))
    })
  })
}

const text = (size: Frame.Frame<number>) => Frame.lengthPrefixed(size, { maxBytes: 32_767 }, Frame.utf8Rest)
/** One more than it is, so that 0 is null. */
const compact = Frame.transform(Frame.varint, { decode: (size) => size - 1, encode: (size) => size + 1 })

export const string = text(Frame.int16)
export const nullableString = nullable(Frame.int16, text)
export const compactString = text(compact)
export const compactNullableString = nullable(compact, text)

/** The key of the request, its version, the id that its answer carries, and who asks. */
const header = Frame.struct({
  key: Frame.int16,
  version: Frame.int16,
  correlation: Frame.int32,
  client: nullableString
})

/** Of which topics to tell; null is all of them. */
const topics = nullable(Frame.int32, (prefix) => Frame.array(string, { prefix, maxItems: 10_000 }))

export const metadataRequest = Frame.lengthPrefixed(
  Frame.int32,
  { maxBytes: 1_000_000 },
  Frame.struct({ header, topics })
)
