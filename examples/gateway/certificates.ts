/**
 * An authority, and a certificate for each gateway, as files. In a real deployment somebody else makes them.
 */
import "reflect-metadata"
import * as X509 from "@peculiar/x509"
import { createPrivateKey, webcrypto } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const
const oneDay = 86_400_000

const newKeys = async () =>
  (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair

const pem = async (key: webcrypto.CryptoKey) =>
  createPrivateKey({
    key: Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)),
    format: "der",
    type: "pkcs8"
  }).export({ format: "pem", type: "pkcs8" })

const validity = () => ({ notBefore: new Date(Date.now() - oneDay), notAfter: new Date(Date.now() + oneDay) })

/** Writes `authority.pem`, and for each host `<host>.pem` and `<host>.key`. */
export const writeCertificates = async (folder: string, hosts: ReadonlyArray<string>): Promise<void> => {
  const authorityKeys = await newKeys()
  const authority = await X509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: "01",
      name: "CN=Gateways",
      ...validity(),
      signingAlgorithm: algorithm,
      keys: authorityKeys,
      extensions: [new X509.BasicConstraintsExtension(true, undefined, true)]
    },
    webcrypto as never
  )
  writeFileSync(join(folder, "authority.pem"), authority.toString("pem"))
  for (const [index, host] of hosts.entries()) {
    const keys = await newKeys()
    const certificate = await X509.X509CertificateGenerator.create(
      {
        serialNumber: `1${index}`,
        subject: `CN=${host}`,
        issuer: authority.subject,
        ...validity(),
        signingAlgorithm: algorithm,
        publicKey: keys.publicKey,
        signingKey: authorityKeys.privateKey,
        extensions: [
          // a gateway is the server of its members, and both server and client among its like
          new X509.ExtendedKeyUsageExtension([X509.ExtendedKeyUsage.serverAuth, X509.ExtendedKeyUsage.clientAuth]),
          new X509.SubjectAlternativeNameExtension([{ type: "ip", value: host }])
        ]
      },
      webcrypto as never
    )
    writeFileSync(join(folder, `${host}.pem`), certificate.toString("pem"))
    writeFileSync(join(folder, `${host}.key`), await pem(keys.privateKey), { mode: 0o600 })
  }
}
