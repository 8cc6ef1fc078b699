/**
 * The encrypted side of a TLS connection: a transport, as the `Duplex` that
 * Node's TLS engine reads from and writes to.
 *
 * It stands between the two so that the end of TLS and the end of the transport
 * can be told apart, and so that what follows the one is not swallowed.
 */
import { Duplex } from "node:stream"
import type { Failure, Handler, Transport } from "../Transport.ts"

/** The length of a TLS record's header: type, version, length. */
const headerBytes = 5

export class CipherDuplex extends Duplex implements Handler {
  readonly transport: Transport
  /** The transport's output has ended. */
  transportEnded = false
  failure: Failure | undefined = undefined
  /** Tells whether the engine has seen the end of TLS; asked where bytes follow that are no TLS. */
  engineEnded: () => boolean = () => false
  /** Called when the transport ends or breaks. */
  onTransportEnd: () => void = () => {}
  /** Called when the peer has ended or broken the transport, however much is still unread. */
  onLeft: () => void = () => {}
  /** Keep the transport when the engine lets go: the session goes on in plain text. */
  keepTransport = false
  /** What followed the end of TLS. */
  readonly after: Array<Uint8Array> = []

  /** What is still to come of the record that the last bytes began. */
  private recordLeft = 0
  private header: Array<number> = []
  private sent: ((error?: Error | null) => void) | undefined = undefined

  constructor(transport: Transport, leftover: ReadonlyArray<Uint8Array>) {
    super({ allowHalfOpen: true, decodeStrings: true, readableHighWaterMark: 262144 })
    this.transport = transport
    for (const bytes of leftover) this.feed(bytes)
  }

  // ------------------------------------------------------------------------
  // what the transport calls
  // ------------------------------------------------------------------------

  onData(bytes: Uint8Array): void {
    this.feed(bytes)
  }

  onEnd(): void {
    this.transportEnded = true
    this.push(null)
    this.onLeft()
    this.onTransportEnd()
  }

  onDrain(): void {
    const sent = this.sent
    this.sent = undefined
    sent?.()
  }

  onWriteFailure(failure: Failure): void {
    this.failure ??= failure
    // reading goes on; what the engine still wants to say goes nowhere
    this.onDrain()
  }

  onClose(failure: Failure | undefined): void {
    this.failure ??= failure
    this.transportEnded = true
    this.onLeft()
    if (!this.readableEnded && failure === undefined) this.push(null)
    this.onTransportEnd()
    if (failure !== undefined) this.destroy(asError(failure))
  }

  /** Whole records and parts of them go to the engine; what cannot be one stays here if TLS is over. */
  private feed(bytes: Uint8Array): void {
    if (this.engineEnded()) return this.keep(bytes)
    let from = 0
    let at = 0
    while (at < bytes.length) {
      if (this.recordLeft > 0) {
        const part = Math.min(this.recordLeft, bytes.length - at)
        this.recordLeft -= part
        at += part
        continue
      }
      this.header.push(bytes[at++]!)
      if (!plausible(this.header)) {
        // possibly plain text behind the end: let the engine see what came before, then ask it
        const start = at - this.header.length
        if (start > from) this.give(bytes.subarray(from, start))
        if (start >= 0 && this.engineEnded()) {
          this.header = []
          return this.keep(bytes.subarray(start))
        }
        // it is for the engine to say what is wrong with it
        from = Math.max(start, 0)
        this.header = []
        this.recordLeft = Infinity
        continue
      }
      if (this.header.length === headerBytes) {
        this.recordLeft = this.header[3]! * 256 + this.header[4]!
        this.header = []
      }
    }
    if (from < bytes.length) this.give(from === 0 ? bytes : bytes.subarray(from))
  }

  private give(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    if (!this.push(chunk)) this.transport.pause()
  }

  private keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.after.push(bytes)
    // nobody reads it yet
    this.transport.pause()
  }

  // ------------------------------------------------------------------------
  // what the engine calls
  // ------------------------------------------------------------------------

  override _read(): void {
    if (this.after.length === 0) this.transport.resume()
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.send([chunk], callback)
  }

  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, callback: (error?: Error | null) => void): void {
    this.send(
      chunks.map(({ chunk }) => chunk),
      callback
    )
  }

  private send(chunks: ReadonlyArray<Uint8Array>, callback: (error?: Error | null) => void): void {
    if (this.failure !== undefined) callback(asError(this.failure))
    else if (this.transport.write(chunks)) callback()
    else this.sent = callback
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.keepTransport) this.transport.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.keepTransport) {
      if (error === null) this.transport.close()
      else this.transport.abort()
    }
    callback(error)
  }
}

/** Whether bytes can be the beginning of a record's header. */
const plausible = (header: ReadonlyArray<number>): boolean => {
  const [type, major, minor, high] = header
  return (
    type! >= 20 &&
    type! <= 24 &&
    (major === undefined || major === 3) &&
    (minor === undefined || minor <= 4) &&
    // a record holds at most 2^14 bytes and what encryption adds
    (high === undefined || high <= 0x48)
  )
}

const asError = (failure: Failure): Error =>
  failure.cause instanceof Error
    ? failure.cause
    : Object.assign(new Error(`transport failed: ${failure.code ?? failure.kind}`), { code: failure.code })
