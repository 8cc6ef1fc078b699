/** Receives from `swaks`, which has to be installed, and from the client. Usage: npm run example:smtp */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import { NodeNetwork, openConnection } from "effect-byte-streams"
import { connect, serve, SmtpError } from "./smtp.ts"

const host = "127.0.0.1"
const accept = (recipient: string) =>
  recipient.startsWith("nobody@")
    ? Effect.fail(new SmtpError({ code: 550, enhanced: "5.1.1", message: "no such user" }))
    : Effect.void

const program = Effect.gen(function* () {
  const { port } = yield* serve({ name: "server.test", host, port: 0, accept }, ({ from, to }, message) =>
    Console.log(`received from ${from} for ${to.join(", ")}: ${message.length} bytes`)
  )
  const spawner = yield* ChildProcessSpawner
  const args = ["--server", `${host}:${port}`, "--from", "ann@swaks.test", "--to", "bob@server.test"]
  const transcript = yield* spawner.lines(ChildProcess.make("swaks", args))
  yield* Console.log("swaks said:", transcript.findLast((line) => line.includes("250 2.0.0"))?.trim())

  const client = yield* connect({ name: "client.test", host, port })
  const envelope = { from: "ann@client.test", to: ["bob@server.test", "nobody@server.test"] } as const
  const { message, refused } = yield* client.send(envelope, "Subject: hello\n\n.a line with a dot\n")
  yield* Console.log(`sent: ${message}; refused: ${refused.map(({ code, recipient }) => `${recipient}, ${code}`)}`)

  const line = new TextEncoder().encode(`${"x".repeat(78)}\r\n`)
  const large = yield* client.send(envelope, Stream.take(Stream.fromEffectRepeat(Effect.succeed(line)), 100_000))
  yield* Console.log(`eight megabytes: ${large.message}`)

  const { reader, writer } = yield* openConnection({ host, port })
  yield* writer.write("EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nx\n.\nMAIL FROM:<smuggled@x>\r\n.\r\n")
  const said = new TextDecoder().decode(yield* reader.readAll({ maxBytes: 1000 }))
  yield* Console.log(`a dot between bare line feeds: ${said.trimEnd().split("\r\n").at(-1)}`)
})

program.pipe(Effect.scoped, Effect.provide([NodeNetwork.layer, NodeServices.layer]), NodeRuntime.runMain)
