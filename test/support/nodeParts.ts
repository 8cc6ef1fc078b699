/** Where the library leaves private parts of Node alone: `npm run test:public-api`. */
import { hasNow, type Part } from "../../src/internal/node/nodeInternals.ts"
import type {} from "./publicApi.ts"

/** The options of a test about a private part of Node: skipped where the part is left alone, and the end of the run says why. */
export const onPartOfNode = (part: Part, why: string) => ({ skip: !hasNow(part), meta: { why } })
