/** Reads of pieces as they came: `pull`, and what `stream` is made of. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { ReadError } from "../../../StreamError.ts"
import { notNow } from "../../runtime/operation.ts"
import { ReadOperation } from "../readOperation.ts"

/** What takes pieces as they came. */
abstract class Pieces extends ReadOperation<readonly [Uint8Array, ...Array<Uint8Array>], ReadError | Cause.Done> {
  override get framed() {
    return false
  }
  /** Moving pieces into the segments may join them. */
  override get absorbs() {
    return false
  }
  tryNow(): typeof notNow {
    return notNow
  }
  ready(): boolean {
    return this.buffer.size > 0 || this.over()
  }
  protected abstract pieces(): ReadonlyArray<Uint8Array>
  settle(): Exit.Exit<readonly [Uint8Array, ...Array<Uint8Array>], ReadError | Cause.Done> | undefined {
    const { buffer } = this
    if (buffer.size === 0) buffer.absorb()
    if (buffer.size > 0) return Exit.succeed(this.pieces() as unknown as [Uint8Array])
    return this.broken() ?? (this.over() ? Exit.fail(Cause.Done()) : undefined)
  }
}

/** `pull`: everything there is. */
export class Pull extends Pieces {
  get name() {
    return "pull"
  }
  protected pieces() {
    return this.buffer.takePieces()
  }
}

/** What `stream` pulls: a piece at a time, so that the others stay in the reader. */
export class PullPiece extends Pieces {
  get name() {
    return "stream"
  }
  protected pieces() {
    return [this.buffer.takePiece()]
  }
}
