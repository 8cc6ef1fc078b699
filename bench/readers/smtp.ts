/**
 * Messages of 4 KB over SMTP, sent and received by examples/protocols and by what programs use: one way of it a process. One
 * that sends is started with the port of a server. One that receives answers the question for its own.
 */
import * as NodeNetwork from "effect-byte-streams/NodeNetwork"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { createTransport } from "nodemailer"
import type { AddressInfo } from "node:net"
import { SMTPServer } from "smtp-server"
import { connect, serve } from "../../examples/protocols/smtp.ts"
import { type Work, workWhenAsked } from "./support/worked.ts"

const [what, way, port] = [process.argv[2]!, process.argv[3]!, Number(process.argv[4])]
const host = "127.0.0.1"

/** As many connections as there are at once. */
const connections = 4
const message = Buffer.from(`Subject: 4 KB\r\n\r\n${`${"x".repeat(78)}\r\n`.repeat(51)}`)
const envelope = { from: "a@bench.test", to: ["b@bench.test"] as [string] }

const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | Effect.Services<ReturnType<typeof connect>>>) =>
  effect.pipe(
    Effect.provideService(Scope.Scope, Scope.makeUnsafe()),
    Effect.provide(NodeNetwork.layer),
    Effect.runPromise
  )

/** How many messages have come so far. */
type Received = { readonly port: number; readonly count: () => number }

/** Each sends on all connections, one message behind the other on each. */
const senders: Record<string, () => Promise<Work>> = {
  example: async () => {
    const clients = await run(
      Effect.all(Array.from({ length: connections }, () => connect({ name: "bench.test", host, port })))
    )
    return (until) => {
      let sent = 0
      const sender = ({ send }: (typeof clients)[number]) =>
        Effect.gen(function* () {
          while (performance.now() < until) {
            yield* send(envelope, message)
            sent++
          }
        })
      return Effect.runPromise(
        Effect.map(Effect.forEach(clients, sender, { concurrency: "unbounded", discard: true }), () => sent)
      )
    }
  },
  nodemailer: async () => {
    const options = { name: "bench.test", host, port, ignoreTLS: true, pool: true, maxMessages: Infinity }
    const transport = createTransport({ ...options, maxConnections: connections })
    return async (until) => {
      let sent = 0
      const sender = async () => {
        while (performance.now() < until) {
          await transport.sendMail({ envelope, raw: message })
          sent++
        }
      }
      await Promise.all(Array.from({ length: connections }, sender))
      return sent
    }
  }
}

const receivers: Record<string, () => Promise<Received>> = {
  example: async () => {
    let count = 0
    const server = await run(serve({ name: "bench.test", host, port: 0 }, () => Effect.sync(() => void count++)))
    return { port: server.port, count: () => count }
  },
  "smtp-server": async () => {
    let count = 0
    const server = new SMTPServer({
      authOptional: true,
      disableReverseLookup: true,
      disabledCommands: ["STARTTLS"],
      onData: (stream, _, done) => {
        stream.resume()
        stream.on("end", () => {
          count++
          done()
        })
      }
    })
    await new Promise<void>((resolve) => void server.listen(0, host, resolve))
    return { port: (server.server.address() as AddressInfo).port, count: () => count }
  }
}

const receive = async (received: Promise<Received>): Promise<Work> => {
  const { count } = await received
  return async (until) => {
    const before = count()
    await new Promise((resolve) => setTimeout(resolve, until - performance.now()))
    return count() - before
  }
}

if (what === "send") workWhenAsked(senders[way]!())
else {
  const received = receivers[way]!()
  workWhenAsked(
    receive(received),
    received.then(({ port }) => port)
  )
}
