/** HTTP/1.1: processor time a request, of the example and of what people use. The load is wrk's. */
import { execFile, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { Result } from "../result.ts"
import { type Options, wanted } from "../support/options.ts"
import { ReaderProcess } from "../support/processes.ts"
import { example, resultOf, type Worked } from "../support/protocols.ts"

const http1 = example("http1.ts")

/** The ways of `readers/http.ts`. */
const suites = [
  {
    id: "protocols-http1-app",
    what: "app",
    title: "one application of HttpRouter, 32 connections",
    ways: [{ id: "NodeHttpServer", title: "NodeHttpServer" }, http1]
  },
  {
    id: "protocols-http1-hello",
    what: "hello",
    title: "hello over HTTP/1.1, 32 connections",
    ways: [{ id: "byHand", title: "node:http by hand" }, http1]
  }
]

export const names = suites.map(({ id }) => id)

/**
 * What is asked, in turn: mostly JSON in and out and little things, a stream each way, an error, and one file. Most of what a
 * file costs is the file system's, with any server.
 */
const script = `
local requests, n = {}, 0
init = function()
  local json = { ["content-type"] = "application/json" }
  local hello = wrk.format("GET", "/hello")
  local note = wrk.format("POST", "/notes", json, '{"title":"a note","words":3}')
  local words = wrk.format("GET", "/words")
  local count = wrk.format("POST", "/count", nil, string.rep("x", 20000))
  local none, file = wrk.format("GET", "/notes/7"), wrk.format("GET", "/file")
  requests = {
    hello, note, words, note, hello, none, note, hello, words, note,
    count, hello, note, words, note, hello, none, note, count, file
  }
end
request = function()
  n = n % #requests + 1
  return requests[n]
end
`

type Server = ReaderProcess<"port" | "cpu", number>

/** What a server does while it is worked for some seconds. */
const work = async (server: Server, seconds: number, args: ReadonlyArray<string>): Promise<Worked> => {
  const url = `http://127.0.0.1:${await server.ask("port")}/hello`
  const before = await server.ask("cpu")
  const { stdout } = await promisify(execFile)("wrk", ["-t1", "-c32", `-d${seconds}`, ...args, url])
  const micros = (await server.ask("cpu")) - before
  if (/Socket errors/.test(stdout)) throw new Error(`wrk: ${stdout}`)
  return { operations: Number(/(\d+) requests in/.exec(stdout)?.[1]), micros, seconds }
}

export const run = async (options: Options, onResult: (result: Result) => void): Promise<void> => {
  const chosen = suites.filter(({ id }) => wanted(options, id))
  if (chosen.length === 0) return
  if (spawnSync("wrk", ["--version"]).error !== undefined) {
    console.warn(`${chosen[0]!.id}: there is no wrk here`)
    return
  }
  const directory = mkdtempSync(join(tmpdir(), "bench-"))
  const path = join(directory, "app.lua")
  writeFileSync(path, script)
  try {
    for (const { id, title, ways, what } of chosen) {
      const args = what === "app" ? ["-s", path] : []
      const servers = ways.map((way): Server => new ReaderProcess("http", what, way.id))
      const rounds = ways.map((): Array<Worked> => [])
      // wrk counts whole seconds
      const seconds = Math.max(1, Math.round(options.millis / 1000))
      try {
        for (const server of servers) await work(server, 2, args)
        for (let round = 0; round < options.rounds; round++) {
          for (const [index, server] of servers.entries()) rounds[index]!.push(await work(server, seconds, args))
        }
      } finally {
        await Promise.all(servers.map((server) => server.stop()))
      }
      onResult(resultOf(id, title, ways, rounds))
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
