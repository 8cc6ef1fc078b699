/** What the exceptions say of a test, and what a run says of the exceptions. */
import type { Exception } from "./exceptions.ts"
import type { Runtime } from "./names.ts"

/** What became of one test. One that had to fail, and did, is "passed" to Vitest, and "failed as listed" here. */
export interface Result {
  readonly file: string
  readonly name: string
  readonly state: "passed" | "failed" | "skipped" | "failed as listed" | "passed against the list" | "left out"
}

/** What one run of Vitest has found. */
export interface Report {
  readonly results: ReadonlyArray<Result>
  /** What is broken without a test that says so: files that cannot be loaded, errors that nobody handles. */
  readonly broken: ReadonlyArray<string>
}

/** Whether an exception is about all of this file. */
const coversFile = (exception: Exception, file: string): boolean =>
  exception.tests === "all" &&
  (exception.file.endsWith("/") ? file.startsWith(exception.file) : file === exception.file)

const names = (exception: Exception, file: string, test: string): ReadonlyArray<string> =>
  exception.tests === "all" || exception.file !== file
    ? []
    : exception.tests.filter((name) => test === name || test.startsWith(`${name} > `))

/** The exceptions of one runtime. */
export const exceptionsOf = (all: ReadonlyArray<Exception>, runtime: Runtime): ReadonlyArray<Exception> =>
  all.filter(({ on }) => on.includes(runtime))

/** Which exception a test has, if it has one. */
export const exceptionFor = (exceptions: ReadonlyArray<Exception>, file: string, test: string): Exception | undefined =>
  exceptions.find((exception) => coversFile(exception, file) || names(exception, file, test).length > 0)

/** Patterns of the files that are not even loaded. */
export const leftOutWhole = (exceptions: ReadonlyArray<Exception>): ReadonlyArray<string> =>
  exceptions.flatMap(({ file, tests }) => (tests === "all" ? (file.endsWith("/") ? `${file}**` : file) : []))

/** What is wrong with the list itself: `files` are all the test files that there are. */
export const wrongEntries = (all: ReadonlyArray<Exception>, files: ReadonlyArray<string>): ReadonlyArray<string> =>
  all.flatMap((exception) => {
    const { file, on, reason, tests } = exception
    const there = file.endsWith("/") ? files.some((name) => name.startsWith(file)) : files.includes(file)
    return [
      there ? [] : `the exception for ${file} names no test file`,
      file.endsWith("/") && tests !== "all" ? `the exception for ${file} names tests of a folder` : [],
      tests.length === 0 || on.length === 0 ? `an exception for ${file} is about nothing` : [],
      reason.trim() === "" ? `the exception for ${file} has no reason` : []
    ].flat()
  })

/** Why a run on a runtime has failed; nothing if it has not. */
export const problemsOf = (exceptions: ReadonlyArray<Exception>, report: Report): ReadonlyArray<string> => {
  const ran = new Set(report.results.map(({ file }) => file))
  const shown = ({ file, name }: Result) => `${file} > ${name}`
  const of = (state: Result["state"], says: string) =>
    report.results.filter((result) => result.state === state).map((result) => `${shown(result)}: ${says}`)
  const twice = report.results.filter(
    ({ file, name }) => exceptions.filter((exception) => names(exception, file, name).length > 0).length > 1
  )
  const unnamed = exceptions.flatMap((exception) =>
    exception.tests === "all" || !ran.has(exception.file)
      ? []
      : exception.tests
          .filter((title) =>
            report.results.every(
              ({ file, name }) => file !== exception.file || (name !== title && !name.startsWith(`${title} > `))
            )
          )
          .map((title) => `${exception.file} > ${title}: the exception names no test`)
  )
  return [
    ...report.broken,
    ...of("failed", "failed, and is not in the list"),
    ...of("passed against the list", "passed: the exception is to go"),
    ...twice.map((result) => `${shown(result)}: two exceptions are about it`),
    ...unnamed
  ]
}
