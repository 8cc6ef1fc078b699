/** Fibers that wait on a write buffer: to write, in line; or for low water, for a flush, for the end. */

export interface Waiter {
  /** The operation, as errors name it. */
  readonly operation: string
  /** When the wait began, in milliseconds since the epoch. */
  readonly since: number
  /** Where it came in the order of all waits, once it waits. */
  order: number
  /** Whether it runs in the very call that resumes it, whatever its scheduler says. */
  readonly runsAtOnce: boolean
  /** Whether it was resumed, and has yet to run: nobody behind it writes first. */
  called: boolean
  /** Whether the wait is over, one way or the other. Not asked of those who wait to write. */
  over(): boolean
  resume(): void
}

export class Waiters {
  /** Those who wait to write, in the order in which they came. */
  toWrite: Set<Waiter> | undefined = undefined
  /** Those who wait for low water, for a flush or for the end. */
  forProgress: Set<Waiter> | undefined = undefined
  private came = 0
  /** Whether those who wait to write are being resumed, one by one. */
  private waking = false

  /** Waits in line to write; in front of the line, if the waiter was resumed in vain. */
  waitToWrite(waiter: Waiter, inFront: boolean): void {
    waiter.order = inFront ? 0 : ++this.came
    if (this.toWrite === undefined) this.toWrite = new Set([waiter])
    else if (inFront) this.toWrite = new Set([waiter, ...this.toWrite])
    else this.toWrite.add(waiter)
  }

  waitForProgress(waiter: Waiter): void {
    waiter.order = ++this.came
    if (this.forProgress === undefined) this.forProgress = new Set([waiter])
    else this.forProgress.add(waiter)
  }

  /** Leaves the line, to write or to give up. Whether those behind it are to be woken: they may have waited for it alone. */
  leave(waiter: Waiter): boolean {
    this.remove(waiter)
    return waiter.called && !this.waking && this.toWrite !== undefined
  }

  /** Gives up a wait. */
  remove(waiter: Waiter): void {
    if (this.toWrite?.delete(waiter) === true && this.toWrite.size === 0) this.toWrite = undefined
    if (this.forProgress?.delete(waiter) === true && this.forProgress.size === 0) this.forProgress = undefined
  }

  /** All who wait, in the order in which they came. */
  get all(): ReadonlyArray<Waiter> {
    if (this.isEmpty) return []
    return [...(this.toWrite ?? []), ...(this.forProgress ?? [])].sort((a, b) => a.order - b.order)
  }

  /** Whether nobody waits. */
  get isEmpty(): boolean {
    return this.toWrite === undefined && this.forProgress === undefined
  }

  /** Resumes those whose wait is over, and those who wait to write for as long as there is room. */
  wake(buffer: { readonly mustWait: boolean }): void {
    // A resumed fiber runs at once, and may write, wait, close or wake others before it returns. Those who wait to write
    // go last, because they may fill the buffer again.
    if (this.forProgress !== undefined) {
      for (const waiter of [...this.forProgress]) {
        if (this.forProgress?.has(waiter) === true && waiter.over()) {
          this.remove(waiter)
          waiter.resume()
        }
      }
    }
    while (this.toWrite !== undefined && !buffer.mustWait) {
      const waiter: Waiter = this.toWrite.values().next().value!
      if (waiter.called) return
      waiter.called = true
      if (waiter.runsAtOnce) this.remove(waiter)
      const before = this.waking
      this.waking = true
      waiter.resume()
      this.waking = before
    }
  }
}
