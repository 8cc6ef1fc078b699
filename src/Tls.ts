/**
 * What a program says about TLS: who it is, whom it trusts, what it offers.
 *
 * Plain data, and no engine: `NodeNetwork` has that. Certificates are verified
 * unless one clearly named option says otherwise, and keys and passphrases are
 * `Redacted`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * A certificate chain and its private key, in PEM.
 *
 * **Details**
 *
 * Preparing one for OpenSSL is expensive, and a session is resumed only with an
 * identity that was prepared once. So keep the object: it is prepared once for
 * all servers and upgrades that use the same `ca`, versions and
 * `clientCertificate`, in whichever options object they say so. It is prepared
 * for the last 16 of such combinations, and let go of with the object.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  /** The certificate, followed by the intermediate ones. */
  readonly cert: string | Uint8Array
  /** The private key of the certificate. */
  readonly key: Redacted.Redacted<string | Uint8Array>
  /** Of the key, if it is encrypted. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
}

/**
 * A version of TLS. Older ones than 1.2 are not spoken (RFC 8996).
 *
 * @category models
 * @since 0.1.0
 */
export type Version = "TLSv1.2" | "TLSv1.3"

/**
 * What both sides can say.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommonOptions {
  /**
   * Whose signature on the peer's certificate counts, in PEM, instead of the
   * authorities that Node ships, which are the default. One that holds no
   * certificate, or one that cannot be read, fails as an `identity` does that
   * cannot work.
   */
  readonly ca?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined
  /**
   * The protocols offered, the preferred one first (ALPN, RFC 7301). What was
   * agreed on is in `info.tls.alpn`. A handshake between two that offer some, and
   * none in common, fails. Each has 1 to 255 bytes.
   */
  readonly alpnProtocols?: ReadonlyArray<string> | undefined
  /** The lowest version that is spoken. Default TLS 1.2. One above `maxVersion` fails as an `identity` that cannot work. */
  readonly minVersion?: Version | undefined
  /** The highest version that is spoken. Default TLS 1.3. */
  readonly maxVersion?: Version | undefined
  /**
   * The most that the handshake may take, from the first byte of it on; and the
   * most that `stopTls` waits for the peer to agree. What takes longer fails with
   * `TlsFailed`, kind `Timeout`. Default 60 seconds, as in CPython. Time in which
   * the event loop stands still does not count for a peer that does its part.
   */
  readonly handshakeTimeout?: Duration.Input | undefined
  /**
   * Take a connection that the peer ends without a `close_notify` for one that
   * ended well. An attacker can end a connection; a protocol that knows its own
   * lengths does not mind, and not every peer says goodbye (RFC 8446, 6.1).
   * Default `false`: what arrived is read first, and then reads fail with
   * `TlsFailed`, kind `Truncated`. A connection that is reset is lost either way.
   */
  readonly allowTruncation?: boolean | undefined
  /**
   * Whether `stopTls` may be called on the connection. Where it may, all that is
   * sent makes a detour, which costs about half the speed; where it may not,
   * `stopTls` fails with `TlsFailed`, kind `Unsupported`. Default: `true` for
   * `startTls`, `false` for connections that begin with TLS.
   */
  readonly stoppable?: boolean | undefined
}

/**
 * TLS as a client.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions extends CommonOptions {
  /**
   * The name, or the address, that the server's certificate must be for. A name
   * is also sent to the server (SNI); an address is not, as RFC 6066 has it.
   * Default: the host that was connected to, also for `startTls`, and
   * `localhost` where there is none, as over a Unix socket, which is not sent.
   *
   * It may be written in any script, in capitals, and with a dot at its end;
   * an address may have brackets and a zone. One spelling is verified and sent:
   * `xn--mnchen-3ya.example` for `"München.example."`. What is neither a name nor
   * an address, such as `""`, is a wrong argument. A host that is neither fails
   * with `TlsFailed`, if it is found at all.
   */
  readonly serverName?: string | undefined
  /**
   * For servers that ask who the client is. One that cannot work, such as a key
   * that is not that of the certificate, fails with `TlsFailed`, kind `Handshake`,
   * and nobody is connected to.
   */
  readonly identity?: Identity | undefined
  /**
   * Accept any certificate, from anyone: whoever sits in between can read and
   * change everything. For tests only. Default `false`. What would have been
   * wrong is in `info.tls.authorizationError`.
   */
  readonly dangerouslyAcceptAnyCertificate?: boolean | undefined
  /** A session to resume, as `onSession` gave it. */
  readonly session?: Uint8Array | undefined
  /**
   * Called with each session that the server allows to be resumed, and whose
   * certificate was verified. With TLS 1.3 they come with what is read, and are
   * for one use each. A session is good for the `serverName` it was made with.
   */
  readonly onSession?: ((session: Uint8Array) => void) | undefined
}

