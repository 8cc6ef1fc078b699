/** Pipes of the Web. */

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
