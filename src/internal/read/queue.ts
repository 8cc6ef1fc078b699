/**
 * The storage between the transport and the segments that reads look at: an Effect `Queue`, which carries the end of the
 * stream in its error channel.
 *
 * Chunks lie here as they came while no read waits, and move on all at once when a read needs more than the segments hold.
 * The end lies behind the last of them, so it can overtake nothing that came before it, be it good or bad. A read that
 * waits with nothing in front of it is given bytes and end directly, for then the queue would only be passed through.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Bytes from "../base/bytes.ts"
import { ended, type Ended, type Lost, open, type Open } from "./end.ts"
import type { Segments } from "./segments.ts"

export class ChunkQueue {
  /** Whether it may hold something: chunks, or the end. */
  filled = false
  /** Whether the feeding side has ended, here or past the queue: nothing may follow. */
  ended = false
  // made for the first chunk: an idle connection has none
  private queue: Queue.Queue<Uint8Array, Cause.Done | Lost> | undefined = undefined

  /** Appends a chunk. Returns how many there are. */
  offer(bytes: Uint8Array): number {
    const queue = this.fill()
    Queue.offerUnsafe(queue, bytes)
    return Queue.sizeUnsafe(queue)
  }

  /** Appends the end. */
  end(end: Ended | Lost): void {
    if (end._tag === "ended") Queue.endUnsafe(this.fill())
    else Queue.failCauseUnsafe(this.fill(), Cause.fail(end))
  }

  private fill(): Queue.Queue<Uint8Array, Cause.Done | Lost> {
    this.filled = true
    return (this.queue ??= Effect.runSync(Queue.unbounded<Uint8Array, Cause.Done | Lost>()))
  }

  /** Moves all chunks on. Returns the end, if it lies behind them. */
  moveTo(segments: Segments): Open | Ended | Lost {
    this.filled = false
    while (true) {
      const exit = Queue.takeUnsafe(this.queue!)
      if (exit === undefined) return open
      if (exit._tag === "Success") segments.push(exit.value)
      else {
        const reason = exit.cause.reasons[0]!
        return reason._tag === "Fail" && !Cause.isDone(reason.error) ? reason.error : ended
      }
    }
  }

  /** Removes the first chunk; there must be one. */
  take(): Uint8Array {
    const exit = Queue.takeUnsafe(this.queue!)!
    return Bytes.plain((exit as Exit.Success<Uint8Array>).value)
  }

  /** Forgets everything. */
  clear(): void {
    this.filled = false
    this.queue = undefined
  }
}
