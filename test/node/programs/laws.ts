/**
 * Runs the laws over every kind of connection of Node's in a process in which private parts of Node are left alone (by the
 * environment), or are not as they should be (the first argument); over those kinds that the second argument names, which
 * may be "none". Prints which parts it uses, and what broke.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Network from "../../../src/Network.ts"
import type * as StreamLawsModule from "../../../src/testing/StreamLaws.ts"
import * as Net from "node:net"
import { TLSSocket } from "node:tls"
import { authority, certificates } from "../../support/certificates.ts"
import { socketPath } from "../../support/temporary.ts"

type Anything = Record<string, any>

/** Those of this kind do not have it any more, whoever they inherit it from. */
const takeAway = (one: object, member: string): void => {
  if (!(member in one)) throw new Error(`there is no ${member}`)
  Object.defineProperty(Object.getPrototypeOf(one), member, { configurable: true, value: undefined })
}

const handles = async (): Promise<Record<"tcp" | "pipe" | "engine", Anything>> => {
  const handleOf = (socket: Net.Socket) => (socket as unknown as { readonly _handle: Anything })._handle
  const engine = new TLSSocket(undefined as never)
  const onTcp = await new Promise<Anything>((resolve) => {
    const server = Net.createServer((socket) => {
      resolve(handleOf(socket))
      socket.destroy()
      server.close()
    }).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as Net.AddressInfo
      Net.connect(port, "127.0.0.1")
        .on("error", () => {})
        .resume()
    })
  })
  const found = { tcp: onTcp, pipe: onTcp, engine: handleOf(engine) }
  engine.destroy()
  return found
}

const socket = Net.Socket.prototype as Anything

const hideQueues = async (): Promise<void> => {
  const { tcp } = await handles()
  takeAway(tcp, "writeQueueSize")
  // not of engines as a kind, which refuse it
  const own = TLSSocket.prototype as Anything
  const { _wrapHandle } = own
  own["_wrapHandle"] = function (this: unknown, ...args: Array<unknown>) {
    return Object.defineProperty(_wrapHandle.apply(this, args), "writeQueueSize", { value: undefined })
  }
}

