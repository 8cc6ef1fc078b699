/** TLS over any transport, with Node's engine. */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Fiber from "effect/Fiber"
import * as NodeTls from "node:tls"
import type { ListenOptions } from "../../../Network.ts"
import * as Deadline from "../../runtime/deadline.ts"
import { ListenFailed, StreamTimeout, TlsFailed } from "../../base/errors.ts"
import type * as Tls from "../../../Tls.ts"
import type { Transport } from "../../../Transport.ts"
import * as Endpoint from "../../base/endpoint.ts"
import { CurrentOpening } from "../../base/observing.ts"
import { toFailure } from "../../transport/failure.ts"
import type { Secure, Upgrade } from "../../transport/tlsEngine.ts"
import { toHostName } from "../../base/hostName.ts"
import type { Ciphertext } from "./ciphertext.ts"
import { canBeDirect, has } from "../nodeInternals.ts"
import { DirectCiphertext } from "./direct.ts"
import { clientContext, ServerContexts, Unusable } from "./secureContext.ts"
import { identityCheck } from "./serverIdentity.ts"
import { TcpTransport } from "../tcp.ts"
import { nameAskedFor, verificationError } from "./info.ts"
import { Detour, handshakeTimeout } from "./detour.ts"
import { certificateFailed, engineFailed, ownSideFailed, peerLeft, withPeer } from "./failure.ts"

const alpn = (options: Tls.CommonOptions) =>
  options.alpnProtocols === undefined ? {} : { ALPNProtocols: [...options.alpnProtocols] }

// ---------------------------------------------------------------------------
// sides
// ---------------------------------------------------------------------------

/** The client's side of one connection to `host`. Fails where the options cannot work with any server. */
export const client = (
  operation: string,
  options: Tls.ClientOptions,
  host: string | undefined
): Effect.Effect<Secure, TlsFailed> =>
  Effect.suspend(() => {
    const name = options.serverName ?? host
    const wanted = wantedServer(name)
    let secureContext: NodeTls.SecureContext
    try {
      // made here: the engine would keep what it is made of, the key among it
      secureContext = clientContext(options)
    } catch (error) {
      return Effect.fail(ownSideFailed(operation, error))
    }
    return Effect.succeed((transport, upgrade) =>
      handshake(operation, "client", transport, options, upgrade, (ciphertext, begin) =>
        wanted === undefined
          ? Effect.fail(
              ownSideFailed(operation, new Error(`${JSON.stringify(name)} is no name that a certificate is for`))
            )
          : Effect.contextWith((services: Context.Context<never>) =>
              Effect.sync(() => begin(clientEngine(ciphertext, options, secureContext, wanted, services)))
            )
      )
    )
  })

/** Whom a client wants to talk to. */
interface WantedServer {
  /** What the certificate must be for. */
  readonly name: string
  /** What the server is asked for: an address is verified but, as RFC 6066 has it, not sent. */
  readonly asked: string | undefined
}

const wantedServer = (name: string | undefined): WantedServer | undefined => {
  // there is no name, as over a Unix socket
  if (name === undefined) return { name: "localhost", asked: undefined }
  const host = toHostName(name)
  return host === undefined ? undefined : { name: host.name, asked: host.isAddress ? undefined : host.name }
}

const clientEngine = (
  ciphertext: Ciphertext,
  options: Tls.ClientOptions,
  secureContext: NodeTls.SecureContext,
  wanted: WantedServer,
  services: Context.Context<never>
): Engine => {
  const session = options.session === undefined ? undefined : sessionOf(wanted, options.session)
  const socket = NodeTls.connect({
    socket: ciphertext.stream,
    secureContext,
    ...alpn(options),
    ...(session === undefined ? undefined : { session }),
    host: wanted.name,
    ...identityCheck(wanted.name),
    ...(wanted.asked === undefined ? undefined : { servername: wanted.asked }),
    rejectUnauthorized: options.dangerouslyAcceptAnyCertificate !== true
  })
  ciphertext.engage(socket)
  const { onSession } = options
  if (onSession !== undefined) {
    // resuming skips the verification: a session that was made without it must not get around it later
    const failed = (error: unknown): void => {
      Effect.runForkWith(services)(Effect.logError("onSession has failed", error))
    }
    socket.on("session", (session) => {
      if (!socket.authorized) return
      try {
        const answer: unknown = onSession(boundSession(wanted, session))
        // one that is an async function fails later
        if (answer instanceof Promise) answer.catch(failed)
      } catch (error) {
        // this is inside of the engine, which loses what it is about to decrypt; and a logger may do anything
        queueMicrotask(() => failed(error))
      }
    })
  }
  return { socket, ready: "secureConnect", verify: () => undefined, isRefusal: () => isRefused(socket) }
}

