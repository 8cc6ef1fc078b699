/** Turns of the event loop. */

/** Does something in the next turn. */
export const nextTurn: (task: () => void) => void =
  typeof globalThis.setImmediate === "function" ? (task) => void setImmediate(task) : (task) => void setTimeout(task, 0)

/** So many turns, one after the other, and then something. */
const turns =
  (count: number) =>
  (task: () => void): void => {
    let left = count
    const turn = (): void => (--left === 0 ? task() : nextTurn(turn))
    nextTurn(turn)
  }

/**
 * Does something once the system has been asked for what is new.
 *
 * On Node and Bun a turn does that. Deno asks when it has nothing else to do, and otherwise every sixty-first turn: a timer
 * would do on an idle machine, and on a busy one it is due before anybody rests. This goes by the name of the runtime, since
 * a probe would have to open a connection, and to stand still until something has come over it.
 */
export const nextPoll: (task: () => void) => void = "Deno" in globalThis ? turns(64) : nextTurn
