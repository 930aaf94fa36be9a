import { type Figure, rounded } from './figures.ts'
import type { Filed, Filing } from './filing.ts'
import type { Measurement } from './measurement.ts'
import { startPart } from './processes.ts'

/** What may be added to the CPU of a request, beside what reading its new bytes takes. */
const addedUs = 15
const lengths = [1, 10, 100, 500] as const
const lives = [10, 10_000] as const
const [first, ...others] = [
  'OpenAI chat, tools',
  'OpenAI chat, words alone',
  'OpenAI Responses, tools',
  'Anthropic, tools',
  'Gemini, tools without ids',
] as const

/**
 * What it costs to know which run a request belongs to, when no header says so: from the parsed body to what a later
 * request can be tied to. It has to grow with what is new and neither with the history nor with the number of runs.
 */
export const lineage: Measurement = {
  name: 'lineage',
  needs: 'proxy',
  run: async ({ quick }) => {
    const figures: Figure[] = []
    const take = async (dialect: string, messages: readonly number[], live: number): Promise<void> => {
      // A process each: what one kind of conversation taught the compiler must not slow down another.
      const part = await startPart<Filing, readonly Filed[]>('filing.ts', [])
      try {
        const filed = await part.ask({ dialect, messages, live, requests: quick ? 300 : 2_000 })
        figures.push(...filed.map(one => figureOf(dialect, live, one)))
      } finally {
        await part.stop()
      }
    }
    for (const live of lives) await take(first, lengths, live)
    for (const dialect of others) await take(dialect, [lengths[3]], lives[1])
    return figures
  },
}

const figureOf = (dialect: string, live: number, filed: Filed): Figure => {
  const { messages, filingUs, newBytesUs, parsingUs, newBytes, bodyBytes } = filed
  const news = rounded(newBytesUs)
  return {
    name: `${dialect}: ${messages} messages, ${live.toLocaleString('en-GB')} runs`,
    value: filingUs,
    unit: 'µs/request',
    goal: { text: `≤ ${addedUs} + ${news} µs`, met: filingUs <= addedUs + newBytesUs },
    note: `${news} µs to read ${newBytes} new bytes; JSON.parse of all ${bodyBytes} bytes, not counted: ${rounded(parsingUs)} µs`,
  }
}
