import assert from 'node:assert/strict'
import { test } from 'node:test'
import { topics } from '../../schemas/topics.ts'
import { openStatus } from '../../services/io/status.ts'
import { openAlarm } from '../../services/sink/alarm.ts'
import { openSinkFigures } from '../../services/sink/metrics.ts'
import { llm, producer, work } from '../clickhouse/tell.ts'
import { until } from '../support/until.ts'
import { openBench } from './bench.ts'

test('facts that never came raise events.lost, on the topic of alerts and as a row', async () => {
  await using bench = await openBench()
  const say = producer('gateway-a1b2-0', 3)
  const all = Array.from({ length: 10 }, () => say(llm(work('run-lost'))))
  const alarm = openAlarm(bench.log)
  await bench.append([...all.slice(0, 3), ...all.slice(7)])
  const first = bench.sink({ onLost: alarm.ring })
  await bench.stored(6)
  await bench.stored(1, topics.alerts.name)
  await first.close()
  // Told again, as after a crash before the mark: it is the same alert.
  await alarm.ring([{ topic: topics.events.name, partition: 0, producer: 'gateway-a1b2-0', epoch: 3, from: 3, to: 6 }])
  bench.sink({ onLost: alarm.ring })
  await bench.stored(2, topics.alerts.name)
  assert.deepEqual(await bench.opened.rows('SELECT type, scope, rule, action, mode, data FROM alerts'), [
    {
      type: 'events.lost',
      scope: 'producer:gateway-a1b2-0',
      rule: 'sequence',
      action: 'alert',
      mode: 'enforce',
      data: '{"topic":"sluice.events","partition":0,"producer":"gateway-a1b2-0","epoch":3,"from":3,"to":6}',
    },
  ])
  await alarm.close()
})

test('an alarm that could not ring tries again', async () => {
  await using bench = await openBench()
  const held = await bench.log.writer(topics.alerts.name, { partition: 1 })
  const alarm = openAlarm({
    ...bench.log,
    writer: (topic, options) => bench.log.writer(topic, { ...options, lockWaitMs: 1 }),
  })
  const lost = [{ topic: topics.events.name, partition: 0, producer: 'gateway-a1b2-0', epoch: 1, from: 0, to: 0 }]
  await assert.rejects(alarm.ring(lost), { code: 'log_locked' })
  await held.close()
  await alarm.ring(lost)
  await alarm.close()
})

test('a sink tells its rows, its lag, what it could not read and what was lost, and whether it can work', async t => {
  await using bench = await openBench()
  const figures = openSinkFigures(() => sink.lag())
  const status = await openStatus({
    host: '127.0.0.1',
    port: 0,
    notReady: () => (figures.isAway() ? 'ClickHouse takes no rows' : null),
    metrics: figures,
  })
  t.after(() => status.close())
  const get = (path: string) => fetch(`http://127.0.0.1:${status.port}${path}`)
  const say = producer('gateway-a1b2-0')
  const all = Array.from({ length: 8 }, () => say(llm(work('run-told'))))
  const broken = { ...all[7]!, value: Buffer.from('{') }
  const sink = bench.sink({ metrics: figures, onLost: figures.lost })
  await bench.append([...all.slice(0, 4), ...all.slice(6, 7), broken, all[0]!])
  await bench.stored(6)
  await until('no lag', () => sink.lag().records === 0 && sink.lag().ageMs === 0)
  const response = await get('/metrics')
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
  const told = await response.text()
  const value = (name: string) =>
    Number(new RegExp(`^${name}(?:\\{topic="sluice.events"\\})? (\\S+)$`, 'm').exec(told)?.[1])
  const names = ['rows_total', 'duplicates_total', 'dead_letters_total', 'lag_records', 'lag_seconds', 'away']
  assert.deepEqual(
    names.map(name => value(`sluice_sink_${name}`)),
    [6, 1, 1, 0, 0, 0],
  )
  assert.equal(value('sluice_events_lost_total'), 2)
  assert.ok(value('sluice_sink_batches_total') >= 1)
  assert.deepEqual(
    [(await get('/health')).status, (await get('/ready')).status, (await get('/x')).status],
    [200, 200, 404],
  )
  assert.equal((await fetch(`http://127.0.0.1:${status.port}/ready`, { method: 'POST', body: 'x' })).status, 405)

  await bench.opened.warehouse.kill9()
  await bench.append([say(llm(work('run-told')))])
  await until('not ready', async () => (await get('/ready')).status === 503)
  assert.deepEqual(await (await get('/ready')).json(), { status: 'not ready', why: 'ClickHouse takes no rows' })
  assert.equal((await get('/health')).status, 200)
  await until('its lag', () => sink.lag().records === 1)
  assert.match(await (await get('/metrics')).text(), /^sluice_sink_away 1$/m)
})
