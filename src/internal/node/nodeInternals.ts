/**
 * The only file that knows the private parts of Node's sockets and engines: the counterpart of `runtime/effectInternals`.
 *
 * Each part has a name, a reason, a probe and a public way. A part is used where its probe holds; everywhere else the
 * public way is taken. `EFFECT_BYTE_STREAMS_PUBLIC_API` leaves parts alone: all of them (`1`), or those that are named.
 *
 * | part | private | what for | without it |
 * | --- | --- | --- | --- |
 * | `write` | calling `_write` and `_writev` of a socket | a write learns at once whether the system took it, and a failed one leaves the input open | the stream's own `write`, which says so a turn later; it is not told of a failure (`hearWriteFailures`) |
 * | `read` | what a socket reads is given to its `push` | what is read passes no queue of Node's, and an end that was read ahead is known | the events `data` and `end`; an end that was read ahead, and not told, is told as the failure behind it, as a loss |
 * | `sharedReadMemory` | what the option `onread` sets on a socket, and `useUserBuffer` of its handle | all sockets read into one memory | memory of each read's own |
 * | `unsent` | `writeQueueSize` of a socket's handle | a peer that takes little at a time is told from one that takes nothing | such a peer counts as one that takes nothing |
 * | `libuv` | the same member, the mark of a handle that is libuv's own: of all that it is given it makes one queue, and of a failed write it passes on what the system said first | the end of the output follows what the system has yet to take by itself, and the code of a failed write is believed | the end is held back until the system has taken everything; a broken pipe that is told later than within the call may be a reset (a write was tried again), and over TCP an end behind it counts as one |
 * | `peerName` | `getpeername` of a socket's handle | the peer's address costs no object and no names of fields for each connection | `remoteAddress` and `remotePort` |
 * | `behindTheEnd` | `fd` of a socket's handle | a reset that libuv before 1.52 calls the end is known as a reset | it is the end that libuv calls it |
 * | `directTls` | the handles of engines and of the sockets below: `reading`, `readStart` (and its `EALREADY`), `readStop`, `receive`, `writeQueueSize`, `_parent`, `getpeername`; `_read` and `_final` of a socket | TLS right on a socket, which costs half as much | the engine is fed with a stream (`tls/detour`) |
 * | `decrypt` | what an engine decrypts is given to its `push` | the last record of TLS is known in the call that decrypts it | the events `data` and `end`, one record a turn |
 * | `sni` | an engine made as Node's are, which asks for the context of a name | an identity is chosen by the engine | the name is looked for in the client's first message (`tls/clientHello`) |
 * | `verify` | `ssl.verifyError` of an engine | a server knows why a client's certificate is not accepted | `authorized` and `authorizationError`; a certificate of which they say nothing is not accepted |
 *
 * The event `_tlsError` needs no probe: it is heard beside `error`, which says the same where Node's private one does not
 * come. (Node's bare engines of servers say it there alone, which `directTls` relies on and looks for.) `verify` is left
 * alone only by its name, and not by `1`: Node's own bare engines of servers have no public word for it.
 *
 * One more is elsewhere, since it is looked for in streams of any make: `transport/streamInput` reads in
 * `_readableState.decoder` the first bytes of a character whose others never came.
 */
import * as Net from "node:net"
import type * as NodeTls from "node:tls"
import * as PublicApi from "../base/publicApi.ts"

// ---------------------------------------------------------------------------
// what is private
// ---------------------------------------------------------------------------

/** What is used of the handles below sockets and engines. */
interface Handle {
  readStart(): number
  readStop(): number
  /**
   * Of a socket's: how many bytes the system has yet to take. Of an engine's: how many it has encrypted that the system has
   * not taken, or not said that it has.
   */
  readonly writeQueueSize: number
}

export interface SocketHandle extends Handle {
  readonly fd?: number
  /** Fails without a peer. Unix sockets do not have it. */
  getpeername?(out: object): number
  useUserBuffer?(buffer: Uint8Array): void
}

export interface EngineHandle extends Handle {
  /** Whether it is meant to read. */
  reading: boolean
  /** Takes bytes as if they had been read. */
  receive(bytes: Uint8Array): void
  readonly _parent: SocketHandle
}

/** Of another make it may lack everything. A socket that is gone has none. */
const handleOf = (socket: Net.Socket): Partial<SocketHandle> | undefined =>
  (socket as { readonly _handle?: Partial<SocketHandle> | null })._handle ?? undefined

/** Of an engine for which `directTls` holds. */
export const engineHandleOf = (engine: Net.Socket): EngineHandle | null =>
  (engine as unknown as { readonly _handle: EngineHandle | null })._handle

