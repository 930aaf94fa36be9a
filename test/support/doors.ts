import { at } from './gateway.ts'

/** A door of the gateway with what an honest upstream behind it says, for tests that hold at every door alike. */
export type DoorSample = {
  readonly name: string
  /** The path for a whole answer, and for a stream. */
  readonly path: (stream: boolean) => string
  readonly body: (stream: boolean, content?: string) => string
  /** An answer of 10 tokens in and 3 out. */
  readonly answer: object
  /** The same as a stream, event by event. */
  readonly events: readonly string[]
  /** Our code in an error object of this protocol. */
  readonly codeIn: (shaped: unknown) => unknown
  /** Whether an error has the protocol's own form, beside our code. */
  readonly ownShape: (shaped: unknown) => boolean
}

const model = 'made-up'
const messages = (content: string) => [{ role: 'user', content }]
const data = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const named = (value: { readonly type: string }) => `event: ${value.type}\n${data(value)}`

const chatUsage = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 }
const chunk = (delta: object, finish: string | null = null) =>
  data({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model,
    choices: [{ index: 0, delta, finish_reason: finish }],
  })

const response = (status: string, more: object) => ({
  id: 'resp_1',
  object: 'response',
  created_at: 1,
  status,
  model,
  ...more,
})
const outputMessage = {
  type: 'message',
  id: 'msg_1',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text: 'Hello there.', annotations: [] }],
}
const responsesUsage = { input_tokens: 10, output_tokens: 3, total_tokens: 13 }

const message = (more: object) => ({ id: 'msg_1', type: 'message', role: 'assistant', model, ...more })
const candidates = (text: string, finish?: string) => [
  {
    index: 0,
    content: { role: 'model', parts: [{ text }] },
    ...(finish === undefined ? {} : { finishReason: finish }),
  },
]
const geminiUsage = { promptTokenCount: 10, candidatesTokenCount: 3, totalTokenCount: 13 }

const cohereUsage = {
  billed_units: { input_tokens: 10, output_tokens: 3 },
  tokens: { input_tokens: 90, output_tokens: 5 },
}

const openaiShape = (it: unknown) =>
  typeof at(it, 'error', 'message') === 'string' && at(it, 'error', 'type') !== undefined

