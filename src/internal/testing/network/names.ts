/** The names of a network in memory, and the addresses that they have. */
import type * as TestNetwork from "../../../testing/TestNetwork.ts"
import * as Argument from "../../base/argument.ts"
import * as Endpoint from "../../base/endpoint.ts"
import * as NetworkOptions from "../../base/networkOptions.ts"

export class Names {
  private readonly hosts: NonNullable<TestNetwork.Options["hosts"]>
  private readonly given = new Map<string, string>()

  constructor(hosts: TestNetwork.Options["hosts"]) {
    this.hosts = hosts ?? {}
    for (const [name, found] of Object.entries(this.hosts)) {
      if (found === "Timeout") continue
      for (const one of typeof found === "string" ? [found] : found) checkAddress(`hosts[${JSON.stringify(name)}]`, one)
    }
  }

  /** Every name has an address, the same for everyone, unless the options say otherwise. `undefined`: nobody ever says. */
  resolve(host: string): ReadonlyArray<string> | undefined {
    if (NetworkOptions.isAddress(host)) return [host]
    const known = this.hosts[host]
    if (known === "Timeout") return undefined
    if (known !== undefined) return typeof known === "string" ? [known] : known
    if (host === "localhost") return ["127.0.0.1"]
    let address = this.given.get(host)
    if (address === undefined) {
      const count = this.given.size + 1
      this.given.set(host, (address = `10.0.${count >> 8}.${count & 255}`))
    }
    return [address]
  }
}

export const checkAddress = (name: string, address: unknown): string => {
  if (typeof address === "string" && NetworkOptions.isAddress(address)) return Endpoint.canonical(address)
  throw Argument.wrongType("TestNetwork", name, "IP addresses", address)
}
