/**
 * The options of TLS, and the facts of a handshake. Plain data: the engine is that of `NodeNetwork`.
 *
 * Certificates are verified, and one clearly named option turns that off. Keys and passphrases are `Redacted`: nothing
 * prints them.
 *
 * **When to use**
 *
 * - The option `tls` of `openConnection` and `startServer`: for connections that begin with TLS.
 * - `connection.startTls`: for protocols that begin in plain text.
 *
 * @stability unstable
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
 * Keep the object, and give the same one again. Preparing an identity for OpenSSL is expensive, and sessions are
 * resumed only with the same preparation. Servers and upgrades share the preparation if their `ca`, versions and
 * `clientCertificate` are the same. The last 16 such combinations are kept, as long as the object lives.
 *
 * @see {@link ServerOptions}, {@link ClientOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  /** The certificate, followed by the intermediate ones, in PEM. */
  readonly cert: string | Uint8Array
  /** The private key of the certificate, in PEM. */
  readonly key: Redacted.Redacted<string | Uint8Array>
  /** The passphrase of the key, if the key is encrypted. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
}

/**
 * A version of TLS. Versions before 1.2 are not supported (RFC 8996).
 *
 * @see {@link CommonOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type Version = "TLSv1.2" | "TLSv1.3"

/**
 * The options of both sides.
 *
 * @see {@link ClientOptions}, {@link ServerOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface CommonOptions {
  /**
   * The authorities that may have signed the peer's certificate, in PEM. They replace those that Node ships, which are
   * the default. A value without a certificate, or with one that cannot be read, fails as an unusable `identity` does.
   */
  readonly ca?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined
  /**
   * The protocols that this side offers, the preferred one first (ALPN, RFC 7301). Each has 1 to 255 bytes. The agreed
   * one is in `info.tls.alpn`. A handshake of two sides that offer protocols, and have none in common, fails.
   */
  readonly alpnProtocols?: ReadonlyArray<string> | undefined
  /**
   * The lowest version that this side accepts. Default TLS 1.2. A value above `maxVersion` fails as an unusable
   * `identity` does.
   */
  readonly minVersion?: Version | undefined
  /** The highest version that this side accepts. Default TLS 1.3. */
  readonly maxVersion?: Version | undefined
  /**
   * The longest time that the handshake may take, and that `stopTls` waits for the peer. A longer one fails with
   * `TlsFailed`, kind `Timeout`. Time in which the event loop stands still does not count for a peer that does its
   * part. Default 60 seconds, as in CPython.
   */
  readonly handshakeTimeout?: Duration.Input | undefined
  /**
   * Whether a connection that the peer ends without a `close_notify` has ended well. Default `false`: reads fail with
   * `TlsFailed`, kind `Truncated`, behind the bytes that arrived.
   *
   * An attacker can end a connection in this way (RFC 8446, 6.1). `true` is for peers that send no `close_notify`, and
   * for protocols that know their own lengths. A reset is a loss either way.
   */
  readonly allowTruncation?: boolean | undefined
  /**
   * Whether `stopTls` may be called on the connection. `true` sends all output by a detour, at about half the speed.
   * With `false`, `stopTls` fails with `TlsFailed`, kind `Unsupported`. Default: `true` for `startTls`, `false` for
   * connections that begin with TLS.
   */
  readonly stoppable?: boolean | undefined
}

/**
 * The options of TLS as a client.
 *
 * @see {@link ServerOptions} for the other side.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions extends CommonOptions {
  /**
   * The name or the IP address that the server's certificate must be for. A name is also sent to the server (SNI); an
   * address is not (RFC 6066). Default: the host that was connected to, also for `startTls`. Over a Unix socket the
   * default is `localhost`, which is not sent.
   *
   * A name may be written in any script, in capitals, and with a dot at its end. An address may have brackets and a
   * zone. One spelling is verified and sent: `xn--mnchen-3ya.example` for `"München.example."`. A value that is neither
   * a name nor an address, such as `""`, dies. A host that is neither fails with `TlsFailed`, if it is found at all.
   */
  readonly serverName?: string | undefined
  /**
   * The identity of this client, for servers that ask for a certificate. An identity that cannot work, such as one with
   * the key of another certificate, fails with `TlsFailed`, kind `Handshake`, before anything is connected to. Default:
   * none.
   */
  readonly identity?: Identity | undefined
  /**
   * Whether any certificate of anyone is accepted. Somebody in between can then read and change everything: for tests
   * only. The fault that was passed over is in `info.tls.authorizationError`. Default `false`.
   */
  readonly dangerouslyAcceptAnyCertificate?: boolean | undefined
  /** The session to resume, as `onSession` gave it. Default: none. */
  readonly session?: Uint8Array | undefined
  /**
   * Called with each session that the server allows to resume, if the server's certificate was verified. A session is
   * good for the `serverName` that it was made with. With TLS 1.3 sessions come with the bytes that are read, and each
   * is for one use. Its own failure is logged, and changes nothing.
   */
  readonly onSession?: ((session: Uint8Array) => void) | undefined
}

