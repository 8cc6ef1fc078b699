/**
 * The ways in which a server is worked.
 *
 * Each opens its connections, works them until it is told to stop, lets what is under way come to its end, and closes
 * them in good order. Received bytes are counted, not looked at: `verify.ts` has looked at them before.
 */
import { TLSSocket } from "node:tls"
import type { Case } from "../cases.ts"
import { Latencies } from "./latencies.ts"
import { connect, connectAll, disconnect, type Peer } from "./connection.ts"
import { length, message } from "./messages.ts"

/** A server at work. */
export interface Work {
  /** Messages (or bytes, for uploads and downloads) that have come to their end so far. */
  readonly done: () => number
  /** Starts nothing new, and resolves once everything has ended. */
  readonly stop: () => Promise<void>
  /** How long each request took, where one waits for its answer. */
  readonly latencies?: Latencies
}

export const start = async (one: Case, port: number, onError: (error: Error) => void): Promise<Work> => {
  if (one.pattern === "connect") return reconnecting(one, port, onError)
  const peers = await connectAll(port, one.connections, one.tls === true, onError)
  const works = { exchange, pipeline, upload, download }[one.pattern](one, peers)
  return {
    ...works,
    stop: async () => {
      await works.stop()
      await Promise.all(peers.map(disconnect))
    }
  }
}

/** Counts down to the end of everything. */
const countdown = (count: number): { readonly one: () => void; readonly all: Promise<void> } => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = count
  return { one: () => --left === 0 && resolve(), all: promise }
}

const nothing = (): void => {}

/**
 * Sends a message when nothing else is on its way, past the stream's own bookkeeping: with it a request would cost the
 * load generator as much as it costs the fastest server.
 */
const send = ({ socket }: Peer, bytes: Uint8Array): void => {
  // TLS may still be busy with the message before
  if (socket instanceof TLSSocket) socket.write(bytes)
  else socket._write(bytes, "buffer" as BufferEncoding, nothing)
}

/** Each connection sends a message, waits for the answer, sends the next. */
const exchange = (one: Case, peers: ReadonlyArray<Peer>): Work => {
  const bytes = message(one.service, one.size)
  const end = countdown(peers.length)
  const latencies = new Latencies()
  let stopping = false
  let done = 0
  for (const peer of peers) {
    let missing = bytes.length
    let asked = performance.now()
    peer.onBytes = (received) => {
      missing -= received.length
      if (missing > 0) return
      missing = bytes.length
      done++
      const now = performance.now()
      latencies.add(now - asked)
      asked = now
      if (stopping) end.one()
      else send(peer, bytes)
    }
    send(peer, bytes)
  }
  return {
    latencies,
    done: () => done,
    stop: () => {
      stopping = true
      return end.all
    }
  }
}

/** Each connection sends a run of messages while less than a window of bytes is unanswered. */
const pipeline = (one: Case, peers: ReadonlyArray<Peer>): Work => {
  const perRun = Math.max(1, Math.floor(65536 / one.size))
  const run = Buffer.concat(Array.from({ length: perRun }, () => message(one.service, one.size)))
  const window = 4 * run.length
  const end = countdown(peers.length)
  let stopping = false
  let received = 0
  for (const peer of peers) {
    let unanswered = 0
    const fill = (): void => {
      while (!stopping && unanswered + run.length <= window) {
        unanswered += run.length
        peer.socket.write(run)
      }
    }
    peer.onBytes = (bytes) => {
      unanswered -= bytes.length
      received += bytes.length
      if (!stopping) fill()
      else if (unanswered === 0) end.one()
    }
    fill()
  }
  return {
    done: () => received / one.size,
    stop: () => {
      stopping = true
      return end.all
    }
  }
}

/** Small enough for receipts to tell how far the server is at any time. */
const uploadSize = 1024 * 1024
const downloadSize = 8 * uploadSize

/** Each connection sends uploads, the next one while it waits for the receipts of those before. */
const upload = (_: Case, peers: ReadonlyArray<Peer>): Work => {
  const header = length(uploadSize)
  const part = Buffer.alloc(256 * 1024, "abcdefghijklmnopqrstuvwxyz")
  const end = countdown(peers.length)
  let stopping = false
  let acknowledged = 0
  for (const peer of peers) {
    let sent = 0
    let underWay = 0
    let receipt = 0
    const fill = (): void => {
      while (true) {
        if (sent === 0) {
          if (stopping || underWay === 4) return
          underWay++
          peer.socket.write(header)
        }
        sent = (sent + part.length) % uploadSize
        if (!peer.socket.write(part)) return
      }
    }
    peer.socket.on("drain", fill)
    peer.onBytes = (bytes) => {
      for (receipt += bytes.length; receipt >= 12; receipt -= 12) {
        acknowledged += uploadSize
        underWay--
      }
      if (stopping && underWay === 0) end.one()
      else if (!peer.socket.writableNeedDrain) fill()
    }
    fill()
  }
  return {
    done: () => acknowledged,
    stop: () => {
      stopping = true
      return end.all
    }
  }
}

/** Each connection asks for downloads, the next one while the one before is on its way. */
const download = (_: Case, peers: ReadonlyArray<Peer>): Work => {
  const header = length(downloadSize)
  const end = countdown(peers.length)
  let stopping = false
  let received = 0
  for (const peer of peers) {
    let missing = 2 * downloadSize
    peer.onBytes = (bytes) => {
      received += bytes.length
      missing -= bytes.length
      if (!stopping && missing <= downloadSize) {
        missing += downloadSize
        peer.socket.write(header)
      } else if (missing === 0) end.one()
    }
    peer.socket.write(Buffer.concat([header, header]))
  }
  return {
    done: () => received,
    stop: () => {
      stopping = true
      return end.all
    }
  }
}

/** Each of a number of clients connects, exchanges one message, closes, and does it again. */
const reconnecting = (one: Case, port: number, onError: (error: Error) => void): Work => {
  const bytes = message(one.service, one.size)
  const end = countdown(one.connections)
  const latencies = new Latencies()
  let stopping = false
  let done = 0
  const next = (): void => {
    if (stopping) return end.one()
    let missing = bytes.length
    const asked = performance.now()
    // one message needs no noDelay, and a close that nobody waits for costs less than it costs the server
    const peer = connect(port, false, false, onError)
    peer.onBytes = (received) => {
      missing -= received.length
      if (missing > 0) return
      peer.socket.destroy()
      done++
      latencies.add(performance.now() - asked)
      next()
    }
    peer.socket.write(bytes)
  }
  for (let i = 0; i < one.connections; i++) next()
  return {
    latencies,
    done: () => done,
    stop: () => {
      stopping = true
      return end.all
    }
  }
}
