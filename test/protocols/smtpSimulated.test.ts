/** SMTP in examples/protocols, over a network in memory that breaks, and with peers that talk nonsense. */
import { assert, describe, it } from "@effect/vitest"
import { openConnection, startServer, StreamError } from "effect-byte-streams"
import * as Faults from "effect-byte-streams/testing/Faults"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { Clock, Effect, Exit, Fiber, Option, Schedule, Stream } from "effect"
import * as fc from "fast-check"
import { connect, serve } from "../../examples/protocols/smtp.ts"
import { chunkings } from "../support/chunkings.ts"
import { start } from "../support/fibers.ts"
import { keeping, rest, talk } from "../support/mail.ts"
import { forAll } from "../support/property.ts"

const address = { host: "mail.example", port: 25 }
const options = { ...address, name: "client.test" }
const envelope = { from: "a@x", to: ["b@x"] } as const
const chunking = fc.constantFrom<TestNetwork.Chunking>("asIs", "oneByte", "halves", { random: { max: 40 } })

describe("the client and the server, over a network that breaks", () => {
  const seen = { delivered: 0, no: 0, maybe: 0, lateButThere: 0 }

  it.live("a message is delivered once, or the error says whether it may have been", () =>
    Effect.gen(function* () {
      const scenario = fc.record({
        seed: fc.nat(),
        fromClient: chunking,
        fromServer: chunking,
        latency: fc.integer({ min: 0, max: 20 }),
        pause: fc.integer({ min: 0, max: 40 }),
        // while the server answers to a message, which is where it may have been delivered
        answer: fc.record({ connection: fc.integer({ min: 1, max: 3 }), after: fc.integer({ min: 100, max: 340 }) }),
        faults: Faults.arbitrary(fc, {
          connections: 4,
          maxBytes: 600,
          maxMillis: 2000,
          maxFaults: 6,
          kinds: ["Reset", "Fin", "Vanish", "Stall", "Refuse"]
        }) as fc.Arbitrary<Faults.Script>
      })
      const all = yield* forAll(
        scenario,
        ({ answer, faults, fromClient, fromServer, latency, pause, seed }) => {
          const program = Effect.gen(function* () {
            const { defects, kept } = yield* keeping({ port: address.port })
            const bodies = new Map<string, "Delivered" | "No" | "Maybe" | "Interrupted">()
            const round = Effect.fnUntraced(function* (number: number) {
              const client = yield* connect(options)
              const sender = (i: number) =>
                Effect.gen(function* () {
                  const body = `${number}.${i}\r\n.${"x\r\n".repeat((i * 7) % 23)}`
                  bodies.set(body, "No")
                  const sending = yield* start(client.send(envelope, i % 2 ? body : Stream.make(Buffer.from(body))))
                  if (i === 3) {
                    yield* Effect.sleep(pause)
                    yield* Fiber.interrupt(sending)
                  }
                  const exit = yield* Fiber.await(sending)
                  if (Exit.isSuccess(exit)) return bodies.set(body, "Delivered")
                  if (Exit.hasInterrupts(exit)) return bodies.set(body, "Interrupted")
                  const error = yield* Effect.flip(exit)
                  if (error._tag === "SchemaError") throw error
                  return bodies.set(body, error._tag === "RequestLost" ? error.sent : "No")
                })
              yield* Effect.forEach([0, 1, 2, 3], sender, { concurrency: "unbounded" })
            })
            for (const number of [1, 2, 3]) {
              const connected = Effect.retry(Effect.scoped(round(number)), Schedule.recurs(3))
              yield* Effect.ignore(connected)
            }
            // whatever is still on its way
            yield* Effect.sleep("20 minutes")
            assert.deepStrictEqual(defects, [])
            for (const [body, told] of bodies) {
              const whole = body.endsWith("\r\n") ? body : `${body}\r\n`
              const count = kept.filter(({ message }) => message.toString() === whole).length
              assert.isAtMost(count, told === "No" ? 0 : 1)
              if (told === "Delivered") assert.strictEqual(count, 1)
              if (told === "Delivered") seen.delivered++
              if (told === "No") seen.no++
              if (told === "Maybe") seen.maybe++
              if (told === "Maybe") seen.lateButThere += count
            }
            for (const { message } of kept) {
              assert.isTrue([...bodies.keys()].some((body) => message.toString().trimEnd() === body.trimEnd()))
            }
          })
          return TestNetwork.simulate(program, {
            seed,
            faults: [Faults.reset({ from: "server", ...answer }), ...faults],
            fromClient: { chunking: fromClient, latency },
            fromServer: { chunking: fromServer, latency }
          })
        },
        { numRuns: 60 }
      )
      if (all) {
        assert.isAbove(seen.delivered, 200)
        assert.isAbove(seen.no, 40)
        assert.isAbove(seen.maybe, 1)
      }
    })
  )

  it.live("an answer that is lost leaves a message that may have been delivered, and was", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { kept } = yield* keeping({ port: address.port })
        const client = yield* connect(options)
        const error = yield* Effect.flip(client.send(envelope, "x"))
        assert.deepInclude({ ...error }, { _tag: "RequestLost", sent: "Maybe" })
        assert.strictEqual(kept.length, 1)
      }),
      // in front of the last answer
      { faults: [Faults.reset({ from: "server", after: greeting + transaction })] }
    )
  )

  it.live("any message arrives with the line breaks of SMTP, whatever its own, its dots and its pieces are", () => {
    const text = fc.array(fc.constantFrom(".", "\r\n", "\n", "\r", "a", "\xe9", ".\n", "\r\n.\r\n"), { maxLength: 30 })
    return forAll(
      fc.tuple(
        text.chain((parts) => fc.tuple(fc.constant(parts.join("")), chunkings(parts.join("")))),
        chunking
      ),
      ([[whole, pieces], fromClient]) =>
        TestNetwork.simulate(
          Effect.gen(function* () {
            const { kept } = yield* keeping({ port: address.port })
            const client = yield* connect(options)
            yield* client.send(envelope, Stream.fromIterable(pieces.map((piece) => Buffer.from(piece, "latin1"))))
            const lines = whole.replaceAll("\r", "").replaceAll("\n", "\r\n")
            const end = lines === "" || lines.endsWith("\n") ? "" : "\r\n"
            assert.deepStrictEqual(
              kept.map(({ message }) => message.toString("latin1")),
              [lines + end]
            )
          }),
          { fromClient: { chunking: fromClient } }
        ),
      { numRuns: 60 }
    )
  })

  it.live("a client that says nothing is told so after five minutes, in the middle of a message as well", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* keeping({ port: address.port })
        for (const lines of [[""], ["", "EHLO x", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA"]]) {
          const connection = yield* openConnection(address)
          yield* talk(connection, ...lines)
          assert.match(yield* rest(connection.reader), /^421 4\.4\.2/)
        }
      })
    )
  )

  it.live("a server that takes minutes for each message is waited for, by those whose turn has not come as well", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* serve({ ...address, name: "slow.test" }, () => Effect.sleep("4 minutes"))
        const client = yield* connect(options)
        const send = client.send(envelope, "x")
        const answers = yield* Effect.all([send, send, send], { concurrency: "unbounded" })
        assert.deepStrictEqual(
          answers.map(({ message }) => message),
          ["it is here", "it is here", "it is here"]
        )
        assert.strictEqual(yield* Clock.currentTimeMillis, 12 * 60_000)
      })
    )
  )

  it.live("a server that says nothing is given up, and whether the message was delivered is told", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const answers = ["250 x\r\n", "250 ok\r\n250 ok\r\n354 go\r\n", ""]
        yield* startServer({ port: address.port }, ({ reader, writer }) =>
          Effect.gen(function* () {
            yield* writer.write("220 x\r\n")
            for (const answer of answers) {
              yield* reader.read(1000)
              yield* writer.write(answer)
            }
            yield* Effect.never
          })
        )
        const client = yield* connect(options)
        const error = yield* Effect.flip(client.send(envelope, "x"))
        assert.isTrue(error instanceof StreamError.RequestLost)
        assert.deepInclude({ ...error }, { sent: "Maybe" })
        assert.strictEqual((error as StreamError.RequestLost).cause._tag, "StreamTimeout")
      })
    )
  )
})

