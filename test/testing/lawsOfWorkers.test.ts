/** The laws of a byte stream, over sockets such as those of Cloudflare's Workers. */
import { overForeignSockets } from "../support/foreignSockets.ts"
import { checkLaws, type Subject } from "../support/laws.ts"
import { connect, type WorkersSocketOptions } from "../support/workersSocket.ts"

const overWorkers = (name: string, options: WorkersSocketOptions): Subject =>
  overForeignSockets(name, (address) => connect(address, options))

const isNoReset = "an abort of these streams is no reset"
const noReset = { "a reset is never an end, whoever hears of it first": isNoReset }
const noResetOfTransports = { "a reset that a write meets first is never an end": isNoReset }
const closesItself = "without allowHalfOpen a socket ends its output once its input has ended"

checkLaws([
  {
    ...overWorkers("sockets of Workers with allowHalfOpen", { allowHalfOpen: true }),
    cannot: noReset,
    transportsCannot: noResetOfTransports
  },
  {
    ...overWorkers("sockets of Workers", {}),
    cannot: {
      ...noReset,
      "half-close: x, then the end, and the other direction goes on (trio L26, L29)": closesItself,
      "the answer to a half-close is whole, however late it is read": closesItself
    },
    transportsCannot: {
      ...noResetOfTransports,
      "end is told once, behind everything, and the other direction goes on": closesItself,
      "the end comes behind what the system has yet to take": closesItself,
      "the end of the peer takes nothing from what is still sent to it": closesItself
    }
  }
])
