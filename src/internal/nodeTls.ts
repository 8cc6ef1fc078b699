/** TLS over any transport, with Node's engine. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import * as NodeTls from "node:tls"
import { StreamTimeout, TlsFailed } from "./errors.ts"
import type * as Tls from "../Tls.ts"
import type { Handler, Transport } from "../Transport.ts"
import { CipherDuplex } from "./nodeCipher.ts"
import { NodeTransport } from "./nodeTransport.ts"
import { toTlsFailed } from "./tlsFailure.ts"

const defaultHandshakeTimeout = Duration.seconds(60)

// ---------------------------------------------------------------------------
// identities
// ---------------------------------------------------------------------------

/** Parsing a certificate is expensive; an identity that is used again is parsed once. */
const contexts = new WeakMap<object, WeakMap<Tls.Identity, NodeTls.SecureContext>>()

const material = (identity: Tls.Identity): NodeTls.SecureContextOptions => {
  const key = Redacted.value(identity.key)
  return {
    key: typeof key === "string" ? key : Buffer.from(key),
    cert: typeof identity.cert === "string" ? identity.cert : Buffer.from(identity.cert),
    ...(identity.passphrase === undefined ? undefined : { passphrase: Redacted.value(identity.passphrase) })
  }
}

const trusted = (ca: Tls.CommonOptions["ca"]): NodeTls.SecureContextOptions => {
  if (ca === undefined) return {}
  const all = typeof ca === "string" || ca instanceof Uint8Array ? [ca] : ca
  return { ca: all.map((one) => (typeof one === "string" ? one : Buffer.from(one))) }
}

const versions = (options: Tls.CommonOptions): NodeTls.SecureContextOptions => ({
  minVersion: options.minVersion ?? "TLSv1.2",
  ...(options.maxVersion === undefined ? undefined : { maxVersion: options.maxVersion })
})

const serverContext = (options: Tls.ServerOptions, identity: Tls.Identity): NodeTls.SecureContext => {
  let known = contexts.get(options)
  if (known === undefined) contexts.set(options, (known = new WeakMap()))
  let context = known.get(identity)
  if (context === undefined) {
    context = NodeTls.createSecureContext({
      ...material(identity),
      ...trusted(options.ca),
      ...versions(options),
      // tickets are bound to it; without one, sessions of clients with certificates cannot be resumed
      sessionIdContext: "effect-byte-streams"
    })
    known.set(identity, context)
  }
  return context
}

const alpn = (options: Tls.CommonOptions) =>
  options.alpnProtocols === undefined ? {} : { ALPNProtocols: [...options.alpnProtocols] }

// ---------------------------------------------------------------------------
// handshakes
// ---------------------------------------------------------------------------

/** As a client, over a transport that nobody is attached to. The transport is aborted unless this succeeds. */
export const secureClient = (
  transport: Transport,
  options: Tls.ClientOptions,
  host: string | undefined,
  leftover: ReadonlyArray<Uint8Array> = []
): Effect.Effect<Transport, TlsFailed> =>
  handshake(transport, options, leftover, (cipher) =>
    Effect.sync(() => {
      const serverName = options.serverName ?? host
      const session = options.session === undefined ? undefined : sessionOf(serverName, options.session)
      const socket = NodeTls.connect({
        socket: cipher,
        // made here: the engine would keep what it is made of, the key among it
        secureContext: NodeTls.createSecureContext({
          ...(options.identity === undefined ? undefined : material(options.identity)),
          ...trusted(options.ca),
          ...versions(options)
        }),
        ...alpn(options),
        ...(session === undefined ? undefined : { session }),
        // an address is verified but, as RFC 6066 has it, not sent
        ...(serverName === undefined ? undefined : { host: serverName }),
        ...(serverName === undefined || Net.isIP(serverName) !== 0 ? undefined : { servername: serverName }),
        rejectUnauthorized: options.dangerouslyAcceptAnyCertificate !== true
      })
      const { onSession } = options
      if (onSession !== undefined) {
        // resuming skips the verification: a session that was made without it must not get around it later
        socket.on("session", (session) => {
          if (socket.authorized) onSession(boundSession(serverName, session))
        })
      }
      return { socket, ready: "secureConnect", verify: () => undefined }
    })
  )

/**
 * Who resumes a session is not asked for a certificate, and so for no name: a session is good for the server that it was
 * made with, and says which that is.
 */
const sessionName = (serverName: string | undefined): Buffer => Buffer.from(`${serverName ?? ""}\n`)

const boundSession = (serverName: string | undefined, session: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([sessionName(serverName), session]))

const sessionOf = (serverName: string | undefined, bound: Uint8Array): Buffer | undefined => {
  const name = sessionName(serverName)
  return name.equals(bound.subarray(0, name.length)) ? Buffer.from(bound.subarray(name.length)) : undefined
}

