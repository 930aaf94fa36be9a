import { example } from './example.ts'
import { record } from './json.ts'
import { type Knobs, toolNamed, type Wish } from './knobs.ts'
import { digest } from './seed.ts'
import { cutTo, prose, tokensOf } from './tokens.ts'

/** A question, freed from the protocol in which it came. */
export type Prompt = {
  readonly model: string
  /** Of the conversation, not of the bytes: what a gateway adds to a request must not change the answer. */
  readonly seed: string
  readonly inputTokens: number
  /** The last user message. */
  readonly userText: string
  /** Tool results since then, the last turn's only, and how many turns of results there were. */
  readonly results: readonly Result[]
  readonly roundsDone: number
  readonly tools: readonly Tool[]
  readonly choice: ToolChoice
  /** The JSON Schema of the answer, where one is asked for. */
  readonly format: unknown
  readonly maxTokens: number | null
  readonly stream: boolean
  /** How many answers are asked for at once. */
  readonly choices: number
}
export type Tool = { readonly name: string; readonly schema: unknown }
export type ToolChoice = { readonly kind: 'auto' | 'none' | 'any' } | { readonly kind: 'tool'; readonly name: string }
export type Result = { readonly name: string; readonly text: string }

/** One message of a conversation. */
export type Message =
  | { readonly role: 'user' | 'other'; readonly text: string }
  | { readonly role: 'tool'; readonly results: readonly Result[] }

/** What the simulator says. */
export type Turn = {
  readonly seed: string
  readonly text: string
  readonly calls: readonly Call[]
  readonly reason: 'stop' | 'calls' | 'length'
  readonly usage: Usage | null
  /** Tokens in one chunk of a stream. */
  readonly chunkTokens: number
}
export type Call = { readonly id: string; readonly name: string; readonly args: unknown }
/** Cached inside input, reasoning inside output. */
export type Usage = {
  readonly input: number
  readonly cached: number
  readonly output: number
  readonly reasoning: number
}

export const lastWords = (messages: readonly Message[]): Pick<Prompt, 'userText' | 'results' | 'roundsDone'> => {
  const user = messages.findLastIndex(message => message.role === 'user')
  const since = messages.slice(user + 1)
  const asked = messages[user]
  const lastOther = since.findLastIndex(message => message.role !== 'tool')
  return {
    userText: asked?.role === 'user' ? asked.text : '',
    results: since.slice(lastOther + 1).flatMap(message => (message.role === 'tool' ? message.results : [])),
    roundsDone: since.filter((message, i) => message.role === 'tool' && since[i - 1]?.role !== 'tool').length,
  }
}

export const turnOf = (prompt: Prompt, knobs: Knobs): Turn => {
  const calls = wishes(prompt, knobs).map((wish, i) => ({
    id: digest(`${prompt.seed} ${i}`),
    name: wish.tool,
    args: wish.args ?? record(example(prompt.tools.find(tool => tool.name === wish.tool)?.schema)),
  }))
  const callTokens = calls.reduce((sum, call) => sum + 1 + tokensOf(argumentsOf(call)).length, 0)
  const text = calls.length > 0 ? '' : wordsOf(prompt, knobs)
  const most = prompt.maxTokens ?? Number.POSITIVE_INFINITY
  const reasoning = Math.min(knobs.reasoningTokens, most)
  const whole = reasoning + callTokens + tokensOf(text).length
  const input = knobs.inputTokens ?? prompt.inputTokens
  const usage = { input, cached: Math.min(knobs.cachedTokens, input), output: Math.min(whole, most), reasoning }
  return {
    seed: prompt.seed,
    text: whole > most ? cutTo(text, most - reasoning) : text,
    calls: whole > most ? [] : calls,
    reason: whole > most ? 'length' : calls.length > 0 ? 'calls' : 'stop',
    usage: knobs.usage ? { ...usage, output: usage.output * prompt.choices } : null,
    chunkTokens: knobs.chunkTokens,
  }
}

export const argumentsOf = (call: Call): string =>
  typeof call.args === 'string' ? call.args : JSON.stringify(call.args ?? {})

/** A text cut as a stream carries it. */
export const chunksOf = (text: string, chunkTokens: number): readonly string[] => {
  const tokens = tokensOf(text)
  if (chunkTokens === 1) return tokens
  return Array.from({ length: Math.ceil(tokens.length / chunkTokens) }, (_, i) =>
    tokens.slice(i * chunkTokens, (i + 1) * chunkTokens).join(''),
  )
}

/** Tools are called when the user asks for one or the request forces one, and only tools that are offered. */
const wishes = (prompt: Prompt, knobs: Knobs): readonly Wish[] => {
  const offered = prompt.tools.map(tool => tool.name)
  if (offered.length === 0 || prompt.choice.kind === 'none') return []
  const scripted = knobs.rounds[prompt.roundsDone]?.filter(wish => offered.includes(wish.tool)) ?? []
  if (scripted.length > 0) return scripted
  // A result is answered in words, or a forced tool would be called for ever.
  if (prompt.results.length > 0 || prompt.roundsDone > 0) return []
  const forced = prompt.choice.kind === 'tool' && offered.includes(prompt.choice.name) ? prompt.choice.name : null
  const name = forced ?? toolNamed(prompt.userText, offered) ?? (prompt.choice.kind === 'any' ? offered[0] : undefined)
  return name === undefined ? [] : [{ tool: name, args: undefined }]
}

/** Enough of a tool's result to see that it arrived. */
const PREVIEW_CHARS = 400

const wordsOf = (prompt: Prompt, knobs: Knobs): string => {
  if (knobs.say !== null) return knobs.say
  if (prompt.format !== null) return JSON.stringify(example(prompt.format))
  const { seed } = prompt
  if (knobs.tokens !== null) return prose(seed, knobs.tokens)
  if (prompt.results.length > 0)
    return prompt.results
      .map(({ name, text }) => `The tool ${name} answered: ${text.slice(0, PREVIEW_CHARS)}`)
      .join('\n')
  return prose(seed, 16 + (Number.parseInt(seed.slice(0, 2), 16) % 17))
}
