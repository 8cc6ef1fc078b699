/** Each write as an operation on a `WriteBuffer`: when it is accepted, what it waits for, how it fails. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { EncodeFailed, WriteError } from "../../StreamError.ts"
import type { Node } from "../frame/node.ts"
import { encoded, encodeFailed } from "../frame/run.ts"
import { ClosedStream } from "../base/errors.ts"
import * as Argument from "../base/argument.ts"
import { notNow, Operation } from "../runtime/operation.ts"
import { handOver, interrupted, nothing, resume, runsAtOnce, suspend } from "../runtime/effectInternals.ts"
import type { Waiter } from "./waiters.ts"
import type { WriteBuffer } from "./writeBuffer.ts"

const exitVoid: Exit.Exit<void> = Exit.void

/** A fiber that waits, and runs in the very call that resumes it. */
class FiberWaiter implements Waiter {
  readonly operation: string
  readonly since: number
  order = 0
  readonly runsAtOnce = true
  called = false
  readonly over: () => boolean
  private readonly buffer: WriteBuffer
  private readonly fiber: Fiber.Fiber<any, any>
  private readonly next: () => Effect.Effect<void, unknown>
  private waits = true

  constructor(
    buffer: WriteBuffer,
    operation: string,
    fiber: Fiber.Fiber<any, any>,
    since: number,
    over: () => boolean,
    next: () => Effect.Effect<void, unknown>
  ) {
    this.buffer = buffer
    this.operation = operation
    this.since = since
    this.fiber = fiber
    this.over = over
    this.next = next
  }

  resume(): void {
    this.waits = false
    resume(this.fiber, this.next())
  }

  /** The step that begins the wait ends with this. An interruption of the fiber gives the wait up. */
  begin(): Effect.Effect<never> {
    return suspend(this.fiber, () => {
      if (!this.waits) return
      this.waits = false
      this.buffer.waiters.remove(this)
    })
  }
}

/** Waits on the buffer until the wait is `over`, and goes on with what `next` makes then. */
const wait = <E>(
  buffer: WriteBuffer,
  operation: string,
  fiber: Fiber.Fiber<any, any>,
  since: number,
  add: (waiter: Waiter) => void,
  over: () => boolean,
  next: () => Effect.Effect<void, E>
): Effect.Effect<void, E> => {
  if (runsAtOnce(fiber)) {
    const waiter = new FiberWaiter(buffer, operation, fiber, since, over, next)
    add(waiter)
    return waiter.begin()
  }
  return Effect.callback<void, E>((resume) => {
    // others may have run since
    if (over()) return resume(next())
    const waiter: Waiter = {
      operation,
      since,
      order: 0,
      runsAtOnce: false,
      called: false,
      over,
      resume: () => resume(next())
    }
    add(waiter)
    return Effect.sync(() => buffer.leave(waiter))
  })
}

abstract class WriteOperation<E = never> extends Operation<void, WriteError | E> {
  // declared only: an object that is made for each call would pay for the definition of each field
  declare readonly buffer: WriteBuffer
  abstract readonly name: string
  constructor(buffer: WriteBuffer) {
    super()
    this.buffer = buffer
  }

  /** The failure of using a stream that is over for writing. */
  protected failure(): Exit.Exit<never, WriteError> | undefined {
    const { broken, ending } = this.buffer
    if (broken !== undefined) return Exit.fail(broken(this.name))
    return ending === undefined ? undefined : Exit.fail(new ClosedStream({ operation: this.name, reason: ending }))
  }
}

/** A write in line. */
interface Place {
  /** When the wait began. */
  readonly since: number
  /** Stands in the line for this write, once it does. */
  waiter: Waiter | undefined
  /** How much there was to write. */
  readonly size: number
}

/** What is written in one run: bytes, text, or several of them. */
abstract class Accepting<E = never> extends WriteOperation<E> {
  /** Takes all of it, or fails, and takes nothing. */
  protected abstract accept(): Exit.Exit<never, WriteError | E> | void

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<void, WriteError | E> {
    return this.attempt(fiber, undefined)
  }

  /** How much memory of the caller's there is to write, as far as that is known. */
  protected get size(): number {
    return 0
  }

  /**
   * Makes what `accept` takes, if code of others has yet to make it. On public API alone that is called in a step before the
   * one that takes it: it may interrupt the fiber that writes. Whether it was.
   */
  prepare?(fiber: Fiber.Fiber<any, any>): boolean

  /** Whether it is this write's turn, and there is room. */
  private mayGo(waited: boolean): boolean {
    return waited ? !this.buffer.mustWait : this.buffer.open
  }

