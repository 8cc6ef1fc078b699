/** What sessions find around them: services of the program that connects or serves, asked for once. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import { isObserved } from "../base/observing.ts"
import { BufferBudget } from "../base/tags.ts"
import * as Coarse from "../runtime/coarseClock.ts"
import type { Budget } from "./budget.ts"

export class Surroundings {
  /** All of them. */
  readonly services: Context.Context<never>
  readonly clock: Clock.Clock
  readonly coarseClock: Coarse.CoarseClock
  readonly budget: Budget | undefined
  /** Whether anybody is told of connections. */
  readonly observed: boolean

  constructor(services: Context.Context<never>) {
    this.services = services
    this.clock = Context.get(services, Clock.Clock)
    this.coarseClock = Coarse.of(this.clock)
    this.budget = Context.get(services, BufferBudget) as Budget | undefined
    this.observed = isObserved(services)
  }
}
