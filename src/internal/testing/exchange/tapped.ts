/** A transport that also tells somebody else when it is over. */
import type { ConnectionInfo, Handler, Transport } from "../../../Transport.ts"

export class Tapped implements Transport {
  private readonly inner: Transport
  private readonly over: () => void
  readonly atEndOfTurn: Transport["atEndOfTurn"]

  /** `over` is called before the handler is told of the end of the input, of a failure, or of the end of everything. */
  constructor(inner: Transport, over: () => void) {
    this.inner = inner
    this.over = over
    this.atEndOfTurn = inner.atEndOfTurn?.bind(inner)
  }

  get info(): ConnectionInfo {
    return this.inner.info
  }
  attach(handler: Handler): void {
    this.inner.attach({
      onData: (bytes) => handler.onData(bytes),
      onDrain: () => handler.onDrain(),
      onEnd: () => {
        this.over()
        handler.onEnd()
      },
      onWriteFailure: (failure) => {
        this.over()
        handler.onWriteFailure(failure)
      },
      onClose: (failure) => {
        this.over()
        handler.onClose(failure)
      }
    })
  }
  pause(): void {
    this.inner.pause()
  }
  resume(): void {
    this.inner.resume()
  }
  write(chunks: ReadonlyArray<Uint8Array>): boolean {
    return this.inner.write(chunks)
  }
  end(): void {
    this.inner.end()
  }
  close(unread?: boolean): void {
    this.inner.close(unread)
  }
  abort(): void {
    this.inner.abort()
  }
}
