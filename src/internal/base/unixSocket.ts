/** What every network knows of Unix sockets. */
import * as Bytes from "./bytes.ts"

/** What a socket address of Linux has room for, in bytes. */
export const longestOnLinux = 108

/** The same of macOS and the BSDs. */
export const longestElsewhere = 104

/** Whether it is the name of an abstract socket, which is in no directory, and is free as soon as nobody listens. */
export const isAbstract = (path: string): boolean => path.startsWith("\0")

/** In bytes, as the system counts: the NUL in front of an abstract name is one of them. */
export const sizeOf = (path: string): number => Bytes.encode(path).length
