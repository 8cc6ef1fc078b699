/**
 * What members and gateways say to each other: a line each, words separated by spaces, and the rest of the line as text.
 *
 * | from    | line                           | means                                                                |
 * | ------- | ------------------------------ | -------------------------------------------------------------------- |
 * | member  | `JOIN <room> <name> <number>`  | tell me everything behind that number                                |
 * | member  | `SAY <id> <text>`              | the same id as before is the same message, said again                |
 * | gateway | `OK <id> <number>`             | the message is stored, and has this number in its room               |
 * | gateway | `MSG <number> <name> <text>`   | a message of the room, in the order of the numbers                   |
 */
import type { StreamReader } from "effect-byte-streams"
import { Effect, Option } from "effect"

/** Longer lines fail: a member cannot make a gateway collect bytes. */
export const maxLineBytes = 1024

/** A line that does not belong here: a mistake of whoever wrote the other side. */
const unexpected = (line: string) => new Error(`unexpected line: ${JSON.stringify(line)}`)

/** The words of the next line, the last of which is the rest of the line; `None` at the end. */
const nextWords = (reader: StreamReader.StreamReader, pattern: RegExp) =>
  Effect.flatMap(reader.readLineText, (line) => {
    if (Option.isNone(line)) return Effect.succeedNone
    const words = pattern.exec(line.value.trimEnd())
    return words === null ? Effect.fail(unexpected(line.value)) : Effect.succeedSome(words.slice(1))
  })

export const joinLine = (room: string, name: string, after: number) => `JOIN ${room} ${name} ${after}\n`
export const readJoin = (reader: StreamReader.StreamReader) =>
  Effect.map(
    nextWords(reader, /^JOIN (\S+) (\S+) (\d+)$/),
    Option.map(([room, name, after]) => ({ room: room!, name: name!, after: Number(after) }))
  )

export const sayLine = (id: string, text: string) => `SAY ${id} ${text}\n`
export const readSay = (reader: StreamReader.StreamReader) =>
  Effect.map(
    nextWords(reader, /^SAY (\S+) (.*)$/),
    Option.map(([id, text]) => ({ id: id!, text: text! }))
  )

export const okLine = (id: string, number: number) => `OK ${id} ${number}\n`
export const messageLine = (number: number, name: string, text: string) => `MSG ${number} ${name} ${text}\n`

export type FromGateway =
  | { readonly kind: "ok"; readonly id: string; readonly number: number }
  | { readonly kind: "message"; readonly number: number; readonly name: string; readonly text: string }

export const readFromGateway = (reader: StreamReader.StreamReader) =>
  Effect.map(
    nextWords(reader, /^(?:OK (\S+) (\d+)|MSG (\d+) (\S+) (.*))$/),
    Option.map(([id, acknowledged, number, name, text]): FromGateway =>
      id === undefined
        ? { kind: "message", number: Number(number), name: name!, text: text! }
        : { kind: "ok", id, number: Number(acknowledged) }
    )
  )
