import assert from 'node:assert/strict'
import { test } from 'node:test'
import { header } from '../../schemas/envelope.ts'
import type { Message } from '../../schemas/events.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import type { Lost } from '../../services/sink/sink.ts'
import { llm, producer, tool, under, work } from '../clickhouse/tell.ts'
import { until } from '../support/until.ts'
import { startTestWarehouse } from '../support/warehouse.ts'
import { type Bench, events, openBench } from './bench.ts'

const ids = async (bench: Bench, topic = events) =>
  (
    await bench.opened.rows<{ id: string }>(
      'SELECT event_id AS id FROM events WHERE topic = {topic:String} ORDER BY partition, offset',
      { topic },
    )
  ).map(row => row.id)
const idOf = (message: Message) => message.headers[header.id]
const many = (say: ReturnType<typeof producer>, n: number, run = 'run-many') =>
  Array.from({ length: n }, (_, i) => say(i % 3 === 0 ? tool(work(run)) : llm(work(run), { step: i + 1 })))

test('what is on the log is in the tables, once, with its place, soon', async () => {
  await using bench = await openBench()
  const say = producer()
  const first = many(say, 500)
  await bench.append(first)
  const told: number[] = []
  const sink = bench.sink({ metrics: { stored: (_, batch) => told.push(batch.rows) } })
  await bench.stored(500)
  assert.deepEqual(await ids(bench), first.map(idOf))
  await until('an empty lag', () => sink.lag().records === 0 && sink.lag().ageMs === 0)
  assert.equal(
    told.reduce((a, b) => a + b, 0),
    500,
  )

  const began = performance.now()
  const control = producer('enforcer-1')
  await bench.append([say(llm(under('child', 'run-many')))])
  await bench.append([control({ type: 'pause', scope: 'run:child', run_id: 'child' })], 'sluice.control')
  await bench.stored(501)
  assert.ok(performance.now() - began < 1_000, 'queryable within a second')
  await bench.stored(1, 'sluice.control')
  const [row] = await bench.opened.rows(
    'SELECT topic, partition, offset, producer, epoch, sequence, source FROM events WHERE run_id = {run:String} AND topic = {events:String}',
    { run: 'child', events },
  )
  assert.deepEqual(row, {
    topic: events,
    partition: 0,
    offset: 500,
    producer: 'gateway-test-0',
    epoch: 1,
    sequence: 500,
    source: '/sluice/gateway-test-0',
  })
})

test('what a producer sent again is dropped, in the same batch, in a later one and by a later sink', async () => {
  await using bench = await openBench()
  const say = producer()
  const a = many(say, 40)
  await bench.append([...a.slice(0, 20), ...a.slice(5, 30)])
  const sink = bench.sink()
  await bench.stored(30)
  await bench.append([...a.slice(10, 35)])
  await bench.stored(35)
  await sink.close()
  await bench.append([...a.slice(20)])
  let duplicates = 0
  bench.sink({
    metrics: {
      stored: (_, batch) => {
        duplicates += batch.duplicates
      },
    },
  })
  await bench.stored(40)
  assert.deepEqual(await ids(bench), a.map(idOf))
  await until('the count', () => duplicates === 15)
  const [sums] = await bench.opened.rows(
    'SELECT (SELECT sum(llm_calls + tool_calls) FROM runs) AS runs, (SELECT sum(calls) FROM spend_by_minute) AS spend',
  )
  assert.deepEqual(sums, { runs: 40, spend: 40 })
})

