/** Dialogs, as a recorder writes them down. */
import * as fc from "fast-check"

/** What one side said, in one piece. */
export interface Said {
  readonly by: "in" | "out"
  readonly bytes: Uint8Array
  readonly masked?: ReadonlyArray<readonly [number, number]>
}

/** A line, of the first connection and at no time unless it says so. */
export const line = (fields: Readonly<Record<string, unknown>>): string =>
  `${JSON.stringify({ time: 0, id: 1, ...fields })}\n`

const piece = ({ by, bytes, masked }: Said): Readonly<Record<string, unknown>> => ({
  type: by,
  base64: Buffer.from(bytes).toString("base64"),
  ...(masked === undefined ? {} : { masked })
})

const total = (dialog: ReadonlyArray<Said>, by: Said["by"]): number =>
  dialog.reduce((sum, said) => sum + (said.by === by ? said.bytes.length : 0), 0)

/** A connection from its beginning to its end, and what else is to be said of the end. */
export const transcript = (
  dialog: ReadonlyArray<Said>,
  end: { readonly ended?: boolean; readonly outcome?: string; readonly id?: number } = {}
): string => {
  const { ended = false, id = 1, outcome = "Graceful" } = end
  const totals = { bytesRead: total(dialog, "in"), bytesWritten: total(dialog, "out") }
  return [
    { type: "opened", side: "client" },
    ...dialog.map(piece),
    ...(ended ? [{ type: "ended" }] : []),
    { type: "closed", outcome, ...totals }
  ]
    .map((fields) => line({ id, ...fields }))
    .join("")
}

const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 })

export const dialogs: fc.Arbitrary<ReadonlyArray<Said>> = fc.array(
  fc.record({ by: fc.constantFrom("in", "out"), bytes }),
  { maxLength: 12 }
)
