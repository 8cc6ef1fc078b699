/**
 * Programs of thousands of immediate reads and writes, interrupted exactly where Effect's own scheduler lets others run.
 *
 * A fiber yields once it has run so many steps. The scheduler here is Effect's own but for when it goes on, which is the
 * program's to say: where a fiber has yielded it is interrupted, or not, and another goes on in its place.
 */
import { Cause, Effect, Exit, Scheduler, Scope } from "effect"
import * as StreamReader from "../../src/StreamReader.ts"
import type * as StreamWriter from "../../src/StreamWriter.ts"
import * as TestNetwork from "../../src/testing/TestNetwork.ts"
import * as fc from "fast-check"

interface Act {
  readonly name: "read" | "readInto" | "readExactly" | "readOption" | "readLine" | "pull" | "peek" | "write"
  /** Bytes, where a number is asked for. */
  readonly count: number
}

export interface Program {
  /** What the bytes come from: fed by hand, or written to the other end of a pair by the fiber that reads them. */
  readonly over: "made" | "pair"
  /** What is done, over and over. */
  readonly acts: ReadonlyArray<Act>
  /** Whether reads are run by `yield*`, which answers past the fiber, or as effects. */
  readonly inGenerator: boolean
  /** Steps in front of the first act, so that yields fall everywhere. */
  readonly offset: number
  /** Whether a fiber that has yielded is interrupted, over and over. */
  readonly interrupts: ReadonlyArray<boolean>
  readonly bytes: number
}

export interface Outcome {
  readonly interruptions: number
  readonly bytes: number
}

const acts = fc.record<Act>({
  name: fc.constantFrom("read", "readInto", "readExactly", "readOption", "readLine", "pull", "peek", "write"),
  count: fc.integer({ min: 1, max: 5 })
})

export const programs: fc.Arbitrary<Program> = fc.record<Program>({
  over: fc.constantFrom("made", "made", "made", "pair"),
  acts: fc.array(acts, { minLength: 1, maxLength: 6 }),
  inGenerator: fc.boolean(),
  offset: fc.nat({ max: 40 }),
  interrupts: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
  bytes: fc.integer({ min: 1000, max: 8000 })
})

/** The stream: no few bytes of it come twice in a row, and every ninth or so ends a line. */
const at = (position: number): number => {
  const mixed = (Math.imul(position + 1, 2654435761) >>> 13) & 0xff
  return mixed < 28 ? 10 : mixed
}
const part = (from: number, count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => at(from + i))

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))

class Run {
  interruptions = 0
  private received = 0
  private written = 0
  /** Behind the write that is under way: it may be accepted, and its fiber gone. */
  private writing = 0
  private readonly program: Program
  private readonly reader: StreamReader.StreamReader
  private readonly writer: StreamWriter.StreamWriter | undefined

  constructor(program: Program, reader: StreamReader.StreamReader, writer: StreamWriter.StreamWriter | undefined) {
    this.program = program
    this.reader = reader
    this.writer = writer
    if (writer === undefined) this.written = this.writing = program.bytes
  }

  private readonly take = (bytes: Uint8Array): void => {
    for (const byte of bytes) {
      if (byte !== at(this.received)) throw new Error(`byte ${this.received} is ${byte}, not ${at(this.received)}`)
      this.received++
    }
  }

  private get done(): boolean {
    return this.received >= this.program.bytes
  }

  /** One act, with what it does with the answer; `undefined`, if it would have to wait for good. */
  private act({ count, name }: Act): readonly [Effect.Effect<any, unknown>, (answer: any) => void] | undefined {
    const { reader, take, writer, written } = this
    const left = written - this.received
    if (name === "write") {
      const size = Math.min(count, this.program.bytes - written)
      if (writer === undefined || size <= 0) return undefined
      this.writing = written + size
      return [writer.write(part(written, size)), () => (this.written = this.writing)]
    }
    if (left < count) return left > 0 ? [reader.read(left), take] : undefined
    switch (name) {
      case "read":
      case "readExactly":
        return [reader[name](count), take]
      case "readOption":
        return [reader.readOption(count), (answer) => take(answer.value)]
      case "readInto": {
        const memory = new Uint8Array(count)
        return [reader.readInto(memory), (size: number) => take(memory.subarray(0, size))]
      }
      case "readLine":
        // only where a line is bound to end
        return left < 1000 ? [reader.read(1), take] : [reader.readLine, take]
      case "pull":
        // it takes everything
        return left > 10 ? [reader.read(1), take] : [reader.pull, (pieces: Array<Uint8Array>) => pieces.forEach(take)]
      case "peek":
        return [reader.peek(count), () => {}]
    }
  }

