import { completedBy, counted } from './bedrock-usage.ts'
import type { AnswerHead, Meter, Reading } from './protocol.ts'

/**
 * What Bedrock says in headers: the name of an error, and the tokens of an answer whose body is the model's own and tells
 * none. What the body tells comes first.
 */
export function byHeaders(meter: Meter, shape: string, head: AnswerHead): Meter {
  const { header } = head
  if (header === undefined || shape === 'count') return meter
  return {
    ...meter,
    end(whole) {
      const { rest, reading } = meter.end(whole)
      return { rest, reading: head.status < 300 ? withUsage(reading, header) : withError(reading, header) }
    },
  }
}

type Header = (name: string) => string | null

/** `ValidationException:http://internal…`: what is behind the colon is nobody's. */
function withError(reading: Reading, header: Header): Reading {
  const type = header('x-amzn-errortype')?.split(/[:,]/)[0]?.trim()
  return !type ? reading : { ...reading, error: { type, message: reading.error?.message ?? '' } }
}

function withUsage(reading: Reading, header: Header): Reading {
  const count = (name: string): number | undefined => {
    const text = header(`x-amzn-bedrock-${name}-token-count`)
    return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : undefined
  }
  const told = counted({
    input: count('input'),
    output: count('output'),
    read: count('cache-read-input'),
    write: count('cache-write-input'),
  })
  if (Object.keys(told).length === 0) return reading
  return { ...reading, usage: completedBy(reading.usage, told), rawUsage: reading.rawUsage ?? told }
}