export const doors: readonly DoorSample[] = [
  {
    name: 'chat',
    path: () => '/v1/chat/completions',
    body: (stream, content = 'hi') => JSON.stringify({ model, messages: messages(content), ...streaming(stream) }),
    answer: {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model,
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there.' }, finish_reason: 'stop' }],
      usage: chatUsage,
    },
    events: [
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Hello' }),
      chunk({ content: ' there.' }),
      chunk({}, 'stop'),
      data({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model, choices: [], usage: chatUsage }),
      'data: [DONE]\n\n',
    ],
    codeIn: it => at(it, 'error', 'code'),
    ownShape: openaiShape,
  },
  {
    name: 'responses',
    path: () => '/v1/responses',
    body: (stream, content = 'hi') => JSON.stringify({ model, input: content, stream }),
    answer: response('completed', { output: [outputMessage], usage: responsesUsage }),
    events: [
      named({ type: 'response.created', ...{ response: response('in_progress', { output: [], usage: null }) } }),
      named({ type: 'response.output_item.added', ...{ output_index: 0, item: { ...outputMessage, content: [] } } }),
      named({ type: 'response.output_text.delta', ...{ item_id: 'msg_1', output_index: 0, delta: 'Hello' } }),
      named({ type: 'response.output_text.delta', ...{ item_id: 'msg_1', output_index: 0, delta: ' there.' } }),
      named({
        type: 'response.completed',
        ...{ response: response('completed', { output: [outputMessage], usage: responsesUsage }) },
      }),
    ],
    // An error event of a Responses stream is flat.
    codeIn: it => at(it, 'error', 'code') ?? at(it, 'code'),
    ownShape: it => openaiShape(it) || (at(it, 'type') === 'error' && typeof at(it, 'message') === 'string'),
  },
  {
    name: 'messages',
    path: () => '/v1/messages',
    body: (stream, content = 'hi') =>
      JSON.stringify({ model, max_tokens: 50, messages: messages(content), ...(stream ? { stream } : {}) }),
    answer: message({
      content: [{ type: 'text', text: 'Hello there.' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 10, output_tokens: 3 },
    }),
    events: [
      named({
        type: 'message_start',
        ...{ message: message({ content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } }) },
      }),
      named({ type: 'content_block_start', ...{ index: 0, content_block: { type: 'text', text: '' } } }),
      named({ type: 'content_block_delta', ...{ index: 0, delta: { type: 'text_delta', text: 'Hello there.' } } }),
      named({ type: 'content_block_stop', ...{ index: 0 } }),
      named({ type: 'message_delta', ...{ delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } } }),
      named({ type: 'message_stop' }),
    ],
    codeIn: it => at(it, 'error', 'code'),
    ownShape: it => at(it, 'type') === 'error' && typeof at(it, 'error', 'type') === 'string',
  },
  {
    name: 'gemini',
    path: stream => `/v1beta/models/${model}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    body: (_stream, content = 'hi') => JSON.stringify({ contents: [{ role: 'user', parts: [{ text: content }] }] }),
    answer: { candidates: candidates('Hello there.', 'STOP'), usageMetadata: geminiUsage, modelVersion: model },
    events: [
      data({ candidates: candidates('Hello'), usageMetadata: { promptTokenCount: 10 }, modelVersion: model }),
      data({ candidates: candidates(' there.', 'STOP'), usageMetadata: geminiUsage, modelVersion: model }),
    ],
    codeIn: it => at(it, 'error', 'details', 0, 'reason'),
    ownShape: it => typeof at(it, 'error', 'code') === 'number' && typeof at(it, 'error', 'status') === 'string',
  },
  {
    name: 'cohere',
    path: () => '/v2/chat',
    body: (stream, content = 'hi') =>
      JSON.stringify({ model, messages: messages(content), ...(stream ? { stream } : {}) }),
    answer: {
      id: 'c-1',
      finish_reason: 'COMPLETE',
      message: { role: 'assistant', content: [{ type: 'text', text: 'Hello there.' }] },
      usage: cohereUsage,
    },
    events: [
      named({ type: 'message-start', ...{ id: 'c-1', delta: { message: { role: 'assistant' } } } }),
      named({ type: 'content-start', ...{ index: 0, delta: { message: { content: { type: 'text', text: '' } } } } }),
      named({ type: 'content-delta', ...{ index: 0, delta: { message: { content: { text: 'Hello there.' } } } } }),
      named({ type: 'content-end', ...{ index: 0 } }),
      named({ type: 'message-end', ...{ delta: { finish_reason: 'COMPLETE', usage: cohereUsage } } }),
    ],
    codeIn: it => at(it, 'code'),
    ownShape: it => typeof at(it, 'message') === 'string',
  },
]

const streaming = (stream: boolean) => (stream ? { stream, stream_options: { include_usage: true } } : {})

/** One upstream behind all doors, and a route that gives it this much time. */
export const allDoors = (origin: string, route: object = {}, more: object = {}) => ({
  providers: {
    'up-openai': { protocol: 'openai', baseUrl: `${origin}/v1`, apiKey: 'sk-provider-0123456789abcdef', prices },
    'up-anthropic': { protocol: 'anthropic', baseUrl: origin, apiKey: 'sk-provider-0123456789abcdef', prices },
    'up-gemini': { protocol: 'gemini', baseUrl: origin, apiKey: 'sk-provider-0123456789abcdef', prices },
    'up-cohere': { protocol: 'cohere', baseUrl: origin, apiKey: 'sk-provider-0123456789abcdef', prices },
  },
  routes: [
    {
      models: ['made-up*'],
      targets: ['up-openai', 'up-anthropic', 'up-gemini', 'up-cohere'].map(provider => ({ provider })),
      ...route,
    },
  ],
  ...more,
})

const prices = { '*': { input: 1, output: 2 } }
