/** Those who are there, against a `Set`. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Member, Members } from "../../src/internal/base/members.ts"

interface One extends Member<One> {
  readonly name: number
}

const one = (_: unknown, name: number): One => ({ name, place: undefined, before: undefined, after: undefined })

describe("those who come and go are in the order in which they came, as in a Set", () => {
  it("whoever leaves, and comes again", () =>
    fc.assert(
      fc.property(fc.array(fc.record({ who: fc.nat(7), comes: fc.boolean() })), (steps) => {
        const all = Array.from({ length: 8 }, one)
        const members = new Members<One>()
        const model = new Set<One>()
        for (const { comes, who } of steps) {
          const member = all[who]!
          if (comes) {
            members.add(member)
            model.add(member)
          } else {
            members.delete(member)
            model.delete(member)
          }
          assert.deepStrictEqual(
            Array.from(members, ({ name }) => name),
            Array.from(model, ({ name }) => name)
          )
          assert.strictEqual(members.size, model.size)
          assert.strictEqual(members.first, model.values().next().value)
        }
      })
    ))

  it("whoever has left points to nobody", () =>
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 8 }, (_, index) => index)), (leaving) => {
        const all = Array.from({ length: 8 }, one)
        const members = new Members<One>()
        for (const member of all) members.add(member)
        for (const who of leaving) members.delete(all[who]!)
        for (const who of leaving) {
          const { after, before, place } = all[who]!
          assert.deepStrictEqual([before, after, place], [undefined, undefined, undefined])
        }
      })
    ))

  it("one that leaves a place in which it is not stays where it is", () => {
    const here = new Members<One>()
    const member = one(undefined, 0)
    here.add(member)
    new Members<One>().delete(member)
    assert.deepStrictEqual([...here], [member])
  })

  it("those who are there when it begins are gone through, whoever leaves meanwhile", () => {
    const members = new Members<One>()
    const all = Array.from({ length: 4 }, one)
    for (const member of all) members.add(member)
    const seen: Array<number> = []
    for (const member of members) {
      seen.push(member.name)
      for (const other of all) members.delete(other)
    }
    assert.deepStrictEqual(seen, [0, 1, 2, 3])
  })
})
