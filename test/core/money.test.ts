import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nanoFromComputedUsd, nanoFromUsd, nanoOf } from '../../services/core/money/money.ts'
import { boundOf, configuredTariff, costOf, counts, type Tariff, tariffOf } from '../../services/core/money/tariff.ts'

const tariff = (rates: Parameters<typeof tariffOf>[0]): Tariff => {
  const made = tariffOf(rates)
  assert.ok(made)
  return made
}

test('a price in whole nano-dollars a token gives whole nano-dollars, exactly', () => {
  const own = configuredTariff({ input: 0.02, output: 0.07 })
  assert.ok(own)
  assert.equal(costOf(own, { input_tokens: 1, output_tokens: 0 }, {}), 20)
  assert.equal(costOf(own, { input_tokens: 3, output_tokens: 7 }, {}), 3 * 20 + 7 * 70)
  fc.assert(
    fc.property(
      fc.nat({ max: 1e9 }),
      fc.nat({ max: 1e9 }),
      fc.nat({ max: 6e8 }),
      fc.nat({ max: 6e8 }),
      (input, output, a, b) => {
        const priced = tariff({ input_mtok: a / 1e6, output_mtok: b / 1e6 }) // up to six decimals, up to $600
        const pico = BigInt(input) * BigInt(a) + BigInt(output) * BigInt(b)
        assert.equal(costOf(priced, { input_tokens: input, output_tokens: output }, {}), Number((pico + 500n) / 1000n))
        assert.equal(boundOf(priced, input, output), Number((pico + 999n) / 1000n))
      },
    ),
    { seed: 51, numRuns: 500 },
  )
})

test('halves are rounded up, whatever floating point made of them', () => {
  assert.equal(nanoOf([[1, 37_500]]), 38)
  assert.equal(nanoOf([[1, 37_499]]), 37)
  assert.equal(nanoOf([[1, 1]], 'up'), 1)
  assert.equal(nanoFromComputedUsd(0.0375 * 1e-6), 38)
  assert.equal(nanoFromComputedUsd(0.1 + 0.2), 300_000_000)
  assert.equal(nanoFromUsd(0.0076509169000000005), 7_650_917)
})

test('what has a price of its own is taken out of what contains it', () => {
  const rates = { input_mtok: 3, output_mtok: 15, cache_read_mtok: 0.3, cache_write_mtok: 3.75, cache_write_1h_mtok: 6 }
  const usage = { input_tokens: 1000, output_tokens: 10, cache_read_tokens: 600, cache_write_tokens: 300 }
  assert.equal(
    costOf(tariff(rates), usage, { cache_write_1h_tokens: 100 }),
    100 * 3000 + 600 * 300 + 200 * 3750 + 100 * 6000 + 10 * 15000,
  )
  assert.equal(costOf(tariff({ input_mtok: 3, output_mtok: 15 }), usage, {}), 1000 * 3000 + 10 * 15000)
  const contradictory = { input_tokens: 10, output_tokens: 0, cache_read_tokens: 600 }
  assert.equal(costOf(tariff(rates), contradictory, {}), 600 * 300, 'parts that are more than their whole are paid')
  const thinker = tariff({ input_mtok: 1, output_mtok: 2, output_reasoning_mtok: 5 })
  assert.equal(costOf(thinker, { input_tokens: 0, output_tokens: 10, reasoning_tokens: 4 }, {}), 6 * 2000 + 4 * 5000)
})

test('the size of the whole input chooses the tier of every token', () => {
  const tiered = tariff({
    input_mtok: { base: 3, tiers: [{ start: 200_000, price: 6 }] },
    output_mtok: { base: 15, tiers: [{ start: 200_000, price: 22.5 }] },
  })
  assert.equal(costOf(tiered, { input_tokens: 200_000, output_tokens: 1 }, {}), 200_000 * 3000 + 15_000)
  assert.equal(costOf(tiered, { input_tokens: 200_001, output_tokens: 1 }, {}), 200_001 * 6000 + 22_500)
  assert.equal(boundOf(tiered, 10, 10), 10 * 6000 + 10 * 22_500, 'a bound counts at the dearest')
})

test('unknown is not free', () => {
  assert.equal(tariffOf({}), null)
  assert.equal(tariffOf({ audio_hours: 1 }), null)
  const own = tariff({ input_mtok: 1, output_mtok: 1 })
  assert.equal(costOf(own, {}, {}), null, 'no tokens were told')
  assert.equal(
    costOf(tariff({ input_mtok: 1 }), { input_tokens: 1, output_tokens: 1 }, {}),
    null,
    'the output has no price',
  )
  assert.equal(costOf(tariff({ input_mtok: 1 }), { input_tokens: 2 }, {}), 2000)
  assert.equal(
    costOf(tariff({ input_mtok: 0, output_mtok: 0 }), { input_tokens: 5, output_tokens: 5 }, {}),
    0,
    'free is',
  )
})

test('calls and searches have their fees', () => {
  const searcher = tariff({ input_mtok: 1, output_mtok: 1, requests_kcount: 5, web_searches_kcount: 10 })
  assert.equal(costOf(searcher, { input_tokens: 0, output_tokens: 0 }, { web_searches: 2 }), 5_000_000 + 2 * 10_000_000)
  assert.equal(boundOf(searcher, 0, 0), 5_000_000)
})

test('what is not counted here is said', () => {
  const audio = tariff({ input_mtok: 2.5, output_mtok: 10, input_audio_mtok: 40 })
  assert.equal(counts(audio, {}), true)
  assert.equal(counts(audio, { input_audio_tokens: 1 }), false)
  assert.equal(counts(tariff({ input_mtok: 1 / 12, output_mtok: 1 }), {}), false)
})
