import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../support/until.ts'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'
import { events, openBench } from './bench.ts'
import { assertOnce, seconds, seed, seeded, sinkProcess, startLoad } from './crashing.ts'

test(`sink and warehouse killed at random: every event is stored once, and so are the sums (seed ${seed})`, async t => {
  const chance = seeded(seed)
  const { random, between } = chance
  await using bench = await openBench()
  const { url, dataDir, users } = bench.opened.warehouse
  let warehouse: TestWarehouse = bench.opened.warehouse
  const sink = sinkProcess({
    log: { dir: bench.dir },
    url,
    password: users.sluice,
    topics: [events],
    rows: 400,
    lingerMs: 30,
  })
  try {
    const loads = [0, 1].map(partition =>
      startLoad(partition, chance, messages => bench.append(messages, events, partition)),
    )
    sink.start()
    let kills = 0
    for (const end = performance.now() + seconds * 1_000; performance.now() < end; kills++) {
      await sleep(between(50, 900))
      const whom = random()
      if (whom < 0.7) await sink.kill()
      if (whom > 0.5) {
        await warehouse.kill9()
        if (random() < 0.5) await sleep(between(10, 300))
        warehouse = await startTestWarehouse({ dataDir, port: Number(new URL(url).port) })
      }
      if (whom < 0.7) sink.start()
    }
    for (const load of loads) await load.stop()
    const sent = new Map(loads.flatMap(load => [...load.sent]))
    const told = await assertOnce(bench.opened, sent, 30_000)
    t.diagnostic(`seed ${seed}: ${kills} kills; ${told}`)
    const records = loads.reduce((sum, load) => sum + load.records(), 0)
    await until('the marks', async () => {
      const marks = await Promise.all(
        [0, 1].map(partition => bench.log.committed('sink', { topic: events, partition })),
      )
      return marks.reduce((sum, mark) => sum + (mark?.offset ?? 0), 0) === records
    })
  } finally {
    await sink.kill()
    await warehouse.stop()
  }
})
