/** The bytes that a case sends. */
import type { Service } from "../servers/support/service.ts"

/** One message of `size` bytes on the wire. */
export const message = (service: Service, size: number): Uint8Array => {
  const bytes = Buffer.alloc(size, "abcdefghijklmnopqrstuvwxyz")
  if (service === "line") bytes[size - 1] = 10
  if (service === "frame") bytes.writeUInt32BE(size - 4, 0)
  return bytes
}

/** The length in front of an upload or a download. */
export const length = (count: number): Uint8Array => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(count))
  return bytes
}
