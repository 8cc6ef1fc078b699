/** What makes schemas of the error classes. */
import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"

/** What makes errors, as the type that others know them by. */
export type Made<Self> = new (fields: any) => Self

/**
 * Gives an error class what `Schema.TaggedError` gives to those that extend it. The class itself remains what it was:
 * errors that were made before are instances as well.
 *
 * The type of the result has no name of its own: declarations of other packages cannot name what is internal.
 */
export const withSchema = <
  Self extends Schema.Struct<Fields>["Type"] & { readonly _tag: Tag },
  Tag extends string,
  Fields extends Schema.Struct.Fields
>(
  error: Made<Self>,
  tag: Tag,
  fields: Fields
): Schema.Class<Self, Schema.TaggedStruct<Tag, Fields>, Cause.YieldableError> & { readonly prototype: Self } => {
  const schema = Schema.TaggedError<any>(`effect-byte-streams/${tag}`)(tag, fields)
  for (const key of Reflect.ownKeys(schema)) {
    if (key === "prototype" || key === "name" || key === "length") continue
    // getters among them look at the class they are asked of
    Object.defineProperty(error, key, Object.getOwnPropertyDescriptor(schema, key)!)
  }
  return error as any
}
