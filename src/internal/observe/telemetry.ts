/** The observer that measures and traces. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Event, Observer } from "../../Observer.ts"
import { partsOf } from "../base/mergedObserver.ts"
import { BufferBudget } from "../base/tags.ts"
import * as Conventions from "./conventions.ts"
import { Meter } from "./meter.ts"
import { Spans } from "./spans.ts"

/** What observers of this kind write to. */
const outputs = new WeakMap<Observer, { readonly meter: Meter; readonly tracer: Tracer.Tracer | undefined }>()

/** `beside` is told of the same connections. What it measures and traces already is not done twice. */
export const make = (wantsSpans: boolean, beside: Observer | undefined): Effect.Effect<Observer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const services = yield* Effect.context<never>()
    const others = beside === undefined ? [] : partsOf(beside).map((part) => outputs.get(part))
    const clock = Context.get(services, Clock.Clock)
    const meter = Meter.of(services)
    const measured = others.some((other) => other?.meter === meter)
    const tracer = Context.get(services, Tracer.Tracer)
    const traced = others.some((other) => other?.tracer === tracer)
    const spans = wantsSpans && !traced ? Spans.of(services) : undefined
    const budget = Context.get(services, BufferBudget)
    if (budget !== undefined) {
      yield* Effect.acquireRelease(
        Effect.sync(() => meter.addBudget(budget)),
        () => Effect.sync(() => meter.removeBudget(budget))
      )
    }
    const observer: Observer = {
      onEvent: (event: Event) => {
        if (!measured) meter.event(event, clock)
        spans?.event(event)
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
    }
    outputs.set(observer, { meter, tracer: spans === undefined ? undefined : tracer })
    return observer
  })
