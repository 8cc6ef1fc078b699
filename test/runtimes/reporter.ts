/** Writes what became of each test into the file that `RUNTIMES_REPORT` names, for `npm run test:runtimes`. */
import { writeFileSync } from "node:fs"
import type { SerializedError } from "vitest"
import type { Reporter, TestCase, TestModule } from "vitest/node"
import { exceptions } from "./exceptions.ts"
import { exceptionFor, exceptionsOf, type Report, type Result } from "./judge.ts"
import { runtimeHere } from "./names.ts"

/** What Vitest says of a test that had to fail. */
const hasPassed = "Expect test to fail"

export class RuntimeReporter implements Reporter {
  readonly #exceptions = exceptionsOf(exceptions, runtimeHere())

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<SerializedError>): void {
    const results: Array<Result> = []
    const broken = unhandledErrors.map(({ message }) => `an error that nobody handles: ${message}`)
    for (const module of modules) {
      for (const test of module.children.allTests()) results.push(this.#result(module, test))
      const errors = [module, ...module.children.allSuites()].flatMap((suite) => suite.errors())
      for (const { message } of errors) broken.push(`${module.relativeModuleId}: ${message}`)
    }
    writeFileSync(process.env.RUNTIMES_REPORT!, JSON.stringify({ results, broken } satisfies Report))
  }

  #result(module: TestModule, test: TestCase): Result {
    const [file, name] = [module.relativeModuleId, test.fullName]
    const { errors, state } = test.result()
    const kind = exceptionFor(this.#exceptions, file, name)?.kind
    if (kind === "left out") return { file, name, state: "left out" }
    if (kind === "fails" && state === "passed") return { file, name, state: "failed as listed" }
    if (kind === "fails" && state === "failed" && errors.every(({ message }) => message === hasPassed)) {
      return { file, name, state: "passed against the list" }
    }
    // one that is pending when the run ends was never run
    return { file, name, state: state === "pending" ? "failed" : state }
  }
}
