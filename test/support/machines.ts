/** Machines of a network that tests of clusters run on: addresses of this host. */

/**
 * Addresses of machines that other runs do not have, for programs whose ports must be known before they listen. All of
 * 127.0.0.0/8 is this host, on Linux.
 */
export const machines = (count: number): ReadonlyArray<string> => {
  const some = () => 1 + Math.floor(Math.random() * 250)
  const network = `127.${some()}.${some()}`
  return Array.from({ length: count }, (_, index) => `${network}.${index + 1}`)
}

/** Where runners listen, as with Effect's own default. */
export const runnerPort = 34_431
