import fs from 'node:fs'
import path from 'node:path'
import { type Document, isMap, isPair, isScalar, type Node, visit } from 'yaml'
import { textOf } from '../fault.ts'

/** How `sluice.yaml` borrows text from elsewhere: `${ENV}` and `{ file: … }`. */
export type Environment = Readonly<Record<string, string | undefined>>

export type Report = (node: Node, keys: readonly PropertyKey[], message: string) => void

/** Tables whose keys are free, so that `file` may be a name in them. */
const freeTables = ['env', 'headers', 'labels']

/** Where the credentials of a file are: with this process, or with others to whom alone they matter. */
export type Credentials = 'here' | 'elsewhere'

/** Sections that lead to others and so hold credentials. */
const reachingOut = ['providers', 'mcp', 'alerts']
/** Stands for what is elsewhere; it is a URL as well, for these can be borrowed too. */
const standIn = 'http://elsewhere.invalid'

export type Resolving = {
  /** What relative files are relative to. */
  readonly dir: string
  readonly env: Environment
  readonly credentials: Credentials
}

/**
 * Puts what references stand for in their place and notes those nodes in `filled`. What is missing is reported, by name.
 */
export function resolve(doc: Document, { dir, env, credentials }: Resolving, filled: Set<Node>, report: Report): void {
  const isElsewhere = (keys: readonly PropertyKey[]): boolean =>
    credentials === 'elsewhere' && reachingOut.includes(String(keys[0]))
  visit(doc, {
    Map(_key, node, parents) {
      const keys = keysOf(parents, node)
      if (node.items.length !== 1 || freeTables.includes(String(keys.at(-1)))) return
      const file = node.get('file', true)
      if (!isScalar(file) || typeof file.value !== 'string') return
      const named = file.value
      const text = (): string => {
        if (isElsewhere(keys)) return standIn
        const name = fill(named, env, missing => void report(file, keys, missing))
        // A trailing line break is the editor's, not the secret's.
        return fs.readFileSync(path.resolve(dir, name), 'utf8').replace(/\r?\n$/, '')
      }
      try {
        const read = doc.createNode(text())
        read.range = node.range ?? null
        filled.add(read)
        return read
      } catch (error) {
        report(file, keys, `the file cannot be read: ${textOf(error)}`)
        return visit.SKIP
      }
    },
    Scalar(key, node, parents) {
      if (typeof node.value !== 'string' || filled.has(node)) return
      if (key === 'key') {
        node.value = show(node.value)
        if (node.value === '__proto__') report(node, keysOf(parents, node), 'is not a name that can be used')
      } else if (hidden.test(node.value)) {
        filled.add(node)
        const keys = keysOf(parents, node)
        node.value = fill(node.value, env, missing => (isElsewhere(keys) ? standIn : void report(node, keys, missing)))
      }
    },
  })
}

/**
 * `{ apiKey: ${NAME} }` is no YAML as it stands, for braces have a meaning of their own. So references are hidden while
 * YAML is read: each of their letters is put, one for one, into a private corner of Unicode, and every place stays true.
 */
export const hideReferences = (text: string): string => text.replace(reference, hide)

const reference = /\$?\$\{[^}\n]*\}/g
const corner = 0xe000
const hide = (text: string): string =>
  text.replace(/[\0-\x7f]/g, letter => String.fromCharCode(corner + letter.charCodeAt(0)))
const hidden = /[\ue000-\ue07f]/
export const show = (text: string): string =>
  text.replace(/[\ue000-\ue07f]/g, letter => String.fromCharCode(letter.charCodeAt(0) - corner))

/** `${NAME}`, `${NAME:-otherwise}`; `$${` stands for `${`. `missing` may answer what to put in place. */
function fill(text: string, env: Environment, missing: (message: string) => string | undefined): string {
  return show(text).replace(reference, whole => {
    if (whole.startsWith('$$')) return whole.slice(1)
    const [, name, otherwise] = /^\$\{([A-Za-z_]\w*)(?::-(.*))?\}$/.exec(whole) ?? []
    if (name === undefined) return whole
    const value = env[name]
    if (value !== undefined && value !== '') return value
    return otherwise ?? missing(`the environment variable ${name} is not set`) ?? whole
  })
}

/** The way down to `node`, as zod tells paths. */
function keysOf(parents: readonly unknown[], node: Node): PropertyKey[] {
  const way = [...parents, node]
  return way.flatMap((step, i): readonly PropertyKey[] => {
    if (isPair(step)) return [String(isScalar(step.key) ? step.key.value : step.key)]
    const next = way[i + 1]
    return isSequence(step) ? [step.items.indexOf(next)] : []
  })
}

const isSequence = (value: unknown): value is { readonly items: readonly unknown[] } =>
  typeof value === 'object' && value !== null && 'items' in value && !isMap(value)
