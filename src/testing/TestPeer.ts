/**
 * A peer that follows a script: it expects bytes, sends bytes, waits, and hangs up.
 *
 * A script is data, built step by step in order. It runs over any connection, or listens or connects by itself on any
 * `Network`. A failure shows the step that went wrong, byte by byte.
 *
 * **When to use**
 *
 * To test one half of a protocol against exact bytes. `listen` tests a client, `dial` tests a server, `run` goes over a
 * connection at hand. Use `startServer` for a peer with a mind of its own.
 *
 * **Example** (A mail server that a client is tested against)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { openConnection } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 * import * as TestPeer from "effect-byte-streams/testing/TestPeer"
 *
 * const server = TestPeer.script.send("220 ready\r\n").expect("HELO me\r\n").send("250 hello\r\n").expectEof.close
 *
 * const test = Effect.gen(function* () {
 *   const peer = yield* TestPeer.listen(server, { port: 25 })
 *   const { reader, writer } = yield* openConnection({ port: 25 })
 *   yield* reader.readUntil("\n")
 *   yield* writer.write("HELO me\r\n")
 *   console.log(new TextDecoder().decode(yield* reader.readUntil("\n")).trim()) // => 250 hello
 *   yield* writer.close
 *   yield* peer.done
 * })
 *
 * await Effect.runPromise(TestNetwork.simulate(test))
 * ```
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SocketAddress } from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type Connection, openConnection, type OpenOptions } from "../Connection.ts"
import * as Argument from "../internal/base/argument.ts"
import * as Bytes from "../internal/base/bytes.ts"
import { peerPatience } from "../internal/base/defaults.ts"
import * as HexDump from "../internal/testing/hexDump.ts"
import { stepsOf } from "../internal/testing/replay.ts"
import * as Patience from "../internal/testing/time/realTime.ts"
import type { ListenOptions, Network } from "../Network.ts"
import { startServer } from "../Server.ts"
import type { ConnectFailed, ListenFailed, ReadError, WriteError } from "../StreamError.ts"

// ---------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------

/**
 * One step of a script: an action of the peer, or an event that it expects.
 *
 * **Details**
 *
 * `Expect`, `Skip`, `ExpectEof` and `ExpectLost` wait for the other side. `Send`, `Wait`, `HalfClose`, `Close` and
 * `Reset` are actions. `Script` describes each of them.
 *
 * @see {@link Script}, {@link fromSteps}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Step =
  | {
      readonly _tag: "Expect"
      /** The bytes that must come next. */
      readonly bytes: Uint8Array
      /**
       * Which of them may have any value: from where to where, in bytes from the beginning, the end not included. Default:
       * none.
       */
      readonly masked?: ReadonlyArray<readonly [from: number, to: number]> | undefined
    }
  | {
      readonly _tag: "Skip"
      /** The number of bytes that must come next. */
      readonly count: number
    }
  | { readonly _tag: "ExpectEof" }
  | { readonly _tag: "ExpectLost" }
  | {
      readonly _tag: "Send"
      /** The bytes to write. */
      readonly bytes: Uint8Array
    }
  | {
      readonly _tag: "Wait"
      /** The time to let pass. */
      readonly duration: Duration.Input
    }
  | { readonly _tag: "HalfClose" }
  | { readonly _tag: "Close" }
  | { readonly _tag: "Reset" }

/**
 * The steps of a peer, in order. Each method returns a longer script, and changes nothing.
 *
 * @see {@link script} to begin with.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Script {
  /** The steps, in order. */
  readonly steps: ReadonlyArray<Step>
  /** Expects exactly these bytes next. Fails at the first byte that differs. */
  expect(bytes: Uint8Array | string): Script
  /** Expects a number of bytes next, whatever they are. */
  skip(count: number): Script
  /** Expects the end of the other side's output. */
  readonly expectEof: Script
  /** Expects the loss of the connection. */
  readonly expectLost: Script
  /** Writes bytes, and waits until the operating system has them. */
  send(bytes: Uint8Array | string): Script
  /** Lets time pass, by the `Clock`. */
  wait(duration: Duration.Input): Script
  /** Ends the output (FIN). Reading goes on. */
  readonly halfClose: Script
  /** Closes the connection in good order. */
  readonly close: Script
  /** Resets the connection. */
  readonly reset: Script
  /** Adds another script behind this one. */
  followedBy(next: Script | ReadonlyArray<Step>): Script
}

