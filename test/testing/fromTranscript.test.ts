/** A connection that was recorded, played by a scripted peer against the program under test. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { type Connection, NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import * as TestPeer from "effect-byte-streams/testing/TestPeer"
import * as fc from "fast-check"
import { bytes, text } from "../support/bytes.ts"
import { forAll } from "../support/property.ts"
import { dialogs, line, type Said, transcript } from "../support/transcripts.ts"

const says = (said: string, masked?: Said["masked"]): Said => ({
  by: "out",
  bytes: bytes(said),
  ...(masked === undefined ? {} : { masked })
})
const hears = (heard: string): Said => ({ by: "in", bytes: bytes(heard) })

/** Does what the recorded program did. */
const follow = (dialog: ReadonlyArray<Said>, { reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    for (const { by, bytes } of dialog) {
      if (by === "out") yield* writer.write(bytes)
      else assert.deepStrictEqual(yield* reader.readExactly(bytes.length), bytes)
    }
    yield* writer.close
  })

/** Both ends in memory: the replay, and the program. What became of the replay. */
const replayed = (
  script: TestPeer.Script,
  program: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>
) =>
  Effect.gen(function* () {
    const { left, right } = yield* TestNetwork.pair()
    yield* Effect.forkScoped(Effect.ignore(program(left)))
    return yield* Effect.exit(TestPeer.run(script, right, { patience: "500 millis" }))
  })

const tags = (script: TestPeer.Script): ReadonlyArray<string> => script.steps.map(({ _tag }) => _tag)

const refusal = (text: string | ReadonlyArray<string>, options?: TestPeer.TranscriptOptions) =>
  Effect.map(Effect.flip(TestPeer.fromTranscript(text, options)), ({ message }) => message)

