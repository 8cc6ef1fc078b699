/** The certificate of servers that speak TLS: made anew for each run, and good for a day. */
import "reflect-metadata"
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509"
import { KeyObject, webcrypto } from "node:crypto"

/** Vouches for itself; in PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

const day = 86_400_000

export const makeCertificate = async (): Promise<Certificate> => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: "CN=localhost",
      notBefore: new Date(Date.now() - day),
      notAfter: new Date(Date.now() + day),
      signingAlgorithm: algorithm,
      keys,
      extensions: [new SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }])]
    },
    webcrypto as never
  )
  return {
    cert: certificate.toString("pem"),
    key: KeyObject.from(keys.privateKey).export({ format: "pem", type: "pkcs8" }).toString()
  }
}
