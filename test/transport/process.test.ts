/** Connections to child processes of Effect's, and over a process's own standard input and output: with real processes. */
import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Connection, Frame, StreamError } from "effect-byte-streams"
import { Cause, Effect, Exit, Fiber, type Scope, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { interruptBefore } from "../support/interruptBefore.ts"
import { forShell, Program, start } from "../support/program.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const isLost = (error: unknown): StreamError.ConnectionLost => {
  assert(error instanceof StreamError.ConnectionLost, String(error))
  return error
}

type Handle = ChildProcessSpawner.ChildProcessHandle

const run = (command: string, ...args: ReadonlyArray<string>) =>
  ChildProcess.make(command, args, { stderr: "ignore", forceKillAfter: "1 second" })

const shell = (script: string) => run("sh", "-c", script)

const connect = (handle: Handle, options?: Connection.ProcessOptions) => Connection.fromProcess(handle, options)

/** Runs with Effect's own processes. */
const live = (
  title: string,
  test: () => Effect.Effect<unknown, unknown, Scope.Scope | ChildProcessSpawner.ChildProcessSpawner>
) => it.live(title, () => test().pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

const stdioProgram = fileURLToPath(new URL("./programs/stdio.ts", import.meta.url))
const languageServer = fileURLToPath(new URL("./programs/languageServer.ts", import.meta.url))

describe("what is no process", () => {
  live("dies, and says what it was", () =>
    Effect.gen(function* () {
      const handle = yield* run("cat")
      const wrong: ReadonlyArray<readonly [Effect.Effect<unknown, unknown, Scope.Scope>, RegExp]> = [
        [
          Connection.fromProcess(undefined as never),
          /^TypeError: Connection.fromProcess: handle must be a ChildProcessHandle, got undefined$/
        ],
        [Connection.fromProcess({} as never), /handle must be a ChildProcessHandle, got/],
        [connect(handle, { exitTimeout: "soon" as never }), /Connection.fromProcess: exitTimeout must be /],
        [connect(handle, { limit: 0 }), /Connection.fromProcess: limit must be/]
      ]
      for (const [effect, message] of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(effect))
        assert(Exit.isFailure(exit))
        assert.match(String(Cause.squash(exit.cause)), message)
      }
    })
  )
})

describe("a process that breaks off is lost, behind all that it said", () => {
  const ways: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["exits with 1", "printf 'half of i'; exit 1", /the process exited with code 1/],
    ["exits with 3, long behind its output", "printf 'half of i'; exec >&-; sleep 0.2; exit 3", /exited with code 3/],
    ["kills itself", "printf 'half of i'; kill -KILL $$", /the process was ended/]
  ]
  for (const [how, script, message] of ways) {
    live(`one that ${how}`, () =>
      Effect.gen(function* () {
        const { closed, reader } = yield* connect(yield* shell(script))
        assert.strictEqual(text(yield* within("what it said", reader.readExactly(9))), "half of i")
        for (let i = 0; i < 2; i++) {
          const lost = isLost(yield* within("a read", Effect.flip(reader.read(10))))
          assert.deepInclude({ ...lost }, { kind: "Reset", code: "ERR_PROCESS_EXIT" })
          assert.match(String(lost.cause), message)
        }
        assert.strictEqual((yield* closed)._tag, "Lost")
        assert.isFalse(yield* reader.atEof)
      })
    )
  }

  live("one that is killed in the middle of a message: no read takes the half for a whole", () =>
    Effect.gen(function* () {
      const handle = yield* run("cat")
      const { reader, writer } = yield* connect(handle)
      yield* writer.write("a line\nhalf of a l")
      assert.strictEqual(text(yield* within("the line", reader.readLine)), "a line\n")
      yield* eventuallyEffect(
        "the half",
        Effect.map(reader.buffered, (buffered) => buffered === 11)
      )
      yield* handle.kill({ killSignal: "SIGKILL" })
      isLost(yield* within("a read", Effect.flip(reader.readLineText)))
      isLost(yield* within("a read", Effect.flip(reader.readFrame(Frame.line({ maxBytes: 100, end: "lf" })))))
      assert.strictEqual(text(yield* reader.readExactly(11)), "half of a l")
      isLost(yield* within("a write", Effect.flip(Effect.forever(Effect.andThen(writer.write("?"), Effect.sleep(1))))))
    })
  )
})