/**
 * TLS as a server.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerOptions extends CommonOptions {
  /**
   * Who this server is; or an effect that says so for each handshake.
   *
   * An identity that cannot work (a key that is not that of the certificate, a
   * wrong passphrase, no key, no certificate) fails `startServer` with
   * `ListenFailed`, kind `Tls`, and nothing is bound. It fails `startTls` with
   * `TlsFailed`, kind `Handshake`.
   *
   * The effect is asked without a name, before the client has said anything, and
   * once more with the name that the client asks for, if it names one (SNI). The
   * name is a host's, in A-labels, in lower case, and without a dot at its end,
   * whatever was sent; a client that asks for anything else is served as one that
   * asks for nothing. The effect runs in the context that the server was started
   * in, within `handshakeTimeout`; it is interrupted if the client leaves, and
   * fails that handshake if it dies, or returns what cannot work. Replacing a
   * certificate while the server runs is returning another one. An identity that
   * is returned again, the same object, is prepared once.
   */
  readonly identity: Identity | ((serverName: string | undefined) => Effect.Effect<Identity>)
  /**
   * Whether clients must show a certificate. `"require"`: one that `ca` vouches
   * for. `"request"`: what they show is in `info.tls`, verified or not. Default
   * `"none"`.
   */
  readonly clientCertificate?: "none" | "request" | "require" | undefined
}

/**
 * What `startTls` is told beside the options of its side.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpgradeOptions {
  /**
   * What becomes of bytes that were read ahead, before the upgrade. `"fail"`
   * (default): there must be none; plaintext that was sent along with the
   * request to upgrade is an injection, fails with `TlsFailed`, kind
   * `InjectedPlaintext`, and resets the connection before a word of TLS is said.
   * `"feedTls"`: they are the beginning of the handshake, as behind a PROXY
   * protocol line; what is none fails it. They never become decrypted data.
   */
  readonly leftover?: "fail" | "feedTls" | undefined
}

/**
 * One side of an upgrade.
 *
 * @category models
 * @since 0.1.0
 */
export type StartTlsOptions =
  | (UpgradeOptions & { readonly side: "client" } & ClientOptions)
  | (UpgradeOptions & { readonly side: "server" } & ServerOptions)

/**
 * A certificate, as far as programs look at it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  /** As a distinguished name, such as `CN=localhost`. */
  readonly subject: string
  readonly issuer: string
  /** Such as `DNS:localhost, IP Address:127.0.0.1`. */
  readonly subjectAltName: string | undefined
  readonly validFrom: string
  readonly validTo: string
  /** SHA-256, in hexadecimal, separated by colons. */
  readonly fingerprint256: string
  /** DER. */
  readonly raw: Uint8Array
}

/**
 * What was agreed on: captured when the handshake was done, and valid after the
 * connection is gone.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsInfo {
  /** Such as `TLSv1.3`. */
  readonly protocol: string
  /** The name of the cipher suite. */
  readonly cipher: string
  /** The protocol agreed on by ALPN. */
  readonly alpn: string | undefined
  /** The name that the client asked for, in A-labels, in lower case, and without a dot at its end. */
  readonly serverName: string | undefined
  /** Whether the peer showed a certificate, and it was verified. */
  readonly authorized: boolean
  /**
   * Why not, as OpenSSL's code, such as `CERT_HAS_EXPIRED`; in OpenSSL's words, such as `permitted subtree violation`,
   * where Node has no code for it; nothing where no certificate was asked for.
   */
  readonly authorizationError: string | undefined
  readonly peerCertificate: Certificate | undefined
  /** Whether an earlier session was resumed. */
  readonly resumed: boolean
}
