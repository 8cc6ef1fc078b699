/**
 * A bound on the unread bytes of all connections together.
 *
 * The buffer of each connection has a limit of its own, and ten thousand of them add up. A budget in the context bounds
 * the sum. Once it is spent, connections with more than their equal share are held back, and the others go on.
 *
 * A budget counts bytes received and not read. Bytes written and not sent are bounded by the high-water mark of each
 * connection.
 *
 * @stability unstable
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Argument from "./internal/base/argument.ts"
import * as Services from "./internal/base/tags.ts"
import { Budget } from "./internal/session/budget.ts"

/**
 * A budget, shared by all connections that are opened or served with it in their context.
 *
 * **Details**
 *
 * - Above `limit` unread bytes in total, every connection is held back that has more than `limit` divided by the number
 *   of connections with unread bytes.
 * - Above `1.25 * limit` all others are held back as well. Bytes on their way then still arrive: at most one chunk for
 *   each connection. So the total never exceeds `1.25 * limit` and one chunk for each connection. Over TCP a chunk has
 *   at most 64 KiB on Node and Deno, and 512 KiB on Bun.
 * - A held-back connection goes on once there is room, in the order in which they began to wait.
 * - No connection starves. A held-back connection has something to read, and a read that waits for more is never held
 *   back.
 *
 * @see {@link make}, {@link layer}
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface BufferBudget {
  /** The number of unread bytes above which connections are held back. */
  readonly limit: number
  /** The number of unread bytes now, in the buffers of connections that are not closed. */
  readonly used: Effect.Effect<number>
}

/**
 * The budget in force. Default: none.
 *
 * @see {@link layer} to set one.
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export const BufferBudget: Context.Reference<BufferBudget | undefined> = Services.BufferBudget

/**
 * Makes a budget.
 *
 * **When to use**
 *
 * For a budget that is provided to some connections by hand (`Effect.provideService`). `layer` is the usual way.
 *
 * @see {@link layer}
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  /** The number of unread bytes above which connections are held back. */
  readonly bytes: number
}): Effect.Effect<BufferBudget> =>
  Effect.sync(() => {
    const { bytes } = Argument.record("BufferBudget.make", "options", options)
    return new Budget(Argument.limit("BufferBudget.make", bytes, "bytes"))
  })

/**
 * A budget for every connection that is opened or served with this layer.
 *
 * @see {@link make}
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: {
  /** The number of unread bytes above which connections are held back. */
  readonly bytes: number
}): Layer.Layer<never> => Layer.effect(BufferBudget)(make(options))
