/**
 * A file that lines are added to, and that makes room for another one when it is full: `path` becomes `path.1`, that one
 * `path.2`, and the oldest is gone.
 *
 * Each step may fail and be tried again: a line that was written in part is cut off before anything else is written.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { File, FileSystem } from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import * as Bytes from "../base/bytes.ts"

interface Open {
  readonly file: File
  readonly scope: Scope.Closeable
}

export class RotatingFile {
  private readonly fs: FileSystem
  private readonly path: string
  private readonly maxFiles: number
  private open: Open | undefined = undefined
  /** Whether what is at the path has yet to make room. */
  private full = true
  private written = 0

  constructor(fs: FileSystem, path: string, maxFiles: number) {
    this.fs = fs
    this.path = path
    this.maxFiles = maxFiles
  }

  /** The number of bytes that the file has. */
  get size(): number {
    return this.full ? 0 : this.written
  }

  /** The next lines go to another file. */
  rotate(): void {
    this.full = true
  }

  /** Opens the file. One of an earlier run makes room. */
  get prepare(): Effect.Effect<void, PlatformError> {
    return Effect.asVoid(Effect.suspend(() => this.opened))
  }

  append(lines: ReadonlyArray<Uint8Array>): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function* () {
      const file = yield* this.opened
      const bytes = Bytes.joined(lines)
      yield* file.writeAll(bytes)
      this.written += bytes.length
    }).pipe(Effect.onError(() => this.close))
  }

  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { open } = this
      this.open = undefined
      return open === undefined ? Effect.void : Scope.close(open.scope, Exit.void)
    })
  }

  private get opened(): Effect.Effect<File, PlatformError> {
    return Effect.gen({ self: this }, function* () {
      if (this.full) {
        yield* this.close
        yield* this.makeRoom
        this.written = 0
        this.full = false
      }
      if (this.open !== undefined) return this.open.file
      yield* this.cutOff
      const scope = yield* Scope.make()
      // whoever gives up meanwhile closes what is open, and not what is about to be
      return yield* Scope.provide(this.fs.open(this.path, { flag: "a" }), scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void)),
        Effect.map((file) => {
          this.open = { file, scope }
          return file
        }),
        Effect.uninterruptible
      )
    })
  }

  /** Takes away what is behind the last whole line. */
  private get cutOff(): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function* () {
      const size = yield* this.sizeOf(this.path)
      if (size > this.written) yield* this.fs.truncate(this.path, this.written)
      else this.written = size
    })
  }

  /** Those in front of the first gap move: where this failed before, the older ones have moved already. */
  private get makeRoom(): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function* () {
      const size = yield* this.sizeOf(this.path)
      if (size === 0 || this.maxFiles === 1) return
      let gap = 1
      while (gap < this.maxFiles - 1 && (yield* this.fs.exists(this.name(gap)))) gap++
      for (; gap > 0; gap--) yield* this.fs.rename(this.name(gap - 1), this.name(gap))
    })
  }

  private name(index: number): string {
    return index === 0 ? this.path : `${this.path}.${index}`
  }

  /** 0 for a file that is not there. */
  private sizeOf(path: string): Effect.Effect<number, PlatformError> {
    return Effect.map(this.fs.stat(path), ({ size }) => ByteSize.toNumberUnsafe(size)).pipe(
      Effect.catchTag("PlatformError", (error) =>
        error.reason._tag === "NotFound" ? Effect.succeed(0) : Effect.fail(error)
      )
    )
  }
}
