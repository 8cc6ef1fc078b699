/** A reader of Prometheus' text format, strict enough to refuse what a scraper would. */

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const nameOf = "[a-zA-Z_:][a-zA-Z0-9_:]*"
const sampleLine = new RegExp(`^(${nameOf})(?:\\{(.*)\\})? (\\S+)$`)
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gy

const labelsOf = (text: string): Readonly<Record<string, string>> => {
  const labels: Record<string, string> = {}
  label.lastIndex = 0
  while (label.lastIndex < text.length) {
    const found = label.exec(text)
    if (found === null) throw new Error(`no labels: ${text}`)
    labels[found[1]!] = found[2]!
  }
  return labels
}

const numberOf = (text: string): number => {
  const value = text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text)
  if (Number.isNaN(value)) throw new Error(`no number: ${text}`)
  return value
}

/** The families by name. A line that belongs to none, or a series that comes twice, is an error. */
export const parsePrometheus = (text: string): ReadonlyMap<string, Family> => {
  const families = new Map<string, { type: string; help: string; samples: Array<Sample> }>()
  const seen = new Set<string>()
  let current = ""
  let help = ""
  if (!text.endsWith("\n")) throw new Error("the last line has no end")
  for (const line of text.slice(0, -1).split("\n")) {
    if (line.startsWith("# HELP ")) {
      help = line.slice(line.indexOf(" ", 7) + 1)
      continue
    }
    if (line.startsWith("# TYPE ")) {
      const [, , name, type] = line.split(" ")
      if (families.has(name!)) throw new Error(`${name} has two types`)
      families.set(name!, { type: type!, help, samples: [] })
      current = name!
      help = ""
      continue
    }
    const found = sampleLine.exec(line)
    if (found === null) throw new Error(`no sample: ${line}`)
    const [, name, labels, value] = found
    const family = families.get(current)
    const base = family?.type === "histogram" ? name!.replace(/_(bucket|sum|count)$/, "") : name
    if (family === undefined || base !== current) throw new Error(`${name} is no part of ${current}`)
    const series = line.slice(0, line.lastIndexOf(" "))
    if (seen.has(series)) throw new Error(`${series} comes twice`)
    seen.add(series)
    family.samples.push({ name: name!, labels: labelsOf(labels ?? ""), value: numberOf(value!) })
  }
  return families
}