describe("the end of a process's output", () => {
  live("with code 0 is an end", () =>
    Effect.gen(function* () {
      const { closed, reader, writer } = yield* connect(yield* run("echo", "hello"))
      assert.strictEqual(text(yield* within("its output", reader.readAll({ maxBytes: 100 }))), "hello\n")
      assert.deepStrictEqual(yield* within("closed", closed), { _tag: "PeerEof" })
      const lost = isLost(yield* within("a write", Effect.flip(Effect.forever(writer.write("?")))))
      assert.strictEqual(lost.kind, "BrokenPipe")
    })
  )

  live("that goes on is an end, after a second, and it still reads", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = join(directory, "read")
      const { reader, writer } = yield* connect(
        yield* shell(`echo said; exec >&-; cat > ${file}.part; mv ${file}.part ${file}`)
      )
      assert.strictEqual(text(yield* within("its output", reader.readAll({ maxBytes: 100 }))), "said\n")
      yield* writer.write("read")
      yield* within("writeEof", writer.writeEof)
      yield* eventually("it has read", () => existsSync(file))
    })
  )
})

describe("a process that does not read", () => {
  const said = 3_000_000
  for (const [how, script] of [
    ["closes its input", "exec 0<&-; sleep 0.2; head -c 3000000 /dev/zero"],
    ["exits when it has said everything", "head -c 3000000 /dev/zero"]
  ] as const) {
    live(`and ${how}: writes fail, and all that it says is read, to its end`, () =>
      Effect.gen(function* () {
        const { reader, writer } = yield* connect(yield* shell(script), { limit: 1000 })
        const writing = yield* Effect.forkChild(
          Effect.flip(Effect.forever(Effect.andThen(writer.write(pattern(100_000)), Effect.sleep(1))))
        )
        const got = yield* within("its output", reader.readAll({ maxBytes: "unbounded" }))
        assert.strictEqual(got.length, said)
        const lost = isLost(yield* within("the writing", Fiber.join(writing)))
        assert.deepInclude({ ...lost }, { kind: "BrokenPipe", code: "EPIPE" })
        assert.strictEqual((yield* writer.close)._tag, "Reset")
      })
    )
  }

  live("holds a writer back, and a close up for closeTimeout at most", () =>
    Effect.gen(function* () {
      const { writer } = yield* connect(yield* run("sleep", "60"), { closeTimeout: "200 millis" })
      let written = 0
      yield* Effect.forkChild(
        Effect.ignore(
          Effect.forever(Effect.tap(writer.write(pattern(10_000)), () => Effect.sync(() => (written += 10_000))))
        )
      )
      yield* eventually("it is full", () => written > 64_000)
      yield* turns(50)
      const before = written
      yield* Effect.sleep(50)
      assert.strictEqual(written, before)
      assert.isBelow(written, 1_000_000)
      assert.strictEqual((yield* within("close", writer.close))._tag, "TimedOut")
    })
  )
})

describe("there and back", () => {
  live("every byte, and the ends behind them", () =>
    Effect.gen(function* () {
      const handle = yield* run("cat")
      const { closed, reader, writer } = yield* connect(handle)
      const sent = pattern(3_000_000)
      yield* Effect.forkChild(Effect.andThen(writer.write(sent), writer.writeEof))
      assertBytes(yield* within("all", reader.readAll({ maxBytes: "unbounded" })), sent)
      assert.deepStrictEqual(yield* closed, { _tag: "PeerEof" })
      assert.strictEqual(yield* handle.exitCode, 0)
      assert.deepStrictEqual(yield* writer.close, { _tag: "Graceful" })
    })
  )

  live("a reader that does not read holds the process back", () =>
    Effect.gen(function* () {
      const { reader } = yield* connect(yield* shell("head -c 50000000 /dev/zero"), { limit: 1000 })
      yield* eventuallyEffect(
        "it speaks",
        Effect.map(reader.buffered, (buffered) => buffered > 0)
      )
      yield* Effect.sleep(100)
      assert.isBelow(yield* reader.buffered, 300_000)
      assert.strictEqual((yield* within("all", reader.readAll({ maxBytes: "unbounded" }))).length, 50_000_000)
    })
  )
})