/** The engine says first what it makes of the certificate, and then that it fails for it. */
const isRefused = ({ authorizationError }: NodeTls.TLSSocket): boolean =>
  authorizationError !== null && authorizationError !== undefined

/**
 * A client that resumes a session is shown no certificate, and so checks no name. A session is good for the server that it
 * was made with, and says which that is.
 */
const sessionName = ({ name }: WantedServer): Buffer => Buffer.from(`${name}\n`)

const boundSession = (wanted: WantedServer, session: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([sessionName(wanted), session]))

const sessionOf = (wanted: WantedServer, bound: Uint8Array): Buffer | undefined => {
  const name = sessionName(wanted)
  return name.equals(bound.subarray(0, name.length)) ? Buffer.from(bound.subarray(name.length)) : undefined
}

/** The server's side of any number of connections. Fails where the options cannot work with any client. */
const server = (operation: string, options: Tls.ServerOptions): Effect.Effect<Secure, Unusable> =>
  Effect.suspend(() => {
    const { identity } = options
    let contexts: ServerContexts
    let own: NodeTls.SecureContext | undefined
    try {
      contexts = new ServerContexts(options)
      own = typeof identity === "function" ? undefined : contexts.of(identity)
    } catch (error) {
      if (error instanceof Unusable) return Effect.fail(error)
      throw error
    }
    return Effect.succeed((transport, upgrade) =>
      handshake(operation, "server", transport, options, upgrade, (ciphertext, begin) =>
        typeof identity !== "function"
          ? Effect.sync(() => begin(serverEngine(ciphertext, options, own!, undefined)))
          : Effect.contextWith((services: Context.Context<never>) =>
              Effect.flatMap(identity(undefined), (first) => {
                const own = contexts.of(first)
                const choose = (name: string) =>
                  // suspended: not every version of Node survives what is thrown in its call
                  Effect.runForkWith(services)(
                    Effect.map(
                      Effect.suspend(() => identity(name)),
                      (one) => contexts.of(one)
                    )
                  )
                return ciphertext.nameAsked === undefined || has("sni")
                  ? Effect.sync(() => begin(serverEngine(ciphertext, options, own, choose)))
                  : Effect.flatMap(ciphertext.nameAsked, (asked) => {
                      const name = nameAskedFor(asked)
                      return Effect.map(name === undefined ? Effect.succeed(own) : chosen(name, choose), (context) =>
                        begin(serverEngine(ciphertext, options, context, undefined))
                      )
                    })
              })
            )
      )
    )
  })

type Choose = (name: string) => Fiber.Fiber<NodeTls.SecureContext>

/** What is chosen for a name, where the engine does not ask. It is not waited for once nobody wants it. */
const chosen = (name: string, choose: Choose): Effect.Effect<NodeTls.SecureContext> =>
  Effect.callback((resume) => {
    const fiber = choose(name)
    fiber.addObserver((exit) =>
      resume(Exit.isSuccess(exit) ? exit : Effect.die(new NoIdentity(name, Cause.squash(exit.cause))))
    )
    return Effect.sync(() => fiber.interruptUnsafe())
  })

/** The server's side of all connections of a listener. */
export const listening = (options: ListenOptions, tls: Tls.ServerOptions): Effect.Effect<Secure, ListenFailed> =>
  Effect.mapError(
    server("startServer", tls),
    (cause) => new ListenFailed({ kind: "Tls", address: Endpoint.listening(options), code: cause.code, cause })
  )