/** As a server, over a transport that nobody is attached to. The transport is aborted unless this succeeds. */
export const secureServer = (
  transport: Transport,
  options: Tls.ServerOptions,
  leftover: ReadonlyArray<Uint8Array> = []
): Effect.Effect<Transport, TlsFailed> =>
  handshake(transport, options, leftover, (cipher) =>
    Effect.contextWith((services: Context.Context<never>) => {
      const choose = options.identity
      const identity = typeof choose === "function" ? choose(undefined) : Effect.succeed(choose)
      return Effect.map(identity, (identity) => {
        const clientCertificate = options.clientCertificate ?? "none"
        const socket = new NodeTls.TLSSocket(cipher, {
          isServer: true,
          secureContext: serverContext(options, identity),
          requestCert: clientCertificate !== "none",
          rejectUnauthorized: clientCertificate === "require",
          ...alpn(options),
          ...(typeof choose === "function"
            ? {
                SNICallback: (name, callback) => {
                  const fiber = Effect.runForkWith(services)(
                    Effect.map(choose(name), (one) => serverContext(options, one))
                  )
                  socket.once("close", () => fiber.interruptUnsafe())
                  fiber.addObserver((exit) => {
                    if (Exit.isSuccess(exit)) callback(null, exit.value)
                    else callback(new Error(`no identity for ${name}`, { cause: Cause.squash(exit.cause) }))
                  })
                }
              }
            : undefined)
        })
        return {
          socket,
          ready: "secure",
          // the engine only notes what is wrong with a client's certificate; whether it matters is for us to say
          verify: () => {
            // a resumed session without a certificate has nothing wrong with it either
            const error =
              clientCertificate === "none"
                ? null
                : (verifyError(socket) ?? (socket.getPeerX509Certificate() === undefined ? new NoCertificate() : null))
            socket.authorized = clientCertificate !== "none" && error === null
            if (error !== null) socket.authorizationError = error
            return clientCertificate === "require" && error !== null ? error : undefined
          }
        }
      })
    })
  )

class NoCertificate extends Error {
  readonly code = "UNABLE_TO_GET_ISSUER_CERT"
  constructor() {
    super("the client showed no certificate")
  }
}

/** What the engine noted about the peer's certificate. */
const verifyError = (socket: NodeTls.TLSSocket): Error | null =>
  (socket as unknown as { readonly ssl: { verifyError(): Error | null } }).ssl.verifyError()

interface Engine {
  readonly socket: NodeTls.TLSSocket
  /** The event that says the handshake is over. */
  readonly ready: "secureConnect" | "secure"
  /** What is wrong with the peer, if anything. */
  readonly verify: () => Error | undefined
}

const handshake = (
  transport: Transport,
  options: Tls.CommonOptions,
  leftover: ReadonlyArray<Uint8Array>,
  start: (cipher: CipherDuplex) => Effect.Effect<Engine>
): Effect.Effect<Transport, TlsFailed> =>
  Effect.suspend(() => {
    const cipher = new CipherDuplex(transport, leftover)
    cipher.on("error", ignore)
    transport.attach(cipher)
    const timeout = Duration.fromInputUnsafe(options.handshakeTimeout ?? defaultHandshakeTimeout)
    return Effect.raceFirst(start(cipher), left(cipher)).pipe(
      Effect.flatMap((engine) => finish(cipher, engine, options)),
      // certificates that cannot be read, an identity that could not be found
      Effect.catchDefect((defect) => Effect.fail(toTlsFailed(defect))),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.fail(
            new TlsFailed({
              kind: "Timeout",
              cause: new StreamTimeout({ operation: "handshake", kind: "Handshake", duration: timeout })
            })
          )
      }),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) return
          transport.abort()
          cipher.destroy()
        })
      )
    )
  })

/** Fails once the peer leaves, which nobody reads of yet. */
const left = (cipher: CipherDuplex): Effect.Effect<never, TlsFailed> =>
  Effect.callback((resume) => {
    cipher.onLeft = () => resume(Effect.fail(toTlsFailed(cipher.failure?.cause ?? leftEarly())))
    return Effect.sync(() => {
      cipher.onLeft = ignore
    })
  })

const leftEarly = (): Error => new Error("the peer left during the handshake")

