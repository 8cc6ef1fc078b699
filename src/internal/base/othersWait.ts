/**
 * On Effect's public API alone code of others waits until the step is over that takes something: it could interrupt the fiber
 * that runs, and the fiber would not know. What it would have been told then it is told in a microtask behind that, or
 * before something else is told or taken, in order: no more waits to be told than one operation caused.
 */

/** Whether an operation takes something right now. */
let taking = false

/** What others have yet to be told. */
const untold: Array<() => void> = []

/** Whether they are being told that. */
let telling = false

/** Whether code of others has to wait. */
export const othersWait = (): boolean => taking

/** Lets code of others wait, or no longer. What was so before. */
export const letOthersWait = (wait: boolean): boolean => {
  const before = taking
  taking = wait
  return before
}

/** Tells others something as soon as they need not wait for it. */
export const tellLater = (tell: () => void): void => {
  if (untold.push(tell) === 1) queueMicrotask(tellUntold)
}

/** Tells others what they have yet to be told, unless they have to wait for that. Whether they know it all. */
export const tellNow = (): boolean => {
  if (taking || telling) return false
  tellUntold()
  return true
}

/** Tells others what they have yet to be told, unless they have to wait for that. Whether anything was told. */
export const tellBefore = (): boolean => untold.length > 0 && tellNow()

const tellUntold = (): void => {
  if (untold.length === 0) return
  telling = true
  try {
    // whoever is told may make more to be told
    for (let tell = untold.shift(); tell !== undefined; tell = untold.shift()) tell()
  } finally {
    telling = false
  }
}
