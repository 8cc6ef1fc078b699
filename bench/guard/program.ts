/**
 * One hot path, measured in this process alone: the steps of Effect's loop that 1,000 messages take, and the bytes that they
 * allocate. Started with the name of the path, it prints both as JSON; without one it prints the names.
 *
 * There is no network, and no clock: a transport is fed and drained by hand, so that each message takes the same way every
 * time. The library runs from `dist`, as users run it.
 */
import type { Handler, Transport } from "effect-byte-streams/Transport"
import type { Connection } from "effect-byte-streams/Connection"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Scheduler from "effect/Scheduler"

declare const gc: () => void

// Effect asks its scheduler before each step. The library looks for this very method where it is loaded, to know whether a
// fiber may be resumed at once: so the counting one has to be there before.
let steps = 0
const { shouldYield } = Scheduler.MixedScheduler.prototype
Scheduler.MixedScheduler.prototype.shouldYield = function (fiber) {
  steps++
  return shouldYield.call(this, fiber)
}

const { fromTransport, relay } = await import("effect-byte-streams/Connection")
const Exchange = await import("effect-byte-streams/Exchange")
const Frame = await import("effect-byte-streams/Frame")

const messages = 1000
const warmUps = 8
const rounds = 9

/** What 1,000 messages cost. */
export interface Measured {
  readonly steps: number
  readonly bytes: number
}

/** A transport that takes everything at once, and says how much that was. */
class Handfed implements Transport {
  readonly info = { local: undefined, remote: undefined }
  handler: Handler | undefined
  onWritten: (size: number) => void = () => {}

  attach(handler: Handler): void {
    this.handler = handler
  }
  pause(): void {}
  resume(): void {}
  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    let size = 0
    for (let i = 0; i < chunks.length; i++) size += chunks[i]!.length
    this.onWritten(size)
    return true
  }
  end(): void {}
  close(): void {}
  abort(): void {}
}

/** Has the messages pass, and resolves when all have. */
type Path = () => Promise<void>

const nextTurn = () => new Promise(setImmediate)

const connected = async (
  handler: (connection: Connection, transport: Handfed) => Effect.Effect<unknown, unknown, Scope.Scope>
): Promise<Handfed> => {
  const transport = new Handfed()
  Effect.runFork(
    Effect.scoped(Effect.flatMap(fromTransport(transport), (connection) => handler(connection, transport)))
  )
  await nextTurn()
  return transport
}

/** A server that is given pieces, and has to answer all bytes of one before it is given the next. */
const answering = async (
  piece: Uint8Array,
  messagesEach: number,
  handler: (connection: Connection) => Effect.Effect<unknown, unknown>
): Promise<Path> => {
  const transport = await connected(handler)
  let answered = 0
  transport.onWritten = (size) => (answered += size)
  return async () => {
    answered = 0
    for (let i = 1; i <= messages / messagesEach; i++) {
      transport.handler!.onData(piece)
      if (answered !== i * piece.length) throw new Error(`${answered} bytes of ${i * piece.length} were answered`)
    }
  }
}

/** A program that begins each round by itself. */
const asking = async (
  make: (
    connection: Connection,
    transport: Handfed
  ) => Effect.Effect<() => Effect.Effect<void, unknown>, unknown, Scope.Scope>
): Promise<Path> => {
  let begin = () => {}
  let done = () => {}
  const begun = Effect.callback<void>((resume) => {
    begin = () => resume(Effect.void)
  })
  await connected((connection, transport) =>
    Effect.gen(function* () {
      const round = yield* make(connection, transport)
      while (true) {
        yield* begun
        yield* round()
        done()
      }
    })
  )
  await nextTurn()
  return async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    done = resolve
    begin()
    await promise
    await nextTurn()
  }
}

const alphabet = "abcdefghijklmnopqrstuvwxyz"
const text = (size: number): Uint8Array => new Uint8Array(Buffer.alloc(size, alphabet))

const line = text(64)
line[63] = 10
const linesAtOnce = 20
const manyLines = new Uint8Array(Buffer.concat(Array.from({ length: linesAtOnce }, () => line)))

const frame = text(64)
new DataView(frame.buffer).setUint32(0, 60)
const body = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 1024 })

const paths: Record<string, () => Promise<Path>> = {
  "read and write": () =>
    answering(
      text(64),
      1,
      Effect.fnUntraced(function* ({ reader, writer }) {
        for (let bytes = yield* reader.read(65536); bytes.length > 0; bytes = yield* reader.read(65536)) {
          yield* writer.write(bytes)
        }
      })
    ),

  "readLine and write": () =>
    answering(
      manyLines,
      linesAtOnce,
      Effect.fnUntraced(function* ({ reader, writer }) {
        for (let bytes = yield* reader.readLine; bytes.length > 0; bytes = yield* reader.readLine) {
          yield* writer.write(bytes)
        }
      })
    ),

  "readFrame and writeFrame": () =>
    answering(
      frame,
      1,
      Effect.fnUntraced(function* ({ reader, writer }) {
        while (true) yield* writer.writeFrame(body, yield* reader.readFrame(body))
      })
    ),

  "write of 64 KiB": () =>
    asking(({ writer }) => {
      const block = text(65536)
      return Effect.succeed(
        Effect.fnUntraced(function* () {
          for (let i = 0; i < messages; i++) yield* writer.write(block)
          yield* writer.flush
          // what goes out at the end of a turn begins the next one: each round has whole turns
          yield* writer.write("end")
        })
      )
    }),

  "relay of 64 B": async () => {
    const piece = text(64)
    const behind = new Handfed()
    const transport = await connected((a) => Effect.flatMap(fromTransport(behind), (b) => relay(a, b)))
    let passed = 0
    behind.onWritten = (size) => (passed += size)
    return async () => {
      passed = 0
      for (let i = 0; i < messages; i++) {
        transport.handler!.onData(piece)
        // it is sent at the end of the turn
        await Promise.resolve()
      }
      if (passed !== messages * piece.length) throw new Error(`${passed} bytes were passed on`)
    }
  },

  "call of an exchange": () =>
    asking((connection, transport) => {
      const request = text(60)
      // not from within the write
      const answer = () => transport.handler!.onData(frame)
      transport.onWritten = () => queueMicrotask(answer)
      return Effect.map(Exchange.makePipelined(connection, { request: body, response: body }), ({ call }) =>
        Effect.fnUntraced(function* () {
          for (let i = 0; i < messages; i++) yield* call(request)
        })
      )
    })
}

/** The bytes that a round allocates, in V8's heap and outside of it. No collection comes in between: see the flags. */
const allocated = async (round: Path): Promise<number> => {
  gc()
  const before = process.memoryUsage()
  await round()
  const after = process.memoryUsage()
  return after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
}

/** The middle one: a round in which something is compiled allocates more, and nothing that is odd once counts. */
const middle = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const measure = async (path: Path): Promise<Measured> => {
  for (let i = 0; i < warmUps; i++) await path()
  const empty: Array<number> = []
  const full: Array<number> = []
  const different = new Set<number>()
  for (let i = 0; i < rounds; i++) {
    empty.push(await allocated(async () => {}))
    const before = steps
    full.push(await allocated(path))
    different.add(steps - before)
  }
  if (different.size > 1) throw new Error(`a round has not always as many steps: ${[...different].join(", ")}`)
  return { steps: [...different][0]!, bytes: middle(full) - middle(empty) }
}

const name = process.argv[2]
if (name === undefined) console.log(JSON.stringify(Object.keys(paths)))
else {
  console.log(JSON.stringify(await measure(await paths[name]!())))
  process.exit()
}
