/**
 * What a server of HTTP/1.1 has to refuse, case by case: RFC 9112 (sections 2.2, 3, 5, 6, 7 and 11.2), and the ways in which
 * servers and proxies were brought to disagree about where a request ends.
 *
 * Each case is followed by a request of its own. A server that took the bytes for anything but one bad request would
 * answer that as well.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { parseAnswers, talk } from "../support/http1.ts"
import { forAll } from "../support/property.ts"

const get = "GET / HTTP/1.1\r\nHost: a\r\n"
const post = "POST / HTTP/1.1\r\nHost: a\r\n"
const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

type Case = readonly [name: string, bytes: string, status: number]

const requestLines: ReadonlyArray<Case> = [
  ["a request line of HTTP/0.9", "GET /\r\n\r\n", 400],
  ["no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["two spaces in front of the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["two spaces in front of the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a tab instead of a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400],
  ["a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["white space in front of the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a method in small letters", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a target beyond ASCII", "GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a fragment in the target", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a target that is neither a path nor a URL", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a URL of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a URL with a name and a password", "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["a URL without an authority", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["an asterisk with a method that is not OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501],
  ["the version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 400],
  ["a version with two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400],
  ["a version without a point", "GET / HTTP/11\r\nHost: a\r\n\r\n", 400],
  ["HTTP/2 without an upgrade", "PRI * HTTP/2.0\r\n\r\n", 505],
  ["HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505],
  ["two empty lines in front of the request", `\r\n\r\n${get}\r\n`, 400],
  ["a TLS ClientHello, and then something that ends a head", "\x16\x03\x01\x00\x05hello\n\r\n", 400]
]

const lineEnds: ReadonlyArray<Case> = [
  ["bare LF for every line end", "GET / HTTP/1.1\nHost: a\n\n", 400],
  ["bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400],
  ["bare LF behind a field", `${get}A: b\nTransfer-Encoding: chunked\r\n\r\n`, 400],
  ["bare LF as the empty line", `${get}\n`, 400],
  ["an empty line that begins with bare LF", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400],
  ["bare CR in a value", `${get}A: b\rTransfer-Encoding: chunked\r\n\r\n`, 400],
  ["bare CR in front of a name", `${get}\rTransfer-Encoding: chunked\r\n\r\n`, 400],
  ["bare CR in front of CR LF", `${get}A: b\r\r\n\r\n`, 400],
  ["bare CR as the empty line", `${get}\r\rA: b\r\n\r\n`, 400],
  ["bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400]
]

const fields: ReadonlyArray<Case> = [
  ["a folded line", `${get}A: b\r\n c\r\n\r\n`, 400],
  ["a line folded with a tab", `${get}A: b\r\n\tc\r\n\r\n`, 400],
  ["Transfer-Encoding on a folded line", `${post}Transfer-Encoding:\r\n chunked\r\n\r\n`, 400],
  ["a folded line in front of the first field", "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", 400],
  ["a space in front of the colon", `${post}Content-Length : 5\r\n\r\nhello`, 400],
  ["a tab in front of the colon", `${post}Transfer-Encoding\t: chunked\r\n\r\n`, 400],
  ["a field without a colon", `${get}A\r\n\r\n`, 400],
  ["a field without a name", `${get}: b\r\n\r\n`, 400],
  ["a space in a name", `${get}A b: c\r\n\r\n`, 400],
  ["a name beyond ASCII", `${get}\xc4: b\r\n\r\n`, 400],
  ["a name with a NUL", `${post}Transfer-Encoding\0: chunked\r\n\r\n`, 400],
  ["a name in quotes", `${get}"A": b\r\n\r\n`, 400],
  ["a NUL in a value", `${get}A: b\0c\r\n\r\n`, 400],
  ["a vertical tab in a value", `${post}Transfer-Encoding:\x0bchunked\r\n\r\n`, 400],
  ["a DEL in a value", `${get}A: \x7f\r\n\r\n`, 400],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["two Hosts", `${get}Host: b\r\n\r\n`, 400],
  ["the same Host twice", `${get}Host: a\r\n\r\n`, 400],
  ["a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
  ["a Host with a name and a password", "GET / HTTP/1.1\r\nHost: b@a\r\n\r\n", 400],
  ["a Host with a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400],
  ["a list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400],
  ["two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["an expectation that is not 100-continue", `${post}Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello`, 417]
]

const lengths: ReadonlyArray<Case> = [
  ["both lengths", `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ["both lengths, the other way round", `${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`, 400],
  ["two Content-Lengths that differ", `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, 400],
  ["two Content-Lengths that are equal", `${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, 400],
  ["a list of Content-Lengths", `${post}Content-Length: 5, 5\r\n\r\nhello`, 400],
  ["a Content-Length with a sign", `${post}Content-Length: +5\r\n\r\nhello`, 400],
  ["a negative Content-Length", `${post}Content-Length: -5\r\n\r\nhello`, 400],
  ["an empty Content-Length", `${post}Content-Length:\r\n\r\nhello`, 400],
  ["a hexadecimal Content-Length", `${post}Content-Length: 0x5\r\n\r\nhello`, 400],
  ["a Content-Length with a fraction", `${post}Content-Length: 5.0\r\n\r\nhello`, 400],
  ["a Content-Length in scientific notation", `${post}Content-Length: 1e1\r\n\r\nhello`, 400],
  ["a Content-Length with a space in it", `${post}Content-Length: 5 0\r\n\r\nhello`, 400],
  ["a Content-Length with an underscore", `${post}Content-Length: 1_0\r\n\r\nhello`, 400],
  ["a Content-Length beyond all numbers", `${post}Content-Length: 99999999999999999999\r\n\r\nhello`, 400],
  ["a Content-Length that is too long for this server", `${post}Content-Length: 999999999999\r\n\r\n`, 413],
  ["a Content-Length on GET that is none", `${get}Content-Length: a\r\n\r\n`, 400],
  ["Transfer-Encoding: identity", `${post}Transfer-Encoding: identity\r\n\r\n`, 400],
  ["Transfer-Encoding: gzip", `${post}Transfer-Encoding: gzip\r\n\r\n`, 400],
  ["chunked that is not the last", `${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`, 400],
  ["a coding that this server does not know", `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 501],
  ["chunked twice", `${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, 400],
  ["chunked in two fields", `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  [
    "chunked and identity in two fields",
    `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n`,
    400
  ],
  ["chunked with something in front", `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 400],
  ["chunked with a parameter", `${post}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n`, 400],
  ["chunked in quotes", `${post}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`, 400],
  ["chunked behind a comma", `${post}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n`, 501],
  ["chunked behind a space that is none", `${post}Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n`, 400],
  ["an empty Transfer-Encoding", `${post}Transfer-Encoding:\r\n\r\n`, 400],
  ["chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400]
]

const chunks: ReadonlyArray<Case> = [
  ["no size", `${chunked}\r\nhello\r\n0\r\n\r\n`, 400],
  ["a size that is no number", `${chunked}g\r\nhello\r\n0\r\n\r\n`, 400],
  ["a size with a sign", `${chunked}+5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a negative size", `${chunked}-5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a size with 0x", `${chunked}0x5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a space in front of the size", `${chunked} 5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a space behind the size", `${chunked}5 \r\nhello\r\n0\r\n\r\n`, 400],
  ["an underscore in the size", `${chunked}0_5\r\nhello\r\n0\r\n\r\n`, 400],
  ["a size that wraps around in 64 bits", `${chunked}10000000000000005\r\nhello\r\n0\r\n\r\n`, 400],
  ["a size that wraps around in 32 bits", `${chunked}100000005\r\nhello\r\n0\r\n\r\n`, 400],
  ["a chunk that is too long for this server", `${chunked}ffffffff\r\nhello\r\n0\r\n\r\n`, 413],
  ["bare LF behind the size", `${chunked}5\nhello\r\n0\r\n\r\n`, 400],
  ["bare CR behind the size", `${chunked}5\rhello\r\n0\r\n\r\n`, 400],
  ["bare LF in an extension", `${chunked}5;a\nb\r\nhello\r\n0\r\n\r\n`, 400],
  ["bare CR in an extension", `${chunked}5;a\rb\r\nhello\r\n0\r\n\r\n`, 400],
  ["a NUL in an extension", `${chunked}5;\0\r\nhello\r\n0\r\n\r\n`, 400],
  ["an extension without end", `${chunked}5;${"a".repeat(5000)}\r\nhello\r\n0\r\n\r\n`, 400],
  ["data that is longer than its size", `${chunked}5\r\nhello, world\r\n0\r\n\r\n`, 400],
  ["data without a line end", `${chunked}5\r\nhello0\r\n\r\n`, 400],
  ["bare LF behind the data", `${chunked}5\r\nhello\n0\r\n\r\n`, 400],
  ["the data of one that is shorter than its size", `${chunked}6\r\nhello\r\n0\r\n\r\n`, 400],
  ["a trailer that is folded", `${chunked}0\r\nA: b\r\n c\r\n\r\n`, 400],
  ["a trailer without a colon", `${chunked}0\r\nA\r\n\r\n`, 400],
  ["a space in front of the colon of a trailer", `${chunked}0\r\nA : b\r\n\r\n`, 400],
  ["bare LF in a trailer", `${chunked}0\r\nA: b\nC: d\r\n\r\n`, 400],
  ["bare LF behind the last chunk", `${chunked}0\n\r\n`, 400],
  ["trailers without end", `${chunked}0\r\n${"A: b\r\n".repeat(4000)}\r\n`, 400]
]

const limits: ReadonlyArray<Case> = [
  ["a target without end", `GET /${"a".repeat(20_000)}`, 414],
  ["a field without end", `${get}A: ${"a".repeat(20_000)}`, 431],
  ["fields without end", `${get}${"A: b\r\n".repeat(4000)}`, 431]
]

const groups: ReadonlyArray<readonly [string, ReadonlyArray<Case>]> = [
  ["in the request line", requestLines],
  ["in the ends of lines", lineEnds],
  ["in fields", fields],
  ["in the length of the body", lengths],
  ["in chunks", chunks],
  ["in what has no end", limits]
]

const chunkings = ["asIs", "oneByte"] as const

for (const [where, cases] of groups) {
  describe(`What is refused ${where}`, () => {
    for (const [name, bytes, status] of cases) {
      it.effect(`${name} is answered ${status}, and nothing behind it is served`, () =>
        Effect.forEach(chunkings, (chunking) =>
          Effect.gen(function* () {
            const { end, text } = yield* talk([bytes + smuggled], { network: { fromClient: { chunking } } })
            const answers = parseAnswers(text)
            assert.deepStrictEqual(
              answers.map((answer) => [answer.status, answer.headers.connection]),
              [[status, "close"]]
            )
            assert.strictEqual(end, "closed")
          })
        )
      )
    }
  })
}

const accepted: ReadonlyArray<readonly [name: string, bytes: string, body: string, url?: string]> = [
  ["an empty line in front of a request", `\r\n${get}\r\n`, ""],
  ["a Content-Length of 0", `${post}Content-Length: 0\r\n\r\n`, ""],
  ["zeros in front of a Content-Length", `${post}Content-Length: 0005\r\n\r\nhello`, "hello"],
  ["white space around a value", `${post}Content-Length: \t 5 \t \r\n\r\nhello`, "hello"],
  ["no white space around a value", `${post}Content-Length:5\r\n\r\nhello`, "hello"],
  ["an empty value", `${get}A:\r\n\r\n`, ""],
  ["a value beyond ASCII", `${get}A: \xe4\r\n\r\n`, ""],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ""],
  ["names in any case", "POST / HTTP/1.1\r\nhOST: a\r\nCONTENT-LENGTH: 5\r\n\r\nhello", "hello"],
  ["a coding in any case", `${post}Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`, "hello"],
  [
    "sizes in capital and in small letters",
    `${chunked}a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n`,
    "01234567890123456789"
  ],
  ["zeros in front of a size", `${chunked}00000005\r\nhello\r\n000\r\n\r\n`, "hello"],
  ["extensions", `${chunked}5;a;b=c;d="e;f"\r\nhello\r\n0;last\r\n\r\n`, "hello"],
  [
    "trailers, also such as would change the request in a head",
    `${chunked}5\r\nhello\r\n0\r\nContent-Length: 100\r\nHost: b\r\n\r\n`,
    "hello"
  ],
  ["data that looks like the end of the body", `${chunked}9\r\n0\r\n\r\nGET \r\n0\r\n\r\n`, "0\r\n\r\nGET "],
  ["a body of GET", `${get}Content-Length: 5\r\n\r\nhello`, "hello"],
  ["a URL as the target", "GET http://a:80/b?c HTTP/1.1\r\nHost: other\r\n\r\n", "", "/b?c"],
  ["a URL without a path", "GET http://a?c HTTP/1.1\r\nHost: other\r\n\r\n", "", "/?c"],
  ["an asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "", "*"]
]

describe("What is served, and the request behind it as well", () => {
  for (const [name, bytes, body, url = "/"] of accepted) {
    it.effect(name, () =>
      Effect.forEach(chunkings, (chunking) =>
        Effect.gen(function* () {
          const { end, text } = yield* talk([bytes + smuggled], { network: { fromClient: { chunking } } })
          const [first, second, ...more] = parseAnswers(text).map((answer) => JSON.parse(answer.body))
          assert.strictEqual(first.body, body)
          assert.strictEqual(first.url, url)
          if (url.length > 1 && url !== "*") assert.match(first.host, /^a/)
          assert.strictEqual(second.url, "/smuggled")
          assert.deepStrictEqual([more, end], [[], "closed"])
        })
      )
    )
  }
})

/** A request of which some bytes were changed, left out or put in. */
const damaged = fc
  .tuple(
    fc.constantFrom(
      ...accepted.map(([, bytes]) => bytes),
      ...groups.flatMap(([, cases]) => cases.map(([, bytes]) => bytes)).filter((bytes) => bytes.length < 1000)
    ),
    fc.array(
      fc.tuple(
        fc.nat(400),
        fc.nat(2),
        fc.oneof(fc.constantFrom("\r", "\n", "\r\n", " ", "\t", ":", ",", "0", "\0", ";"), fc.string({ maxLength: 3 }))
      ),
      { minLength: 1, maxLength: 4 }
    )
  )
  .map(([bytes, changes]) =>
    changes.reduce(
      (text, [at, drop, put]) =>
        text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + drop),
      bytes
    )
  )

describe("Whatever a client sends", () => {
  it.effect("it is answered or refused, and never with a failure of the server", () =>
    forAll(
      fc.oneof(damaged, fc.string({ maxLength: 200 }), fc.string({ unit: "binary", maxLength: 200 })),
      (bytes) =>
        Effect.gen(function* () {
          const { text } = yield* talk([`${Buffer.from(bytes).toString("latin1")}\r\n\r\n${smuggled}`])
          for (const { status } of parseAnswers(text))
            assert.isTrue(status < 500 || status === 501 || status === 505, text)
        }),
      { numRuns: 300 }
    )
  )

  it.effect("it makes no difference how the bytes were cut", () =>
    forAll(
      fc.tuple(damaged, fc.integer()),
      ([bytes, seed]) =>
        Effect.gen(function* () {
          const whole = yield* talk([bytes + smuggled])
          const cut = yield* talk([bytes + smuggled], { network: { seed, fromClient: { chunking: "random" } } })
          const withoutDates = (text: string) => text.replaceAll(/date: .*\r\n/g, "")
          assert.deepStrictEqual(withoutDates(cut.text), withoutDates(whole.text))
        }),
      { numRuns: 200 }
    )
  )
})