/** As in Deno: the second attempt is told of a broken pipe, and a turn later. */
const tryAgain = (): void => {
  for (const name of ["_write", "_writev"]) {
    const original = socket[name]
    socket[name] = function (this: unknown, ...args: Array<any>) {
      const callback = args.pop()
      return original.call(this, ...args, (error: NodeJS.ErrnoException | null | undefined) => {
        if (error?.code !== "ECONNRESET") return callback(error)
        setImmediate(callback, Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" }))
      })
    }
  }
}

/** As in Bun: what is written past the stream is sent in parts, and not to its end if the stream ends meanwhile. */
const overtake = (): void => {
  const { _write } = socket
  const most = 65_536
  socket["_write"] = function (this: Net.Socket, chunk: Uint8Array, encoding: string, callback: Function) {
    if (chunk.length <= most) return _write.call(this, chunk, encoding, callback)
    _write.call(this, chunk.subarray(0, most), encoding, (error: unknown) => {
      if (error !== null && error !== undefined) callback(error)
      else if (this.writableEnded) callback()
      else setImmediate(() => (this as Anything)["_write"](chunk.subarray(most), encoding, callback))
    })
  }
}

/** What another make of Node may be like. */
const doctors: Record<string, () => Promise<void>> = {
  "handles do not say how much they hold": hideQueues,
  "a failed write is tried again": async () => {
    await hideQueues()
    tryAgain()
  },
  "a failed write is tried again, and it does not look like it": async () => tryAgain(),
  "the end overtakes a write": async () => {
    await hideQueues()
    overtake()
  },
  "the end overtakes a write, and it does not look like it": async () => overtake(),
  "engines take nothing as if it had been read": async () => takeAway((await handles()).engine, "receive"),
  "handles read into no memory of others": async () => takeAway((await handles()).tcp, "useUserBuffer"),
  "handles have no number": async () => takeAway((await handles()).tcp, "fd"),
  "engines say nothing but errors": async () => {
    const own = TLSSocket.prototype as Anything
    const { _tlsError } = own
    delete own["_tlsError"]
    // as Node's own code calls it
    Object.defineProperty(own, "_tlsError", { configurable: true, get: () => (calledByNode() ? _tlsError : undefined) })
  },
  "a write is answered later": async () => {
    for (const name of ["_write", "_writev"]) {
      const original = socket[name]
      socket[name] = function (this: unknown, ...args: Array<any>) {
        const callback = args.pop()
        return original.call(this, ...args, (error: unknown) => process.nextTick(callback, error))
      }
    }
  },
  "sockets have no writev": async () => {
    socket["_writev"] = undefined
  },
  "what is pushed to a socket is not read from it": async () => {
    const { read } = socket
    socket["read"] = function (this: Net.Socket, ...args: Array<any>) {
      // of one that is connected to nothing, as a probe is
      return this.remoteAddress === undefined && !this.connecting && this.bytesRead === 0 && args.length === 0
        ? null
        : read.apply(this, args)
    }
  }
}

const calledByNode = (): boolean => !/nodeInternals/.test(new Error().stack ?? "")

const [doctor = "", only = ""] = process.argv.slice(2)
if (doctor !== "") await doctors[doctor]!()

// behind the doctor
const { NodeNetwork } = await import("../../../src/index.ts")
const StreamLaws = await import("../../../src/testing/StreamLaws.ts")
const { has, parts } = await import("../../../src/internal/node/nodeInternals.ts")

const host = "127.0.0.1"
const { identity } = certificates.server

const transports = {
  TCP: StreamLaws.overNetwork({ host, port: 0 }),
  Unix: Effect.flatMap(socketPath(), (path) => StreamLaws.overNetwork({ path })),
  TLS: StreamLaws.overNetwork({ host, port: 0, tls: { identity } }, { host, tls: { ca: authority.cert } }),
  "TLS with a way back": StreamLaws.overNetwork(
    { host, port: 0, tls: { identity, stoppable: true } },
    { host, tls: { ca: authority.cert, stoppable: true } }
  ),
  startTls: Effect.flatMap(StreamLaws.overNetwork({ host, port: 0 }), ({ left, right }) =>
    Effect.all(
      {
        left: left.startTls!({ side: "client", ca: authority.cert, serverName: "localhost", stoppable: false }, []),
        right: right.startTls!({ side: "server", identity, stoppable: false }, [])
      },
      { concurrency: 2 }
    )
  )
}

/** Those in which much can go wrong below, and which take little time. */
const chosen = [
  "what is over before attach is told after it",
  "memory changes hands as agreed",
  "the chunks of a write are one run of bytes",
  "pause holds back, resume goes on",
  "end is told once, behind everything, and the other direction goes on",
  "onClose is the last call, and comes once",
  "what is cut off is not told as complete",
  "the end comes behind what the system has yet to take",
  "a reset that a write meets first is never an end",
  "close hands over what was written, and is silent",
  "how bytes are cut changes nothing",
  "a mebibyte each way at once (trio L23, L24)",
  "a read of more than the limit gets it",
  "what was written before a close arrives, then the end (trio L12, L25)",
  "what arrived before a loss is read before the loss",
  "a reset is never an end, whoever hears of it first",
  "half-close: x, then the end, and the other direction goes on (trio L26, L29)",
  "stopping and going on, again and again, loses nothing",
  "a write that is interrupted, wherever, was accepted whole or not at all"
]
for (const name of chosen) {
  if (![...StreamLaws.transport, ...StreamLaws.all].some((law) => law.name === name)) throw new Error(`no law: ${name}`)
}

/** Over a Unix socket there is no reset. */
const applies = (kind: string, name: string): boolean =>
  chosen.includes(name) && !(kind === "Unix" && /reset .*is never an end|before a loss/.test(name))

const kinds = only === "" ? Object.keys(transports) : only === "none" ? [] : only.split(",")

const checks = (kinds as ReadonlyArray<keyof typeof transports>).flatMap((kind) => {
  const made: Effect.Effect<StreamLawsModule.Transports, unknown, Network.Network | Scope.Scope> = transports[kind]
  const provided = Effect.provide(made, NodeNetwork.layer)
  return [
    ...StreamLaws.transport
      .filter(({ name }) => applies(kind, name))
      .map((law) => [`${kind}: ${law.name}`, law.check(provided)] as const),
    ...StreamLaws.all
      .filter(({ name }) => applies(kind, name))
      .map((law) => [`${kind}: ${law.name}`, law.check(StreamLaws.fromTransports(provided))] as const)
  ]
})

const broken = await Effect.runPromise(
  Effect.forEach(
    checks,
    ([name, check]) =>
      Effect.map(Effect.result(check), (result) =>
        Result.isSuccess(result) ? [] : [`${name}: ${String((result.failure as Error).message)}`]
      ),
    { concurrency: 24 }
  ).pipe(
    // they share one event loop
    Effect.provideService(StreamLaws.patience, "1 minute")
  )
)

console.log(
  JSON.stringify({
    used: parts.filter(has),
    laws: checks.length,
    broken: broken.flat()
  })
)
process.exit(0)
