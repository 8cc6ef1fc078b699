/** Values of a schema. */
import * as Cause from "effect/Cause"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { Frame } from "../../Frame.ts"
import { changed } from "./change.ts"
import { describe, Misuse, type Node, of } from "./node.ts"
import { isStackOverflow } from "./recursion.ts"
import { line } from "./text.ts"

/** What goes before the reason why a value cannot be written, behind the name of its frame. */
const notOfSchema = "is no value of its schema: "

/** The longest that a schema's words may be: there are keys in them that the peer has made. */
const mostReason = 300

const brief = (reason: string): string => (reason.length > mostReason ? `${reason.slice(0, mostReason)}…` : reason)

type Parse<A, B> = (value: A) => Result.Result<B, Schema.SchemaError>

/** What a schema makes of a value; in words, on one line, where it refuses it. */
const parsed =
  <A, B>(operation: string, parse: Parse<A, B>, refused = "") =>
  (value: A): Result.Result<B, string> => {
    let result: Result.Result<B, Schema.SchemaError>
    try {
      result = parse(value)
    } catch (thrown) {
      const cause = thrown instanceof Error && Cause.isCause(thrown.cause) ? thrown.cause : Cause.die(thrown)
      // how deep a value is nested is up to the peer
      if (isStackOverflow(Cause.squash(cause))) return Result.fail(`${refused}nested too deep to be checked`)
      const why = Cause.pretty(cause)
      throw new Misuse(
        `${operation}: the schema must do its work at once, without services and without defects: ${why}`
      )
    }
    return Result.mapError(result, ({ message }) => refused + brief(message.replaceAll(/\n\s*/g, " ")))
  }

/** Whether a schema takes every value as it is: it need not be asked for each message. */
const isAnything = ({ ast }: Schema.Top): boolean =>
  (ast._tag === "Unknown" || ast._tag === "Any") && ast.checks === undefined && ast.encoding === undefined

export const schema = <A, I>(codec: Schema.Codec<A, I>, frame: Frame<I>): Node<A> =>
  changed<I, A>(
    "schema",
    of<I>("schema", frame),
    parsed("schema", Schema.decodeResult(codec)),
    parsed("schema", Schema.encodeResult(codec), notOfSchema)
  )

/** What JSON has no word for, and makes null of it: a number, or what stands in an array. */
const madeNull = (value: unknown): string | undefined => {
  let found: string | undefined
  JSON.stringify(value, function (this: unknown, _key: string, one: unknown) {
    if (typeof one === "number" ? !Number.isFinite(one) : Array.isArray(this) && hasNoJson(one)) found ??= describe(one)
    return one
  })
  return found
}

const hasNoJson = (value: unknown): boolean =>
  value === undefined || typeof value === "function" || typeof value === "symbol"

/**
 * Whether JSON keeps every value of a schema's encoded form: it has a word for each, and leaves none out that must be there. Of
 * `undefined` that may be left out nothing is lost.
 */
const isKeptByJson = (encoded: SchemaAST.AST, seen = new Set<SchemaAST.AST>()): boolean => {
  if (seen.has(encoded)) return true
  seen.add(encoded)
  const isKept = (ast: SchemaAST.AST): boolean => isKeptByJson(ast, seen)
  switch (encoded._tag) {
    case "Objects":
      return (
        encoded.propertySignatures.every(
          ({ type }) => isKept(type) && (SchemaAST.isOptional(type) || !mayBeNone(type))
        ) && encoded.indexSignatures.every(({ type }) => isKept(type))
      )
    case "Arrays":
      return encoded.elements.every(isKept) && encoded.rest.every(isKept)
    case "Union":
      return encoded.types.every(isKept)
    case "Suspend":
      return isKept(encoded.thunk())
    case "Declaration":
    case "ObjectKeyword":
    case "Symbol":
    case "UniqueSymbol":
      return false
    default:
      return true
  }
}

/** Whether a value of it may be one that JSON leaves out of an object. */
const mayBeNone = (encoded: SchemaAST.AST, seen = new Set<SchemaAST.AST>()): boolean => {
  if (seen.has(encoded)) return false
  seen.add(encoded)
  switch (encoded._tag) {
    case "Undefined":
    case "Void":
    case "Unknown":
    case "Any":
      return true
    case "Union":
      return encoded.types.some((ast) => mayBeNone(ast, seen))
    case "Suspend":
      return mayBeNone(encoded.thunk(), seen)
    default:
      return false
  }
}

export const ndjson = <A, I>(
  codec: Schema.Codec<A, I>,
  options: { readonly maxBytes: number | "unbounded" }
): Node<A> => {
  const decode = isAnything(codec) ? undefined : parsed("ndjson", Schema.decodeUnknownResult(codec))
  const encode = parsed("ndjson", Schema.encodeResult(codec), notOfSchema)
  /** What was written is read again where the schema does not tell that it can be: not before that is needed. */
  let checks: boolean | undefined
  const checked = (text: string): Result.Result<string, string> => {
    checks ??= decode !== undefined && !isKeptByJson(Schema.toEncoded(codec).ast)
    if (!checks) return Result.succeed(text)
    return Result.mapBoth(decode!(JSON.parse(text)), {
      onFailure: (reason) => `is another value as JSON: ${reason}`,
      onSuccess: () => text
    })
  }
  return changed<string, A>(
    "ndjson",
    line({ ...options, end: "either" }, true),
    decode === undefined ? (text) => Result.succeed(JSON.parse(text)) : (text) => decode(JSON.parse(text)),
    (value) =>
      Result.flatMap(encode(value), (encoded) => {
        const text = JSON.stringify(encoded) as string | undefined
        if (text === undefined) return Result.fail("has no JSON")
        const lost = text.includes("null") ? madeNull(encoded) : undefined
        return lost === undefined ? checked(text) : Result.fail(`has no JSON: ${lost} would be null`)
      })
  )
}
