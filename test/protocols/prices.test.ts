import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { calcPrice, findProvider } from '@pydantic/genai-prices'
import fc from 'fast-check'
import type { Price } from '../../schemas/provider.ts'
import { openPrices, type PricedCall } from '../../services/gateway/money/prices.ts'
import { matchPinned } from '../../services/gateway/protocols/protocols.ts'
import { tableVersion } from '../../services/io/prices.ts'
import { protocolOf, recordedExchanges, recordings } from './recorded.ts'

const prices = openPrices()
const noon = Date.UTC(2026, 7, 22, 12)

type Change = Partial<Omit<PricedCall, 'provider'>> & {
  readonly name?: string
  readonly baseUrl?: string
  readonly prices?: Record<string, Price>
}
const call = (change: Change = {}): PricedCall => {
  const { name = 'openai', baseUrl = 'https://api.openai.com/v1', prices = {}, ...rest } = change
  return {
    provider: { name, baseUrl, prices: new Map(Object.entries(prices)) },
    operation: 'chat',
    model: 'gpt-4o-mini-2024-07-18',
    modelRequested: 'gpt-4o-mini',
    usage: { input_tokens: 100, output_tokens: 50 },
    extras: {},
    wireCostUsd: null,
    at: noon,
    ...rest,
  }
}
const costOf = (change: Change = {}) => prices.priceOf(call(change))?.costNanoUsd ?? null

test('the price version names the package that is installed', () => {
  const main = fileURLToPath(import.meta.resolve('@pydantic/genai-prices'))
  const { version } = JSON.parse(fs.readFileSync(main.replace(/dist\/.*$/, 'package.json'), 'utf8'))
  assert.equal(tableVersion, `genai-prices@${version}`)
})

test('the configuration overrides the bill, and the bill the list', () => {
  assert.deepEqual(prices.priceOf(call()), { costNanoUsd: 100 * 150 + 50 * 600, priceVersion: tableVersion })
  assert.deepEqual(prices.priceOf(call({ wireCostUsd: 4e-5 })), { costNanoUsd: 40_000, priceVersion: 'wire' })
  const own = { 'gpt-4o*': { input: 0.02, output: 1 }, '*': { input: 9, output: 9 } }
  const cost = prices.priceOf(call({ wireCostUsd: 4e-5, prices: own }))
  assert.equal(cost?.costNanoUsd, 100 * 20 + 50 * 1000)
  assert.match(cost?.priceVersion ?? '', /^config:[0-9a-f]{12}$/)
  assert.equal(costOf({ model: 'other', modelRequested: null, prices: own }), 150 * 9000)
  assert.equal(costOf({ model: null, modelRequested: 'gpt-4o', prices: own }), 100 * 20 + 50 * 1000)
  assert.equal(
    costOf({ prices: { 'claude*': { input: 1, output: 1 } } }),
    100 * 150 + 50 * 600,
    'no glob fits: the list',
  )
  assert.equal(costOf({ prices: { '*': { input: 0, output: 0 } } }), 0, 'free by configuration')
  const cached = { '*': { input: 1, output: 0, cacheRead: 0.5 } }
  assert.equal(
    costOf({ usage: { input_tokens: 10, output_tokens: 0, cache_read_tokens: 4 }, prices: cached }),
    6 * 1000 + 4 * 500,
  )
})

test('a changed price has another version, an equal one the same', () => {
  const versionOf = (input: number) => prices.priceOf(call({ prices: { '*': { input, output: 1 } } }))?.priceVersion
  assert.equal(versionOf(1), versionOf(1))
  assert.notEqual(versionOf(1), versionOf(2))
})

test('what nobody knows is unpriced, never free', () => {
  assert.equal(costOf({ model: 'no-such-model', modelRequested: null }), null)
  assert.equal(costOf({ model: null, modelRequested: null }), null)
  assert.equal(costOf({ usage: {} }), null)
  assert.equal(
    costOf({ name: 'ollama', baseUrl: 'http://127.0.0.1:11434/v1', model: 'llama3.2', modelRequested: null }),
    null,
  )
  assert.equal(costOf({ model: 'omni-moderation-latest', modelRequested: null }), null, 'listed without a price')
})

test('what providers do for nothing costs nothing', () => {
  for (const operation of ['count_tokens', 'list_models', 'get_model'])
    assert.deepEqual(prices.priceOf(call({ operation, usage: {}, model: null })), {
      costNanoUsd: 0,
      priceVersion: 'free',
    })
})

