import { isRecord, type Json, list, plainText, record, records, text, wholeNumber } from './json.ts'
import { digest } from './seed.ts'
import { countTokens } from './tokens.ts'
import { chunksOf, lastWords, type Message, type Prompt, type ToolChoice, type Turn, type Usage } from './turn.ts'
import { type Asked, type Problem, sse, type Wire } from './wire.ts'

const STATUSES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

export const geminiProblem: Problem = (status, message) => ({
  error: { code: status, message, status: STATUSES[status] ?? (status >= 500 ? 'INTERNAL' : 'FAILED_PRECONDITION') },
})

const MOST_CHOICES = 8

/** Gemini generateContent and streamGenerateContent. */
export const gemini: Wire = {
  read: ({ path, body }) => {
    const generation = record(body.generationConfig)
    return {
      model: modelIn(path),
      seed: digest(JSON.stringify([modelIn(path), body.systemInstruction, body.contents])),
      inputTokens: countTokens([body.systemInstruction, body.contents, body.tools]),
      ...lastWords(messagesOf(records(body.contents))),
      tools: records(body.tools)
        .flatMap(tool => records(tool.functionDeclarations))
        .map(tool => ({ name: text(tool.name), schema: schemaOf(tool) })),
      choice: choiceOf(record(record(body.toolConfig).functionCallingConfig)),
      format: generation.responseJsonSchema ?? generation.responseSchema ?? null,
      maxTokens: wholeNumber(generation.maxOutputTokens),
      stream: path.endsWith(':streamGenerateContent'),
      choices: Math.min(Math.max(wholeNumber(generation.candidateCount) ?? 1, 1), MOST_CHOICES),
    }
  },

  body: (_asked, prompt, turn) => {
    const parts = turn.calls.length > 0 ? turn.calls.map(callPart) : [{ text: turn.text }]
    return piece(prompt, turn, parts, turn.usage, FINISH[turn.reason])
  },

  /** With `alt=sse` events, else one JSON array that comes piece by piece. Usage counts up from piece to piece. */
  *events(asked, prompt, turn) {
    const framed = frame(asked)
    const steps =
      turn.calls.length > 0
        ? [turn.calls.map(callPart)]
        : chunksOf(turn.text, turn.chunkTokens).map(said => [{ text: said }])
    let first = true
    for (const [i, parts] of steps.entries()) {
      const soFar = turn.usage && { ...turn.usage, output: Math.min(turn.usage.output, (i + 1) * turn.chunkTokens) }
      yield framed(piece(prompt, turn, parts, soFar, null), first)
      first = false
    }
    yield framed(piece(prompt, turn, [{ text: '' }], turn.usage, FINISH[turn.reason]), first)
    if (!isSse(asked)) yield ']'
  },

  streamType: asked => (isSse(asked) ? 'text/event-stream' : 'application/json; charset=UTF-8'),
  failure: (asked, first) =>
    frame(asked)(geminiProblem(503, 'The simulator was asked to fail here.'), first) + (isSse(asked) ? '' : ']'),
  problem: geminiProblem,
}

export const modelIn = (path: string): string => /\/(?:models|tunedModels)\/([^/:]+)/.exec(path)?.[1] ?? ''

export const geminiModels = (asked: Asked): unknown => {
  const one = {
    name: 'models/simulator',
    baseModelId: 'simulator',
    version: '1',
    displayName: 'Simulator',
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 10_000,
    supportedGenerationMethods: ['generateContent', 'countTokens', 'embedContent'],
  }
  return asked.path.endsWith('/models') ? { models: [one] } : one
}

export const countTokensAnswer = (body: Json): unknown => {
  const asked = isRecord(body.generateContentRequest) ? body.generateContentRequest : body
  const totalTokens = countTokens([asked.systemInstruction, asked.contents, asked.tools])
  return { totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] }
}

type Vector = (text: string, dimensions: number) => readonly number[]

export const embedContent = (body: Json, vector: Vector): unknown => ({ embedding: embedded(body, vector) })

export const batchEmbedContents = (body: Json, vector: Vector): unknown => {
  const requests = records(body.requests)
  const promptTokenCount = countTokens(requests.map(request => request.content))
  return { embeddings: requests.map(request => embedded(request, vector)), usageMetadata: { promptTokenCount } }
}

const embedded = (request: Json, vector: Vector) => ({
  values: vector(plainText(record(request.content).parts), wholeNumber(request.outputDimensionality) ?? 0),
})

const FINISH = { stop: 'STOP', calls: 'STOP', length: 'MAX_TOKENS' } as const

const isSse = (asked: Asked): boolean => asked.query.get('alt') === 'sse'

const frame =
  (asked: Asked) =>
  (value: unknown, first: boolean): string =>
    isSse(asked) ? sse(value).replace(/\n\n$/, '\r\n\r\n') : `${first ? '[' : ',\r\n'}${JSON.stringify(value)}`

const choiceOf = (config: Json): ToolChoice => {
  const only = list(config.allowedFunctionNames)
  if (config.mode === 'ANY') return only.length > 0 ? { kind: 'tool', name: text(only[0]) } : { kind: 'any' }
  return { kind: config.mode === 'NONE' ? 'none' : 'auto' }
}

const schemaOf = (tool: Json): unknown => tool.parametersJsonSchema ?? tool.parameters_json_schema ?? tool.parameters

const messagesOf = (contents: readonly Json[]): readonly Message[] =>
  contents.map(content => {
    const results = records(content.parts)
      .map(part => record(part.functionResponse))
      .filter(answer => text(answer.name) !== '')
    if (results.length === 0)
      return { role: content.role === 'model' ? 'other' : 'user', text: plainText(content.parts) }
    const told = results.map(answer => ({ name: text(answer.name), text: JSON.stringify(answer.response ?? null) }))
    return { role: 'tool', results: told }
  })

const callPart = (call: Turn['calls'][number]) => ({
  functionCall: { name: call.name, args: isRecord(call.args) ? call.args : { input: call.args }, id: call.id },
})

const piece = (
  prompt: Prompt,
  turn: Turn,
  parts: readonly unknown[],
  usage: Usage | null,
  finishReason: string | null,
) => ({
  candidates: Array.from({ length: prompt.choices }, (_, index) => ({
    content: { parts, role: 'model' },
    ...(finishReason === null ? {} : { finishReason }),
    index,
  })),
  ...(usage === null ? {} : { usageMetadata: usageOf(usage) }),
  modelVersion: prompt.model,
  responseId: turn.seed,
})

const usageOf = (usage: Usage) => ({
  promptTokenCount: usage.input,
  candidatesTokenCount: Math.max(usage.output - usage.reasoning, 0),
  totalTokenCount: usage.input + Math.max(usage.output, usage.reasoning),
  promptTokensDetails: [{ modality: 'TEXT', tokenCount: usage.input }],
  ...(usage.reasoning > 0 ? { thoughtsTokenCount: usage.reasoning } : {}),
  ...(usage.cached > 0 ? { cachedContentTokenCount: usage.cached } : {}),
})
