/**
 * The programs that tests talk to and that a bare machine lacks: one line each.
 *
 * Everything goes by this list: which tests are skipped where a program is missing, what the end of a test run says
 * about them, and what `.ci/run` installs.
 */
import { spawnSync } from "node:child_process"
import { accessSync, constants, globSync } from "node:fs"
import { delimiter, join } from "node:path"

interface Needed {
  /** The Debian package that holds the program. */
  readonly package: string
  /** Arguments with which a program that is of use ends well: one that is too old does not. */
  readonly works?: ReadonlyArray<string>
  /** Where else the package puts it, beside `PATH`; may hold `*`. */
  readonly directories?: ReadonlyArray<string>
}

// where Debian puts what is there in several versions
const ofPostgres = { package: "postgresql", directories: ["/usr/lib/postgresql/*/bin"] }

const list = {
  chromium: { package: "chromium" },
  curl: { package: "curl" },
  exim4: { package: "exim4-daemon-light" },
  h2load: { package: "nghttp2-client" },
  initdb: ofPostgres,
  mosquitto: { package: "mosquitto" },
  nghttpd: { package: "nghttp2-server" },
  nginx: { package: "nginx-light" },
  openssl: { package: "openssl" },
  // with what `swaks` needs for TLS, and its package only recommends
  perl: { package: "libnet-ssleay-perl", works: ["-MNet::SSLeay", "-e", "1"] },
  postgres: ofPostgres,
  // its asyncio streams have start_tls from there on
  python3: { package: "python3", works: ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"] },
  "redis-cli": { package: "redis-tools" },
  "redis-server": { package: "redis-server" },
  socat: { package: "socat" },
  swaks: { package: "swaks" },
  wrk: { package: "wrk" }
} satisfies Record<string, Needed>

/** The name of a program. */
export type Peer = keyof typeof list

const needed: Readonly<Record<Peer, Needed>> = list

export const isPeer = (command: string): command is Peer => Object.hasOwn(needed, command)

// where Debian puts servers, which is not on the path of an ordinary user
const systemDirectories = ["/usr/local/sbin", "/usr/sbin"]

const found = new Map<Peer, string | undefined>()

/** The path of a program, or nothing where this machine has none that is of use. */
export const pathOf = (peer: Peer): string | undefined => {
  if (!found.has(peer)) found.set(peer, search(peer, needed[peer]))
  return found.get(peer)
}

/** As `pathOf`, looked for anew. */
export const search = (command: string, { directories = [], works }: Needed): string | undefined => {
  const onPath = (process.env.PATH ?? "").split(delimiter)
  const others = directories.flatMap((directory) => (directory.includes("*") ? globSync(directory) : [directory]))
  for (const directory of [...onPath, ...systemDirectories, ...others]) {
    const path = join(directory, command)
    if (directory !== "" && isExecutable(path) && (works === undefined || endsWell(path, works))) return path
  }
  return undefined
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const endsWell = (path: string, works: ReadonlyArray<string>): boolean =>
  spawnSync(path, works, { stdio: "ignore", timeout: 10_000 }).status === 0

/** The packages that would have to be installed for all tests, or for what these programs are needed for. */
export const missingPackages = (peers: ReadonlyArray<Peer> = Object.keys(needed).filter(isPeer)): Array<string> =>
  Array.from(new Set(peers.filter((peer) => pathOf(peer) === undefined).map((peer) => needed[peer].package)))

declare module "vitest" {
  interface TaskMeta {
    /** The programs without which a test is skipped. */
    needs?: ReadonlyArray<Peer>
  }
}

/**
 * The options of a test, or of a group of tests, that talks to other programs: it is skipped where one is missing.
 *
 *     it.live("title", () => effect, needs("socat"))
 *     describe("title", needs("socat", "openssl"), () => {})
 */
export const needs = (...peers: ReadonlyArray<Peer>) => ({
  skip: missingPackages(peers).length > 0,
  meta: { needs: peers }
})
