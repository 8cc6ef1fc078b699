/** What does not pass on Bun alone, beside what is about the files and paths of Unix sockets. */
import type { Exception } from "./exceptions.ts"

type Tests = Readonly<Record<string, ReadonlyArray<string>>>

/** All that fails for one reason, by file. */
const failing = (reason: Pick<Exception, "reason" | "issue">, tests: Tests): ReadonlyArray<Exception> =>
  Object.entries(tests).map(([file, tests]) => ({ on: ["bun"], kind: "fails", file, tests, ...reason }))

export const exceptionsOfBun: ReadonlyArray<Exception> = [
  ...failing(
    {
      reason:
        "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
      issue: "https://github.com/oven-sh/bun/pull/43198"
    },
    {
      "test/server/waitingClients.test.ts": [
        "clients that wait and leave, TLS > one that has asked and ended its output is answered when its turn comes, behind those who are there"
      ]
    }
  ),
  ...failing(
    {
      reason:
        "out of descriptors, Bun's server asks the system for the next client again and again, and closes none of those that it cannot take",
      issue: "https://github.com/oven-sh/bun/pull/32705"
    },
    {
      "test/server/maxConnections.test.ts": [
        "out of descriptors > row 10.9, rank 28: serves on when there are some again, and spends no time on it meanwhile"
      ]
    }
  )
]
