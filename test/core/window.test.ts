import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { budget } from '../../schemas/budget.ts'
import { nodesOf } from '../../services/core/money/budget.ts'
import { windowAt } from '../../services/core/money/window.ts'

const hour = 3_600_000
const day = 24 * hour
const period = (window?: string, resetAt?: string, timezone?: string) =>
  budget.parse({ limitUsd: 1, window, resetAt, timezone })
const at = (text: string) => Date.parse(text)
const opens = (text: string, ...of: Parameters<typeof period>) => {
  const { opensAt, closesAt } = windowAt(period(...of), at(text))
  return [new Date(opensAt).toISOString(), closesAt === null ? null : new Date(closesAt).toISOString()]
}

test('a day in Berlin that opens at 09:00 has 23 hours when clocks go forward and 25 when they go back', () => {
  const of = ['1d', '09:00', 'Europe/Berlin'] as const
  assert.deepEqual(opens('2026-03-29T00:00Z', ...of), ['2026-03-28T08:00:00.000Z', '2026-03-29T07:00:00.000Z'])
  assert.deepEqual(opens('2026-03-29T07:00Z', ...of), ['2026-03-29T07:00:00.000Z', '2026-03-30T07:00:00.000Z'])
  assert.deepEqual(opens('2026-10-25T00:00Z', ...of), ['2026-10-24T07:00:00.000Z', '2026-10-25T08:00:00.000Z'])
  assert.deepEqual(opens('2026-10-25T08:00Z', ...of), ['2026-10-25T08:00:00.000Z', '2026-10-26T08:00:00.000Z'])
  assert.equal(windowAt(period(...of), at('2026-10-25T12:00Z')).id, '1d@2026-10-25T09:00[Europe/Berlin]')
})

test('a window that opens in the hour that clocks leave out or show twice opens once', () => {
  const of = ['1d', '02:30', 'Europe/Berlin'] as const
  assert.deepEqual(opens('2026-03-29T12:00Z', ...of), ['2026-03-29T01:30:00.000Z', '2026-03-30T00:30:00.000Z'])
  assert.deepEqual(opens('2026-10-25T12:00Z', ...of), ['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z'])
})

test('weeks open on Mondays, months on the first, years in January, hours by elapsed time, a lifetime never ends', () => {
  assert.deepEqual(opens('2026-11-21T12:00Z', '7d'), ['2026-11-16T00:00:00.000Z', '2026-11-23T00:00:00.000Z'])
  assert.deepEqual(opens('2026-02-21T12:00Z', '1mo'), ['2026-02-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z'])
  assert.deepEqual(opens('2026-02-21T12:00Z', '12mo'), ['2026-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'])
  const thirty = windowAt(period('30h'), at('2026-11-21T12:00Z'))
  assert.equal(thirty.closesAt! - thirty.opensAt, 30 * hour)
  assert.deepEqual(windowAt(period(), 5), { id: 'life', opensAt: 0, closesAt: null })
})

test('a window from the 31st opens on the last day of a shorter month', () => {
  const anchor = at('2026-01-31T00:00Z')
  const shape = period('1mo')
  assert.equal(windowAt(shape, at('2026-03-01T00:00Z'), anchor).opensAt, at('2026-02-28T00:00Z'))
  assert.equal(windowAt(shape, at('2026-04-01T00:00Z'), anchor).opensAt, at('2026-03-31T00:00Z'))
})

const shapes = fc.record({
  window: fc.constantFrom('1m', '30h', '1d', '2d', '7d', '1mo', '3mo', '1mo2d', '1d6h'),
  minute: fc.integer({ min: 0, max: 1439 }),
  timezone: fc.constantFrom(
    'UTC',
    'Europe/Berlin',
    'America/New_York',
    'Pacific/Apia',
    'Asia/Kolkata',
    'Australia/Lord_Howe',
  ),
})
const times = fc.integer({ min: at('2005-01-01T00:00Z'), max: at('2040-01-01T00:00Z') })

test('windows tile time: each holds its time, opens where the last one closed, and says the same from anywhere in it', () => {
  fc.assert(
    fc.property(
      shapes,
      times,
      fc.double({ min: 0, max: 1, noNaN: true }),
      ({ window, minute, timezone }, now, part) => {
        const of = { ...period(window), resetAtMinute: minute, timezone }
        const here = windowAt(of, now)
        assert.ok(here.opensAt <= now && now < here.closesAt!)
        const within = here.opensAt + Math.floor((here.closesAt! - 1 - here.opensAt) * part)
        assert.deepEqual(windowAt(of, within), here)
        assert.deepEqual(windowAt(of, here.closesAt! - 1), here)
        assert.equal(windowAt(of, here.closesAt!).opensAt, here.closesAt)
        assert.equal(windowAt(of, here.opensAt - 1).closesAt, here.opensAt)
        assert.notEqual(windowAt(of, here.closesAt!).id, here.id)
      },
    ),
    { numRuns: 1500 },
  )
})

test('of two budgets with the same window the smaller counts; other zones and hours are other nodes', () => {
  const budgets = [
    period('1d'),
    { ...period('1d'), limitNanoUsd: 5 },
    period('1d', '09:00'),
    period('1d', '00:00', 'Asia/Kolkata'),
  ]
  const nodes = nodesOf([{ id: 'agent:a', partition: 0, budgets }], at('2026-11-21T12:00Z'))
  assert.deepEqual(
    nodes.map(({ node, limitNanoUsd }) => [node, limitNanoUsd]),
    [
      ['agent:a/1d@2026-11-21', 5],
      ['agent:a/1d@2026-11-21T09:00', 1e9],
      ['agent:a/1d@2026-11-21[Asia/Kolkata]', 1e9],
    ],
  )
  assert.ok(nodes.every(node => node.closesAt! - node.opensAt === day))
})
