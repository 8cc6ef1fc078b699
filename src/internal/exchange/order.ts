/** To which call an answer belongs: by the order in which they were sent, or by what it is known by. */
import type { Call } from "./call.ts"

export type AnyCall = Call<any, any, any>

/** The calls that are in flight. */
export interface Order<Request, Answer> {
  readonly size: number
  /** The request as it is sent. Called in the order of sending. */
  prepare(call: AnyCall): Request
  add(call: AnyCall): void
  /** The call that an answer is for, or why there is none; `undefined` where it is to be dropped. */
  find(answer: Answer): AnyCall | string | undefined
  /** The call whose answer is the next to come, where that is known. */
  readonly next: AnyCall | undefined
  /** All of its answers have come, or none will come. */
  remove(call: AnyCall): void
  /** Nothing is in flight any more. Returns what was. */
  clear(): ReadonlyArray<AnyCall>
}

/** Answers come in the order of the requests. */
export class InOrder<Request, Answer> implements Order<Request, Answer> {
  private calls: Array<AnyCall> = []
  private first = 0

  get size(): number {
    return this.calls.length - this.first
  }

  get next(): AnyCall | undefined {
    return this.calls[this.first]
  }

  prepare(call: AnyCall): Request {
    return call.request
  }

  add(call: AnyCall): void {
    this.calls.push(call)
  }

  find(): AnyCall | string {
    return this.next ?? "an answer that nobody asked for"
  }

  /** It is the first: answers come in order. */
  remove(): void {
    this.calls[this.first++] = undefined as never
    if (this.first === this.calls.length) {
      this.calls.length = 0
      this.first = 0
    } else if (this.first >= 1024 && this.first * 2 >= this.calls.length) {
      this.calls = this.calls.slice(this.first)
      this.first = 0
    }
  }

  clear(): ReadonlyArray<AnyCall> {
    const calls = this.calls.slice(this.first)
    this.calls = []
    this.first = 0
    return calls
  }
}

/** How answers are known. */
export interface Ids<Request, Answer> {
  readonly put: (request: Request, id: number) => Request
  readonly get: (answer: Answer) => number | undefined
}

/** Answers come as they are ready, each with the number of its request. */
export class ById<Request, Answer> implements Order<Request, Answer> {
  private readonly calls = new Map<number, AnyCall>()
  /** Numbers that were cancelled, and whose answers may come or not: the last of them. */
  private readonly cancelled = new Set<number>()
  private readonly ids: Ids<Request, Answer>
  private readonly first: number
  private readonly last: number
  private readonly mostCancelled: number
  /** Whether some were cancelled that are not known any more: what answers nothing may be an answer to one of those. */
  private hasForgotten = false
  private id: number
  /** The number that was answered last. It is not given out right away: a second answer would be taken for somebody else's. */
  private freed: number | undefined = undefined
  /** The highest number that was given out. */
  private highest: number

  constructor(ids: Ids<Request, Answer>, first: number, last: number, mostCancelled: number) {
    this.ids = ids
    this.first = first
    this.last = last
    this.mostCancelled = mostCancelled
    this.id = first
    this.highest = first - 1
  }

  get size(): number {
    return this.calls.size
  }

  get next(): undefined {
    return undefined
  }

  prepare(call: AnyCall): Request {
    // what has no answer needs nothing to be known by
    if (call.expected === 0) return call.request
    // there are more numbers than calls in flight, cancelled ones, and one
    while (this.calls.has(this.id) || this.cancelled.has(this.id) || this.id === this.freed) this.step()
    call.id = this.id
    this.highest = Math.max(this.highest, this.id)
    this.step()
    return this.ids.put(call.request, call.id)
  }

  private step(): void {
    this.id = this.id === this.last ? this.first : this.id + 1
  }

  add(call: AnyCall): void {
    this.calls.set(call.id!, call)
  }

  find(answer: Answer): AnyCall | string | undefined {
    const id = this.ids.get(answer)
    if (id === undefined) return "an answer without an id"
    return this.calls.get(id) ?? (this.mayBeLate(id) ? undefined : `an answer to ${id}, which is not in flight`)
  }

  private mayBeLate(id: number): boolean {
    return this.cancelled.has(id) || (this.hasForgotten && id >= this.first && id <= this.highest)
  }

  remove(call: AnyCall): void {
    this.calls.delete(call.id!)
    this.freed = call.id
  }

  /** Its answer may come, or not: its place is free, and its number is not given out again soon. */
  cancel(call: AnyCall): void {
    this.remove(call)
    this.cancelled.add(call.id!)
    if (this.cancelled.size <= this.mostCancelled) return
    this.cancelled.delete(this.cancelled.values().next().value!)
    this.hasForgotten = true
  }

  clear(): ReadonlyArray<AnyCall> {
    const calls = [...this.calls.values()]
    this.calls.clear()
    return calls
  }
}
