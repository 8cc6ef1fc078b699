/**
 * Python's asyncio streams for Effect.
 *
 * Each module is a namespace here, and a path of its own: `effect-byte-streams/StreamReader`. The modules for tests
 * have only their paths: `effect-byte-streams/testing/TestNetwork`.
 *
 * @stability unstable
 * @since 0.1.0
 */

export * as BufferBudget from "./BufferBudget.ts"
export * as ClusterStreams from "./ClusterStreams.ts"
export * as Connection from "./Connection.ts"
export * as Exchange from "./Exchange.ts"
export * as Frame from "./Frame.ts"
export * as FrameSchema from "./FrameSchema.ts"
export * as Network from "./Network.ts"
export * as NodeNetwork from "./NodeNetwork.ts"
export * as Observer from "./Observer.ts"
export * as Server from "./Server.ts"
export * as StreamError from "./StreamError.ts"
export * as StreamReader from "./StreamReader.ts"
export * as StreamWriter from "./StreamWriter.ts"
export * as Telemetry from "./Telemetry.ts"
export * as Tls from "./Tls.ts"
export * as Transport from "./Transport.ts"
export * as Wiretap from "./Wiretap.ts"

export { openConnection, openUnixConnection } from "./Connection.ts"
export { startServer, startUnixServer } from "./Server.ts"
