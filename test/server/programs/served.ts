/**
 * A served program as its users write it: a layer, launched by `NodeRuntime.runMain`. Prints its port.
 *
 * A client asks for a number of bytes, is told that they are being worked on, and gets them once it says "go".
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { type Connection, NodeNetwork, Server } from "effect-byte-streams"

const answer = ({ reader, writer }: Connection.Connection) =>
  Effect.gen(function* () {
    yield* writer.write("ready\n")
    const size = Number(new TextDecoder().decode(yield* reader.readLine))
    yield* writer.write("working\n")
    yield* reader.readLine
    yield* writer.write(new Uint8Array(size).fill(120))
  })

const app = Layer.effectDiscard(Effect.flatMap(Server.Server, ({ port }) => Console.log(port))).pipe(
  Layer.provide(Server.layerServer({ host: "127.0.0.1", port: 0, gracePeriod: Number(process.argv[2]) }, answer)),
  Layer.provide(NodeNetwork.layer)
)

NodeRuntime.runMain(Layer.launch(app))