test('a provider is found by its address, its name, or the model', () => {
  const sonnet = { model: 'claude-sonnet-4-5-20250929', modelRequested: null }
  const paid = costOf({ ...sonnet, name: 'anthropic', baseUrl: 'https://api.anthropic.com' })
  assert.ok(paid)
  assert.equal(costOf({ ...sonnet, name: 'work', baseUrl: 'https://api.anthropic.com' }), paid)
  assert.equal(costOf({ ...sonnet, name: 'anthropic-eu', baseUrl: 'http://127.0.0.1:9' }), paid)
  assert.equal(costOf({ ...sonnet, name: 'proxy', baseUrl: 'http://127.0.0.1:9' }), paid)
  assert.equal(
    costOf({
      model: 'anthropic/claude-sonnet-4-5',
      modelRequested: null,
      name: 'proxy',
      baseUrl: 'http://127.0.0.1:9',
    }),
    paid,
  )
  const flash = costOf({ model: 'gemini-2.5-flash', name: 'gemini', baseUrl: 'http://127.0.0.1:9' })
  assert.ok(flash)
  for (const model of ['models/gemini-2.5-flash', 'publishers/google/models/gemini-2.5-flash'])
    assert.equal(costOf({ model, modelRequested: null, name: 'vertex', baseUrl: 'http://127.0.0.1:9' }), flash)
  assert.ok(
    costOf({ model: 'deepseek-chat', name: 'deepseek', baseUrl: 'https://api.deepseek.com' }),
    'of Responses as of chat',
  )
  assert.equal(costOf({ model: 'brand-new', modelRequested: 'gpt-4o-mini' }), costOf(), 'the name asked for helps out')
})

test('Bedrock’s models are found by their ids, with regions before them and in ARNs that name them', () => {
  const at = (model: string, address = 'https://bedrock-runtime.us-east-1.amazonaws.com', name = 'bedrock') =>
    prices.priceOf({
      ...call({ name, baseUrl: address, model: null, modelRequested: model }),
      provider: { name, baseUrl: address, protocol: 'bedrock', prices: new Map() },
    })?.costNanoUsd ?? null
  const id = 'anthropic.claude-sonnet-4-5-20250929-v1:0'
  const regional = at(`us.${id}`)
  assert.equal(regional, 100 * 3300 + 50 * 16_500)
  assert.equal(at(`eu.${id}`), regional)
  assert.equal(at(`global.${id}`), 100 * 3000 + 50 * 15_000)
  assert.equal(at(`arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.${id}`), regional)
  assert.equal(at(`us.${id}`, 'http://127.0.0.1:9', 'work'), regional, 'by the protocol alone')
  assert.equal(at('arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc'), null, 'nobody knows')
})

test('Cohere is paid for what it bills, whatever it had in its cache', () => {
  const usage = { input_tokens: 41, output_tokens: 25, cache_read_tokens: 1440 }
  const cohere = { name: 'cohere', baseUrl: 'https://api.cohere.com', model: null }
  assert.equal(costOf({ ...cohere, modelRequested: 'command-r7b-12-2024', usage }), Math.round(41 * 37.5 + 25 * 150))
})

test('a price that depends on the hour is that of the hour, in whatever order hours are asked for', () => {
  const at = (hour: number) =>
    costOf({
      name: 'deepseek',
      model: 'deepseek-chat',
      baseUrl: 'https://api.deepseek.com',
      at: Date.UTC(2025, 5, 1, hour),
    })
  const [night, day] = [at(20), at(10)]
  assert.ok(night !== null && day !== null && night < day)
  assert.deepEqual([at(20), at(10), at(10), at(20)], [night, day, day, night])
})

test('sound is dearer than text, and usage that contradicts itself is priced all the same', () => {
  const audio = { model: 'gpt-audio', modelRequested: null, usage: { input_tokens: 100, output_tokens: 0 } }
  const text = costOf(audio)
  const sound = costOf({ ...audio, extras: { input_audio_tokens: 100 } })
  assert.ok(text !== null && sound !== null && sound > text)
  assert.equal(costOf({ ...audio, extras: { input_audio_tokens: 1000 } }), text)
  const odd = { input_tokens: 10, output_tokens: 1, cache_read_tokens: 8, cache_write_tokens: 8 }
  assert.ok(costOf({ name: 'anthropic', model: 'claude-sonnet-4-5', modelRequested: null, baseUrl: 'x', usage: odd }))
})

const ids = [
  'openai',
  'anthropic',
  'google',
  'openrouter',
  'groq',
  'mistral',
  'deepseek',
  'azure',
  'aws',
  'perplexity',
  'x-ai',
  'together',
  'zai',
]
const models = ids.flatMap(id =>
  (findProvider({ providerId: id })?.models ?? []).map(model => ({ id, model: model.id })),
)

