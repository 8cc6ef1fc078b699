/**
 * The name that a client asks for, in what it says first: RFC 8446, section 4.1.2, and RFC 6066, section 3. What it says
 * is judged by the engine; here it is only looked at.
 */

/** The name, if there is one. */
export interface Asked {
  readonly name: string | undefined
}

const none: Asked = { name: undefined }

const handshakeRecord = 22
const clientHello = 1
const serverNames = 0
const hostName = 0
const recordHeader = 5
const messageHeader = 4

/** Looked at no further: the longest that engines take is shorter. */
const maxHello = 131_072

/** What has come of the client's first message. `undefined`: not all of it has. */
export const nameAskedIn = (arrived: ReadonlyArray<Uint8Array>): Asked | undefined => {
  const bytes = Buffer.concat(arrived)
  if (bytes.length > maxHello) return none
  const parts: Array<Buffer> = []
  for (let at = 0; at < bytes.length && bytes[at] === handshakeRecord;) {
    const start = at + recordHeader
    if (start > bytes.length) break
    at = start + bytes.readUInt16BE(at + 3)
    parts.push(bytes.subarray(start, at))
  }
  if (bytes.length > 0 && bytes[0] !== handshakeRecord) return none
  const message = Buffer.concat(parts)
  if (message.length > 0 && message[0] !== clientHello) return none
  if (message.length < messageHeader) return undefined
  const end = messageHeader + message.readUIntBE(1, 3)
  if (end > maxHello) return none
  return message.length < end ? undefined : { name: nameIn(message.subarray(messageHeader, end)) }
}

const nameIn = (hello: Buffer): string | undefined => {
  try {
    // version and random; then three vectors: the session, ciphers, compressions
    let at = 34
    at += 1 + hello.readUInt8(at)
    at += 2 + hello.readUInt16BE(at)
    at += 1 + hello.readUInt8(at)
    if (at >= hello.length) return undefined
    const end = at + 2 + hello.readUInt16BE(at)
    at += 2
    while (at < end) {
      const length = hello.readUInt16BE(at + 2)
      // the length of the list, and of its only name
      if (hello.readUInt16BE(at) !== serverNames) at += 4 + length
      else if (hello.readUInt8(at + 6) !== hostName) return undefined
      else return hello.toString("latin1", at + 9, at + 9 + hello.readUInt16BE(at + 7))
    }
    return undefined
  } catch {
    // it is cut short, which the engine will say
    return undefined
  }
}