/**
 * The options of TLS as a server.
 *
 * @see {@link ClientOptions} for the other side.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface ServerOptions extends CommonOptions {
  /**
   * The identity of this server, or a function that returns one for each handshake.
   *
   * **Details**
   *
   * - An identity that cannot work fails `startServer` with `ListenFailed`, kind `Tls`, and nothing is bound. It fails
   *   `startTls` with `TlsFailed`, kind `Handshake`. The key may be that of another certificate, the passphrase may be
   *   wrong, or a key or a certificate may be missing.
   * - The function is called without a name at the beginning of each handshake. A client that asks for a name (SNI)
   *   makes a second call, with that name. The name is in A-labels, in lower case, without a dot at its end. A client
   *   that asks for anything else than a host's name is served as one that asks for nothing.
   * - Its effect runs in the context in which the server was started, within `handshakeTimeout`. It is interrupted if
   *   the client leaves. A handshake fails if the effect dies, or returns an identity that cannot work.
   * - To replace a certificate while the server runs, return another identity. Return the same object as long as
   *   nothing changed: it is prepared once.
   */
  readonly identity: Identity | ((serverName: string | undefined) => Effect.Effect<Identity>)
  /**
   * Whether clients must show a certificate. `"require"` refuses clients without one that `ca` vouches for. `"request"`
   * serves every client: `info.tls` has its certificate, verified or not. Default `"none"`.
   */
  readonly clientCertificate?: "none" | "request" | "require" | undefined
}

/**
 * The options of an upgrade, beside those of its side.
 *
 * @see {@link StartTlsOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface UpgradeOptions {
  /**
   * The use of bytes that were read ahead, before the upgrade. They never become decrypted data. Default `"fail"`.
   *
   * - `"fail"`: there must be none. Plain bytes that came along with the request to upgrade are an injection. They fail
   *   the upgrade with `TlsFailed`, kind `InjectedPlaintext`, and reset the connection before TLS begins.
   * - `"feedTls"`: they are the beginning of the handshake, as behind a line of the PROXY protocol. Other bytes fail
   *   the handshake.
   */
  readonly leftover?: "fail" | "feedTls" | undefined
}

/**
 * The options of `startTls`: the side that this program takes, and the options of that side.
 *
 * @see {@link ClientOptions}, {@link ServerOptions}, {@link UpgradeOptions}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export type StartTlsOptions =
  | (UpgradeOptions & {
      /** The side that this program takes in the handshake. */
      readonly side: "client"
    } & ClientOptions)
  | (UpgradeOptions & {
      /** The side that this program takes in the handshake. */
      readonly side: "server"
    } & ServerOptions)

/**
 * The parts of a certificate that programs look at.
 *
 * @see {@link TlsInfo}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  /** The holder, as a distinguished name, such as `CN=localhost`. */
  readonly subject: string
  /** The authority that signed the certificate, as a distinguished name. */
  readonly issuer: string
  /** The names that the certificate is for, such as `DNS:localhost, IP Address:127.0.0.1`. */
  readonly subjectAltName: string | undefined
  /** The beginning of its validity, such as `Jan  1 00:00:00 2026 GMT`. */
  readonly validFrom: string
  /** The end of its validity, such as `Jan  1 00:00:00 2027 GMT`. */
  readonly validTo: string
  /** The SHA-256 of the certificate, in hexadecimal, separated by colons. */
  readonly fingerprint256: string
  /** The certificate in DER. */
  readonly raw: Uint8Array
}

/**
 * The facts of a handshake. They were captured when it was done, and are valid after the connection's end.
 *
 * @see `Transport.ConnectionInfo`
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface TlsInfo {
  /** The version that was agreed on, such as `TLSv1.3`. */
  readonly protocol: string
  /** The name of the cipher suite. */
  readonly cipher: string
  /** The protocol that was agreed on by ALPN, if any. */
  readonly alpn: string | undefined
  /** The name that the client asked for, in A-labels, in lower case, without a dot at its end. */
  readonly serverName: string | undefined
  /** Whether the peer showed a certificate that was verified. */
  readonly authorized: boolean
  /**
   * The reason why the peer's certificate was not verified, as OpenSSL's code, such as `CERT_HAS_EXPIRED`. The reason
   * is in OpenSSL's words, such as `permitted subtree violation`, where Node has no code. Absent where no certificate
   * was asked for.
   */
  readonly authorizationError: string | undefined
  /** The certificate that the peer showed, if any. */
  readonly peerCertificate: Certificate | undefined
  /** Whether an earlier session was resumed. */
  readonly resumed: boolean
}