describe("the steps of a recorded connection", () => {
  it.effect("what a direction said until the other one spoke is one step", () =>
    Effect.gen(function* () {
      const dialog = [hears("220 "), hears("ready\n"), says("HELO"), says(" me"), says("\n"), hears("250\n")]
      const script = yield* TestPeer.fromTranscript(transcript(dialog, { ended: true }))
      assert.deepStrictEqual(script.steps, [
        { _tag: "Send", bytes: bytes("220 ready\n") },
        { _tag: "Expect", bytes: bytes("HELO me\n") },
        { _tag: "Send", bytes: bytes("250\n") },
        { _tag: "HalfClose" },
        { _tag: "ExpectEof" },
        { _tag: "Close" }
      ])
    })
  )

  it.effect("the recorded program itself does the opposite", () =>
    Effect.gen(function* () {
      const recorded = transcript([hears("a"), says("b")], { ended: true })
      const script = yield* TestPeer.fromTranscript(recorded, { role: "self" })
      assert.deepStrictEqual(script.steps, [
        { _tag: "Expect", bytes: bytes("a") },
        { _tag: "Send", bytes: bytes("b") },
        { _tag: "HalfClose" },
        { _tag: "ExpectEof" },
        { _tag: "Close" }
      ])
    })
  )

  it.effect("the recorded program that went on after the peer's end does not end its output before it", () =>
    Effect.gen(function* () {
      const recorded = [
        { type: "opened" },
        { type: "ended" },
        { type: "out", text: "a" },
        { type: "closed", outcome: "Graceful", bytesRead: 0, bytesWritten: 1 }
      ].map(line)
      assert.deepStrictEqual(tags(yield* TestPeer.fromTranscript(recorded)), [
        "HalfClose",
        "Expect",
        "ExpectEof",
        "Close"
      ])
      const self = yield* TestPeer.fromTranscript(recorded, { role: "self" })
      assert.deepStrictEqual(tags(self), ["ExpectEof", "Send", "Close"])
    })
  )

  it.effect("each end is played by the one who caused it, and expected by the other", () =>
    Effect.gen(function* () {
      const ends = {
        Graceful: { peer: ["ExpectEof", "Close"], self: ["Close"] },
        Reset: { peer: ["Reset"], self: ["ExpectLost"] },
        Aborted: { peer: ["ExpectLost"], self: ["Reset"] },
        TimedOut: { peer: ["ExpectLost"], self: ["Reset"] }
      }
      for (const [outcome, steps] of Object.entries(ends)) {
        for (const role of ["peer", "self"] as const) {
          const script = yield* TestPeer.fromTranscript(transcript([], { outcome }), { role })
          assert.deepStrictEqual(tags(script), steps[role], `${outcome}, ${role}`)
        }
      }
    })
  )

  it.effect("waits, failures and pieces without bytes are no steps", () =>
    Effect.gen(function* () {
      const recorded = [
        { type: "opened" },
        { type: "in", text: "a" },
        { type: "timedOut", kind: "read" },
        { type: "out", text: "" },
        { type: "in", text: "é" },
        { type: "failed", error: "lost" },
        { type: "closed", outcome: "Reset", bytesRead: 3, bytesWritten: 0 }
      ].map(line)
      const script = yield* TestPeer.fromTranscript(recorded)
      assert.deepStrictEqual(script.steps, [{ _tag: "Send", bytes: bytes("aé") }, { _tag: "Reset" }])
    })
  )

  it.effect("a connection that was still open, in a file that a killed process left, ends with what is whole", () =>
    Effect.gen(function* () {
      const whole = transcript([says("one"), hears("two")])
      const open = whole.slice(0, whole.indexOf('{"time":0,"id":1,"type":"closed"'))
      const script = yield* TestPeer.fromTranscript(`${open}{"time":0,"id":1,"type":"in","te`)
      assert.deepStrictEqual(tags(script), ["Expect", "Send"])
    })
  )

  it.effect("one of several connections, whose lines stand in several files", () =>
    Effect.gen(function* () {
      const lines = [
        line({ id: 1, type: "in", text: "from before" }),
        line({ id: 0, type: "missing", lines: 7 }),
        line({ id: 2, type: "opened" }),
        line({ id: 3, type: "opened" }),
        line({ id: 2, type: "out", text: "two" }),
        line({ id: 3, type: "out", text: "three" }),
        line({ id: 2, type: "closed", outcome: "Graceful", bytesRead: 0, bytesWritten: 3 }),
        line({ id: 0, type: "missing", lines: 4 })
      ]
      const cutOff = `{"time":0,"id":2,"type":"in","te`
      for (const files of [
        [lines.join("")],
        [lines.slice(0, 4).join(""), lines.slice(4).join("")],
        lines,
        [cutOff, ...lines, cutOff, line({ id: 4, type: "opened" })]
      ]) {
        const script = yield* TestPeer.fromTranscript(files, { id: 2 })
        assert.deepStrictEqual(script.steps[0], { _tag: "Expect", bytes: bytes("two") })
        assert.deepStrictEqual(tags(script), ["Expect", "ExpectEof", "Close"])
      }
    })
  )
})

