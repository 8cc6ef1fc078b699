/** Deno's connections as streams of the Web. */

/** The part of `Deno.Conn` that is used. */
export interface DenoConn {
  read(into: Uint8Array): Promise<number | null>
  write(bytes: Uint8Array): Promise<number>
  closeWrite(): Promise<void>
  close(): void
}

/**
 * A connection of Deno's whose halves end apart. Deno's own `conn.readable` closes the connection at its end, and so does
 * the end of `conn.writable`: nothing can be said behind the one, and nothing heard behind the other.
 */
export const halfOpen = (conn: DenoConn) => {
  let open = 2
  const over = () => {
    if (--open === 0) close()
  }
  const close = () => {
    try {
      conn.close()
    } catch {
      // it is closed already
    }
  }
  let output!: WritableStreamDefaultController
  return {
    readable: new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 65_536,
      pull: async (controller) => {
        const request = controller.byobRequest!
        try {
          const size = await conn.read(request.view as Uint8Array)
          if (size !== null) return request.respond(size)
        } catch (error) {
          // a connection breaks as a whole
          output.error(error)
          throw error
        }
        controller.close()
        request.respond(0)
        over()
      },
      cancel: close
    }),
    writable: new WritableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        output = controller
      },
      write: async (chunk) => {
        for (let at = 0; at < chunk.length;) at += await conn.write(chunk.subarray(at))
      },
      close: async () => {
        await conn.closeWrite()
        over()
      },
      abort: close
    })
  }
}
