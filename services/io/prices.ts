import { calcPrice, findProvider, type ModelInfo, type ModelPrice, type Provider } from '@pydantic/genai-prices'
import { LRUCache } from 'lru-cache'

/** The version of the table that priced a call: with it a replay can tell a changed price from a changed call. */
export const tableVersion = 'genai-prices@0.1.8'

/** Whom to look for. `models`: the names a call goes by, the best one first. */
export type Sought = {
  readonly name: string
  readonly baseUrl: string
  /** Some protocols are one vendor's alone. */
  readonly protocol?: string
  readonly models: readonly string[]
}

export type Listed = {
  readonly model: string
  /** US dollars per million tokens and the like, in the table's own keys; the same object for the same prices. */
  readonly rates: ModelPrice
  /** The table's own sum in US dollars; null where it cannot make one. */
  readonly total: (usage: Readonly<Record<string, number | undefined>>) => number | null
}

export type PriceTable = {
  /** A model's prices at a time (ms since 1970), for some depend on the hour; null where it is not listed. */
  readonly find: (sought: Sought, at: number) => Listed | null
}

/** The public price list, as a package. It knows nothing of the network unless told to. */
export function openPriceTable(): PriceTable {
  // Ten times the models that a fleet calls. Names come from clients, so there must be a bound; an entry is about 1 KiB.
  const known = new LRUCache<string, Entry | typeof unlisted>({ max: 2_000 })
  return {
    find(sought, at) {
      const key = `${sought.name}\n${sought.baseUrl}\n${sought.protocol}\n${sought.models.join('\n')}`
      let entry = known.get(key)
      if (entry === undefined) {
        entry = resolve(sought) ?? unlisted
        known.set(key, entry)
      }
      return entry === unlisted ? null : entry.at(at)
    },
  }
}

const unlisted = Symbol('unlisted')

/** One model of one provider: a list of one, so that nobody is searched for again. */
class Entry {
  readonly #provider: Provider
  readonly #model: ModelInfo
  #minute = -1
  #listed: Listed | null = null

  constructor(provider: Provider, model: ModelInfo) {
    this.#model = model
    this.#provider = { ...provider, models: [{ ...model, match: { equals: model.id } }] }
  }

  /** Prices change at whole minutes at the earliest, and most never. */
  at(ms: number): Listed | null {
    const minute = Array.isArray(this.#model.prices) ? Math.floor(ms / 60_000) : 0
    if (minute !== this.#minute) {
      this.#minute = minute
      this.#listed = this.#listAt(ms)
    }
    return this.#listed
  }

  #listAt(ms: number): Listed | null {
    const ask = { provider: this.#provider, timestamp: new Date(ms) }
    const found = guarded(() => calcPrice(nothing, this.#model.id, ask))
    if (found === null) return null
    return {
      model: this.#model.id,
      rates: found.model_price,
      total: usage => guarded(() => calcPrice(usage, this.#model.id, ask))?.total_price ?? null,
    }
  }
}

/**
 * The provider is found by its address, which cannot lie; else by the name it was given; else by its protocol; else by the
 * model's name, and by the vendor that stands before the model's name. A provider found without the model is passed over.
 */
function resolve(sought: Sought): Entry | null {
  const models = sought.models.flatMap(spellings)
  const providers: (Provider | null | undefined)[] = [
    guarded(() => findProvider({ providerApiUrl: sought.baseUrl })),
    guarded(() => findProvider({ providerId: sought.name })),
    ...oneVendors
      .filter(vendor => vendor === sought.protocol)
      .map(vendor => guarded(() => findProvider({ providerId: vendor }))),
    ...models.map(model => guarded(() => findProvider({ modelId: model }))),
  ]
  for (const provider of providers)
    for (const model of models) {
      const entry = provider == null ? null : listed(provider.id, model)
      if (entry !== null) return entry
    }
  for (const model of models) {
    const entry = underVendor(model)
    if (entry !== null) return entry
  }
  return null
}

/** Protocols that nobody else speaks. */
const oneVendors = ['bedrock', 'cohere']

function listed(providerId: string, model: string): Entry | null {
  const found = guarded(() => calcPrice(nothing, model, { providerId }))
  return found === null ? null : new Entry(found.provider, found.model)
}

/** `models/gemini-2.5-flash` and `publishers/google/models/…` are paths; the name comes last. */
function spellings(model: string): string[] {
  const bare = model.replace(/^.*\bmodels\//, '')
  return bare === model || bare === '' ? [model] : [bare, model]
}

/**
 * `anthropic/claude-sonnet-4-5` at a gateway that is not in the list, and `meta-llama/Llama-3.3-70B-Instruct:nebius` at
 * Hugging Face's router, which names the host behind the colon.
 */
function underVendor(model: string): Entry | null {
  const colon = model.lastIndexOf(':')
  if (colon > 0) {
    const entry = listed(`huggingface_${model.slice(colon + 1)}`, model.slice(0, colon))
    if (entry !== null) return entry
  }
  const slash = model.indexOf('/')
  return slash > 0 ? listed(model.slice(0, slash), model.slice(slash + 1)) : null
}

const nothing = Object.freeze({ input_tokens: 0, output_tokens: 0 })

/** The package throws on usage that it finds contradictory, and on whatever it does not know. */
function guarded<T>(ask: () => T): T | null {
  try {
    return ask() ?? null
  } catch {
    return null
  }
}
