import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Usage } from '../../../schemas/llm.ts'
import type { Price } from '../../../schemas/provider.ts'
import { matches } from '../../core/access/glob.ts'
import { nanoFromComputedUsd, nanoFromUsd } from '../../core/money/money.ts'
import {
  boundOf,
  configuredTariff,
  costOf,
  counts,
  type Rates,
  type Tariff,
  tariffOf,
} from '../../core/money/tariff.ts'
import { type Listed, openPriceTable, tableVersion } from '../../io/prices.ts'

/** What a call costs, by the first that knows: the configuration, the provider's own bill, the public list. */
export type Prices = {
  /** Null: unpriced, for nobody knows; never 0 for that. */
  readonly priceOf: (call: PricedCall) => Cost | null
  /** The most that a call can cost, before it is made. */
  readonly boundOf: (call: BoundedCall) => Bound | null
}

/** Integer nano-dollars. `priceVersion`: `config:<hash>`, `wire`, `genai-prices@<version>`, or `free`. */
export type Cost = { readonly costNanoUsd: number; readonly priceVersion: string }
/** With what a token was counted at, in pico-dollars. */
export type Bound = Cost & { readonly inputPicoUsd: number; readonly outputPicoUsd: number }

export type PricedProvider = {
  readonly name: string
  readonly baseUrl: string
  readonly protocol?: string
  /** By glob, the first that matches counts. */
  readonly prices: ReadonlyMap<string, Price>
}

type Which = {
  readonly provider: PricedProvider
  readonly operation: string
  readonly modelRequested: string | null
  /** Ms since 1970: some prices depend on the hour. The call's beginning, for its bound and its price alike. */
  readonly at: number
}
export type BoundedCall = Which & { readonly inputTokens: number; readonly outputTokens: number }
export type PricedCall = Which & {
  /** As the answer names it. */
  readonly model: string | null
  readonly usage: Usage
  readonly extras: Readonly<Record<string, number>>
  readonly wireCostUsd: number | null
}

/** What providers do for nothing. */
const free = new Set(['count_tokens', 'list_models', 'get_model'])
const nothing: Cost = { costNanoUsd: 0, priceVersion: 'free' }

export function openPrices(): Prices {
  const table = openPriceTable()
  const configured = new WeakMap<PricedProvider['prices'], LRUCache<string, Configured | typeof none>>()
  const compiled = new WeakMap<object, Tariff | typeof none>()

  /** A provider's own prices for a model; the first glob that fits one of its names. */
  const configuredFor = (prices: PricedProvider['prices'], names: readonly string[]): Configured | null => {
    if (prices.size === 0) return null
    let byName = configured.get(prices)
    // Models that are called at one provider; names come from clients, so there must be a bound.
    if (byName === undefined) {
      byName = new LRUCache({ max: 500 })
      configured.set(prices, byName)
    }
    const key = names.join('\n')
    let found = byName.get(key)
    if (found === undefined) {
      found = configuredPrice(prices, names) ?? none
      byName.set(key, found)
    }
    return found === none ? null : found
  }

  const tariffIn = (listed: Listed): Tariff | null => {
    let tariff = compiled.get(listed.rates)
    if (tariff === undefined) {
      // The list leaves prices out that nobody knows; only a name that says so is free.
      tariff = tariffOf(listed.rates as Rates) ?? (listed.model.endsWith(':free') ? gratis : none)
      compiled.set(listed.rates, tariff)
    }
    return tariff === none ? null : tariff
  }

  return {
    priceOf(call) {
      if (free.has(call.operation)) return nothing
      const { provider, usage, extras } = call
      const names = namesOf(call.model, call.modelRequested)
      const own = configuredFor(provider.prices, names)
      if (own !== null) {
        const cost = costOf(own.tariff, usage, extras)
        return cost === null ? null : { costNanoUsd: cost, priceVersion: own.version }
      }
      if (call.wireCostUsd !== null) return { costNanoUsd: nanoFromUsd(call.wireCostUsd), priceVersion: 'wire' }
      if (names.length === 0) return null
      const listed = table.find(soughtOf(provider, names), call.at)
      const tariff = listed === null ? null : tariffIn(listed)
      if (listed === null || tariff === null) return null
      const cost = counts(tariff, extras) ? costOf(tariff, usage, extras) : costByTable(listed, tariff, usage, extras)
      return cost === null ? null : { costNanoUsd: cost, priceVersion: tableVersion }
    },

    boundOf(call) {
      if (free.has(call.operation)) return { ...nothing, inputPicoUsd: 0, outputPicoUsd: 0 }
      const { provider } = call
      const names = namesOf(null, call.modelRequested)
      const own = configuredFor(provider.prices, names)
      const listed = own !== null ? null : table.find(soughtOf(provider, names), call.at)
      const tariff = own?.tariff ?? (listed === null ? null : tariffIn(listed))
      if (tariff === null) return null
      return {
        costNanoUsd: boundOf(tariff, call.inputTokens, call.outputTokens),
        priceVersion: own?.version ?? tableVersion,
        inputPicoUsd: tariff.dearestInput,
        outputPicoUsd: tariff.dearestOutput,
      }
    },
  }
}

const soughtOf = ({ name, baseUrl, protocol }: PricedProvider, models: readonly string[]) => ({
  name,
  baseUrl,
  models,
  ...(protocol === undefined ? {} : { protocol }),
})

const none = Symbol('none')
const gratis = configuredTariff({ input: 0, output: 0 }) ?? none

type Configured = { readonly tariff: Tariff; readonly version: string }

function configuredPrice(prices: PricedProvider['prices'], names: readonly string[]): Configured | null {
  for (const [glob, price] of prices) {
    if (!names.some(name => matches(glob, name))) continue
    const tariff = configuredTariff(price)
    const hash = createHash('sha256')
      .update(JSON.stringify([glob, price]))
      .digest('hex')
    return tariff === null ? null : { tariff, version: `config:${hash.slice(0, 12)}` }
  }
  return null
}

/** Sound and pictures have prices of their own, which the list's package counts; where it cannot, they count as text. */
function costByTable(
  listed: Listed,
  tariff: Tariff,
  usage: Usage,
  extras: Readonly<Record<string, number>>,
): number | null {
  const { reasoning_tokens, usage_source, ...tokens } = usage
  const reasoned = reasoning_tokens === undefined ? {} : { output_reasoning_tokens: reasoning_tokens }
  const cost = costOf(tariff, usage, extras)
  const usd = cost === null ? null : listed.total({ ...extras, ...tokens, ...reasoned })
  return usd === null ? cost : nanoFromComputedUsd(usd)
}

const namesOf = (model: string | null, requested: string | null): readonly string[] =>
  model === null
    ? requested === null
      ? []
      : [requested]
    : requested === null || requested === model
      ? [model]
      : [model, requested]
