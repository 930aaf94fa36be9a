import type { Output, OutputSize } from '../../core/wire/output-size.ts'
import { addToBlock, beginBlock } from './bedrock-said.ts'
import { counted } from './bedrock-usage.ts'
import { type AnswerReader, describe, type Findings, noExtras } from './findings.ts'
import { count, get, isObject, list, parse, text } from './json.ts'

/** Converse: one message, at once or streamed. */
export const converseReader: AnswerReader = {
  bulk: [],
  array: false,
  frames: true,

  whole(document, found) {
    const message = get(get(document, 'output'), 'message')
    takeConverseUsage(found, get(document, 'usage'))
    found.finishReason = text(get(document, 'stopReason'))
    if (isObject(message)) found.said = [message]
    found.recognised = isObject(get(document, 'output'))
    found.ended = true
  },

  written(document, output) {
    for (const block of list(get(get(get(document, 'output'), 'message'), 'content'))) addBlock(block, output)
  },

  event(name, data, found, output) {
    const event = parse(data)
    if (!isObject(event)) found.malformed = true
    else if (name.startsWith('exception ')) takeException(name, event, found)
    else readConverse(name, event, found, output)
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

/** The service's word for what went wrong in mid-stream. */
export function takeException(name: string, event: unknown, found: Findings): void {
  found.recognised = true
  found.error = { ...describe(event), type: name.slice('exception '.length, 200) }
}

/** One event of a stream. Its name is the frame's; Nova's own streams have it as the event's only key. */
export function readConverse(name: string, event: unknown, found: Findings, output: OutputSize): void {
  switch (name) {
    case 'messageStart':
      found.recognised = true
      break
    case 'contentBlockStart': {
      const start = get(event, 'start')
      const called = text(get(get(start, 'toolUse'), 'name'))
      beginBlock(found.said, get(event, 'contentBlockIndex'), start)
      if (called === null) break
      found.content = true
      output.call(aroundCall)
      output.add(called)
      break
    }
    case 'contentBlockDelta': {
      const delta = get(event, 'delta')
      addToBlock(found.said, get(event, 'contentBlockIndex'), delta)
      for (const piece of wordsIn(delta)) {
        if (typeof piece !== 'string' || piece === '') continue
        found.content = true
        output.add(piece)
      }
      break
    }
    case 'messageStop':
      found.recognised = true
      found.ended = true
      found.finishReason = text(get(event, 'stopReason')) ?? found.finishReason
      break
    case 'metadata':
      takeConverseUsage(found, get(event, 'usage'))
      break
  }
}

const wordsIn = (delta: unknown): readonly unknown[] => [
  get(delta, 'text'),
  get(get(delta, 'reasoningContent'), 'text'),
  get(get(delta, 'toolUse'), 'input'),
]

function takeConverseUsage(found: Findings, usage: unknown): void {
  if (!isObject(usage)) return
  found.usage = counted({
    input: count(get(usage, 'inputTokens')),
    output: count(get(usage, 'outputTokens')),
    read: count(get(usage, 'cacheReadInputTokens') ?? get(usage, 'cacheReadInputTokenCount')),
    write: count(get(usage, 'cacheWriteInputTokens') ?? get(usage, 'cacheWriteInputTokenCount')),
  })
  found.rawUsage = usage
  found.extras = extrasOf(usage)
}

/** How long what was written is kept: an hour costs more than five minutes. */
function extrasOf(usage: unknown): Readonly<Record<string, number>> {
  const kept: Record<string, number> = {}
  for (const detail of list(get(usage, 'cacheDetails'))) {
    const name = get(detail, 'ttl') === '1h' ? 'cache_write_1h_tokens' : 'cache_write_5m_tokens'
    const tokens = count(get(detail, 'inputTokens'))
    if (tokens) kept[name] = (kept[name] ?? 0) + tokens
  }
  return Object.keys(kept).length === 0 ? noExtras : kept
}

/** Tokens of markup that come with a tool call; the dearest of the models here are Anthropic's. */
const aroundCall = 45

/** What the model wrote into a block; what a tool at the provider found is not output. */
function addBlock(block: unknown, output: Output): void {
  const call = get(block, 'toolUse')
  if (isObject(call)) output.call(aroundCall)
  for (const value of [
    get(block, 'text'),
    get(get(get(block, 'reasoningContent'), 'reasoningText'), 'text'),
    get(call, 'name'),
  ])
    if (typeof value === 'string') output.add(value)
  if (isObject(get(call, 'input'))) output.add(JSON.stringify(get(call, 'input')))
}
