/**
 * Certificates for tests, made anew in each test file that asks for them. They are good from yesterday until tomorrow,
 * whenever that is, so none of them expires on a date.
 */
import "reflect-metadata"
import {
  BasicConstraintsExtension,
  Extension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator
} from "@peculiar/x509"
import { Redacted } from "effect"
import type { Tls } from "effect-byte-streams"
import { createPrivateKey, randomBytes, webcrypto } from "node:crypto"

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const
const day = 86_400_000
const daysFromNow = (days: number): Date => new Date(Date.now() + days * day)

/** A certificate and its key, as text, and as the library takes the two. */
export interface Certificate {
  readonly cert: string
  readonly key: string
  readonly identity: Tls.Identity
}

export interface Authority extends Certificate {
  readonly issue: (request: Request) => Promise<Certificate>
  /** An authority below this one. What it issues comes with its own certificate. */
  readonly issueAuthority: (request: Request) => Promise<Authority>
}

interface Request {
  readonly name: string
  /** Names and addresses that a server answers to. */
  readonly names?: ReadonlyArray<string>
  readonly usage?: "server" | "client"
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly extensions?: ReadonlyArray<Extension>
}

interface Issuer {
  readonly certificate: X509Certificate
  readonly key: CryptoKey
  /** What has to be shown with all that it issues. */
  readonly chain: string
}

type CryptoKey = webcrypto.CryptoKey

const make = async (
  request: Request,
  issuer: Issuer | undefined,
  authority: boolean
): Promise<Certificate & { readonly issuer: Issuer }> => {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair
  const subject = `CN=${request.name}`
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: `01${randomBytes(15).toString("hex")}`,
      subject,
      issuer: issuer?.certificate.subject ?? subject,
      notBefore: request.notBefore ?? daysFromNow(-1),
      notAfter: request.notAfter ?? daysFromNow(1),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: issuer?.key ?? keys.privateKey,
      extensions: [
        new BasicConstraintsExtension(authority, undefined, true),
        new KeyUsagesExtension(
          authority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature,
          true
        ),
        ...(request.extensions ?? []),
        ...(request.usage === undefined
          ? []
          : [
              new ExtendedKeyUsageExtension([
                request.usage === "server" ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth
              ])
            ]),
        ...(request.names === undefined
          ? []
          : [
              new SubjectAlternativeNameExtension(
                request.names.map((value) => ({ type: /^[\d.]+$|:/.test(value) ? "ip" : "dns", value }))
              )
            ])
      ]
    },
    webcrypto as never
  )
  const exported = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey))
  const key = createPrivateKey({ key: exported, format: "der", type: "pkcs8" })
    .export({ format: "pem", type: "pkcs8" })
    .toString()
  const cert = certificate.toString("pem") + "\n" + (issuer?.chain ?? "")
  return {
    cert,
    key,
    identity: { cert, key: Redacted.make(key) },
    // whoever trusts what is trusted for itself has it already
    issuer: { certificate, key: keys.privateKey, chain: issuer === undefined ? "" : cert }
  }
}

/** An authority of its own, trusted by whoever is told to trust its `cert`, or one below another. */
const makeAuthority = async (request: Request, by?: Issuer): Promise<Authority> => {
  const { issuer, ...own } = await make(request, by, true)
  return {
    ...own,
    issue: (request) => make(request, issuer, false),
    issueAuthority: (request) => makeAuthority(request, issuer)
  }
}

/** A certificate that nobody but itself vouches for. */
export const selfSigned = (request: Request): Promise<Certificate> => make(request, undefined, false)

const refusalOf = (key: string, passphrase: string): unknown => {
  try {
    createPrivateKey({ key, passphrase })
    return undefined
  } catch (error) {
    return (error as { readonly code?: unknown }).code
  }
}

/** What no key is opened with by mistake: `encrypted` sees to it that OpenSSL always says the same of it. */
export const wrongPassphrase = "guessed"

/**
 * The same certificate, with its key encrypted.
 *
 * One in some 256 wrong passphrases turns the last bytes of a key into a padding that is right. OpenSSL finds the
 * passphrase good then, and a key that it does not support. Such an encryption is thrown away.
 */
