import type { z } from 'zod'
import { nearest } from './nearest.ts'
import { type ConfigText, type Problem, pathText } from './text.ts'

/**
 * What zod found, in words: where it stands in the file, the path to it, and what was expected. The value itself is not
 * repeated unless it was typed in the file as one of a few words: it may be a secret.
 */
export function problemsOf(issues: readonly Issue[], text: ConfigText, schema: z.core.$ZodType): readonly Problem[] {
  return issues.flatMap(issue => problemOf(issue, text, schema)).sort((a, b) => a.line - b.line || a.column - b.column)
}

type Issue = z.core.$ZodIssue

function problemOf(issue: Issue, text: ConfigText, schema: z.core.$ZodType): readonly Problem[] {
  const here = { ...text.place(issue.path), path: pathText(issue.path) }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map(key => ({
        ...text.keyPlace(issue.path, key),
        path: pathText([...issue.path, key]),
        message: `unknown key; ${known(key, keysAt(schema, issue.path))}`,
      }))
    case 'invalid_union': {
      const inner = closest(issue)
      if (inner === null) return [{ ...here, message: 'expected a table, or off' }]
      return inner.flatMap(deeper => problemOf({ ...deeper, path: [...issue.path, ...deeper.path] }, text, schema))
    }
    case 'invalid_key': {
      const key = String(issue.path.at(-1))
      const message = issue.issues.map(inner => words(inner, null)).join('; ')
      return [{ ...text.keyPlace(issue.path.slice(0, -1), key), path: here.path, message }]
    }
    default:
      return [{ ...here, message: words(issue, text.typed(issue.path)) }]
  }
}

/** The branch of a union that was meant: the one which accepted the value's kind and complains of something inside. */
function closest(issue: Extract<Issue, { code: 'invalid_union' }>): readonly Issue[] | null {
  return (
    issue.errors.find(branch => branch.every(inner => inner.path.length > 0 || inner.code === 'unrecognized_keys')) ??
    null
  )
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a table',
  record: 'a table',
  array: 'a list',
  null: 'nothing',
}
const kindOf = (value: unknown): string =>
  kinds[value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value] ?? typeof value

function words(issue: Issue, typed: string | null): string {
  switch (issue.code) {
    case 'invalid_type': {
      const expected = kinds[issue.expected] ?? issue.expected
      // In a file a value is only ever undefined where its key is missing.
      return issue.input === undefined
        ? `is missing; expected ${expected}`
        : `expected ${expected}, got ${kindOf(issue.input)}`
    }
    case 'invalid_value': {
      const choice = `expected ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
      return typed === null ? choice : `${choice}, got ${JSON.stringify(typed)}`
    }
    case 'too_small':
      return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`
    case 'too_big':
      return `expected at most ${issue.maximum}${unitOf(issue.origin)}`
    default:
      return issue.message
  }
}

const unitOf = (origin: string): string => (origin === 'string' ? ' characters' : origin === 'array' ? ' entries' : '')

function known(key: string, names: readonly string[]): string {
  const near = nearest(key, names)
  return near === null ? `known here: ${names.join(', ')}` : `did you mean ${near}?`
}

/** The names that a table of the schema knows, found by walking down to it. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  const [first, ...rest] = path
  const { def } = (schema as z.core.$ZodTypes)._zod // the closed list of zod's types, so that `type` tells them apart
  switch (def.type) {
    case 'object':
      if (first === undefined) return Object.keys(def.shape)
      return def.shape[String(first)] === undefined ? [] : keysAt(def.shape[String(first)]!, rest)
    case 'record':
      return keysAt(def.valueType, rest)
    case 'array':
      return keysAt(def.element, rest)
    case 'default':
    case 'prefault':
    case 'optional':
      return keysAt(def.innerType, path)
    case 'pipe':
      return keysAt(def.in, path)
    case 'union':
      return def.options.flatMap(option => keysAt(option, path))
    default:
      return []
  }
}