/**
 * The other side did something else than the script says.
 *
 * @see {@link run}, {@link Listening.done}
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class PeerFailed extends Schema.TaggedError<PeerFailed>("effect-byte-streams/testing/PeerFailed")("PeerFailed", {
  /** The number of the step that failed, counted from 1. */
  step: Schema.Number,
  /** The number of all steps. */
  steps: Schema.Number,
  /** The step, in words. */
  expected: Schema.String,
  /** The event that came instead, in words. */
  actual: Schema.String,
  /** The number of bytes that the peer had received, in all steps, before the wrong one. */
  offset: Schema.Number,
  /** The expected and the actual bytes, where they were compared. */
  dump: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const head = `step ${this.step} of ${this.steps}, ${this.expected}: ${this.actual}`
    return this.dump === undefined ? head : `${head}\n${this.dump}`
  }
}

/**
 * A transcript cannot be replayed.
 *
 * @see {@link fromTranscript}
 *
 * @stability unstable
 * @category errors
 * @since 0.1.0
 */
export class TranscriptRefused extends Schema.TaggedError<TranscriptRefused>(
  "effect-byte-streams/testing/TranscriptRefused"
)("TranscriptRefused", {
  /** The reason, in words. */
  problem: Schema.String,
  /** The number of the line where that shows, counted from 1 over all texts. */
  line: Schema.optional(Schema.Number)
}) {
  override get message(): string {
    return this.line === undefined ? this.problem : `line ${this.line}: ${this.problem}`
  }
}

// ---------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------

const toBytes = (bytes: Uint8Array | string): Uint8Array =>
  typeof bytes === "string" ? Bytes.encode(bytes) : Bytes.copy(bytes)

class Steps implements Script {
  readonly steps: ReadonlyArray<Step>
  constructor(steps: ReadonlyArray<Step>) {
    this.steps = steps
  }
  private and(...steps: ReadonlyArray<Step>): Script {
    return new Steps([...this.steps, ...steps])
  }
  expect(bytes: Uint8Array | string): Script {
    return this.and({ _tag: "Expect", bytes: toBytes(bytes) })
  }
  skip(count: number): Script {
    return this.and({ _tag: "Skip", count })
  }
  get expectEof(): Script {
    return this.and({ _tag: "ExpectEof" })
  }
  get expectLost(): Script {
    return this.and({ _tag: "ExpectLost" })
  }
  send(bytes: Uint8Array | string): Script {
    return this.and({ _tag: "Send", bytes: toBytes(bytes) })
  }
  wait(duration: Duration.Input): Script {
    return this.and({ _tag: "Wait", duration })
  }
  get halfClose(): Script {
    return this.and({ _tag: "HalfClose" })
  }
  get close(): Script {
    return this.and({ _tag: "Close" })
  }
  get reset(): Script {
    return this.and({ _tag: "Reset" })
  }
  followedBy(next: Script | ReadonlyArray<Step>): Script {
    return this.and(...("steps" in next ? next.steps : next))
  }
  toJSON() {
    return { _id: "TestPeer.Script", steps: this.steps.map(describe) }
  }
}

/**
 * The empty script, to begin with.
 *
 * @see {@link fromSteps}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const script: Script = new Steps([])

/**
 * A script of steps from elsewhere, such as a file or a generator.
 *
 * @see {@link script}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromSteps = (steps: ReadonlyArray<Step>): Script => {
  steps.forEach(({ _tag }, index) => Argument.oneOf("TestPeer.fromSteps", `steps[${index}]._tag`, _tag, tags))
  return new Steps(steps)
}

const tags: ReadonlyArray<Step["_tag"]> = [
  "Expect",
  "Skip",
  "ExpectEof",
  "ExpectLost",
  "Send",
  "Wait",
  "HalfClose",
  "Close",
  "Reset"
]

/**
 * The options of a replay.
 *
 * @see {@link fromTranscript}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface TranscriptOptions {
  /** The number of the connection. Default: the only one. A transcript of several needs it. */
  readonly id?: number | undefined
  /**
   * Whose part the script plays.
   *
   * - `"peer"`: the part of the other side. The script sends what came in, and expects what went out. For a test of the
   *   program that was recorded.
   * - `"self"`: the part of the program that was recorded. For a test of the other side.
   *
   * Default `"peer"`.
   */
  readonly role?: "peer" | "self" | undefined
}

