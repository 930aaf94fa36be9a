import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Event } from '../../schemas/events.ts'
import { type Signal, signalKey } from '../../schemas/stop.ts'
import { alertsOf, byRule, type Decided, decide, decideActs } from '../../services/core/runs/acts.ts'
import { foldStop, noStops, type Stops, stopOf } from '../../services/core/runs/stops.ts'
import { seedOfRun } from '../support/chance.ts'

const scopes = ['run:a', 'run:b', 'agent:x', 'team:t']
const types = ['kill', 'pause', 'resume', 'backoff'] as const

/** A history as an enforcer writes it: each scope's versions rise. */
const history: fc.Arbitrary<readonly Decided[]> = fc
  .array(fc.record({ scope: fc.constantFrom(...scopes), type: fc.constantFrom(...types), shadow: fc.boolean() }), {
    maxLength: 24,
  })
  .map(wishes => {
    const stops = noStops()
    return wishes.map(({ scope, type, shadow }, i) => {
      const until = type === 'backoff' ? { until: 1_000 + i } : {}
      const mode = shadow && i % 4 === 0 ? ('shadow' as const) : ('enforce' as const)
      const made = decide(stops, { type, scope, rule: 'loop', mode, cause: `g.1.${i}`, at: i, ...until })
      assert.ok(made !== null)
      foldStop(stops, made.signal, made.time)
      return made
    })
  })
const folded = (records: readonly Decided[]): Stops => {
  const stops = noStops()
  for (const { signal, time } of records) foldStop(stops, signal, time)
  return stops
}
const seen = (stops: Stops, now = 1_005) => scopes.map(scope => stopOf(stops, [scope], now)?.stop ?? null)
const law = <T extends [unknown, ...unknown[]]>(name: string, property: fc.IPropertyWithHooks<T>) =>
  test(name, () => fc.assert(property, { seed: seedOfRun, numRuns: 500 }))

law(
  'records that come twice, late or in another order change nothing',
  fc.property(history, fc.infiniteStream(fc.nat()), (records, dice) => {
    const roll = (below: number) => (dice.next().value ?? 0) % below
    const mixed = [...records, ...records.filter(() => roll(2) === 0)]
      .map(record => ({ record, at: roll(1_000) }))
      .sort((a, b) => a.at - b.at)
      .map(({ record }) => record)
    assert.deepEqual(seen(folded(mixed)), seen(folded(records)))
  }),
)

law(
  'what compaction leaves says the same',
  fc.property(history, records => {
    const kept = new Map<string, Decided>()
    for (const record of records) {
      kept.delete(signalKey(record.signal))
      kept.set(signalKey(record.signal), record)
    }
    assert.deepEqual(seen(folded([...kept.values()])), seen(folded(records)))
  }),
)

law(
  'death is final: after a kill nothing is allowed until a later resume of that very scope',
  fc.property(history, history, fc.constantFrom(...scopes), (before, after, scope) => {
    const stops = folded(before)
    const kill = decide(stops, { type: 'kill', scope, actor: 'admin', cause: 'g.2.0', at: 50 })
    assert.ok(kill !== null)
    foldStop(stops, kill.signal, kill.time)
    // Later records of others, and of this scope whatever is no resume; earlier resumes that come late.
    for (const { signal } of [...after, ...before]) {
      const late = before.some(record => record.signal === signal)
      if (signal.scope === scope && signal.type === 'resume' && !late) continue
      const version = signal.scope === scope && !late ? kill.signal.data.version + signal.data.version : undefined
      foldStop(stops, version === undefined ? signal : { ...signal, data: { ...signal.data, version } }, 60)
      assert.equal(stopOf(stops, ['run:other', scope, 'org'], 0)?.stop.type, 'kill')
    }
    const resume = decide(stops, { type: 'resume', scope, actor: 'admin', cause: 'g.2.1', at: 70 })
    assert.ok(resume !== null)
    foldStop(stops, resume.signal, resume.time)
    foldStop(stops, kill.signal, kill.time)
    assert.equal(stopOf(stops, [scope], 9_999), null)
  }),
)

