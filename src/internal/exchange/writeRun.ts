/** How several requests are written. */
import * as Result from "effect/Result"
import type { Encoder } from "../../Frame.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import { of } from "../frame/node.ts"
import { encodeResult } from "../frame/run.ts"
import { SessionWriter } from "../write/writer.ts"

/** Several requests, as one run: all of them, or none. */
export const writeRun = <A>(writer: StreamWriter, frame: Encoder<A>, requests: ReadonlyArray<A>): boolean => {
  if (writer instanceof SessionWriter) return writer.writeFramesUnsafe(frame, requests)
  return writer.writeAllUnsafe(
    requests.map((request) => Result.getOrThrow(encodeResult(of<A>("writeFrames", frame), request)))
  )
}
