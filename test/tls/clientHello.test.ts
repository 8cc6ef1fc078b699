/** The name in what a TLS client says first, which is looked at before there is an engine. */
import { assert, describe, it } from "@effect/vitest"
import { connect } from "node:tls"
import { Duplex } from "node:stream"
import * as fc from "fast-check"
import { type Asked, ClientHello } from "../../src/internal/node/tls/clientHello.ts"

const nameAskedIn = (arrived: ReadonlyArray<Uint8Array>): Asked | undefined => new ClientHello().add(arrived)

/** What an engine says first. */
const helloOf = (servername?: string): Promise<Buffer> =>
  new Promise((resolve) => {
    const stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, callback) => {
        resolve(chunk)
        callback()
      }
    })
    connect({ socket: stream, ...(servername === undefined ? undefined : { servername }) }).on("error", () => {})
  })

/** The same message in records of so many bytes. */
const inRecordsOf = (size: number, hello: Buffer): Buffer => {
  const message = hello.subarray(5)
  const records: Array<Buffer> = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
  }
  return Buffer.concat(records)
}

describe("the name in a client's first message", () => {
  it("is found once all of it has come, however it was cut", async () => {
    const hello = await helloOf("alpha.test")
    for (let at = 0; at < hello.length; at++) {
      assert.isUndefined(nameAskedIn([hello.subarray(0, at)]), `at ${at}`)
      assert.deepStrictEqual(nameAskedIn([hello.subarray(0, at), hello.subarray(at)]), { name: "alpha.test" })
    }
  })

  it("is found in records of any size, and whatever follows", async () => {
    const hello = await helloOf("alpha.test")
    for (const size of [1, 2, 3, 5, 100, 10_000]) {
      const records = inRecordsOf(size, hello)
      assert.deepStrictEqual(nameAskedIn([records]), { name: "alpha.test" })
      assert.deepStrictEqual(nameAskedIn([records, Buffer.from([20, 3, 3, 0, 1, 1])]), { name: "alpha.test" })
      assert.isUndefined(nameAskedIn([records.subarray(0, -1)]))
    }
  })

  it("is found as it comes, byte by byte, in records of one byte each", async () => {
    const hello = new ClientHello()
    const records = inRecordsOf(1, await helloOf("alpha.test"))
    for (const byte of records.subarray(0, -1)) assert.isUndefined(hello.add([Buffer.of(byte)]))
    assert.deepStrictEqual(hello.add([records.subarray(-1)]), { name: "alpha.test" })
  })

  it("is not waited for behind a record that holds nothing, which none of a handshake may", () => {
    assert.deepStrictEqual(nameAskedIn([Buffer.from([22, 3, 1, 0, 0])]), { name: undefined })
  })

  it("is none where none is asked for", async () => {
    assert.deepStrictEqual(nameAskedIn([await helloOf()]), { name: undefined })
  })

  it("is none in what is no such message, and nothing throws", async () => {
    const hello = await helloOf("alpha.test")
    assert.deepStrictEqual(nameAskedIn([Buffer.from("GET / HTTP/1.1\r\n\r\n")]), { name: undefined })
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(hello)
        changed[at] = byte
        const asked = nameAskedIn([changed])
        return asked === undefined || asked.name === undefined || typeof asked.name === "string"
      })
    )
  })
})
