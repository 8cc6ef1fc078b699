/** Gathering: many small writes become one system call, and large ones do not wait for it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertBytes } from "../support/assertBytes.ts"
import { pattern, text } from "../support/bytes.ts"
import { concat, fake } from "../support/fakeTransport.ts"
import { start, startAll } from "../support/fibers.ts"
import { turns } from "../support/wait.ts"

/** Marks that no test here reaches, so that only gathering decides when something is sent. */
const wide = { highWaterMark: 10_000_000 }

describe("gathering", () => {
  it.effect("many writes in one turn are one system call", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (let i = 0; i < 1000; i++) yield* writer.write(`line ${i}\n`)
      assert.lengthOf(transport.writes, 0)
      yield* turns(1)
      assert.lengthOf(transport.writes, 1)
      assert.strictEqual(transport.sentText, Array.from({ length: 1000 }, (_, i) => `line ${i}\n`).join(""))
    })
  )

  it.effect("every kind of write is gathered", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("a")
      yield* writer.write(new Uint8Array([98]))
      yield* writer.writeAll(["c", new Uint8Array([100]), pattern(5000), "e"])
      writer.writeUnsafe("f")
      yield* Effect.flatMap(writer.write("g"), () => writer.write("h"))
      yield* turns(1)
      assert.deepStrictEqual(transport.writes, [
        concat([new Uint8Array([97, 98, 99, 100]), pattern(5000), new Uint8Array([101, 102, 103, 104])])
      ])
    })
  )

  it.effect("the writes of several fibers in one turn are one system call", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* startAll(["a", "b", "c"].map((name) => writer.write(name)))
      yield* turns(1)
      assert.deepStrictEqual(transport.writesText, ["abc"])
    })
  )

  it.effect("writes in different turns are system calls of their own", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      for (const name of ["a", "b", "c"]) {
        yield* writer.write(name)
        yield* turns(1)
      }
      assert.deepStrictEqual(transport.writesText, ["a", "b", "c"])
    })
  )

  it.effect("an answer to what arrived goes out as soon as the reader waits again", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* start(
        Effect.gen(function* () {
          while (true) {
            const line = text(yield* reader.readLine)
            yield* writer.write("you said ")
            yield* writer.write(line)
          }
        })
      )
      transport.push("one\n")
      assert.deepStrictEqual(transport.writesText, ["you said one\n"])
      transport.push("two\n")
      assert.deepStrictEqual(transport.writesText, ["you said one\n", "you said two\n"])
    })
  )

  it.effect("the answers to many requests that arrived together are one system call", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* start(
        Effect.forever(
          Effect.flatMap(reader.readLine, (line) => writer.write(line)),
          { disableYield: true }
        )
      )
      transport.push("1\n2\n3\n")
      assert.deepStrictEqual(transport.writesText, ["1\n2\n3\n"])
    })
  )

  it.effect("what is written when the peer's end wakes the reader goes out at once", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake()
      yield* start(
        Effect.gen(function* () {
          yield* reader.readAll({ maxBytes: 100 })
          yield* writer.write("that was all")
        })
      )
      transport.push("some")
      transport.pushEnd()
      assert.deepStrictEqual(transport.writesText, ["that was all"])
    })
  )

  it.effect("64 KiB go out at once, a byte less waits for the end of the turn", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake(wide)
      yield* writer.write(pattern(65535))
      assert.lengthOf(transport.writes, 0)
      yield* writer.write("x")
      assert.deepStrictEqual(
        transport.writes.map((write) => write.length),
        [65536]
      )
      yield* writer.write(pattern(65536))
      assert.lengthOf(transport.writes, 2)
      for (let i = 0; i < 4096; i++) yield* writer.write("16 bytes of text")
      assert.deepStrictEqual(
        transport.writes.map((write) => write.length),
        [65536, 65536, 65536]
      )
    })
  )

  it.effect("64 KiB go out at once also while answers are held back for the reader", () =>
    Effect.gen(function* () {
      const { reader, transport, writer } = yield* fake(wide)
      const seen: Array<number> = []
      yield* start(
        Effect.gen(function* () {
          yield* reader.readLine
          yield* writer.write(pattern(60000))
          seen.push(transport.writes.length)
          yield* writer.write(pattern(6000))
          seen.push(transport.writes.length)
          yield* reader.readLine
        })
      )
      transport.push("go\n")
      assert.deepStrictEqual(seen, [0, 1])
    })
  )

  it.effect("what exceeds the high-water mark is offered to the system before anybody waits for it", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ highWaterMark: 10 })
      yield* writer.write("more than ten bytes")
      assert.deepStrictEqual(transport.writesText, ["more than ten bytes"])
      yield* writer.write("and more, without waiting")
      yield* writer.drain
      assert.strictEqual(yield* writer.buffered, 0)
    })
  )

  it.effect("flush does not wait for the end of the turn", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake()
      yield* writer.write("now")
      const flushed = yield* start(writer.flush)
      assert.deepStrictEqual(transport.writesText, ["now"])
      assert.isDefined(flushed.pollUnsafe())
    })
  )

  it.effect("what is written while the system is busy goes out together once it is not", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake({ ...wide, takes: false })
      yield* writer.write("first")
      yield* turns(1)
      for (let i = 0; i < 100; i++) {
        yield* writer.write(`${i} `)
        if (i % 10 === 0) yield* turns(1)
      }
      assert.deepStrictEqual(transport.writesText, ["first"])
      transport.drain()
      assert.deepStrictEqual(transport.writesText, ["first", Array.from({ length: 100 }, (_, i) => `${i} `).join("")])
    })
  )

  it.effect("small and large writes keep their order", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake(wide)
      const parts = [5, 5000, 0, 1, 1, 20000, 4096, 4097, 3].map((size) => pattern(size))
      for (const part of parts) yield* writer.write(part)
      yield* turns(1)
      assert.lengthOf(transport.writes, 1)
      assertBytes(transport.sent, concat(parts))
    })
  )

  it.effect("neighbouring small writes reach the system as one chunk, large ones as they are", () =>
    Effect.gen(function* () {
      const { transport, writer } = yield* fake(wide)
      const sizes: Array<ReadonlyArray<number>> = []
      transport.onWrite = (chunks) => sizes.push(chunks.map((chunk) => chunk.length))
      for (let i = 0; i < 100; i++) yield* writer.write("0123456789")
      yield* writer.write(pattern(5000))
      yield* writer.write("end")
      yield* turns(1)
      assert.deepStrictEqual(sizes, [[1000, 5000, 3]])
    })
  )
})
