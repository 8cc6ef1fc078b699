/** What handshakes are made with: identities, authorities and versions, as OpenSSL takes them. */
import * as Redacted from "effect/Redacted"
import { createHash, createPrivateKey, X509Certificate } from "node:crypto"
import * as NodeTls from "node:tls"
import type * as Tls from "../../../Tls.ts"
import { maxAuthorities } from "../../base/defaults.ts"

/** This side cannot speak TLS: something that it was given does not work, with any peer. */
export class Unusable extends Error {
  /** OpenSSL's word for it. */
  readonly code: string | undefined

  constructor(message: string, code: string | undefined, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** What of the options a context is made of, beside the identity. */
interface Profile {
  /** Equal for those that are equal, whichever object they were said in. */
  readonly key: string
  /** The authorities that are trusted instead of those that Node ships, and their digest. */
  readonly trusted: { readonly authorities: Array<string>; readonly digest: string } | undefined
  readonly versions: Pick<NodeTls.SecureContextOptions, "minVersion" | "maxVersion">
}

const profileOf = (options: Tls.CommonOptions, asked: string): Profile => {
  const { ca, maxVersion = "TLSv1.3", minVersion = "TLSv1.2" } = options
  if (minVersion > maxVersion) {
    throw new Unusable(`minVersion ${minVersion} is above maxVersion ${maxVersion}`, "ERR_SSL_NO_PROTOCOLS_AVAILABLE")
  }
  const trusted = ca === undefined ? undefined : trust(Array.isArray(ca) ? ca : [ca])
  return {
    key: [asked, minVersion, maxVersion, trusted?.digest].join(),
    trusted,
    versions: { minVersion, maxVersion }
  }
}

const trust = (ca: ReadonlyArray<string | Uint8Array>): Profile["trusted"] => {
  const hash = createHash("sha256")
  const authorities = ca.map(text)
  for (const one of authorities) hash.update(`${one.length}:`).update(one)
  return { authorities, digest: hash.digest("base64") }
}

const text = (pem: string | Uint8Array): string => (typeof pem === "string" ? pem : Buffer.from(pem).toString())

// ---------------------------------------------------------------------------
// contexts
// ---------------------------------------------------------------------------

/** For one connection as a client. Throws `Unusable`. */
export const clientContext = (options: Tls.ClientOptions): NodeTls.SecureContext =>
  make(profileOf(options, ""), options.identity)

/**
 * Preparing an identity is expensive, and a session is only resumed with the context that it was made with. So one that
 * is used again is prepared once for all servers that ask the same of their clients and trust the same authorities.
 */
const prepared = new WeakMap<Tls.Identity, Recent<NodeTls.SecureContext>>()

/** For handshakes as a server. Throws `Unusable`, as its methods do. */
export class ServerContexts {
  private readonly profile: Profile

  constructor(options: Tls.ServerOptions) {
    // a session says what the client has shown, and is good where the same is asked for
    this.profile = profileOf(options, options.clientCertificate ?? "none")
    checkAuthorities(this.profile)
  }

  of(identity: Tls.Identity): NodeTls.SecureContext {
    let contexts = prepared.get(identity)
    // a few: a program may keep an identity, and change the authorities that it trusts again and again
    if (contexts === undefined) prepared.set(identity, (contexts = new Recent(16)))
    // tickets are bound to it; without one, sessions of clients with certificates cannot be resumed
    return contexts.get(this.profile.key, () =>
      make(this.profile, identity, { sessionIdContext: "effect-byte-streams" })
    )
  }
}

/** Keeps what was asked for last. */
class Recent<A> {
  private readonly most: number
  private readonly entries = new Map<string, A>()

  constructor(most: number) {
    this.most = most
  }

  get(key: string, make: () => A): A {
    const known = this.entries.get(key)
    const value = known === undefined ? make() : known
    // a map has its entries in the order in which they were set
    this.entries.delete(key)
    this.entries.set(key, value)
    if (this.entries.size > this.most) this.entries.delete(this.entries.keys().next().value!)
    return value
  }
}

const make = (
  profile: Profile,
  identity: Tls.Identity | undefined,
  more?: Pick<NodeTls.SecureContextOptions, "sessionIdContext">
): NodeTls.SecureContext => {
  checkAuthorities(profile)
  const { trusted, versions } = profile
  const material = identity === undefined ? undefined : materialOf(identity)
  try {
    return NodeTls.createSecureContext({
      ...material,
      ...(trusted === undefined ? undefined : { ca: trusted.authorities }),
      ...versions,
      ...more
    })
  } catch (error) {
    throw material === undefined ? error : unusableIdentity(material, error)
  }
}

// ---------------------------------------------------------------------------
// what cannot work
// ---------------------------------------------------------------------------

interface Material {
  readonly cert: string
  readonly key: string
  readonly passphrase?: string
}

const materialOf = ({ cert, key, passphrase }: Tls.Identity): Material => {
  const material = {
    cert: text(cert ?? ""),
    key: key === undefined ? "" : text(Redacted.value(key)),
    ...(passphrase === undefined ? undefined : { passphrase: Redacted.value(passphrase) })
  }
  // what is empty is passed over, and every handshake fails
  if (material.cert === "" || material.key === "") throw unusableIdentity(material, undefined)
  return material
}

/** Says which part of it does not work. `error` is what OpenSSL said of the whole. */
const unusableIdentity = (material: Material, error: unknown): Unusable => {
  const { cert, key, passphrase } = material
  const ofCertificate = failureOf(() => new X509Certificate(cert))
  if (ofCertificate !== undefined) return unusable("identity.cert cannot be read", error, ofCertificate)
  const ofKey = failureOf(() => createPrivateKey({ key, ...(passphrase === undefined ? undefined : { passphrase }) }))
  if (ofKey !== undefined) {
    if (!key.includes("ENCRYPTED")) return unusable("identity.key cannot be read", error, ofKey)
    return unusable(
      passphrase === undefined
        ? "identity.key is encrypted, and there is no identity.passphrase"
        : "identity.key cannot be opened with identity.passphrase",
      error,
      ofKey
    )
  }
  return codeOf(error)?.endsWith("_MISMATCH") === true
    ? unusable("identity.key is not that of identity.cert", error)
    : unusable("identity cannot be used", error)
}

const unusable = (what: string, ...errors: ReadonlyArray<unknown>): Unusable => {
  const error = errors.find((one) => one !== undefined)
  const reason = (error as { readonly reason?: unknown }).reason
  return new Unusable(`${what}: ${typeof reason === "string" ? reason : String(error)}`, codeOf(error), error)
}

const codeOf = (error: unknown): string | undefined => {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

const failureOf = (run: () => unknown): unknown => {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}

/** Authorities that were read once, by their digest. */
const readable = new Recent<true>(maxAuthorities)

/** OpenSSL passes over what is no certificate, and over all that follows. */
const checkAuthorities = ({ trusted }: Profile): void => {
  if (trusted === undefined) return
  readable.get(trusted.digest, () => {
    const certificates = trusted.authorities.flatMap((one) =>
      one.split(inFrontOfOne).filter((part) => begins.test(part))
    )
    for (const certificate of certificates.length === 0 ? [""] : certificates) {
      const error = failureOf(() => new X509Certificate(certificate))
      if (error === undefined) continue
      throw unusable(
        certificate === "" ? "ca holds no certificate" : "ca holds a certificate that cannot be read",
        error
      )
    }
    return true
  })
}

const begins = /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/
const inFrontOfOne = new RegExp(`(?=${begins.source.slice(1)})`)
