/** Node's TLS engine, made to treat the stream below as the engines of other runtimes do. */
import { Duplex } from "node:stream"
import { TLSSocket } from "node:tls"
import { vi } from "@effect/vitest"
import { verificationOf } from "../../src/internal/node/nodeInternals.ts"
import { CiphertextStream } from "../../src/internal/node/tls/ciphertext.ts"

/** What a stream of any kind does. */
const { end, write } = Duplex.prototype as unknown as Record<"end" | "write", (this: Duplex, ...args: Args) => any>

type Args = ReadonlyArray<unknown>

const callbackOf = (args: Args): (() => void) | undefined =>
  typeof args.at(-1) === "function" ? (args.at(-1) as () => void) : undefined

/** A write is done as soon as the stream below has it, although that stream may have sent nothing of it: as Bun's. */
export const callsWritesDone = () =>
  vi.spyOn(CiphertextStream.prototype, "write").mockImplementation(function (this: Duplex, ...args: Args) {
    const done = callbackOf(args)
    if (done !== undefined) setImmediate(done)
    return write.call(this, args[0])
  } as never)

/** The stream below is never ended by the engine, whose own end is over all the same: as Deno's. */
export const neverEnds = () => {
  const asked = new WeakSet<Duplex>()
  return vi.spyOn(CiphertextStream.prototype, "end").mockImplementation(function (this: Duplex, ...args: Args) {
    // the engine asks first
    if (asked.has(this)) return end.apply(this, [...args])
    asked.add(this)
    callbackOf(args)?.()
    return this
  } as never)
}

/**
 * An engine starts only in the tick behind the call in which it is made, as Deno's do: what it was given by then, for which
 * those throw where nobody can catch it.
 */
export const startsLate = (): ReadonlyArray<Buffer> => {
  const early: Array<Buffer> = []
  const waiting = new WeakSet<Duplex>()
  vi.spyOn(CiphertextStream.prototype, "engage").mockImplementation(function (this: Duplex) {
    waiting.add(this)
    process.nextTick(() => waiting.delete(this))
  })
  const { emit } = CiphertextStream.prototype
  vi.spyOn(CiphertextStream.prototype, "emit").mockImplementation(function (this: Duplex, ...args: Args) {
    if (args[0] === "data" && waiting.has(this)) early.push(args[1] as Buffer)
    return emit.apply(this, args as never)
  } as never)
  return early
}

/** The streams on which engines stand from now on. */
export const streamsBelow = (): ReadonlyArray<CiphertextStream> => {
  const streams: Array<CiphertextStream> = []
  const { write } = CiphertextStream.prototype
  vi.spyOn(CiphertextStream.prototype, "write").mockImplementation(function (this: CiphertextStream, ...args: Args) {
    if (!streams.includes(this)) streams.push(this)
    return write.apply(this, args as never)
  } as never)
  return streams
}

/** What is wrong with what arrives is followed by the end of the input, as if the peer had said that it ends: as Bun's. */
export const endsBehindFaults = () => {
  const { emit } = TLSSocket.prototype
  return vi.spyOn(TLSSocket.prototype, "emit").mockImplementation(function (this: TLSSocket, ...args: Args) {
    const heard = emit.apply(this, args as never)
    if (args[0] === "_tlsError") this.push(null)
    return heard
  } as never)
}

/** A server's engine fails by itself for a client's certificate, which it names before: as Bun's. */
export const refusesClients = () => {
  const { emit } = TLSSocket.prototype
  return vi.spyOn(TLSSocket.prototype, "emit").mockImplementation(function (this: TLSSocket, ...args: Args) {
    const error = args[0] === "secure" ? verificationOf(this)?.error : undefined
    if (error === undefined) return emit.apply(this, args as never)
    this.authorizationError = error
    const failure = Object.assign(new Error(error.message), { code: "ERR_SSL_TLSV1_ALERT_UNKNOWN" })
    return emit.apply(this, ["error", failure] as never)
  } as never)
}