/** How many bytes the server says until it has been greeted, and until it has answered to DATA. */
const greeting =
  "220 server.test ESMTP\r\n".length +
  "250-server.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-HELP\r\n250 SIZE 16777216\r\n".length
const transaction = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n".length

describe("what a client may say", () => {
  const dialogue = ["EHLO x", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA"]

  const envelopeOf = (name: string) => `MAIL FROM:<${name}@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nsmuggled`
  const breaks = ["\n", "\r", "\r\n", "\n\r", "\r\r\n", "\r\n\n", "\n\n", ""]
  it.live(
    "a dot between line breaks that are not both CRLF ends no message: all is refused, and the session ends",
    () =>
      Effect.gen(function* () {
        for (const before of breaks) {
          for (const after of breaks.slice(0, -1)) {
            if (before === "\r\n" && after.startsWith("\r\n")) continue
            yield* TestNetwork.simulate(
              Effect.gen(function* () {
                const { defects, kept } = yield* keeping({ port: address.port })
                const connection = yield* openConnection(address)
                yield* talk(connection, "", ...dialogue)
                yield* connection.writer.write(
                  `Subject: x\r\n\r\nfirst${before}.${after}${envelopeOf("evil")}\r\n.\r\nQUIT\r\n`
                )
                const said = yield* rest(connection.reader.within("1 second"))
                if (before === "" && after === "\r\n") {
                  // a dot at the end of a line is a dot at the end of a line
                  assert.match(said, /^250 .*\r\n221 .*\r\n$/)
                  assert.strictEqual(kept.length, 1)
                } else {
                  assert.match(said, /^521 5\.5\.2 [^\r\n]+\r\n$/, JSON.stringify([before, after]))
                  assert.deepStrictEqual(kept, [])
                }
                assert.deepStrictEqual(defects, [])
              }),
              { fromClient: { chunking: after.length > 1 ? "oneByte" : "asIs" } }
            )
          }
        }
      })
  )

  it.live("an empty message, one of dots, and one behind another without a pause are what they are", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { kept } = yield* keeping({ port: address.port })
        const connection = yield* openConnection(address)
        yield* talk(connection, "", "EHLO x")
        const messages = [".", "..\r\n.", "x\r\n...\r\n.", "\r\n\r\n."]
        yield* connection.writer.write(
          messages.map((text) => `${dialogue.slice(1).join("\r\n")}\r\n${text}\r\n`).join("")
        )
        yield* connection.writer.write("QUIT\r\n")
        assert.match(yield* rest(connection.reader), /221 2\.0\.0 bye\r\n$/)
        assert.deepStrictEqual(
          kept.map(({ message }) => message.toString()),
          ["", ".\r\n", "x\r\n..\r\n", "\r\n\r\n"]
        )
      })
    )
  )

  it.live("commands whose line breaks are not CRLF, and too long ones, end the session", () =>
    Effect.gen(function* () {
      for (const text of [
        "EHLO x\n",
        "\n",
        "NOOP\rNOOP\r\n",
        "EHLO x\r\n\nNOOP\r\n",
        `NOOP ${"x".repeat(2000)}\r\n`,
        Uint8Array.of(0xff, 13, 10)
      ]) {
        yield* TestNetwork.simulate(
          Effect.gen(function* () {
            yield* keeping({ port: address.port })
            const connection = yield* openConnection(address)
            yield* connection.writer.write(text)
            assert.match(yield* rest(connection.reader.within("1 second")), /\r\n521 5\.5\.2 [^\r\n]+\r\n$/)
          })
        )
      }
    })
  )

  it.live("what is no command, comes too early, or is not as it must be is refused, and the session goes on", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { kept } = yield* keeping({ port: address.port })
        const connection = yield* openConnection(address)
        yield* talk(connection, "")
        const lines: ReadonlyArray<readonly [string, string]> = [
          ["", "500"],
          ["HELO", "250"],
          ["   ", "500"],
          ["constructor", "500"],
          ["GET / HTTP/1.1", "500"],
          ["\0\xff", "500"],
          [".", "500"],
          ["RCPT TO:<b@x>", "503"],
          ["DATA", "503"],
          ["STARTTLS", "503"],
          ["AUTH PLAIN AGEAYg==", "503"],
          ["MAIL", "503"],
          ["MAIL FROM:a@x", "503"],
          ["MAIL FROM:<a b@x>", "503"],
          ["MAIL FROM:<a@x> SIZE=x", "503"],
          ["MAIL FROM:<a@x> SMTPUTF8", "503"],
          ["MAIL FROM:<a@x> SIZE=99999999999999999999999", "552"],
          ["mail from:<a@x> body=8bitmime size=7", "250"],
          ["MAIL FROM:<a@x>", "503"],
          ["DATA", "503"],
          ["MAIL FROM:<>", "250"],
          ["RCPT TO:<>", "503"],
          ["RCPT TO:<b@x> NOTIFY=NEVER", "503"],
          ["RCPT TO:<nobody@x>", "550"],
          ...Array.from({ length: 100 }, () => ["RCPT TO:<b@x>", "250"] as const),
          ["RCPT TO:<b@x>", "452"],
          ["RSET", "250"],
          ["DATA", "503"],
          ["NOOP x", "250"],
          ["QUIT", "221"]
        ]
        for (const [line, code] of lines) {
          yield* connection.writer.write(`${line}\r\n`)
          const [answer] = yield* talk(connection, "")
          assert.deepStrictEqual([line, answer!.slice(0, 3)], [line, code])
        }
        assert.strictEqual(yield* rest(connection.reader), "")
        assert.deepStrictEqual(kept, [])
      })
    )
  )

  it.live("nothing that it says is a defect, or makes a message of what was none", () => {
    const word = fc.oneof(
      fc.constantFrom(
        "EHLO x",
        "MAIL FROM:<a@x>",
        "RCPT TO:<b@x>",
        "DATA",
        "RSET",
        "STARTTLS",
        "AUTH PLAIN",
        "=",
        ".",
        "QUIT",
        "x"
      ),
      fc.string({ unit: "binary", maxLength: 30 })
    )
    const said = fc.array(fc.tuple(word, fc.constantFrom("\r\n", "\r\n", "\r\n", "\n", "\r")), { maxLength: 25 })
    return forAll(
      fc.tuple(said, chunking),
      ([words, fromClient]) =>
        TestNetwork.simulate(
          Effect.gen(function* () {
            const { defects, kept } = yield* keeping({ port: address.port })
            const connection = yield* openConnection(address)
            yield* Effect.ignore(connection.writer.write(words.flat().join("")))
            yield* Effect.ignore(connection.writer.writeEof)
            const answers = yield* Effect.orElseSucceed(rest(connection.reader), () => "")
            for (const line of answers.split("\r\n").slice(0, -1)) assert.match(line, /^[2-5]\d\d[ -][ -~]*$/)
            assert.deepStrictEqual(defects, [])
            for (const { message } of kept) assert.isTrue(/^([^\r\n]*\r\n)*$/.test(message.toString("latin1")))
          }),
          { fromClient: { chunking: fromClient } }
        ),
      { numRuns: 150 }
    )
  })

  it.live("a server that shuts down says so to those who wait, and takes the message that has begun", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const { kept, shutdown } = yield* keeping({ port: address.port })
        const [idle, busy] = yield* Effect.all([openConnection(address), openConnection(address)])
        yield* talk(idle, "")
        yield* talk(busy, "", ...dialogue)
        const ending = yield* start(shutdown)
        assert.match(yield* rest(idle.reader), /^421 /)
        yield* busy.writer.write("Subject: x\r\n.\r\n")
        assert.match(yield* rest(busy.reader), /^250 .*\r\n421 /)
        assert.deepStrictEqual(yield* Fiber.join(ending), { completed: 2, aborted: 0 })
        assert.strictEqual(kept.length, 1)
      })
    )
  )
})

