/** Whether the writer has room for more: those who want to write wait in line until it has. */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { StreamWriter } from "../../StreamWriter.ts"

export class Room {
  isThere = true
  private readonly writer: StreamWriter
  private readonly services: Context.Context<never>
  private readonly onRoom: () => void
  private readonly onLost: (cause: Cause.Cause<unknown>) => void

  constructor(
    writer: StreamWriter,
    services: Context.Context<never>,
    onRoom: () => void,
    onLost: (cause: Cause.Cause<unknown>) => void
  ) {
    this.writer = writer
    this.services = services
    this.onRoom = onRoom
    this.onLost = onLost
  }

  /** What a write has said of it. */
  note(isThere: boolean): void {
    if (isThere || !this.isThere) return
    this.isThere = false
    Effect.runForkWith(this.services)(
      Effect.matchCauseEager(this.writer.drain, {
        onFailure: this.onLost,
        onSuccess: () => {
          this.isThere = true
          this.onRoom()
        }
      })
    )
  }
}
