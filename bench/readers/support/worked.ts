/** A process that works for as many milliseconds as each message says, and answers how much it has done. */
import type { Worked } from "../../support/protocols.ts"

/** Works until a moment, and answers how many operations it has done. */
export type Work = (until: number) => Promise<number>

/** `port`: what a server answers to the question of that name. */
export const workWhenAsked = (begun: Promise<Work>, port?: Promise<number>): void => {
  process.on("message", async (question: number | "port") => {
    const work = await begun
    if (question === "port") {
      process.send!(await port)
      return
    }
    const [since, before] = [performance.now(), process.cpuUsage()]
    const operations = await work(since + question)
    const { system, user } = process.cpuUsage(before)
    process.send!({ operations, micros: system + user, seconds: (performance.now() - since) / 1000 } satisfies Worked)
  })
  process.on("disconnect", () => process.exit())
}
