/** `unread`: bytes go back in front. */
import * as Exit from "effect/Exit"
import type { ReadError } from "../../../StreamError.ts"
import * as Bytes from "../../base/bytes.ts"
import { notNow } from "../../runtime/operation.ts"
import { ReadOperation, type Source } from "../readOperation.ts"

const exitVoid: Exit.Exit<void> = Exit.void

/** `unread`. */
export class Unread extends ReadOperation<void, ReadError> {
  get name() {
    return "unread"
  }
  readonly bytes: Uint8Array
  constructor(source: Source, bytes: Uint8Array) {
    super(source)
    this.bytes = bytes
  }
  tryNow(): typeof notNow {
    return notNow
  }
  ready(): boolean {
    return true
  }
  settle(): Exit.Exit<void, ReadError> {
    // a copy: the caller's array stays the caller's
    if (this.bytes.length > 0) this.buffer.putBack(Bytes.copy(this.bytes))
    return exitVoid
  }
}