  /** `before`: where this fiber has waited in line, if it has; then nobody else may go first. */
  attempt(fiber: Fiber.Fiber<any, any>, before: Place | undefined): Effect.Effect<void, WriteError | E> {
    const { buffer } = this
    if (before?.waiter !== undefined) buffer.leave(before.waiter)
    if (interrupted(fiber)) return nothing(fiber)
    const failure = this.failure()
    if (failure !== undefined) return failure
    const waited = before !== undefined
    if (waited && this.size < before.size) return Exit.die(taken(this.name))
    if (this.mayGo(waited)) {
      // whoever is interrupted by what is called meanwhile learns first that this was accepted
      return handOver(this.accept() ?? exitVoid, fiber)
    }
    const place = before ?? { since: buffer.now, waiter: undefined, size: this.size }
    return wait(
      buffer,
      this.name,
      fiber,
      place.since,
      (waiter) => {
        buffer.waiters.waitToWrite(waiter, place.waiter !== undefined)
        place.waiter = waiter
      },
      // there is room, or no stream any more
      () => this.mayGo(waited) || this.failure() !== undefined,
      () => new AfterWait(this, place)
    )
  }
}

/** A fiber that has waited runs this when its turn to write has come. */
class AfterWait<E> extends Operation<void, WriteError | E> {
  readonly write: Accepting<E>
  private readonly place: Place
  constructor(write: Accepting<E>, place: Place) {
    super()
    this.write = write
    this.place = place
  }
  tryNow(): typeof notNow {
    return notNow
  }
  prepare(fiber: Fiber.Fiber<any, any>): boolean {
    return this.write.prepare?.(fiber) === true
  }
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<void, WriteError | E> {
    return this.write.attempt(fiber, this.place)
  }
}

/** What was made in a step of this fiber, for its next one to take. */
interface Made<A> {
  readonly fiber: Fiber.Fiber<any, any>
  readonly made: A
}

const taken = (operation: string): TypeError =>
  new TypeError(`${operation}: an array was detached or has shrunk while it waited to be written`)

/** `write` */
export class Write extends Accepting {
  get name() {
    return "write"
  }
  declare readonly data: Uint8Array | string
  constructor(buffer: WriteBuffer, data: Uint8Array | string) {
    super(buffer)
    this.data = data
  }
  protected override get size() {
    return this.data.length
  }
  tryNow(): void | typeof notNow {
    // nothing takes no room, so that a loop of it would never let others run
    return this.buffer.open && this.data.length > 0 ? this.accept() : notNow
  }
  protected accept(): void {
    if (typeof this.data === "string") this.buffer.appendText(this.data)
    else this.buffer.append(this.data)
  }
}

/** `write`, of memory that is the caller's again once it is accepted. */
export class WriteCopy extends Write {
  declare readonly data: Uint8Array
  /** Whether it is no longer the caller's to write, whatever becomes of the fiber. */
  accepted = false
  protected override accept(): void {
    this.buffer.appendCopy(this.data)
    this.accepted = true
  }
}

/** `writeAll` */
export class WriteAll extends Accepting {
  get name() {
    return "writeAll"
  }
  declare readonly chunks: Iterable<Uint8Array | string>
  declare private made: Made<ReadonlyArray<Uint8Array | string>> | undefined
  constructor(buffer: WriteBuffer, chunks: Iterable<Uint8Array | string>) {
    super(buffer)
    this.chunks = chunks
  }
  protected override get size() {
    // also of arrays that are still to be converted
    const chunks: unknown = this.chunks
    return Array.isArray(chunks) ? chunks.reduce<number>((size, chunk) => size + (chunk?.length ?? 0), 0) : 0
  }
  tryNow(): void | typeof notNow {
    const { buffer, chunks } = this
    // as with `write`: nothing takes no room, and a write that has to fail does so where it is run
    return buffer.open && Array.isArray(chunks) && buffer.appendRun(chunks) ? undefined : notNow
  }
  override prepare(fiber: Fiber.Fiber<any, any>): boolean {
    if (this.buffer.isOver || this.buffer.mustWait) return false
    if (this.made?.fiber === fiber || areChunks(this.chunks)) return false
    this.made = { fiber, made: checkedChunks(this.name, this.chunks) }
    return true
  }
  protected accept(): Exit.Exit<never, WriteError> | void {
    const { made } = this
    if (made !== undefined) this.made = undefined
    const chunks = made?.made ?? checkedChunks(this.name, this.chunks)
    // what makes the chunks may have ended the stream
    const failure = this.failure()
    if (failure !== undefined) return failure
    this.buffer.appendAll(chunks)
  }
}

/** All are checked before the first is accepted: one run, or nothing. */
export const checkedChunks = (
  operation: string,
  chunks: Iterable<Uint8Array | string>
): ReadonlyArray<Uint8Array | string> =>
  areChunks(chunks)
    ? chunks
    : Array.from(Argument.iterable(operation, chunks), (chunk) =>
        typeof chunk === "string" ? chunk : Argument.bytes(operation, chunk)
      )