  /** All acts, from the first one on, until everything is read. */
  get fiber(): Effect.Effect<void, unknown> {
    const all = [...this.program.acts, { name: "write", count: 5 } as const, { name: "read", count: 2 } as const]
    const steps = Effect.forEach(Array.from({ length: this.program.offset }), () => Effect.void, { discard: true })
    let next = 0
    const following = () => {
      for (let i = 0; i < all.length; i++) {
        const act = this.act(all[next++ % all.length]!)
        if (act !== undefined) return act
      }
      return undefined
    }
    const { done } = { done: () => this.done }
    if (this.program.inGenerator) {
      return Effect.gen(function* () {
        yield* steps
        while (!done()) {
          const act = following()
          if (act !== undefined) act[1](yield* act[0])
          yield* Effect.void
        }
      })
    }
    const loop: Effect.Effect<void, unknown> = Effect.suspend(() => {
      if (done()) return Effect.void
      const act = following()
      return act === undefined ? loop : Effect.flatMap(act[0], (answer) => (act[1](answer), loop))
    })
    return Effect.andThen(steps, loop)
  }

  /** Whether the write that was interrupted was accepted: all of it, or nothing. */
  async settle(): Promise<void> {
    if (this.writer === undefined || this.writing === this.written) return
    await Effect.runPromise(this.writer.flush)
    let arrived = -1
    for (let same = 0; same < 3;) {
      await turn()
      const now = this.received + (await Effect.runPromise(this.reader.buffered))
      same = now === arrived ? same + 1 : 0
      arrived = now
    }
    if (arrived !== this.written && arrived !== this.writing) {
      throw new Error(`${arrived} bytes have arrived, and ${this.written} or ${this.writing} were written`)
    }
    this.written = this.writing = arrived
  }
}

/** Runs a program, and fails if a byte is lost or comes twice. */
export const run = async (program: Program): Promise<Outcome> => {
  const due: Array<() => void> = []
  const scheduler = new Scheduler.MixedScheduler("async", (task) => {
    due.push(task)
    return () => {
      const index = due.indexOf(task)
      if (index !== -1) due.splice(index, 1)
    }
  })
  const scope = Effect.runSync(Scope.make())
  try {
    let run: Run
    if (program.over === "made") {
      const { feedUnsafe, reader } = Effect.runSync(StreamReader.make({ limit: 1 << 20 }))
      feedUnsafe(part(0, program.bytes))
      run = new Run(program, reader, undefined)
    } else {
      const { left, right } = await Effect.runPromise(Scope.provide(TestNetwork.pair(), scope))
      run = new Run(program, right.reader, left.writer)
    }
    for (let yields = 0; ;) {
      const fiber = Effect.runFork(run.fiber, { scheduler })
      for (let idle = 0; fiber.pollUnsafe() === undefined;) {
        const tasks = due.splice(0)
        if (tasks.length > 0) {
          idle = 0
          // it has yielded; in the very first turn it would never get anywhere
          if (program.interrupts[yields++ % program.interrupts.length]! && run.interruptions < 50) {
            run.interruptions++
            fiber.interruptUnsafe()
          }
          for (const task of tasks) task()
        } else {
          if (++idle > 20_000) throw new Error("the fiber waits for ever")
          await turn()
        }
      }
      const exit = fiber.pollUnsafe()!
      if (Exit.isSuccess(exit)) return { interruptions: run.interruptions, bytes: program.bytes }
      if (!Cause.hasInterruptsOnly(exit.cause)) throw Cause.squash(exit.cause)
      await run.settle()
    }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
