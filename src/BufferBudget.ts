/**
 * A cap on what lies unread over all connections together.
 *
 * Each connection's buffer has a limit of its own; ten thousand of them add up.
 * With a budget in the context, connections that hold more than their equal
 * share are held back once the budget is spent, and the small ones go on. It is
 * about what was received; what is written is bounded by each connection's
 * high-water mark, where the program waits for its writes.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Argument from "./internal/base/argument.ts"
import * as Services from "./internal/base/tags.ts"
import { Budget } from "./internal/session/budget.ts"

/**
 * A budget shared by the connections that are opened or served with it in their
 * context.
 *
 * **Details**
 *
 * Once more than `limit` bytes lie unread over all connections, those are held
 * back that have more than `limit` divided by the number of connections with
 * unread bytes; the others too once it is a quarter more than `limit`. What is
 * in flight then still arrives: at most one chunk a connection (64 KiB over
 * TCP). So `limit * 1.25` and a chunk for each connection is the most there is.
 *
 * Nobody starves: who is held back has something to read, and a read that waits
 * for more is never held back, or the program could not make room. Those held
 * back are let go on in the order in which they began to wait, once there is
 * room.
 *
 * @category models
 * @since 0.1.0
 */
export interface BufferBudget {
  /** How many bytes may lie unread before connections are held back. */
  readonly limit: number
  /** How many bytes lie unread now, in buffers of connections that are not closed. */
  readonly used: Effect.Effect<number>
}

/**
 * The budget in force; none by default.
 *
 * @category services
 * @since 0.1.0
 */
export const BufferBudget: Context.Reference<BufferBudget | undefined> = Services.BufferBudget

/**
 * A budget of `bytes` bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: { readonly bytes: number }): Effect.Effect<BufferBudget> =>
  Effect.sync(() => {
    const { bytes } = Argument.record("BufferBudget.make", "options", options)
    return new Budget(Argument.limit("BufferBudget.make", bytes, "bytes"))
  })

/**
 * A budget of `bytes` bytes for everything that is built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: { readonly bytes: number }): Layer.Layer<never> =>
  Layer.effect(BufferBudget)(make(options))
