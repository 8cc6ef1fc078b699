/** Who is measured: one line a contender, and the file of that name in `servers/`. */
import { execFileSync } from "node:child_process"
import type { Case } from "./cases.ts"
import type { Service } from "./servers/support/service.ts"

export interface Contender {
  readonly id: string
  readonly title: string
  /** The file in `servers/`, and what else it is started with. */
  readonly server: string
  readonly arguments?: ReadonlyArray<string>
  /** What it can be asked to do; everything, unless it says so. */
  readonly services?: ReadonlyArray<Service>
  /** In which cases it is of interest; in all, unless it says so. */
  readonly cases?: RegExp
  /** From how many bytes a message on it has anything of its own to show; from the first, unless it says so. */
  readonly from?: number
  /** Whether it speaks TLS where it is asked to. */
  readonly tls?: boolean
  /** The Python modules that it needs, which this machine may lack. */
  readonly python?: string
}

/** What everybody is compared with. */
export const baseline = "net"
/** What tells the cost of importing modules from the cost of using them. */
export const loadedBaseline = "net-loaded"
/** What this is all about. */
export const subject = "streams"
/** The same, as one writes it who receives much. */
export const subjectInto = "streams-into"

const all: ReadonlyArray<Contender> = [
  { id: "net", title: "node:net by hand", server: "nodeNet.ts", tls: true },
  { id: "streams", title: "effect-byte-streams", server: "effectByteStreams.ts", tls: true },
  {
    id: "streams-into",
    title: "effect-byte-streams, readInto",
    server: "effectByteStreams.ts",
    arguments: ["--read-into"],
    services: ["raw", "sink"],
    from: 16384,
    tls: true
  },
  {
    id: "streams-gen",
    title: "effect-byte-streams, Effect.gen",
    server: "effectByteStreams.ts",
    arguments: ["--gen"],
    services: ["raw", "line"],
    cases: /^connect|^exchange-\w+-64-/
  },
  {
    id: "streams-drain",
    title: "effect-byte-streams, drain",
    server: "effectByteStreams.ts",
    arguments: ["--drain"],
    services: ["source"],
    tls: true
  },
  { id: "net-loaded", title: "node:net, Effect loaded", server: "nodeNetLoaded.ts", tls: true },
  { id: "readline", title: "node:readline", server: "nodeReadline.ts", services: ["line"] },
  { id: "socket", title: "effect/socket", server: "effectSocket.ts" },
  { id: "asyncio", title: "asyncio streams", server: "asyncioStreams.py", python: "asyncio" },
  { id: "uvloop", title: "asyncio on uvloop", server: "asyncioStreams.py", arguments: ["--uvloop"], python: "uvloop" }
]

/** This library, observed; compared with itself, the first. */
export const observers: ReadonlyArray<Available> = [
  { id: "unobserved", title: "effect-byte-streams", arguments: [] },
  { id: "telemetry", title: "with Telemetry", arguments: ["--telemetry"] },
  { id: "transcript", title: "with a recording Wiretap", arguments: ["--transcript"] }
].map((one) => ({ ...one, server: "effectByteStreams.ts", runtime: { kind: "node" } }))

/** Servers between a client and another server, each of which passes on the bytes of the other; compared with the first. */
export const relays: ReadonlyArray<Available> = [
  { id: "relay-by-hand", title: "a.pipe(b) by hand", server: "nodeNetRelay.ts", arguments: [] },
  { id: "relay", title: "Connection.relay", server: "effectByteStreamsRelay.ts", arguments: ["--relay"] },
  { id: "relay-read", title: "read, write", server: "effectByteStreamsRelay.ts", arguments: ["--read"] },
  {
    id: "relay-read-into",
    title: "readInto, write, flush",
    server: "effectByteStreamsRelay.ts",
    arguments: ["--read-into"]
  }
].map((one) => ({ ...one, tls: true, runtime: { kind: "node" } }))

/** Where a contender stands among the others; whoever is none, behind them. */
export const placeOf = (id: string): number => {
  const place = [...all, ...observers, ...relays].findIndex((one) => one.id === id)
  return place === -1 ? all.length + observers.length + relays.length : place
}

/** The interpreter itself rather than a launcher in front of it, or nothing where there is none with these modules. */
const findPython = (module: string): string | undefined => {
  try {
    const script = `import sys, ${module}; print(sys.executable if sys.version_info >= (3, 8) else "")`
    const found = execFileSync("python3", ["-c", script], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    }).trim()
    return found === "" ? undefined : found
  } catch {
    return undefined
  }
}

/** A contender that can be started here. */
export interface Available extends Contender {
  readonly runtime: { readonly kind: "node" } | { readonly kind: "python"; readonly executable: string }
}

export const available = (): ReadonlyArray<Available> =>
  all.flatMap((one): ReadonlyArray<Available> => {
    if (one.python === undefined) return [{ ...one, runtime: { kind: "node" } }]
    const executable = findPython(one.python)
    return executable === undefined ? [] : [{ ...one, runtime: { kind: "python", executable } }]
  })

export const offers = (one: Contender, { id, service, size, tls }: Case): boolean =>
  (one.cases?.test(id) ?? true) &&
  (one.services?.includes(service) ?? true) &&
  size >= (one.from ?? 0) &&
  (tls !== true || one.tls === true)
