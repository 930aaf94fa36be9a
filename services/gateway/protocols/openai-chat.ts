import type { Output, OutputSize } from '../../core/wire/output-size.ts'
import { type AnswerReader, describe, errorIn, type Findings } from './findings.ts'
import { get, isObject, list, parse, text } from './json.ts'
import { addChatDelta } from './openai-said.ts'
import { takeUsage } from './openai-usage.ts'

/** Chat Completions, OpenAI's and everybody else's. */
export const chatReader: AnswerReader = {
  bulk: [],
  array: false,

  whole(document, found) {
    const choices = get(document, 'choices')
    takeHead(document, found)
    takeError(document, found)
    takeUsage(found, get(document, 'usage'))
    for (const choice of list(choices)) takeChoice(choice, found)
    found.said = list(choices)
      .slice(0, 1)
      .map(choice => get(choice, 'message'))
    found.recognised = Array.isArray(choices) || found.error !== null
    found.ended = true
  },

  written(document, output) {
    for (const choice of list(get(document, 'choices'))) addMessage(get(choice, 'message'), output)
  },

  event(name, data, found, output) {
    if (data.startsWith('[DONE]')) {
      found.ended = true
      return false
    }
    const chunk = parse(data)
    if (!isObject(chunk)) {
      if (data.trim() !== '') found.malformed = true
      return false
    }
    takeHead(chunk, found)
    takeError(chunk, found)
    if (name === 'error' && found.error === null) found.error = describe(chunk)
    const choices = get(chunk, 'choices')
    const usage = get(chunk, 'usage')
    for (const choice of list(choices)) takeDelta(choice, found, output)
    addChatDelta(found.said, list(choices)[0])
    takeStreamUsage(chunk, usage, found)
    if (!Array.isArray(choices)) return false
    found.recognised = true
    return choices.length === 0 && isObject(usage) && get(chunk, 'error') == null
  },
}

function takeHead(document: unknown, found: Findings): void {
  found.model ??= text(get(document, 'model')) // Azure's first chunk has an empty one
  found.responseId ??= text(get(document, 'id'))
}

function takeError(document: unknown, found: Findings): void {
  if (found.error === null && get(document, 'error') != null) found.error = errorIn(document)
}

/**
 * The last usage wins. Groq puts it under `x_groq`, asked or not, and Moonshot into the choice; those count where there is
 * no other.
 */
function takeStreamUsage(chunk: unknown, usage: unknown, found: Findings): void {
  const told = [usage, get(get(chunk, 'x_groq'), 'usage'), get(list(get(chunk, 'choices'))[0], 'usage')].find(isObject)
  if (told !== undefined) takeUsage(found, told)
}

/** The finish reason is the first choice's, in whatever order choices end. */
function takeChoice(choice: unknown, found: Findings): void {
  const reason = text(get(choice, 'finish_reason'))
  if (reason !== null && (found.finishReason === null || get(choice, 'index') === 0)) found.finishReason = reason
  const error = get(choice, 'error')
  if (error != null && found.error === null) found.error = describe(error)
}

function takeDelta(choice: unknown, found: Findings, output: OutputSize): void {
  takeChoice(choice, found)
  const delta = get(choice, 'delta')
  if (!isObject(delta)) return
  const before = output.bytes()
  addMessage(delta, output)
  if (output.bytes() > before || get(delta, 'audio') != null || get(delta, 'images') != null) found.content = true
}

/** What a message or a piece of one says. Reasoning goes by two names, content may be parts. */
function addMessage(message: unknown, output: Output): void {
  const content = get(message, 'content')
  if (typeof content === 'string') output.add(content)
  else for (const part of list(content)) addText(get(part, 'text') ?? get(part, 'thinking'), output)
  addText(get(message, 'reasoning_content') ?? get(message, 'reasoning'), output)
  addText(get(message, 'refusal'), output)
  for (const call of list(get(message, 'tool_calls'))) {
    addFunction(get(call, 'function'), output)
    addFunction(get(call, 'custom'), output)
  }
  addFunction(get(message, 'function_call'), output)
}

/** Only a call's first piece has its name. */
function addFunction(call: unknown, output: Output): void {
  if (call === undefined || call === null) return
  if (text(get(call, 'name')) !== null) output.call(20)
  addText(get(call, 'name'), output)
  addText(get(call, 'arguments') ?? get(call, 'input'), output)
}

function addText(value: unknown, output: Output): void {
  if (typeof value === 'string') output.add(value)
  else if (Array.isArray(value)) for (const part of value) addText(get(part, 'text'), output) // Mistral's thinking
}
