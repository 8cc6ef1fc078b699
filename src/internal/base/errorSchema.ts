/** What makes schemas of the error classes. */
import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"

/** An error class that is the schema of its instances as well. */
export type SchemaOf<Self, Tag extends string, Fields extends Schema.Struct.Fields> = Schema.Class<
  Self,
  Schema.TaggedStruct<Tag, Fields>,
  Cause.YieldableError
> & { readonly prototype: Self }

/**
 * Gives an error class what `Schema.TaggedError` gives to those that extend it. The class itself remains what it was:
 * errors that were made before are instances as well.
 */
export const withSchema = <
  Self extends Schema.Struct<Fields>["Type"] & { readonly _tag: Tag },
  Tag extends string,
  Fields extends Schema.Struct.Fields
>(
  error: new (fields: any) => Self,
  tag: Tag,
  fields: Fields
): SchemaOf<Self, Tag, Fields> => {
  const schema = Schema.TaggedError<any>(`effect-byte-streams/${tag}`)(tag, fields)
  for (const key of Reflect.ownKeys(schema)) {
    if (key === "prototype" || key === "name" || key === "length") continue
    // getters among them look at the class they are asked of
    Object.defineProperty(error, key, Object.getOwnPropertyDescriptor(schema, key)!)
  }
  return error as unknown as SchemaOf<Self, Tag, Fields>
}
