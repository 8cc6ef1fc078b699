/** Bytes and text for tests. */

/** Text as UTF-8. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** UTF-8 as text. */
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Bytes that tell where they are, so that one lost, doubled or moved is seen. */
export const pattern = (length: number): Uint8Array => {
  const out = new Uint8Array(length)
  for (let i = 0; i < length; i++) out[i] = (i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 255
  return out
}
