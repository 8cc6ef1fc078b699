/** DNS over TCP (RFC 1035, section 4): names that may end in a reference to one that stands further in front. */
import { Frame } from "effect-byte-streams"

/** A name as it stands there: labels, and where it goes on, unless it is complete. */
interface Part {
  readonly labels: ReadonlyArray<string>
  readonly goesOnAt?: number
}

const part = Frame.make<Part>({
  decoder: Frame.gen({ maxBytes: 255 }, function* () {
    const labels: Array<string> = []
    for (let size = yield* Frame.uint8; size > 0; size = yield* Frame.uint8) {
      if (size >= 0xc0) return { labels, goesOnAt: (size - 0xc0) * 256 + (yield* Frame.uint8) }
      if (size > 63) throw new Error("a label of an unknown kind")
      labels.push(yield* Frame.utf8(size))
    }
    return { labels }
  }),
  // without references, which nobody has to write
  encoder: Frame.encoder({
    encode: (sink, { labels }) => {
      for (const label of labels) {
        if (label === "") throw Frame.invalid("a label is empty")
        sink.writeFrame(Frame.lengthPrefixed(Frame.uint8, { maxBytes: 63 }, Frame.utf8Rest), label)
      }
      sink.writeFrame(Frame.uint8, 0)
    }
  })
})

/** The bytes from a place on begin with a name. */
const partAt = Frame.tuple(part, Frame.rest)

const nameOf = (message: Uint8Array, { goesOnAt, labels }: Part): string => {
  const all = [...labels]
  let before = message.length
  for (let at = goesOnAt, steps = 0; at !== undefined; steps++) {
    // else a peer could have it go round, or on and on
    if (at >= before || steps === 127) throw new Error("a name refers to what is not in front of it, or too often")
    before = at
    const [next] = Frame.decodeResultUnsafe(partAt, message.subarray(at))
    all.push(...next.labels)
    at = next.goesOnAt
  }
  if (all.join(".").length > 253) throw new Error("a name is too long")
  return all.join(".")
}

const partOf = (name: string): Part => ({ labels: name === "" ? [] : name.split(".") })

const question = Frame.struct({ name: part, type: Frame.uint16, class: Frame.uint16 })
const record = Frame.struct({
  name: part,
  type: Frame.uint16,
  class: Frame.uint16,
  ttl: Frame.uint32,
  data: Frame.lengthPrefixed(Frame.uint16, { maxBytes: 65_535 })
})
const counts = Frame.array(Frame.uint16, { count: 4 })

/** A message as it stands there. */
interface Raw {
  readonly id: number
  readonly flags: number
  readonly questions: ReadonlyArray<Frame.Value<typeof question>>
  readonly answers: ReadonlyArray<Frame.Value<typeof record>>
  readonly others: ReadonlyArray<Frame.Value<typeof record>>
}

const raw = Frame.make<Raw>({
  decoder: Frame.gen({ maxBytes: 65_535 }, function* () {
    const id = yield* Frame.uint16
    const flags = yield* Frame.uint16
    const [questions = 0, answers = 0, authorities = 0, additional = 0] = yield* counts
    return {
      id,
      flags,
      questions: yield* Frame.array(question, { count: questions }),
      answers: yield* Frame.array(record, { count: answers }),
      others: yield* Frame.array(record, { count: authorities + additional })
    }
  }),
  encoder: Frame.encoder({
    encode: (sink, { answers, flags, id, others, questions }) => {
      sink.writeFrame(Frame.array(Frame.uint16, { count: 6 }), [
        id,
        flags,
        questions.length,
        answers.length,
        0,
        others.length
      ])
      for (const one of questions) sink.writeFrame(question, one)
      for (const one of [...answers, ...others]) sink.writeFrame(record, one)
    }
  })
})

interface Question {
  readonly name: string
  readonly type: number
  readonly class: number
}

/** The data of a record that is a name (NS, CNAME, PTR) are that name. */
interface Record extends Question {
  readonly ttl: number
  readonly data: string | Uint8Array
}

interface Message {
  readonly id: number
  readonly flags: number
  readonly questions: ReadonlyArray<Question>
  readonly answers: ReadonlyArray<Record>
  readonly others: ReadonlyArray<Record>
}

const areNames = new Set([2, 5, 12])

export const message: Frame.Frame<Message> = Frame.lengthPrefixed(
  Frame.uint16,
  { maxBytes: 65_535 },
  Frame.transform(Frame.rest, {
    decode: (bytes): Message => {
      const name = (part: Part) => nameOf(bytes, part)
      const named = (one: Frame.Value<typeof record>): Record => ({
        ...one,
        name: name(one.name),
        data: areNames.has(one.type) ? name(Frame.decodeResultUnsafe(part, one.data)) : one.data
      })
      const { answers, others, questions, ...rest } = Frame.decodeResultUnsafe(raw, bytes)
      return {
        ...rest,
        questions: questions.map((one) => ({ ...one, name: name(one.name) })),
        answers: answers.map(named),
        others: others.map(named)
      }
    },
    encode: ({ answers, others, questions, ...rest }) => {
      const unnamed = (one: Record) => ({
        ...one,
        name: partOf(one.name),
        data: typeof one.data === "string" ? Frame.encodeResultUnsafe(part, partOf(one.data)) : one.data
      })
      return Frame.encodeResultUnsafe(raw, {
        ...rest,
        questions: questions.map((one) => ({ ...one, name: partOf(one.name) })),
        answers: answers.map(unnamed),
        others: others.map(unnamed)
      })
    }
  })
)
