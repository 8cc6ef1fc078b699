/**
 * The lines of a transcript: one JSON object a line, in the order in which things happened.
 *
 * Bytes are `text` where they are printable UTF-8 and line ends, and `base64` otherwise. What was masked is written as `*`,
 * and `masked` says where, in bytes from the beginning of the line's bytes.
 */
import * as Schema from "effect/Schema"

const common = {
  /** When it happened, in milliseconds since the epoch. */
  time: Schema.Number,
  /** The number of the connection. */
  id: Schema.Number
}

const bytes = {
  ...common,
  type: Schema.Literals(["in", "out"]),
  text: Schema.optionalKey(Schema.String),
  base64: Schema.optionalKey(Schema.String),
  /** From where to where, the end not included. */
  masked: Schema.optionalKey(Schema.Array(Schema.Tuple([Schema.Number, Schema.Number])))
}

export const Line = Schema.Union([
  Schema.Struct({
    ...common,
    type: Schema.Literal("opened"),
    side: Schema.optionalKey(Schema.Literals(["client", "server"])),
    /** The addresses, as people write them. */
    local: Schema.optionalKey(Schema.String),
    remote: Schema.optionalKey(Schema.String),
    /** The version of TLS. */
    tls: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct(bytes),
  Schema.Struct({ ...common, type: Schema.Literal("upgraded"), tls: Schema.optionalKey(Schema.String) }),
  /** The peer has ended its output. */
  Schema.Struct({ ...common, type: Schema.Literal("ended") }),
  Schema.Struct({ ...common, type: Schema.Literal("timedOut"), kind: Schema.String }),
  Schema.Struct({ ...common, type: Schema.Literal("failed"), error: Schema.String }),
  Schema.Struct({
    ...common,
    type: Schema.Literal("closed"),
    outcome: Schema.Literals(["Graceful", "Reset", "TimedOut", "Aborted"]),
    /** Over the whole connection, those of lines that were left out among them. */
    bytesRead: Schema.Number,
    bytesWritten: Schema.Number
  }),
  /** Lines that should be here were left out: the disk was full, or too slow. Of all connections; `id` is 0. */
  Schema.Struct({ ...common, type: Schema.Literal("missing"), lines: Schema.Number })
])

export type Line = typeof Line.Type
