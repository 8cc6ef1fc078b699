/**
 * Reading into memory that is used again, by every socket of the process.
 *
 * Node allocates 64 KiB for each read, and V8 collects garbage for its sake. A
 * socket that is made to connect can be told by its `onread` option to read into
 * one buffer instead; what tells it is not made for one that was accepted. So a
 * socket made with the option shows where it is kept, and others are told there.
 * Where any of this is not as expected they go on reading as they do.
 */
import * as Net from "node:net"
import { forReads } from "../base/memory.ts"

/** What a socket calls with each read: how many bytes came, at the front of the buffer. `false` stops it from reading on. */
type OnRead = (this: Net.Socket, size: number, buffer: Uint8Array) => boolean

interface Keys {
  readonly buffer: symbol
  readonly callback: symbol
}

type Keeping = Net.Socket & Record<symbol, unknown>

/** Where sockets keep what they are told by `onread`. */
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

interface Lender {
  readonly keys: Keys
  readonly scratch: Uint8Array
}

// Windows is given memory long before it has read: it cannot be changed in between.
const makeLender = (): Lender | undefined => {
  const keys = process.platform === "win32" ? undefined : findKeys()
  return keys === undefined ? undefined : { keys, scratch: forReads() }
}

let lender: Lender | undefined | "unknown" = "unknown"

/**
 * From its next read on the socket calls `onRead`, with memory that is written
 * into again by the next read of any socket. There is no way back. `false`: it
 * goes on as it does.
 */
export const lend = (socket: Net.Socket, onRead: OnRead): boolean => {
  if (lender === "unknown") lender = makeLender()
  if (lender === undefined) return false
  const { keys, scratch } = lender
  const handle = (socket as { readonly _handle?: { useUserBuffer?(buffer: Uint8Array): void } | null })._handle
  const keeping = socket as Keeping
  // of another make, or told already
  if (typeof handle?.useUserBuffer !== "function" || keeping[keys.buffer] !== null) return false
  keeping[keys.buffer] = scratch
  keeping[keys.callback] = onRead
  handle.useUserBuffer(scratch)
  return true
}
