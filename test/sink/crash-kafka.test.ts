import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { topics } from '../../schemas/topics.ts'
import { openKafkaLog } from '../../services/io/log/kafka/kafka.ts'
import { openWarehouse } from '../clickhouse/opened.ts'
import { broker } from '../support/broker.ts'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'
import { assertOnce, seconds, seed, seeded, sinkProcess, startLoad } from './crashing.ts'

const partitions = 4

test(`two sinks on Kafka, sinks, broker and warehouse killed at random: every event is stored once (seed ${seed})`, async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  const chance = seeded(seed)
  const { random, between } = chance
  await using opened = await openWarehouse()
  const { url, dataDir, users } = opened.warehouse
  let warehouse: TestWarehouse = opened.warehouse
  const log = openKafkaLog({ brokers: kafka.brokers, clientId: 'load', log: pino({ level: 'silent' }) })
  await log.ensure([{ ...topics.events, partitions }, topics.deadletters])
  const writer = await log.writer(topics.events.name)
  const order = {
    log: { brokers: kafka.brokers },
    url,
    password: users.sluice,
    topics: [topics.events.name],
    rows: 400,
    lingerMs: 30,
  }
  const sinks = [sinkProcess(order), sinkProcess(order)]
  try {
    for (const sink of sinks) sink.start()
    const loads = [0, 1].map(slot =>
      startLoad(
        slot,
        chance,
        async messages => {
          for (const message of messages) writer.append(message)
        },
        partitions,
      ),
    )
    let kills = 0
    for (const end = performance.now() + seconds * 1_000; performance.now() < end; kills++) {
      await sleep(between(500, 2_500))
      const whom = random()
      const sink = sinks[between(0, 2)]!
      if (whom < 0.6) await sink.kill()
      if (whom > 0.4 && whom < 0.8) {
        await warehouse.kill9()
        warehouse = await startTestWarehouse({ dataDir, port: Number(new URL(url).port) })
      }
      if (whom > 0.8) {
        await kafka.kill9()
        await kafka.start()
      }
      if (whom < 0.6) sink.start()
    }
    for (const load of loads) await load.stop()
    await writer.flush()
    const sent = new Map(loads.flatMap(load => [...load.sent]))
    const told = await assertOnce(opened, sent, 100_000)
    t.diagnostic(`seed ${seed}: ${kills} kills; ${told}`)
  } finally {
    for (const sink of sinks) await sink.kill()
    await log.close()
    await warehouse.stop()
  }
})
