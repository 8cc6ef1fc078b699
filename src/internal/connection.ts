/** A connection is a session seen from the outside. */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Closed, Connection } from "../Connection.ts"
import type { ConnectionInfo, Transport } from "../Transport.ts"
import { Session } from "./session.ts"
import type { SessionOptions } from "./sessionOptions.ts"
import { BufferReader } from "./streamReader.ts"
import { SessionWriter } from "./streamWriter.ts"

export class SessionConnection implements Connection {
  readonly session: Session
  readonly reader: BufferReader
  readonly writer: SessionWriter

  constructor(transport: Transport, options: SessionOptions, services: Context.Context<never>) {
    this.session = new Session(transport, options, services)
    this.reader = new BufferReader(this.session.reads)
    this.writer = new SessionWriter(this.session)
  }

  get info(): ConnectionInfo {
    return this.session.transport.info
  }
  get closed(): Effect.Effect<Closed> {
    return this.session.awaitClosed
  }
  get abort(): Effect.Effect<void> {
    return this.session.abort
  }

  toJSON() {
    return { _id: "Connection", info: this.info, reader: this.reader.toJSON(), writer: this.writer.toJSON() }
  }
}