/** An upgrade of a connection to `host`, if that is known. The transport is aborted unless it succeeds. */
export const startTls = (
  transport: Transport,
  options: Tls.StartTlsOptions,
  host: string | undefined,
  upgrade: Upgrade
): Effect.Effect<Transport, TlsFailed> => {
  const side: Effect.Effect<Secure, TlsFailed> =
    options.side === "client"
      ? client("startTls", options, host)
      : Effect.mapError(server("startTls", options), (error) => ownSideFailed("startTls", error))
  return Effect.onExit(
    Effect.flatMap(side, (secure) => secure(transport, upgrade)),
    (exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => transport.abort()))
  )
}

const serverEngine = (
  ciphertext: Ciphertext,
  options: Tls.ServerOptions,
  secureContext: NodeTls.SecureContext,
  choose: Choose | undefined
): Engine => {
  const clientCertificate = options.clientCertificate ?? "none"
  const socket = new NodeTls.TLSSocket(ciphertext.stream, {
    isServer: true,
    secureContext,
    requestCert: clientCertificate !== "none",
    rejectUnauthorized: clientCertificate === "require",
    ...alpn(options),
    ...(choose === undefined
      ? undefined
      : {
          SNICallback: (asked, callback) => {
            const name = nameAskedFor(asked)
            // what is no name of a host is none: the client gets what those get that ask for nothing
            if (name === undefined) return callback(null)
            const fiber = choose(name)
            socket.once("close", () => fiber.interruptUnsafe())
            fiber.addObserver((exit) => {
              if (Exit.isSuccess(exit)) callback(null, exit.value)
              else callback(new NoIdentity(name, Cause.squash(exit.cause)))
            })
          }
        })
  })
  ciphertext.engage(socket)
  return {
    socket,
    ready: "secure",
    // Bun's fails by itself, as those of clients do
    isRefusal: () => clientCertificate === "require" && isRefused(socket),
    // Node's only notes what is wrong with a client's certificate; whether it matters is for us to say
    verify: () => {
      // a resumed session without a certificate has nothing wrong with it either
      const error =
        clientCertificate === "none"
          ? undefined
          : (verificationError(socket) ??
            (socket.getPeerX509Certificate() === undefined ? new NoCertificate() : undefined))
      socket.authorized = clientCertificate !== "none" && error === undefined
      if (error !== undefined) socket.authorizationError = error
      return clientCertificate === "require" ? error : undefined
    }
  }
}

/** An identity that was chosen by name could not be found, or cannot be used. */
class NoIdentity extends Error {
  readonly code: string | undefined
  constructor(name: string, cause: unknown) {
    super(`no identity for ${name}${cause instanceof Error ? `: ${cause.message}` : ""}`, { cause })
    this.code = cause instanceof Unusable ? cause.code : undefined
  }
}

class NoCertificate extends Error {
  readonly code = "UNABLE_TO_GET_ISSUER_CERT"
  constructor() {
    super("the client showed no certificate")
  }
}

// ---------------------------------------------------------------------------
// handshakes
// ---------------------------------------------------------------------------

interface Engine {
  readonly socket: NodeTls.TLSSocket
  /** The event that says the handshake is over. */
  readonly ready: "secureConnect" | "secure"
  /** What is wrong with the peer, if anything. */
  readonly verify: () => Error | undefined
  /** Whether the engine failed because it does not accept the peer's certificate. */
  readonly isRefusal: () => boolean
}

