/** Checks a server byte for byte, so that nothing is measured that does not do its work. */
import { block, Receipt, type Service } from "../servers/support/service.ts"
import { connectAll, type Peer } from "./connection.ts"
import { length } from "./messages.ts"

/** Numbers that look random and are the same every time. */
const makeRandom = (seed: number): ((below: number) => number) => {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

type Random = ReturnType<typeof makeRandom>

const randomBytes = (random: Random, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, () => random(256)))

/** What a client sends, and what has to come back. */
interface Dialogue {
  readonly sent: Uint8Array
  readonly expected: Uint8Array
}

const dialogue = (service: Service, random: Random): Dialogue => {
  switch (service) {
    case "raw": {
      const sent = randomBytes(random, 300_000)
      return { sent, expected: sent }
    }
    case "line": {
      const alphabet = Array.from("abcdefghijklmnopqrstuvwxyz 0123456789 éüß €→ 🌊")
      const line = () =>
        `${Array.from({ length: random(random(10) === 0 ? 5000 : 50) }, () => alphabet[random(alphabet.length)]).join("")}\n`
      const sent = Buffer.from(Array.from({ length: 2000 }, line).join(""))
      return { sent, expected: sent }
    }
    case "frame": {
      const frame = () => {
        const body = randomBytes(random, random(random(10) === 0 ? 5000 : 50))
        const header = Buffer.alloc(4)
        header.writeUInt32BE(body.length)
        return Buffer.concat([header, body])
      }
      const sent = Buffer.concat(Array.from({ length: 2000 }, frame))
      return { sent, expected: sent }
    }
    case "sink": {
      const uploads = [1, 4095, 4096, 100_001, 300_000].map((count) => randomBytes(random, count))
      return {
        sent: Buffer.concat(uploads.flatMap((bytes) => [length(bytes.length), bytes])),
        expected: Buffer.concat(
          uploads.map((bytes) => {
            const receipt = new Receipt()
            receipt.add(bytes)
            return receipt.toBytes()
          })
        )
      }
    }
    case "source": {
      const counts = [1, 65535, 65536, 65537, 1_000_000]
      const long = Buffer.concat(Array.from({ length: 16 }, () => block))
      return {
        sent: Buffer.concat(counts.map(length)),
        expected: Buffer.concat(counts.map((count) => long.subarray(0, count)))
      }
    }
  }
}

/** Sends in random pieces, over several turns, then ends the output; resolves with all that came back. */
const converse = (peer: Peer, sent: Uint8Array, random: Random): Promise<Buffer> =>
  new Promise((resolve) => {
    const received: Array<Buffer> = []
    peer.onBytes = (bytes) => received.push(Buffer.from(bytes))
    peer.socket.on("end", () => resolve(Buffer.concat(received)))
    let at = 0
    const send = (): void => {
      for (let i = random(4); i >= 0 && at < sent.length; i--) {
        const end = at + 1 + random(random(8) === 0 ? 40_000 : 3000)
        peer.socket.write(sent.subarray(at, end))
        at = end
      }
      if (at < sent.length) setImmediate(send)
      else peer.socket.end()
    }
    send()
  })

export const verify = async (
  service: Service,
  port: number,
  tls: boolean,
  onError: (error: Error) => void
): Promise<void> => {
  const peers = await connectAll(port, 4, tls, onError)
  await Promise.all(
    peers.map(async (peer, index) => {
      const random = makeRandom(index + 1)
      const { expected, sent } = dialogue(service, random)
      const received = await converse(peer, sent, random)
      if (received.equals(expected)) return
      let at = 0
      while (at < expected.length && received[at] === expected[at]) at++
      throw new Error(
        `${service}: ${received.length} of ${expected.length} bytes came back, the first wrong one at ${at}`
      )
    })
  )
}
