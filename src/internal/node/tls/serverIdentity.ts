/**
 * Whether a certificate is for an IPv6 address. Since a change that went into several lines of Node, `tls` says of none
 * that it is (https://github.com/nodejs/node/issues/64144). There the certificate itself is asked.
 */
import { X509Certificate } from "node:crypto"
import * as Net from "node:net"
import * as NodeTls from "node:tls"

type Check = NonNullable<NodeTls.ConnectionOptions["checkServerIdentity"]>

/** What of a certificate is looked at. Its type wants all that a certificate has. */
const certificateOf = (names: string) => ({ subject: {}, subjectaltname: names }) as NodeTls.PeerCertificate

let misses: boolean | undefined

const missesAddresses = (): boolean =>
  (misses ??= NodeTls.checkServerIdentity("::1", certificateOf("IP Address:0:0:0:0:0:0:0:1")) !== undefined)

const check: Check = (address, certificate) => {
  const error = NodeTls.checkServerIdentity(address, certificate)
  return error !== undefined && new X509Certificate(certificate.raw).checkIP(address) !== undefined ? undefined : error
}

/** What a client of Node's is told to check a certificate with, if not with what it has. */
export const identityCheck = (name: string): { readonly checkServerIdentity: Check } | undefined =>
  Net.isIPv6(name) && missesAddresses() ? { checkServerIdentity: check } : undefined
