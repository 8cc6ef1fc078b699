/**
 * Those who are there, in the order in which they came, where many come and go.
 *
 * A `Set` of those would be slow for the collector. It moves to another table every few additions, and the one before goes
 * on pointing to it, and to those who were there at that moment. Once one of these tables is old, it and all that follow
 * keep alive what is long gone, until the next major collection.
 */

/** What can be there, in one place at a time. */
export interface Member<M> {
  /** Where it is. */
  place: Members<any> | undefined
  before: M | undefined
  after: M | undefined
}

export class Members<M extends Member<M>> {
  /** How many are there. */
  size = 0
  first: M | undefined = undefined
  private last: M | undefined = undefined

  /** Comes last, unless it is there already. It must be nowhere else. */
  add(member: M): void {
    if (member.place === this) return
    const { last } = this
    member.place = this
    member.before = last
    if (last === undefined) this.first = member
    else last.after = member
    this.last = member
    this.size++
  }

  /** Leaves, if it is there. */
  delete(member: M): void {
    if (member.place !== this) return
    const { after, before } = member
    if (before === undefined) this.first = after
    else before.after = after
    if (after === undefined) this.last = before
    else after.before = before
    member.place = undefined
    member.before = undefined
    member.after = undefined
    this.size--
  }

  /** All who are there now, whoever comes or leaves meanwhile. */
  [Symbol.iterator](): Iterator<M> {
    const members: Array<M> = []
    for (let member = this.first; member !== undefined; member = member.after) members.push(member)
    return members[Symbol.iterator]()
  }
}