describe("what a server may say", () => {
  /** A server that says what it is given, each behind a line; gives the lines. */
  const script = Effect.fnUntraced(function* (...answers: ReadonlyArray<string>) {
    const heard: Array<string> = []
    yield* startServer({ port: address.port }, ({ reader, writer }) =>
      Effect.gen(function* () {
        for (const answer of answers) {
          if (answer !== "") yield* writer.write(answer)
          heard.push(Option.getOrElse(yield* reader.readLineText, () => "the end"))
        }
      })
    )
    return heard
  })

  it.live("one that wants a message although it refused all recipients gets none, and both sides stay in step", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const refusing = ["250 ok\r\n", "550 no\r\n", "354 go\r\n", "554 nobody\r\n"]
        const taking = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "", "250 taken\r\n"]
        const heard = yield* script("220 x\r\n", "250-x\r\n250 PIPELINING\r\n", ...refusing, ...taking)
        const client = yield* connect(options)
        const error = yield* Effect.flip(client.send(envelope, "never"))
        assert.deepStrictEqual([error._tag, error.message], ["SmtpError", "no"])
        const { message } = yield* client.send(envelope, "x")
        assert.strictEqual(message, "taken")
        const commands = ["MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA"]
        assert.deepStrictEqual(heard.slice(1), [...commands, ".", ...commands, "x", "."])
      })
    )
  )

  it.live("the client says QUIT when its scope closes, and does not wait for long for the answer", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const heard = yield* script("220 x\r\n", "250 x\r\n", "")
        yield* Effect.scoped(connect(options))
        assert.deepStrictEqual(heard, ["EHLO client.test", "QUIT"])
        assert.isAtMost(yield* Clock.currentTimeMillis, 3000)
      })
    )
  )

  const against = (...answers: ReadonlyArray<string>) =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        yield* startServer({ port: address.port }, ({ reader, writer }) =>
          Effect.gen(function* () {
            for (const [i, answer] of answers.entries()) {
              if (i > 0) yield* reader.readLineText
              yield* writer.write(answer)
            }
          })
        )
        const client = yield* connect(options)
        yield* client.send(envelope, "x")
      }).pipe(Effect.flip)
    )

  it.live("answers that are none fail with a typed error, and refusals with what was said", () =>
    Effect.gen(function* () {
      const nonsense: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [["HTTP/1.1 400 Bad Request\r\n"], "MalformedFrame"],
        [["999 x\r\n"], "MalformedFrame"],
        [["220-x\r\nx\r\n"], "MalformedFrame"],
        [["220-x\r\n".repeat(10_000)], "LimitOverrun"],
        [[`220 ${"x".repeat(3000)}\r\n`], "LimitOverrun"],
        [["220-x\r\n"], "IncompleteRead"],
        [["554 5.7.1 not you\r\n"], "SmtpError"],
        [["220 x\r\n", "500 what\r\n"], "SmtpError"],
        [["220 x\r\n", "250 x\r\n", "451 later\r\n", "503 no\r\n", "503 no\r\n", "250 reset\r\n"], "SmtpError"],
        [["220 x\r\n", "250 x\r\n", "250\r\n", "250\r\n", "354\r\n"], "RequestLost"]
      ]
      for (const [answers, tag] of nonsense) {
        const error = yield* against(...answers)
        assert.deepStrictEqual([answers, error._tag], [answers, tag])
      }
      const refused = yield* against("554-5.7.1 not you\r\n554-5.7.1 and\r\n554 5.7.1 not here\r\n")
      assert.strictEqual(refused.message, "not you\nand\nnot here")
      assert.deepInclude({ ...refused }, { _tag: "SmtpError", code: 554, enhanced: "5.7.1" })
    })
  )
})
