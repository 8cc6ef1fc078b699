/**
 * A connection that this side has closed, while its peer has not.
 *
 * What still arrives is thrown away for a while. A system that is given input for a socket that is gone says so, with a
 * reset where it has one, and that may destroy what the peer has yet to receive; and many a program whose write has
 * failed reads no more, although the answer is there. So the socket stays for as long as what was sent could be at risk.
 * The process does not stay for it, unless the peer speaks: it may be in the middle of something, and read afterwards.
 */
import type { Handler } from "../../Transport.ts"
import { afterRound } from "../runtime/deadline.ts"
import { lingerMillis, listenMillis, quietMillis } from "../base/defaults.ts"

/** What lingers. */
export interface Lingering {
  /** Whether the peer had spoken, and was not listened to. */
  readonly heard: boolean
  /** Whether all that was sent lies with the peer, and no reset can come behind it: a silent peer is not waited for. */
  readonly safe: boolean
  /** Whether the process has to stay for it. It has to in the beginning. */
  holdProcess(held: boolean): void
  /** Lets go of it. Called once, unless it is `over` before. */
  letGo(): void
}

/** The handler of a transport that was closed. */
export class Linger implements Handler {
  private readonly what: Lingering
  private readonly bound: ReturnType<typeof setTimeout>
  private quiet: ReturnType<typeof setTimeout> | undefined = undefined
  /** Something was said since it was looked at last. */
  private heard: boolean
  private held = true
  private sent = false
  /** It was looked at once everything had been sent. */
  private listening = false
  private released = false
  private ended = false

  constructor(what: Lingering) {
    this.what = what
    this.heard = what.heard
    // not before what came while the event loop stood still was thrown away as well
    this.bound = setTimeout(() => afterRound(() => this.end()), lingerMillis)
  }

  /** The system has everything that was sent, and the end behind it. */
  everythingSent(): void {
    if (this.sent) return
    this.sent = true
    this.listenSoon()
  }

  private listenSoon(): void {
    afterRound(() => this.listen())
  }

  /** The owner is done with it: it stays only for a peer that speaks. */
  release(): void {
    this.released = true
    if (this.listening && !this.held) this.end()
  }

  /** It is gone. */
  over(): void {
    this.ended = true
    clearTimeout(this.bound)
    clearTimeout(this.quiet)
  }

  private end(): void {
    if (this.ended) return
    this.over()
    this.what.letGo()
  }

  private listen(): void {
    if (this.ended) return
    const { heard, listening } = this
    this.heard = false
    this.listening = true
    if (!heard && (this.released || (listening && this.what.safe))) return this.end()
    this.quiet = undefined
    if (heard) this.listenFor(quietMillis)
    else if (this.what.safe) this.listenFor(listenMillis)
    this.hold(heard)
  }

  private listenFor(millis: number): void {
    this.quiet = setTimeout(() => this.listenSoon(), millis)
  }

  private hold(held: boolean): void {
    if (held !== this.held) {
      this.held = held
      this.what.holdProcess(held)
    }
    for (const timer of [this.bound, this.quiet] as ReadonlyArray<{ ref?(): void; unref?(): void } | undefined>) {
      if (held) timer?.ref?.()
      else timer?.unref?.()
    }
  }

  onData(): void {
    this.heard = true
    if (this.ended || !this.listening || this.held) return
    if (this.quiet === undefined) this.listenFor(quietMillis)
    this.hold(true)
  }
  onEnd(): void {}
  onDrain(): void {}
  onWriteFailure(): void {}
  onClose(): void {
    this.over()
  }
}
