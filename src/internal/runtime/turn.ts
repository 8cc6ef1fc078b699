/** Turns of the event loop. */

const timer = (task: () => void): void => void setTimeout(task, 0)

/** Does something in the next turn. */
export const nextTurn: (task: () => void) => void =
  typeof globalThis.setImmediate === "function" ? (task) => void setImmediate(task) : timer

/**
 * Does something once the system has been asked for what is new.
 *
 * On Node and Bun a turn does that. Deno asks only when it has nothing else to do, and otherwise every sixty-first turn:
 * there it takes a timer, which a millisecond without anything to do comes before. This goes by the name of the runtime,
 * since a probe would have to open a connection, and to stand still until something has come over it.
 */
export const nextPoll: (task: () => void) => void = "Deno" in globalThis ? timer : nextTurn
