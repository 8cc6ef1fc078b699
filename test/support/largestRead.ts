/** The most that one read of the system brings: Bun reads into 512 KiB, everybody else into 64 KiB. */
export const largestRead = process.versions.bun === undefined ? 65_536 : 524_288
