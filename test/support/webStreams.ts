/** Pipes of the Web, and connections over them. */
import { Effect } from "effect"
import * as Connection from "../../src/Connection.ts"
import type * as StreamLaws from "../../src/testing/StreamLaws.ts"

export interface WebStreams {
  readonly readable: ReadableStream
  readonly writable: WritableStream
}

/** A pipe whose readable is one of bytes, and fills the memory that it is asked to fill. */
export const bytePipe = (): WebStreams => {
  let give!: ReadableByteStreamController
  let take!: WritableStreamDefaultController
  let wanted: (() => void) | undefined
  const readable = new ReadableStream(
    {
      type: "bytes",
      start: (controller) => {
        give = controller as ReadableByteStreamController
      },
      pull: () => wanted?.(),
      cancel: (reason) => {
        take.error(reason)
        wanted?.()
      }
    },
    { highWaterMark: 100_000 }
  )
  const writable = new WritableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => {
      take = controller
    },
    write: async (chunk) => {
      if (give.desiredSize !== null && give.desiredSize <= 0) await new Promise<void>((go) => (wanted = go))
      give.enqueue(chunk)
    },
    close: () => {
      give.close()
      // who waits for bytes is told of the end
      give.byobRequest?.respond(0)
    },
    abort: (reason) => give.error(reason)
  })
  return { readable, writable }
}

/** The ends of two one-way pipes. */
export const crossed = (pipe: () => WebStreams): { readonly left: WebStreams; readonly right: WebStreams } => {
  const [there, back] = [pipe(), pipe()]
  return {
    left: { readable: back.readable, writable: there.writable },
    right: { readable: there.readable, writable: back.writable }
  }
}

/** Connections over two one-way pipes. */
export const overPipes =
  (pipe: () => WebStreams): StreamLaws.MakePair =>
  (options) =>
    Effect.suspend(() => {
      const { left, right } = crossed(pipe)
      return Effect.all({
        left: Connection.fromWebStreams(left, options),
        right: Connection.fromWebStreams(right, options)
      })
    })

/** Two connections, each of which is made two streams, and a connection again. */
export const thereAndBack =
  <E>(pair: StreamLaws.MakePair<E>): StreamLaws.MakePair<E> =>
  (options) => {
    const again = (connection: Connection.Connection) =>
      Effect.flatMap(Connection.toWebStreams(connection), (streams) => Connection.fromWebStreams(streams, options))
    return Effect.flatMap(pair(options), ({ left, right }) => Effect.all({ left: again(left), right: again(right) }))
  }
