/** Comparing many bytes quickly, with a failure that shows where they differ. */
import { assert } from "@effect/vitest"

const around = (bytes: Uint8Array, at: number): string =>
  Buffer.from(bytes.subarray(Math.max(0, at - 8), at + 24)).toString("hex")

export const assertBytes = (actual: Uint8Array, expected: Uint8Array, what = "bytes"): void => {
  if (Buffer.compare(actual, expected) === 0) return
  let at = 0
  while (at < actual.length && at < expected.length && actual[at] === expected[at]) at++
  assert.fail(
    `${what}: ${actual.length} bytes, expected ${expected.length}; they differ from byte ${at} on: ` +
      `…${around(actual, at)}…, expected …${around(expected, at)}…`
  )
}