describe.concurrent("the scope ends the process", () => {
  /** How a process ends that is connected to, in a scope that ends so. */
  const endOf = (
    script: string,
    work: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
    exitTimeout = "10 seconds"
  ) =>
    Effect.gen(function* () {
      // the scope of the process is the outer one
      const handle = yield* shell(script)
      const began = Date.now()
      const exit = yield* Effect.exit(
        Effect.scoped(Effect.flatMap(connect(handle, { exitTimeout: exitTimeout as "10 seconds" }), work))
      )
      const running = yield* handle.isRunning
      return { exit, running, code: yield* Effect.exit(handle.exitCode), took: Date.now() - began }
    })

  live("a scope that succeeds: its input ends behind everything written, and it exits by itself", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = join(directory, "read")
      const { code, running } = yield* endOf(`cat > ${file}; sleep 0.1; exit 5`, ({ writer }) =>
        writer.write(pattern(500_000))
      )
      assert.isFalse(running)
      assert.deepStrictEqual(code, Exit.succeed(ChildProcessSpawner.ExitCode(5)))
      const counted = yield* connect(yield* run("wc", "-c", file))
      assert.match(text(yield* within("the count", counted.reader.readLine)), /^500000 /)
    })
  )

  live("one that does not exit is asked to, and then made to", () =>
    Effect.gen(function* () {
      const asked = yield* endOf("exec sleep 60", () => Effect.void, "100 millis")
      assert.isFalse(asked.running)
      assert.match(String(asked.code), /SIGTERM/)
      const made = yield* endOf(
        "trap '' TERM; echo ready; while :; do sleep 0.1; done",
        ({ reader }) => reader.readLine,
        "100 millis"
      )
      assert.isFalse(made.running)
      assert.match(String(made.code), /SIGKILL/)
      assert.isBelow(made.took, 6000)
    })
  )

  live("a scope that fails: it is killed at once, and does not come to its end", () =>
    Effect.gen(function* () {
      const { code, exit, running, took } = yield* endOf("exec cat", ({ writer }) =>
        Effect.andThen(writer.write("half of i"), Effect.andThen(writer.flush, Effect.fail("failed")))
      )
      assert.deepStrictEqual(exit, Exit.fail("failed"))
      assert.isFalse(running)
      assert.match(String(code), /SIGTERM/)
      assert.isBelow(took, 6000)
    })
  )

  live("one that does not heed the signal does not take its input for complete either", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = join(directory, "complete")
      const { code, running } = yield* endOf(
        `trap '' TERM; echo ready; cat > /dev/null; touch ${file}`,
        ({ abort, reader, writer }) =>
          Effect.andThen(
            reader.readLine,
            Effect.andThen(writer.write("half of i"), Effect.andThen(writer.flush, abort))
          ),
        "300 millis"
      )
      assert.isFalse(running)
      assert.match(String(code), /SIGKILL/)
      assert.isFalse(existsSync(file))
    })
  )

  live("an abort kills it as well", () =>
    Effect.gen(function* () {
      const { code, running } = yield* endOf("exec cat", (connection) => connection.abort)
      assert.isFalse(running)
      assert.match(String(code), /SIGTERM/)
    })
  )

  live("an interruption at any step of connecting does, too", () =>
    Effect.gen(function* () {
      let ended = 0
      for (let step = 1; ; step += 3) {
        const handle = yield* run("cat")
        const exit = yield* interruptBefore(step, Effect.scoped(connect(handle)))
        if (Exit.isSuccess(exit)) break
        // in front of the first step of it nothing has been taken over
        if (yield* handle.isRunning) yield* handle.kill()
        else ended++
      }
      assert.isAbove(ended, 0)
    })
  )
})

// ---------------------------------------------------------------------------
// standard input and output
// ---------------------------------------------------------------------------

const message = Frame.contentLength({ maxBytes: 10_000_000 }, Frame.utf8Rest)

const nodeProgram = (name: string) =>
  ChildProcess.make(process.execPath, [stdioProgram, name], { stderr: "inherit", forceKillAfter: "1 second" })

