import type { Turn } from '../../core/conversation/turn.ts'
import { canonical } from '../../core/wire/canonical.ts'
import { get, list, text } from './json.ts'
import { callOf, signature, turnOf } from './turns.ts'

/** `contents`: a list, or one that stands alone. Both spellings of a field are in use. */
export function contentsHistory(body: unknown): readonly unknown[] {
  const contents = get(body, 'contents')
  return Array.isArray(contents) ? contents : contents === undefined ? [] : [contents]
}

export function contentTurn(content: unknown): Turn {
  const parts = list(get(content, 'parts'))
  const said = get(content, 'role') === 'model'
  const words = parts.filter(part => get(part, 'thought') !== true).map(part => get(part, 'text'))
  return turnOf(content, {
    said,
    ids: said ? parts.map(part => signature(get(part, 'thoughtSignature') ?? get(part, 'thought_signature'))) : [],
    words,
    calls: parts.flatMap(part => {
      const call = get(part, 'functionCall') ?? get(part, 'function_call')
      return call === undefined ? [] : callOf(get(call, 'id'), get(call, 'name'), get(call, 'args'))
    }),
    results: parts.flatMap(part => {
      const result = get(part, 'functionResponse') ?? get(part, 'function_response')
      if (result === undefined) return []
      const response = get(result, 'response')
      return [
        {
          id: text(get(result, 'id')),
          name: text(get(result, 'name')),
          content: responseText(response),
          isError: get(response, 'error') !== undefined,
        },
      ]
    }),
  })
}

/** Calls and results have them at some of the doors only; a signature may stand beside anything. */
export const contentMayHaveIds = (content: unknown): boolean =>
  list(get(content, 'parts')).some(
    part =>
      get(part, 'thoughtSignature') !== undefined ||
      get(part, 'thought_signature') !== undefined ||
      (get(part, 'text') === undefined && bearers.some(name => get(get(part, name), 'id') !== undefined)),
  )
const bearers = ['functionCall', 'function_call', 'functionResponse', 'function_response'] as const

/** SDKs wrap a plain result in an object of one member. */
function responseText(response: unknown): string {
  for (const key of ['result', 'return_value', 'output', 'content']) {
    const inner = get(response, key)
    if (typeof inner === 'string' && Object.keys(response as object).length === 1) return inner
  }
  return response === undefined ? '' : canonical(response)
}
