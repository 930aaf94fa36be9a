import { type Document, isMap, isScalar, LineCounter, type Node, type Pair, parseDocument, type YAMLError } from 'yaml'
import { textOf } from '../fault.ts'
import { hideReferences, type Resolving, resolve, show } from './resolve.ts'

/** A place in the file, both counted from 1. */
export type Place = { readonly line: number; readonly column: number }
export type Problem = Place & { readonly path: string; readonly message: string }

/**
 * `sluice.yaml` as text with places: what a value is and where it stands. `${ENV}` and `{ file: … }` are resolved here,
 * before anything is checked, so that every key may use them; what they stand for is never part of a message.
 */
export type ConfigText = {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** The place of a value, or of the nearest thing around it that is there. */
  place(keys: readonly PropertyKey[]): Place
  /** The place of a key rather than of its value. */
  keyPlace(keys: readonly PropertyKey[], key: string): Place
  /** The text of a scalar as it was typed; null where it is none or where it was filled in from elsewhere. */
  typed(keys: readonly PropertyKey[]): string | null
}

/** `text` is the file's. */
export function readConfigText(text: string, resolving: Resolving): ConfigText {
  const { doc, at } = parse(hideReferences(text))
  const problems: Problem[] = []
  for (const error of doc.errors.slice(0, 1))
    problems.push({ ...at(error.pos[0]), path: '', message: show(sentence(error)) })
  const filled = new Set<Node>()
  if (problems.length === 0)
    resolve(doc, resolving, filled, (node, keys, message) =>
      problems.push({ ...at(node.range?.[0] ?? 0), path: pathText(keys), message }),
    )
  const nodeAt = (keys: readonly PropertyKey[]): Node | null => {
    const node = doc.getIn(keys, true)
    return isNode(node) ? node : null
  }
  const place = (keys: readonly PropertyKey[]): Place => {
    for (let length = keys.length; length > 0; length--) {
      const node = nodeAt(keys.slice(0, length))
      if (node?.range) return at(node.range[0])
      const pair = pairAt(nodeAt(keys.slice(0, length - 1)), String(keys[length - 1]))
      if (pair !== null) return at(startOf(pair))
    }
    return at(doc.contents?.range?.[0] ?? 0)
  }
  let value: unknown = {}
  try {
    // An empty file says nothing, which is allowed. Anchors are handy in a long file; a hundred uses are plenty and keep
    // a bomb of aliases from unfolding.
    if (problems.length === 0) value = doc.toJS({ maxAliasCount: 100 }) ?? {}
  } catch (error) {
    problems.push({ ...at(0), path: '', message: textOf(error) })
  }
  return {
    value,
    problems,
    place,
    keyPlace: (keys, key) => {
      const pair = pairAt(nodeAt(keys), key)
      return pair === null ? place(keys) : at(startOf(pair))
    },
    typed: keys => {
      const node = nodeAt(keys)
      return isScalar(node) && !filled.has(node) ? (node.source ?? null) : null
    },
  }
}

type Parsed = { readonly doc: Document.Parsed; readonly at: (offset: number) => Place }

function parse(text: string): Parsed {
  const strict = parseAs(text, [])
  if (strict.doc.errors.length === 0) return strict
  // `loop:{ repeats: 5 }` lacks a space to be YAML, and can mean nothing else.
  const tight: number[] = []
  const spaced = text.replace(/^([ \t]*[\w-]+:)(?=[{[])/gm, (key, _key, offset: number) => {
    tight.push(offset + key.length + tight.length)
    return `${key} `
  })
  const lenient = tight.length === 0 ? strict : parseAs(spaced, tight)
  return lenient.doc.errors.length === 0 ? lenient : strict
}

/** `added`: where a blank stands in this text that the file does not have. */
function parseAs(text: string, added: readonly number[]): Parsed {
  const lines = new LineCounter()
  const doc = parseDocument(text, { version: '1.2', lineCounter: lines, prettyErrors: false })
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    const shifted = added.some(blank => blank < offset && lines.linePos(blank).line === line)
    return { line: Math.max(1, line), column: Math.max(1, shifted ? col - 1 : col) }
  }
  return { doc, at }
}

/** `agents.researcher.budgets[0].limitUsd`; names that are not plain words are quoted. */
export const pathText = (keys: readonly PropertyKey[]): string =>
  keys
    .map((key, i) => {
      if (typeof key === 'number') return `[${key}]`
      const name = String(key)
      return /^[\w-]+$/.test(name) ? `${i > 0 ? '.' : ''}${name}` : `[${JSON.stringify(name)}]`
    })
    .join('')

const sentence = ({ code, message }: YAMLError): string =>
  code === 'MULTIPLE_DOCS' ? 'expected one document, here begins a second' : (message.split('\n')[0] ?? message)
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'range' in value
const startOf = (pair: Pair): number => (isNode(pair.key) ? (pair.key.range?.[0] ?? 0) : 0)

function pairAt(node: Node | null, key: string): Pair | null {
  if (!isMap(node)) return null
  return node.items.find(pair => String(isScalar(pair.key) ? pair.key.value : pair.key) === key) ?? null
}