/**
 * A script that replays a connection of a transcript, as `Wiretap.layerTranscript` records it.
 *
 * **When to use**
 *
 * To turn a conversation with a real server, or a failure of a program in production, into a test.
 *
 * **Details**
 *
 * - `transcript` is the text of a transcript, or several in order: the files of a transcript that was rotated, or lines.
 * - What one direction said, until the other one spoke, is one step. The pieces in which it crossed do not matter.
 * - Where the recorder masked a secret, any byte is accepted. Where the script itself sends it, it sends `*`.
 * - At the end, as the peer, the script expects the end of a program that closed in good order, and the loss of one that
 *   aborted or timed out. It resets the connection if the peer had done so. As the recorded program, the script does what
 *   that did. A connection that is still open where the transcript ends has no such step.
 * - A last line that is cut off, as a process leaves it that was killed, is left out.
 *
 * **Gotchas**
 *
 * The order of both directions is the one that the recorded program saw. A transcript does not tell when that program ended
 * its own output. As `"self"`, the script ends it in front of the end of the peer's, if nothing is sent after that, or
 * else by closing.
 *
 * Fails with `TranscriptRefused` if a line is malformed or missing, if the connection begins before the transcript, if the
 * bytes do not add up to the totals at its end, and if it was upgraded with `startTls` or `stopTls`.
 *
 * **Example** (A client against a server that was recorded)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { openConnection } from "effect-byte-streams"
 * import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
 * import * as TestPeer from "effect-byte-streams/testing/TestPeer"
 *
 * const transcript = `
 * {"time":1,"id":1,"type":"opened","side":"client"}
 * {"time":2,"id":1,"type":"out","text":"PING\\n"}
 * {"time":3,"id":1,"type":"in","text":"PONG\\n"}
 * {"time":4,"id":1,"type":"closed","outcome":"Graceful","bytesRead":5,"bytesWritten":5}
 * `
 *
 * const test = Effect.gen(function* () {
 *   const server = yield* TestPeer.fromTranscript(transcript)
 *   const peer = yield* TestPeer.listen(server, { port: 7 })
 *   const { reader, writer } = yield* openConnection({ port: 7 })
 *   yield* writer.write("PING\n")
 *   console.log(new TextDecoder().decode(yield* reader.readLine).trim()) // => PONG
 *   yield* writer.close
 *   yield* peer.done
 * })
 *
 * await Effect.runPromise(TestNetwork.simulate(test))
 * ```
 *
 * @see {@link fromSteps}, {@link listen}, {@link dial}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const fromTranscript = (
  transcript: string | Iterable<string>,
  options?: TranscriptOptions
): Effect.Effect<Script, TranscriptRefused> =>
  Effect.suspend(() => {
    const operation = "TestPeer.fromTranscript"
    const { id, role = "peer" } = options ?? {}
    const texts = typeof transcript === "string" ? [transcript] : transcript
    const steps = stepsOf(texts, {
      id: id === undefined ? undefined : Argument.positive(operation, "id", id),
      role: Argument.oneOf(operation, "role", role, ["peer", "self"])
    })
    return Result.isSuccess(steps)
      ? Effect.succeed(fromSteps(steps.success))
      : Effect.fail(new TranscriptRefused({ problem: steps.failure.problem, line: steps.failure.line }))
  })

// ---------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------

/**
 * The options of a run.
 *
 * @see {@link run}, {@link listen}, {@link dial}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /**
   * The longest time that a step may take, in real time, whatever the `Clock` says. A longer step fails, so a test does
   * not hang. `wait` takes as long as it says. Default 5 seconds.
   */
  readonly patience?: Duration.Input | undefined
}

/**
 * Follows a script over a connection. A connection that the script does not end stays open.
 *
 * @see {@link listen}, {@link dial}
 *
 * @stability unstable
 * @category running
 * @since 0.1.0
 */
export const run = (self: Script, connection: Connection, options?: RunOptions): Effect.Effect<void, PeerFailed> =>
  Effect.suspend(() => {
    const patience = patienceOf("TestPeer.run", options)
    const actor = new Actor(connection, self.steps, patience)
    return Effect.forEach(self.steps, (step, index) => actor.perform(step, index), { discard: true })
  })

const patienceOf = (operation: string, options: RunOptions | undefined): Duration.Duration =>
  options?.patience === undefined ? peerPatience : Argument.someTime(operation, "patience", options.patience)

class Actor {
  private readonly connection: Connection
  private readonly steps: ReadonlyArray<Step>
  private readonly patience: Duration.Duration
  /** Bytes received in the steps before. */
  private offset = 0