const finish = (
  cipher: CipherDuplex,
  { ready, socket, verify }: Engine,
  options: Tls.CommonOptions
): Effect.Effect<Transport, TlsFailed> =>
  Effect.callback<Transport, TlsFailed>((resume) => {
    const forget = () => {
      cipher.off("end", onClose)
      socket.off(ready, onReady)
      socket.off("error", onError)
      socket.off("close", onClose)
    }
    const fail = (error: unknown) => {
      forget()
      socket.on("error", ignore)
      socket.destroy()
      resume(Effect.fail(toTlsFailed(error)))
    }
    const onReady = () => {
      const wrong = verify()
      if (wrong !== undefined) return fail(wrong)
      forget()
      // nothing may be read before there is somebody to read it
      socket.pause()
      const transport = new TlsTransport(socket, cipher, options)
      // not from inside the engine, which still has to send the tickets that belong to the handshake
      queueMicrotask(() => resume(Effect.succeed(transport)))
    }
    const onError = (error: unknown) => fail(cipher.failure?.cause ?? error)
    const onClose = () => fail(cipher.failure?.cause ?? leftEarly())
    socket.on(ready, onReady)
    socket.on("error", onError)
    socket.on("close", onClose)
    // who has left will not finish the handshake; the engine would wait for it
    cipher.on("end", onClose)
    return Effect.sync(() => {
      forget()
      socket.on("error", ignore)
      // reset by who gave up: no good end before it
      cipher.keepTransport = true
      socket.destroy()
    })
  })

const ignore = (): void => {}

// ---------------------------------------------------------------------------
// the transport
// ---------------------------------------------------------------------------

class TlsTransport extends NodeTransport {
  private readonly cipher: CipherDuplex
  private readonly lenient: boolean
  /** The peer has said that it ends, and not merely been cut off. */
  private notified = false

  constructor(socket: NodeTls.TLSSocket, cipher: CipherDuplex, options: Tls.CommonOptions) {
    super(socket, { ...cipher.transport.info, tls: tlsInfo(socket) })
    this.cipher = cipher
    this.lenient = options.allowTruncation === true
    // the engine reports what it finds wrong, and, on a server, only here; it does not end by itself
    socket.on("_tlsError", (error: Error) => socket.destroy(error))
    // The engine ends its readable side both for a close_notify and for the end of the transport. Only the first can
    // come while the transport has not ended.
    const { push } = socket
    socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (chunk === null && !cipher.transportEnded) this.notified = true
      return push.call(socket, chunk, encoding)
    }
    cipher.engineEnded = () => this.notified
  }

  override attach(handler: Handler): void {
    if (this.lenient) return super.attach(handler)
    super.attach({
      onData: (bytes) => handler.onData(bytes),
      onEnd: () => {
        if (this.notified) handler.onEnd()
        else this.truncated(handler)
      },
      onDrain: () => handler.onDrain(),
      onWriteFailure: (failure) => handler.onWriteFailure(failure),
      onClose: (failure) => handler.onClose(failure)
    })
  }

  private truncated(handler: Handler): void {
    const cause = new TlsFailed({ kind: "Truncated" })
    this.abort()
    handler.onClose({ kind: "Reset", tls: "Truncated", cause })
  }

  protected override reset(): void {
    // no good end before the reset
    this.cipher.keepTransport = true
    this.duplex.destroy()
    this.cipher.transport.abort()
  }

  /** Ends TLS in both directions, and gives the transport back with what followed. */
  readonly stopTls = () =>
    Effect.callback<{ readonly transport: Transport; readonly leftover: ReadonlyArray<Uint8Array> }>((resume) => {
      const { cipher, duplex } = this
      cipher.keepTransport = true
      const done = () => {
        resume(Effect.succeed({ transport: cipher.transport, leftover: cipher.after.splice(0) }))
      }
      this.handler = {
        onData: ignore,
        onEnd: done,
        onDrain: ignore,
        onWriteFailure: ignore,
        onClose: done
      }
      duplex.resume()
      duplex.end()
      if (this.readEnded) done()
    })
}

const tlsInfo = (socket: NodeTls.TLSSocket): Tls.TlsInfo => {
  const certificate = socket.getPeerX509Certificate()
  const error: unknown = socket.authorizationError
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().name,
    alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
    serverName: typeof socket.servername === "string" && socket.servername !== "" ? socket.servername : undefined,
    authorized: socket.authorized,
    authorizationError: error === null || error === undefined ? undefined : errorCode(error),
    peerCertificate:
      certificate === undefined
        ? undefined
        : {
            subject: certificate.subject,
            issuer: certificate.issuer,
            subjectAltName: certificate.subjectAltName,
            validFrom: certificate.validFrom,
            validTo: certificate.validTo,
            fingerprint256: certificate.fingerprint256,
            raw: new Uint8Array(certificate.raw)
          },
    resumed: socket.isSessionReused()
  }
}

const errorCode = (error: unknown): string =>
  typeof error === "string" ? error : String((error as { code?: unknown }).code ?? (error as Error).message)
