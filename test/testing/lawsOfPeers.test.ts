/**
 * The laws of a byte stream, over what takes long: real processes, this one's standard input and output as a child has
 * them, and the streams of the Web that are left.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Deferred, Effect, Layer, type Scope } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { Network, NodeNetwork, type Transport } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import { fileURLToPath } from "node:url"
import { exitTimeout } from "../../src/internal/base/defaults.ts"
import { open as processTransport } from "../../src/internal/transport/process.ts"
import { checkLaws } from "../support/laws.ts"
import { noRoom, overPipes, overProcess, thereAndBack } from "../support/others.ts"
import { bytePipe } from "../support/webStreams.ts"

const relay = fileURLToPath(new URL("./programs/relay.ts", import.meta.url))

const spawner = await Effect.runPromise(
  Effect.scoped(
    Effect.map(Layer.build(NodeServices.layer), (services) =>
      Context.get(services, ChildProcessSpawner.ChildProcessSpawner)
    )
  )
)

const stoodStill = "what came while the event loop stood still is in time"
const notTheirTurn = "the processes may not have had their turn"

/** Two processes that pass on what they are given, as one that stands between two ends. */
const cats = Effect.gen(function* () {
  const cat = spawner.spawn(ChildProcess.make("cat", { stderr: "ignore", forceKillAfter: "1 second" }))
  const [there, back] = yield* Effect.all([cat, cat])
  // as one process, which is gone as a whole
  const kill: typeof there.kill = (options) => Effect.andThen(there.kill(options), back.kill(options))
  const isRunning = Effect.zipWith(there.isRunning, back.isRunning, (there, back) => there || back)
  const exitCode = Effect.zipWith(there.exitCode, back.exitCode, (there, back) => (there === 0 ? back : there))
  const end = (told: typeof there, telling: typeof there) =>
    ChildProcessSpawner.makeHandle({ ...telling, stdin: told.stdin, kill, isRunning, exitCode })
  return { left: end(there, back), right: end(back, there) }
})

/** A process on its standard input and output, which passes on to the other end, and back. */
const relays: Effect.Effect<StreamLaws.Transports, unknown, Scope.Scope> = Effect.gen(function* () {
  const accepted = yield* Deferred.make<Transport.Transport>()
  const network = yield* Network.Network
  const listener = yield* network.listen({ host: "127.0.0.1", port: 0 }, (transport) =>
    Deferred.doneUnsafe(accepted, Effect.succeed(transport))
  )
  const [address] = listener.addresses
  if (address._tag === "UnixPathAddress") return yield* Effect.die("no port")
  const handle = yield* spawner.spawn(
    ChildProcess.make(process.execPath, [relay, String(address.port)], {
      stderr: "inherit",
      forceKillAfter: "1 second"
    })
  )
  return { left: yield* processTransport(handle, exitTimeout, 500), right: yield* Deferred.await(accepted) }
}).pipe(Effect.provide(NodeNetwork.layer))

const peerGone = "writing to a peer that has closed fails before long, and goes on failing (trio L7, L8)"
const standsStill =
  "Effect does not close the output of a process: one that is not read stands still until its scope ends"
const manyProcesses = "it would start a process for each step"

checkLaws([
  {
    name: "standard input and output",
    transports: relays,
    pair: StreamLaws.fromTransports(relays),
    except: {
      "a read that is interrupted, wherever, loses nothing and repeats nothing": manyProcesses,
      "a read of a message that is interrupted, wherever, loses nothing and repeats nothing": manyProcesses,
      "a write that is interrupted, wherever, was accepted whole or not at all": manyProcesses,
      "a wait that is given up, wherever, changes nothing": manyProcesses,
      "how bytes are cut changes nothing": manyProcesses,
      "half an item at the end is never a whole one, nor nothing": manyProcesses,
      [stoodStill]: notTheirTurn
    },
    cannot: { [peerGone]: standsStill }
  },
  {
    ...overPipes("streams of the Web without room", () => new TransformStream()),
    transportsCannot: {
      "nothing is delivered before attach, and nothing is lost": noRoom,
      "what is over before attach is told after it": noRoom
    }
  },
  overPipes("streams of the Web with room", () => new TransformStream({}, {}, { highWaterMark: 1 })),
  overPipes("byte streams of the Web", bytePipe),
  thereAndBack(
    "streams of the Web over TCP",
    StreamLaws.fromTransports(
      StreamLaws.overNetwork({ host: "127.0.0.1", port: 0 }).pipe(Effect.provide(NodeNetwork.layer))
    )
  ),
  {
    ...overProcess("processes of Effect's", cats, 100),
    except: { [stoodStill]: notTheirTurn },
    cannot: { [peerGone]: standsStill }
  }
])
