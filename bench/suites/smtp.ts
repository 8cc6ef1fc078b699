/** SMTP in examples/protocols, beside what programs use: what a message costs the process that sends it, or receives it. */
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { example, resultOf, type Worked } from "../support/protocols.ts"
import { sliced } from "../support/slices.ts"

/** The ways of `readers/smtp.ts`. */
const senders = [{ id: "nodemailer", title: "nodemailer" }, example("smtp.ts")]
const receivers = [{ id: "smtp-server", title: "smtp-server" }, example("smtp.ts")]

export const names = ["protocols-smtp-send", "protocols-smtp-receive"]

/** Takes messages, and does nothing else. */
const startSink = async () => {
  const server = createServer({ noDelay: true }, (socket) => {
    let inMessage = false
    let text = ""
    socket.write("220 sink\r\n")
    socket.on("error", () => {})
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1")
      let said = ""
      while (true) {
        const end = inMessage ? text.indexOf("\r\n.\r\n") : text.indexOf("\r\n")
        if (end === -1) break
        const command = inMessage ? "." : text.slice(0, 4).toUpperCase()
        text = text.slice(end + (inMessage ? 5 : 2))
        inMessage = command === "DATA"
        said +=
          command === "EHLO"
            ? "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
            : inMessage
              ? "354 go on\r\n"
              : "250 ok\r\n"
      }
      if (said !== "") socket.write(said)
    })
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

const begin = "MAIL FROM:<a@bench.test>\r\nRCPT TO:<b@bench.test>\r\nDATA\r\n"
const message = `Subject: 4 KB\r\n\r\n${`${"x".repeat(78)}\r\n`.repeat(51)}.\r\n`

/** Sends messages on connections of its own, one behind the other on each, while it is told to. */
const startSource = async (port: number) => {
  let goesOn = false
  const idle: Array<() => void> = []
  const talk = async (socket: Socket) => {
    let text = ""
    let hear: (() => void) | undefined
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1")
      hear?.()
    })
    const heard = async (pattern: RegExp) => {
      while (!pattern.test(text)) await new Promise<void>((resolve) => (hear = resolve))
      text = ""
    }
    await heard(/^220 .*\r\n$/)
    socket.write("EHLO bench.test\r\n")
    await heard(/^250 .*\r\n$/m)
    while (!socket.destroyed) {
      while (goesOn) {
        socket.write(begin)
        await heard(/^354 .*\r\n$/m)
        socket.write(message)
        await heard(/^250 .*\r\n$/m)
      }
      await new Promise<void>((resolve) => idle.push(resolve))
    }
  }
  const sockets = Array.from({ length: 4 }, () => connect({ port, host: "127.0.0.1", noDelay: true }))
  for (const socket of sockets) void talk(socket)
  return {
    run: async <A>(work: Promise<A>): Promise<A> => {
      goesOn = true
      for (const wake of idle.splice(0)) wake()
      const answer = await work
      goesOn = false
      return answer
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      for (const wake of idle.splice(0)) wake()
    }
  }
}

const runSending = async (options: Options): Promise<ReadonlyArray<ReadonlyArray<Worked>>> => {
  const sink = await startSink()
  const readers = senders.map(({ id }) => new ReaderProcess<number, Worked>("smtp", "send", id, String(sink.port)))
  try {
    return await sliced(readers, options)
  } finally {
    await Promise.all(readers.map((reader) => reader.stop()))
    sink.close()
  }
}

const runReceiving = async (options: Options): Promise<ReadonlyArray<ReadonlyArray<Worked>>> => {
  const readers = receivers.map(({ id }) => new ReaderProcess<"port" | number, any>("smtp", "receive", id))
  const sources = await Promise.all(readers.map(async (reader) => startSource(await reader.ask("port"))))
  try {
    const worked = readers.map((reader, i) => ({ ask: (millis: number) => sources[i]!.run(reader.ask(millis)) }))
    return await sliced(worked, options)
  } finally {
    for (const source of sources) source.close()
    await Promise.all(readers.map((reader) => reader.stop()))
  }
}

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  const [send, receive] = [names[0]!, names[1]!]
  if (wanted(options, send)) {
    onResult(resultOf(send, "4 KB over SMTP, sent on 4 connections", senders, await runSending(options)))
  }
  if (wanted(options, receive)) {
    onResult(resultOf(receive, "4 KB over SMTP, received on 4 connections", receivers, await runReceiving(options)))
  }
}
