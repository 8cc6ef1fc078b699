/**
 * Checks that the public modules are documented, by the compiler's own view of them, which is what an editor shows.
 *
 * - A module begins with a docstring that has a summary, `@since` and `@stability`.
 * - Each export has a docstring of its own with a summary, `@category`, `@since` and `@stability`. A constant and a type
 *   of the same name are two exports.
 * - Each field and method that a program can meet has a docstring: those of exported interfaces, options and errors,
 *   of parameters and results, also where the type itself is declared in `src/internal`. `_tag` and `message` need none:
 *   the type says what its tags mean, and every error has a message. Nor does a field that must be absent.
 * - Each `{@link …}` leads somewhere, and so does each relative link of a page, to a file and to a heading of that.
 *
 * Usage: npm run check:docs
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast"
import { API, SignatureKind, type Symbol, SymbolFlags, type Type, TypeFlags } from "typescript/unstable/sync"

const root = resolve(import.meta.dirname, "..")
const src = join(root, "src")
const stabilities = ["stable", "unstable"]
const selfEvident = ["_tag", "message"]

const faults = new Set<string>()
let exported = 0
let links = 0
const members = new Set<string>()

/** The docstring right in front of a node, without its stars; `undefined` where there is none. */
const docstringOf = (node: Node): string | undefined => {
  const text = node.getSourceFile().text.slice(node.pos, node.getStart())
  const last = text.lastIndexOf("/**")
  if (last < 0) return undefined
  const end = text.indexOf("*/", last)
  // something else stands between the two: it is the docstring of that
  return text.slice(end + 2).trim() === "" ? plain(text.slice(last + 3, end)) : undefined
}

const plain = (comment: string): string => comment.replaceAll(/^\s*\* ?/gm, "").trim()

const tagOf = (docstring: string, tag: string): string | undefined =>
  new RegExp(`^@${tag}[ \\t]+(\\S.*)$`, "m").exec(docstring)?.[1]?.trim()

const checkDocstring = (what: string, docstring: string | undefined, tags: ReadonlyArray<string>): void => {
  if (docstring === undefined) return void faults.add(`${what} has no docstring`)
  if (docstring === "" || docstring.startsWith("@")) faults.add(`${what} has no summary`)
  for (const tag of tags) if (tagOf(docstring, tag) === undefined) faults.add(`${what} has no @${tag}`)
  const stability = tagOf(docstring, "stability")
  if (stability !== undefined && !stabilities.includes(stability)) {
    faults.add(`${what} has the @stability "${stability}", which is none of ${stabilities.join(", ")}`)
  }
}

/** The statement that declares something: a docstring stands in front of `export const`, not of its name. */
const statementOf = (node: Node): Node => {
  let statement = node
  while (statement.parent !== undefined && statement.parent.kind !== SyntaxKind.SourceFile) statement = statement.parent
  return statement
}

/** What a heading is called in a link. */
const anchorOf = (heading: string): string =>
  heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-")

/** The text of a page, without the code in it. */
const proseOf = (page: string): string => readFileSync(page, "utf8").replaceAll(/^```[\s\S]*?^```/gm, "")

const anchorsOf = (page: string): ReadonlyArray<string> =>
  [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map((match) => anchorOf(match[1]!))

for (const page of globSync(["*.md", "docs/*.md", "src/internal/*.md", "llms.txt"], { cwd: root }).toSorted()) {
  for (const match of proseOf(join(root, page)).matchAll(/\]\(([^)\s]+)\)/g)) {
    const [path, anchor] = match[1]!.split("#")
    if (/^[a-z]+:/.test(path!)) continue
    links++
    const target = path === "" ? join(root, page) : join(root, dirname(page), path!)
    if (!existsSync(target)) faults.add(`${page}: ${match[1]} leads nowhere`)
    else if (anchor !== undefined && !anchorsOf(target).includes(anchor)) {
      faults.add(`${page}: ${match[1]} leads to no heading`)
    }
  }
}