test('what cannot be read goes to the dead letters with its place and why, and holds up nobody', async () => {
  await using bench = await openBench()
  const say = producer()
  const good = llm(work('run-poison'))
  const bad = (change: (message: Message) => Message) => () => change(say(good))
  const body = (text: string | Buffer) => (message: Message) => ({ ...message, value: Buffer.from(text) })
  const valid = producer('gateway-else-0')(good).value.toString()
  const without = (name: string) => (message: Message) => ({
    ...message,
    headers: Object.fromEntries(Object.entries(message.headers).filter(([key]) => key !== name)),
  })
  const kinds: readonly (readonly [RegExp, () => Message])[] = [
    [/not JSON/, bad(body(valid.slice(0, -20)))],
    [/not JSON/, bad(body(`${valid}${valid}`))],
    [/not JSON/, bad(body(`${valid}\n{"topic":"sluice.events","event_id":"forged"}`))],
    [/not JSON/, bad(body('hello'))],
    [/not a JSON object/, bad(body('[1,2]'))],
    [/not a JSON object/, bad(body('null'))],
    [/UTF-8/, bad(body(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])))],
    [/names offset/, bad(body('{"offset":7}'))],
    [/cost_nano_usd|parse/i, bad(body('{"agent":"a","cost_nano_usd":"much"}'))],
    [/input_tokens|parse/i, bad(body('{"agent":"a","input_tokens":-4}'))],
    [/Duplicate/i, bad(body('{"agent":"a","agent":"b"}'))],
    [/ce_type/, bad(without(header.type))],
    [/ce_time/, bad(message => ({ ...message, headers: { ...message.headers, [header.time]: 'yesterday' } }))],
    [/ce_id/, bad(without(header.id))],
    // Nested deeper than ClickHouse reads; the engine says so of the row.
    [/./, bad(body(`{"unknown":${'['.repeat(50_000)}${']'.repeat(50_000)}}`))],
  ]
  const poison: Message[] = []
  const around = kinds.flatMap(([, message]) => {
    const before = say(good)
    poison.push(message())
    return [before, poison.at(-1)!]
  })
  await bench.append([
    ...around,
    say(good),
    bad(body('{}'))(),
    bad(body(' \n{ } '))(),
    bad(body('{"agent":"a", "unheard": {"of": [1]}}'))(),
  ])
  const lost: Lost[] = []
  bench.sink({ onLost: found => void lost.push(...found) })
  const total = around.length + 4
  await bench.stored(total)
  const letters = await until('letters', async () => {
    const found = await bench.letters()
    return found.length >= poison.length ? found : null
  })
  assert.ok(letters)
  assert.equal(letters.length, poison.length)
  letters
    .map(letter => JSON.parse(letter.value.toString()))
    .toSorted((a, b) => a.offset - b.offset)
    .forEach((letter, i) => {
      assert.equal(letter.offset, i * 2 + 1)
      assert.equal(letter.topic, events)
      assert.match(letter.why, kinds[i]![0])
      assert.equal(Buffer.from(letter.value, letter.encoding).equals(poison[i]!.value), true)
    })
  const rows = await bench.opened.rows<{ type: string; n: number }>(
    'SELECT type, count() AS n FROM events GROUP BY type ORDER BY type',
  )
  assert.deepEqual(rows, [
    { type: 'llm.completed', n: poison.length + 4 },
    { type: 'record.unreadable', n: poison.length },
  ])
  assert.deepEqual(await bench.opened.rows(`SELECT count() AS n FROM calls WHERE run_id = 'run-poison'`), [
    { n: poison.length + 1 },
  ])
  // The one without an id is a number that was never heard.
  assert.deepEqual(
    lost.map(gap => gap.to - gap.from),
    [0],
  )
})

test('half a character at the end of a preview costs no row', async () => {
  await using bench = await openBench()
  const say = producer()
  const cut = ['\ud83d', '\ud83d\ud83d', '\ude00', 'text \ud83dmore', '\u0000', '😀']
  await bench.append(
    cut.map(args => say(tool(work('run-cut', { labels: { [args]: args } }), { args, data: { args } } as object))),
  )
  bench.sink()
  await bench.stored(cut.length)
  const rows = await bench.opened.rows<{ args: string; type: string }>('SELECT type, args FROM events ORDER BY offset')
  assert.ok(rows.every(row => row.type === 'tool.returned'))
  assert.equal(rows.at(-1)?.args, '😀')
  assert.deepEqual(await bench.letters(), [])
})

test('a gap in a producer’s numbers is told, once, before the mark passes it', async () => {
  await using bench = await openBench()
  const say = producer('gateway-lossy-0', 7)
  const all = many(say, 60)
  await bench.append([...all.slice(0, 10), ...all.slice(13, 40)])
  const lost: Lost[] = []
  let refuse = true
  const onLost = (found: readonly Lost[]) => {
    if (refuse) {
      refuse = false
      throw new Error('nobody listens yet')
    }
    lost.push(...found)
  }
  const sink = bench.sink({ onLost })
  await until('the gap', () => lost.length > 0)
  assert.deepEqual(lost, [{ topic: events, partition: 0, producer: 'gateway-lossy-0', epoch: 7, from: 10, to: 12 }])
  await until(
    'the mark',
    async () => (await bench.log.committed('sink', { topic: events, partition: 0 }))?.offset === 37,
  )
  await sink.close()
  await bench.append(all.slice(40))
  bench.sink({ onLost })
  await bench.stored(57)
  assert.equal(lost.length, 1)
})