/** What a socket's methods are where they are taken from it. */
const { _final, _read, _write, _writev, push } = Net.Socket.prototype

/** Sends one chunk, past the queue of the stream. */
export const writeDirectly = _write

/** The same for several. */
export const writeManyDirectly = _writev!

/**
 * The public way to hear of a failed write before the stream does, which would tear down the reading half with it: a
 * `_write` of the socket's own, as a class that extends it may have. The stream is told that all is well.
 */
export const hearWriteFailures = (socket: Net.Socket, onFailure: (error: Error, later: boolean) => void): void => {
  type Callback = (error?: Error | null) => void
  const hearing = (write: (callback: Callback) => void, callback: Callback): void => {
    let later = false
    write((error) => {
      if (error !== null && error !== undefined) onFailure(error, later)
      callback()
    })
    later = true
  }
  if (typeof _write === "function") {
    socket._write = (chunk, encoding, callback) =>
      hearing((heard) => _write.call(socket, chunk, encoding, heard), callback)
  }
  if (typeof _writev === "function") {
    socket._writev = (chunks, callback) => hearing((heard) => _writev.call(socket, chunks, heard), callback)
  }
}

/** What a socket's own `push` does. */
export const pushToStream = push

/** What a socket calls with each read: how many bytes came, at the front of the buffer. `false` stops it from reading on. */
export type OnRead = (this: Net.Socket, size: number, buffer: Uint8Array) => boolean

interface Keys {
  readonly buffer: symbol
  readonly callback: symbol
}

type Keeping = Net.Socket & Record<symbol, unknown>

/** Where sockets keep what they are told by `onread`: one that is made with it shows it. */
const findKeys = (): Keys | undefined => {
  const buffer = new Uint8Array(1)
  const callback = (): boolean => true
  const socket = new Net.Socket({ onread: { buffer, callback } }) as Keeping
  const holding = (value: unknown) => Object.getOwnPropertySymbols(socket).filter((key) => socket[key] === value)
  const [bufferKey, ...otherBuffers] = holding(buffer)
  const [callbackKey, ...otherCallbacks] = holding(callback)
  if (bufferKey === undefined || callbackKey === undefined) return undefined
  if (otherBuffers.length > 0 || otherCallbacks.length > 0) return undefined
  return { buffer: bufferKey, callback: callbackKey }
}

let keys: Keys | undefined

/** Has a socket read into this memory from its next read on. `false`: it goes on as it does. */
export const readInto = (socket: Net.Socket, buffer: Uint8Array, onRead: OnRead): boolean => {
  if (!has("sharedReadMemory")) return false
  const { buffer: bufferKey, callback: callbackKey } = (keys ??= findKeys()!)
  const handle = handleOf(socket)
  const keeping = socket as Keeping
  // of another make, or told already
  if (typeof handle?.useUserBuffer !== "function" || keeping[bufferKey] !== null) return false
  keeping[bufferKey] = buffer
  keeping[callbackKey] = onRead
  handle.useUserBuffer(buffer)
  return true
}

/** How many bytes the system has yet to take of what a socket was given, where that is known. */
export const unsentOf = (socket: Net.Socket): number | undefined => {
  const unsent = has("unsent") ? handleOf(socket)?.writeQueueSize : undefined
  return typeof unsent === "number" ? unsent : undefined
}

/** Whether the handle of a socket is libuv's own, as far as can be seen. */
export const isLibuv = (socket: Net.Socket): boolean =>
  has("libuv") && typeof handleOf(socket)?.writeQueueSize === "number"

/** Where the system says a peer is. Its fields are there from the start: they are set once for every connection. */
const peerName = { address: undefined as string | undefined, family: undefined, port: undefined as number | undefined }

/** Where the peer of a socket is: good until the next question. `undefined`: the system does not know. */
export const peerOf = (
  socket: Net.Socket
): { readonly address?: string | undefined; readonly port?: number | undefined } => {
  const handle = has("peerName") ? handleOf(socket) : undefined
  if (typeof handle?.getpeername !== "function") return { address: socket.remoteAddress, port: socket.remotePort }
  peerName.address = undefined
  peerName.port = undefined
  handle.getpeername(peerName)
  return peerName
}

/** The number by which the system knows a socket, where that is known. */
export const descriptorOf = (socket: Net.Socket): number | undefined => {
  const fd = has("behindTheEnd") ? handleOf(socket)?.fd : undefined
  return typeof fd === "number" && fd >= 0 ? fd : undefined
}

/** Whether a socket that is told to read says that it does so already. */
export const readsAlready = (started: number): boolean =>
  // loaded by those who need it
  process.getBuiltinModule("node:util").getSystemErrorName(started) === "EALREADY"

