/**
 * A member of a room. It talks all the time, over one gateway or another, and never gives up a message.
 */
import { Effect, Latch, Option } from "effect"
import { type Connection, openConnection, type Tls } from "effect-byte-streams"
import { joinLine, maxLineBytes, readFromGateway, sayLine } from "./lines.ts"

export interface Address {
  readonly host: string
  readonly port: number
}

export class Member {
  readonly name: string
  readonly room: string
  /** What it has heard, in the order in which it came. */
  readonly heard: Array<{ readonly number: number; readonly name: string; readonly text: string }> = []
  /** What was acknowledged: number and text. */
  readonly acknowledged = new Map<number, string>()
  /** The gateway that it is connected to, if any. */
  gateway: string | undefined = undefined
  /** How often it has connected. */
  connects = 0
  /** Whether it is to say no more. */
  quiet = false
  /** What it says at the moment, until that is acknowledged. */
  private saying: { readonly id: string; readonly text: string } | undefined = undefined
  private said = 0
  private readonly answered = Latch.makeUnsafe(false)

  constructor(name: string, room: string) {
    this.name = name
    this.room = room
  }

  get isDone(): boolean {
    return this.quiet && this.saying === undefined
  }

  /** The number of the last message that it has heard. */
  get last(): number {
    return this.heard.at(-1)?.number ?? 0
  }

  /** Stays in the room for ever. Whatever happens to a connection, it goes on over the next gateway. */
  stay(gateways: ReadonlyArray<Address>, first: number, tls: Tls.ClientOptions) {
    let at = first
    return Effect.suspend(() => this.visit(gateways[at++ % gateways.length]!, tls)).pipe(
      Effect.scoped,
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => (this.gateway = undefined))),
      Effect.andThen(Effect.sleep("100 millis")),
      Effect.forever
    )
  }

  /** One connection, until it ends. */
  private visit(gateway: Address, tls: Tls.ClientOptions) {
    return Effect.gen({ self: this }, function* () {
      const connection = yield* openConnection({
        ...gateway,
        tls,
        limit: maxLineBytes,
        connectTimeout: "2 seconds",
        // somebody says something all the time: a gateway that is silent is gone
        timeouts: { idle: "30 seconds" }
      })
      this.gateway = gateway.host
      this.connects++
      yield* connection.writer.write(joinLine(this.room, this.name, this.last))
      yield* Effect.raceFirst(this.listen(connection), this.talk(connection))
    })
  }

  private listen({ reader }: Connection.Connection) {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        const line = yield* readFromGateway(reader)
        if (Option.isNone(line)) return
        if (line.value.kind === "message") this.heard.push(line.value)
        else if (line.value.id === this.saying?.id) {
          this.acknowledged.set(line.value.number, this.saying.text)
          this.saying = undefined
          yield* this.answered.open
        }
      }
    })
  }

  /** Says one thing after the other, each until it is acknowledged: on a new connection the same one again. */
  private talk({ writer }: Connection.Connection) {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        if (this.saying === undefined) {
          if (this.quiet) return yield* Effect.never
          this.said++
          this.saying = { id: `${this.name}-${this.said}`, text: `thing ${this.said} of ${this.name}` }
        }
        yield* this.answered.close
        yield* writer.write(sayLine(this.saying.id, this.saying.text))
        yield* this.answered.await
        yield* Effect.sleep("250 millis")
      }
    })
  }
}
