import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Envelope } from '../../schemas/envelope.ts'
import { type Continued, type Event, type Fact, openingOf } from '../../schemas/events.ts'
import { fold, type Rules, runRules } from '../../services/core/rules/rules.ts'
import { eventOf } from '../../services/gateway/stops/breakers.ts'
import { snapshot } from '../core/rules/snapshots.ts'
import { policy, world } from '../core/rules/worlds.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

/** Fields that an ending brings; all others of a model call stand in its opening. */
const ending = new Set([
  'model',
  'provider',
  'outcome',
  'reason',
  'error_type',
  'attempts',
  'latency_ms',
  'ttft_ms',
  'input_tokens',
  'output_tokens',
  'cost_nano_usd',
  'data',
])

test(`rules hear of a fact that goes on from an opening what they would hear of it whole (seed ${seed})`, () => {
  let spoke = 0
  fc.assert(
    fc.property(world('w'), policy, (history, knobs) => {
      const [whole, parts] = [runRules(knobs, 'v'), runRules(knobs, 'v')]
      for (const { event } of history) {
        const { id, source, time, ...fact } = event
        const said = fold(whole, event)
        assert.deepEqual(fold(parts, eventOf({ id, source, time }, inParts(fact as Fact))), said)
        spoke += said.length
      }
      assert.deepEqual(told(parts), told(whole))
    }),
    { seed, numRuns: 60 },
  )
  assert.ok(spoke > 0)
})

const told = (rules: Rules) => JSON.parse(JSON.stringify(snapshot(rules)))

function inParts(fact: Fact): Fact | Continued {
  if (fact.type !== 'admission.granted' && fact.type !== 'llm.completed') return fact
  const { type, ...fields } = fact
  const isOwn = ([name]: readonly [string, unknown]) => type === 'llm.completed' && ending.has(name)
  const own = Object.fromEntries(Object.entries(fields).filter(isOwn))
  const shared = Object.fromEntries(Object.entries(fields).filter(entry => !isOwn(entry)))
  return { type, opening: openingOf(shared as Omit<Event, keyof Envelope> & { agent: string }), own }
}
