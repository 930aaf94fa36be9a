import type { Output } from '../../core/wire/output-size.ts'
import { type AnswerReader, describe, type Findings } from './findings.ts'
import { get, isObject, list, parse, text } from './json.ts'
import { takeUsage } from './openai-usage.ts'

/** The Responses API: an answer at once, streamed, or fetched later by its id. */
export const responsesReader: AnswerReader = {
  bulk: [],
  array: false,

  whole(document, found) {
    takeResponse(document, found)
    found.recognised =
      typeof get(document, 'status') === 'string' || Array.isArray(get(document, 'output')) || found.error !== null
    found.ended = true
  },

  written(document, output) {
    for (const item of list(get(document, 'output'))) addItem(item, output)
  },

  /** Most events repeat what others have said, some of them at length: only those are parsed that say something new. */
  event(name, data, found, output) {
    if (name.startsWith('response.') && !name.endsWith('.delta') && !telling.has(name)) return false
    if (data.startsWith('[DONE]')) return false // OpenRouter closes these streams like those of chat
    const event = parse(data)
    if (!isObject(event)) {
      if (data.trim() !== '') found.malformed = true
      return false
    }
    const type = text(get(event, 'type')) ?? name
    const delta = get(event, 'delta')
    if (type.endsWith('.delta')) {
      found.recognised = true
      if (typeof delta !== 'string' || delta === '') return false
      found.content = true
      if (!type.includes('audio')) output.add(delta)
    } else if (type === 'response.created') {
      found.recognised = true
      found.model = text(get(get(event, 'response'), 'model'))
      found.responseId = text(get(get(event, 'response'), 'id'))
    } else if (type === 'response.output_item.added') {
      const name = text(get(get(event, 'item'), 'name'))
      if (name === null) return false
      found.content = true
      output.call(20)
      output.add(name)
    } else if (ends.has(type)) {
      takeResponse(get(event, 'response'), found)
      found.recognised = true
      found.ended = true
    } else if (type === 'error') {
      found.error ??= describe(isObject(get(event, 'error')) ? get(event, 'error') : withoutType(event))
    }
    return false
  },
}

const ends = new Set(['response.completed', 'response.incomplete', 'response.failed', 'response.cancelled'])
const telling = new Set([...ends, 'response.created', 'response.output_item.added'])

/** Where the error is the event itself, its `type` says only that it is one. */
const withoutType = (event: unknown) => ({ code: get(event, 'code'), message: get(event, 'message') })

function takeResponse(response: unknown, found: Findings): void {
  const status = text(get(response, 'status'))
  const error = get(response, 'error')
  found.model = text(get(response, 'model')) ?? found.model
  found.responseId = text(get(response, 'id')) ?? found.responseId
  found.finishReason = status
  found.queued = status === 'queued' || status === 'in_progress'
  if (error != null) found.error = describe(error)
  takeUsage(found, get(response, 'usage'))
  const output = list(get(response, 'output'))
  if (output.length > 0) found.said = [...output]
}

/** What the model wrote into an item: its content, its reasoning, its call. */
function addItem(item: unknown, output: Output): void {
  if (text(get(item, 'name')) !== null) output.call(20)
  for (const value of [get(item, 'name'), get(item, 'arguments'), get(item, 'input'), get(item, 'code')])
    if (typeof value === 'string') output.add(value)
  for (const part of [...list(get(item, 'content')), ...list(get(item, 'summary'))])
    for (const value of [get(part, 'text'), get(part, 'refusal')]) if (typeof value === 'string') output.add(value)
}
