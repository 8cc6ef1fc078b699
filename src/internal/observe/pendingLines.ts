interface Entry {
  readonly line: Uint8Array
  /** The number of lines that it stands for. */
  readonly lines: number
}

/**
 * Lines that wait to be written: no more than a number of bytes. Those for which there is no room are left out, and a line
 * stands in their place that says how many they are.
 */
export class PendingLines {
  private readonly maxBytes: number
  private readonly missingLine: (lines: number) => Uint8Array
  private entries: Array<Entry> = []
  /** How many at the beginning of `entries` are gone. */
  private gone = 0
  private bytes = 0
  private waiting = 0
  /** How many were left out behind the last one. */
  private missing = 0

  constructor(maxBytes: number, missingLine: (lines: number) => Uint8Array) {
    this.maxBytes = maxBytes
    this.missingLine = missingLine
  }

  add(line: Uint8Array): void {
    const instead = this.missing === 0 ? undefined : this.missingLine(this.missing)
    if (this.bytes + (instead?.length ?? 0) + line.length > this.maxBytes) {
      this.missing++
      return
    }
    if (instead !== undefined) this.pushMissing(instead)
    this.push(line, 1)
  }

  get isEmpty(): boolean {
    return this.gone === this.entries.length && this.missing === 0
  }

  /** The number of lines that are not written, those that were left out among them. */
  get unwritten(): number {
    return this.waiting + this.missing
  }

  /**
   * The first lines: as many as have at most `maxBytes` together, and few more than `enough`. With `always` the first one
   * is among them whatever it has.
   */
  first(maxBytes: number, enough: number, always: boolean): ReadonlyArray<Uint8Array> {
    // what was left out is at the front: no other line has to come before that is told
    if (this.missing > 0 && this.gone === this.entries.length) this.pushMissing(this.missingLine(this.missing))
    const lines: Array<Uint8Array> = []
    let bytes = 0
    for (let at = this.gone; at < this.entries.length && bytes < enough; at++) {
      const { line } = this.entries[at]!
      bytes += line.length
      if (bytes > maxBytes && !(always && lines.length === 0)) break
      lines.push(line)
    }
    return lines
  }

  /** The first lines are written. */
  drop(count: number): void {
    for (const { line, lines } of this.entries.slice(this.gone, this.gone + count)) {
      this.bytes -= line.length
      this.waiting -= lines
    }
    this.gone += count
    if (this.gone * 2 < this.entries.length) return
    this.entries = this.entries.slice(this.gone)
    this.gone = 0
  }

  private pushMissing(line: Uint8Array): void {
    this.push(line, this.missing)
    this.missing = 0
  }

  private push(line: Uint8Array, lines: number): void {
    this.entries.push({ line, lines })
    this.bytes += line.length
    this.waiting += lines
  }
}
