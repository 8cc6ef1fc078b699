/** What does not pass over the TLS engines of Bun and Deno. */
import type { Exception } from "./exceptions.ts"

export const exceptionsOfTls: ReadonlyArray<Exception> = [
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/detour.test.ts",
    tests: [
      "an engine of another make > that ends its output at the peer's end does not end the connection's, and what is written fails"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/semantics.test.ts",
    tests: [
      "for good > section 6: the end of the stream > row 6.5: after the peer's end this side may still write, over TLSv1.2",
      "for good > section 6: the end of the stream > row 6.5: after the peer's end this side may still write, over TLSv1.3",
      "for good > section 9: the end of the output > row 9.2: writeEof ends the output by a close_notify, and only the output, over TLSv1.2",
      "for good > section 9: the end of the output > row 9.2: writeEof ends the output by a close_notify, and only the output, over TLSv1.3",
      "with a way back > section 6: the end of the stream > row 6.5: after the peer's end this side may still write, over TLSv1.2",
      "with a way back > section 6: the end of the stream > row 6.5: after the peer's end this side may still write, over TLSv1.3",
      "with a way back > section 9: the end of the output > row 9.2: writeEof ends the output by a close_notify, and only the output, over TLSv1.2",
      "with a way back > section 9: the end of the output > row 9.2: writeEof ends the output by a close_notify, and only the output, over TLSv1.3"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/end.test.ts",
    tests: [
      "for good > a connection that is cut without close_notify > by a reset, after this side ended its output, is lost all the same, for a client",
      "for good > a connection that is cut without close_notify > by a reset, after this side ended its output, is lost all the same, for a server",
      "for good > half-close > rank 16: after writeEof the reply is read to its end, over TLSv1.2",
      "for good > half-close > rank 16: after writeEof the reply is read to its end, over TLSv1.3",
      "for good > half-close > the peer's end does not end our output, for a client over TLSv1.2",
      "for good > half-close > the peer's end does not end our output, for a client over TLSv1.3",
      "for good > half-close > the peer's end does not end our output, for a server over TLSv1.2",
      "for good > half-close > the peer's end does not end our output, for a server over TLSv1.3",
      "for good > half-close > writeEof behind a lot of output sends all of it first, for a client",
      "for good > half-close > writeEof behind a lot of output sends all of it first, for a server",
      "with a way back > a connection that is cut without close_notify > by a reset, after this side ended its output, is lost all the same, for a client",
      "with a way back > a connection that is cut without close_notify > by a reset, after this side ended its output, is lost all the same, for a server",
      "with a way back > half-close > rank 16: after writeEof the reply is read to its end, over TLSv1.2",
      "with a way back > half-close > rank 16: after writeEof the reply is read to its end, over TLSv1.3",
      "with a way back > half-close > the peer's end does not end our output, for a client over TLSv1.2",
      "with a way back > half-close > the peer's end does not end our output, for a client over TLSv1.3",
      "with a way back > half-close > the peer's end does not end our output, for a server over TLSv1.2",
      "with a way back > half-close > the peer's end does not end our output, for a server over TLSv1.3",
      "with a way back > half-close > writeEof behind a lot of output sends all of it first, for a client",
      "with a way back > half-close > writeEof behind a lot of output sends all of it first, for a server"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/stopTls.test.ts",
    tests: [
      "the bytes that follow > and what the peer still says in TLS, before it agrees, comes first, for a client",
      "the bytes that follow > and what the peer still says in TLS, before it agrees, comes first, for a server",
      "the bytes that follow > reads what follows the end of TLS up to where it is reset, for a client; the peer ends first: false",
      "the bytes that follow > reads what follows the end of TLS up to where it is reset, for a server; the peer ends first: false",
      "a stopTls that fails > for the peer cuts the connection instead of agreeing, for a client",
      "a stopTls that fails > for the peer cuts the connection instead of agreeing, for a server",
      "a stopTls that fails > for the peer does not agree in time is a Timeout, and resets the connection, for a client",
      "a stopTls that fails > for the peer does not agree in time is a Timeout, and resets the connection, for a server",
      "a stopTls that fails > for the peer goes on and on in TLS instead of agreeing, for a client",
      "a stopTls that fails > for the peer goes on and on in TLS instead of agreeing, for a server",
      "a stopTls that fails > for the peer says what is no TLS, for a client",
      "a stopTls that fails > for the peer says what is no TLS, for a server",
      "a stopTls that fails > for the peer resets the connection, for a client",
      "a stopTls that fails > for the peer resets the connection, for a server",
      "a stopTls that fails > for it is interrupted, or the old handle is aborted, resets the connection, for a client",
      "a stopTls that fails > for it is interrupted, or the old handle is aborted, resets the connection, for a server"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/testing/laws.test.ts",
    tests: [
      "ranks 39, 43: laws of streams: TLS > half-close: x, then the end, and the other direction goes on (trio L26, L29)",
      "ranks 39, 43: laws of streams: TLS > the answer to a half-close is whole, however late it is read",
      "ranks 39, 43: laws of transports: TLS > end is told once, behind everything, and the other direction goes on",
      "ranks 39, 43: laws of transports: TLS > the end comes behind what the system has yet to take",
      "ranks 39, 43: laws of transports: TLS > the end of the peer takes nothing from what is still sent to it",
      "ranks 39, 43: laws of streams: TLS, lending > half-close: x, then the end, and the other direction goes on (trio L26, L29)",
      "ranks 39, 43: laws of streams: TLS, lending > the answer to a half-close is whole, however late it is read",
      "ranks 39, 43: laws of transports: TLS, lending > end is told once, behind everything, and the other direction goes on",
      "ranks 39, 43: laws of transports: TLS, lending > the end comes behind what the system has yet to take",
      "ranks 39, 43: laws of transports: TLS, lending > the end of the peer takes nothing from what is still sent to it"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/interruption.test.ts",
    tests: [
      "stopTls that is interrupted > leaves nothing behind and loses nothing, before every step, for a client",
      "stopTls that is interrupted > leaves nothing behind and loses nothing, in every turn of the event loop, for a client",
      "stopTls that is interrupted > leaves nothing behind and loses nothing, before every step, for a server",
      "stopTls that is interrupted > leaves nothing behind and loses nothing, in every turn of the event loop, for a server"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/startTls.test.ts",
    tests: [
      "with a way back > scopes > a handler that fails after the upgrade cuts it off",
      "for good > scopes > a handler that fails after the upgrade cuts it off"
    ],
    reason:
      "Bun's own engine, which is the peer here, says that TLS has ended in good order where the stream below it is destroyed"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/laws.test.ts",
    tests: [
      "laws over TLS > streams: TLS made by startTls > half-close: x, then the end, and the other direction goes on (trio L26, L29)",
      "laws over TLS > streams: TLS made by startTls > the answer to a half-close is whole, however late it is read",
      "laws over TLS > transports: TLS with a way back > end is told once, behind everything, and the other direction goes on",
      "laws over TLS > transports: TLS with a way back > the end comes behind what the system has yet to take",
      "laws over TLS > transports: TLS with a way back > the end of the peer takes nothing from what is still sent to it"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/identity.test.ts",
    tests: [
      "a server that cannot speak TLS > does not start with the key of another certificate, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a wrong passphrase, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with no passphrase for an encrypted key, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a key that is none, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with an empty key, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with no key, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a certificate that is none, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with an empty certificate, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with no certificate, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a certificate that was cut, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a ca without certificates, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with an empty ca, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with an empty list for ca, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a key for ca, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start with a ca whose second certificate was cut, says why, and leaves nothing bound",
      "a server that cannot speak TLS > does not start in memory either, with the key of another certificate",
      "a server that cannot speak TLS > does not start in memory either, with a wrong passphrase",
      "a server that cannot speak TLS > does not start in memory either, with no passphrase for an encrypted key",
      "a server that cannot speak TLS > does not start in memory either, with a key that is none",
      "a server that cannot speak TLS > does not start in memory either, with an empty key",
      "a server that cannot speak TLS > does not start in memory either, with no key",
      "a server that cannot speak TLS > does not start in memory either, with a certificate that is none",
      "a server that cannot speak TLS > does not start in memory either, with an empty certificate",
      "a server that cannot speak TLS > does not start in memory either, with no certificate",
      "a server that cannot speak TLS > does not start in memory either, with a certificate that was cut",
      "a server that cannot speak TLS > does not start in memory either, with a ca without certificates",
      "a server that cannot speak TLS > does not start in memory either, with an empty ca",
      "a server that cannot speak TLS > does not start in memory either, with an empty list for ca",
      "a server that cannot speak TLS > does not start in memory either, with a key for ca",
      "a server that cannot speak TLS > does not start in memory either, with a ca whose second certificate was cut",
      "a server that cannot speak TLS > does not start with a ca without certificates, although its identity is chosen for each handshake",
      "a server that cannot speak TLS > does not start with an empty ca, although its identity is chosen for each handshake",
      "a server that cannot speak TLS > does not start with an empty list for ca, although its identity is chosen for each handshake",
      "a server that cannot speak TLS > does not start with a key for ca, although its identity is chosen for each handshake",
      "a server that cannot speak TLS > does not start with a ca whose second certificate was cut, although its identity is chosen for each handshake",
      "a server that cannot speak TLS > upgrades nobody with the key of another certificate",
      "a server that cannot speak TLS > upgrades nobody with a wrong passphrase",
      "a server that cannot speak TLS > upgrades nobody with no passphrase for an encrypted key",
      "a server that cannot speak TLS > upgrades nobody with a key that is none",
      "a server that cannot speak TLS > upgrades nobody with an empty key",
      "a server that cannot speak TLS > upgrades nobody with no key",
      "a server that cannot speak TLS > upgrades nobody with a certificate that is none",
      "a server that cannot speak TLS > upgrades nobody with an empty certificate",
      "a server that cannot speak TLS > upgrades nobody with no certificate",
      "a server that cannot speak TLS > upgrades nobody with a certificate that was cut",
      "a server that cannot speak TLS > fails one handshake where it is chosen: the key of another certificate",
      "a server that cannot speak TLS > fails one handshake where it is chosen: a wrong passphrase",
      "a server that cannot speak TLS > fails one handshake where it is chosen: no passphrase for an encrypted key",
      "a server that cannot speak TLS > fails one handshake where it is chosen: a key that is none",
      "a server that cannot speak TLS > fails one handshake where it is chosen: an empty key",
      "a server that cannot speak TLS > fails one handshake where it is chosen: no key",
      "a server that cannot speak TLS > fails one handshake where it is chosen: a certificate that is none",
      "a server that cannot speak TLS > fails one handshake where it is chosen: an empty certificate",
      "a server that cannot speak TLS > fails one handshake where it is chosen: no certificate",
      "a server that cannot speak TLS > fails one handshake where it is chosen: a certificate that was cut",
      "a client that cannot speak TLS > connects to nobody with the key of another certificate, and says why",
      "a client that cannot speak TLS > connects to nobody with a wrong passphrase, and says why",
      "a client that cannot speak TLS > connects to nobody with no passphrase for an encrypted key, and says why",
      "a client that cannot speak TLS > connects to nobody with a key that is none, and says why",
      "a client that cannot speak TLS > connects to nobody with an empty key, and says why",
      "a client that cannot speak TLS > connects to nobody with no key, and says why",
      "a client that cannot speak TLS > connects to nobody with a certificate that is none, and says why",
      "a client that cannot speak TLS > connects to nobody with an empty certificate, and says why",
      "a client that cannot speak TLS > connects to nobody with no certificate, and says why",
      "a client that cannot speak TLS > connects to nobody with a certificate that was cut, and says why",
      "a client that cannot speak TLS > connects to nobody with a ca without certificates, and says why",
      "a client that cannot speak TLS > connects to nobody with an empty ca, and says why",
      "a client that cannot speak TLS > connects to nobody with an empty list for ca, and says why",
      "a client that cannot speak TLS > connects to nobody with a key for ca, and says why",
      "a client that cannot speak TLS > connects to nobody with a ca whose second certificate was cut, and says why",
      "a client that cannot speak TLS > upgrades no connection with the key of another certificate, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a wrong passphrase, and resets it",
      "a client that cannot speak TLS > upgrades no connection with no passphrase for an encrypted key, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a key that is none, and resets it",
      "a client that cannot speak TLS > upgrades no connection with an empty key, and resets it",
      "a client that cannot speak TLS > upgrades no connection with no key, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a certificate that is none, and resets it",
      "a client that cannot speak TLS > upgrades no connection with an empty certificate, and resets it",
      "a client that cannot speak TLS > upgrades no connection with no certificate, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a certificate that was cut, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a ca without certificates, and resets it",
      "a client that cannot speak TLS > upgrades no connection with an empty ca, and resets it",
      "a client that cannot speak TLS > upgrades no connection with an empty list for ca, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a key for ca, and resets it",
      "a client that cannot speak TLS > upgrades no connection with a ca whose second certificate was cut, and resets it"
    ],
    reason: "BoringSSL has other codes and other words than OpenSSL for certificates and keys that cannot be used"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/clientCertificates.test.ts",
    tests: [
      "clientCertificate: require > refuses one that has expired, one that is not valid yet, one for servers, and one that vouches for itself"
    ],
    reason:
      "Bun says UNABLE_TO_VERIFY_LEAF_SIGNATURE of a certificate that vouches for itself, where OpenSSL says DEPTH_ZERO_SELF_SIGNED_CERT"
  },
  {
    on: ["bun", "deno"],
    kind: "fails",
    file: "test/tls/names.test.ts",
    tests: [
      "the name that a server is asked for > is told to identity in one spelling, whatever the client sends: münchen.example",
      "the name that a server is asked for > is told to identity in one spelling, whatever the client sends: MÜNCHEN.Example.",
      "the name that a server is asked for > is told to identity in one spelling, whatever the client sends: www。example．test",
      "the name that a server is asked for > is told to identity in one spelling, whatever the client sends: ファイル.example",
      "the name that a server is asked for > is told to identity in one spelling, whatever the client sends: faß.example",
      "the name that a server is asked for > is in info in the same spelling where one identity is for all"
    ],
    reason:
      "the runtime's own client, which is the peer here, sends no name that is not ASCII, and takes no address for one"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/clientCertificates.test.ts",
    tests: [
      "a resumed session > of a client without a certificate is not authorized, over TLSv1.2",
      "a resumed session > of a client without a certificate is not authorized, over TLSv1.3"
    ],
    reason: "Deno's engine gives out no sessions and takes none",
    issue: "https://github.com/denoland/deno/issues/30305"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/options.test.ts",
    tests: [
      "resumption > resumes a session over TLSv1.2",
      "resumption > resumes a session over TLSv1.3",
      "resumption > over TLSv1.2 a resumed session still knows the client",
      "resumption > over TLSv1.3 a resumed session still knows the client",
      "resumption > over TLSv1.3 one made with a server of one name is not good for another",
      "resumption > over TLSv1.3 another identity does not know the session: a whole handshake follows",
      "resumption > over TLSv1.2 an identity is prepared once for all that ask the same of clients",
      "resumption > over TLSv1.3 an identity is prepared once for all that ask the same of clients",
      "resumption > over TLSv1.3 what a client has shown to one server is not taken for more by another",
      "resumption > an identity is prepared for a few kinds of options at a time, and those used last are kept"
    ],
    reason: "Deno's engine gives out no sessions and takes none",
    issue: "https://github.com/denoland/deno/issues/30305"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/startTls.test.ts",
    tests: [
      "with a way back > sessions > are resumed from one upgrade to the next, over TLSv1.2",
      "with a way back > sessions > are resumed from one upgrade to the next, over TLSv1.3",
      "with a way back > sessions > are resumed with the server that listens for TLS alone, if it has the same identity",
      "for good > sessions > are resumed from one upgrade to the next, over TLSv1.2",
      "for good > sessions > are resumed from one upgrade to the next, over TLSv1.3",
      "for good > sessions > are resumed with the server that listens for TLS alone, if it has the same identity"
    ],
    reason: "Deno's engine gives out no sessions and takes none",
    issue: "https://github.com/denoland/deno/issues/30305"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/clientCertificates.test.ts",
    tests: [
      "clientCertificate: require > refuses one that has expired, one that is not valid yet, one for servers, and one that vouches for itself",
      "a client with an identity > still verifies the server"
    ],
    reason: "Deno's engine, rustls, tells fewer reasons apart than OpenSSL, and has other codes and words for some"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/end.test.ts",
    tests: [
      "for good > what is no TLS, after the handshake > a record that was tampered with is never delivered, for a client",
      "for good > what is no TLS, after the handshake > a record that was tampered with is never delivered, for a server",
      "with a way back > what is no TLS, after the handshake > a record that was tampered with is never delivered, for a client",
      "with a way back > what is no TLS, after the handshake > a record that was tampered with is never delivered, for a server"
    ],
    reason: "Deno's engine, rustls, tells fewer reasons apart than OpenSSL, and has other codes and words for some"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/options.test.ts",
    tests: [
      "verification > is on by default, and refuses an expired one",
      "verification > is on by default, and refuses one that is not valid yet",
      "verification > is on by default, and refuses one of an unknown authority",
      "verification > fails in a way that can be turned into JSON, as a logger does",
      "verification > is turned off by dangerouslyAcceptAnyCertificate alone, which accepts an expired one",
      "verification > is turned off by dangerouslyAcceptAnyCertificate alone, which accepts one that is not valid yet",
      "verification > is turned off by dangerouslyAcceptAnyCertificate alone, which accepts one of an unknown authority",
      "versions > a failed handshake tells the server why, in the engine's words",
      "a peer that speaks no TLS > fails the client's handshake, and its socket is gone"
    ],
    reason: "Deno's engine, rustls, tells fewer reasons apart than OpenSSL, and has other codes and words for some"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/refusals.test.ts",
    tests: [
      "for good > a server's certificate with “permitted subtree violation” is kind Certificate",
      "for good > a server's certificate with “excluded subtree violation” is kind Certificate",
      "for good > “permitted subtree violation” is told where any certificate is accepted",
      "for good > “excluded subtree violation” is told where any certificate is accepted",
      "for good > a client's certificate with “permitted subtree violation” is kind Certificate",
      "for good > a client's certificate with “excluded subtree violation” is kind Certificate",
      "for good > a client's “permitted subtree violation” is told where a certificate is only requested",
      "for good > a client's “excluded subtree violation” is told where a certificate is only requested",
      "with a way back > a server's certificate with “permitted subtree violation” is kind Certificate",
      "with a way back > a server's certificate with “excluded subtree violation” is kind Certificate",
      "with a way back > “permitted subtree violation” is told where any certificate is accepted",
      "with a way back > “excluded subtree violation” is told where any certificate is accepted",
      "with a way back > a client's certificate with “permitted subtree violation” is kind Certificate",
      "with a way back > a client's certificate with “excluded subtree violation” is kind Certificate",
      "with a way back > a client's “permitted subtree violation” is told where a certificate is only requested",
      "with a way back > a client's “excluded subtree violation” is told where a certificate is only requested"
    ],
    reason: "Deno's engine, rustls, tells fewer reasons apart than OpenSSL, and has other codes and words for some"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/refusals.test.ts",
    tests: [
      "for good > a server's certificate with “unhandled critical extension” is kind Certificate",
      "for good > “unhandled critical extension” is told where any certificate is accepted",
      "for good > a client's certificate with “unhandled critical extension” is kind Certificate",
      "for good > a client's “unhandled critical extension” is told where a certificate is only requested",
      "with a way back > a server's certificate with “unhandled critical extension” is kind Certificate",
      "with a way back > “unhandled critical extension” is told where any certificate is accepted",
      "with a way back > a client's certificate with “unhandled critical extension” is kind Certificate",
      "with a way back > a client's “unhandled critical extension” is told where a certificate is only requested"
    ],
    reason:
      "Deno's engine, rustls, breaks the handshake off for a critical extension that it does not know, whoever accepts what"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/openssl.test.ts",
    tests: [
      "openssl s_client > refuses a certificate for another name over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate that has expired over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate that is not valid yet over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate that vouches for itself over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate of an unknown authority over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate for “permitted subtree violation” over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate for “excluded subtree violation” over TLSv1.3, and the server learns of it",
      "openssl s_client > refuses a certificate for “unhandled critical extension” over TLSv1.3, and the server learns of it"
    ],
    reason:
      "Bun's engine, BoringSSL, takes the alert of a client that leaves a handshake of TLS 1.3 for a broken record (BAD_PACKET_LENGTH), and does not say what it is about"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/openssl.test.ts",
    tests: [
      "openssl s_server > with a certificate that vouches for itself is refused over TLSv1.2",
      "openssl s_server > with a certificate that vouches for itself is refused over TLSv1.3"
    ],
    reason:
      "Bun says UNABLE_TO_VERIFY_LEAF_SIGNATURE of a certificate that vouches for itself, where OpenSSL says DEPTH_ZERO_SELF_SIGNED_CERT"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/options.test.ts",
    tests: [
      "verification > is on by default, and refuses one that vouches for itself",
      "verification > fails in a way that can be turned into JSON, as a logger does",
      "verification > is turned off by dangerouslyAcceptAnyCertificate alone, which accepts one that vouches for itself",
      "verification > stays on where dangerouslyAcceptAnyCertificate is false"
    ],
    reason:
      "Bun says UNABLE_TO_VERIFY_LEAF_SIGNATURE of a certificate that vouches for itself, where OpenSSL says DEPTH_ZERO_SELF_SIGNED_CERT"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/options.test.ts",
    tests: ["versions > is TLS 1.2 at least by default: a client of 1.1 is refused"],
    reason: "Bun's own client, which is the peer here, speaks no TLS 1.1"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/options.test.ts",
    tests: ["a peer that speaks no TLS > fails the client's handshake, and its socket is gone"],
    reason: "Bun's engine, BoringSSL, has other words than OpenSSL"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/names.test.ts",
    tests: ["the name that a client asks for > is in ASCII and lower case, and has no dot at its end: web.1"],
    reason: "Deno's engine, rustls, takes what ends in a number for no name, and sends none"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/names.test.ts",
    tests: [
      "the name that the certificate must be for, for good > binds sessions: one made with a name is good for it in any spelling",
      "the name that the certificate must be for, with a way back > binds sessions: one made with a name is good for it in any spelling"
    ],
    reason: "Deno's engine gives out no sessions and takes none",
    issue: "https://github.com/denoland/deno/issues/30305"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/openssl.test.ts",
    tests: [
      "openssl s_client > refuses a certificate for “unhandled critical extension” over TLSv1.2, and the server learns of it",
      "openssl s_client > refuses a certificate for “unhandled critical extension” over TLSv1.3, and the server learns of it"
    ],
    reason:
      "Deno's engine, rustls, breaks the handshake off for a critical extension that it does not know, whoever accepts what"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/openssl.test.ts",
    tests: [
      "openssl s_server > with a certificate that has expired is refused over TLSv1.2",
      "openssl s_server > with a certificate that has expired is refused over TLSv1.3",
      "openssl s_server > with a certificate that is not valid yet is refused over TLSv1.2",
      "openssl s_server > with a certificate that is not valid yet is refused over TLSv1.3",
      "openssl s_server > with a certificate for what Node has no code for is refused over TLSv1.2",
      "openssl s_server > with a certificate for what Node has no code for is refused over TLSv1.3"
    ],
    reason: "Deno's engine, rustls, tells fewer reasons apart than OpenSSL, and has other codes and words for some"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/openssl.test.ts",
    tests: ["openssl s_server > resumes a session over TLSv1.2", "openssl s_server > resumes a session over TLSv1.3"],
    reason: "Deno's engine gives out no sessions and takes none",
    issue: "https://github.com/denoland/deno/issues/30305"
  },
  {
    on: ["deno"],
    kind: "left out",
    file: "test/tls/identity.test.ts",
    tests: "all",
    reason:
      "Deno has other codes than OpenSSL for keys and passphrases, by which this file makes the keys that it tests with"
  },
  {
    on: ["bun"],
    kind: "left out",
    file: "test/tls/stopTls.test.ts",
    tests: ["client", "server"].flatMap((side) =>
      ["TLSv1.2", "TLSv1.3"].map(
        (version) => `stopTls > waits for the peer's close_notify, for a ${side} over ${version}`
      )
    ),
    reason:
      "not always: Bun's engine over a stream answers the peer's close_notify at once and is over, and the test looks whether it has waited",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["bun"],
    kind: "fails",
    file: "test/tls/lawsOfVariants.test.ts",
    tests: [
      "laws over TLS > streams: TLS 1.2 > half-close: x, then the end, and the other direction goes on (trio L26, L29)",
      "laws over TLS > streams: TLS 1.2 > the answer to a half-close is whole, however late it is read",
      "laws over TLS > transports: TLS 1.2 > end is told once, behind everything, and the other direction goes on",
      "laws over TLS > transports: TLS 1.2 > the end comes behind what the system has yet to take",
      "laws over TLS > transports: TLS 1.2 > the end of the peer takes nothing from what is still sent to it",
      "laws over TLS > streams: TLS made by startTls, lending > half-close: x, then the end, and the other direction goes on (trio L26, L29)",
      "laws over TLS > streams: TLS made by startTls, lending > the answer to a half-close is whole, however late it is read"
    ],
    reason:
      "Bun's engine over a stream answers the peer's close_notify at once and is over: nothing can be sent behind it, by us or by the peers of these tests, which have the same engine",
    issue: "https://github.com/oven-sh/bun/pull/43198"
  },
  {
    on: ["deno"],
    kind: "fails",
    file: "test/tls/handshake.test.ts",
    tests: ["onHandshakeError > learns whose handshake it was, and why it failed"],
    reason: "Deno's engine, rustls, tells fewer reasons apart than OpenSSL, and has other codes and words for some"
  },
  {
    on: ["bun", "deno"],
    kind: "left out",
    file: "test/tls/lawsOfEngines.test.ts",
    tests: "all",
    reason:
      "Node's engine, made to treat streams as those of Bun and Deno do: there the laws are tested over the real ones"
  }
]
