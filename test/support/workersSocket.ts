/**
 * The sockets of Cloudflare's Workers (`cloudflare:sockets`), over `node:net`.
 *
 * It does what the documentation of `connect()` says, and where that is silent, what workerd does
 * (`src/workerd/api/sockets.c++`):
 *
 * - The socket is there at once. What is written before it is connected is sent then.
 * - `readable` is a stream of bytes. Closing `writable` ends the output, and the input goes on.
 * - Without `allowHalfOpen` the socket closes `writable` by itself, whoever holds its writer, once the input has ended.
 * - The connection is gone once both streams are over. There is no reset: an abort drops what was not passed on.
 * - `close()` ends both streams by force. `closed` tells of the end, or of the failure.
 * - `startTls()` takes the connection away from the streams, and gives it to those of another socket.
 */
import * as Net from "node:net"
import * as Tls from "node:tls"

interface WorkersSocketInfo {
  readonly remoteAddress: string | null
  readonly localAddress: string | null
}

export interface WorkersSocket {
  readonly readable: ReadableStream
  readonly writable: Pick<WritableStream<Uint8Array<ArrayBuffer>>, "getWriter" | "locked">
  readonly opened: Promise<WorkersSocketInfo>
  readonly closed: Promise<void>
  close(): Promise<void>
  startTls(options?: { readonly expectedServerHostname?: string }): WorkersSocket
}

export interface WorkersSocketOptions {
  readonly secureTransport?: "off" | "on" | "starttls"
  readonly allowHalfOpen?: boolean
}

/** What a machine trusts is no part of Cloudflare's options. */
interface Trust {
  readonly ca?: string
}

export const connect = (
  { hostname, port }: { readonly hostname: string; readonly port: number },
  options: WorkersSocketOptions = {},
  trust: Trust = {}
): WorkersSocket => {
  const socket = Net.connect({ host: hostname, port, allowHalfOpen: true, noDelay: true })
  if (options.secureTransport !== "on") return over(socket, "connect", options, hostname, trust)
  return over(Tls.connect({ socket, servername: hostname, ...trust }), "secureConnect", options, hostname, trust)
}

const lost = (cause: Error): Error => new Error("Network connection lost.", { cause })

const over = (
  socket: Net.Socket,
  event: "connect" | "secureConnect",
  options: WorkersSocketOptions,
  hostname: string,
  trust: Trust
): WorkersSocket => {
  socket.allowHalfOpen = true
  let failure: Error | undefined
  let detached = false
  const isLost = () => failure !== undefined || socket.destroyed
  const whyLost = () => lost(failure ?? new Error("the socket is gone"))

  const opened = new Promise<WorkersSocketInfo>((resolve, reject) => {
    socket.once(event, () =>
      resolve({ remoteAddress: socket.remoteAddress ?? null, localAddress: socket.localAddress ?? null })
    )
    socket.once("close", () => reject(whyLost()))
  })
  const ending = Promise.withResolvers<void>()
  for (const promise of [opened, ending.promise]) promise.catch(() => {})
  socket.on("error", (error) => (failure = error))
  socket.once("close", () => (failure === undefined ? ending.resolve() : ending.reject(lost(failure))))

  // what both streams have let go of is gone
  const gone = { reading: false, writing: false }
  const letGo = (half: keyof typeof gone) => {
    gone[half] = true
    if (gone.reading && gone.writing && !detached) socket.destroy()
  }

  // --------------------------------------------------------------------------
  // the input
  // --------------------------------------------------------------------------

  let input!: ReadableByteStreamController
  let look: () => void = () => {}
  for (const news of ["readable", "end", "close"]) socket.on(news, () => look())
  const endInput = () => {
    if (gone.reading) return
    input.close()
    // a reader that waits is told so
    input.byobRequest?.respond(0)
    letGo("reading")
    if (options.allowHalfOpen !== true && !detached) writer.close().catch(() => {})
  }
  const readable = new ReadableStream(
    {
      type: "bytes",
      start: (controller) => {
        input = controller as ReadableByteStreamController
      },
      pull: () =>
        new Promise<void>((resolve, reject) => {
          look = () => {
            const chunk: Uint8Array | null = detached ? null : socket.read()
            // a copy in memory of its own, which a stream of bytes gives away
            if (chunk !== null) input.enqueue(new Uint8Array(chunk))
            else if (socket.readableEnded) endInput()
            else if (isLost()) {
              gone.reading = true
              reject(whyLost())
            } else return
            look = () => {}
            resolve()
          }
          look()
        }),
      cancel: () => {
        // thrown away from now on
        if (!detached) socket.resume()
        letGo("reading")
      }
    },
    { highWaterMark: 0 }
  )

  // --------------------------------------------------------------------------
  // the output
  // --------------------------------------------------------------------------

  let output!: WritableStreamDefaultController
  const passedOn = (call: (done: (error?: Error | null) => void) => unknown) =>
    opened.then(
      () =>
        new Promise<void>((resolve, reject) => {
          const refuse = () => reject(whyLost())
          if (isLost()) return refuse()
          socket.once("close", refuse)
          call((error) => {
            socket.off("close", refuse)
            if (error === null || error === undefined) resolve()
            else reject(lost(error))
          })
        })
    )
  const inner = new WritableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => {
      output = controller
    },
    write: (chunk) => {
      if (!ArrayBuffer.isView(chunk) && !((chunk as unknown) instanceof ArrayBuffer)) {
        throw new TypeError(
          "This TransformStream is being used as a byte stream, but received an object of non-ArrayBuffer type"
        )
      }
      return passedOn((done) => socket.write(chunk, done))
    },
    close: () => passedOn((done) => socket.end(done)).finally(() => letGo("writing")),
    abort: () => letGo("writing")
  })
  // the writer that everybody is given: the socket itself closes the stream, too
  const writer = inner.getWriter()
  writer.closed.catch(() => {})
  let locked = false
  const writable = {
    get locked() {
      return locked
    },
    getWriter: () => {
      if (locked) throw new TypeError("This WritableStream is currently locked to a writer.")
      locked = true
      return writer
    }
  }
  socket.once("close", () => {
    if (!gone.writing && !detached) output.error(whyLost())
  })

  const detach = (reason: Error) => {
    detached = true
    if (!gone.reading) input.error(reason)
    output.error(reason)
    ending.resolve()
  }

  return {
    readable,
    writable,
    opened,
    closed: ending.promise,
    close: async () => {
      endInput()
      await writer.abort(new Error("the socket was closed")).catch(() => {})
      socket.destroy()
    },
    startTls: (tls) => {
      if (options.secureTransport !== "starttls") {
        throw new TypeError("The `secureTransport` socket option must be set to 'starttls' for startTls to be used.")
      }
      if (detached) throw new TypeError("startTls can only be called once.")
      for (const news of ["readable", "end"]) socket.removeAllListeners(news)
      detach(new TypeError("This stream was taken over by startTls()."))
      const servername = tls?.expectedServerHostname ?? hostname
      const secure = Tls.connect({ socket, servername, ...trust })
      return over(secure, "secureConnect", { ...options, secureTransport: "on" }, servername, trust)
    }
  }
}
