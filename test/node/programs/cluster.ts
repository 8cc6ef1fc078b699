/**
 * A `node:cluster` of servers on one Unix socket. Arguments: the path (`@` in front: an abstract name), `rr` or `none` (who hands out connections), how many
 * workers, and more options as JSON.
 *
 * Each worker greets its clients with its number. With the option `alone` it leaves the cluster before it starts its server,
 * and with an empty path that one is of TCP. The primary prints what became of each, "1 listens" or "1 AddressInUse";
 * "stop 1" on its input makes a worker stop listening, "kill 1" kills it, and it prints "1 stopped" or "1 killed".
 */
import { Effect, Exit, Scope } from "effect"
import { type Connection, NodeNetwork, type Server, startServer } from "effect-byte-streams"
import cluster from "node:cluster"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const [given = "", policy, count, more = "{}"] = process.argv.slice(2)
const path = given.replace(/^@/, "\0")
const { alone, ...options }: Server.Options & { readonly alone?: boolean } = JSON.parse(more)

if (cluster.isPrimary) {
  cluster.schedulingPolicy = policy === "rr" ? cluster.SCHED_RR : cluster.SCHED_NONE
  cluster.setupPrimary({ exec: fileURLToPath(import.meta.url) })
  const workers = Array.from({ length: Number(count) }, (_, index) => {
    const worker = cluster.fork({ WORKER: String(index + 1) })
    worker.on("message", (said) => console.log(`${index + 1} ${said}`))
    return worker
  })
  createInterface({ input: process.stdin }).on("line", (line) => {
    const [what, which] = line.split(" ")
    const worker = workers[Number(which) - 1]!
    if (what === "stop") return void worker.send("stop")
    worker.on("exit", () => console.log(`${which} killed`))
    worker.process.kill("SIGKILL")
  })
} else {
  const scope = Scope.makeUnsafe()
  const where = path === "" ? { host: "127.0.0.1", port: 0 } : { path }
  // the client leaves first: one whose peer is gone before it has looked is not connected everywhere
  const greet = ({ reader, writer }: Connection.Connection) =>
    Effect.andThen(writer.write(`${process.env.WORKER}\n`), reader.readLine)
  const started = startServer({ ...where, ...options }, greet).pipe(
    Scope.provide(scope),
    Effect.provide(NodeNetwork.layer),
    Effect.match({ onFailure: ({ kind }) => kind, onSuccess: () => "listens" })
  )
  process.on("message", () => {
    void Effect.runPromise(Scope.close(scope, Exit.void)).then(() => process.send!("stopped"))
  })
  if (alone === true) {
    const parent = process.ppid
    cluster.worker!.on("disconnect", () => {
      // nobody else tells it when to end
      setInterval(() => process.ppid === parent || process.exit(), 50)
      void Effect.runPromise(started).then((became) => console.log(`${process.env.WORKER} ${became}`))
    })
    cluster.worker!.disconnect()
  } else process.send!(await Effect.runPromise(started))
}
