/**
 * What the environment says of the private parts of others that the library uses where it finds them: of Effect's in
 * `runtime/effectInternals`, of Node's in `node/nodeInternals`.
 *
 * `1` leaves all of them alone. Names of parts of Node's, with commas between them, leave those alone.
 */
export const variable = "EFFECT_BYTE_STREAMS_PUBLIC_API"

const read = (): string => {
  const { Deno, process } = globalThis as any
  try {
    // where Deno has not been told whether the environment may be read, it would ask the user
    const permission = Deno?.permissions?.querySync?.({ name: "env", variable })
    return ((permission === undefined || permission.state === "granted") && process?.env?.[variable]) || ""
  } catch {
    return ""
  }
}

/** What the variable held when it was first asked for. */
export const said: string = read()

/** Whether all private parts are to be left alone. */
export const isForced: boolean = said === "1"