describe("a replay", () => {
  it.effect("a program that follows any dialog passes, whatever the pieces in which it was recorded", () =>
    forAll(fc.tuple(dialogs, fc.boolean()), ([dialog, ended]) =>
      Effect.gen(function* () {
        const script = yield* TestPeer.fromTranscript(transcript(dialog, { ended }))
        assert.isTrue(Exit.isSuccess(yield* replayed(script, (connection) => follow(dialog, connection))))
      })
    )
  )

  it.effect("of both sides, a peer passes against the recorded program", () =>
    forAll(dialogs, (dialog) =>
      Effect.gen(function* () {
        const recorded = transcript(dialog)
        const peer = yield* TestPeer.fromTranscript(recorded)
        const self = yield* TestPeer.fromTranscript(recorded, { role: "self" })
        const exit = yield* replayed(peer, (connection) => TestPeer.run(self, connection))
        assert.isTrue(Exit.isSuccess(exit))
      })
    )
  )

  it.effect("a program of which one byte is another fails, and is told at which byte", () =>
    forAll(
      fc.tuple(
        dialogs.filter((dialog) => dialog.some(({ by }) => by === "out")),
        fc.nat(),
        fc.integer({ min: 1, max: 255 })
      ),
      ([dialog, at, change]) =>
        Effect.gen(function* () {
          const sent = dialog.reduce((sum, { by, bytes }) => sum + (by === "out" ? bytes.length : 0), 0)
          const offset = at % sent
          let passed = 0
          const changed = dialog.map((said) => {
            if (said.by === "in") return said
            const bytes = said.bytes.slice()
            const index = offset - passed
            if (index >= 0 && index < bytes.length) bytes[index]! ^= change
            passed += bytes.length
            return { ...said, bytes }
          })
          const script = yield* TestPeer.fromTranscript(transcript(dialog))
          const exit = yield* replayed(script, (connection) => follow(changed, connection))
          const error = yield* Effect.flip(exit)
          assert.strictEqual(error._tag, "PeerFailed")
          assert.strictEqual(error.offset, offset)
          assert.strictEqual(script.steps[error.step - 1]!._tag, "Expect")
        })
    )
  )

  it.effect("what was masked may be any byte, and nothing around it", () =>
    Effect.gen(function* () {
      const recorded = transcript([says("USER me "), says("PASS ***\n", [[5, 8]]), hears("ok\n")])
      const script = yield* TestPeer.fromTranscript(recorded)
      assert.deepStrictEqual(script.steps[0], {
        _tag: "Expect",
        bytes: bytes("USER me PASS ***\n"),
        masked: [[13, 16]]
      })
      const sends = (said: string) => replayed(script, (connection) => follow([says(said), hears("ok\n")], connection))
      assert.isTrue(Exit.isSuccess(yield* sends("USER me PASS abc\n")))
      assert.isTrue(Exit.isSuccess(yield* sends("USER me PASS \0\xff\n")))
      assert.strictEqual((yield* Effect.flip(yield* sends("USER me PASSWabc\n"))).offset, 12)
      assert.strictEqual((yield* Effect.flip(yield* sends("USER me PASS abcd"))).offset, 16)
    })
  )

  it.effect("what is expected comes before the next thing is sent", () =>
    Effect.gen(function* () {
      const { left, right } = yield* TestNetwork.pair()
      const script = yield* TestPeer.fromTranscript(transcript([says("question"), hears("answer")]))
      yield* Effect.forkScoped(TestPeer.run(script, right))
      yield* left.writer.write("questio")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* left.reader.buffered, 0)
      yield* left.writer.write("n")
      assert.strictEqual(text(yield* left.reader.readExactly(6)), "answer")
    })
  )

  it.effect("a client on a simulated network meets the server of the transcript, its reset included", () =>
    TestNetwork.simulate(
      Effect.gen(function* () {
        const dialog = [hears("hello\n"), says("bye\n")]
        const scripts = yield* Effect.all([
          TestPeer.fromTranscript(transcript(dialog)),
          TestPeer.fromTranscript(transcript(dialog, { outcome: "Reset" }))
        ])
        const peer = yield* TestPeer.listen(scripts, { port: 7 })
        const talk = Effect.gen(function* () {
          const connection = yield* openConnection({ port: 7 })
          assert.strictEqual(text(yield* connection.reader.readLine), "hello\n")
          yield* connection.writer.write("bye\n")
          return connection
        })
        yield* (yield* talk).writer.close
        const error = yield* Effect.flip((yield* talk).reader.readLine)
        assert.strictEqual(error._tag, "ConnectionLost")
        yield* peer.done
      }).pipe(Effect.scoped)
    )
  )

  it.live("over TCP, a server is tested against the client of the transcript", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ host: "127.0.0.1", port: 0 }, ({ reader, writer }) =>
        Effect.gen(function* () {
          for (let line = yield* reader.readLine; line.length > 0; line = yield* reader.readLine) {
            yield* writer.write(`${text(line).trim().toUpperCase()}\n`)
          }
        })
      )
      const talk = [says("a\nb"), says("\n"), hears("A\nB\n")]
      // the server ends its output when the client has
      const right = yield* TestPeer.fromTranscript(transcript(talk, { ended: true }), { role: "self" })
      yield* TestPeer.dial(right, { port: server.port })
      const wrong = yield* TestPeer.fromTranscript(transcript([says("a\n"), hears("a\n")]), { role: "self" })
      const error = yield* Effect.flip(TestPeer.dial(wrong, { port: server.port }))
      assert.strictEqual(error._tag, "PeerFailed")
    }).pipe(Effect.scoped, Effect.provide(NodeNetwork.layer))
  )
})

