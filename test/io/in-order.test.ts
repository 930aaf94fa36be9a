import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { header } from '../../schemas/envelope.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { readInOrder } from '../../services/io/log/in-order.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const topic = 'test.told'

/** Some partitions, each with records of these times (ms). */
async function written(t: TestContext, partitions: readonly (readonly number[])[]) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-order-'))
  const log = openFileLog({ dir, pollMs: 2 })
  const close = async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true, force: true })
  }
  t.after(close)
  await Promise.all(
    partitions.map(async (times, partition) => {
      const writer = await log.writer(topic, { partition })
      for (const time of times)
        writer.append({
          key: null,
          headers: { [header.time]: new Date(time).toISOString() },
          value: Buffer.from(`${time}`),
        })
      await writer.flush()
    }),
  )
  return { log, close }
}

test(`what lies in several partitions is read in the order of time, each record once, up to the end (seed ${seed})`, async t => {
  const ascending = fc.array(fc.nat(1_000), { maxLength: 30 }).map(times => times.toSorted((a, b) => a - b))
  await fc.assert(
    fc.asyncProperty(
      fc.array(ascending, { minLength: 1, maxLength: 4 }),
      fc.nat(5),
      fc.nat(5),
      async (all, skip, cut) => {
        const { log, close } = await written(t, all)
        const spans = all.map((times, partition) => ({
          topic,
          partition,
          from: Math.min(skip, times.length),
          end: Math.max(0, times.length - cut),
        }))
        const read: number[] = []
        await readInOrder(
          log,
          spans,
          async ({ records }) => void read.push(...records.map(({ value }) => Number(value))),
          new AbortController().signal,
        )
        const wanted = all.flatMap((times, i) => times.slice(spans[i]?.from, spans[i]?.end))
        assert.deepEqual(
          read,
          wanted.toSorted((a, b) => a - b),
        )
        await close()
      },
    ),
    { seed, numRuns: 25 },
  )
})

test('it ends after the delivery in which it is told to, and with what a delivery throws', async t => {
  const { log } = await written(t, [
    [1, 3, 5],
    [2, 4, 6],
  ])
  const spans = [0, 1].map(partition => ({ topic, partition, from: 0, end: 3 }))
  const stop = new AbortController()
  let deliveries = 0
  const once = async () => {
    deliveries += 1
    stop.abort()
  }
  await readInOrder(log, spans, once, stop.signal)
  assert.equal(deliveries, 1)
  const broken = async () => {
    throw new Error('no further')
  }
  await assert.rejects(readInOrder(log, spans, broken, new AbortController().signal), /no further/)
})
