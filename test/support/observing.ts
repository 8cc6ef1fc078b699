/** An observer that keeps all that it is told, and sees at once that the order of it is what `Observer.ts` promises. */
import { Observer } from "effect-byte-streams"
import type { Layer } from "effect"
import { concat } from "./fakeTransport.ts"

type OpeningTag = Observer.OpeningEvent["_tag"]

/** What happened to one connection. */
export class Story {
  readonly id: number
  /** The events, in short: the tag, and what tells it from others of that tag. */
  readonly tags: Array<string> = []
  readonly events: Array<Observer.Event> = []
  /** The state at each event of a connection that is open. */
  readonly snapshots: Array<readonly [tag: string, snapshot: Observer.ConnectionSnapshot]> = []
  /** `+readLine` where one began to wait, `-readLine` where it waited no more. */
  readonly reads: Array<string> = []
  readonly came: Array<Uint8Array> = []
  readonly went: Array<Uint8Array> = []
  connection: Observer.ObservedConnection | undefined = undefined

  constructor(id: number) {
    this.id = id
  }

  get in(): Uint8Array {
    return concat(this.came)
  }
  get out(): Uint8Array {
    return concat(this.went)
  }
  get side(): "client" | "server" | undefined {
    return this.connection?.side
  }
  get isClosed(): boolean {
    return this.tags.some((tag) => tag.startsWith("Closed"))
  }
  /** The state at the last event with this tag. */
  at(tag: string): Observer.ConnectionSnapshot {
    const found = this.snapshots.filter(([at]) => at === tag).at(-1)
    if (found === undefined) throw new Error(`no ${tag} in ${this.tags.join(", ")}`)
    return found[1]
  }
}

const short = (event: Observer.Event): string => {
  switch (event._tag) {
    case "Paused":
    case "Resumed":
      return `${event._tag} ${event.direction} ${event.reason}`
    case "TimedOut":
      return `${event._tag} ${event.kind}`
    case "Failed":
      return `${event._tag} ${event.error._tag}`
    case "Closed":
      return `${event._tag} ${event.outcome._tag}`
    case "AttemptFailed":
      return `${event._tag} ${event.attempt.kind}`
    case "ConnectFailed":
    case "HandshakeFailed":
      return `${event._tag} ${event.error?.kind ?? "GivenUp"}`
    default:
      return event._tag
  }
}

const opening: ReadonlySet<string> = new Set<OpeningTag>([
  "Connecting",
  "AttemptStarted",
  "AttemptFailed",
  "ConnectFailed",
  "HandshakeStarted",
  "HandshakeSucceeded",
  "HandshakeFailed"
])

export class Recording {
  /** By the number of the connection, in the order in which they began. */
  readonly stories = new Map<number, Story>()
  /** The events of servers, in short. */
  readonly servers: Array<Observer.ServerEvent> = []
  readonly observer: Observer.Observer
  readonly layer: Layer.Layer<never>

  constructor(more?: Observer.Observer) {
    const own: Observer.Observer = {
      onEvent: (event) => {
        if (!("connection" in event) && !opening.has(event._tag)) {
          this.servers.push(event as Observer.ServerEvent)
          return
        }
        const story = this.of("connection" in event ? event.connection.id : (event as Observer.OpeningEvent).id)
        story.events.push(event)
        story.tags.push(short(event))
        if (!("connection" in event)) return
        story.connection ??= event.connection
        story.snapshots.push([event._tag, event.connection.snapshot()])
        if (story.connection !== event.connection) story.tags.push("another object!")
      },
      onBytes: ({ id }, direction, bytes) => {
        const story = this.of(id)
        ;(direction === "in" ? story.came : story.went).push(bytes.slice())
        if (story.isClosed) story.tags.push(`bytes ${direction} behind Closed!`)
      },
      onReadStarted: ({ id }, operation) => void this.of(id).reads.push(`+${operation}`),
      onReadEnded: ({ id }, operation) => void this.of(id).reads.push(`-${operation}`)
    }
    this.observer = more === undefined ? own : Observer.merge(own, more)
    this.layer = Observer.layer(this.observer)
  }

  private of(id: number): Story {
    let story = this.stories.get(id)
    if (story === undefined) this.stories.set(id, (story = new Story(id)))
    return story
  }

  get all(): ReadonlyArray<Story> {
    return [...this.stories.values()]
  }
  /** Those of one side that were opened. */
  on(side: "client" | "server" | undefined): ReadonlyArray<Story> {
    return this.all.filter((story) => story.connection !== undefined && story.side === side)
  }
  get client(): Story {
    return this.on("client")[0] ?? this.all.find(({ tags }) => tags[0] === "Connecting")!
  }
  get server(): Story {
    return this.on("server")[0]!
  }
  /** Whether so many connections were opened, and all of them are closed. */
  closed(count: number): boolean {
    const opened = this.all.filter((story) => story.connection !== undefined)
    return opened.length === count && opened.every((story) => story.isClosed)
  }
  get tellsOfServers(): ReadonlyArray<string> {
    return this.servers.map((event) => (event._tag === "Rejected" ? `Rejected ${event.reason}` : event._tag))
  }
}

/** What is wrong with the order of what was told of a connection, which is to be nothing. */
export const faultsOf = ({ events, id, reads, tags }: Story): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const fault = (what: string) => faults.push(`#${id} ${what}: ${tags.join(", ")}; reads ${reads.join(" ")}`)
  const indexes = (tag: string) => events.flatMap((event, i) => (event._tag === tag ? [i] : []))
  const opened = indexes("Opened")
  const first = events.findIndex((event) => "connection" in event)
  if (first === -1) {
    if (indexes("Connecting").length === 1 && events.at(-1)!._tag !== "ConnectFailed") fault("no end of connecting")
  } else {
    if (opened.length !== 1 || opened[0] !== first) fault("not opened first and once")
    const closed = indexes("Closed")
    if (closed.length !== 1 || closed[0] !== events.length - 1) fault("not closed last and once")
  }
  if (indexes("Connecting").some((i) => i !== 0)) fault("not connecting first and once")
  for (const once of ["Ended", "Failed", "Closing", "Admitted", "ConnectFailed"]) {
    if (indexes(once).length > 1) fault(`${once} more than once`)
  }
  for (const direction of ["in", "out"]) {
    let paused = false
    for (const event of events) {
      if ((event._tag !== "Paused" && event._tag !== "Resumed") || event.direction !== direction) continue
      if (paused === (event._tag === "Paused")) fault(`${event._tag} ${direction} twice`)
      paused = event._tag === "Paused"
    }
  }
  let handshake = false
  for (const { _tag } of events) {
    if (!_tag.startsWith("Handshake")) continue
    if (handshake === (_tag === "HandshakeStarted")) fault(`${_tag} twice`)
    handshake = _tag === "HandshakeStarted"
  }
  if (handshake) fault("a handshake that does not end")
  reads.forEach((read, i) => {
    const began = read.startsWith("+")
    if (began !== (i % 2 === 0) || (!began && reads[i - 1] !== `+${read.slice(1)}`)) fault(`read ${i}`)
  })
  if (reads.length % 2 !== 0) fault("a read that does not end")
  for (const tag of tags) if (tag.endsWith("!")) fault(tag)
  return faults
}
