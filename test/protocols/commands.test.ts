/** The commands that show the examples of protocols, each with the real program: what they print, and that they end well. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { needs, type Peer } from "../support/peers.ts"
import * as Program from "../support/program.ts"

const folder = join(import.meta.dirname, "../../examples/protocols")

const commands: ReadonlyArray<{
  readonly name: string
  readonly needs: ReadonlyArray<Peer>
  /** Lines that only a program prints in which all went well. */
  readonly prints: ReadonlyArray<string | RegExp>
}> = [
  {
    name: "http1",
    needs: ["curl"],
    prints: [
      "HTTP/1.1 200 OK",
      "HTTP/1.1 201 Created",
      "noted: a note",
      "transfer-encoding: chunked",
      "HTTP/1.1 400 Bad Request"
    ]
  },
  {
    name: "http2",
    needs: ["nghttpd", "openssl"],
    prints: [
      /^1000 answers on one connection, 100 at once: \d+ ms$/,
      "echoed: there and back again and behind it: { after: 'all' }",
      "of ten million bytes the first 16384 were enough",
      "the server has heard of that"
    ]
  },
  { name: "jsonrpc", needs: [], prints: [/^it complains:/, /^about `hello`:/, "it has ended"] },
  {
    name: "mqtt",
    needs: ["mosquitto"],
    prints: ["the broker has them", "room/kitchen/light (QoS 2): on", "another broker is there, and has it"]
  },
  {
    name: "postgres",
    needs: ["initdb", "postgres"],
    prints: [
      "copied in: COPY 3",
      /^refused: 23505 /,
      "64 fibers, each with its own answer: true",
      "the sum of a million rows, which are nowhere all at once: 500000500000",
      "notified: news hello",
      "a minute's query is interrupted, and the server does something else: [ { n: 1 } ]"
    ]
  },
  {
    name: "redis",
    needs: ["redis-server"],
    prints: ["a transaction: [ 1, 42, '42' ]", "another one is there, and empty: 0", "still subscribed: hello again"]
  },
  {
    name: "smtp",
    needs: ["swaks"],
    prints: [
      /^received from ann@swaks\.test for bob@server\.test: \d+ bytes$/,
      /^swaks said: .* 250 2\.0\.0 it is here$/,
      "sent: it is here; refused: nobody@server.test, 550",
      "eight megabytes: it is here",
      "a dot between bare line feeds: 521 5.5.2 too long, no text, or a CR or an LF outside of CRLF"
    ]
  }
]

/** A value as `console.log` shows it, however a runtime breaks and quotes it. */
const plain = (shown: string): string =>
  shown
    .replaceAll(/\s+/g, " ")
    .replaceAll('"', "'")
    .replaceAll(/,(?= [\]}])/g, "")

for (const { name, needs: peers, prints } of commands) {
  describe(`npm run example:${name}`, { ...needs(...peers), timeout: 60_000 }, () => {
    it.live("shows what happened", () =>
      Effect.gen(function* () {
        const output = yield* Program.run(process.execPath, [join(folder, `${name}.run.ts`)], { patience: 50_000 })
        const lines = output.split(/\r?\n/)
        for (const printed of prints) {
          const found =
            typeof printed === "string"
              ? lines.includes(printed) || (/[[{]/.test(printed) && plain(output).includes(plain(printed)))
              : lines.some((line) => printed.test(line))
          assert.isTrue(found, `${String(printed)}, in:\n${lines.join("\n")}`)
        }
      })
    )
  })
}