  constructor(connection: Connection, steps: ReadonlyArray<Step>, patience: Duration.Duration) {
    this.connection = connection
    this.steps = steps
    this.patience = patience
  }

  perform(step: Step, index: number): Effect.Effect<void, PeerFailed> {
    const { reader, writer } = this.connection
    const fails = (actual: string, dump?: string, at = 0): PeerFailed =>
      new PeerFailed({
        step: index + 1,
        steps: this.steps.length,
        expected: describe(step),
        actual,
        offset: this.offset + at,
        dump
      })
    const broken = (error: ReadError | WriteError): PeerFailed => fails(error.message)
    const inTime = <A>(effect: Effect.Effect<A, PeerFailed>): Effect.Effect<A, PeerFailed> =>
      Patience.within(
        effect,
        this.patience,
        Effect.suspend(() => Effect.fail(fails(`nothing for ${Duration.format(this.patience)}`)))
      )
    switch (step._tag) {
      case "Expect":
        return this.expect(step.bytes, maskOf(step), fails)
      case "Skip":
        return inTime(Effect.mapError(reader.skip(step.count), (error) => fails(error.message))).pipe(
          Effect.tap(() => Effect.sync(() => void (this.offset += step.count)))
        )
      case "ExpectEof":
        return inTime(Effect.mapError(reader.read(mostShown), broken)).pipe(
          Effect.flatMap((bytes) =>
            bytes.length === 0
              ? Effect.void
              : Effect.fail(fails(`got ${HexDump.count(bytes.length)}`, HexDump.dump(bytes, 0).join("\n")))
          )
        )
      case "ExpectLost":
        return inTime(
          Effect.matchEffect(reader.read(mostShown), {
            onSuccess: (bytes) =>
              Effect.fail(
                bytes.length === 0
                  ? fails("the stream ended in good order")
                  : fails(`got ${HexDump.count(bytes.length)}`, HexDump.dump(bytes, 0).join("\n"))
              ),
            onFailure: (error) => (error._tag === "ConnectionLost" ? Effect.void : Effect.fail(broken(error)))
          })
        )
      case "Send":
        return inTime(Effect.mapError(Effect.andThen(writer.write(step.bytes), writer.flush), broken))
      case "Wait":
        return Effect.sleep(step.duration)
      case "HalfClose":
        return inTime(Effect.mapError(writer.writeEof, broken))
      case "Close":
        return inTime(Effect.asVoid(writer.close))
      case "Reset":
        return writer.abort
    }
  }

  /** Reads no more than is expected, and compares as it comes. */
  private expect(
    expected: Uint8Array,
    masked: Uint8Array | undefined,
    fails: (actual: string, dump?: string, at?: number) => PeerFailed
  ): Effect.Effect<void, PeerFailed> {
    const { reader } = this.connection
    const actual = new Uint8Array(expected.length)
    let got = 0
    const short = (why: string): PeerFailed => {
      const soFar = got === 0 ? "before the first byte" : `after ${got} of ${HexDump.count(expected.length)}`
      return fails(`${why} ${soFar}`, HexDump.compare(expected, actual.subarray(0, got), got), got)
    }
    const next = Effect.suspend(() => reader.read(expected.length - got))
    return Effect.gen({ self: this }, function* () {
      while (got < expected.length) {
        const piece = yield* Patience.within(
          Effect.mapError(next, (error) => short(`${error.message},`)),
          this.patience,
          Effect.suspend(() => Effect.fail(short(`nothing for ${Duration.format(this.patience)},`)))
        )
        if (piece.length === 0) return yield* Effect.fail(short("the stream ended"))
        actual.set(piece, got)
        const from = got
        got += piece.length
        for (let at = from; at < got; at++) {
          if (actual[at] === expected[at] || masked?.[at] === 1) continue
          const seen = Uint8Array.from([...actual.subarray(0, got), ...(yield* this.rest())])
          const what = `byte ${at} is ${HexDump.byte(actual[at])} and not ${HexDump.byte(expected[at])}`
          return yield* Effect.fail(fails(what, HexDump.compare(expected, seen, at), at))
        }
      }
      this.offset += expected.length
    })
  }

  /** What has arrived beyond what was asked for, to be shown. */
  private rest(): Effect.Effect<Uint8Array> {
    const { reader } = this.connection
    return reader.buffered.pipe(
      Effect.flatMap((buffered) => (buffered === 0 ? Effect.succeed(Bytes.empty) : reader.read(mostShown))),
      Effect.orElseSucceed(() => Bytes.empty)
    )
  }
}

