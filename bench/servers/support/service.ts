/**
 * What a server can be asked to do. Each contender implements these in its own way; the load generator checks them
 * byte for byte before it measures them.
 *
 * - `raw`: bytes come back as they were sent.
 * - `line`: each line comes back, as one message, up to and including its line feed.
 * - `frame`: each frame comes back: a length of 4 bytes (big endian), then as many bytes.
 * - `sink`: an upload, a length of 8 bytes (big endian), then as many bytes, is answered with a receipt (`Receipt`).
 * - `source`: a request, a length of 8 bytes, is answered with as many bytes of the block (`block`), repeated.
 *
 * All but `raw` and `line` may be asked again on the same connection. When the client ends its output the server ends
 * its own behind what it still has to send.
 */
export type Service = "raw" | "line" | "frame" | "sink" | "source"

/** The variable of the environment that holds the certificate and the key, as JSON, of a server that speaks TLS. */
export const certificateVariable = "BENCH_CERTIFICATE"

/** What a `source` sends, over and over. */
export const block: Uint8Array = Uint8Array.from({ length: 65536 }, (_, i) => (i * 31 + (i >> 8)) & 255)

/** The length in front of an upload or a download. */
export const readLength = (bytes: Uint8Array): number => Number(Buffer.from(bytes).readBigUInt64BE(0))

/** The length in front of a frame. */
export const readFrameLength = (bytes: Uint8Array, at = 0): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

const page = 4096

/** What a `sink` answers: how many bytes came, and the sum of the first byte of every page of them. */
export class Receipt {
  private count = 0
  private sum = 0

  add(bytes: Uint8Array): void {
    let sum = this.sum
    for (let i = (page - (this.count % page)) % page; i < bytes.length; i += page) sum += bytes[i]!
    this.sum = sum >>> 0
    this.count += bytes.length
  }

  toBytes(): Uint8Array {
    const bytes = Buffer.alloc(12)
    bytes.writeBigUInt64BE(BigInt(this.count), 0)
    bytes.writeUInt32BE(this.sum, 8)
    return bytes
  }
}
