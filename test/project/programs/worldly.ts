/** Tests that touch the world, and hide it from their own assertions; `unit.test.ts` runs them under the guard. */
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeNetwork, openConnection, startServer } from "effect-byte-streams"
import { exec, spawn, spawnSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { lookup } from "node:dns/promises"
import { connect, createServer } from "node:net"
import { Worker } from "node:worker_threads"

const quietly = (touch: () => unknown) => async () => {
  try {
    await touch()
  } catch {}
}

const host = "127.0.0.1"

it("does nothing of the kind", () => {})

it(
  "connects",
  quietly(() => connect(1, host))
)
it(
  "listens",
  quietly(() => createServer().listen(0, host))
)
it(
  "is sent datagrams",
  quietly(() => createSocket("udp4").bind())
)
it(
  "starts a process",
  quietly(() => spawn(process.execPath, ["--version"]))
)
it(
  "starts a shell",
  quietly(() => exec("true"))
)
it(
  "waits for a process",
  quietly(() => spawnSync(process.execPath, ["--version"]))
)
it(
  "starts a thread",
  quietly(() => new Worker("", { eval: true }))
)
it(
  "looks a name up",
  quietly(() => lookup("localhost"))
)

it.live("opens a connection, and takes what comes of it", () =>
  openConnection({ host, port: 1 }).pipe(Effect.exit, Effect.scoped, Effect.provide(NodeNetwork.layer))
)
it.live("starts a server, and takes what comes of it", () =>
  startServer({ host, port: 0 }, () => Effect.void).pipe(Effect.exit, Effect.scoped, Effect.provide(NodeNetwork.layer))
)
