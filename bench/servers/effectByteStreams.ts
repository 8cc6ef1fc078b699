/**
 * This library as a user writes it: one effect an operation, in a generator. With `--read-into`, as one writes it who
 * receives much: into one array that is used again.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process, { argv } from "node:process"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { Connection } from "effect-byte-streams/Connection"
import * as Frame from "effect-byte-streams/Frame"
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Server from "effect-byte-streams/Server"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { announce, identity, service } from "./support/announce.ts"
import { block, readLength, Receipt } from "./support/service.ts"

const raw = Effect.fnUntraced(function* ({ reader, writer }: Connection) {
  for (let bytes = yield* reader.read(65536); bytes.length > 0; bytes = yield* reader.read(65536)) {
    yield* writer.write(bytes)
  }
})

const rawInto = Effect.fnUntraced(function* ({ reader, writer }: Connection) {
  const array = new Uint8Array(65536)
  for (let size = yield* reader.readInto(array); size > 0; size = yield* reader.readInto(array)) {
    yield* writer.write(array.subarray(0, size))
    yield* writer.flush
  }
})

const line = Effect.fnUntraced(function* ({ reader, writer }: Connection) {
  const next = reader.readLineWith({ end: "required" })
  for (let bytes = yield* next; bytes.length > 0; bytes = yield* next) yield* writer.write(bytes)
})

const message = Frame.lengthPrefixed(Frame.uint32, { maxBytes: 1 << 20 })

const frame = Effect.fnUntraced(function* ({ reader, writer }: Connection) {
  for (let some = yield* reader.readFrames(message); some.length > 0; some = yield* reader.readFrames(message)) {
    yield* writer.writeFrames(message, some)
  }
})

const sink = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    while (true) {
      const receipt = new Receipt()
      let left = readLength(yield* reader.readExactly(8))
      while (left > 0) {
        const bytes = yield* reader.read(Math.min(left, 65536))
        if (bytes.length === 0) return
        receipt.add(bytes)
        left -= bytes.length
      }
      yield* writer.write(receipt.toBytes())
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

const sinkInto = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    const array = new Uint8Array(65536)
    while (true) {
      const receipt = new Receipt()
      let left = readLength(yield* reader.readExactly(8))
      while (left > 0) {
        const size = yield* reader.readInto(left < array.length ? array.subarray(0, left) : array)
        if (size === 0) return
        receipt.add(array.subarray(0, size))
        left -= size
      }
      yield* writer.write(receipt.toBytes())
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

const source = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    while (true) {
      let left = readLength(yield* reader.readExactly(8))
      for (; left >= block.length; left -= block.length) yield* writer.write(block)
      yield* writer.write(block.subarray(0, left))
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

/** With `--drain`: as one writes it who waits for room as asyncio's programs do. */
const sourceDrain = Effect.fnUntraced(
  function* ({ reader, writer }: Connection) {
    while (true) {
      let left = readLength(yield* reader.readExactly(8))
      for (; left >= block.length; left -= block.length) {
        yield* writer.write(block)
        yield* writer.drain
      }
      yield* writer.write(block.subarray(0, left))
      yield* writer.drain
    }
  },
  Effect.catchTag("IncompleteRead", () => Effect.void)
)

// With `--gen`: in the style of the README, whose generator function is a new one for each connection.

const rawGen = ({ reader, writer }: Connection) =>
  Effect.gen(function* () {
    for (let bytes = yield* reader.read(65536); bytes.length > 0; bytes = yield* reader.read(65536)) {
      yield* writer.write(bytes)
    }
  })

const lineGen = ({ reader, writer }: Connection) =>
  Effect.gen(function* () {
    const next = reader.readLineWith({ end: "required" })
    for (let bytes = yield* next; bytes.length > 0; bytes = yield* next) yield* writer.write(bytes)
  })

const services = { raw, line, frame, sink, source }
const servicesInto = { raw: rawInto, sink: sinkInto }
const servicesGen = { raw: rawGen, line: lineGen }
const servicesDrain = { source: sourceDrain }

const program = Effect.gen(function* () {
  const tls =
    identity === undefined ? undefined : { identity: { cert: identity.cert, key: Redacted.make(identity.key) } }
  const server = yield* Server.startServer(
    { host: "127.0.0.1", port: 0, tls },
    {
      ...services,
      ...(argv.includes("--read-into") ? servicesInto : undefined),
      ...(argv.includes("--gen") ? servicesGen : undefined),
      ...(argv.includes("--drain") ? servicesDrain : undefined)
    }[service]
  )
  announce(server.port)
  return yield* Effect.never
})

/** Loaded where it is asked for: modules that are loaded cost something by themselves. */
const observed = Effect.gen(function* () {
  if (argv.includes("--telemetry"))
    return (yield* Effect.promise(() => import("effect-byte-streams/Telemetry"))).layer()
  if (!argv.includes("--transcript")) return Layer.empty
  const { layerTranscript } = yield* Effect.promise(() => import("effect-byte-streams/Wiretap"))
  const { layer } = yield* Effect.promise(() => import("@effect/platform-node/NodeFileSystem"))
  const folder = mkdtempSync(join(tmpdir(), "transcript-"))
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
  return layerTranscript({ path: join(folder, "transcript.jsonl") }).pipe(Layer.provide(layer))
})

program.pipe(
  Effect.scoped,
  Effect.provide(Layer.unwrap(observed)),
  Effect.provide(NodeNetwork.layer),
  NodeRuntime.runMain
)
