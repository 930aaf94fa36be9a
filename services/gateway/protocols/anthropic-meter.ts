import type { Usage } from '../../../schemas/llm.ts'
import type { Output } from '../../core/wire/output-size.ts'
import { addToBlock, beginBlock } from './anthropic-said.ts'
import { type AnswerReader, describe, errorIn, type Findings, noExtras } from './findings.ts'
import { count, get, isObject, list, parse, text } from './json.ts'

/** The Messages API: one message, at once or streamed. */
export const messagesReader: AnswerReader = {
  bulk: [],
  array: false,

  whole(document, found) {
    if (get(document, 'type') === 'error') found.error = errorIn(document)
    takeMessage(document, found)
    takeUsage(found, get(document, 'usage'), true)
    found.finishReason = text(get(document, 'stop_reason'))
    if (Array.isArray(get(document, 'content'))) found.said = [document]
    found.recognised = Array.isArray(get(document, 'content')) || found.error !== null
    found.ended = true
  },

  written(document, output) {
    for (const block of list(get(document, 'content'))) addBlock(block, output)
  },

  event(name, data, found, output) {
    if (name === 'content_block_stop' || name === 'ping') return false
    const event = parse(data)
    if (!isObject(event)) {
      found.malformed = true
      return false
    }
    switch (get(event, 'type') ?? name) {
      case 'message_start':
        found.recognised = true
        takeMessage(get(event, 'message'), found)
        takeUsage(found, get(get(event, 'message'), 'usage'), false)
        break
      case 'content_block_start':
        if (get(get(event, 'content_block'), 'type') !== 'text') found.content = true
        addBlock(get(event, 'content_block'), output)
        beginBlock(found.said, get(event, 'index'), get(event, 'content_block'))
        break
      case 'content_block_delta': {
        const delta = get(event, 'delta')
        addToBlock(found.said, get(event, 'index'), delta)
        for (const piece of [get(delta, 'text'), get(delta, 'partial_json'), get(delta, 'thinking')]) {
          if (typeof piece !== 'string' || piece === '') continue
          found.content = true
          output.add(piece)
        }
        break
      }
      case 'message_delta':
        found.finishReason = text(get(get(event, 'delta'), 'stop_reason')) ?? found.finishReason
        takeUsage(found, get(event, 'usage'), true)
        break
      case 'message_stop':
        found.ended = true
        break
      case 'error':
        found.error = errorIn(event) ?? describe(event)
        break
    }
    return false
  },
}

/** Counting tokens is free and makes no text. */
export const countReader: AnswerReader = {
  bulk: [],
  array: false,
  whole(document, found) {
    found.recognised = found.ended = isObject(document)
  },
  written() {},
  event: () => false,
}

function takeMessage(message: unknown, found: Findings): void {
  found.model = text(get(message, 'model')) ?? found.model
  found.responseId = text(get(message, 'id')) ?? found.responseId
}

/**
 * A stream tells usage at its start and again at its end. The later one is cumulative: its fields overwrite, they never
 * add (with server tools even the input grows on the way). The output told at the start is a stub of a token or so: a
 * stream that broke off has told its input, and not its output.
 */
function takeUsage(found: Findings, told: unknown, final: boolean): void {
  if (!isObject(told)) return
  const raw: Record<string, unknown> = isObject(found.rawUsage) ? { ...(found.rawUsage as object) } : {}
  for (const [key, value] of Object.entries(told as object)) if (value !== null || !(key in raw)) raw[key] = value
  found.rawUsage = raw
  found.usage = usageOf(raw, final)
  found.extras = extrasOf(raw)
}

/** `input_tokens` leaves out what was read from and written to the cache: the whole input is the sum of the three. */
function usageOf(raw: unknown, final: boolean): Usage {
  const told: Usage = {}
  const input = count(get(raw, 'input_tokens'))
  const read = count(get(raw, 'cache_read_input_tokens'))
  const write = count(get(raw, 'cache_creation_input_tokens'))
  const output = count(get(raw, 'output_tokens'))
  const thinking = count(get(get(raw, 'output_tokens_details'), 'thinking_tokens'))
  if (input !== undefined) told.input_tokens = input + (read ?? 0) + (write ?? 0)
  if (output !== undefined && final) told.output_tokens = output
  if (read !== undefined) told.cache_read_tokens = read
  if (write !== undefined) told.cache_write_tokens = write
  if (thinking !== undefined && final) told.reasoning_tokens = thinking
  return told
}

function extrasOf(raw: unknown): Readonly<Record<string, number>> {
  const creation = get(raw, 'cache_creation')
  const told = {
    cache_write_5m_tokens: count(get(creation, 'ephemeral_5m_input_tokens')),
    cache_write_1h_tokens: count(get(creation, 'ephemeral_1h_input_tokens')),
    web_searches: count(get(get(raw, 'server_tool_use'), 'web_search_requests')),
  }
  const spoken = Object.entries(told).filter((entry): entry is [string, number] => Boolean(entry[1]))
  return spoken.length === 0 ? noExtras : Object.fromEntries(spoken)
}

/** Tokens of markup that come with a tool call, as seen in answers that were counted; other vendors' are half of it. */
const aroundCall = 45

/** What the model wrote into a block; what a tool at the provider found is not output. */
function addBlock(block: unknown, output: Output): void {
  if (text(get(block, 'name')) !== null) output.call(aroundCall)
  for (const value of [get(block, 'text'), get(block, 'thinking'), get(block, 'name')])
    if (typeof value === 'string') output.add(value)
  const input = get(block, 'input')
  // A streamed block begins with an empty input, whose text comes in pieces.
  if (isObject(input) && Object.keys(input as object).length > 0) output.add(JSON.stringify(input))
}
