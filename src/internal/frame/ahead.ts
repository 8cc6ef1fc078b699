/**
 * Short lines of text, decoded many at a time: asking the engine's decoder for each costs more than what it does.
 *
 * Only a run of messages looks ahead, since its bytes stay where they are until it ends. Only ASCII counts, in which a
 * character is a byte. What is said of text that is none, or of a line that is not all there, is said line by line.
 */
import type { Cursor } from "./cursor.ts"
import * as Octets from "./octets.ts"

const maxAhead = 16_384
/** Of fewer bytes there are no lines to speak of. */
const minAhead = 512

/** Decodes what comes next, if it is ASCII. */
const look = (cursor: Cursor): void => {
  const { at, bytes, end } = cursor
  const size = Math.min(maxAhead, end - at)
  cursor.aheadFrom = at
  cursor.aheadEnd = at + size
  cursor.ahead = (size < minAhead ? undefined : Octets.asciiText(bytes, at, at + size)) ?? ""
}

/**
 * The line that begins at the cursor and ends with a line feed, if it is of `limit` bytes or less and can be told without
 * more ado; `dropsReturn`: without the carriage return at its end. The line feed is passed over. The text keeps more alive
 * than it shows: it is for whoever looks at it at once.
 */
export const line = (cursor: Cursor, limit: number, dropsReturn: boolean): string | undefined => {
  if (!cursor.inRun || cursor.sought !== undefined) return undefined
  const { at } = cursor
  if (at < cursor.aheadFrom || at >= cursor.aheadEnd) look(cursor)
  if (cursor.ahead === "") return undefined
  let from = at - cursor.aheadFrom
  let to = cursor.ahead.indexOf("\n", from)
  if (to === -1) {
    if (from === 0 || cursor.aheadEnd === cursor.end) return undefined
    look(cursor)
    from = 0
    to = cursor.ahead.indexOf("\n")
    if (to === -1) return undefined
  }
  const returns = dropsReturn && to > from && cursor.ahead.charCodeAt(to - 1) === 13 ? 1 : 0
  if (to - from - returns > limit) return undefined
  const size = to + 1 - from
  // behind the end of a body that is looked at meanwhile
  if (size > cursor.end - at) return undefined
  cursor.at = at + size
  cursor.looked += size
  return cursor.ahead.slice(from, to - returns)
}
