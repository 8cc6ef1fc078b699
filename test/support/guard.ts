/**
 * Set-up of unit tests: a test that opens a socket, starts a process or a thread, or looks a name up, fails, also where
 * the code that it calls makes a typed failure of that. Which files are unit tests is decided by their imports, in
 * `scripts/test-files.ts`; this is for what the imports do not show.
 */
import * as ChildProcess from "node:child_process"
import * as Dgram from "node:dgram"
import * as Dns from "node:dns"
import { syncBuiltinESMExports } from "node:module"
import * as Net from "node:net"
import * as Threads from "node:worker_threads"
import { afterEach } from "vitest"

let done: Array<string> = []

const forbid = (owner: object, method: string, what: string): void => {
  if (!(method in owner)) throw new Error(`Node's ${what} is not where the guard of unit tests looks for it`)
  // not a method, since some are called with `new`
  const forbidden = function () {
    const error = new Error(`a unit test must not touch the world: ${what}`)
    done.push(error.message)
    throw error
  }
  Object.assign(owner, { [method]: forbidden })
}

// the objects behind the namespaces, which tests import from as well
const mutable = (module: { readonly default?: object }): object => module.default!

forbid(Net.Socket.prototype, "connect", "connecting a socket")
forbid(Net.Server.prototype, "listen", "listening")
forbid(Dgram.Socket.prototype, "bind", "a datagram socket")
forbid(Dgram.Socket.prototype, "send", "a datagram")
forbid(ChildProcess.ChildProcess.prototype, "spawn", "starting a process")
for (const method of ["spawnSync", "execSync", "execFileSync"]) {
  forbid(mutable(ChildProcess as never), method, "starting a process")
}
for (const method of ["lookup", "resolve", "resolve4", "resolve6", "reverse"]) {
  forbid(mutable(Dns as never), method, "looking a name up")
  forbid(Dns.promises, method, "looking a name up")
}
forbid(mutable(Threads as never), "Worker", "starting a thread")
syncBuiltinESMExports()

afterEach(() => {
  const [first] = done
  done = []
  if (first !== undefined) throw new Error(first)
})
