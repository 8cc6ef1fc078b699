/** The runtimes beside the project's own Node that `npm run test:runtimes` knows: the oldest Node, the newest, Bun, Deno. */
export const runtimes = ["node-22", "node-26", "bun", "deno"] as const

export type Runtime = (typeof runtimes)[number]

export const isRuntime = (name: string | undefined): name is Runtime => runtimes.some((runtime) => runtime === name)

/** The runtime whose exceptions hold in this process, as `npm run test:runtimes` says it. */
export const runtimeHere = (): Runtime => {
  const name = process.env.TEST_RUNTIME
  if (!isRuntime(name)) throw new Error(`TEST_RUNTIME has to be one of ${runtimes.join(", ")}: npm run test:runtimes`)
  return name
}
