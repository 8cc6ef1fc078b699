/** What laws of transports are made of: two transports, and what is seen of all that they call and are called with. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Failure, Handler, Transport } from "../../../Transport.ts"
import { type Broken, broken, concat, eventually, LawViolation, notMade, within } from "./law.ts"

interface Transports {
  readonly left: Transport
  readonly right: Transport
}

/** Two connected transports, to which nobody is attached. */
type MakeTransports<E, R> = Effect.Effect<Transports, E, R | Scope.Scope>

export interface TransportLaw {
  readonly name: string
  readonly statement: string
  check<E, R>(make: MakeTransports<E, R>): Effect.Effect<void, LawViolation, Exclude<R, Scope.Scope>>
}

/** One end under observation: every call to its transport and every call from it goes through here. */
export class Observed implements Handler {
  readonly pieces: Array<Uint8Array> = []
  ends = 0
  drains = 0
  readonly closes: Array<Failure | undefined> = []
  readonly writeFailures: Array<Failure> = []
  readonly readFailures: Array<Failure> = []
  /** How often `write` answered `false`. */
  holding = 0
  /** What is done within each `onData`. */
  reaction: (() => void) | undefined = undefined
  /** The first thing that must not have happened. */
  breach: string | undefined = undefined

  private readonly transport: Transport
  /** The method of the transport that has not returned yet. */
  private inside: string | undefined = undefined
  /** The method after which there must be silence. */
  private letGo: string | undefined = undefined

  constructor(transport: Transport) {
    this.transport = transport
  }

  get received(): Uint8Array {
    return concat(this.pieces)
  }
  get size(): number {
    return this.pieces.reduce((size, piece) => size + piece.length, 0)
  }

  attach(): this {
    this.call("attach", () => this.transport.attach(this))
    return this
  }
  pause(): void {
    this.call("pause", () => this.transport.pause())
  }
  resume(): void {
    this.call("resume", () => this.transport.resume())
  }
  /** Writes, and returns once the memory is the caller's again. */
  write(...chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void, Broken> {
    return Effect.suspend(() => {
      const before = this.drains
      if (this.call("write", () => this.transport.write(chunks))) return Effect.void
      this.holding++
      return eventually(
        "onDrain after a write that returned false",
        Effect.sync(() => this.drains > before || this.writeFailures.length > 0 || this.closes.length > 0)
      )
    })
  }
  /** As `write`, where nobody is to be told. */
  writeAndForget(...chunks: ReadonlyArray<Uint8Array>): void {
    this.call("write", () => this.transport.write(chunks))
  }
  get unsent(): number | undefined {
    return this.transport.unsent
  }
  end(): void {
    this.call("end", () => this.transport.end())
  }
  close(): void {
    this.call("close", () => this.transport.close())
    this.letGo ??= "close"
  }
  abort(): void {
    this.call("abort", () => this.transport.abort())
    this.letGo ??= "abort"
  }

  /** `false` if turns are not this transport's business. */
  atEndOfTurn(task: () => void): boolean {
    this.transport.atEndOfTurn?.(task)
    return this.transport.atEndOfTurn !== undefined
  }

  private call<A>(method: string, run: () => A): A {
    this.inside = method
    try {
      return run()
    } finally {
      this.inside = undefined
    }
  }

  private told(callback: string): void {
    if (this.inside !== undefined) this.breach ??= `${callback} was called from inside ${this.inside}`
    if (this.letGo !== undefined) this.breach ??= `${callback} was called after ${this.letGo}`
    if (this.closes.length > 0) this.breach ??= `${callback} was called after onClose`
  }

  onData(bytes: Uint8Array): void {
    this.told("onData")
    if (this.ends > 0) this.breach ??= "onData was called after onEnd"
    if (this.readFailures.length > 0) this.breach ??= "onData was called after onReadFailure"
    if (bytes.length === 0) this.breach ??= "onData was called without a byte"
    this.pieces.push(bytes)
    this.reaction?.()
  }
  onEnd(): void {
    this.told("onEnd")
    if (this.readFailures.length > 0) this.breach ??= "onEnd was called after onReadFailure"
    this.ends++
    if (this.ends > 1) this.breach ??= "onEnd was called twice"
  }
  onDrain(): void {
    this.told("onDrain")
    this.drains++
    if (this.drains > this.holding) this.breach ??= "onDrain was called, and nothing had been held"
  }
  onWriteFailure(failure: Failure): void {
    this.told("onWriteFailure")
    this.writeFailures.push(failure)
  }
  onReadFailure(failure: Failure): void {
    this.told("onReadFailure")
    if (this.ends > 0) this.breach ??= "onReadFailure was called after onEnd"
    if (this.readFailures.length > 0) this.breach ??= "onReadFailure was called twice"
    this.readFailures.push(failure)
  }
  onClose(failure: Failure | undefined): void {
    this.told("onClose")
    if (failure === undefined && this.ends === 0) this.breach ??= "onClose told of a good order before onEnd"
    this.closes.push(failure)
  }
}

interface Observation {
  readonly a: Observed
  readonly b: Observed
}

/** Two transports, in the order of the direction that is checked. */
interface Bare {
  readonly a: Transport
  readonly b: Transport
}

export const law = (
  name: string,
  statement: string,
  body: (
    observe: Effect.Effect<Observation, Broken, Scope.Scope>,
    bare: Effect.Effect<Bare, Broken, Scope.Scope>
  ) => Effect.Effect<void, Broken, Scope.Scope>
): TransportLaw => ({
  name,
  statement,
  check: <E, R>(make: MakeTransports<E, R>) =>
    Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
      const way = (direction: string, order: (pair: Transports) => readonly [Transport, Transport]) => {
        let ends: ReadonlyArray<Observed> = []
        const bare = within("making the transports", make).pipe(
          Effect.catchCause((cause) => notMade("transports", cause)),
          Effect.tap(({ left, right }) =>
            Effect.addFinalizer(() =>
              Effect.sync(() => {
                left.abort()
                right.abort()
              })
            )
          ),
          Effect.map((pair) => {
            const [a, b] = order(pair)
            return { a, b }
          }),
          Effect.provideContext(context as Context.Context<any>)
        ) as Effect.Effect<Bare, Broken, Scope.Scope>
        const observe = Effect.map(bare, (bare) => {
          const [a, b] = [new Observed(bare.a), new Observed(bare.b)]
          ends = [a, b]
          return { a, b }
        })
        // what was breached says more than what came of it
        const breach = Effect.suspend(() => {
          const found = ends.find((end) => end.breach !== undefined)?.breach
          return found === undefined ? Effect.void : broken(found)
        })
        return Effect.scoped(body(observe, bare)).pipe(
          Effect.matchEffect({
            onSuccess: () => breach,
            onFailure: (failure) => Effect.andThen(breach, Effect.fail(failure))
          }),
          Effect.catchDefect((defect) => broken(`died: ${String(defect)}`)),
          Effect.mapError(({ found }) => new LawViolation({ law: name, statement, found: `${direction}${found}` }))
        )
      }
      return Effect.all(
        [way("", ({ left, right }) => [left, right]), way("from right to left: ", ({ left, right }) => [right, left])],
        { concurrency: 2, discard: true }
      )
    })
})
