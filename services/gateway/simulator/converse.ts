import { frameOf } from '../../core/wire/frames.ts'
import { type Json, parsed, plainText, record, records, text, wholeNumber } from './json.ts'
import { inputOf } from './messages.ts'
import { digest } from './seed.ts'
import { countTokens } from './tokens.ts'
import { argumentsOf, chunksOf, lastWords, type Message, type Prompt, type ToolChoice, type Turn } from './turn.ts'
import type { Problem, Wire } from './wire.ts'

/** Its name stands in a header: `named` in `bedrock.ts`. */
export const bedrockProblem: Problem = (_status, message) => ({ message })

/** Bedrock's Converse, at once or in frames. */
export const converse: Wire = {
  read: ({ path, body }) => conversePrompt(modelInPath(path), body, path.endsWith('-stream')),
  body: (_asked, _prompt, turn) => ({
    ...converseAnswer(turn),
    ...(turn.usage === null ? {} : { usage: converseUsage(turn.usage) }),
    metrics: LATENCY,
  }),
  *events(_asked, _prompt, turn) {
    for (const [name, payload] of converseEvents(turn)) yield eventFrame(name, payload)
    yield eventFrame('metadata', {
      ...(turn.usage === null ? {} : { usage: converseUsage(turn.usage) }),
      metrics: LATENCY,
    })
  },
  streamType: () => 'application/vnd.amazon.eventstream',
  failure: () =>
    frameOf(
      {
        ':exception-type': 'serviceUnavailableException',
        ':content-type': 'application/json',
        ':message-type': 'exception',
      },
      JSON.stringify({ message: 'The simulator was asked to fail here.' }),
    ),
  problem: bedrockProblem,
}

export const eventFrame = (name: string, payload: Json): Buffer =>
  frameOf(
    { ':event-type': name, ':content-type': 'application/json', ':message-type': 'event' },
    JSON.stringify(payload),
  )

export const modelInPath = (path: string): string => /\/model\/(.+)\/[^/]+$/.exec(path)?.[1] ?? ''

/** Nova's own body is nearly this one; its limit has an older name as well. */
export const conversePrompt = (model: string, body: Json, stream: boolean): Prompt => {
  const { tools, toolChoice } = record(body.toolConfig)
  const limits = record(body.inferenceConfig)
  return {
    model,
    seed: digest(JSON.stringify([model, body.system, body.messages])),
    inputTokens: converseTokens(body),
    ...lastWords(messagesOf(records(body.messages))),
    tools: records(tools)
      .map(tool => record(tool.toolSpec))
      .filter(spec => text(spec.name) !== '')
      .map(spec => ({ name: text(spec.name), schema: record(spec.inputSchema).json })),
    choice: choiceOf(record(toolChoice)),
    format: formatOf(record(record(body.outputConfig).textFormat)),
    maxTokens: wholeNumber(limits.maxTokens) ?? wholeNumber(limits.max_new_tokens),
    stream,
    choices: 1,
  }
}

export const converseTokens = (body: Json): number => countTokens([body.system, body.messages, body.toolConfig])

export const converseAnswer = (turn: Turn) => ({
  output: {
    message: {
      role: 'assistant',
      content:
        turn.calls.length > 0
          ? turn.calls.map(call => ({ toolUse: { ...toolUse(call), input: inputOf(call) } }))
          : [{ text: turn.text }],
    },
  },
  stopReason: STOP[turn.reason],
})

/** Name and payload, all but the last event, which tells the usage in a way of the route's own. */
export function* converseEvents(turn: Turn): Iterable<readonly [name: string, payload: Json]> {
  yield ['messageStart', { role: 'assistant' }]
  if (turn.calls.length === 0) {
    for (const words of chunksOf(turn.text, turn.chunkTokens))
      yield ['contentBlockDelta', { contentBlockIndex: 0, delta: { text: words } }]
    yield ['contentBlockStop', { contentBlockIndex: 0 }]
  }
  for (const [contentBlockIndex, call] of turn.calls.entries()) {
    yield ['contentBlockStart', { contentBlockIndex, start: { toolUse: toolUse(call) } }]
    for (const input of chunksOf(argumentsOf({ ...call, args: inputOf(call) }), turn.chunkTokens))
      yield ['contentBlockDelta', { contentBlockIndex, delta: { toolUse: { input } } }]
    yield ['contentBlockStop', { contentBlockIndex }]
  }
  yield ['messageStop', { stopReason: STOP[turn.reason] }]
}

const STOP = { stop: 'end_turn', calls: 'tool_use', length: 'max_tokens' } as const

/** The clock would make two answers to one question differ. */
const LATENCY = { latencyMs: 1 }

const toolUse = (call: Turn['calls'][number]) => ({ toolUseId: `tooluse_${call.id}`, name: call.name })

/** Cached tokens stand beside the input here, not inside it; the sum has them all. */
const converseUsage = (usage: NonNullable<Turn['usage']>) => ({
  inputTokens: usage.input - usage.cached,
  outputTokens: usage.output,
  totalTokens: usage.input + usage.output,
  cacheReadInputTokens: usage.cached,
  cacheWriteInputTokens: 0,
})

const choiceOf = (choice: Json): ToolChoice => {
  if ('tool' in choice) return { kind: 'tool', name: text(record(choice.tool).name) }
  return { kind: 'any' in choice ? 'any' : 'auto' }
}

/** The schema stands there as a text. */
const formatOf = (format: Json): unknown => parsed(record(record(format.structure).jsonSchema).schema)

/** A user turn with tool results is a tool turn, whatever text an agent puts beside them. */
const messagesOf = (turns: readonly Json[]): readonly Message[] => {
  const blocks = turns.flatMap(turn => records(turn.content))
  const names = new Map(blocks.map(block => record(block.toolUse)).map(use => [use.toolUseId, text(use.name)]))
  return turns.map(turn => {
    const results = records(turn.content)
      .filter(block => 'toolResult' in block)
      .map(block => record(block.toolResult))
    if (results.length === 0) return { role: turn.role === 'user' ? 'user' : 'other', text: plainText(turn.content) }
    const told = results.map(result => ({
      name: names.get(result.toolUseId) || 'tool',
      text: records(result.content)
        .map(part => ('json' in part ? JSON.stringify(part.json) : text(part.text)))
        .join('\n'),
    }))
    return { role: 'tool', results: told }
  })
}