test('ClickHouse away loses nothing: it is said once, waited for, and caught up', async () => {
  await using bench = await openBench()
  const say = producer()
  const away: boolean[] = []
  const sink = bench.sink({ metrics: { away: now => away.push(now) } })
  await bench.append(many(say, 100))
  await bench.stored(100)
  await until('the mark', () => sink.lag().records === 0)
  const { warehouse } = bench.opened
  await warehouse.kill9()
  await bench.append(many(say, 300))
  await until('the outage', () => away.length === 1)
  await until('a lag', () => sink.lag().records === 300 && sink.lag().ageMs > 0)
  await using again = await startTestWarehouse({
    dataDir: warehouse.dataDir,
    port: Number(new URL(warehouse.url).port),
  })
  assert.ok(again.pid > 0)
  await bench.stored(400)
  await until('no lag', () => sink.lag().records === 0)
  assert.deepEqual(away, [true, false])
  assert.deepEqual(bench.said, [
    'rows cannot be stored; they wait on the log and are tried again',
    'rows are stored again',
  ])
})

test('while ClickHouse is away little is held in memory, the log is let go, and all of it comes later', async () => {
  await using bench = await openBench()
  const say = producer()
  let delivered = 0
  let assigned = 0
  const watched: EventLog = {
    ...bench.log,
    consume: (group, topics, worker) =>
      bench.log.consume(group, topics, {
        ...worker,
        assigned: (at, mark) => {
          if (at.topic === events) assigned++
          return worker.assigned(at, mark)
        },
        onBatch: batch => {
          delivered += batch.records.length
          return worker.onBatch(batch)
        },
      }),
  }
  const { warehouse } = bench.opened
  await warehouse.kill9()
  const sink = bench.sink({ log: watched, limits: { rows: 200, lingerMs: 20, roomMs: 400 } })
  for (let i = 0; i < 20; i++) {
    await bench.append(many(say, 200))
    if (i === 0) await until('a first batch', () => delivered > 0)
  }
  await until('the log was let go', () => bench.said.some(text => /let go of the log/.test(text)))
  assert.ok(delivered < 4_000, `${delivered} of 4,000 were read`)
  await using _again = await startTestWarehouse({
    dataDir: warehouse.dataDir,
    port: Number(new URL(warehouse.url).port),
  })
  await bench.stored(4_000)
  assert.ok(assigned >= 2)
  assert.equal(new Set(await ids(bench)).size, 4_000)
  await until('no lag', () => sink.lag().records === 0)
})

test('a group that lost its marks reads again and stores nothing twice', async () => {
  await using bench = await openBench()
  const say = producer()
  const foreign = {
    ...say(llm(work('run-foreign'))),
    headers: { ...say(llm(work('r'))).headers, [header.id]: 'from-elsewhere' },
  }
  await bench.append([...many(say, 50), foreign])
  const sink = bench.sink({ group: 'before' })
  await bench.stored(51)
  await sink.close()
  await bench.append(many(say, 50))
  bench.sink({ group: 'after' })
  await bench.stored(101)
  await until(
    'the mark',
    async () => (await bench.log.committed('after', { topic: events, partition: 0 }))?.offset === 101,
  )
  assert.equal(new Set(await ids(bench)).size, 101)
})

test('partitions are kept apart and go side by side', async () => {
  await using bench = await openBench()
  const says = [0, 1, 2, 3].map(slot => producer(`gateway-p-${slot}`))
  await Promise.all(says.map((say, partition) => bench.append(many(say, 200, `run-${partition}`), events, partition)))
  bench.sink()
  await bench.stored(800)
  const rows = await bench.opened.rows(
    'SELECT partition, count() AS n, max(offset) AS top FROM events GROUP BY partition ORDER BY partition',
  )
  assert.deepEqual(
    rows,
    [0, 1, 2, 3].map(partition => ({ partition, n: 200, top: 199 })),
  )
})