export const encrypted = (certificate: Certificate, passphrase: string): Certificate => {
  const privateKey = createPrivateKey(certificate.key)
  const attempt = () =>
    privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase }).toString()
  const padded = (key: string) =>
    [wrongPassphrase, ""].some((wrong) => refusalOf(key, wrong) !== "ERR_OSSL_BAD_DECRYPT")
  let key = attempt()
  for (let left = 20; padded(key); left--) {
    if (left === 0) throw new Error("OpenSSL does not say ERR_OSSL_BAD_DECRYPT of a wrong passphrase")
    key = attempt()
  }
  return {
    cert: certificate.cert,
    key,
    identity: { cert: certificate.cert, key: Redacted.make(key), passphrase: Redacted.make(passphrase) }
  }
}

/** Whom the tests trust. */
export const authority = await makeAuthority({ name: "Test Authority" })
/** An authority that nobody was told to trust. */
export const stranger = await makeAuthority({ name: "Strange Authority" })

const local = ["localhost", "127.0.0.1"]
const [server, client, otherClient, wrongName, expired, notYetValid, unknown, strangeClient, lonely, alpha, beta] =
  await Promise.all([
    authority.issue({ name: "localhost", names: local, usage: "server" }),
    authority.issue({ name: "client", usage: "client" }),
    authority.issue({ name: "other client", usage: "client" }),
    authority.issue({ name: "elsewhere.test", names: ["elsewhere.test"], usage: "server" }),
    authority.issue({
      name: "expired",
      names: local,
      usage: "server",
      notBefore: daysFromNow(-3),
      notAfter: daysFromNow(-2)
    }),
    authority.issue({
      name: "not yet valid",
      names: local,
      usage: "server",
      notBefore: daysFromNow(2),
      notAfter: daysFromNow(3)
    }),
    stranger.issue({ name: "localhost", names: local, usage: "server" }),
    stranger.issue({ name: "strange client", usage: "client" }),
    selfSigned({ name: "localhost", names: local, usage: "server" }),
    authority.issue({ name: "alpha.test", names: ["alpha.test"], usage: "server" }),
    authority.issue({ name: "beta.test", names: ["beta.test"], usage: "server" })
  ])

export const certificates = {
  /** A server's, for `localhost` and 127.0.0.1. */
  server,
  client,
  otherClient,
  /** A server's, for another name. */
  wrongName,
  expired,
  notYetValid,
  /** A server's, of the strange authority. */
  unknown,
  /** A client's, of the strange authority. */
  strangeClient,
  /** A server's, signed by itself. */
  selfSigned: lonely,
  /** Servers' of two names, for one address. */
  alpha,
  beta
}

// ---------------------------------------------------------------------------
// certificates that are refused for rare reasons
// ---------------------------------------------------------------------------

/** DER, as far as it goes here: a tag, and less than 128 bytes. */
const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, content.length]), content])
}

/** For an authority: its certificates may only be for names below one, or for all but those (RFC 5280, 4.2.1.10). */
const nameConstraints = (kind: "permitted" | "excluded", name: string): Extension =>
  new Extension(
    "2.5.29.30",
    true,
    der(0x30, der(kind === "permitted" ? 0xa0 : 0xa1, der(0x30, der(0x82, Buffer.from(name)))))
  )

/** A critical extension that nobody knows. */
const unknownExtension = new Extension("1.3.6.1.4.1.99999.1", true, der(0x05))

/**
 * Identities that OpenSSL refuses for reasons that Node has no code for, by the reason. A client's are issued as
 * `usage` says; all are for `localhost`.
 */
export const oddities = async (usage: "server" | "client"): Promise<Readonly<Record<string, Certificate>>> => {
  const request: Request = { name: "localhost", names: local, usage }
  const below = async (authorityRequest: Request): Promise<Certificate> =>
    (await authority.issueAuthority(authorityRequest)).issue(request)
  const [permitted, excluded, critical] = await Promise.all([
    below({ name: "Elsewhere Authority", extensions: [nameConstraints("permitted", "elsewhere.test")] }),
    below({ name: "Not Here Authority", extensions: [nameConstraints("excluded", "localhost")] }),
    authority.issue({ ...request, extensions: [unknownExtension] })
  ])
  return {
    "permitted subtree violation": permitted,
    "excluded subtree violation": excluded,
    "unhandled critical extension": critical
  }
}
