/** The laws of a byte stream, over streams of others: those of the Web, and processes as Effect has them. */
import * as TestNetwork from "effect-byte-streams/testing/TestNetwork"
import { vi } from "vitest"
import { checkLaws } from "../support/laws.ts"
import { processInMemory, thereAndBack } from "../support/others.ts"

checkLaws([thereAndBack("streams of the Web over memory", (options) => TestNetwork.pair(options)), processInMemory])

// none of them waits for the system
vi.setConfig({ maxConcurrency: 24 })
