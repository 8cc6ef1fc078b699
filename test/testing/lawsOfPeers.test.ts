/**
 * The laws of a byte stream, over what takes long: real processes, this one's standard input and output as a child has
 * them, and the streams of the Web that are left.
 */
import { NodeServices } from "@effect/platform-node"
import { Context, Effect, Layer } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { NodeNetwork } from "effect-byte-streams"
import * as StreamLaws from "effect-byte-streams/testing/StreamLaws"
import { checkLaws } from "../support/laws.ts"
import { noRoom, overPipes, overProcess, thereAndBack } from "../support/others.ts"
import { bytePipe } from "../support/webStreams.ts"

const spawner = await Effect.runPromise(
  Effect.scoped(
    Effect.map(Layer.build(NodeServices.layer), (services) =>
      Context.get(services, ChildProcessSpawner.ChildProcessSpawner)
    )
  )
)

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

checkLaws([
  {
    ...overPipes("streams of the Web without room", () => new TransformStream()),
    transportsCannot: {
      "nothing is delivered before attach, and nothing is lost": noRoom,
      "what is over before attach is told after it": noRoom
    }
  },
  overPipes("byte streams of the Web", bytePipe),
  thereAndBack(
    "streams of the Web over TCP",
    StreamLaws.fromTransports(
      StreamLaws.overNetwork({ host: "127.0.0.1", port: 0 }).pipe(Effect.provide(NodeNetwork.layer))
    )
  ),
  {
    ...overProcess("processes of Effect's", cats, 100),
    except: { "what came while the event loop stood still is in time": "the processes may not have had their turn" },
    cannot: {
      "writing to a peer that has closed fails before long, and goes on failing (trio L7, L8)":
        "Effect does not close the output of a process: one that is not read stands still until its scope ends"
    }
  }
])
