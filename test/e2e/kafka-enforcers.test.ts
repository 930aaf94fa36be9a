import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import kafkajs from 'kafkajs'
import { type Event, encode } from '../../schemas/events.ts'
import { decodeSignal } from '../../schemas/stop.ts'
import { topics } from '../../schemas/topics.ts'
import { rulesGroup } from '../../services/enforcer/enforcer.ts'
import { wideGroup } from '../../services/enforcer/wide-rules.ts'
import { partitionOf } from '../../services/io/log/partitioner.ts'
import { failing, history, refused, times } from '../core/rules/given.ts'
import { broker } from '../support/broker.ts'
import { append, logOn } from '../support/kafka.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const config = `breakers:
  deniedStreak: { scope: agent, count: 6, action: pause }
  errorStreak: { scope: run, count: 3, action: kill }
`
const linux = process.platform !== 'linux' && 'processes are found by /proc'

test('an agent of many runs is counted by one of two enforcers, once, also when that one is killed', {
  skip: linux,
}, async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  const env = { KAFKA_BROKERS: kafka.brokers.join(',') }
  const enforcers = await Promise.all([1, 2].map(() => startStack({ roles: ['enforcer'], config, env })))
  t.after(() => Promise.all(enforcers.map(each => each.close())))
  const admin = new kafkajs.Kafka({ brokers: [...kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  t.after(() => admin.disconnect())
  const counting = () => enforcers.filter(counts)
  await until(
    'two that share, and one that counts',
    async () => {
      const { groups } = await admin.describeGroups([rulesGroup])
      return groups[0]?.state === 'Stable' && groups[0].members.length === 2 && counting().length === 1
    },
    40_000,
    100,
  )

  const log = logOn(kafka)
  const stops: { readonly type: string; readonly scope: string }[] = []
  const control = log.follow(topics.control.name, {
    from: 'earliest',
    onBatch({ records }) {
      for (const record of records) {
        const { signal } = decodeSignal(record) ?? {}
        if (signal !== undefined) stops.push(signal)
      }
    },
  })
  t.after(() => control.close())
  const of = (scope: string) => stops.filter(stop => stop.scope === scope)
  const stopped = (scope: string) => until(`a stop of ${scope}`, () => of(scope).length > 0, 40_000)
  const writer = await log.writer(topics.events.name)
  const tell = (events: readonly Event[]) =>
    Promise.all(
      events.map(async event => ({
        topic: topics.events.name,
        partition: partitionOf(event.root_run_id, topics.events.partitions),
        offset: await append(writer, encode(event, event.root_run_id)),
      })),
    )

  const denials = (agent: string) => times(6, i => refused('budget_exceeded', `${agent}-${i}`, { agent }))
  const spread = new Set(times(6, i => partitionOf(`halved-${i}`, topics.events.partitions)))
  assert.ok(spread.size >= 4, `the runs lie in ${spread.size} partitions`)
  const halved = denials('halved')
  // At one moment, for partitions that are read live are read in any order.
  const events = history(
    [halved.slice(0, 3), denials('whole'), times(3, () => failing('sql', '{}', 'alone'))].flat(2),
    0,
  )
  const told = await tell(events)
  await Promise.all(['agent:whole', 'run:alone'].map(stopped))
  assert.deepEqual(of('agent:halved'), [])
  // Within some milliseconds of a decision; a crash before that says it again.
  const ofWhole = told.filter((_, i) => events[i]?.agent === 'whole')
  await until('a mark behind what has led to it', async () => {
    const marks = await Promise.all(ofWhole.map(at => log.committed(wideGroup, at)))
    return marks.every((mark, i) => Number(mark?.note) > (ofWhole[i]?.offset ?? 0))
  })

  const [first] = counting()
  assert.ok(first !== undefined)
  const killedAt = performance.now()
  for (const { pid } of [{ pid: first.child.pid ?? 0 }, ...first.processes()]) process.kill(pid, 'SIGKILL')
  const rest = history([...halved.slice(3), ...denials('later')], 0)
  const more = rest.map((event, i) => ({ ...event, id: `gateway-t.2.${i}`, time: event.time + 1000 }))
  await tell(more)
  await Promise.all(['agent:halved', 'agent:later'].map(stopped))
  t.diagnostic(`counted on ${Math.round(performance.now() - killedAt)} ms after the kill`)

  assert.deepEqual(stops.map(({ type, scope }) => `${type} ${scope}`).toSorted(), [
    'kill run:alone',
    'pause agent:halved',
    'pause agent:later',
    'pause agent:whole',
  ])
})

/** Whether a process of it has the file open in which the one who counts keeps what it knows. */
function counts(stack: Stack): boolean {
  return stack.processes().some(({ pid }) => {
    try {
      const dir = `/proc/${pid}/fd`
      return fs.readdirSync(dir).some(fd => /\/wide-rules-\d+\.sqlite$/.test(fs.readlinkSync(`${dir}/${fd}`)))
    } catch {
      return false // one of them was closed meanwhile, or it has ended
    }
  })
}
