/** The client of HTTP/2 in examples/protocols, beside that of Node: what a response costs the client's process. */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Result } from "../result.ts"
import { makeCertificate } from "../support/certificate.ts"
import { type Options, wanted } from "../support/options.ts"
import { freePort, untilListening } from "../support/ports.ts"
import { onServerCore, ReaderProcess } from "../support/processes.ts"
import { example, resultOf, type Worked } from "../support/protocols.ts"
import { sliced } from "../support/slices.ts"

const id = "protocols-http2-get"

export const names = [id]

const clients = [{ id: "node", title: "node:http2" }, example("http2.ts")]

const startServer = async () => {
  const directory = mkdtempSync(join(tmpdir(), "bench-"))
  const { cert, key } = await makeCertificate()
  writeFileSync(join(directory, "cert.pem"), cert)
  writeFileSync(join(directory, "key.pem"), key)
  writeFileSync(join(directory, "1k.txt"), "x".repeat(1024))
  const port = await freePort()
  const identity = [join(directory, "key.pem"), join(directory, "cert.pem")]
  const [file, args] = onServerCore(["nghttpd", "-a", "127.0.0.1", "-d", directory, String(port), ...identity])
  const server = spawn(file, args, { stdio: "ignore" })
  const stop = (): void => {
    server.kill()
    rmSync(directory, { recursive: true, force: true })
  }
  await untilListening("nghttpd", port).catch((error: unknown) => {
    stop()
    throw error
  })
  return { cert, port: String(port), stop }
}

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  if (!wanted(options, id)) return
  if (spawnSync("nghttpd", ["--version"]).status !== 0) {
    console.warn(`${id}: there is no nghttpd here`)
    return
  }
  const server = await startServer()
  const readers = clients.map(
    (client) => new ReaderProcess<number, Worked>("http2", client.id, server.port, server.cert)
  )
  let rounds: ReadonlyArray<ReadonlyArray<Worked>>
  try {
    rounds = await sliced(readers, options)
  } finally {
    await Promise.all(readers.map((reader) => reader.stop()))
    server.stop()
  }
  onResult(resultOf(id, "GET of 1 KB from nghttpd over TLS, 100 callers, one connection", clients, rounds))
}