describe("a language server on its standard input and output", () => {
  live("answers, large and small, ends when it is told to although its input is open, and logs beside it", () =>
    Effect.gen(function* () {
      const handle = yield* ChildProcess.make(process.execPath, [languageServer], {
        forceKillAfter: "1 second"
      })
      const { closed, reader, writer } = yield* connect(handle)
      const call = (id: number, method: string, params?: object) =>
        Effect.andThen(
          writer.writeFrame(message, JSON.stringify({ id, method, params })),
          Effect.map(
            within(method, reader.readFrame(message)),
            (text) => JSON.parse(text) as { id: number; result: any }
          )
        )
      assert.deepStrictEqual(yield* call(1, "initialize"), { id: 1, result: { capabilities: { count: true } } })
      assert.deepStrictEqual((yield* call(2, "count", { text: "größer" })).result, { length: 6, text: "größer" })
      const large = "x".repeat(2_000_000)
      const answer = yield* call(3, "count", { text: large })
      assert.strictEqual(answer.result.length, large.length)
      assert.isTrue(answer.result.text === large)
      // many at once, answered in order
      yield* writer.writeFrames(
        message,
        Array.from({ length: 200 }, (_, id) => JSON.stringify({ id, method: "count", params: { text: String(id) } }))
      )
      for (let id = 0; id < 200; id++) {
        assert.strictEqual((JSON.parse(yield* within("an answer", reader.readFrame(message))) as { id: number }).id, id)
      }
      assert.deepStrictEqual(yield* call(4, "shutdown"), { id: 4, result: null })
      yield* writer.writeFrame(message, JSON.stringify({ method: "exit" }))
      assert.strictEqual(yield* within("its exit", handle.exitCode), 0)
      assert.strictEqual((yield* within("the end", reader.read(1))).length, 0)
      assert.deepStrictEqual(yield* closed, { _tag: "PeerEof" })
    })
  )

  live("that fails says so on its standard error, and its peer takes nothing of that for the protocol", () =>
    Effect.gen(function* () {
      const handle = yield* ChildProcess.make(process.execPath, [languageServer], { forceKillAfter: "1 second" })
      const log = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(handle.stderr)))
      const { reader, writer } = yield* connect(handle)
      yield* writer.writeFrame(message, "no JSON")
      const lost = isLost(yield* within("the loss", Effect.flip(reader.readAll({ maxBytes: 10_000 }))))
      assert.strictEqual(lost.code, "ERR_PROCESS_EXIT")
      assert.strictEqual(yield* reader.buffered, 0)
      assert.match(yield* within("its log", Fiber.join(log)), /level=ERROR.*SyntaxError/)
    })
  )
})

describe.concurrent("a program on its standard input and output", () => {
  live("gives back every byte, and ends with its input", () =>
    Effect.gen(function* () {
      const handle = yield* nodeProgram("echo")
      const { reader, writer } = yield* connect(handle)
      const sent = pattern(2_000_000)
      yield* Effect.forkChild(Effect.andThen(writer.write(sent), writer.writeEof))
      assertBytes(yield* within("all", reader.readAll({ maxBytes: "unbounded" })), sent)
      assert.strictEqual(yield* within("its exit", handle.exitCode), 0)
    })
  )

  live("that fails in the middle of a message is a loss for who reads it", () =>
    Effect.gen(function* () {
      const { reader } = yield* connect(yield* nodeProgram("fails"))
      assert.strictEqual(text(yield* within("a half", reader.readExactly(9))), "half of i")
      const lost = isLost(yield* within("a read", Effect.flip(reader.read(1))))
      assert.deepInclude({ ...lost }, { kind: "Reset", code: "ERR_PROCESS_EXIT" })
    })
  )

  live("that is done exits, although its input is open", () =>
    Effect.gen(function* () {
      const handle = yield* nodeProgram("oneLine")
      const { reader, writer } = yield* connect(handle)
      yield* writer.write("a line\nand more")
      assert.strictEqual(text(yield* within("its answer", reader.readLine)), "a line!\n")
      assert.strictEqual(yield* within("its exit", handle.exitCode), 0)
      assert.strictEqual((yield* within("the end", reader.read(1))).length, 0)
    })
  )

  it.live("half-closes: its peer sees the end, and is still read", () =>
    Effect.gen(function* () {
      const child = yield* start(process.execPath, [stdioProgram, "halfCloses"])
      let ended = false
      child.child.stdout!.on("end", () => (ended = true))
      assert.strictEqual(yield* child.line, "all that I say")
      yield* eventually("the end", () => ended)
      yield* child.send("still heard")
      yield* child.endInput
      yield* child.succeeds
      assert.strictEqual(child.stderr, "read still heard\n")
    })
  )

  it.live("is held back by who does not read it, and exits when that one leaves", () =>
    Effect.gen(function* () {
      const child = new Program(
        "floods",
        spawn(process.execPath, [stdioProgram, "floods"], { stdio: ["pipe", "pipe", "pipe"] })
      )
      yield* Effect.addFinalizer(() => child.kill)
      child.child.stdout!.pause()
      yield* child.says(/wrote 0/)
      yield* Effect.sleep(200)
      const before = child.stderr
      assert.notMatch(before, /wrote [4-9]\d{6}/)
      child.child.stdout!.destroy()
      yield* eventually("it exits", () => child.exit !== undefined)
      assert.strictEqual(child.exit, 1)
    })
  )

  it.live("serves in a pipe of the shell as well", () =>
    Effect.gen(function* () {
      const child = yield* start("sh", ["-c", `printf 'one\\ntwo\\n' | ${forShell(stdioProgram)} echo | cat`])
      assert.strictEqual(yield* child.line, "one")
      assert.strictEqual(yield* child.line, "two")
      assert.strictEqual(yield* child.succeeds, "one\ntwo\n")
    })
  )
})
