/** Parts of a reader: the next so many bytes, as a stream or as a reader of their own. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type { ReadError } from "../../StreamError.ts"
import type { StreamReader } from "../../StreamReader.ts"
import * as Argument from "../base/argument.ts"
import * as Bytes from "../base/bytes.ts"
import { ClosedStream, ConnectionLost, IncompleteRead } from "../base/errors.ts"
import { blockBytes } from "../base/defaults.ts"
import { notNow } from "../runtime/operation.ts"
import type { Apart } from "./arrived.ts"
import { open } from "./end.ts"
import { ReadBuffer, type WaitingRead } from "./readBuffer.ts"
import { ReadOperation, type Source } from "./readOperation.ts"
import { BufferReader } from "./reader.ts"

const cutShort = (operation: string, count: number): IncompleteRead =>
  new IncompleteRead({ operation, partial: Bytes.empty, expected: count })

/** The next bytes, a piece at a time: what was taken is handed over in the step that takes it. */
class Take extends ReadOperation<readonly [Uint8Array], ReadError | IncompleteRead | Cause.Done> {
  private left: number
  constructor(source: Source, count: number) {
    super(source, count)
    this.left = count
  }
  get name() {
    return "take"
  }
  override get framed() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  ready(): boolean {
    return this.left === 0 || this.buffer.segments.length > 0 || this.over()
  }
  settle(): Exit.Exit<readonly [Uint8Array], ReadError | IncompleteRead | Cause.Done> | undefined {
    const { buffer, left } = this
    const { segments } = buffer
    if (left === 0) return Exit.fail(Cause.Done())
    if (segments.length > 0) {
      const size = Math.min(left, segments.end - segments.position)
      this.left -= size
      return Exit.succeed([buffer.take(size)])
    }
    return this.broken() ?? (this.over() ? Exit.fail(cutShort(this.name, this.count)) : undefined)
  }
}

/** The next `count` bytes, as they come. */
export const take = (
  reader: StreamReader,
  count: number
): Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, ReadError | IncompleteRead> => {
  let left = Argument.count("take", "count", count)
  if (reader instanceof BufferReader) return new Take(reader, left)
  // a reader of somebody else's making
  return Effect.suspend((): Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, ReadError | IncompleteRead> => {
    if (left === 0) return Cause.done()
    return Effect.flatMap(reader.read(Math.min(left, blockBytes)), (bytes) => {
      if (bytes.length === 0) return Effect.fail(cutShort("take", count))
      left -= bytes.length
      return Effect.succeed([bytes] as const)
    })
  })
}

const nothing = (): void => {}
const still = { pause: nothing, resume: nothing }

/** Holds what was moved over from the reader that it is a part of: never more than the part has. */
class PartBuffer extends ReadBuffer implements Apart {
  private readonly whole: ReadBuffer
  private readonly total: number
  /** How many bytes of the part the other still has, or has yet to get. */
  private left: number
  reading: WaitingRead<any, any> | undefined = undefined

  constructor(whole: ReadBuffer, count: number) {
    super(whole.limit, still, whole.backpressure)
    this.whole = whole
    this.total = count
    this.left = count
    if (count === 0) this.feedEnd()
    // a read of the part waits in the whole, and is in the way of others there and here; who reads on behind the part is not
    Object.defineProperty(this, "operation", {
      get: () =>
        this.reading ?? (this.left > 0 || this.awaits ? (whole.operation ?? this.sibling?.reading) : undefined),
      set: (operation: WaitingRead<any, any> | undefined) => {
        this.reading = operation
        if (this.left > 0) whole.operation = operation
      }
    })
  }

  /** Another part of the same reader, which was read last. */
  private get sibling(): Apart | undefined {
    const { apart } = this.whole
    return apart === this ? undefined : apart
  }

  override get readable(): number {
    if (this.isClosed) return 0
    // what has come of a line that is dropped here is not to be read
    if (this.discarding > 0) this.absorb()
    return this.size + Math.min(this.left, this.whole.readable + (this.sibling?.unread ?? 0))
  }

  /** Waits in the other reader. */
  override wait<A, E>(operation: WaitingRead<A, E>): Effect.Effect<A, E> {
    return new Move(this.whole, this, operation) as Effect.Effect<A, E>
  }

  override failWaiting(error: (operation: string) => ReadError): boolean {
    return this.whole.failWaiting(error)
  }

  /** Whether a read waits that is one of this part, or of a part of it. */
  private get awaits(): boolean {
    const { operation } = this.whole
    return operation instanceof Move && operation.isOf(this)
  }

  override absorb(): void {
    // what lies there while another's read waits is that one's
    const isFree = this.awaits || (this.whole.operation === undefined && this.sibling?.reading === undefined)
    if (this.left > 0 && isFree && !this.isClosed) this.move()
    super.absorb()
  }

