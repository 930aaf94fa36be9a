import { chat, embeddings, modelsList, openaiProblem } from './chat.ts'
import {
  batchEmbedContents,
  countTokensAnswer,
  embedContent,
  gemini,
  geminiModels,
  geminiProblem,
  modelIn,
} from './gemini.ts'
import { isRecord, type Json, text } from './json.ts'
import { knobsIn } from './knobs.ts'
import { anthropicModels, anthropicProblem, countedTokens, messages } from './messages.ts'
import { responses, retrieved } from './responses.ts'
import { failing, halved, json, refusal, type Script, scriptedError, timing } from './script.ts'
import { turnOf } from './turn.ts'
import { vectorOf } from './vector.ts'
import type { Asked, Problem, Wire } from './wire.ts'

/** A pure function of the request: the same bytes are answered by the same bytes. */
export const answerOf = (request: {
  readonly method: string
  readonly path: string
  readonly headers: readonly string[]
  readonly body: Buffer | null
}): Script => {
  const [path = '', ...query] = request.path.split('?')
  const bytes = request.body?.toString('utf8') ?? ''
  const asked = {
    method: request.method,
    path: decoded(path),
    query: new URLSearchParams(query.join('?')),
    header: reader(request.headers),
  }
  const door = DOORS.find(({ method, path }) => method === request.method && path.test(asked.path))
  if (door === undefined) return refusal(openaiProblem, 404, `No such route: ${request.method} ${asked.path}`)
  const body = request.method === 'GET' ? {} : objectIn(bytes)
  if (body === null) return refusal(door.problem, 400, 'The body is not a JSON object, or nests too deeply.')
  return door.answer({ ...asked, body })
}

type Door = {
  readonly method: string
  readonly path: RegExp
  readonly problem: Problem
  readonly answer: (asked: Asked) => Script
}

const conversation =
  (wire: Wire) =>
  (asked: Asked): Script => {
    const prompt = wire.read(asked)
    if (!known(prompt.model)) return refusal(wire.problem, 404, unknown(prompt.model))
    const knobs = knobsIn(prompt.userText)
    if (knobs.status !== null) return scriptedError(wire.problem, knobs, knobs.status)
    const turn = turnOf(prompt, knobs)
    if (!prompt.stream) return halved(json(200, wire.body(asked, prompt, turn)), knobs)
    const pieces = wire.events(asked, prompt, turn)
    const headers = ['content-type', wire.streamType(asked), 'x-request-id', `req_${turn.seed}`]
    return {
      status: 200,
      headers,
      ...timing(knobs),
      pieces:
        knobs.errorAfter === null ? pieces : failing(pieces, knobs.errorAfter, first => wire.failure(asked, first)),
    }
  }

/** Answers without a conversation: one JSON body, where the model is known. */
const single =
  (problem: Problem, model: (asked: Asked) => string, body: (asked: Asked) => unknown) =>
  (asked: Asked): Script => {
    const name = model(asked)
    return known(name) ? json(200, body(asked)) : refusal(problem, 404, unknown(name))
  }

const bodyModel = (asked: Asked): string => text(asked.body.model)
const pathModel = (asked: Asked): string => modelIn(asked.path)
const anyModel = (): string => 'simulator'

const anthropic = (asked: Asked): Script =>
  asked.body.max_tokens === undefined
    ? refusal(anthropicProblem, 400, 'max_tokens: Field required')
    : conversation(messages)(asked)

const retrieve = (asked: Asked): Script => {
  const found = retrieved(asked)
  if (found === null) return refusal(openaiProblem, 404, 'Response not found.')
  const then = { ...asked, body: { background: true } }
  if (asked.query.get('stream') !== 'true') return json(200, responses.body(then, found.prompt, found.turn))
  const headers = ['content-type', responses.streamType(asked)]
  const pieces = responses.events(then, found.prompt, found.turn)
  return { status: 200, headers, pieces, delayMs: 0, intervalMs: 0, breaks: null }
}

const models = (asked: Asked): Script =>
  json(200, asked.header('anthropic-version') === '' ? modelsList(asked) : anthropicModels())

const door = (method: string, path: RegExp, problem: Problem, answer: Door['answer']): Door => ({
  method,
  path,
  problem,
  answer,
})

const DOORS: readonly Door[] = [
  door('POST', /\/chat\/completions$/, openaiProblem, conversation(chat)),
  door('POST', /\/responses$/, openaiProblem, conversation(responses)),
  door('GET', /\/responses\/[^/]+$/, openaiProblem, retrieve),
  door(
    'POST',
    /\/embeddings$/,
    openaiProblem,
    single(openaiProblem, bodyModel, asked => embeddings(asked, vectorOf)),
  ),
  door('POST', /\/messages$/, anthropicProblem, anthropic),
  door(
    'POST',
    /\/messages\/count_tokens$/,
    anthropicProblem,
    single(anthropicProblem, bodyModel, ({ body }) => countedTokens(body)),
  ),
  door('POST', /:(?:streamG|g)enerateContent$/, geminiProblem, conversation(gemini)),
  door(
    'POST',
    /:countTokens$/,
    geminiProblem,
    single(geminiProblem, pathModel, ({ body }) => countTokensAnswer(body)),
  ),
  door(
    'POST',
    /:embedContent$/,
    geminiProblem,
    single(geminiProblem, pathModel, ({ body }) => embedContent(body, vectorOf)),
  ),
  door(
    'POST',
    /:batchEmbedContents$/,
    geminiProblem,
    single(geminiProblem, pathModel, ({ body }) => batchEmbedContents(body, vectorOf)),
  ),
  door('GET', /\/v1beta\/models(?:\/simulator)?$/, geminiProblem, single(geminiProblem, anyModel, geminiModels)),
  door('GET', /\/models(?:\/simulator)?$/, openaiProblem, models),
]

const known = (model: string): boolean => model.startsWith('simulator')
const unknown = (model: string): string =>
  `The model \`${model}\` does not exist: the simulator answers as \`simulator\`.`

const objectIn = (bytes: string): Json | null => {
  try {
    const value: unknown = JSON.parse(bytes)
    return isRecord(value) && shallow(value) ? value : null
  } catch {
    return null
  }
}

/** Deeper bodies are hostile: `JSON.stringify` would run out of stack on them. */
const DEEPEST = 500

const shallow = (value: Json): boolean => {
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 1 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value !== 'object' || next.value === null) continue
    if (next.depth > DEEPEST) return false
    for (const inner of Object.values(next.value)) open.push({ value: inner, depth: next.depth + 1 })
  }
  return true
}

const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

const reader =
  (headers: readonly string[]) =>
  (name: string): string =>
    headers.find((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === name) ?? ''
