import { bedrockCount, invoke, invokedPlainly, isAnthropic } from './bedrock.ts'
import { chat, embeddings, modelsList, openaiProblem } from './chat.ts'
import { cohereChat, cohereProblem } from './cohere.ts'
import { embed, rerank, tokenize } from './cohere-plain.ts'
import { compact, responsesCount } from './compact.ts'
import { bedrockProblem, converse, modelInPath } from './converse.ts'
import { fim } from './fim.ts'
import {
  batchEmbedContents,
  countTokensAnswer,
  embedContent,
  gemini,
  geminiModels,
  geminiProblem,
  modelIn,
} from './gemini.ts'
import { text } from './json.ts'
import { knobsIn } from './knobs.ts'
import { anthropicModels, anthropicProblem, countedTokens, messages } from './messages.ts'
import { responses, retrieved } from './responses.ts'
import { failing, halved, json, refusal, type Script, scriptedError, timing } from './script.ts'
import { turnOf } from './turn.ts'
import { vectorOf } from './vector.ts'
import type { Asked, Problem, Wire } from './wire.ts'

/** One route: what is asked there and how it is answered. */
export type Door = {
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
const bedrockModel = (asked: Asked): string => modelInPath(asked.path)
const anyModel = (): string => 'simulator'

const anthropic = (asked: Asked): Script =>
  asked.body.max_tokens === undefined
    ? refusal(anthropicProblem, 400, 'max_tokens: Field required')
    : conversation(messages)(asked)

/** What is invoked may be no conversation at all. */
const invoked = (asked: Asked): Script => {
  if (!known(modelInPath(asked.path))) return refusal(bedrockProblem, 404, unknown(modelInPath(asked.path)))
  if (isAnthropic(asked.body) && asked.body.max_tokens === undefined)
    return refusal(bedrockProblem, 400, 'max_tokens: Field required')
  return invokedPlainly(asked) ?? conversation(invoke)(asked)
}

/** A background answer is ready when it is asked for: whoever cancels one comes too late and gets it whole. */
const retrieve = (asked: Asked): Script => {
  const found = retrieved(asked)
  if (found === null) return refusal(openaiProblem, 404, 'Response not found.')
  const then = { ...asked, method: 'GET', body: { background: true } }
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

export const DOORS: readonly Door[] = [
  door('POST', /\/chat\/completions$/, openaiProblem, conversation(chat)),
  door('POST', /\/responses$/, openaiProblem, conversation(responses)),
  door('GET', /\/responses\/[^/]+$/, openaiProblem, retrieve),
  door('POST', /\/responses\/[^/]+\/cancel$/, openaiProblem, retrieve),
  door('POST', /\/responses\/compact$/, openaiProblem, conversation(compact)),
  door('POST', /\/responses\/input_tokens$/, openaiProblem, single(openaiProblem, bodyModel, responsesCount)),
  door('POST', /\/fim\/completions$/, openaiProblem, conversation(fim)),
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
  door('POST', /^\/model\/.+\/converse(?:-stream)?$/, bedrockProblem, conversation(converse)),
  door('POST', /^\/model\/.+\/invoke(?:-with-response-stream)?$/, bedrockProblem, invoked),
  door('POST', /^\/model\/.+\/count-tokens$/, bedrockProblem, single(bedrockProblem, bedrockModel, bedrockCount)),
  door('POST', /\/v2\/chat$/, cohereProblem, conversation(cohereChat)),
  door('POST', /\/v2\/embed$/, cohereProblem, single(cohereProblem, bodyModel, embed)),
  door('POST', /\/v2\/rerank$/, cohereProblem, single(cohereProblem, bodyModel, rerank)),
  door('POST', /\/v1\/tokenize$/, cohereProblem, single(cohereProblem, bodyModel, tokenize)),
  door('GET', /\/v1beta\/models(?:\/simulator)?$/, geminiProblem, single(geminiProblem, anyModel, geminiModels)),
  door('GET', /\/models(?:\/simulator)?$/, openaiProblem, models),
]

const known = (model: string): boolean => model.startsWith('simulator')
const unknown = (model: string): string =>
  `The model \`${model}\` does not exist: the simulator answers as \`simulator\`.`
