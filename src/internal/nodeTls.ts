/** TLS over any transport, with Node's engine. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import * as NodeTls from "node:tls"
import { StreamTimeout, TlsFailed } from "./errors.ts"
import type * as Tls from "../Tls.ts"
import type { Failure, Transport } from "../Transport.ts"
import { type Cipher, CipherDuplex } from "./nodeCipher.ts"
import { DirectCipher } from "./nodeDirectTls.ts"
import { TcpTransport } from "./nodeTcp.ts"
import { handshakeTimeout } from "./nodeTlsTransport.ts"
import { toTlsFailed } from "./tlsFailure.ts"

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
  upgrade: Upgrade = {}
): Effect.Effect<Transport, TlsFailed> =>
  handshake(transport, options, upgrade, (cipher) =>
    Effect.sync(() => {
      const serverName = options.serverName ?? host
      const session = options.session === undefined ? undefined : sessionOf(serverName, options.session)
      const socket = NodeTls.connect({
        socket: cipher.stream,
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
      cipher.engage(socket)
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
  upgrade: Upgrade = {}
): Effect.Effect<Transport, TlsFailed> =>
  handshake(transport, options, upgrade, (cipher) =>
    Effect.contextWith((services: Context.Context<never>) => {
      const choose = options.identity
      const identity = typeof choose === "function" ? choose(undefined) : Effect.succeed(choose)
      return Effect.map(identity, (identity) => {
        const clientCertificate = options.clientCertificate ?? "none"
        const socket = new NodeTls.TLSSocket(cipher.stream, {
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
        cipher.engage(socket)
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

/** What there is to know where TLS is not the beginning of the connection. */
interface Upgrade {
  /** What the peer has said in TLS already. */
  readonly leftover?: ReadonlyArray<Uint8Array>
  readonly stoppable?: boolean | undefined
}

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
  { leftover = [], stoppable = options.stoppable }: Upgrade,
  start: (cipher: Cipher) => Effect.Effect<Engine>
): Effect.Effect<Transport, TlsFailed> =>
  Effect.suspend(() => {
    const cipher =
      stoppable !== true && transport instanceof TcpTransport
        ? new DirectCipher(transport, leftover)
        : new CipherDuplex(transport, leftover)
    cipher.stream.on("error", ignore)
    transport.attach(cipher)
    const timeout = handshakeTimeout(options)
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
          cipher.forget()
          transport.abort()
          // and with it the engine above
          cipher.stream.destroy()
        })
      )
    )
  })

/** Fails once the peer leaves, which nobody reads of yet. */
const left = (cipher: Cipher): Effect.Effect<never, TlsFailed> =>
  Effect.callback((resume) => {
    cipher.listener = { onLeft: (failure) => resume(Effect.fail(leftEarly(failure))) }
  })

const leftEarly = (failure: Failure | undefined): TlsFailed =>
  toTlsFailed(failure?.cause ?? new Error("the peer left during the handshake"))

const finish = (
  cipher: Cipher,
  { ready, socket, verify }: Engine,
  options: Tls.CommonOptions
): Effect.Effect<Transport, TlsFailed> =>
  Effect.callback<Transport, TlsFailed>((resume) => {
    const forget = () => {
      socket.off(ready, onReady)
      socket.off("error", onError)
      socket.off("close", onClose)
    }
    const fail = (error: TlsFailed) => {
      forget()
      socket.on("error", ignore)
      resume(Effect.fail(error))
    }
    const onReady = () => {
      const wrong = verify()
      if (wrong !== undefined) return fail(toTlsFailed(wrong))
      forget()
      const transport = cipher.secured(socket, options)
      // Not from inside the engine, which still has to send the tickets that belong to the handshake: microtasks and ticks
      // are run there.
      setImmediate(() => resume(Effect.succeed(transport)))
    }
    const onError = (error: unknown) => fail(toTlsFailed(error))
    const onClose = () => fail(leftEarly(cipher.failure))
    socket.on(ready, onReady)
    socket.on("error", onError)
    socket.on("close", onClose)
    // who has left will not finish the handshake, whatever the engine makes of what was said before
    cipher.listener = { onTransportEnd: onClose, onTransportClose: onClose }
    cipher.flow()
    return Effect.sync(() => {
      forget()
      socket.on("error", ignore)
    })
  })

const ignore = (): void => {}
