/**
 * `maxConnections` and `overflow`: who is served, who waits for a place, and who is turned away.
 *
 * A client that waits has a session, whose handler has yet to begin. What it says is read up to the limit of a connection,
 * which is also how its end is seen. A client that has ended its output has probably left. It may still be served, for it
 * may have asked for something and read on; but it comes after all that are there for sure, and is the first to go where
 * room is needed.
 */
import { type Member, Members } from "../base/members.ts"
import type { SessionConnection } from "../session/connection.ts"
import type { Closed } from "../../Connection.ts"

interface Client<C> extends Member<C> {
  readonly connection: SessionConnection
}

class Waiting<C extends Client<C>> implements Member<Waiting<C>> {
  place: Members<any> | undefined = undefined
  before: Waiting<C> | undefined = undefined
  after: Waiting<C> | undefined = undefined
  readonly client: C
  /** Begins to serve it, soon, and in the async context in which it was accepted. */
  readonly admit: () => void

  constructor(client: C, admitted: (client: C) => void) {
    this.client = client
    // What follows a promise runs in the async context that was there when `then` was called, and not in that of the call
    // that resolves it: here the context of the accept, and not that of the client before, whose end makes the place free.
    // No other means is free of Node.
    const { promise, resolve } = Promise.withResolvers<void>()
    this.admit = resolve
    void promise.then(() => admitted(client))
  }
}

export class Places<C extends Client<C>> {
  /** Those who have a place: their handler runs, or their connection is being closed. */
  readonly active = new Members<C>()
  /** How many were turned away. */
  rejected = 0
  private readonly maxConnections: number
  /** How many may wait. */
  private readonly maxWaiting: number
  /** Those who wait, in the order in which they came. */
  private readonly present = new Members<Waiting<C>>()
  /**
   * Those who have ended their output, or whose connection is lost behind something that they said, in the order in which
   * that happened.
   */
  private readonly departed = new Members<Waiting<C>>()

  constructor(maxConnections: number, maxWaiting: number) {
    this.maxConnections = maxConnections
    this.maxWaiting = maxWaiting
  }

  // ------------------------------------------------------------------------
  // places
  // ------------------------------------------------------------------------

  /** Whether a client that comes is served at once. */
  get free(): boolean {
    return this.active.size < this.maxConnections
  }

  /** A place is the client's from now on. */
  take(client: C): void {
    this.active.add(client)
  }

  /** A place is free: each that is goes to the next client that waits. `enter` is told before that is served. */
  leave(client: C, enter: (client: C) => void): void {
    this.active.delete(client)
    while (this.free) {
      const next = this.present.first ?? this.departed.first
      if (next === undefined) return
      this.remove(next)
      enter(next.client)
      next.admit()
    }
  }

  // ------------------------------------------------------------------------
  // waiting for one
  // ------------------------------------------------------------------------

  /** Those who have a place, and then those who wait for one. */
  get all(): ReadonlyArray<C> {
    return [...this.active, ...Array.from([...this.present, ...this.departed], (waiting) => waiting.client)]
  }

  /** How many wait. Those who have left do not. */
  get waiting(): number {
    return this.present.size
  }

  /** Whether one more may wait; those who have left make room. Otherwise the client that comes is turned away. */
  makeRoom(): boolean {
    if (this.present.size >= this.maxWaiting) {
      this.rejected++
      return false
    }
    if (this.present.size + this.departed.size >= this.maxWaiting) this.drop(this.departed.first!)
    return true
  }

  /** `admitted` is called when the client's turn has come. */
  wait(client: C, admitted: (client: C) => void): void {
    const waiting = new Waiting(client, admitted)
    this.present.add(waiting)
    client.connection.session.onClosed((closed) => this.departs(waiting, closed))
  }

  /** Resets all that wait. */
  clear(): void {
    for (const waiting of [...this.present, ...this.departed]) this.drop(waiting)
  }

  private departs(waiting: Waiting<C>, closed: Closed): void {
    this.present.delete(waiting)
    if (closed._tag === "PeerEof" || waiting.client.connection.session.reads.size > 0) this.departed.add(waiting)
    else this.drop(waiting)
  }

  private drop(waiting: Waiting<C>): void {
    this.remove(waiting)
    waiting.client.connection.session.abortNow()
  }

  private remove(waiting: Waiting<C>): void {
    this.present.delete(waiting)
    this.departed.delete(waiting)
    waiting.client.connection.session.onClosed(undefined)
  }
}
