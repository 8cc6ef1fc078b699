/** Peers that go on while the event loop of the test stands still: they live in a thread of their own. */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import { certificates } from "./certificates.ts"
import { within } from "./wait.ts"

interface Options {
  /** How many clients; with none it is a server. */
  readonly clients?: number | undefined
  /** Where to connect to, or the path to listen on. */
  readonly at?: number | string | undefined
  readonly tls?: boolean | undefined
  /** How many bytes a word of theirs has; by default it is a line that counts up. */
  readonly word?: number | undefined
  /** Whether they read from the beginning on. */
  readonly reads?: boolean | undefined
}

/** What the thread is told at its beginning. */
export interface Orders extends Options {
  readonly key: string
  readonly cert: string
  readonly shared: SharedArrayBuffer
}

export class Talker {
  /** Where it listens. */
  readonly port: number
  private readonly worker: Worker
  private readonly state: Int32Array

  constructor(worker: Worker, state: Int32Array, port: number) {
    this.worker = worker
    this.state = state
    this.port = port
  }

  /** How many have connected, TLS included. */
  get up(): number {
    return Atomics.load(this.state, 1)
  }
  /** How many words they have said. */
  get said(): number {
    return Atomics.load(this.state, 2)
  }
  /** How many bytes they have read. */
  get heard(): number {
    return Atomics.load(this.state, 3)
  }
  /** How many are gone, or could not connect. */
  get gone(): number {
    return Atomics.load(this.state, 4)
  }

  /** The clients connect. */
  connect(): void {
    this.worker.postMessage("connect")
  }
  /** From now on they read. */
  read(): void {
    this.worker.postMessage("read")
  }
  /** They say "end", and end. */
  end(): void {
    this.worker.postMessage("end")
  }

  /** The event loop stands still while each of them says `words`, one every ten milliseconds, and no shorter than `millis`. */
  stallWhileTalking(millis: number, words: number): void {
    const enough = this.said + words * Math.max(1, this.up)
    Atomics.store(this.state, 0, 1)
    stall(millis, () => this.said >= enough)
    Atomics.store(this.state, 0, 0)
  }
}

const nobody = new Int32Array(new SharedArrayBuffer(4))

/** The event loop stands still, as it does for a computation: for so long, and until something has happened elsewhere. */
export const stall = (millis: number, until: () => boolean = () => true): void => {
  const from = performance.now()
  while (performance.now() - from < millis || !until()) {
    if (performance.now() - from > 8000) throw new Error("what the event loop stands still for does not happen")
    Atomics.wait(nobody, 0, 0, 5)
  }
}

/** Starts peers: a server, or clients, which are yet to connect. */
export const talker = (options: Options): Effect.Effect<Talker, never, Scope.Scope> =>
  Effect.gen(function* () {
    const shared = new SharedArrayBuffer(20)
    const { cert, key } = certificates.server
    const workerData: Orders = { ...options, cert, key, shared }
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(new URL("talkerThread.ts", import.meta.url), { workerData })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    const port = yield* within(
      "the peers have begun",
      Effect.callback<number>((resume) => {
        worker.once("message", (port: number) => resume(Effect.succeed(port)))
        worker.once("error", (error) => resume(Effect.die(error)))
      })
    )
    return new Talker(worker, new Int32Array(shared), port)
  })
