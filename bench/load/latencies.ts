/** How long requests took, in milliseconds: each of them, up to as many as there is room for. */
export class Latencies {
  private readonly all = new Float64Array(1 << 18)
  private count = 0

  add(millis: number): void {
    // of more than fit the later ones are kept
    this.all[this.count++ & (this.all.length - 1)] = millis
  }

  clear(): void {
    this.count = 0
  }

  /** Nothing, where there were none. */
  percentile(percent: number): number | undefined {
    const known = Math.min(this.count, this.all.length)
    if (known === 0) return undefined
    const sorted = this.all.slice(0, known).sort()
    return sorted[Math.min(known - 1, Math.floor((known * percent) / 100))]
  }
}