describe("what is refused, and why", () => {
  const opened = line({ type: "opened" })
  const closed = line({ type: "closed", outcome: "Graceful", bytesRead: 0, bytesWritten: 2 })
  const out = line({ type: "out", text: "ab" })

  const cases: ReadonlyArray<readonly [what: string, lines: ReadonlyArray<string>, message: RegExp]> = [
    ["a transcript without a connection", [], /^the transcript has no connection$/],
    [
      "several connections, if it is not said which one",
      [opened, line({ id: 5, type: "opened" }), line({ id: 9, type: "opened" })],
      /^id must say which connection: 1, 5, 9$/
    ],
    [
      "lines that are missing within the connection",
      [opened, line({ id: 0, type: "missing", lines: 3 }), out, closed],
      /^line 2: 3 lines are missing within connection 1/
    ],
    [
      "lines that are missing behind what is known of a connection that is open",
      [opened, out, line({ id: 0, type: "missing", lines: 3 })],
      /^line 3: 3 lines are missing/
    ],
    [
      "a line that is cut off in front of others",
      [opened, `{"time":0,"id":1,"type":"in`, out, closed],
      /^line 2: a line is cut off$/
    ],
    [
      "bytes that do not add up to what the connection has written",
      [opened, out, out, closed],
      /^line 4: connection 1 has read 0 bytes and written 2 bytes, but the transcript has 0 and 4$/
    ],
    [
      "bytes that do not add up to what the connection has read",
      [opened, out, line({ type: "in", text: "c" }), closed],
      /^line 4: .*has 1 and 2$/
    ],
    ["a connection that begins before the transcript", [out, closed], /^line 1: connection 1 begins before/],
    [
      "a number that two processes used",
      [opened, out, closed, opened],
      /^line 4: connection 1 is opened again, first in line 1/
    ],
    [
      "bytes behind the end",
      [opened, out, closed, out],
      /^line 4: connection 1 goes on after it was closed in line 3$/
    ],
    [
      "an upgrade",
      [opened, out, line({ type: "upgraded", tls: "TLSv1.3" }), closed],
      /^line 3: connection 1 is upgraded to TLS or from it/
    ],
    ["a line that is malformed", [opened, "what\n"], /^line 2: not JSON$/]
  ]
  for (const [what, lines, message] of cases) {
    it.effect(what, () =>
      Effect.gen(function* () {
        assert.match(yield* refusal(lines), message)
        assert.match(yield* refusal(lines, { role: "self" }), message)
      })
    )
  }

  it.effect("a connection that is not there, with those that are", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 25 }, (_, id) => line({ id: id + 1, type: "opened" }))
      assert.strictEqual(
        yield* refusal(ids.slice(0, 3), { id: 7 }),
        "the transcript has no connection 7, it has 1, 2, 3"
      )
      assert.match(yield* refusal(ids), /: 1, 2, .*, 20 and 5 more$/)
    })
  )

  it.effect("arguments that are none, as a defect", () =>
    Effect.gen(function* () {
      for (const [options, message] of [
        [{ id: 0 }, /TestPeer\.fromTranscript: id must be an integer above 0, got 0/],
        [{ role: "server" as "self" }, /TestPeer\.fromTranscript: role must be one of "peer", "self"/]
      ] as const) {
        const exit = yield* Effect.exit(TestPeer.fromTranscript(opened, options))
        assert.isTrue(Exit.hasDies(exit))
        assert.match(String(Exit.isFailure(exit) && exit.cause), message)
      }
    })
  )
})
