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

/** What a client says first, as it comes. Each byte is looked at once, however small the pieces are. */
export class ClientHello {
  private heard = 0
  /** What has come of the header of a record, and how much of the record is still to come behind that. */
  private readonly header: Array<number> = []
  private recordLeft = 0
  /** What the records have of the message, and the header of that. */
  private readonly parts: Array<Uint8Array> = []
  private readonly start: Array<number> = []
  private size = 0

  /** More has come. `undefined`: not all of the message has. To be asked until there is an answer. */
  add(arrived: ReadonlyArray<Uint8Array>): Asked | undefined {
    for (const bytes of arrived) {
      this.heard += bytes.length
      const asked = this.heard > maxHello ? none : this.look(bytes)
      if (asked !== undefined) return asked
    }
    return undefined
  }

  private look(bytes: Uint8Array): Asked | undefined {
    for (let at = 0; at < bytes.length;) {
      if (this.header.length < recordHeader) {
        this.header.push(bytes[at++]!)
        const [type, , , high, low] = this.header
        if (type !== handshakeRecord) return none
        if (low !== undefined) this.recordLeft = high! * 256 + low
        // which no record of a handshake may be
        if (low !== undefined && this.recordLeft === 0) return none
        continue
      }
      const part = bytes.subarray(at, at + this.recordLeft)
      at += part.length
      this.recordLeft -= part.length
      if (this.recordLeft === 0) this.header.length = 0
      const asked = this.take(part)
      if (asked !== undefined) return asked
    }
    return undefined
  }

  private take(part: Uint8Array): Asked | undefined {
    const { parts, start } = this
    parts.push(part)
    this.size += part.length
    if (start.length < messageHeader) start.push(...part.subarray(0, messageHeader - start.length))
    const [type, high = 0, middle = 0, low = 0] = start
    if (type !== clientHello) return none
    if (start.length < messageHeader) return undefined
    const end = messageHeader + high * 65_536 + middle * 256 + low
    if (end > maxHello) return none
    return this.size < end ? undefined : { name: nameIn(Buffer.concat(parts).subarray(messageHeader, end)) }
  }
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
