/**
 * Checks the laws: each of a list of deliberate faults is put into a copy of src/, and some law has to notice.
 *
 * A fault is a text that stands once in a file, and what it is replaced by. Where it no longer stands there, the source
 * has moved on and the fault has to follow: the others are checked all the same, and the run fails. It also fails where
 * no law notices a fault, and where a law is broken without any. The laws of streams run over memory, lock-step, two
 * kinds of Node's Duplex and two of its streams, those of transports over the last two, those of exchanges and of sockets for faults of these.
 *
 * Usage: npm run mutants [-- [--list | --write] [PART...]]
 *
 *     --list    only says which faults there are, and whether each can be put in
 *     --write   puts the table into docs/testing.md, when every fault was noticed
 *     PART      only the faults whose names contain one of these
 */
import { Cause, type Duration, Effect, Exit, Result, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { duplexPair, PassThrough } from "node:stream"
import type * as Connection from "../src/Connection.ts"
import type * as Duplex from "../src/internal/transport/duplex.ts"
import type * as Pair from "../src/internal/transport/pair.ts"
import type * as ExchangeLaws from "../src/testing/ExchangeLaws.ts"
import type * as StreamLaws from "../src/testing/StreamLaws.ts"
import type * as TestNetwork from "../src/testing/TestNetwork.ts"
import type * as ExchangeScenarios from "../test/support/exchangeScenarios.ts"
import type * as ExchangeSubjects from "../test/support/exchangeSubjects.ts"
import type * as Others from "../test/support/others.ts"
import type * as SocketLaws from "../test/support/socketLaws.ts"

interface Fault {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

const faults: ReadonlyArray<Fault> = [
  {
    name: "forgotten resume: what was read makes no room",
    file: "internal/read/backpressure.ts",
    find: "    if (!this.paused || this.size > this.limit || this.over) return\n",
    replace: "    if (this.size >= 0) return\n"
  },
  {
    name: "forgotten resume: a read of more than the limit does not set the transport going",
    file: "internal/read/backpressure.ts",
    find: "    this.tell(undefined, waiting)\n    return true\n",
    replace: "    return true\n"
  },
  {
    name: "pause forgotten: a reader that does not read is given everything",
    file: "internal/read/backpressure.ts",
    find: "    if (this.size > this.threshold) {",
    replace: "    if (this.size > 1e9) {"
  },
  {
    name: "off by one in the limit of a line",
    file: "internal/read/limit.ts",
    find: "boolean => length > limit\n",
    replace: "boolean => length >= limit\n"
  },
  {
    name: "half a line at the end of the stream is taken for a whole one",
    file: "internal/read/reads/line.ts",
    find: "(held > 0 || (this.discards && buffer.discarding > 0))",
    replace: "this.discards && buffer.discarding > 0"
  },
  {
    name: "half a line at the end of the stream is taken for a whole one, by lines",
    file: "internal/read/lines.ts",
    find: 'strict: end === "required" }',
    replace: "strict: false }"
  },
  {
    name: "half an item at the end of the stream is taken for nothing, up to a separator",
    file: "internal/read/reads/until.ts",
    find: "    return this.buffer.segments.length === 0 ? this.atEnd() : this.incomplete()",
    replace: "    return this.atEnd()"
  },
  {
    name: "half an item at the end of the stream is taken for nothing, of known length",
    file: "internal/read/reads/exactly.ts",
    find: "    return held === 0 ? this.cleanEnd : this.incomplete(held)",
    replace: "    return this.cleanEnd"
  },
  {
    name: "the rest of an overlong line comes back as the next one",
    file: "internal/read/readBuffer.ts",
    find: "    while (this.discarding > 0) {",
    replace: "    while (this.discarding > 1e9) {"
  },
  {
    name: "a separator that is cut in two is not found",
    file: "internal/read/limit.ts",
    find: "buffer.searched = Math.max(0, segments.length + 1 - separator.longest)",
    replace: "buffer.searched = segments.length"
  },
  {
    name: "busy check forgotten: a second read replaces the first",
    file: "internal/read/readOperation.ts",
    find: "    if (buffer.operation !== undefined) {\n",
    replace: "    if (buffer.operation === this) {\n"
  },
  {
    name: "waiter dropped on interrupt: the reader stays busy",
    file: "internal/runtime/waiting.ts",
    find: "    const last = this.host.giveUp()\n",
    replace: "    const last = undefined\n"
  },
  {
    name: "waiter dropped on interrupt, where the scheduler has a say",
    file: "internal/runtime/waiting.ts",
    find: "      this.called = false\n      return this.host.giveUp() ?? Effect.void\n",
    replace: "      this.called = false\n      return Effect.void\n"
  },
  {
    name: "a fiber is taken to run as soon as it is resumed, whatever the scheduler",
    file: "internal/runtime/effectInternals.ts",
    find: "  return preventYield || (scheduler.shouldYield === shouldYield && maxOpsBeforeYield > 1)\n",
    replace: "  return preventYield || scheduler.shouldYield !== undefined || maxOpsBeforeYield > 1\n"
  },
  {
    name: "what arrives is handed over before what arrived",
    file: "internal/read/readBuffer.ts",
    find: "!waiter.waitsDirectly || this.queue.filled || this.segments.length > 0",
    replace: "!waiter.waitsDirectly || this.queue.filled"
  },
  {
    name: "bytes in the air: a result is delivered in a step of its own",
    file: "internal/runtime/waiting.ts",
    find: "    return handOver(this.host.answer(), fiber)\n",
    replace: "    return this.host.answer()\n"
  },
  {
    name: "queued bytes dropped at the end of the stream",
    file: "internal/read/readBuffer.ts",
    find: "    else queue.end(end)\n",
    replace: "    else {\n      if (end === ended) queue.clear()\n      queue.end(end)\n    }\n"
  },
  {
    name: "loss before data: what arrived before a reset is thrown away",
    file: "internal/read/readBuffer.ts",
    find: "    if (this.awaited) this.end = end\n",
    replace: "    if (end !== ended) this.clear()\n    if (this.awaited) this.end = end\n"
  },
  {
    name: "data after loss: what arrives is passed on late, and a loss overtakes it",
    file: "internal/session/session.ts",
    find: "    this.reads.feed(bytes)\n",
    replace: "    setTimeout(() => this.reads.feed(bytes), 1)\n"
  },
  {
    name: "lost wake-up: the end does not wake the read that waits for it",
    file: "internal/read/readBuffer.ts",
    find: "    else queue.end(end)\n    this.resumeIfReady()\n",
    replace: "    else queue.end(end)\n    if (end !== ended) this.resumeIfReady()\n"
  },
  {
    name: "lost wake-up: only the first of those who drain or flush is woken",
    file: "internal/write/waiters.ts",
    find: "      for (const waiter of [...this.forProgress]) {",
    replace: "      for (const waiter of [...this.forProgress].slice(0, 1)) {"
  },
  {
    name: "waiter left behind: giving up one write gives up them all",
    file: "internal/write/waiters.ts",
    find: "    if (this.toWrite?.delete(waiter) === true && this.toWrite.size === 0) this.toWrite = undefined\n",
    replace: "    if (this.toWrite?.delete(waiter) === true) this.toWrite = undefined\n"
  },
  {
    name: "writers are woken in the wrong order",
    file: "internal/write/waiters.ts",
    find: "    else if (inFront) this.toWrite",
    replace: "    else if (!inFront) this.toWrite"
  },
  {
    name: "watermark never resumes",
    file: "internal/write/writeBuffer.ts",
    find: "    if (this.paused && this.buffered <= this.lowWaterMark) {\n",
    replace: "    if (this.paused && this.buffered < 0) {\n"
  },
  {
    name: "no watermark: writes never wait",
    file: "internal/write/writeBuffer.ts",
    find: "      if (this.buffered > this.highWaterMark) {\n",
    replace: "      if (this.buffered > 1e12) {\n"
  },
  {
    name: "small writes are kept as views of the caller's memory",
    file: "internal/write/gather.ts",
    find: "    if (size <= copiedBytes) {\n      const at = this.reserve(size)\n      Bytes.copyInto",
    replace: "    if (size < 0) {\n      const at = this.reserve(size)\n      Bytes.copyInto"
  },
  {
    name: "memory that was taken away is sent as if it were there",
    file: "internal/write/writeBuffer.ts",
    find: "        if (gather.views && isGone(batch)) return this.lostMemory()\n",
    replace: ""
  },
  {
    name: "writeAll is not one run: the first chunk goes out alone",
    file: "internal/write/writeBuffer.ts",
    find: "    const size = this.gather.placeAll(chunks)\n",
    replace:
      "    const [head, ...tail] = chunks\n    if (tail.length > 0) {\n      this.appendAll([head!])\n      setTimeout(() => this.appendAll(tail), 1)\n      return\n    }\n    const size = this.gather.placeAll(chunks)\n"
  },
  {
    name: "flush returns before everything is handed over",
    file: "internal/write/writes.ts",
    find: "      if (buffer.accepted - buffer.buffered >= target) return exitVoid\n",
    replace: "      if (buffer.accepted >= target) return exitVoid\n"
  },
  {
    name: "flush forgotten at close: what is still buffered is dropped",
    file: "internal/session/closing.ts",
    find: '      session.resume()\n      writes.end("Closed")\n',
    replace: "      this.release()\n"
  },
  {
    name: "close has no bound",
    file: "internal/session/closing.ts",
    find: "    if (this.outcome !== undefined) return\n    this.timer = undefined\n",
    replace: "    if (this.begun) return\n    this.timer = undefined\n"
  },
  {
    name: "the end of a scope undoes a close that has begun",
    file: "internal/session/closing.ts",
    find: " || session.endedHere) return",
    replace: ") return"
  },
  {
    name: "a timeout is judged before what has come is read",
    file: "internal/runtime/timeouts.ts",
    find: "    if (atEndOfTurn !== undefined || Deadline.isReal(this.clock)) Deadline.afterRound(looked, atEndOfTurn)\n    else looked()\n",
    replace: "    looked()\n"
  },
  {
    name: "a reset looks like an end",
    file: "internal/session/session.ts",
    find: "    if (failure === undefined && this.peerEnded && this.writes.ended) {\n",
    replace:
      '    if (failure?.kind === "Reset") this.reads.feedEnd()\n    if (failure === undefined || failure.kind === "Reset") {\n'
  },
  {
    name: "a loss does not reach those who write",
    file: "internal/session/session.ts",
    find: "    // in this order: a fiber that wakes to a failed read finds that writing is over as well\n    this.writes.break(lost)\n",
    replace: ""
  },
  {
    name: "writing goes on after writeEof",
    file: "internal/write/writes.ts",
    find: "    return ending === undefined ? undefined :",
    replace: '    return ending === undefined || ending === "Eof" ? undefined :'
  },
  {
    name: "closed is not told to those who wait for it",
    file: "internal/session/closing.ts",
    find: "    for (const wake of waiters) wake()\n",
    replace: ""
  },
  {
    name: "listener left behind: a closed transport goes on calling",
    file: "internal/transport/duplex.ts",
    find: "    this.handler = linger\n",
    replace: ""
  },
  {
    name: "a transport keeps the memory that it gave back",
    file: "internal/transport/duplex.ts",
    find: "    this.duplex.write(Bytes.joined(chunks), (error) => {",
    replace: "    this.duplex.write(chunks.length === 1 ? chunks[0]! : Bytes.joined(chunks), (error) => {"
  },
  {
    name: "a stream that is cut off looks complete",
    file: "internal/transport/duplex.ts",
    find: "lossOf(this.duplex, this.failure, this.complete)",
    replace: "this.failure"
  },
  {
    name: "a stream ends its output as soon as its peer has ended",
    file: "internal/transport/duplex.ts",
    find: '  if (stream.allowHalfOpen === false) Reflect.set(stream, "allowHalfOpen", true)\n',
    replace: "  void stream\n"
  },
  {
    name: "onData is called from inside resume",
    file: "internal/transport/duplex.ts",
    find: "  resume(): void {\n    this.input!.resume()\n",
    replace:
      "  resume(): void {\n    this.input!.resume()\n    for (let chunk; (chunk = this.duplex.read()) !== null; ) this.input!.arrived(chunk)\n"
  },
  {
    name: "pause is ignored",
    file: "internal/transport/streamInput.ts",
    find: "    this.held = true\n    this.stream.pause()\n",
    replace: ""
  },
  {
    name: "text that a stream has decoded is not what it was decoded from",
    file: "internal/transport/streamInput.ts",
    find: "return Bytes.encodeAs(chunk, encoding)",
    replace: "return Bytes.encode(chunk)"
  },
  {
    name: "one half of two destroys what the other has yet to read",
    file: "internal/transport/pair.ts",
    find: "    if ((this.writable as Partial<{ readonly readable: unknown }>).readable !== true) destroyQuietly(this.writable)\n",
    replace: "    destroyQuietly(this.writable)\n"
  },
  {
    name: "a half that is cut off looks complete",
    file: "internal/transport/pair.ts",
    find: "    handler.onClose(this.readFailure ?? this.writeFailure)\n",
    replace: "    handler.onClose(undefined)\n"
  },
  {
    name: "exchange: the waiter removed on interrupt",
    file: "internal/exchange/engine.ts",
    find: "    if (this.isOver || call.ended) return\n    const { onAbandoned }",
    replace: "    if (this.isOver || call.ended) return\n    this.order.remove(call)\n    const { onAbandoned }"
  },
  {
    name: "exchange: the answer not awaited: it is given to the next",
    file: "internal/exchange/engine.ts",
    find: "    const { expected, receiver } = call\n",
    replace:
      "    if (call.receiver === undefined) {\n      order.remove(call)\n      return this.dispatch(message)\n    }\n    const { expected, receiver } = call\n"
  },
  {
    name: "exchange: the waiter queued before the write was accepted",
    file: "internal/exchange/engine.ts",
    find: "    if (this.gate.delete(batch)) {\n",
    // where answers come in order: those with ids would run out of them
    replace:
      "    if (this.gate.delete(batch)) {\n      for (const call of this.order.next === undefined ? [] : batch.calls) this.order.add(call)\n"
  },
  {
    name: "exchange: a call that was interrupted while it waited is sent in its turn",
    file: "internal/exchange/engine.ts",
    find: "    if (this.gate.delete(batch)) {\n",
    replace: "    if (this.gate.has(batch)) {\n"
  },
  {
    name: "exchange: the pending list not failed on loss",
    file: "internal/exchange/engine.ts",
    find: "    for (const call of inFlight) this.failCall(call, closed)\n",
    replace: "    void inFlight\n"
  },
  {
    name: "exchange: what was sent is said not to have been",
    file: "internal/exchange/engine.ts",
    find: 'sent: held ? "No" : "Maybe"',
    replace: 'sent: "No"'
  },
  {
    name: "exchange: an answer that nobody asked for is ignored",
    file: "internal/exchange/engine.ts",
    find: 'if (typeof call === "string") return this.violated(call)',
    replace: 'if (typeof call === "string") return'
  },
  {
    name: "exchange: one more than maxInFlight",
    file: "internal/exchange/engine.ts",
    find: "    const room = maxInFlight - this.order.size\n",
    replace: "    const room = maxInFlight + 1 - this.order.size\n"
  },
  {
    name: "exchange: the last to call is the first to be sent",
    file: "internal/exchange/engine.ts",
    find: "this.gate.values().next().value!",
    replace: "[...this.gate].at(-1)!"
  },
  {
    name: "exchange: an id is given out again while it is in flight",
    file: "internal/exchange/order.ts",
    find: "    while (this.calls.has(this.id) || this.cancelled.has(this.id) || this.id === this.freed) this.step()\n",
    replace: ""
  },
  {
    name: "exchange: an id is given out again right behind its answer",
    file: "internal/exchange/order.ts",
    find: " || this.id === this.freed",
    replace: ""
  },
  {
    name: "exchange: what cancels a call is sent behind the call that takes its place",
    file: "internal/exchange/make.ts",
    find: "    engine.sendNow(request)\n    engine.forget(call)\n",
    replace: "    engine.forget(call)\n    engine.sendNow(request)\n"
  },
  {
    name: "exchange: a dialogue that was cut short gives the connection back",
    file: "internal/exchange/client.ts",
    find: "if (begun && Exit.isFailure(exit)) engine.lose(outOfStep(exit.cause))",
    replace: "void [begun, outOfStep, exit]"
  },
  {
    name: "exchange: reads on where somebody else is to have the connection",
    file: "internal/exchange/engine.ts",
    find: "          this.reading = false\n          batch.sent = true\n",
    replace: "          batch.sent = true\n"
  },
  {
    name: "exchange: nothing is awaited, and that is taken for silence",
    file: "internal/exchange/bounds.ts",
    find: "  idle(): void {\n    this.silentSince = Infinity\n",
    replace: "  idle(): void {\n"
  },
  {
    name: "exchange: what may have been sent is sent again on the next connection",
    file: "internal/exchange/reconnecting.ts",
    find: 'error._tag === "RequestLost" && error.sent === "No"',
    replace: 'error._tag === "RequestLost"'
  },
  {
    name: "exchange: a new connection is used before it was greeted",
    file: "internal/exchange/reconnecting.ts",
    find: "onConnect === undefined ? Effect.void : onConnect(exchange)",
    replace: "onConnect === undefined ? Effect.void : Effect.forkDetach(onConnect(exchange))"
  },
  {
    name: "socket: it dials through the network of whoever acquires the reader",
    file: "Connection.ts",
    find: "      Effect.provideService(Network, Context.get(services, Network)),\n",
    replace: ""
  },
  {
    name: "socket: a write on a connection that is lost fails",
    file: "internal/session/diallingSocket.ts",
    find: "dropsWrites: true",
    replace: "dropsWrites: false"
  },
  {
    name: "socket: the end of its scope is one in good order for a pull that waits",
    file: "internal/session/asEffectSocket.ts",
    find: "    this.over = true\n    this.wake()\n",
    replace: "    this.wake()\n"
  },
  {
    name: "socket: the failure of its scope drops what is unsent",
    file: "internal/session/options.ts",
    find: 'onScopeFailure ?? "flush"',
    replace: 'onScopeFailure ?? "abort"'
  },
  {
    name: "socket: its scope waits as long as that of any connection",
    file: "internal/session/options.ts",
    find: "closeTimeout ?? Defaults.socketCloseTimeout",
    replace: "closeTimeout ?? Defaults.closeTimeout"
  },
  {
    name: "socket: the code and the reason of a close are lost",
    file: "internal/session/asEffectSocket.ts",
    find: "      this.event ??= event\n",
    replace: ""
  },
  {
    name: "socket: a write that waits for a connection outlives its writer's scope",
    file: "internal/session/diallingSocket.ts",
    find: "    for (const wake of Array.from(this.dialling.waiting)) wake(this)\n",
    replace: ""
  },
  {
    name: "socket: a write goes to a connection whose scope has ended",
    file: "internal/session/diallingSocket.ts",
    find: "    if (this.link === link) this.link = undefined\n",
    replace: ""
  },
  {
    name: "socket: a client's reset is an error for its server",
    file: "internal/server/socketServer.ts",
    find: "lossCloses: true",
    replace: "lossCloses: false"
  },
  {
    name: "socket: clients that come before run are sent away by it",
    file: "internal/server/socketServer.ts",
    find: "Effect.as(this.running.await, this.serve(connection))",
    replace: "Effect.as(this.running.await, Effect.void)"
  },
  {
    name: "socket: handlers outlive their run",
    file: "internal/server/socketServer.ts",
    find: "Fiber.interruptAll(Array.from(this.fibers))",
    replace: "Effect.void"
  },
  {
    name: "socket: a server's end waits for clients that nobody serves",
    file: "internal/server/socketServer.ts",
    find: "      Effect.as(draining, connection.abort),\n",
    replace: ""
  },
  {
    name: "socket: a server's connection outlives the scope of its reader",
    file: "internal/server/socketServer.ts",
    find: "(exit) => link.endWith(exit)",
    replace: "() => Effect.void"
  },
  {
    name: "behind the end of the peer nobody is told that a write was taken",
    file: "internal/transport/pair.ts",
    find: "    else if (number > this.passedOn) {",
    replace: '    else if (number > this.passedOn && this.reading === "open") {'
  },
  {
    name: "streams of others: what comes while nobody listens is dropped",
    file: "internal/transport/halves.ts",
    find: "    for (const piece of pieces) this.ahead.push(piece)\n",
    replace: "    if (this.flowing) for (const piece of pieces) this.ahead.push(piece)\n"
  },
  {
    name: "streams of others: pause is forgotten",
    file: "internal/transport/halves.ts",
    find: "  pause(): void {\n    this.flowing = false\n",
    replace: "  pause(): void {\n"
  },
  {
    name: "streams of others: a stream that fails has ended",
    file: "internal/transport/halves.ts",
    find: '    this.emit("error", error)\n    this.over()\n  }\n}\n\nexport class TargetWritable',
    replace: '    this.emit("end")\n    this.over()\n  }\n}\n\nexport class TargetWritable'
  },
  {
    name: "streams of others: memory is read into again that somebody has",
    file: "internal/transport/webStreams.ts",
    find: "    const copy = Bytes.copy(bytes)\n",
    replace: "    const copy = bytes\n"
  },
  {
    name: "streams of others: a stream that is aborted leaves its connection alone",
    file: "internal/session/asWebStreams.ts",
    find: "    aborted = true\n    run(connection.abort)\n",
    replace: "    aborted = true\n"
  },
  {
    name: "streams of others: the exit code of a process is not asked for",
    file: "internal/transport/process.ts",
    find: "resolve(Exit.isSuccess(exit) && exit.value === 0 ? undefined : error)",
    replace: "resolve(undefined)"
  },
  {
    name: "streams of others: what is written behind an abort is sent",
    file: "internal/transport/pair.ts",
    find: "    if (this.closing) return true\n",
    replace: ""
  }
]

const root = resolve(import.meta.dirname, "..")

type Command = "--check" | "--check-exchange" | "--check-sockets" | "--check-others"

/** Which laws are to notice it: those of exchanges, of sockets for Effect's own programs, or of streams, ours or of others. */
const commandOf = ({ file, name }: Fault): Command => {
  if (file.startsWith("internal/exchange/")) return "--check-exchange"
  if (name.startsWith("streams of others: ")) return "--check-others"
  return name.startsWith("socket: ") ? "--check-sockets" : "--check"
}

/** What exchanges are put on trial with. */
const exchangeSubjects = "test/support/exchangeSubjects.ts"
/** The laws of what is more than calls. */
const exchangeScenarios = "test/support/exchangeScenarios.ts"
/** The laws of sockets. */
const socketLaws = "test/support/socketLaws.ts"
/** Streams of others: those of the Web, and processes. */
const others = "test/support/others.ts"
const webStreams = "test/support/webStreams.ts"

/** How long a law waits in a faulty copy, where it may wait in vain. */
const patience = "5 seconds"
/** How many laws run at a time, in one process. Most of what they do is wait. */
const lawsAtATime = 10
/** As above, for streams of others, of which some listen to each other for twice two seconds after a close. */
const [patienceWithOthers, othersAtATime] = ["12 seconds", 16] as const

// ---------------------------------------------------------------------------
// in a process of its own: the laws of one copy
// ---------------------------------------------------------------------------

interface Finding {
  readonly law: string
  readonly found: string
}

/** Two ends of which neither outlives the other: Node's own pair leaves the one waiting for ever when the other is gone. */
const linkedPair = (encoding?: "latin1") => {
  const [left, right] = duplexPair({ allowHalfOpen: false })
  if (encoding !== undefined) {
    left.setEncoding(encoding)
    right.setEncoding(encoding)
  }
  left.on("close", () => right.destroy())
  right.on("close", () => left.destroy())
  return [left, right] as const
}

/** Says that the copy could be loaded: what goes wrong from then on is the fault's doing. */
const loaded = "loaded\n"

/** Runs the laws of exchanges on the copy in `folder`, and prints the violations as JSON. */
const checkExchange = async (folder: string): Promise<void> => {
  const { all }: typeof ExchangeLaws = await import(join(folder, "src/testing/ExchangeLaws.ts"))
  const { exchanges }: typeof ExchangeSubjects = await import(join(folder, exchangeSubjects))
  process.stdout.write(loaded)
  const findings: Array<Finding> = []
  process.on("uncaughtException", (error) => findings.push({ law: "nothing is thrown", found: String(error) }))
  for (const law of all) {
    for (const [, subject] of exchanges) {
      const result = await Effect.runPromise(Effect.result(law.check(subject, { scenarios: 100 })))
      if (Result.isSuccess(result)) continue
      findings.push({ law: law.name, found: result.failure.found })
      break
    }
  }
  const { laws, sound }: typeof ExchangeScenarios = await import(join(folder, exchangeScenarios))
  for (const { check, name } of laws) {
    await check(sound, { scenarios: 100, asItIs: true }).catch((error) =>
      findings.push({ law: name, found: String(error) })
    )
  }
  process.stdout.write(JSON.stringify(findings), () => process.exit(0))
}

/** Runs the laws of sockets on the copy in `folder`, and prints the violations as JSON. */
const checkSockets = async (folder: string): Promise<void> => {
  const laws: typeof SocketLaws = await import(join(folder, socketLaws))
  process.stdout.write(loaded)
  const findings: Array<Finding> = []
  process.on("uncaughtException", (error) => findings.push({ law: "nothing is thrown", found: String(error) }))
  for (const { check, name } of laws.socketLaws) {
    const exit = await Effect.runPromise(Effect.exit(check))
    if (Exit.isFailure(exit)) findings.push({ law: name, found: Cause.pretty(exit.cause) })
  }
  process.stdout.write(JSON.stringify(findings), () => process.exit(0))
}

/** Runs every law of streams on the copy in `folder`, and prints the violations as JSON. */
const checkCopy = async (folder: string): Promise<void> => {
  const load = (file: string) => import(join(folder, "src", file))
  const laws: typeof StreamLaws = await load("testing/StreamLaws.ts")
  const network: typeof TestNetwork = await load("testing/TestNetwork.ts")
  const { fromDuplex, fromPair }: typeof Connection = await load("Connection.ts")
  const { DuplexTransport }: typeof Duplex = await load("internal/transport/duplex.ts")
  const { PairTransport }: typeof Pair = await load("internal/transport/pair.ts")
  process.stdout.write(loaded)

  const duplexOf =
    (encoding?: "latin1"): StreamLaws.MakePair =>
    (options) =>
      Effect.suspend(() => {
        const [left, right] = linkedPair(encoding)
        return Effect.all({ left: fromDuplex(left, options), right: fromDuplex(right, options) })
      })
  const transports = Effect.sync(() => {
    const [left, right] = linkedPair("latin1")
    return { left: new DuplexTransport(left), right: new DuplexTransport(right) }
  })
  const crossed = (there: PassThrough, back: PassThrough) => ({
    left: { readable: back, writable: there },
    right: { readable: there, writable: back }
  })
  const halves: StreamLaws.MakePair = (options) =>
    Effect.suspend(() => {
      const { left, right } = crossed(new PassThrough(), new PassThrough())
      return Effect.all({ left: fromPair(left, options), right: fromPair(right, options) })
    })
  const transportsOfHalves = Effect.sync(() => {
    const { left, right } = crossed(new PassThrough(), new PassThrough())
    return { left: new PairTransport(left), right: new PairTransport(right) }
  })
  const pairs: ReadonlyArray<StreamLaws.MakePair> = [
    (options) => network.pair(options),
    (options) => network.lockstep(options),
    duplexOf("latin1"),
    // what is decoded is a copy: here the memory itself is handed from one end to the other
    duplexOf(),
    halves
  ]

  await printFindings(
    laws,
    pairs.map((pair) => (law) => law.check(pair)),
    [transports, transportsOfHalves]
  )
}

/** Runs every law of streams on what the copy in `folder` makes of streams of others, and prints the violations as JSON. */
const checkOthers = async (folder: string): Promise<void> => {
  const load = (file: string) => import(join(folder, "src", file))
  const laws: typeof StreamLaws = await load("testing/StreamLaws.ts")
  const network: typeof TestNetwork = await load("testing/TestNetwork.ts")
  const { overPipes, processInMemory, thereAndBack }: typeof Others = await import(join(folder, others))
  process.stdout.write(loaded)
  const subjects = [
    overPipes("", () => new TransformStream({}, {}, { highWaterMark: 1 })),
    thereAndBack("", (options) => network.pair(options)),
    processInMemory
  ]
  await printFindings(
    laws,
    subjects.map(
      ({ pair }) =>
        (law) =>
          law.check(pair)
    ),
    subjects.flatMap(({ transports }) => transports ?? []),
    patienceWithOthers,
    othersAtATime
  )
}

const printFindings = async (
  laws: typeof StreamLaws,
  subjects: ReadonlyArray<(law: StreamLaws.Law) => Effect.Effect<void, StreamLaws.LawViolation>>,
  transports: ReadonlyArray<Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope>>,
  bound: Duration.Input = patience,
  concurrency = lawsAtATime
): Promise<void> => {
  const findings: Array<Finding> = []
  // an exception that nobody catches is as loud as a violation
  process.on("uncaughtException", (error) => findings.push({ law: "nothing is thrown", found: String(error) }))
  const note = (law: string, check: Effect.Effect<void, StreamLaws.LawViolation>) =>
    Effect.catch(check, ({ found }) => Effect.sync(() => findings.push({ law, found })))
  const checks = [
    ...laws.all.flatMap((law) => subjects.map((check) => note(law.name, check(law)))),
    ...laws.transport.flatMap((law) => transports.map((made) => note(law.name, law.check(made))))
  ]
  await Effect.runPromise(
    Effect.all(checks, { concurrency, discard: true }).pipe(Effect.provideService(laws.patience, bound))
  )
  const order = ["nothing is thrown", ...laws.all.map((law) => law.name), ...laws.transport.map((law) => law.name)]
  findings.sort((a, b) => order.indexOf(a.law) - order.indexOf(b.law))
  process.stdout.write(JSON.stringify(findings), () => process.exit(0))
}

// ---------------------------------------------------------------------------
// the faults, one copy each
// ---------------------------------------------------------------------------

const copy = (workplace: string, name: string): string => {
  const folder = join(workplace, name)
  mkdirSync(folder)
  cpSync(join(root, "src"), join(folder, "src"), { recursive: true })
  for (const file of ["package.json", exchangeSubjects, exchangeScenarios, socketLaws, others, webStreams])
    cpSync(join(root, file), join(folder, file))
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  return folder
}

/** The faulty file, or what is wrong with the fault. */
const faulty = ({ file, find, replace }: Fault): { readonly source: string } | { readonly misplaced: string } => {
  const path = join(root, "src", file)
  const parts = existsSync(path) ? readFileSync(path, "utf8").split(find) : undefined
  if (parts === undefined) return { misplaced: `there is no src/${file}` }
  if (parts.length === 2) return { source: parts.join(replace) }
  return { misplaced: `in src/${file} there ${parts.length === 1 ? "is no" : "is more than one"}\n${find.trimEnd()}` }
}

const running = new Set<ChildProcess>()

const run = (folder: string, command: Command): Promise<ReadonlyArray<Finding>> =>
  new Promise((done, fail) => {
    const child = spawn(process.execPath, [import.meta.filename, command, folder], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 300_000,
      killSignal: "SIGKILL"
    })
    running.add(child)
    let printed = ""
    let complained = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (complained += text))
    child.on("error", fail)
    child.on("close", (code) => {
      running.delete(child)
      if (!printed.startsWith(loaded)) fail(new Error(`${folder} does not run:\n${complained}`))
      else if (code === 0) done(JSON.parse(printed.slice(loaded.length)) as ReadonlyArray<Finding>)
      else done([{ law: "the laws come to an end", found: complained.slice(-2000) }])
    })
  })

