/**
 * The processes of a run: servers on one core, everything else on another. All of them end with this one, whatever
 * happens: a server ends with its standard input, the load generator with its channel.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { createInterface, type Interface } from "node:readline"
import type { Available } from "../contenders.ts"
import type { Order, Reply, Sample } from "../load/main.ts"
import { certificateVariable, type Service } from "../servers/support/service.ts"
import type { Certificate } from "./certificate.ts"

const built = join(import.meta.dirname, "..", "dist", "bench")
const sources = join(import.meta.dirname, "..")

/** Compiles what is measured to plain JavaScript, as it would be deployed. */
export const build = (): void => {
  const tsc = join(sources, "..", "node_modules", ".bin", "tsc")
  execFileSync(tsc, ["-p", join(sources, "tsconfig.build.json")], { stdio: "inherit" })
}

/** Whether processes can be bound to cores here: two cores, and the command for it. */
export const pinned = availableParallelism() > 1 && spawnSync("taskset", ["--version"]).status === 0

const serverCore = "0"
const loadCore = "1"

const onCore = (core: string, command: ReadonlyArray<string>): [string, Array<string>] =>
  pinned ? ["taskset", ["--cpu-list", core, ...command]] : [command[0]!, command.slice(1)]

/** Moves this process out of the servers' way. */
export const stepAside = (): void => {
  if (pinned) spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", loadCore, String(process.pid)])
}

/** A command, on the core of servers. */
export const onServerCore = (command: ReadonlyArray<string>): [string, Array<string>] => onCore(serverCore, command)

const patience = 60_000

const within = async <A>(what: string, answer: Promise<A>): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${patience / 1000} seconds`)), patience)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves once a process has ended; kills it if it does not end by itself. */
const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
    child.on("exit", () => {
      clearTimeout(timer)
      resolve()
    })
  })

/** Memory of a server in bytes: what its heap holds where it can tell, and what the system has given it. */
export interface Memory {
  readonly used?: number
  readonly rss: number
}

export class ServerProcess {
  readonly title: string
  readonly startedAt: number
  private readonly child: ChildProcess
  private readonly lines: Interface
  port = 0

  private constructor(
    title: string,
    command: ReadonlyArray<string>,
    certificate: Certificate | undefined,
    core: string
  ) {
    this.title = title
    this.startedAt = performance.now()
    const [file, args] = onCore(core, command)
    const environment = certificate === undefined ? undefined : { [certificateVariable]: JSON.stringify(certificate) }
    this.child = spawn(file, args, {
      stdio: ["pipe", "pipe", "inherit"],
      cwd: join(sources, ".."),
      env: { ...process.env, ...environment }
    })
    // a question to a process that has just crashed; its silence is reported
    this.child.stdin!.on("error", () => {})
    this.lines = createInterface({ input: this.child.stdout! })
  }

  static async start(
    one: Available,
    service: Service,
    nodeOptions: ReadonlyArray<string> = [],
    certificate?: Certificate,
    beside: "servers" | "load" = "servers"
  ): Promise<ServerProcess> {
    const { arguments: more = [], runtime, server } = one
    const command =
      runtime.kind === "node"
        ? [process.execPath, ...nodeOptions, join(built, "servers", server.replace(/\.ts$/, ".js")), service, ...more]
        : [runtime.executable, join(sources, "servers", server), service, ...more]
    const started = new ServerProcess(
      `${one.id} ${service}`,
      command,
      certificate,
      beside === "load" ? loadCore : serverCore
    )
    started.port = Number(await started.line("listening"))
    return started
  }

  get pid(): number {
    return this.child.pid!
  }

  async memory(): Promise<Memory> {
    this.child.stdin!.write("\n")
    return JSON.parse(await this.line("memory")) as Memory
  }

  async stop(): Promise<void> {
    this.child.stdin!.end()
    await ended(this.child)
  }

  /** The rest of the next line that the process prints, which begins with `word`. */
  private async line(word: string): Promise<string> {
    const { child } = this
    const line = new Promise<string>((resolve, reject) => {
      const onExit = (): void => reject(new Error(`${this.title}: ended, where "${word}" was expected`))
      child.once("exit", onExit)
      this.lines.once("line", (text) => {
        child.off("exit", onExit)
        resolve(text)
      })
    })
    const text = await within(this.title, line)
    if (!text.startsWith(`${word} `)) throw new Error(`${this.title}: said "${text}", where "${word}" was expected`)
    return text.slice(word.length + 1)
  }
}

/** A process that answers each message with one of its own. */
class Servant<Question, Answer> {
  private readonly title: string
  private readonly child: ChildProcess

  constructor(title: string, core: string, command: ReadonlyArray<string>) {
    this.title = title
    const [file, args] = onCore(core, command)
    this.child = spawn(file, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], cwd: join(sources, "..") })
  }

  ask(question: Question): Promise<Answer> {
    const { child } = this
    const answer = new Promise<Answer>((resolve, reject) => {
      const onMessage = (message: unknown): void => {
        child.off("exit", onExit)
        resolve(message as Answer)
      }
      const onExit = (): void => {
        child.off("message", onMessage)
        reject(new Error(`${this.title}: ended without an answer`))
      }
      child.once("message", onMessage)
      child.once("exit", onExit)
      child.send(question as object)
    })
    return within(this.title, answer)
  }

  async stop(): Promise<void> {
    if (this.child.connected) this.child.disconnect()
    await ended(this.child)
  }
}

export class LoadProcess {
  private readonly servant = new Servant<Order, Reply>("the load generator", loadCore, [
    process.execPath,
    join(built, "load", "main.js")
  ])

  async order(order: Order): Promise<void> {
    await this.carryOut(order)
  }

  async work(order: Omit<Order & { _tag: "Work" }, "_tag">): Promise<Sample> {
    return (await this.carryOut({ _tag: "Work", ...order }))!
  }

  stop(): Promise<void> {
    return this.servant.stop()
  }

  private async carryOut(order: Order): Promise<Sample | undefined> {
    const reply = await this.servant.ask(order)
    if (!reply.ok) throw new Error(`${order._tag}: ${reply.error}`)
    return reply.sample
  }
}

/** A process that measures itself, alone on the servers' core: each question is a round, each answer its figure. */
export class ReaderProcess<Question, Answer> extends Servant<Question, Answer> {
  constructor(file: string, ...args: ReadonlyArray<string>) {
    super(file, serverCore, [process.execPath, join(built, "readers", `${file}.js`), ...args])
  }
}