/** Whether it is an array in which nothing has to be converted, and nothing is missing. */
const areChunks = (chunks: Iterable<unknown>): chunks is ReadonlyArray<Uint8Array | string> => {
  if (!Array.isArray(chunks)) return false
  for (let i = 0; i < chunks.length; i++) {
    if (typeof chunks[i] !== "string" && !(chunks[i] instanceof Uint8Array)) return false
  }
  return true
}

/** `writeFrame` and `writeFrames` */
export class WriteFrames<A> extends Accepting<EncodeFailed> {
  readonly name: string
  declare private readonly node: Node<A>
  declare private readonly values: Iterable<A>
  declare private made: Made<Uint8Array | { readonly fault: unknown }> | undefined
  constructor(buffer: WriteBuffer, name: string, node: Node<A>, values: Iterable<A>) {
    super(buffer)
    this.name = name
    this.node = node
    this.values = values
  }
  tryNow(): void | typeof notNow {
    const { buffer, node, values } = this
    if (!buffer.open || !Array.isArray(values) || values.length === 0) return notNow
    // what cannot be written fails where it is run
    return buffer.appendFrames(node, values) === undefined ? undefined : notNow
  }
  override prepare(fiber: Fiber.Fiber<any, any>): boolean {
    if (this.buffer.isOver || this.buffer.mustWait || this.made?.fiber === fiber) return false
    this.made = { fiber, made: encoded(this.node, Array.from(this.values)) }
    return true
  }
  protected accept(): Exit.Exit<never, WriteError | EncodeFailed> | void {
    const { made } = this
    let thrown: { readonly fault: unknown } | undefined
    if (made === undefined) thrown = this.buffer.appendFrames(this.node, Array.from(this.values))
    else {
      this.made = undefined
      if (made.made instanceof Uint8Array) return this.buffer.append(made.made)
      thrown = made.made
    }
    // an encoder may have ended the stream
    if (thrown !== undefined) return this.failure() ?? Exit.fail(encodeFailed(this.name, this.node, thrown.fault))
  }
}

/** Waits on the buffer, as one of many, until `settle` has a result. */
const waitForProgress = (
  { buffer, name }: { readonly buffer: WriteBuffer; readonly name: string },
  fiber: Fiber.Fiber<any, any>,
  settle: () => Exit.Exit<void, WriteError> | undefined
): Effect.Effect<void, WriteError> => {
  const already = settle()
  if (already !== undefined) return already
  return wait(
    buffer,
    name,
    fiber,
    buffer.now,
    (waiter) => buffer.waiters.waitForProgress(waiter),
    () => settle() !== undefined,
    () => settle() ?? exitVoid
  )
}

/** `drain` */
export class Drain extends WriteOperation {
  get name() {
    return "drain"
  }
  tryNow(): void | typeof notNow {
    const { buffer } = this
    return !buffer.isOver && !buffer.mustWait ? undefined : notNow
  }
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<void, WriteError> {
    const { buffer } = this
    return waitForProgress(this, fiber, () => {
      // bytes that were written before `writeEof` may still be waited for
      if (buffer.broken !== undefined || (buffer.ending !== undefined && buffer.ending !== "Eof")) return this.failure()
      return buffer.paused || buffer.mustWait ? undefined : exitVoid
    })
  }
}

/** `flush`, also as a part of another operation. */
export class Flush extends WriteOperation {
  readonly name: string
  constructor(buffer: WriteBuffer, name = "flush") {
    super(buffer)
    this.name = name
  }
  tryNow(): typeof notNow {
    return notNow
  }
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<void, WriteError> {
    const { buffer } = this
    if (buffer.broken !== undefined || (buffer.ending !== undefined && buffer.ending !== "Eof")) return this.failure()!
    const target = buffer.accepted
    buffer.flush()
    return waitForProgress(this, fiber, () => {
      if (buffer.accepted - buffer.buffered >= target) return exitVoid
      return buffer.broken === undefined ? undefined : Exit.fail(buffer.broken(this.name))
    })
  }
}

/** `writeEof` */
export class WriteEof extends WriteOperation {
  get name() {
    return "writeEof"
  }
  tryNow(): typeof notNow {
    return notNow
  }
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<void, WriteError> {
    const { buffer } = this
    if (buffer.ending === "Upgraded") return this.failure()!
    // as in CPython: once this side has closed there is nothing more to end
    if (buffer.ending !== undefined && buffer.ending !== "Eof") return exitVoid
    if (buffer.broken === undefined) buffer.end("Eof")
    return waitForProgress(this, fiber, () => {
      if (buffer.ended) return exitVoid
      return buffer.broken === undefined ? undefined : Exit.fail(buffer.broken(this.name))
    })
  }
}
