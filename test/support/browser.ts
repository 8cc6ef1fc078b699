/** A program in a browser, which here is Chromium. */
import { Deferred, Effect, type Scope } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { start } from "./program.ts"
import { temporaryDirectory } from "./temporary.ts"
import { within } from "./wait.ts"

/** What was found of one subject. */
export interface Found {
  readonly subject: string
  readonly checks: ReadonlyArray<{ readonly name: string; readonly failure?: string | undefined }>
}

/** The subject of what goes wrong outside of all checks. */
const thePage = "the page"

const page = `<!doctype html>
<script>
  const tell = (failure) =>
    fetch("/found", {
      method: "POST",
      body: JSON.stringify({ subject: "${thePage}", checks: [{ name: "runs", failure }] })
    })
  addEventListener("error", (event) => tell(String(event.error?.stack ?? event.message)))
  addEventListener("unhandledrejection", ({ reason }) => tell(String(reason?.stack ?? reason)))
</script>
<script type="module" src="/program.js"></script>
`

/** Serves a page with a program, and collects what it finds of so many subjects. */
const serve = (
  code: string,
  count: number
): Effect.Effect<
  { readonly url: string; readonly found: ReadonlyArray<Found>; readonly done: Effect.Effect<void> },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const found: Array<Found> = []
    const done = Deferred.makeUnsafe<void>()
    const files = new Map([
      ["/", { type: "text/html", content: page }],
      ["/program.js", { type: "text/javascript", content: code }]
    ])
    const server = createServer((request, response) => {
      const file = files.get(request.url!)
      if (file !== undefined) return void response.setHeader("content-type", file.type).end(file.content)
      if (request.url !== "/found") return void response.writeHead(404).end()
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => (body += text))
      request.on("end", () => {
        found.push(JSON.parse(body))
        if (found.length === count || found.at(-1)!.subject === thePage) Deferred.doneUnsafe(done, Effect.void)
        response.end()
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const { port } = server.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}/`, found, done: Deferred.await(done) }
  })

const flags = [
  "headless",
  "no-sandbox",
  "disable-gpu",
  "disable-quic",
  "no-first-run",
  "disable-background-networking",
  "disable-component-update",
  "disable-dev-shm-usage",
  "disable-sync"
]

/** Runs a program in Chromium until it has said what it found of subjects, or that it failed. */
export const inChromium = (
  code: string,
  subjects: ReadonlyArray<string>,
  millis: number
): Effect.Effect<ReadonlyArray<Found>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { done, found, url } = yield* serve(code, subjects.length)
    const home = yield* temporaryDirectory
    const where = `${url}#${encodeURIComponent(JSON.stringify(subjects))}`
    const chromium = yield* start(
      "chromium",
      [...flags, `user-data-dir=${home}`].map((flag) => `--${flag}`).concat(where),
      { env: { HOME: home }, stdio: ["ignore", "ignore", "pipe"], patience: 30_000 }
    )
    const missing = () => subjects.filter((name) => !found.some(({ subject }) => subject === name))
    yield* within(
      () => `Chromium says what it found of ${missing().join(", ")}; it has said ${chromium.stderr.slice(-2000)}`,
      done,
      millis
    )
    return found
  })