const api = new API({ cwd: root })
try {
  const project = api
    .updateSnapshot({ openProjects: [join(root, "tsconfig.json")] })
    .getProject(join(root, "tsconfig.json"))
  if (project === undefined) throw new Error("tsconfig.json is no project")
  const { checker, program } = project

  const seen = new Set<number>()
  const isOurs = (symbol: Symbol | undefined): boolean =>
    symbol !== undefined &&
    symbol.declarations.some(({ path }) => path.startsWith(src.toLowerCase()) || path.startsWith(src))

  /** Looks at all that a program can reach from a type. */
  const visit = (type: Type | undefined, where: string): void => {
    if (type === undefined || seen.has(type.id)) return
    seen.add(type.id)
    if (type.isUnionType() || type.isIntersectionType()) {
      for (const part of type.getTypes()) visit(part, where)
      if (type.isUnionType()) return
    }
    for (const argument of type.getAliasTypeArguments()) visit(argument, where)
    if (type.isTypeReference()) for (const argument of checker.getTypeArguments(type)) visit(argument, where)
    if (!type.isObjectType() && !type.isIntersectionType()) return
    const symbol = type.getSymbol()
    const name =
      type.getAliasSymbol()?.name ?? (symbol === undefined || symbol.name.startsWith("__") ? where : symbol.name)
    if (type.isObjectType() && !isOurs(symbol) && !isOurs(type.getAliasSymbol())) return
    for (const property of checker.getPropertiesOfType(type)) {
      // the names of type ids begin with a tilde
      if (!isOurs(property) || selfEvident.includes(property.name) || property.name.startsWith("~")) continue
      const type = checker.getTypeOfSymbol(property)
      if (type === undefined || (type.flags & (TypeFlags.Undefined | TypeFlags.Never)) !== 0) continue
      const member = `${name}.${property.name}`
      members.add(member)
      if (property.getDocumentationComment(checker).trim() === "") {
        faults.add(`${whereIs(property)}: ${property.name} has no docstring`)
      }
      visit(type, member)
    }
    for (const kind of [SignatureKind.Call, SignatureKind.Construct]) {
      for (const signature of checker.getSignaturesOfType(type, kind)) {
        for (const parameter of signature.getParameters())
          visit(checker.getTypeOfSymbol(parameter), `${where}(${parameter.name})`)
        visit(checker.getReturnTypeOfSignature(signature), `${where}(…)`)
      }
    }
  }

  const whereIs = (symbol: Symbol): string => {
    const node = symbol.declarations[0]?.resolve(project)
    if (node === undefined) return "?"
    const file = node.getSourceFile()
    const line = file.text.slice(0, node.getStart()).split("\n").length
    return `${relative(root, file.fileName)}:${line}`
  }

  /** Looks whether each link of a file leads to something that the file knows, or a member of that. */
  const checkLinks = (file: SourceFile): void => {
    for (const match of file.text.matchAll(/\{@link\s+([\w.]+)[^}]*\}/g)) {
      links++
      const [first, ...rest] = match[1]!.split(".")
      const place = { document: file.fileName, position: match.index }
      const target = checker.resolveName(first!, SymbolFlags.Type | SymbolFlags.TypeAlias | SymbolFlags.Value, place)
      const member = (type: Type, name: string) => checker.getPropertyOfType(type, name) !== undefined
      const found =
        target !== undefined &&
        (rest.length === 0 ||
          (rest.length === 1 &&
            (member(checker.getDeclaredTypeOfSymbol(target), rest[0]!) ||
              member(checker.getTypeOfSymbol(target)!, rest[0]!))))
      const line = file.text.slice(0, match.index).split("\n").length
      if (!found) faults.add(`${relative(root, file.fileName)}:${line}: ${match[0]} leads nowhere`)
    }
  }

  const modules = globSync(["*.ts", "testing/*.ts"], { cwd: src }).toSorted()
  for (const module of modules) {
    const file = program.getSourceFile(join(src, module))
    if (file === undefined) throw new Error(`${module} is not part of the project`)
    const opening = /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(join(src, module), "utf8"))?.[1]
    checkDocstring(`${module}: the module`, opening === undefined ? undefined : plain(opening), ["since", "stability"])
    checkLinks(file)
    // what it only passes on has its docstring where it is declared
    if (module === "index.ts") continue
    const self = checker.getSymbolAtLocation(file)
    if (self === undefined) throw new Error(`${module} exports nothing`)
    for (const symbol of checker.getExportsOfModule(self)) {
      for (const handle of symbol.declarations) {
        const node = handle.resolve(project)
        if (node === undefined) continue
        exported++
        const statement = statementOf(node)
        checkDocstring(`${module}: ${symbol.name}`, docstringOf(statement), ["category", "since", "stability"])
      }
      const isType = (symbol.flags & (SymbolFlags.Type | SymbolFlags.TypeAlias)) !== 0
      visit(isType ? checker.getDeclaredTypeOfSymbol(symbol) : checker.getTypeOfSymbol(symbol), symbol.name)
    }
  }
} finally {
  api.close()
}

if (faults.size > 0) {
  for (const fault of faults) console.error(fault)
  console.error(`${faults.size} places lack documentation, or lead nowhere`)
  process.exitCode = 1
} else
  console.log(`${exported} exports and ${members.size} of their members are documented, ${links} links lead somewhere`)
