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
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  /** The certificate, followed by the intermediate ones. */
  readonly cert: string | Uint8Array
  readonly key: Redacted.Redacted<string | Uint8Array>
  /** Of the key, if it is encrypted. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
}

/**
 * The lowest version of TLS that is spoken. Default: TLS 1.2.
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
  /** Whose signature on the peer's certificate counts, in PEM. Default: the authorities that Node ships. */
  readonly ca?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined
  /** The protocols offered, the preferred one first (ALPN). */
  readonly alpnProtocols?: ReadonlyArray<string> | undefined
  readonly minVersion?: Version | undefined
  readonly maxVersion?: Version | undefined
  /** The most that the handshake may take. Default 60 seconds, as in CPython. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /**
   * Take a connection that is cut without a `close_notify` for one that ended
   * well. An attacker can cut a connection; a protocol that knows its own
   * lengths does not mind. Default `false`: reads fail with `TlsFailed`,
   * kind `Truncated`.
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
  /** The name that the server's certificate must be for, and that is sent to it (SNI). Default: the host. */
  readonly serverName?: string | undefined
  /** For servers that ask who the client is. */
  readonly identity?: Identity | undefined
  /** Accept any certificate, from anyone. For tests only. Default `false`. */
  readonly dangerouslyAcceptAnyCertificate?: boolean | undefined
  /** A session to resume, as `onSession` gave it. */
  readonly session?: Uint8Array | undefined
  /** Called with each session that the server allows to be resumed. */
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
   * Who this server is; or an effect that says so for each handshake, given the
   * name that the client asked for, if it named one. Replacing a certificate
   * while the server runs is returning another one. An identity that is returned
   * again is prepared once.
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
   * request to upgrade is an injection. `"feedTls"`: they are the beginning of
   * the handshake, as behind a PROXY protocol line. They never become decrypted
   * data.
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
 * What was agreed on.
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
  /** The name that the client asked for. */
  readonly serverName: string | undefined
  /** Whether the peer's certificate was verified. */
  readonly authorized: boolean
  /** Why not. */
  readonly authorizationError: string | undefined
  readonly peerCertificate: Certificate | undefined
  /** Whether an earlier session was resumed. */
  readonly resumed: boolean
}
