/**
 * Text of others, made fit for a terminal: nothing of it reaches the terminal that is not a visible character, and its
 * width is known.
 */

/** Controls, what has no shape of its own or changes the direction or the shape of others, and all spaces but the one. */
const unprintable = /[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u

/** What stands on the character in front of it. A mark that has a column of its own (`Mc`) does not. */
const combining = /[\p{Mn}\p{Me}]/u

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" }

/** A character, or how it is spelled if a terminal must not get it. */
const spelled = (character: string): string => {
  const known = short[character]
  if (known !== undefined) return known
  if (character === " " || !unprintable.test(character)) return character
  const code = character.codePointAt(0)!
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`
}

/** From where to where characters take two columns; more of them than need be, so that no line gets too long. */
const wide: ReadonlyArray<readonly [from: number, to: number]> = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2e80, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff],
  [0x1aff0, 0x1b2ff],
  [0x1f000, 0x1faff],
  [0x20000, 0x3fffd]
]

const emoji = /\p{Emoji_Presentation}/u

const columnsOf = (character: string): number => {
  const code = character.codePointAt(0)!
  if (code < 0x300) return 1
  if (combining.test(character)) return 0
  return wide.some(([from, to]) => from <= code && code <= to) || emoji.test(character) ? 2 : 1
}

/** The columns that text takes which is printable. */
export const width = (text: string): number => {
  let columns = 0
  for (const character of text) columns += columnsOf(character)
  return columns
}

/** Text with all in it spelled that a terminal must not get. */
export const printable = (text: string): string => Array.from(text, spelled).join("")

/**
 * Text as `printable`, in rows of no more than so many columns, of which there is one at least. No spelling is torn.
 * `words`: nor is a word, where its row is half full without it.
 */
export const wrapped = (text: string, columns: number, words = false): ReadonlyArray<string> => {
  const rows: Array<string> = []
  let row = ""
  let used = 0
  for (const character of text) {
    const next = spelled(character)
    const size = width(next)
    if (used + size > columns && row !== "") {
      const space = words ? row.lastIndexOf(" ") + 1 : 0
      const end = space > row.length / 2 ? space : row.length
      rows.push(row.slice(0, end))
      row = row.slice(end)
      used = width(row)
    }
    row += next
    used += size
  }
  return [...rows, row]
}