const main = async (args: ReadonlyArray<string>): Promise<void> => {
  const options = args.filter((arg) => arg.startsWith("--"))
  const parts = args.filter((arg) => !arg.startsWith("--"))
  const unknown = options.find((option) => option !== "--list" && option !== "--write")
  if (unknown !== undefined) throw new Error(`there is no option ${unknown}`)
  const write = options.includes("--write")
  if (write && parts.length > 0) throw new Error("--write is for all faults: a table of some would replace that of all")
  const wanted = faults.filter((fault) => parts.length === 0 || parts.some((part) => fault.name.includes(part)))
  if (wanted.length === 0) throw new Error(`no fault's name contains ${parts.join(" or ")}`)

  const problems: Array<string> = []
  const mutants: Array<{ readonly fault: Fault; readonly source: string }> = []
  for (const fault of wanted) {
    const result = faulty(fault)
    if ("source" in result) mutants.push({ fault, source: result.source })
    else problems.push(`the source has moved on, and a fault has to follow: "${fault.name}": ${result.misplaced}`)
  }
  if (options.includes("--list")) for (const { fault } of mutants) console.log(`src/${fault.file}: ${fault.name}`)
  else problems.push(...(await check(mutants, write && problems.length === 0)))
  if (problems.length === 0) return
  console.error(`\n${problems.join("\n\n")}`)
  process.exitCode = 1
}