/** 1 for each byte that may have any value; nothing if each must be as it is expected. */
const maskOf = ({ bytes, masked }: Extract<Step, { readonly _tag: "Expect" }>): Uint8Array | undefined => {
  if (masked === undefined || masked.length === 0) return undefined
  const mask = new Uint8Array(bytes.length)
  for (const [from, to] of masked) mask.fill(1, from, to)
  return mask
}

/** How many bytes that nobody expected are read to be shown. */
const mostShown = 256

const describe = (step: Step): string => {
  switch (step._tag) {
    case "Expect":
      return `expect ${HexDump.count(step.bytes.length)}`
    case "Skip":
      return `skip ${HexDump.count(step.count)}`
    case "ExpectEof":
      return "expect the end"
    case "ExpectLost":
      return "expect the connection to break"
    case "Send":
      return `send ${HexDump.count(step.bytes.length)}`
    case "Wait":
      return `wait ${Duration.format(Duration.fromInputUnsafe(step.duration))}`
    case "HalfClose":
      return "end the output"
    case "Close":
      return "close"
    case "Reset":
      return "reset"
  }
}

/**
 * A listening peer.
 *
 * @see {@link listen}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Listening {
  /** The address that is listened on. */
  readonly address: SocketAddress
  /** The port of `address`. Dies for a Unix socket, which has none. */
  readonly port: number
  /**
   * Completes when every script was followed to its end. Fails if a client did something else, and if no client comes
   * for a script within `patience`.
   */
  readonly done: Effect.Effect<void, PeerFailed>
}

/**
 * Listens, and follows the script with the client that comes.
 *
 * **Details**
 *
 * - Of several scripts the first client gets the first one, and so on. A client without a script is reset.
 * - A connection is closed in good order when its script is over.
 * - Listening stops when the scope closes. The default is port 0 on `127.0.0.1`.
 *
 * @see {@link dial} for the other side.
 *
 * @stability unstable
 * @category running
 * @since 0.1.0
 */
export const listen = (
  self: Script | ReadonlyArray<Script>,
  options?: Omit<ListenOptions, "tls"> & RunOptions
): Effect.Effect<Listening, ListenFailed, Network | Scope.Scope> =>
  Effect.gen(function* () {
    const scripts = "steps" in self ? [self] : self
    const done = yield* Deferred.make<void, PeerFailed>()
    if (scripts.length === 0) yield* Deferred.succeed(done, undefined)
    const patience = patienceOf("TestPeer.listen", options)
    let served = 0
    let followed = 0
    /** Each step is bounded by itself; what is not is a client that never comes. */
    const noClient = Effect.gen(function* () {
      for (let seen = -1; served === scripts.length || served > followed || served !== seen;) {
        seen = served
        yield* Patience.realSleep(patience)
      }
      const { steps } = scripts[served]!
      const actual = `nobody connected for ${Duration.format(patience)}`
      const expected = steps.length === 0 ? "nothing" : describe(steps[0]!)
      return yield* new PeerFailed({ step: 1, steps: steps.length, expected, actual, offset: 0 })
    })
    const server = yield* startServer(
      {
        ...options,
        host: options?.host ?? "127.0.0.1",
        port: options?.path === undefined ? (options?.port ?? 0) : undefined,
        gracePeriod: 0,
        onHandlerError: () => Effect.void
      },
      (connection) => {
        const mine = scripts[served++]
        if (mine === undefined) return connection.abort
        return Effect.onExit(run(mine, connection, options), (exit) => {
          if (Exit.isFailure(exit)) return Deferred.done(done, exit)
          return ++followed === scripts.length ? Deferred.succeed(done, undefined) : Effect.void
        })
      }
    )
    return {
      address: server.address,
      get port() {
        return server.port
      },
      done: Duration.isFinite(patience) ? Effect.raceFirst(Deferred.await(done), noClient) : Deferred.await(done)
    }
  })

/**
 * Connects, follows the script, and closes.
 *
 * @see {@link listen} for the other side.
 *
 * @stability unstable
 * @category running
 * @since 0.1.0
 */
export const dial = (
  self: Script,
  options: Omit<OpenOptions, "tls"> & RunOptions
): Effect.Effect<void, PeerFailed | ConnectFailed, Network> =>
  Effect.scoped(
    Effect.flatMap(openConnection({ ...options, tls: undefined }), (connection) => run(self, connection, options))
  )
