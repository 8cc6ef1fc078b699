/** How requests are written. */
import * as Result from "effect/Result"
import type { Encoder } from "../../Frame.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import { of } from "../frame/node.ts"
import { encodeResult } from "../frame/run.ts"
import { SessionWriter } from "../write/writer.ts"
import type { Call } from "./call.ts"
import type { Order } from "./order.ts"

/** Several requests, as one run: all of them, or none. */
const writeRun = <A>(writer: StreamWriter, frame: Encoder<A>, requests: ReadonlyArray<A>): boolean => {
  if (writer instanceof SessionWriter) return writer.writeFramesUnsafe(frame, requests)
  return writer.writeAllUnsafe(
    requests.map((request) => Result.getOrThrow(encodeResult(of<A>("writeFrames", frame), request)))
  )
}

/** Writes calls as one run, each with the position of the run. Whether the writer has room for more. */
export const writeCalls = <Request, Answer>(
  writer: StreamWriter,
  frame: Encoder<Request>,
  calls: ReadonlyArray<Call<Request, Answer, any>>,
  order: Order<Request, Answer>
): boolean => {
  const position = writer instanceof SessionWriter ? writer.position : undefined
  if (calls.length === 1) {
    const call = calls[0]!
    call.position = position
    return writer.writeFrameUnsafe(frame, order.prepare(call))
  }
  const requests = calls.map((call) => {
    call.position = position
    return order.prepare(call)
  })
  return writeRun(writer, frame, requests)
}