/** Runs the laws against each fault, and shows who noticed; answers what nobody did. */
const check = async (
  mutants: ReadonlyArray<{ readonly fault: Fault; readonly source: string }>,
  write: boolean
): Promise<ReadonlyArray<string>> => {
  const workplace = mkdtempSync(join(tmpdir(), "mutants-"))
  // also when it is interrupted
  process.once("exit", () => {
    for (const child of running) child.kill("SIGKILL")
    rmSync(workplace, { recursive: true, force: true })
  })
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
  const queue = mutants.map(({ fault, source }, index) => {
    const folder = copy(workplace, String(index))
    writeFileSync(join(folder, "src", fault.file), source)
    return { fault, folder }
  })
  const commands = [...new Set(mutants.map(({ fault }) => commandOf(fault)))]
  const sounds = commands.map((command) => run(copy(workplace, `sound${command}`), command))
  const sound = (await Promise.all(sounds)).flat()
  if (sound.length > 0) return ["without any fault:", ...sound.map(({ found, law }) => `- ${law}: ${found}`)]

  const caught = new Map<Fault, ReadonlyArray<string>>()
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const findings = await run(next.folder, commandOf(next.fault))
      const laws = [...new Set(findings.map(({ law }) => law))]
      caught.set(next.fault, laws)
      console.error(`${laws.length === 0 ? "NOT CAUGHT" : `caught by ${laws.length}`}: ${next.fault.name}`)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))

  console.log(render(caught))
  const survivors = mutants.filter(({ fault }) => caught.get(fault)!.length === 0)
  if (write && survivors.length === 0) insert(render(caught))
  return survivors.map(({ fault }) => `no law notices: ${fault.name}`)
}

