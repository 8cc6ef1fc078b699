/**
 * The account of a stream's bytes: what was fed and is yet to be delivered, in order. Whatever a read returns must be the
 * front of it. It knows nothing of time: what a read returns is checked, not when.
 */
import { assert } from "@effect/vitest"
import type { Failed, Outcome, Request } from "./readRequests.ts"

export class Ledger {
  /** Bytes that no read has returned, those included that are yet to be fed. */
  due: string

  constructor(text: string) {
    this.due = text
  }

  /** Enters what came of a read. */
  enter(request: Request, outcome: Outcome): void {
    if ("error" in outcome) this.failed(request, outcome)
    else if (request.name === "unread") this.due = request.bytes + this.due
    else if (request.name === "skip") this.due = this.due.slice(request.count)
    else this.returned(request, outcome.value)
  }

  private returned(request: Request, value: string | { readonly some: string } | null | undefined): void {
    const bytes = typeof value === "object" ? (value?.some ?? "") : (value ?? "")
    assert.isTrue(this.due.startsWith(bytes), `${JSON.stringify(bytes)} instead of ${JSON.stringify(this.due)}`)
    if (request.name !== "peek") this.due = this.due.slice(bytes.length)
    // nothing at all, where something was asked for, is the end of the stream
    const forNothing = ("count" in request && request.count === 0) || request.name === "readAll"
    if (bytes === "" && !forNothing) assert.strictEqual(this.due, "", `${request.name}: the end before the end`)
  }

  private failed(request: Request, outcome: Failed): void {
    switch (outcome.error) {
      case "IncompleteRead":
        assert.strictEqual(outcome.partial, this.due)
        this.due = ""
        break
      case "Done":
        assert.strictEqual(this.due, "")
        break
      case "LimitOverrun":
        // of a line it is the end, the rest of the line was dropped; other reads leave everything where it is
        if (request.name.startsWith("readLine"))
          this.due = this.due.slice(this.due.indexOf("\n") + 1 || this.due.length)
        break
      case "ConnectionLost":
        // what had arrived stays readable
        break
      case "StreamBusy":
        break
      default:
        assert.fail(`${request.name}: ${JSON.stringify(outcome)}`)
    }
  }
}
