/**
 * The account of a stream's bytes: what was fed and is yet to be delivered, in order. Whatever a read returns must be the
 * front of it. It knows nothing of time: what a read returns is checked, not when.
 */
import { assert } from "@effect/vitest"
import type { Failed, Outcome, Request, Value } from "./readRequests.ts"

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

  private returned(request: Request, value: Value): void {
    if (value instanceof Array) {
      for (const line of value) this.item(request, line)
      return
    }
    if (typeof value === "object" && value !== null && isBare(request)) return this.item(request, value.some)
    if (value !== undefined && value !== null && request.name === "readUntil" && isBare(request)) {
      return this.item(request, value as string)
    }
    const bytes = typeof value === "object" ? (value?.some ?? "") : (value ?? "")
    if (bytes !== "" && mustEnd(request)) this.endsWell(request, bytes)
    assert.isTrue(this.due.startsWith(bytes), `${JSON.stringify(bytes)} instead of ${JSON.stringify(this.due)}`)
    if (request.name !== "peek") this.due = this.due.slice(bytes.length)
    // nothing at all, where something was asked for, is the end of the stream
    const forNothing = ("count" in request && request.count === 0) || request.name === "readAll"
    if (bytes === "" && !forNothing) assert.strictEqual(this.due, "", `${request.name}: the end before the end`)
  }

  /** An item that was handed over without its delimiter. Only where that is optional, at the very end, may there be none. */
  private item(request: Request, item: string): void {
    assert.isTrue(this.due.startsWith(item), `${JSON.stringify(item)} instead of ${JSON.stringify(this.due)}`)
    const rest = this.due.slice(item.length)
    const delimiter = delimitersOf(request).find((delimiter) => rest.startsWith(delimiter))
    const isLast = item !== "" && rest === "" && !mustEnd(request)
    assert.isTrue(delimiter !== undefined || isLast, `${request.name}: ${JSON.stringify(item)} is half an item`)
    this.due = rest.slice(delimiter?.length ?? 0)
  }

  private endsWell(request: Request, bytes: string): void {
    const ends = delimitersOf(request).some((delimiter) => bytes.endsWith(delimiter))
    assert.isTrue(ends, `${request.name}: ${JSON.stringify(bytes)} is half an item`)
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
        if (request.name.startsWith("readLine") || request.name === "lines")
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

/** Whether the delimiter is left out of what it returns. */
const isBare = (request: Request): boolean =>
  request.name === "readLineText" ||
  request.name === "lines" ||
  ("keepDelimiter" in request && request.keepDelimiter === false)

/** Whether an item without its delimiter is none. */
const mustEnd = (request: Request): boolean =>
  request.name === "readLineText" || "separators" in request || ("end" in request && request.end === "required")

/** Of those that begin at the same place the shortest counts. */
const delimitersOf = (request: Request): ReadonlyArray<string> =>
  "separators" in request ? request.separators.toSorted((a, b) => a.length - b.length) : ["\r\n", "\n"]
