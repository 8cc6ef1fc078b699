/**
 * A transport over anything that behaves like a Node `Duplex`. Knows no Node:
 * the interface it needs is written down here.
 */
import * as Bytes from "./bytes.ts"
import { toFailure } from "./failure.ts"
import type { ConnectionInfo, Failure, Handler, Transport } from "../Transport.ts"

/** The part of a `Duplex` that is used. */
export interface DuplexLike {
  on(event: string, listener: (...args: Array<any>) => void): unknown
  off(event: string, listener: (...args: Array<any>) => void): unknown
  pause(): unknown
  resume(): unknown
  read(): unknown
  write(chunk: Uint8Array, callback?: (error?: Error | null) => void): boolean
  end(): unknown
  cork(): void
  uncork(): void
  destroy(error?: Error): unknown
  readonly destroyed: boolean
  readonly closed: boolean
  readonly readableEnded: boolean
  readonly writableEnded: boolean
}

/**
 * How long input is still thrown away once this side has closed, so that the
 * system need not reset the connection under a peer that is still reading.
 */
export const lingerMillis = 2000

export const nobody: Handler = {
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onWriteFailure: () => {},
  onClose: () => {}
}

export class DuplexTransport<D extends DuplexLike = DuplexLike> implements Transport {
  readonly info: ConnectionInfo
  protected readonly duplex: D
  protected handler: Handler = nobody
  protected readEnded = false
  protected failure: Failure | undefined = undefined
  private attached = false
  private linger: ReturnType<typeof setTimeout> | undefined = undefined

  constructor(duplex: D, info: ConnectionInfo = { local: undefined, remote: undefined }) {
    this.duplex = duplex
    this.info = info
    // from the start: a stream may break before anyone attaches
    this.listenForErrors()
  }

  protected listenForErrors(): void {
    this.duplex.on("error", (error: unknown) => this.broke(error))
  }

  protected listen(): void {
    this.duplex.on("data", (chunk: Uint8Array | string) => this.arrived(chunk))
    this.duplex.on("end", () => this.inputEnded())
    this.duplex.on("close", () => this.streamClosed())
  }

  broke(error: unknown): void {
    this.failure ??= toFailure(error)
    this.rescue()
    // some streams never say that they are closed
    queueMicrotask(() => this.gone())
  }

  attach(handler: Handler): void {
    const first = !this.attached
    this.attached = true
    this.handler = handler
    const { duplex } = this
    if (first) {
      if (duplex.readableEnded) this.readEnded = true
      this.listen()
    }
    // what has happened already is not said again by the stream
    if (duplex.closed) queueMicrotask(() => this.handler.onClose(this.failure ?? { kind: "Unknown" }))
    else if (this.readEnded) queueMicrotask(() => this.handler.onEnd())
    else duplex.resume()
  }

  arrived(chunk: Uint8Array | string): void {
    this.handler.onData(typeof chunk === "string" ? Bytes.encode(chunk) : chunk)
  }

  inputEnded(): void {
    this.readEnded = true
    if (this.endIsReset()) return
    this.handler.onEnd()
  }

  streamClosed(): void {
    this.rescue()
    this.gone()
  }

  /** Whether what looks like the end is none, and the loss has been seen to. */
  protected endIsReset(): boolean {
    return false
  }

  /** The stream is no more. */
  private gone(): void {
    clearTimeout(this.linger)
    const { handler } = this
    this.handler = nobody
    handler.onClose(this.failure)
  }

  /** What a paused stream has read ahead is delivered before its loss. */
  private rescue(): void {
    if (this.readEnded || this.handler === nobody) return
    let chunk: unknown
    while ((chunk = this.duplex.read()) !== null) this.handler.onData(chunk as Uint8Array)
  }

  pause(): void {
    this.duplex.pause()
  }

  resume(): void {
    this.duplex.resume()
  }

  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    const { duplex } = this
    // who reads the other end may be given this very memory: only a copy is safe
    const last = chunks.length - 1
    if (last > 0) duplex.cork()
    for (let i = 0; i < last; i++) duplex.write(Bytes.copy(chunks[i]!))
    duplex.write(Bytes.copy(chunks[last]!), (error) => {
      // not from within this call: the handler counts on it
      if (error === null || error === undefined) queueMicrotask(() => this.handler.onDrain())
    })
    if (last > 0) duplex.uncork()
    return false
  }

  end(): void {
    if (!this.duplex.writableEnded) this.duplex.end()
  }

  close(): void {
    this.handler = nobody
    if (this.duplex.destroyed) return
    this.end()
    if (this.readEnded) this.destroyWhenFinished()
    else this.duplex.resume()
    this.linger = setTimeout(() => this.duplex.destroy(), lingerMillis)
  }

  /** Both directions are over: streams that do not let go by themselves are made to. */
  private destroyWhenFinished(): void {
    const { duplex } = this
    const finished = (duplex as { writableFinished?: boolean }).writableFinished
    if (finished === true) duplex.destroy()
    else duplex.on("finish", () => duplex.destroy())
  }

  abort(): void {
    this.handler = nobody
    this.reset()
  }

  /** Drops the connection at once. */
  protected reset(): void {
    this.duplex.destroy()
  }
}