law(
  'strangers do not meet: another scope’s records change nothing',
  fc.property(history, fc.constantFrom(...scopes), (records, scope) => {
    const own = folded(records.filter(({ signal }) => signal.scope === scope))
    assert.deepEqual(stopOf(folded(records), [scope], 1_005)?.stop, stopOf(own, [scope], 1_005)?.stop)
  }),
)

test('a kill counts before a pause, a pause before a backoff, and a backoff is over at its time', () => {
  const stops = noStops()
  const put = (type: 'kill' | 'pause' | 'backoff', scope: string, until?: number) => {
    const made = decide(stops, {
      type,
      scope,
      rule: 'r',
      cause: `${type}`,
      at: 0,
      ...(until === undefined ? {} : { until }),
    })
    if (made !== null) foldStop(stops, made.signal, made.time)
  }
  const path = ['run:child', 'run:parent', 'agent:x']
  put('backoff', 'agent:x', 100)
  assert.equal(stopOf(stops, path, 99)?.stop.type, 'backoff')
  assert.equal(stopOf(stops, path, 100), null)
  put('pause', 'run:parent')
  assert.equal(stopOf(stops, path, 0)?.stop.type, 'pause')
  put('kill', 'agent:x')
  assert.equal(stopOf(stops, path, 0)?.stop.scope, 'agent:x')
  assert.equal(stopOf(stops, ['run:stranger'], 0), null)
})

let sequence = 0
const act = (
  type: 'run.paused' | 'run.resumed' | 'run.killed' | 'run.finished',
  run: string,
  more: object = {},
): Event => ({
  id: `gateway-a-0.1.${sequence++}`,
  source: '/sluice/gateway-a-0',
  time: 1_700_000_000_000 + sequence,
  type,
  agent: 'x',
  run_id: run,
  root_run_id: run,
  actor: 'admin',
  ...more,
})
const replay = (events: readonly Event[], stops: Stops = noStops()): readonly Decided[] =>
  events.flatMap(event => {
    const made = decideActs(stops, event)
    if (made !== null) foldStop(stops, made.signal, made.time)
    return made ?? []
  })

test('what was decided is not decided again when the same facts are read again', () => {
  const events = [act('run.killed', 'a'), act('run.resumed', 'a'), act('run.paused', 'b'), act('run.killed', 'a')]
  const stops = noStops()
  const first = replay(events, stops)
  assert.deepEqual(
    first.map(({ signal }) => [signal.type, signal.scope, signal.data.version]),
    [
      ['kill', 'run:a', 1],
      ['resume', 'run:a', 2],
      ['pause', 'run:b', 1],
      ['kill', 'run:a', 3],
    ],
  )
  assert.deepEqual(replay(events, stops), [])
  // Another enforcer that reads the records and then the facts from their beginning decides nothing either.
  const other = noStops()
  for (const { signal, time } of first) foldStop(other, signal, time)
  assert.deepEqual(replay(events, other), [])
})

test('resuming a child of a killed parent does not raise it', () => {
  const stops = noStops()
  replay([act('run.killed', 'parent'), act('run.resumed', 'child')], stops)
  assert.equal(stopOf(stops, ['run:child', 'run:parent'], 0)?.stop.scope, 'run:parent')
})

test('only what somebody asked for decides: an idle end and a gateway’s word for a rule do not', () => {
  assert.deepEqual(replay([act('run.finished', 'a'), act('run.killed', 'a', { actor: byRule('loop') })]), [])
  const ended = decideActs(noStops(), { ...act('run.killed', 'a'), type: 'run.expired', actor: 'gateway' } as Event)
  assert.deepEqual([ended?.signal.type, ended?.signal.reason], ['kill', 'run_expired'])
})

test('an alert says who, why and by whom, with an id of its own', () => {
  const [made] = replay([act('run.killed', 'a', { reason: 'too dear' })])
  assert.ok(made !== undefined)
  const [told] = alertsOf(made)
  assert.partialDeepStrictEqual(told, {
    alert: {
      type: 'run.killed',
      scope: 'run:a',
      run_id: 'a',
      agent: 'x',
      data: { actor: 'admin', reason: 'too dear' },
    },
  })
  assert.notEqual(told?.id, made.id)
  const shadow: Signal = { ...made.signal, mode: 'shadow' }
  assert.deepEqual(alertsOf({ ...made, signal: shadow }), [])
})
