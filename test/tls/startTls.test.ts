/**
 * `startTls`: a plain connection becomes an encrypted one, in place. The dialogue around it, what becomes of the old
 * handle, of what was written before, of scopes, and of upgrades that fail. Bytes that were read ahead are in
 * leftover.test.ts, the way back is in stopTls.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import {
  Connection as Connections,
  type Connection,
  NodeNetwork,
  openConnection,
  startServer,
  StreamError,
  type Tls
} from "effect-byte-streams"
import { duplexPair } from "node:stream"
import { assertBytes } from "../support/assertBytes.ts"
import { authority, certificates } from "../support/certificates.ts"
import { bytes, pattern, text } from "../support/bytes.ts"
import { clog } from "../support/clog.ts"
import { backTo, held } from "../support/descriptors.ts"
import { start, startAll, waits } from "../support/fibers.ts"
import { connectRaw, serveRaw } from "../support/rawPeer.ts"
import { socketPath } from "../support/temporary.ts"
import { plainFacing, plainPair } from "../support/plainPair.ts"
import { host, tlsPair } from "../support/tlsPair.ts"
import { type Side, tlsClientOn, tlsServerOn } from "../support/tlsPeer.ts"
import { eventually, eventuallyEffect, turns, within } from "../support/wait.ts"

const sides: ReadonlyArray<Side> = ["client", "server"]
const versions = ["TLSv1.2", "TLSv1.3"] as const
const cases = sides.flatMap((side) => versions.map((version) => [side, version] as const))

// what can be ended again takes another way through the engine
for (const stoppable of [true, false]) {
  describe(stoppable ? "with a way back" : "for good", () => {
    const asClient: Tls.StartTlsOptions = { side: "client", ca: authority.cert, serverName: "localhost", stoppable }
    const asServer: Tls.StartTlsOptions = {
      side: "server",
      identity: certificates.server.identity,
      ca: authority.cert,
      stoppable
    }
    const as = (side: Side): Tls.StartTlsOptions => (side === "client" ? asClient : asServer)

    /** Upgrades both ends at once. */
    const upgradePair = (client: Connection.Connection, peer: Connection.Connection) =>
      within(
        "both ends are upgraded",
        Effect.all([client.startTls(asClient), peer.startTls(asServer)], { concurrency: 2 })
      )

    /** A plain connection of this library as `side`, upgraded with a peer without it. */
    const upgraded = (
      side: Side,
      options?: { readonly maxVersion?: Tls.Version; readonly connection?: Connection.Options }
    ) =>
      Effect.gen(function* () {
        const { connection: old, peer: raw } = yield* plainFacing(side, options?.connection)
        const upgrading = yield* Effect.forkChild(old.startTls(as(side)))
        const { maxVersion } = options ?? {}
        const peer = side === "client" ? tlsServerOn(raw, { maxVersion }) : tlsClientOn(raw, { maxVersion })
        const connection = yield* within("the upgrade", Fiber.join(upgrading))
        yield* peer.secured
        return { old, connection, peer }
      })

    const isUpgraded = (error: { readonly _tag: string }, operation?: string): void => {
      assert(error instanceof StreamError.ClosedStream, String(error))
      assert.strictEqual(error.reason, "Upgraded")
      if (operation !== undefined) assert.strictEqual(error.operation, operation)
    }

    describe("the dialogue", () => {
      /** As much of SMTP as matters here. */
      const smtp = (connection: Connection.Connection) =>
        Effect.gen(function* () {
          let { reader, writer } = connection
          let secure = false
          yield* writer.write("220 mail.test ready\r\n")
          while (true) {
            const line = text(yield* reader.readLine).trimEnd()
            const [verb] = line.split(" ")
            if (verb === "EHLO")
              yield* writer.write(secure ? "250 mail.test, in private\r\n" : "250-mail.test\r\n250 STARTTLS\r\n")
            else if (verb === "QUIT") return yield* writer.write("221 bye\r\n")
            else if (verb === "STARTTLS") {
              yield* writer.write("220 go ahead\r\n")
              ;({ reader, writer } = yield* connection.startTls(asServer))
              secure = true
            } else yield* writer.write("502 what?\r\n")
          }
        })

      it.live("of SMTP, with both ends of this library", () =>
        Effect.gen(function* () {
          const server = yield* startServer({ host, port: 0 }, smtp)
          const plain = yield* openConnection({ host, port: server.port })
          const say = (connection: Connection.Connection, line: string) =>
            Effect.andThen(connection.writer.write(`${line}\r\n`), connection.reader.readLine)
          assert.strictEqual(text(yield* plain.reader.readLine), "220 mail.test ready\r\n")
          assert.strictEqual(text(yield* say(plain, "EHLO me")), "250-mail.test\r\n")
          assert.strictEqual(text(yield* plain.reader.readLine), "250 STARTTLS\r\n")
          assert.strictEqual(text(yield* say(plain, "STARTTLS")), "220 go ahead\r\n")
          const secure = yield* plain.startTls(asClient)
          assert.strictEqual(secure.info.tls?.authorized, true)
          assert.strictEqual(text(yield* say(secure, "EHLO me")), "250 mail.test, in private\r\n")
          assert.strictEqual(text(yield* say(secure, "HELP")), "502 what?\r\n")
          assert.strictEqual(text(yield* say(secure, "QUIT")), "221 bye\r\n")
          assert.strictEqual((yield* secure.reader.readLine).length, 0)
          yield* eventuallyEffect(
            "the server's handler is over",
            Effect.map(server.connections, (count) => count === 0)
          )
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(cases)("of a %s with a peer without this library, over %s", ([side, maxVersion]) =>
        Effect.gen(function* () {
          const { connection: old, peer: raw } = yield* plainFacing(side)
          yield* old.writer.write("let us be private\n")
          yield* raw.awaitText("let us be private\n")
          yield* raw.send("yes\n")
          assert.strictEqual(text(yield* old.reader.readLine), "yes\n")
          const upgrading = yield* Effect.forkChild(old.startTls(as(side)))
          const peer =
            side === "client"
              ? tlsServerOn(raw, { maxVersion }, { from: raw.received.length })
              : tlsClientOn(raw, { maxVersion }, { from: raw.received.length })
          const connection = yield* within("the upgrade", Fiber.join(upgrading))
          assert.strictEqual(connection.info.tls?.protocol, maxVersion)
          yield* connection.writer.write("secret\n")
          yield* peer.secure.awaitText("secret\n")
          assert(!peer.wire.received.toString("latin1").includes("secret"))
          peer.tls.write("secret too\n")
          assert.strictEqual(text(yield* connection.reader.readLine), "secret too\n")
          yield* connection.writer.close
          yield* peer.secure.awaitEnd
          assert.strictEqual(peer.secure.error, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("over a Unix socket", () =>
        Effect.gen(function* () {
          const path = yield* socketPath()
          yield* startServer({ path }, (connection) =>
            Effect.gen(function* () {
              yield* connection.reader.readLine
              yield* connection.writer.write("go ahead\n")
              const { reader, writer } = yield* connection.startTls(asServer)
              yield* writer.write(yield* reader.readLine)
            })
          )
          const plain = yield* openConnection({ path })
          yield* plain.writer.write("STARTTLS\n")
          assert.strictEqual(text(yield* plain.reader.readLine), "go ahead\n")
          const secure = yield* plain.startTls(asClient)
          yield* secure.writer.write("echo\n")
          assert.strictEqual(text(yield* secure.reader.readLine), "echo\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("carries bulk in both directions at once afterwards, under the limits of the old connection", () =>
        Effect.gen(function* () {
          const both = { limit: 4096, highWaterMark: 8192, lowWaterMark: 1024 }
          const { client, peer } = yield* plainPair(both)
          const [one, other] = yield* upgradePair(client, peer)
          assert.strictEqual(one.reader.limit, 4096)
          assert.strictEqual(other.writer.highWaterMark, 8192)
          assert.strictEqual(other.writer.lowWaterMark, 1024)
          const all = pattern(1_000_000)
          const pump = ({ reader, writer }: Connection.Connection) =>
            Effect.all([writer.write(all), reader.readExactly(all.length)], { concurrency: 2 })
          const [[, here], [, there]] = yield* Effect.all([pump(one), pump(other)], { concurrency: 2 })
          assertBytes(here, all)
          assertBytes(there, all)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("info", () => {
      it.live("of the new connection has the same addresses, and tls; that of the old one stays as it was", () =>
        Effect.gen(function* () {
          const { client, peer } = yield* plainPair()
          const before = client.info
          const [one, other] = yield* upgradePair(client, peer)
          assert.deepStrictEqual(one.info.local, before.local)
          assert.deepStrictEqual(one.info.remote, before.remote)
          assert.strictEqual(one.info.tls?.protocol, "TLSv1.3")
          assert.strictEqual(one.info.tls?.peerCertificate?.subject, "CN=localhost")
          assert.strictEqual(other.info.tls?.serverName, "localhost")
          assert.strictEqual(client.info.tls, undefined)
          assert.deepStrictEqual(client.info, before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live(
        "options hold as they do for openConnection: certificates of clients, ALPN, versions, chosen identities",
        () =>
          Effect.gen(function* () {
            const { client, peer } = yield* plainPair()
            const [one, other] = yield* within(
              "both ends are upgraded",
              Effect.all(
                [
                  client.startTls({
                    side: "client",
                    ca: authority.cert,
                    serverName: "alpha.test",
                    identity: certificates.client.identity,
                    alpnProtocols: ["private"],
                    maxVersion: "TLSv1.2"
                  }),
                  peer.startTls({
                    side: "server",
                    ca: authority.cert,
                    identity: (name) =>
                      Effect.succeed(
                        name === "alpha.test" ? certificates.alpha.identity : certificates.server.identity
                      ),
                    clientCertificate: "require",
                    alpnProtocols: ["private"]
                  })
                ],
                { concurrency: 2 }
              )
            )
            assert.strictEqual(one.info.tls?.peerCertificate?.subject, "CN=alpha.test")
            assert.strictEqual(one.info.tls?.protocol, "TLSv1.2")
            assert.strictEqual(one.info.tls?.alpn, "private")
            assert.strictEqual(other.info.tls?.authorized, true)
            assert.strictEqual(other.info.tls?.peerCertificate?.subject, "CN=client")
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("the name that the certificate must be for is the host of the connection by default", () =>
        Effect.gen(function* () {
          const onlyAddress = yield* Effect.promise(() =>
            authority.issue({ name: "by address", names: ["127.0.0.1"], usage: "server" })
          )
          const onlyName = yield* Effect.promise(() =>
            authority.issue({ name: "by name", names: ["localhost"], usage: "server" })
          )
          const upgradeTo = (identity: Tls.Identity) =>
            Effect.gen(function* () {
              // this client connects to 127.0.0.1
              const { client, peer } = yield* plainPair()
              const [exit] = yield* within(
                "both ends are upgraded",
                Effect.all(
                  [
                    Effect.exit(client.startTls({ side: "client", ca: authority.cert })),
                    Effect.exit(peer.startTls({ side: "server", identity }))
                  ],
                  { concurrency: 2 }
                )
              )
              return exit
            })
          assert(Exit.isSuccess(yield* upgradeTo(onlyAddress.identity)))
          assert(Exit.isFailure(yield* upgradeTo(onlyName.identity)))
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("sessions", () => {
      it.live.each(versions)("are resumed from one upgrade to the next, over %s", (maxVersion) =>
        Effect.gen(function* () {
          // as a server is written: the options are made for each upgrade, the identity is there
          const { identity } = certificates.server
          const server = yield* startServer({ host, port: 0, gracePeriod: 0 }, (plain) =>
            Effect.gen(function* () {
              yield* plain.reader.readLine
              yield* plain.writer.write("go ahead\n")
              const { reader, writer } = yield* plain.startTls({ side: "server", identity, stoppable })
              yield* writer.write(yield* reader.readLine)
            }).pipe(Effect.scoped)
          )
          const sessions: Array<Uint8Array> = []
          const upgrade = (session: Uint8Array | undefined) =>
            Effect.gen(function* () {
              const plain = yield* openConnection({ host, port: server.port })
              yield* plain.writer.write("STARTTLS\n")
              yield* within("the answer", plain.reader.readLine)
              const onSession = (session: Uint8Array) => sessions.push(session)
              const { info, reader, writer } = yield* plain.startTls({ ...asClient, maxVersion, session, onSession })
              yield* writer.write("echo\n")
              assert.strictEqual(text(yield* within("the echo", reader.readLine)), "echo\n")
              return info.tls?.resumed
            }).pipe(Effect.scoped)
          assert.strictEqual(yield* upgrade(undefined), false)
          for (let i = 0; i < 3; i++) {
            const session = yield* eventually("the server allows the session to be resumed", () => sessions.shift())
            assert.strictEqual(yield* upgrade(session), true)
            // over 1.2 a session that is resumed stays the same one
            if (sessions.length === 0) sessions.push(session)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("are resumed with the server that listens for TLS alone, if it has the same identity", () =>
        Effect.gen(function* () {
          const { identity } = certificates.server
          const upgrading = yield* startServer({ host, port: 0, gracePeriod: 0 }, (plain) =>
            Effect.flatMap(plain.startTls({ side: "server", identity, stoppable }), ({ writer }) =>
              Effect.andThen(writer.write("hello\n"), Effect.never)
            ).pipe(Effect.scoped)
          )
          const encrypted = yield* startServer(
            { host, port: 0, gracePeriod: 0, tls: { identity, stoppable } },
            ({ writer }) => Effect.andThen(writer.write("hello\n"), Effect.never)
          )
          const sessions: Array<Uint8Array> = []
          const plain = yield* openConnection({ host, port: upgrading.port })
          const onSession = (session: Uint8Array) => sessions.push(session)
          const { reader } = yield* plain.startTls({ ...asClient, onSession })
          yield* within("the greeting", reader.readLine)
          const session = yield* eventually("the server allows the session to be resumed", () => sessions[0])
          const tls = { ca: authority.cert, serverName: "localhost", session }
          const { info } = yield* openConnection({ host, port: encrypted.port, tls })
          assert.strictEqual(info.tls?.resumed, true)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("the old handle", () => {
      it.live.each(sides)(
        "row 9.8: answers ClosedStream with reason Upgraded, whatever is asked of it, for a %s",
        (side) =>
          Effect.gen(function* () {
            const { connection, old, peer } = yield* upgraded(side)
            const { reader, writer } = old
            const operations: ReadonlyArray<readonly [string, Effect.Effect<unknown, { readonly _tag: string }>]> = [
              ["read", reader.read(1)],
              ["readLine", reader.readLine],
              ["readExactly", reader.readExactly(1)],
              ["readUntil", reader.readUntil("\n")],
              ["readAll", reader.readAll({ maxBytes: 1 })],
              ["peek", reader.peek(1)],
              ["skip", reader.skip(1)],
              ["unread", reader.unread(new Uint8Array(1))],
              ["pull", reader.pull as Effect.Effect<unknown, { readonly _tag: string }>],
              ["write", writer.write("x")],
              ["writeAll", writer.writeAll(["x"])],
              ["drain", writer.drain],
              ["flush", writer.flush],
              ["writeEof", writer.writeEof]
            ]
            for (const [name, operation] of operations) {
              const exit = yield* Effect.exit(within(name, operation))
              assert(Exit.isFailure(exit), `${name} succeeded`)
              isUpgraded(yield* Effect.flip(operation), name)
            }
            assert.throws(() => writer.writeUnsafe("x"), StreamError.ClosedStream)
            isUpgraded(yield* Effect.flip(Effect.scoped(old.startTls(as(side)))))
            // none of it did any harm
            yield* connection.writer.write("unharmed\n")
            yield* peer.secure.awaitText("unharmed\n")
            assert.strictEqual(peer.secure.text, "unharmed\n")
          }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("fails a read that waits at that moment", () =>
        Effect.gen(function* () {
          const { client, peer } = yield* plainPair()
          const line = yield* start(Effect.flip(client.reader.readLine))
          const exactly = yield* start(Effect.flip(peer.reader.readExactly(10)))
          assert(waits(line) && waits(exactly))
          yield* upgradePair(client, peer)
          isUpgraded(yield* within("the read fails", Fiber.join(line)), "readLine")
          isUpgraded(yield* within("the read fails", Fiber.join(exactly)), "readExactly")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("completes closed when the new connection ends: by the peer, for a %s", (side) =>
        Effect.gen(function* () {
          const first = yield* upgraded(side)
          const watching = yield* start(first.old.closed)
          yield* turns()
          assert(waits(watching))
          first.peer.tls.end()
          assert.strictEqual((yield* within("the old handle is closed", Fiber.join(watching)))._tag, "PeerEof")

          const second = yield* upgraded(side)
          yield* second.peer.wire.reset
          assert.strictEqual((yield* within("the old handle is closed", second.old.closed))._tag, "Lost")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("completes closed when the new connection ends: by this side", () =>
        Effect.gen(function* () {
          const { connection, old } = yield* upgraded("client")
          const watching = yield* start(old.closed)
          assert.strictEqual((yield* connection.writer.close)._tag, "Graceful")
          const closed = yield* within("the old handle is closed", Fiber.join(watching))
          assert.deepStrictEqual(closed, { _tag: "Local", outcome: { _tag: "Graceful" } })
          assert.deepStrictEqual(yield* old.closed, closed)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("its close and its abort are those of the new connection", () =>
        Effect.gen(function* () {
          const closing = yield* upgraded("client")
          yield* closing.connection.writer.write("all of it")
          assert.strictEqual((yield* closing.old.writer.close)._tag, "Graceful")
          yield* closing.peer.secure.awaitEnd
          assert.strictEqual(closing.peer.secure.text, "all of it")
          const late = yield* Effect.flip(closing.connection.writer.write("more"))
          assert.strictEqual(late._tag, "ClosedStream")

          const aborting = yield* upgraded("client")
          yield* aborting.old.abort
          yield* aborting.peer.wire.awaitClosed
          const error = yield* Effect.flip(aborting.connection.reader.read(1))
          assert(error._tag === "ClosedStream")
          assert.strictEqual(error.reason, "Aborted")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("what was written before", () => {
      it.live("is waited for: all of it goes out in plain text, in front of TLS", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("client")
          yield* raw.stall
          const all = yield* clog(connection.writer)
          const upgrading = yield* start(connection.startTls(asClient))
          yield* turns(20)
          assert(waits(upgrading))
          assert.isAbove(yield* connection.writer.buffered, 0)
          yield* raw.unstall
          yield* raw.awaitBytes(all.length + 1)
          assertBytes(raw.received.subarray(0, all.length), all)
          const peer = tlsServerOn(raw, {}, { from: all.length })
          const secure = yield* within("the upgrade", Fiber.join(upgrading))
          yield* secure.writer.write("private")
          yield* peer.secure.awaitText("private")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("while startTls waits is either sent in front of TLS, or refused: never accepted and lost", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("client")
          yield* raw.stall
          const all = yield* clog(connection.writer)
          // these wait in line, and the first is far more than the system takes in one go
          const later = [Buffer.alloc(24_000_000, "in line "), bytes("a line\n"), pattern(100_000)]
          const before = yield* start(Effect.exit(connection.writer.write(later[0]!)))
          const upgrading = yield* start(Effect.exit(connection.startTls(asClient)))
          const after = yield* startAll(later.slice(1).map((chunk) => Effect.exit(connection.writer.write(chunk))))
          assert([before, upgrading, ...after].every(waits))
          yield* raw.unstall
          const exits = yield* within("the writes end", Effect.forEach([before, ...after], Fiber.join))
          const accepted = later.filter((_, i) => Exit.isSuccess(exits[i]!))
          const expected = Buffer.concat([all, ...accepted])
          yield* raw.awaitBytes(expected.length + 1)
          assertBytes(raw.received.subarray(0, expected.length), expected)
          // a handshake follows, and nothing else
          const peer = tlsServerOn(raw, {}, { from: expected.length })
          assert(Exit.isSuccess(yield* within("the upgrade", Fiber.join(upgrading))))
          yield* peer.secured
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("to a peer that has left fails the upgrade, as it fails a flush", () =>
        Effect.gen(function* () {
          const { connection, peer: raw } = yield* plainFacing("client")
          yield* raw.reset
          yield* connection.closed
          const error = yield* within("the upgrade fails", Effect.flip(connection.startTls(asClient)))
          assert.include(["ConnectionLost", "TlsFailed"], error._tag)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("to a connection that this side has closed, aborted or ended fails the upgrade", () =>
        Effect.gen(function* () {
          for (const end of ["close", "abort", "writeEof"] as const) {
            const { connection } = yield* plainFacing("client")
            yield* connection.writer[end]
            const error = yield* within("the upgrade fails", Effect.flip(connection.startTls(asClient)))
            assert(error._tag === "ClosedStream", String(error))
            assert.strictEqual(error.reason, { close: "Closed", abort: "Aborted", writeEof: "Eof" }[end])
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("an upgrade that fails", () => {
      const failing: ReadonlyArray<readonly [string, Tls.StartTlsOptions, Tls.StartTlsOptions]> = [
        ["for the certificate's name", { ...asClient, serverName: "elsewhere.test" } as Tls.StartTlsOptions, asServer],
        [
          "for the client's certificate",
          asClient,
          { ...asServer, clientCertificate: "require" } as Tls.StartTlsOptions
        ],
        ["for the version", { ...asClient, maxVersion: "TLSv1.2" }, { ...asServer, minVersion: "TLSv1.3" }]
      ]

      it.live.each(failing)("%s resets the connection, and leaves nothing behind", ([, clientOptions, serverOptions]) =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { client, peer } = yield* plainPair()
              const ends = [
                Effect.flatMap(client.startTls(clientOptions), ({ reader }) => reader.read(1)),
                Effect.flatMap(peer.startTls(serverOptions), ({ reader }) => reader.read(1))
              ]
              const exits = yield* within("both ends fail", Effect.all(ends.map(Effect.exit), { concurrency: 2 }))
              for (const exit of exits) assert(Exit.isFailure(exit), "an end was upgraded")
              yield* within("the client's handle is over", client.closed)
              yield* within("the server's handle is over", peer.closed)
              // and their closing is no second end
              yield* within("the close", client.writer.close)
              yield* within("the close", peer.writer.close)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("for it takes too long resets the connection, for a %s", (side) =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { connection, peer: raw } = yield* plainFacing(side)
              const error = yield* Effect.flip(connection.startTls({ ...as(side), handshakeTimeout: 50 }))
              assert(error._tag === "TlsFailed", String(error))
              assert.strictEqual(error.kind, "Timeout")
              yield* raw.awaitClosed
              yield* within("the old handle is over", connection.closed)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("for it is interrupted resets the connection, for a %s", (side) =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { connection, peer: raw } = yield* plainFacing(side)
              const upgrading = yield* start(connection.startTls(as(side)))
              if (side === "client") yield* raw.awaitBytes(100)
              else yield* turns(20)
              yield* within("the interruption", Fiber.interrupt(upgrading))
              yield* raw.awaitClosed
              const closed = yield* within("the old handle is over", connection.closed)
              assert.strictEqual(closed._tag, "Local")
              const error = yield* Effect.flip(connection.reader.read(1))
              assert.strictEqual(error._tag, "ClosedStream")
              yield* within("the close", connection.writer.close)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("for the old handle is aborted or closed meanwhile, does so at once, for a %s", (side) =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              for (const end of ["abort", "close"] as const) {
                const { connection, peer: raw } = yield* plainFacing(side)
                const upgrading = yield* start(Effect.exit(connection.startTls(as(side))))
                if (side === "client") yield* raw.awaitBytes(100)
                else yield* turns(20)
                yield* within(end, connection.writer[end])
                yield* raw.awaitClosed
                assert(Exit.isFailure(yield* within("the upgrade fails", Fiber.join(upgrading))))
              }
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live.each(sides)("for the peer leaves meanwhile, does so at once, for a %s", (side) =>
        Effect.gen(function* () {
          for (const leave of ["finish", "reset"] as const) {
            const { connection, peer: raw } = yield* plainFacing(side)
            const upgrading = yield* start(Effect.flip(connection.startTls(as(side))))
            if (side === "client") yield* raw.awaitBytes(100)
            else yield* turns(20)
            yield* raw[leave]
            const error = yield* within("the upgrade fails", Fiber.join(upgrading))
            assert(error._tag === "TlsFailed", String(error))
            assert.strictEqual(error.kind, "Handshake")
            yield* within("the old handle is over", connection.closed)
          }
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("where the transport cannot do it is Unsupported", () =>
        Effect.gen(function* () {
          const [one] = duplexPair()
          const piped = yield* Connections.fromDuplex(one)
          const error = yield* Effect.flip(piped.startTls(asClient))
          assert(error._tag === "TlsFailed")
          assert.strictEqual(error.kind, "Unsupported")
          const { client, peer } = yield* tlsPair()
          const twice = yield* Effect.flip(client.startTls(asClient))
          assert(twice._tag === "TlsFailed")
          assert.strictEqual(twice.kind, "Unsupported")
          // and does no harm
          yield* client.writer.write("unharmed\n")
          assert.strictEqual(text(yield* peer.reader.readLine), "unharmed\n")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })

    describe("scopes", () => {
      it.live("the scope that the upgrade was made in ends the connection, in good order, once", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const server = yield* serveRaw({ halfOpen: true })
              const outer = yield* Scope.make()
              const inner = yield* Scope.make()
              const old = yield* Scope.provide(openConnection({ host, port: server.port }), outer)
              const upgrading = yield* Effect.forkChild(Scope.provide(old.startTls(asClient), inner))
              const peer = tlsServerOn(yield* server.accept)
              const connection = yield* Fiber.join(upgrading)
              let ends = 0
              peer.tls.on("end", () => ends++)
              peer.wire.socket.on("end", () => ends++)
              yield* connection.writer.write("all of it")

              yield* within("the inner scope closes", Scope.close(inner, Exit.void))
              yield* peer.secure.awaitEnd
              yield* peer.wire.awaitEnd
              assert.strictEqual(peer.secure.text, "all of it")
              assert.deepStrictEqual(yield* old.closed, { _tag: "Local", outcome: { _tag: "Graceful" } })

              // what is left for the outer one has happened already
              yield* within("the outer scope closes", Scope.close(outer, Exit.fail("in bad order")))
              yield* turns(20)
              assert.strictEqual(ends, 2)
              assert.strictEqual(peer.secure.error, undefined)
              assert.strictEqual(peer.wire.error, undefined)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("one scope for both ends it once", () =>
        Effect.gen(function* () {
          const server = yield* serveRaw({ halfOpen: true })
          const scope = yield* Scope.make()
          const old = yield* Scope.provide(openConnection({ host, port: server.port }), scope)
          const upgrading = yield* Effect.forkChild(Scope.provide(old.startTls(asClient), scope))
          const peer = tlsServerOn(yield* server.accept)
          const connection = yield* Fiber.join(upgrading)
          yield* connection.writer.write("all of it")
          yield* within("the scope closes", Scope.close(scope, Exit.void))
          yield* peer.secure.awaitEnd
          yield* peer.wire.awaitEnd
          assert.strictEqual(peer.secure.text, "all of it")
          assert.strictEqual(peer.wire.error, undefined)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("the end of the outer scope alone ends the new connection too", () =>
        Effect.gen(function* () {
          const server = yield* serveRaw({ halfOpen: true })
          const outer = yield* Scope.make()
          const old = yield* Scope.provide(openConnection({ host, port: server.port }), outer)
          const upgrading = yield* Effect.forkChild(old.startTls(asClient))
          const peer = tlsServerOn(yield* server.accept)
          const connection = yield* Fiber.join(upgrading)
          yield* connection.writer.write("all of it")
          yield* within("the outer scope closes", Scope.close(outer, Exit.void))
          yield* peer.secure.awaitEnd
          assert.strictEqual(peer.secure.text, "all of it")
          const error = yield* Effect.flip(connection.writer.write("more"))
          assert.strictEqual(error._tag, "ClosedStream")
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      /** A server that upgrades its client and then does `then`; and that client. */
      const serving = (then: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>) =>
        Effect.gen(function* () {
          const failures: Array<unknown> = []
          const server = yield* startServer(
            { host, port: 0, onHandlerError: ({ cause }) => Effect.sync(() => void failures.push(cause)) },
            (connection) => Effect.flatMap(connection.startTls(asServer), then)
          )
          const peer = tlsClientOn(yield* connectRaw(server.port, { halfOpen: true }))
          yield* peer.secured
          const over = eventuallyEffect(
            "the server is done with the client",
            Effect.map(server.connections, (count) => count === 0)
          )
          return { failures, over, peer }
        })

      it.live("a handler that returns after the upgrade ends it in good order", () =>
        Effect.gen(function* () {
          const before = held()
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { failures, over, peer } = yield* serving(({ writer }) => writer.write("goodbye\n"))
              yield* peer.secure.awaitEnd
              yield* peer.wire.awaitEnd
              yield* over
              assert.strictEqual(peer.secure.text, "goodbye\n")
              assert.strictEqual(peer.secure.error, undefined)
              assert.strictEqual(peer.wire.error, undefined)
              assert.strictEqual(failures.length, 0)
            })
          )
          yield* backTo(before)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("a handler that fails after the upgrade cuts it off", () =>
        Effect.gen(function* () {
          const { failures, over, peer } = yield* serving(() => Effect.fail("it went wrong"))
          yield* peer.wire.awaitClosed
          yield* over
          assert.strictEqual(peer.secure.ended, false)
          assert.strictEqual(failures.length, 1)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )

      it.live("shutdown ends upgraded connections as it ends others", () =>
        Effect.gen(function* () {
          const ready = yield* Deferred.make<void>()
          const server = yield* startServer({ host, port: 0 }, (connection) =>
            Effect.andThen(
              Effect.andThen(connection.startTls(asServer), Deferred.succeed(ready, undefined)),
              Effect.never
            )
          )
          const client = yield* openConnection({ host, port: server.port })
          const secure = yield* client.startTls(asClient)
          yield* Deferred.await(ready)
          const report = yield* within("the shutdown", server.shutdown({ gracePeriod: 0 }))
          assert.deepStrictEqual(report, { completed: 0, aborted: 1 })
          const error = yield* Effect.flip(secure.reader.read(1))
          assert.include(["ConnectionLost", "TlsFailed"], error._tag)
        }).pipe(Effect.provide(NodeNetwork.layer))
      )
    })
  })
}
