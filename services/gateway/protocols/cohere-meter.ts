import type { Usage } from '../../../schemas/llm.ts'
import type { Output, OutputSize } from '../../core/wire/output-size.ts'
import { addToMessage } from './cohere-said.ts'
import { type AnswerReader, errorIn, type Findings, noExtras } from './findings.ts'
import { count, get, isObject, list, parse, text } from './json.ts'

/** Cohere's chat, at once or streamed. */
export const chatReader: AnswerReader = {
  bulk: [],
  array: false,

  whole(document, found) {
    const message = get(document, 'message')
    found.responseId = text(get(document, 'id'))
    found.finishReason = text(get(document, 'finish_reason'))
    takeUsage(found, get(document, 'usage'))
    if (isObject(message)) found.said = [message]
    else if (typeof message === 'string') found.error = errorIn(document)
    found.recognised = message !== undefined
    found.ended = true
  },

  written(document, output) {
    addMessage(get(document, 'message'), output)
  },

  event(name, data, found, output) {
    if (data.startsWith('[DONE]')) return false
    const event = parse(data)
    if (isObject(event)) readEvent(text(get(event, 'type')) ?? name, event, found, output)
    else if (data.trim() !== '') found.malformed = true
    return false
  },
}

/** Embeddings, rankings and token counts: what they cost stands under `meta`. */
export const plainReader: AnswerReader = {
  bulk: ['embeddings', 'texts', 'images', 'tokens', 'token_strings'],
  array: false,
  whole(document, found) {
    found.responseId = text(get(document, 'id'))
    takeBilled(found, get(get(document, 'meta'), 'billed_units'))
    found.recognised = found.ended = isObject(document)
  },
  written() {},
  event: () => false,
}

function readEvent(type: string, event: unknown, found: Findings, output: OutputSize): void {
  const delta = get(event, 'delta')
  switch (type) {
    case 'message-start':
      found.recognised = true
      found.responseId = text(get(event, 'id'))
      break
    case 'content-start':
    case 'content-delta':
    case 'tool-plan-delta':
    case 'tool-call-start':
    case 'tool-call-delta': {
      const before = output.bytes()
      addMessage(get(delta, 'message'), output)
      addToMessage(found.said, get(event, 'index'), get(delta, 'message'))
      if (output.bytes() > before) found.content = true
      break
    }
    case 'message-end': {
      const error = text(get(delta, 'error'))
      const reason = text(get(delta, 'finish_reason'))
      found.recognised = true
      found.ended = true
      found.finishReason = reason
      takeUsage(found, get(delta, 'usage'))
      if (error !== null || reason === 'ERROR')
        found.error = { type: reason ?? 'error', message: (error ?? '').slice(0, 2000) }
      break
    }
  }
}

/**
 * Two counts: `tokens`, which the model has read and written with all that is put around them, and `billed_units`, which
 * are what the customer pays for and what the row says.
 */
function takeUsage(found: Findings, usage: unknown): void {
  if (!isObject(usage)) return
  const units = get(usage, 'billed_units') ?? get(usage, 'tokens')
  const told: Usage = {}
  const input = count(get(units, 'input_tokens'))
  const output = count(get(units, 'output_tokens'))
  const cached = count(get(usage, 'cached_tokens'))
  if (input !== undefined) told.input_tokens = input
  if (output !== undefined) told.output_tokens = output
  if (cached !== undefined) told.cache_read_tokens = cached
  found.usage = told
  found.rawUsage = usage
}

/** Pictures are billed in tokens of their own, beside those of texts. */
function takeBilled(found: Findings, units: unknown): void {
  if (!isObject(units)) return
  const texts = count(get(units, 'input_tokens'))
  const images = count(get(units, 'image_tokens'))
  found.rawUsage = units
  if (texts === undefined && images === undefined) return
  found.usage = { input_tokens: (texts ?? 0) + (images ?? 0) }
  found.extras = images ? { input_image_tokens: images } : noExtras
}

/** What a message or a piece of one says. In a stream, content and calls come one at a time. */
function addMessage(message: unknown, output: Output): void {
  const add = (value: unknown) => {
    if (typeof value === 'string') output.add(value)
  }
  const content = get(message, 'content')
  add(content)
  for (const part of Array.isArray(content) ? content : [content]) {
    add(get(part, 'text'))
    add(get(part, 'thinking'))
  }
  add(get(message, 'tool_plan'))
  const calls = get(message, 'tool_calls')
  for (const call of Array.isArray(calls) ? list(calls) : [calls]) {
    const made = get(call, 'function')
    if (text(get(made, 'name')) !== null) output.call(20)
    add(get(made, 'name'))
    add(get(made, 'arguments'))
  }
}
