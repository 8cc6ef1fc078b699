/** The observer that measures and traces. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Observer } from "../../Observer.ts"
import { BufferBudget } from "../base/tags.ts"
import * as Conventions from "./conventions.ts"
import { Meter } from "./meter.ts"
import { Spans } from "./spans.ts"

export const make = (wantsSpans: boolean): Effect.Effect<Observer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const services = yield* Effect.context<never>()
    const clock = Context.get(services, Clock.Clock)
    const meter = Meter.of(services)
    const spans = wantsSpans ? Spans.of(services) : undefined
    const budget = Context.get(services, BufferBudget)
    if (budget !== undefined) {
      yield* Effect.acquireRelease(
        Effect.sync(() => meter.addBudget(budget)),
        () => Effect.sync(() => meter.removeBudget(budget))
      )
    }
    return {
      onEvent:
        spans === undefined
          ? (event) => meter.event(event, clock)
          : (event) => {
              meter.event(event, clock)
              spans.event(event)
            },
      handlerContext: (connection, context) => {
        const annotations = {
          ...Context.get(context, References.CurrentLogAnnotations),
          "byte_streams.connection.id": connection.id,
          ...Conventions.peerAttributes(connection.info)
        }
        const annotated = Context.make(References.CurrentLogAnnotations, annotations) as Context.Context<never>
        const span = spans?.of(connection)
        return span === undefined ? annotated : Context.add(annotated, Tracer.ParentSpan, span)
      }
    } satisfies Observer
  })