/** How many laws a row of the table names. */
const named = 3

/** A table in Markdown, its columns as wide as the formatter makes them. */
const render = (caught: ReadonlyMap<Fault, ReadonlyArray<string>>): string => {
  // in the order of the list, whoever was done first
  const rows = faults.flatMap((fault): Array<readonly [string, string]> => {
    const laws = caught.get(fault)
    if (laws === undefined) return []
    const more = laws.length > named ? `; ${laws.length - named} more` : ""
    return [[fault.name, laws.length === 0 ? "**nothing**" : laws.slice(0, named).join("; ") + more]]
  })
  const head = ["deliberate fault", "noticed by"] as const
  const widths = [0, 1].map((column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) => `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}

/** Replaces the table in the documentation. */
const insert = (table: string): void => {
  const path = join(root, "docs/testing.md")
  const marked = /(<!-- mutants -->\n)[^]*?(<!-- \/mutants -->)/
  const text = readFileSync(path, "utf8")
  if (!marked.test(text)) throw new Error("docs/testing.md has no place for the table")
  writeFileSync(
    path,
    text.replace(marked, (_, begin: string, end: string) => `${begin}\n${table}\n\n${end}`)
  )
}

const [command, ...args] = process.argv.slice(2)
if (command === "--check") await checkCopy(args[0]!)
else if (command === "--check-exchange") await checkExchange(args[0]!)
else if (command === "--check-sockets") await checkSockets(args[0]!)
else if (command === "--check-others") await checkOthers(args[0]!)
else await main(process.argv.slice(2))
