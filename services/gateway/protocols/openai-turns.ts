import type { Turn } from '../../core/conversation/turn.ts'
import { get, list, text } from './json.ts'
import { callOf, contentOf, signature, turnOf, withoutInstructions, wordsOf } from './turns.ts'

/** Chat Completions' messages, without instructions. */
export const chatHistory = (body: unknown): readonly unknown[] => withoutInstructions(list(get(body, 'messages')))

/** Words alone have none. */
export const messageMayHaveIds = (message: unknown): boolean =>
  get(message, 'tool_calls') !== undefined || get(message, 'tool_call_id') !== undefined

export function chatTurn(message: unknown): Turn {
  const role = get(message, 'role')
  const content = get(message, 'content')
  if (role === 'user') return turnOf(message, { said: false, words: wordsOf(content) })
  if (role === 'tool' || role === 'function') {
    const id = text(get(message, 'tool_call_id'))
    const name = text(get(message, 'name'))
    return turnOf(message, { said: false, results: [{ id, name, content: contentOf(content), isError: false }] })
  }
  const calls = list(get(message, 'tool_calls')).flatMap(call => {
    const made = get(call, 'function') ?? get(call, 'custom')
    return callOf(get(call, 'id'), get(made, 'name'), get(made, 'arguments') ?? get(made, 'input'))
  })
  const old = get(message, 'function_call')
  return turnOf(message, {
    said: role === 'assistant',
    words: role === 'assistant' ? wordsOf(content) : [],
    calls: old === undefined ? calls : [...calls, ...callOf(null, get(old, 'name'), get(old, 'arguments'))],
  })
}

/** A Responses request's items, without instructions. A text alone is a user's message. */
export function responsesHistory(body: unknown): readonly unknown[] {
  const input = get(body, 'input')
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  return withoutInstructions(list(input))
}

/** What a user says has none. */
export function itemMayHaveIds(item: unknown): boolean {
  const type = get(item, 'type')
  return (type !== undefined && type !== 'message') || get(item, 'role') === 'assistant'
}

/** Items that are the model's own, whatever their role says. */
const saidItem =
  /^(function_call|custom_tool_call|reasoning|compaction|\w+_call|mcp_list_tools|mcp_approval_request|output_text)$/
/** Tools that the provider runs: `web_search_call`, `code_interpreter_call`, `mcp_call`, … */
const ranByProvider =
  /^(web_search|file_search|code_interpreter|image_generation|mcp|tool_search|local_shell|shell|computer|apply_patch)_call$/
/** Among those, the ones that the client carries out. */
const ranByClient = new Set(['local_shell_call', 'shell_call', 'computer_call', 'apply_patch_call'])

export function responsesTurn(item: unknown): Turn {
  const type = text(get(item, 'type')) ?? 'message'
  const said = get(item, 'role') === 'assistant' || saidItem.test(type)
  if (type.endsWith('_output')) {
    const failed = get(item, 'status') === 'incomplete' || get(item, 'is_error') === true
    const result = {
      id: text(get(item, 'call_id')),
      name: text(get(item, 'name')),
      content: contentOf(get(item, 'output')),
      isError: failed,
    }
    // What a tool of the provider's gave is part of the answer that called it.
    return turnOf(item, { said: get(item, 'execution') === 'server', results: [result] })
  }
  return turnOf(item, {
    said,
    ids: said
      ? [text(get(item, 'id')), signature(get(item, 'encrypted_content'))]
      : [text(get(item, 'approval_request_id'))],
    words: type === 'message' ? wordsOf(get(item, 'content')) : [],
    calls: callsIn(item, type),
  })
}

function callsIn(item: unknown, type: string) {
  if (type === 'function_call' || type === 'custom_tool_call')
    return callOf(get(item, 'call_id'), get(item, 'name'), get(item, 'arguments') ?? get(item, 'input'))
  if (!ranByProvider.test(type)) return []
  const name = text(get(item, 'name')) ?? type.replace(/_call$/, '')
  const args =
    get(item, 'arguments') ?? get(item, 'action') ?? get(item, 'queries') ?? get(item, 'code') ?? get(item, 'operation')
  return callOf(
    get(item, 'call_id') ?? get(item, 'id'),
    name,
    typeof args === 'string' && type === 'code_interpreter_call' ? { code: args } : args,
    ranByClient.has(type) ? 'client' : 'provider',
  )
}
