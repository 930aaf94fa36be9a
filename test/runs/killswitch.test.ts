import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type Decided, decide } from '../../services/core/runs/acts.ts'
import { foldStop, noStops } from '../../services/core/runs/stops.ts'
import { type Observed, openKillswitch } from '../../services/gateway/stops/killswitch.ts'
import { until } from '../support/until.ts'

/** Control as an enforcer writes it, and a gateway's switch that hears it. */
function world(file?: string) {
  const stops = noStops()
  const observed: Observed[] = []
  const killswitch = openKillswitch({ observed: it => observed.push(it), ...(file === undefined ? {} : { file }) })
  let offset = 0
  const made = (type: 'kill' | 'pause' | 'resume', scope: string, cause = `g.1.${offset++}`): Decided => {
    const decided = decide(stops, { type, scope, actor: 'admin', cause, at: Date.now() })
    assert.ok(decided !== null)
    return decided
  }
  const hear = ({ id, time, signal }: Decided, live = true): void => {
    foldStop(stops, signal, time)
    killswitch.hear({ about: 'signal', id, time, offset: offset++, live, signal })
  }
  const standing = (...scopes: readonly string[]) => killswitch.stopOf(scopes)?.stop.type ?? null
  return { killswitch, observed, made, hear, standing }
}
const call = (...scopes: readonly string[]) => {
  const stopped: string[] = []
  return { path: () => scopes, stop: (by: { stop: { type: string } }) => void stopped.push(by.stop.type), stopped }
}

test('a kill is obeyed when it is asked for, once, and told when its last call has ended', () => {
  const { killswitch, observed, made, hear, standing } = world()
  const [one, two, other] = [call('run:child', 'run:r'), call('run:r'), call('run:s')]
  for (const each of [one, two, other]) killswitch.begin(each)
  const kill = made('kill', 'run:r')
  killswitch.obey(kill)
  assert.equal(standing('run:new', 'run:r'), 'kill')
  hear(kill)
  assert.deepEqual([one.stopped, two.stopped, other.stopped], [['kill'], ['kill'], []])
  killswitch.end(one)
  assert.equal(observed.length, 0)
  killswitch.end(two)
  assert.deepEqual(
    observed.map(({ calls }) => calls),
    [2],
  )
})

test('what was asked for holds until control has it, whatever else control says of the scope', async () => {
  const { killswitch, made, hear, standing } = world()
  const mine = made('pause', 'run:r', 'g.1.100')
  killswitch.obey(mine)
  assert.equal(standing('run:r'), 'pause')
  const confirmed = killswitch.decided(mine, 1_000)
  hear(mine)
  assert.equal(await confirmed, true)
  hear(made('resume', 'run:r'))
  assert.equal(standing('run:r'), null)
  hear(mine)
  assert.equal(standing('run:r'), null, 'a late pause came back')
  assert.equal(await killswitch.decided(made('kill', 'run:r'), 1), false)
})

test('a stop that no enforcer ever decided is lifted with its scope', () => {
  const { killswitch, made, hear, standing } = world()
  killswitch.obey(made('pause', 'run:r', 'g.1.200'))
  hear(made('kill', 'run:r'))
  assert.equal(standing('run:r'), 'kill')
  hear(made('resume', 'run:r'))
  assert.equal(standing('run:r'), null)
})

test('what is known of stops is there for a start without the log', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-stops-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const file = path.join(dir, 'stops.json')
  const first = world(file)
  assert.equal(first.killswitch.remembered, false)
  first.killswitch.caughtUp()
  await until('a file', () => fs.existsSync(file))
  assert.equal(world(file).killswitch.remembered, true)
  first.hear(first.made('kill', 'run:r'), false)
  first.hear(first.made('pause', 'agent:a'))
  await first.killswitch.close()
  const next = world(file)
  assert.deepEqual([next.standing('run:r'), next.standing('agent:a')], ['kill', 'pause'])
})
