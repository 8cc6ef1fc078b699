/** What the peer asks of this side, and how that is answered. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { EncodeFailed, WriteError } from "../../StreamError.ts"
import type { StreamWriter } from "../../StreamWriter.ts"
import { ClosedStream } from "../base/errors.ts"
import { counted } from "./counted.ts"
import type { Engine } from "./engine.ts"
import type { Handlers } from "./handling.ts"
import { Mailbox } from "./mailbox.ts"
import type { Unasked } from "./options.ts"

export class Requests<Message> implements Unasked<Message> {
  readonly mailbox: Mailbox<Message, never>
  readonly awaitRoom: Effect.Effect<void>
  readonly is: (message: Message) => boolean
  private readonly handlers: Handlers
  /** How many answers are being written. */
  private answers = 0

  constructor(is: (message: Message) => boolean, capacity: number, handlers: Handlers) {
    this.is = is
    this.handlers = handlers
    this.mailbox = new Mailbox(capacity)
    this.awaitRoom = this.mailbox.awaitRoom
  }
  offer(message: Message, last: boolean): boolean {
    if (this.mailbox.isFull && !last) return false
    this.mailbox.offer(message)
    return true
  }
  get isStuck(): boolean {
    return this.handlers.atWork.size === 0
  }
  get isAnswered(): boolean {
    return this.answers > 0
  }
  finish(): void {
    this.mailbox.finish(Exit.fail(Cause.Done()))
  }

  /** Writes answers: not into somebody's dialogue, nor to a connection that is somebody else's. */
  answerTo(engine: Engine<Message, Message>): Pick<StreamWriter, "writeFrames"> {
    const count = (by: 1 | -1): void => {
      this.answers += by
      if (by < 0) engine.pump()
    }
    const written = (
      write: Effect.Effect<void, WriteError | EncodeFailed>,
      waited: boolean
    ): Effect.Effect<void, WriteError | EncodeFailed> =>
      counted(count, write, () => {
        // once behind the next one, so that neither answers nor dialogues wait for ever where there are always more
        const holder = engine.holder ?? (waited ? undefined : engine.nextHolder)
        if (holder === undefined) return undefined
        return engine.isOver ? Effect.fail(ended()) : Effect.andThen(holder.givenBack.await, written(write, true))
      })
    return { writeFrames: (frame, messages) => written(engine.writer.writeFrames(frame, messages), false) }
  }
}

const ended = (): ClosedStream => new ClosedStream({ operation: "writeFrames", reason: "Closed" })