const handshake = (
  operation: string,
  side: "client" | "server",
  transport: Transport,
  options: Tls.CommonOptions,
  { leftover = [], stoppable = options.stoppable }: Upgrade = {},
  start: (ciphertext: Ciphertext, begin: (engine: Engine) => void) => Effect.Effect<void, TlsFailed>
): Effect.Effect<Transport, TlsFailed> =>
  Effect.flatMap(Effect.service(CurrentOpening), (opening) => {
    opening?.handshakeStarted(side, transport.info)
    // on a socket of the system TLS is for good unless it is asked to be otherwise, whether it can be direct or not
    const socket = stoppable !== true && transport instanceof TcpTransport ? transport : undefined
    const ciphertext =
      socket !== undefined && canBeDirect(socket.socket)
        ? new DirectCiphertext(socket, leftover)
        : new Detour(transport, leftover, socket === undefined)
    ciphertext.stream.on("error", ignore)
    const outcome = outcomeOf(operation, ciphertext, options)
    transport.attach(ciphertext)
    const timeout = handshakeTimeout(options)
    const peer = () => Endpoint.peerOf(transport.info)
    return Effect.raceFirst(Effect.andThen(start(ciphertext, outcome.begin), Effect.never), outcome.told).pipe(
      // an identity that could not be found, or cannot be used
      Effect.catchDefect((defect) => Effect.fail(ownSideFailed(operation, defect))),
      Deadline.timeoutOrElse({
        duration: timeout,
        progress: Deadline.growing(() => ciphertext.heard),
        next: transport.atEndOfTurn?.bind(transport),
        orElse: () =>
          Effect.fail(
            new TlsFailed({
              operation,
              kind: "Timeout",
              cause: new StreamTimeout({ operation, kind: "Handshake", duration: timeout, peer: peer() })
            })
          )
      }),
      Effect.mapError((error) => withPeer(error, peer())),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) return opening?.handshakeSucceeded(side, exit.value.info)
          opening?.handshakeFailed(side, transport.info, Option.getOrUndefined(Exit.findErrorOption(exit)))
          ciphertext.forget()
          transport.abort()
          ciphertext.abandon()
        })
      )
    )
  })

/**
 * How a handshake ends. It is listened to from the call on in which there is something to hear: the engine reads by itself,
 * and the fiber that waits may come to its next step late.
 */
const outcomeOf = (operation: string, ciphertext: Ciphertext, options: Tls.CommonOptions) => {
  const outcome = Deferred.makeUnsafe<Transport, TlsFailed>()
  /** Leaves the engine alone, once there is one. */
  let giveUp = ignore
  const fail = (error: TlsFailed) => {
    giveUp()
    Deferred.doneUnsafe(outcome, Exit.fail(error))
  }
  // nobody reads of it yet
  ciphertext.listener = { onLeft: (failure) => fail(peerLeft(operation, failure)) }

  const begin = ({ isRefusal, ready, socket, verify }: Engine): void => {
    const forget = () => {
      socket.off(ready, onReady)
      socket.off("error", onError)
      socket.off("close", onClose)
    }
    giveUp = () => {
      forget()
      socket.on("error", ignore)
    }
    const onReady = () => {
      const wrong = verify()
      if (wrong !== undefined) return fail(certificateFailed(operation, wrong))
      forget()
      const transport = ciphertext.secured(socket, options)
      // Not from inside the engine, which still has to send the tickets that belong to the handshake: microtasks and ticks
      // are run there.
      setImmediate(() => Deferred.doneUnsafe(outcome, Exit.succeed(transport)))
    }
    const onError = (error: unknown) => {
      const failure = toFailure(error)
      if (isRefusal()) fail(certificateFailed(operation, error))
      else if (error instanceof NoIdentity) fail(ownSideFailed(operation, error))
      // of the connection, and not of TLS
      else if (failure.kind !== "Unknown") fail(peerLeft(operation, failure))
      else fail(engineFailed(operation, error))
    }
    const onClose = () => fail(peerLeft(operation, ciphertext.failure))
    if (Deferred.isDoneUnsafe(outcome)) return giveUp()
    socket.on(ready, onReady)
    socket.on("error", onError)
    socket.on("close", onClose)
    // a peer that has left will not finish the handshake, whatever the engine makes of its last bytes
    ciphertext.listener = { onTransportEnd: onClose, onTransportClose: onClose }
    ciphertext.flow()
  }

  return { begin, told: Effect.onInterrupt(Deferred.await(outcome), () => Effect.sync(() => giveUp())) }
}

const ignore = (): void => {}
