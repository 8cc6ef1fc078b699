/** MQTT's control packets: a fixed header that says what it is and how long, and a body (MQTT 3.1.1, section 2.2). */
import { Frame } from "effect-byte-streams"

/**
 * ```
 * | type 4 bits, flags 4 bits | remaining length, 1 to 4 bytes | body … |
 * ```
 */
export const packet = Frame.named(
  Frame.struct({
    head: Frame.bits({ type: 4, flags: 4 }),
    body: Frame.lengthPrefixed(Frame.varintWith({ maxBytes: 4, padded: "accept" }), { maxBytes: 1_000_000 })
  }),
  "Packet"
)
