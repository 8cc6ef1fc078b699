/** Other programs as peers: started for a test, read line by line, gone at its end. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import { TestRunner } from "vitest"
import { isPeer, type Peer, pathOf } from "./peers.ts"
import { eventually, within } from "./wait.ts"

export class Program {
  readonly name: string
  readonly child: ChildProcess
  private readonly patience: number
  /** What it has complained about. */
  stderr = ""
  /** Its exit code, or the signal that ended it, once both it and its output have ended. */
  exit: number | string | undefined = undefined
  private failure: NodeJS.ErrnoException | undefined = undefined
  private readonly printed: Array<Buffer> = []
  private taken = 0

  constructor(name: string, child: ChildProcess, patience = 12_000) {
    this.name = name
    this.patience = patience
    this.child = child
    child.stdout?.on("data", (chunk: Buffer) => this.printed.push(chunk))
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text))
    child.stdin?.on("error", () => {})
    child.on("error", (error) => (this.failure = error))
    child.on("close", (code, signal) => (this.exit = code ?? signal ?? "unknown"))
  }

  /** What it has printed. */
  get output(): Buffer {
    return Buffer.concat(this.printed)
  }
  get stdout(): string {
    return this.output.toString()
  }

  /** The next whole line that it prints, without its line feed. */
  readonly line: Effect.Effect<string> = Effect.suspend(() =>
    this.eventually("prints a line", () => {
      const end = this.stdout.indexOf("\n", this.taken)
      if (end === -1) {
        if (this.exit !== undefined) throw new Error(`${this.name} ended instead (${this.exit}): ${this.stderr}`)
        return undefined
      }
      const line = this.stdout.slice(this.taken, end)
      this.taken = end + 1
      return { line }
    })
  ).pipe(Effect.map(({ line }) => line))

  /** What it says on stderr, as soon as that matches. */
  says(pattern: RegExp): Effect.Effect<RegExpExecArray> {
    return this.eventually(`says ${pattern}`, () => pattern.exec(this.stderr) ?? undefined)
  }

  /** Waits until it ends by itself, well; answers all that it printed. */
  readonly succeeds: Effect.Effect<string> = Effect.suspend(() =>
    this.eventually("ends", () => {
      if (this.exit === undefined) return undefined
      if (this.exit !== 0) throw new Error(`${this.name} ended with ${this.exit}: ${this.stderr}${this.stdout}`)
      return { stdout: this.stdout }
    })
  ).pipe(Effect.map(({ stdout }) => stdout))

  /** Gives it something to read. */
  send(data: string | Uint8Array): Effect.Effect<void> {
    return within(
      `${this.name} takes its input`,
      Effect.callback<void>((resume) => void this.child.stdin!.write(data, () => resume(Effect.void)))
    )
  }

  /** Ends what it reads. */
  readonly endInput: Effect.Effect<void> = Effect.sync(() => void this.child.stdin!.end())

  /**
   * Sends it a signal, if it has not ended. Not by way of the child: there Deno takes what it exits with, such as 130, for
   * the signal that ended it, sends no second signal behind the first, and ends its input before either, so that it may say
   * goodbye before it is killed.
   */
  signal(name: "SIGINT" | "SIGTERM" | "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    const { exitCode, pid, signalCode } = this.child
    if (exitCode !== null || signalCode !== null) return
    try {
      process.kill(pid!, name)
    } catch (error) {
      // it has ended just now
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
    }
  }

  /** Kills it, and waits until it is gone. */
  readonly kill: Effect.Effect<void> = Effect.suspend(() => {
    // one that could not be started has nothing to end
    if (this.exit !== undefined || this.child.pid === undefined) return Effect.void
    this.signal("SIGKILL")
    return Effect.asVoid(this.eventually("is gone", () => this.exit !== undefined))
  })

  private eventually<A>(does: string, poll: () => A | undefined | false): Effect.Effect<A> {
    return eventually(
      () => `${this.name} ${does}; so far it has said ${JSON.stringify(this.stdout.slice(-500) + this.stderr)}`,
      () => {
        if (this.failure?.code === "ENOENT") {
          throw new Error(`this test needs the program ${this.name}, which is not installed`)
        }
        if (this.failure !== undefined) throw this.failure
        return poll()
      },
      // it has to be loaded first
      this.patience
    )
  }
}

interface Options {
  readonly stdio?: StdioOptions
  readonly env?: Record<string, string>
  /** How long whatever it does may take, in milliseconds. */
  readonly patience?: number
}

/** The path of what is installed, for a test that is skipped where it is not. */
const installed = (peer: Peer): string => {
  const test = TestRunner.getCurrentTest()
  // what runs it belongs to no test while a layer that several share is built
  if (test !== undefined && test.meta.needs?.includes(peer) !== true) {
    throw new Error(`"${test.fullName}" starts ${peer}: give the test, or its group, the options needs("${peer}")`)
  }
  const path = pathOf(peer)
  if (path === undefined) throw new Error(`this test needs the program ${peer}, which is not installed`)
  return path
}

/**
 * Starts a program; killed when the scope closes. A test that starts one that a bare machine lacks says so, with `needs`.
 * One that waits for any other that is not installed fails, and names it.
 */
export const start = (
  command: string,
  args: ReadonlyArray<string>,
  options?: Options
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new Program(
          command,
          spawn(isPeer(command) ? installed(command) : command, args, {
            stdio: options?.stdio ?? ["pipe", "pipe", "pipe"],
            env: { ...process.env, ...options?.env }
          }),
          options?.patience
        )
    ),
    (program) => program.kill
  )

/** Runs a program to its end; answers what it printed. */
export const run = (command: string, args: ReadonlyArray<string>, options?: Options): Effect.Effect<string> =>
  Effect.scoped(Effect.flatMap(start(command, args, options), (program) => program.succeeds))

/** How a shell runs a program of ours on this runtime: what it starts has none of the permissions that Deno gives a child. */
export const forShell = (program: string): string =>
  `"${process.execPath}"${"Deno" in globalThis ? " run --allow-all" : ""} "${program}"`
