import { certificateVariable, type Service } from "./service.ts"

declare const gc: (() => void) | undefined

/** The service that this process was started to offer. */
export const service = process.argv[2] as Service

/** The port of the server that a relay connects to. */
export const upstream = Number(process.argv.find((one) => one.startsWith("--upstream="))?.slice("--upstream=".length))

const certificate = process.env[certificateVariable]

/** What the server shows of itself, where it is to speak TLS. */
export const identity =
  certificate === undefined ? undefined : (JSON.parse(certificate) as { readonly cert: string; readonly key: string })

/** Tells the benchmark where the server listens, answers its questions, and ends the process when it is done. */
export const announce = (port: number): void => {
  process.stdin.on("data", () => {
    // the only question there is
    gc?.()
    gc?.()
    const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
    process.stdout.write(`memory ${JSON.stringify({ used: heapUsed + external, arrayBuffers, rss })}\n`)
  })
  process.stdin.on("end", () => process.exit())
  process.stdout.write(`listening ${port}\n`)
}
