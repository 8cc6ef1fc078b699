import { configDefaults, defineConfig } from "vitest/config"
import { CountsReporter } from "./scripts/counts-reporter.ts"

const src = new URL("src/", import.meta.url).pathname

/**
 * Those that take long because real time has to pass, because they start many processes, or because they hold one more
 * kind of stream to all laws: `npm run test:long`.
 */
export const long = [
  "test/runtime/stalls.test.ts",
  "test/socket/rpcKill.test.ts",
  "test/socket/streamLaws.test.ts",
  "test/transport/linger.test.ts",
  "test/node/cluster.test.ts",
  "test/node/nodeInternals.test.ts",
  "test/node/descriptors.test.ts",
  "test/cluster/simulatedSeeds.test.ts",
  "test/protocols/commands.test.ts",
  "test/testing/lawsOfNodeStreams.test.ts",
  "test/testing/lawsOfPeers.test.ts",
  "test/testing/lawsOfWorkers.test.ts",
  "test/testing/hostLaws.test.ts",
  "test/testing/lawsInBrowser.test.ts",
  "test/tls/lawsOfVariants.test.ts"
]

/** Clusters of processes, over databases, of which some are killed: `npm run test:cluster`. */
export const clusters = ["test/cluster/gateways.test.ts", "test/cluster/processes.test.ts"]

/** What one runtime alone has: run on that by `npm run test:runtimes`. */
export const ofRuntimes = ["test/runtimes/denoConnect.test.ts"]

export default defineConfig({
  resolve: {
    // Tests that import the package by its name get its sources: one copy of every module, whatever the spelling.
    alias: [
      { find: /^effect-byte-streams$/, replacement: `${src}index.ts` },
      { find: /^effect-byte-streams\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    // Type-level tests are `expectTypeOf` calls in these same files: `npm run types` is what checks them.
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...long, ...clusters, ...ofRuntimes],
    globalSetup: ["scripts/compile.ts"],
    reporters: ["default", new CountsReporter()],
    // Real sockets and real peers: generous for a busy machine, short enough to name the test that hangs.
    testTimeout: 15_000,
    hookTimeout: 15_000,
    // More workers than cores would only make the timing of the socket tests noisier.
    maxWorkers: 2
  }
})
