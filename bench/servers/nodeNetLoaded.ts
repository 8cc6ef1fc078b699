/**
 * `node:net` by hand in a process that has loaded everything that `effectByteStreams.ts` loads, and uses none of it:
 * what is left between this and the library is the library's own work.
 */
import "@effect/platform-node/NodeRuntime"
import "effect-byte-streams/Connection"
import "effect-byte-streams/NodeNetwork"
import "effect-byte-streams/Server"
import "effect/Effect"
import "./nodeNet.ts"
