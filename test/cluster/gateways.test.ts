/** The example of gateways and rooms, as a user starts it: it looks by itself at what became of each message. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { needs } from "../support/peers.ts"
import { start } from "../support/program.ts"

const root = join(import.meta.dirname, "../..")

it.live(
  "npm run example:gateway: a gateway is killed, its rooms answer elsewhere, and every acknowledged message is heard by all",
  () =>
    Effect.gen(function* () {
      const begun = Date.now()
      const example = yield* start(process.execPath, [join(root, "examples", "gateway.ts")], { patience: 60_000 })
      const said = yield* example.succeeds
      assert.match(said, /the gateway \S+ is killed: it ran \w+/)
      assert.match(said, /members connected again ([1-9]|\d\d+) times/)
      assert.match(
        said,
        /every acknowledged message reached every member of its room, once, and in the order of its numbers\n$/
      )
      // the rooms of the dead gateway are on another one
      const dead = /gateway (\S+) is killed/.exec(said)![1]!
      for (const [, room, host] of said.matchAll(/the (\w+), on (\S+), has answered/g)) {
        assert.notStrictEqual(host, dead, room)
      }
      assert.strictEqual(Array.from(said.matchAll(/has answered each of its members again/g)).length, 3)
      assert.isBelow(Date.now() - begun, 60_000)
    }).pipe(Effect.scoped),
  { ...needs("initdb", "postgres"), timeout: 70_000 }
)
