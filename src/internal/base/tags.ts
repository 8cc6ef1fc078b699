/**
 * The service keys of a connection and its two halves, and of the budget.
 *
 * They are here, and exported from the modules they belong to, because the code that serves or opens a connection needs the
 * keys alone: `StreamReader` loads `Stream`, and `StreamWriter` loads `Sink`.
 */
import * as Context from "effect/Context"
import type * as PublicBudget from "../../BufferBudget.ts"
import type * as PublicConnection from "../../Connection.ts"
import type * as PublicReader from "../../StreamReader.ts"
import type * as PublicWriter from "../../StreamWriter.ts"

export const Connection: Context.Service<PublicConnection.Connection, PublicConnection.Connection> =
  Context.Service<PublicConnection.Connection>("effect-byte-streams/Connection")

export const StreamReader: Context.Service<PublicReader.StreamReader, PublicReader.StreamReader> =
  Context.Service<PublicReader.StreamReader>("effect-byte-streams/StreamReader")

export const StreamWriter: Context.Service<PublicWriter.StreamWriter, PublicWriter.StreamWriter> =
  Context.Service<PublicWriter.StreamWriter>("effect-byte-streams/StreamWriter")

export const BufferBudget: Context.Reference<PublicBudget.BufferBudget | undefined> = Context.Reference(
  "effect-byte-streams/BufferBudget",
  { defaultValue: (): PublicBudget.BufferBudget | undefined => undefined }
)
