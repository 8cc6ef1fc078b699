/** The runners of a cluster, their heartbeats and their leases on shards, in memory: what `SqlRunnerStorage` does with tables. */
import type { PersistenceError } from "effect/cluster/ClusterError"
import type * as RunnerStorage from "effect/cluster/RunnerStorage"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

interface RunnerRow {
  readonly machineId: number
  runner: string
  healthy: boolean
  heartbeat: number
}

export interface Lease {
  readonly runner: string
  /** When it was taken, or refreshed last. */
  readonly at: number
}

export class Runners {
  private readonly rows = new Map<string, RunnerRow>()
  private readonly leases = new Map<string, Lease>()
  private made = 0
  private readonly clock: Clock.Clock

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** The leases that have not run out, if they last for so many milliseconds. */
  leased(expiration: number): ReadonlyMap<string, string> {
    const expired = this.now - expiration
    return new Map(
      Array.from(this.leases).flatMap(([shard, { at, runner }]) => (at >= expired ? [[shard, runner]] : []))
    )
  }

  /** As a runner uses them whose leases last for so many milliseconds. */
  encoded(expiration: number): RunnerStorage.Encoded {
    const step = <A>(f: (expired: number) => A): Effect.Effect<A, PersistenceError> =>
      Effect.sync(() => f(this.now - expiration))
    return {
      getRunners: step((expired) =>
        Array.from(this.rows.values())
          .filter(({ heartbeat }) => heartbeat > expired)
          .map(({ healthy, runner }) => [runner, healthy] as const)
      ),
      register: (address, runner, healthy) => step(() => this.register(address, runner, healthy)),
      unregister: (address) =>
        step((expired) => {
          for (const [other, { heartbeat }] of this.rows) {
            if (other === address || heartbeat < expired) this.rows.delete(other)
          }
        }),
      setRunnerHealth: (address, healthy) =>
        step(() => {
          const row = this.rows.get(address)
          if (row !== undefined) row.healthy = healthy
        }),
      acquire: (address, shards) =>
        step((expired) =>
          shards.filter((shard) => {
            const lease = this.leases.get(shard)
            if (lease !== undefined && lease.runner !== address && lease.at >= expired) return false
            this.lease(shard, address)
            return true
          })
        ),
      refresh: (address, shards) =>
        step(() => {
          const row = this.rows.get(address)
          if (row !== undefined) row.heartbeat = this.now
          return shards.filter((shard) => {
            if (this.leases.get(shard)?.runner !== address) return false
            this.lease(shard, address)
            return true
          })
        }),
      release: (address, shard) =>
        step(() => {
          if (this.leases.get(shard)?.runner === address) this.leases.delete(shard)
        }),
      releaseAll: (address) =>
        step(() => {
          for (const [shard, { runner }] of this.leases) if (runner === address) this.leases.delete(shard)
        })
    }
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private lease(shard: string, runner: string): void {
    this.leases.set(shard, { runner, at: this.now })
  }

  /** A runner that comes back keeps the number that it had. */
  private register(address: string, runner: string, healthy: boolean): number {
    const row = this.rows.get(address) ?? { machineId: ++this.made, runner, healthy, heartbeat: 0 }
    Object.assign(row, { runner, healthy, heartbeat: this.now })
    this.rows.set(address, row)
    return row.machineId
  }
}
