/** Turns of the event loop. */

/** Does something in the next turn. */
export const nextTurn: (task: () => void) => void =
  typeof globalThis.setImmediate === "function" ? (task) => void setImmediate(task) : (task) => void setTimeout(task, 0)
