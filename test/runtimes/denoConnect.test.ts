/**
 * The laws of a byte stream, over connections of Deno's (`Deno.connect`). Deno alone has them: this file is run by
 * `npm run test:runtimes`.
 */
import { type DenoConn, halfOpen } from "../support/denoStreams.ts"
import { overForeignSockets } from "../support/foreignSockets.ts"
import { checkLaws, type Subject } from "../support/laws.ts"

interface Conn extends DenoConn {
  readonly readable: ReadableStream
  readonly writable: WritableStream<Uint8Array<ArrayBuffer>>
}

const { Deno } = globalThis as unknown as {
  readonly Deno: { connect(to: { readonly hostname: string; readonly port: number }): Promise<Conn> }
}

const overDeno = (name: string, streamsOf: (conn: Conn) => Pick<Conn, "readable" | "writable">): Subject =>
  overForeignSockets(name, async (address) => streamsOf(await Deno.connect(address)))

const isNoReset = "an abort of these streams is no reset"
const noReset = { "a reset is never an end, whoever hears of it first": isNoReset }
const rounds = {
  "what came while the event loop stood still is in time":
    "not always: Deno reads in rounds of its own, behind the one that is waited for"
}
const noResetOfTransports = { "a reset that a write meets first is never an end": isNoReset }
const wholeIsClosed =
  "the end of either of Deno's streams closes the connection (https://github.com/denoland/deno/issues/22258)"
const halvesApart = "Deno's writable is not told that the connection broke"

checkLaws([
  {
    ...overDeno("connections of Deno's, as streams whose halves end apart", halfOpen),
    cannot: noReset,
    except: rounds,
    transportsCannot: noResetOfTransports
  },
  {
    ...overDeno("connections of Deno's, as they are", (conn) => conn),
    except: rounds,
    cannot: {
      ...noReset,
      "a mebibyte each way at once (trio L23, L24)": wholeIsClosed,
      "half-close: x, then the end, and the other direction goes on (trio L26, L29)": wholeIsClosed,
      "the answer to a half-close is whole, however late it is read": wholeIsClosed,
      "a wait that is given up, wherever, changes nothing": wholeIsClosed
    },
    transportsCannot: {
      ...noResetOfTransports,
      "the end comes behind what the system has yet to take": wholeIsClosed,
      "end is told once, behind everything, and the other direction goes on": wholeIsClosed,
      "onClose is the last call, and comes once": wholeIsClosed,
      "what is over before attach is told after it": halvesApart,
      "after abort there is silence here, and an end there": halvesApart
    }
  }
])