  /** Takes over what the other has of the part, and its end. */
  private move(): void {
    const { whole } = this
    whole.absorb()
    // what another part has taken ahead comes before all that is there: how it was cut must not tell whose it is
    this.sibling?.untake()
    const { end, segments } = whole
    whole.apart = this
    while (this.left > 0 && segments.length > 0) {
      const size = Math.min(this.left, segments.end - segments.position)
      this.left -= size
      whole.pass(size, this)
    }
    if (this.left === 0) this.feedEnd()
    else if (end._tag === "lost") this.feedLoss(end.loss)
    else if (end._tag === "ended") {
      // a part that was cut off must not look complete
      const cause = cutShort("limited", this.total)
      this.feedLoss((operation) => new ConnectionLost({ operation, kind: "Unknown", cause }))
    }
  }

  override feed(bytes: Uint8Array): void {
    this.received += bytes.length
    if (this.discarding > 0) bytes = this.discard(bytes)
    if (bytes.length === 0) return
    this.backpressure.added(bytes.length)
    this.segments.push(bytes)
  }

  untake(): void {
    this.apart?.untake()
    const { whole } = this
    const pieces = this.segments.takeAll()
    const count = this.putBackInFront(pieces)
    if (count === 0) return
    if (this.left === 0) this.reopen()
    this.left += count
    this.received -= count
    this.partial = undefined
    this.searched = 0
    // they count here until then: in between a shared budget would have room
    this.backpressure.removed(count)
    if (whole.apart === this) whole.apart = undefined
  }

  /** Puts pieces back into the other. Returns how many bytes they have. */
  private putBackInFront(pieces: ReadonlyArray<Uint8Array>): number {
    let count = 0
    for (let i = pieces.length - 1; i >= 0; i--) {
      const piece = pieces[i]!
      count += piece.length
      if (piece.length > 0) this.whole.putBack(piece)
    }
    return count
  }

  /** Its end was behind all of its bytes: there are some to come again. */
  private reopen(): void {
    this.queue.clear()
    this.queue.ended = false
    this.end = open
  }

  /** A part that was read to its end has ended in good order. */
  cut(reason: ClosedStream["reason"]): void {
    if (this.left > 0 || this.unread > 0) this.close(reason)
  }

  /** What was moved over and not read goes back, in front of what follows. */
  giveBack(reason: ClosedStream["reason"]): void {
    this.apart?.giveBack(reason)
    // what has come of a line that is dropped here goes with it
    if (this.discarding > 0) this.absorb()
    const pieces = this.segments.takeAll()
    const { whole } = this
    if (whole.apart === this) whole.apart = undefined
    if (!whole.isClosed) this.putBackInFront(pieces)
    // they count here until then: in between a shared budget would have room
    this.close(reason)
  }

  /** The part is left. A fiber that waits in it wakes last: it may read on in the other reader. */
  leave(): void {
    const { awaits, whole } = this
    whole.backpressure.defer()
    this.giveBack("Closed")
    whole.backpressure.decide(true)
    if (awaits) whole.failWaiting((operation) => new ClosedStream({ operation, reason: "Closed" }))
  }
}

/** A read of a part, as it waits in the reader that has the bytes: once, until it is over. */
class Move<A, E> extends ReadOperation<A, E> {
  readonly name: string
  declare private readonly part: PartBuffer
  declare private readonly operation: WaitingRead<A, E>
  constructor(whole: ReadBuffer, part: PartBuffer, operation: WaitingRead<A, E>) {
    super({ buffer: whole, bound: operation.bound })
    this.part = part
    this.operation = operation
    this.name = operation.name
  }
  /** The part is of a message: any wait within it is one for the rest. */
  override get framed() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  override threshold(): number {
    return this.operation.threshold()
  }
  /** Whether it is a read of this part, or of a part of it. */
  isOf(part: PartBuffer): boolean {
    return this.part === part || (this.operation instanceof Move && this.operation.isOf(part))
  }
  /** What belongs to the part moves there, where it is as safe: none of it is taken by this read before it is over. */
  ready(): boolean {
    if (this.buffer.isClosed) return true
    this.part.absorb()
    return this.part.isClosed || this.operation.ready()
  }
  settle(): Exit.Exit<A, E | ReadError> | undefined {
    return this.buffer.isClosed ? this.broken() : this.part.settle(this.operation)
  }
}

/** A reader of the next `count` bytes, and of nothing else. */
export const limited = (reader: StreamReader, count: number): Effect.Effect<StreamReader, never, Scope.Scope> =>
  Effect.suspend(() => {
    const size = Argument.count("limited", "count", count)
    if (!(reader instanceof BufferReader)) throw new TypeError("limited: expected a reader of this library")
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new PartBuffer(reader.buffer, size)),
        (part) => Effect.sync(() => part.leave())
      ),
      (part) => new BufferReader(part, reader.bound)
    )
  })
