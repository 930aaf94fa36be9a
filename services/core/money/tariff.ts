import type { Usage } from '../../../schemas/llm.ts'
import type { Price } from '../../../schemas/provider.ts'
import { type Item, nanoOf } from './money.ts'

/** Prices as tables write them: US dollars per million (`…_mtok`) or per thousand (`…_kcount`), with tiers by input size. */
export type Rates = Readonly<Record<string, Rate | undefined>>
export type Rate =
  | number
  | { readonly base: number; readonly tiers: readonly { readonly start: number; readonly price: number }[] }

/**
 * A model's prices, made ready for counting: all in pico-dollars. What is null has no price of its own and is counted
 * where it is contained (cached tokens in the input, reasoning in the output).
 */
export type Tariff = {
  readonly input: Steps | null
  readonly output: Steps | null
  readonly cacheRead: Steps | null
  readonly cacheWrite: Steps | null
  readonly cacheWrite1h: Steps | null
  readonly reasoning: Steps | null
  readonly request: number
  readonly webSearch: number
  /** Usage that has prices of its own which are not counted here (`input_audio_tokens`, …). */
  readonly others: readonly string[]
  /** Some price is no whole number of pico-dollars, and a sum would not be exact. */
  readonly inexact: boolean
  /** The dearest that a token can be, for bounds. */
  readonly dearestInput: number
  readonly dearestOutput: number
}

/** The price of a token by the size of the whole input: above `start` tokens, `pico` each. */
type Steps = readonly { readonly start: number; readonly pico: number }[]

const plain = new Set(['input', 'output', 'cache_read', 'cache_write', 'cache_write_1h', 'output_reasoning'])

/** Null where the rates hold no price for tokens at all: then nothing is known, which is not the same as free. */
export function tariffOf(rates: Rates): Tariff | null {
  let inexact = false
  const pico = (usdPerMillion: number): number => {
    const exact = usdPerMillion * 1e6
    const whole = Math.round(exact)
    if (Math.abs(exact - whole) > 1e-6 * Math.max(1, whole)) inexact = true
    return whole
  }
  const steps = (name: string): Steps | null => {
    const rate = rates[`${name}_mtok`]
    if (rate === undefined) return null
    if (typeof rate === 'number') return [{ start: -1, pico: pico(rate) }]
    const tiers = rate.tiers.map(tier => ({ start: tier.start, pico: pico(tier.price) }))
    return [{ start: -1, pico: pico(rate.base) }, ...tiers.sort((a, b) => a.start - b.start)]
  }
  const perThousand = (name: string): number => {
    const rate = rates[`${name}_kcount`]
    return typeof rate === 'number' ? pico(rate * 1e3) : 0
  }

  const input = steps('input')
  const output = steps('output')
  if (input === null && output === null) return null
  const priced = Object.keys(rates).filter(key => rates[key] !== undefined && key.endsWith('_mtok'))
  const names = priced.map(key => key.slice(0, -'_mtok'.length))
  const cacheWrite = steps('cache_write')
  return {
    input,
    output,
    cacheRead: steps('cache_read'),
    cacheWrite,
    cacheWrite1h: steps('cache_write_1h'),
    reasoning: steps('output_reasoning'),
    request: perThousand('requests'),
    webSearch: perThousand('web_searches'),
    others: names.filter(name => !plain.has(name)).map(name => `${name}_tokens`),
    inexact,
    dearestInput: Math.max(dearest(input), dearest(cacheWrite)),
    dearestOutput: Math.max(...names.filter(name => name.startsWith('output')).map(name => dearest(steps(name))), 0),
  }
}

/** Prices as the configuration states them. */
export const configuredTariff = (price: Price): Tariff | null =>
  tariffOf({
    input_mtok: price.input,
    output_mtok: price.output,
    cache_read_mtok: price.cacheRead,
    cache_write_mtok: price.cacheWrite,
  })

const dearest = (steps: Steps | null): number => Math.max(0, ...(steps ?? []).map(step => step.pico))

/**
 * Nano-dollars for a call's usage; null where this tariff cannot tell: no tokens were counted, or some have no price here.
 * What has a price of its own that is not counted here, counts as text: ask `counts` first.
 */
export function costOf(tariff: Tariff, usage: Usage, extras: Readonly<Record<string, number>>): number | null {
  const items = itemsOf(tariff, usage, extras)
  return items === null ? null : nanoOf(items)
}

/** Whether `costOf` counts all of it, to the nano-dollar. */
export const counts = (tariff: Tariff, extras: Readonly<Record<string, number>>): boolean =>
  !tariff.inexact && !tariff.others.some(name => (extras[name] ?? 0) > 0)

function itemsOf(tariff: Tariff, usage: Usage, extras: Readonly<Record<string, number>>): readonly Item[] | null {
  const { input_tokens: input, output_tokens: output } = usage
  if (input === undefined && output === undefined) return null
  if ((input ?? 0) > 0 && tariff.input === null) return null
  if ((output ?? 0) > 0 && tariff.output === null) return null
  const size = input ?? 0
  const at = (steps: Steps | null): number => {
    let pico = 0
    for (const step of steps ?? []) if (size > step.start) pico = step.pico
    return pico
  }
  // What has a price of its own is taken out of what contains it. Where a provider's parts are more than its whole, the
  // parts are paid.
  const read = tariff.cacheRead === null ? 0 : (usage.cache_read_tokens ?? extras['cache_read_tokens'] ?? 0)
  const written = tariff.cacheWrite === null ? 0 : (usage.cache_write_tokens ?? 0)
  const writtenLong = tariff.cacheWrite1h === null ? 0 : (extras['cache_write_1h_tokens'] ?? 0)
  const reasoned = tariff.reasoning === null ? 0 : (usage.reasoning_tokens ?? 0)
  return [
    [Math.max(0, size - read - Math.max(written, writtenLong)), at(tariff.input)],
    [read, at(tariff.cacheRead)],
    [Math.max(0, written - writtenLong), at(tariff.cacheWrite)],
    [writtenLong, at(tariff.cacheWrite1h)],
    [Math.max(0, (output ?? 0) - reasoned), at(tariff.output)],
    [reasoned, at(tariff.reasoning)],
    [extras['web_searches'] ?? 0, tariff.webSearch],
    [1, tariff.request],
  ]
}

/**
 * The most that a call can cost, in nano-dollars: every token at the dearest price it can have. A cache write for an hour
 * is dearer still (twice the input's price, for vendors who have it), and so is sound: both are covered where the input's
 * bound is its bytes, of which a token has at least two.
 */
export function boundOf(tariff: Tariff, inputTokens: number, outputTokens: number): number {
  return nanoOf(
    [
      [Math.ceil(inputTokens), tariff.dearestInput],
      [Math.ceil(outputTokens), tariff.dearestOutput],
      [1, tariff.request],
    ],
    'up',
  )
}
