/** Runs tests as the exceptions of the runtime say: those that fail have to, and those that are left out are skipped. */
import { type RunnerTestCase, type RunnerTestSuite, TestRunner } from "vitest"
import { exceptions } from "./exceptions.ts"
import { exceptionFor, exceptionsOf } from "./judge.ts"
import { runtimeHere } from "./names.ts"

const here = exceptionsOf(exceptions, runtimeHere())

const exceptionOf = (test: RunnerTestCase) => exceptionFor(here, test.file.name, test.fullTestName)

const isLeftOut = (task: RunnerTestCase | RunnerTestSuite): boolean =>
  task.type === "test" ? exceptionOf(task)?.kind === "left out" : task.tasks.every(isLeftOut)

export default class extends TestRunner {
  override onBeforeRunSuite(suite: RunnerTestSuite): Promise<void> {
    // nor are its hooks run
    if (suite.tasks.length > 0 && isLeftOut(suite)) suite.mode = "skip"
    return super.onBeforeRunSuite(suite)
  }

  override onBeforeRunTask(test: RunnerTestCase): Promise<void> {
    const kind = test.mode === "run" ? exceptionOf(test)?.kind : undefined
    if (kind === "fails") test.fails = true
    if (kind === "left out") {
      test.mode = "skip"
      test.result = { state: "skip" }
    }
    return super.onBeforeRunTask(test)
  }
}
