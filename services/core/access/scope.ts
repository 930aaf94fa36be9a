import { matches } from './glob.ts'

/**
 * What a token opens: entries `model:<glob>` and `tool:<glob>`. What no entry names stays closed, and what the policy of
 * its agent denies stays denied.
 */
export type Scope = readonly string[]

/** All that the agent may do. */
export const wholeScope: Scope = ['model:*', 'tool:*']

/** RFC 6749, 3.3: visible ASCII without `"` and `\`. */
const entry = /^(model|tool):[\x21\x23-\x5b\x5d-\x7e]{1,200}$/
/** A token has to fit a header, together with the longest chain. */
const longestScope = 1_500

/** Null where the text is no scope of ours. */
export function parseScope(text: string): Scope | null {
  const entries = [...new Set(text.split(' ').filter(Boolean))]
  return entries.length > 0 && text.length <= longestScope && entries.every(one => entry.test(one)) ? entries : null
}

/**
 * Whether everything that `asked` opens is open in `held`. A star of a narrower glob is matched as the character that it
 * is: only a star of the wider one can stand for it, and so for whatever it stands for.
 */
export const narrows = (asked: Scope, held: Scope): boolean => asked.every(one => opens(held, one))

export const opensModel = (scope: Scope, model: string): boolean => opens(scope, `model:${model}`)
/** A tool's name is `<server>.<tool>`. */
export const opensTool = (scope: Scope, tool: string): boolean => opens(scope, `tool:${tool}`)

const opens = (scope: Scope, name: string): boolean => scope.some(wide => matches(wide, name))
