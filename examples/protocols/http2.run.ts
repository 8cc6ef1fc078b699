/** Asks a server of its own: `nghttpd` and `openssl` have to be installed. Usage: npm run example:http2 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Duration, Effect, FileSystem, Schedule, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { NodeNetwork } from "effect-byte-streams"
import { connect } from "./http2.ts"

const port = 18_443
const quiet = { stdout: "ignore", stderr: "ignore" } as const

const program = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const { exitCode } = yield* ChildProcessSpawner.ChildProcessSpawner
  const directory = yield* files.makeTempDirectoryScoped()
  const [key, cert] = [`${directory}/key.pem`, `${directory}/cert.pem`]
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
  const asked = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
  yield* exitCode(ChildProcess.make("openssl", [...asked, ...subject, "-keyout", key, "-out", cert], quiet))
  yield* files.writeFileString(`${directory}/greeting.txt`, "hello\n")
  yield* files.writeFile(`${directory}/large.bin`, new Uint8Array(10_000_000))
  const served = ["--echo-upload", "--trailer=after: all", "-a", "127.0.0.1", "-d", directory, `${port}`, key, cert]
  yield* ChildProcess.make("nghttpd", served, quiet)

  const tls = { ca: yield* files.readFileString(cert), serverName: "localhost" }
  const connecting = connect({ host: "127.0.0.1", port, tls })
  const client = yield* Effect.retry(connecting, { schedule: Schedule.spaced("20 millis"), times: 200 })

  const { body, headers, status } = yield* client.fetch({ path: "/greeting.txt" })
  yield* Console.log(status, Object.fromEntries(headers), JSON.stringify(body.toString()))

  const many = Effect.forEach(Array.from({ length: 1000 }), () => client.fetch({ path: "/greeting.txt" }), {
    concurrency: "unbounded"
  })
  const [took, answers] = yield* Effect.timed(many)
  yield* Console.log(
    `${answers.length} answers on one connection, 100 at once:`,
    Math.round(Duration.toMillis(took)),
    "ms"
  )

  const words = Stream.make("there ", "and ", "back ", "again").pipe(Stream.encodeText)
  const echo = yield* client.fetch({ method: "POST", path: "/", body: words })
  yield* Console.log("echoed:", echo.body.toString(), "and behind it:", Object.fromEntries(echo.trailers))

  const first = yield* Effect.scoped(
    Effect.gen(function* () {
      const large = yield* client.request({ path: "/large.bin" })
      return yield* Stream.runHead(large.body)
    })
  )
  yield* Console.log("of ten million bytes the first", first._tag === "Some" ? first.value.length : 0, "were enough")
  yield* client.ping
  yield* Console.log("the server has heard of that")
})

program.pipe(Effect.scoped, Effect.provide([NodeNetwork.layer, NodeServices.layer]), NodeRuntime.runMain)