/** Whether the engine said what it found wrong with the peer's certificate, and what that is. */
export const verificationOf = (engine: NodeTls.TLSSocket): { readonly error: Error | undefined } | undefined => {
  const { ssl } = engine as { readonly ssl?: { verifyError?(): unknown } | null }
  if (!has("verify") || typeof ssl?.verifyError !== "function") return undefined
  const wrong = ssl.verifyError()
  // engines of another make say the code, which is empty where nothing is wrong
  if (wrong === null || wrong === undefined || wrong === "") return { error: undefined }
  return { error: wrong instanceof Error ? wrong : Object.assign(new Error(String(wrong)), { code: String(wrong) }) }
}

// ---------------------------------------------------------------------------
// probes
// ---------------------------------------------------------------------------

/** A write to what is connected to nothing fails within the call, past the stream, which stays as it was. */
const canWriteDirectly = (): boolean => {
  if (typeof _write !== "function" || typeof _writev !== "function") return false
  const socket = new Net.Socket()
  const answers: Array<unknown> = []
  const chunk = Buffer.alloc(1)
  const encoding = "buffer" as BufferEncoding
  _write.call(socket, chunk, encoding, (error) => answers.push(error))
  _writev.call(socket, [{ chunk, encoding }], (error) => answers.push(error))
  return (
    answers.length === 2 && answers.every((error) => error instanceof Error) && !socket.destroyed && !socket.errored
  )
}

/** What is pushed to a socket that nobody reads is kept by it, and read from it. */
const canReadDirectly = (): boolean => {
  if (typeof push !== "function") return false
  const socket = new Net.Socket()
  socket.pause()
  const pushed = push.call(socket, Buffer.of(42))
  const chunk: unknown = socket.read()
  return pushed && chunk instanceof Uint8Array && chunk.length === 1 && chunk[0] === 42
}

// Windows is given memory long before it has read: it cannot be changed in between.
const canShareReadMemory = (): boolean => process.platform !== "win32" && findKeys() !== undefined

const canRead = (handle: Partial<Handle> | undefined): boolean =>
  typeof handle?.readStart === "function" &&
  typeof handle.readStop === "function" &&
  // of sockets and engines alike
  typeof handle.writeQueueSize === "number"

/** Whether engines are made as those of Node are. One is made to see, without a connection. */
const isEngineAsExpected = (): boolean => {
  const { createSecureContext, TLSSocket } = process.getBuiltinModule("node:tls")
  const own = [_final, _read, (TLSSocket.prototype as { readonly _tlsError?: unknown })._tlsError]
  if (!own.every((method) => typeof method === "function")) return false
  let engine: NodeTls.TLSSocket | undefined
  try {
    // trusting nobody: those whom Node trusts take long to load
    engine = new TLSSocket(undefined as never, { secureContext: createSecureContext({ ca: [] }) })
    const handle = engineHandleOf(engine)
    return (
      handle !== null &&
      canRead(handle) &&
      canRead(handle._parent) &&
      typeof handle.reading === "boolean" &&
      typeof handle.receive === "function"
    )
  } finally {
    engine?.destroy()
  }
}

/** Each part, with what has to hold before it is used. */
const probes = {
  write: canWriteDirectly,
  read: canReadDirectly,
  sharedReadMemory: canShareReadMemory,
  // of these each handle is asked
  unsent: () => true,
  libuv: () => true,
  peerName: () => true,
  behindTheEnd: () => true,
  // what stands on an engine reads and writes as on a socket
  directTls: () => has("write") && has("read") && isEngineAsExpected(),
  decrypt: canReadDirectly,
  sni: isEngineAsExpected,
  verify: () => true
}

export type Part = keyof typeof probes

/** The names of all parts. */
export const parts = Object.keys(probes) as ReadonlyArray<Part>

const named = new Set(PublicApi.said.split(","))

const isLeftAlone = (part: Part): boolean => named.has(part) || (PublicApi.isForced && part !== "verify")

const holds = (part: Part): boolean => {
  try {
    return probes[part]()
  } catch {
    return false
  }
}

const known = new Map<Part, boolean>()

/** Whether a part is there, and may be used. */
export const has = (part: Part): boolean => {
  let answer = known.get(part)
  if (answer === undefined) known.set(part, (answer = !isLeftAlone(part) && holds(part)))
  return answer
}

/** The same, looked for anew. */
export const hasNow = (part: Part): boolean => !isLeftAlone(part) && holds(part)

/** Whether TLS can be spoken right on a socket. */
export const canBeDirect = (socket: Net.Socket): boolean => has("directTls") && canRead(handleOf(socket))