test('our count equals the sum of the list’s own package, to the nano-dollar, for every model', t => {
  const some = fc.record({
    input: fc.nat({ max: 400_000 }),
    output: fc.nat({ max: 60_000 }),
    read: fc.double({ min: 0, max: 0.5, noNaN: true }),
    written: fc.double({ min: 0, max: 0.5, noNaN: true }),
  })
  const usages = fc.sample(some, { seed: 71, numRuns: 4 })
  let compared = 0
  for (const { id, model } of models)
    for (const { input, output, read, written } of usages) {
      const usage = {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: Math.floor(input * read),
        cache_write_tokens: Math.floor(input * written),
      }
      const cost = costOf({ name: id, baseUrl: '', model, modelRequested: null, usage })
      if (cost === null) continue
      const listed = calcPrice(usage, model, { providerId: id, timestamp: new Date(noon) })
      assert.ok(Math.abs(cost - (listed?.total_price ?? Number.NaN) * 1e9) < 0.51, `${id} ${model}: ${cost}`)
      compared++
    }
  t.diagnostic(`${models.length} models, ${compared} sums compared`)
  assert.ok(compared > models.length * 2)
})

test('a bound is not below the price of any usage within it', () => {
  for (const { id, model } of models) {
    const which = call({ name: id, baseUrl: '', model, modelRequested: model })
    const bound = prices.boundOf({ ...which, inputTokens: 250_000, outputTokens: 9_000 })
    for (const usage of [
      { input_tokens: 250_000, output_tokens: 9_000 },
      { input_tokens: 190_000, output_tokens: 9_000, cache_write_tokens: 190_000 },
      { input_tokens: 250_000, output_tokens: 9_000, cache_read_tokens: 9, reasoning_tokens: 9_000 },
    ]) {
      const cost = prices.priceOf({ ...which, usage })
      if (cost !== null) assert.ok((bound?.costNanoUsd ?? 0) >= cost.costNanoUsd, `${id} ${model}`)
    }
  }
  assert.equal(prices.boundOf({ ...call({ modelRequested: 'no-such-model' }), inputTokens: 1, outputTokens: 1 }), null)
  const own = call({ prices: { '*': { input: 0.02, output: 0.03 } } })
  assert.deepEqual(prices.boundOf({ ...own, inputTokens: 10, outputTokens: 20 }), {
    costNanoUsd: 10 * 20 + 20 * 30,
    priceVersion: prices.priceOf(own)?.priceVersion,
    inputPicoUsd: 20_000,
    outputPicoUsd: 30_000,
  })
})

test('a price that is known already costs microseconds', t => {
  const known = call()
  for (let i = 0; i < 20_000; i++) prices.priceOf(known)
  const began = performance.now()
  for (let i = 0; i < 50_000; i++) prices.priceOf(known)
  const us = ((performance.now() - began) * 1000) / 50_000
  t.diagnostic(`${us.toFixed(2)} µs a call`)
  assert.ok(us < 30, 'ten times the target, for machines that do other things as well')
})

const all = recordedExchanges()

test('recorded calls have a price, or are known to have none', {
  skip: all === null ? `no recordings at ${recordings}` : false,
}, t => {
  const unpriced = new Map<string, number>()
  let priced = 0
  for (const exchange of all ?? []) {
    const hit = matchPinned(protocolOf(exchange), exchange.method, exchange.path.split('?')[0] ?? '')
    if (hit === null || exchange.status !== 200) continue
    if (exchange.truth.usage === null && !hit.matched.route.path.endsWith('/invoke')) continue
    const { protocol, matched } = hit
    const ask = protocol.ask(matched, exchange.request)
    const head = { ...exchange, header: (name: string) => exchange.headers[name] ?? null }
    const meter = protocol.meter(matched, ask, head, { hideUsage: false })
    meter.push(exchange.answer)
    const { reading } = meter.end(true)
    const cost = prices.priceOf({
      ...call({
        name: exchange.provider,
        baseUrl: `http://127.0.0.1:9/${exchange.provider}`,
        operation: matched.route.operation,
      }),
      model: reading.model,
      modelRequested: ask.model,
      usage: reading.usage ?? {},
      extras: reading.extras,
      wireCostUsd: reading.wireCostUsd,
    })
    const name = `${exchange.provider} ${reading.model ?? ask.model}`
    if (cost === null) unpriced.set(name, (unpriced.get(name) ?? 0) + 1)
    else priced++
    const { output_tokens: output = 0 } = reading.usage ?? {}
    if (cost !== null && output > 0 && reading.wireCostUsd !== 0) assert.ok(cost.costNanoUsd > 0, name)
  }
  const missing = [...unpriced.values()].reduce((sum, n) => sum + n, 0)
  t.diagnostic(`${priced} priced, ${missing} not: ${[...unpriced].map(([name, n]) => `${name} ×${n}`).join(', ')}`)
  assert.ok(priced / (priced + missing) > 0.95)
})
