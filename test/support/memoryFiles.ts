/** A file system in memory, with a disk that can be full, slow or broken. */
import { ByteSize, Effect, FileSystem, type Layer, Option, PlatformError } from "effect"

export interface MemoryFiles {
  /** What each file holds. */
  readonly files: Map<string, Uint8Array>
  readonly layer: Layer.Layer<FileSystem.FileSystem>
  /** The number of bytes that may still be written: a write that has more writes these, and fails. */
  room: number
  /** What each operation waits for. */
  gate: Effect.Effect<void>
  /** The number of renames that still succeed. */
  renames: number
  /** The number of writes that were tried. */
  writes: number
}

const error = (method: string, path: string, _tag: "NotFound" | "Unknown", description: string) =>
  PlatformError.systemError({ module: "FileSystem", method, _tag, description, pathOrDescriptor: path })

export const memoryFiles = (): MemoryFiles => {
  const files = new Map<string, Uint8Array>()
  const has = (method: string, path: string) =>
    Effect.suspend(() => {
      const content = files.get(path)
      return content === undefined
        ? Effect.fail(error(method, path, "NotFound", "no such file"))
        : Effect.succeed(content)
    })
  const stat = (path: string) =>
    Effect.map(has("stat", path), (content): FileSystem.File.Info => ({
      type: "File",
      mtime: Option.none(),
      atime: Option.none(),
      birthtime: Option.none(),
      dev: 0n,
      ino: Option.none(),
      mode: 0o600,
      nlink: Option.none(),
      uid: Option.none(),
      gid: Option.none(),
      rdev: Option.none(),
      size: ByteSize.fromInputUnsafe(content.length),
      blksize: Option.none(),
      blocks: Option.none()
    }))
  const writeAll = (path: string) => (bytes: Uint8Array) =>
    Effect.suspend(() => {
      disk.writes++
      return disk.gate
    }).pipe(
      Effect.andThen(has("writeAll", path)),
      Effect.flatMap((content) => {
        const written = Math.min(bytes.length, disk.room)
        disk.room -= written
        files.set(path, Uint8Array.from(Buffer.concat([content, bytes.subarray(0, written)])))
        return written < bytes.length
          ? Effect.fail(error("writeAll", path, "Unknown", "ENOSPC: no space left on device"))
          : Effect.void
      })
    )
  const disk: MemoryFiles = {
    files,
    room: Infinity,
    gate: Effect.void,
    renames: Infinity,
    writes: 0,
    layer: FileSystem.layerNoop({
      exists: (path) => Effect.sync(() => files.has(path)),
      stat,
      truncate: (path, length = 0) =>
        Effect.map(has("truncate", path), (content) => void files.set(path, content.slice(0, length))),
      rename: (from, to) =>
        Effect.flatMap(has("rename", from), (content) => {
          if (disk.renames-- <= 0) return Effect.fail(error("rename", from, "Unknown", "EIO: i/o error"))
          files.delete(from)
          files.set(to, content)
          return Effect.void
        }),
      open: (path, options) =>
        Effect.suspend(() => {
          if (options?.flag !== "a") return Effect.die(new Error("only to append"))
          if (!files.has(path)) files.set(path, new Uint8Array(0))
          return Effect.succeed({ writeAll: writeAll(path), stat: stat(path) } as unknown as FileSystem.File)
        })
    })
  }
  return disk
}
