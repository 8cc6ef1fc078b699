/** `readAll`: everything up to the end of the stream. */
import * as Exit from "effect/Exit"
import type { ReadError } from "../../../StreamError.ts"
import { LimitOverrun } from "../../base/errors.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { ReadOperation } from "../readOperation.ts"

const exitEmpty: Exit.Exit<Uint8Array> = Exit.succeed(Bytes.empty)

/** `readAll`: everything up to the end of the stream, kept in the buffer until it is complete. */
export class ReadAll extends ReadOperation<Uint8Array, ReadError | LimitOverrun> {
  get name() {
    return "readAll"
  }
  override get framed() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  override threshold(): number {
    return this.count + 1
  }
  ready(): boolean {
    return this.buffer.segments.length > this.count || this.over()
  }
  settle(): Exit.Exit<Uint8Array, ReadError | LimitOverrun> | undefined {
    const held = this.buffer.segments.length
    if (held > this.count) {
      return Exit.fail(
        new LimitOverrun({ operation: this.name, consumed: this.count, limit: this.count, found: false })
      )
    }
    const broken = this.broken()
    if (broken !== undefined) return broken
    if (!this.over()) return undefined
    return held === 0 ? exitEmpty : Exit.succeed(this.buffer.take(held))
  }
}
