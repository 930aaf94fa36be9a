import { canonical } from '../wire/canonical.ts'

/** Names of arguments that are left out, and a glance that tells whether a text has anything that canonical JSON keeps. */
export type Volatile = { readonly names: ReadonlySet<string>; readonly glance: RegExp }

export function volatileOf(names: readonly string[]): Volatile {
  const words = names.map(name =>
    JSON.stringify(name)
      .slice(1, -1)
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
  )
  const named = words.length === 0 ? [] : [`"(?:${words.join('|')})"\\s*:`]
  return { names: new Set(names), glance: new RegExp([...named, wholeNumber, saysNothing].join('|')) }
}

type Args = { readonly args?: string | undefined; readonly args_hash?: string | undefined }

/**
 * What was asked, as a text to compare. Models are loose with types: `"16"` is 16, and a member that is null or empty may
 * as well be missing. Only where something of that kind stands in the text is it read; and where only a part of it was
 * kept, the hash of all of it is the better witness.
 */
export function argsOf({ args, args_hash: hash }: Args, { names, glance }: Volatile): string {
  if (args === undefined || !isWhole(args)) return hash ?? args ?? ''
  if (!glance.test(args)) return args
  try {
    return canonical(plain(JSON.parse(args)), names)
  } catch {
    return hash ?? args
  }
}

const wholeNumber = '"-?\\d+"'
const saysNothing = ':\\s*(?:null|""|\\[\\s*\\]|\\{\\s*\\})'

/** Whether a text that begins like an object of JSON ends where the object does: no part of one does. */
function isWhole(text: string): boolean {
  if (text.charCodeAt(0) !== 123 || text.charCodeAt(text.length - 1) !== 125) return false
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 34) {
      for (i++; i < text.length && text.charCodeAt(i) !== 34; i++) if (text.charCodeAt(i) === 92) i++
    } else if (code === 123 || code === 91) depth++
    else if (code === 125 || code === 93) depth--
  }
  return depth === 0
}

function plain(value: unknown): unknown {
  if (typeof value === 'string') return /^-?(?:0|[1-9]\d{0,14})$/.test(value) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => {
      const said = plain(member)
      return isNothing(said) ? [] : [[name, said]]
    }),
  )
}

const isNothing = (value: unknown): boolean =>
  value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)
