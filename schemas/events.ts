import { z } from 'zod'
import { admissionContinued, admissionGranted, admissionRefused, admissionSettled, boundViolated } from './admission.ts'
import { agentCalled, agentReturned } from './agent.ts'
import { type Envelope, header } from './envelope.ts'
import { guardrailHit } from './guardrail.ts'
import { llmCompleted, llmQueued } from './llm.ts'
import { killObserved, runChanged, runContinued, runStarted, scopeChanged } from './run.ts'
import { tokenIssued } from './token.ts'
import { toolCalled, toolReturned } from './tool.ts'

/** Every fact of `sluice.events`. A new one is a line here; exhaustive switches then stop compiling. */
export const fact = z.discriminatedUnion('type', [
  runStarted,
  runContinued,
  runChanged,
  scopeChanged,
  killObserved,
  admissionGranted,
  admissionContinued,
  admissionRefused,
  admissionSettled,
  boundViolated,
  llmCompleted,
  llmQueued,
  toolCalled,
  toolReturned,
  agentCalled,
  agentReturned,
  guardrailHit,
  tokenIssued,
])
export type Fact = z.infer<typeof fact>
export type Event = Envelope & Fact

/** A record as it stands on a log, whichever log. */
export type Message = {
  readonly key: string | null
  readonly headers: Readonly<Record<string, string>>
  readonly value: Buffer
}

/** CloudEvents binary mode: the envelope and the type in headers, the rest as one flat JSON object. */
export function encode(event: Envelope & { readonly type: string }, key: string | null): Message {
  const { id, source, time, type, ...body } = event
  return messageOf({ id, source, time }, type, key, JSON.stringify(body))
}

/** Fields that several facts begin with, and their JSON: serialising is most of what an event costs. */
export type Opening<Fields> = { readonly fields: Fields; readonly json: string }

export const openingOf = <Fields extends { readonly agent: string }>(fields: Fields): Opening<Fields> => ({
  fields,
  json: JSON.stringify(fields).slice(0, -1),
})

/** A fact that goes on from an opening. Made by `continued`, which sees to it that no field stands in both. */
export type Continued = { readonly type: Fact['type']; readonly opening: Opening<object>; readonly own: object }

export const continued = <Type extends Fact['type'], Shared extends object>(
  type: Type,
  opening: Opening<Shared>,
  own: Omit<Extract<Fact, { readonly type: Type }>, keyof Shared | 'type'>,
): Continued => ({ type, opening, own })

/** A fact as it comes, whole or going on from an opening. */
export const encodeFact = (envelope: Envelope, fact: Fact | Continued, key: string | null): Message =>
  'opening' in fact ? encodeContinued(envelope, fact, key) : encode({ ...envelope, ...fact }, key)

/** The same message as of the fact in one piece. */
export function encodeContinued(envelope: Envelope, fact: Continued, key: string | null): Message {
  const own = JSON.stringify(fact.own)
  const json = own === '{}' ? `${fact.opening.json}}` : `${fact.opening.json},${own.slice(1)}`
  return messageOf(envelope, fact.type, key, json)
}

/** @param json the body as it is to stand there */
export function messageOf({ id, source, time }: Envelope, type: string, key: string | null, json: string): Message {
  return {
    key,
    // Written out: an object with computed names is ten times as dear to make.
    headers: {
      ce_specversion: '1.0',
      ce_id: id,
      ce_type: type,
      ce_source: source,
      ce_time: isoTime(time),
      'content-type': 'application/json',
    } satisfies Readonly<Record<Exclude<HeaderName, typeof header.previous>, string>>,
    value: Buffer.from(json),
  }
}

/** Under load many events share a second, some a millisecond; `toISOString` is three times as dear as what is done here. */
function isoTime(time: number): string {
  if (time === latest.time) return latest.text
  const second = Math.floor(time / 1000)
  const upToSecond = second === latest.second ? latest.upToSecond : new Date(second * 1000).toISOString().slice(0, -4)
  const text = `${upToSecond}${threeDigits[Math.floor(time) - second * 1000]}Z`
  latest = { time, second, upToSecond, text }
  return text
}
let latest = { time: Number.NaN, second: Number.NaN, upToSecond: '', text: '' }
const threeDigits = Array.from({ length: 1000 }, (_, number) => String(number).padStart(3, '0'))

type HeaderName = (typeof header)[keyof typeof header]

/** What `encode` took, unchecked: envelope, type and body. Throws a SyntaxError where the value is not a JSON object. */
export function decodeRaw(message: Message): Envelope & { readonly type: string; readonly [field: string]: unknown } {
  const { headers } = message
  const body: unknown = JSON.parse(message.value.toString('utf8'))
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new SyntaxError('not a JSON object')
  // Nobody else has it, and to copy forty fields takes as long as to read them.
  return Object.assign(body, {
    id: headers[header.id] ?? '',
    source: headers[header.source] ?? '',
    time: Date.parse(headers[header.time] ?? ''),
    type: headers[header.type] ?? '',
  })
}

/** A checked event, or why it is none (then it belongs to `sluice.deadletters`). Never throws. */
export function decode(message: Message): { readonly event: Event } | { readonly unreadable: string } {
  try {
    const raw = decodeRaw(message)
    const parsed = event.safeParse(raw)
    return parsed.success ? { event: parsed.data } : { unreadable: z.prettifyError(parsed.error) }
  } catch (error) {
    return { unreadable: error instanceof Error ? error.message : String(error) }
  }
}

const event = z.intersection(z.object({ id: z.string().min(1), source: z.string(), time: z.number().int() }), fact)
