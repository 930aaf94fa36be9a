/**
 * What the file log costs the process that writes it, and how fast another process sees it:
 *
 *     node bench/log.ts [seconds] [events per second, 0: as fast as it goes] [os|fsync]
 *
 * Two records a request, as a gateway appends them: an admission of some 300 bytes and a completed call of some 900.
 */
import { fork } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { encode } from '../schemas/events.ts'
import { openFileLog } from '../services/io/log/file/file.ts'

const topic = 'bench.events'
const now = (): number => Number(process.hrtime.bigint()) / 1e6
/** Enough for a percentile of a percent; sampling keeps the measuring from being what is measured. */
const sampleEvery = 7

const quantile = (sorted: readonly number[], p: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN).toFixed(3)
function print(name: string, samples: number[]): void {
  samples.sort((a, b) => a - b)
  const [p50, p99, max] = [0.5, 0.99, 1].map(p => quantile(samples, p))
  console.log(`${name.padEnd(18)} p50 ${p50} ms  p99 ${p99} ms  max ${max} ms`)
}

if (process.argv[2] === 'reader') {
  const latencies: number[] = []
  let events = 0
  const started = process.cpuUsage()
  const log = openFileLog({ dir: process.argv[3]! })
  const follower = log.follow(topic, {
    from: 'earliest',
    onBatch: batch => {
      const at = now()
      for (const record of batch.records) {
        if (events++ % sampleEvery === 0) latencies.push(at - Number(record.headers['sent']))
      }
    },
  })
  process.on('message', async () => {
    const { user, system } = process.cpuUsage(started)
    await follower.close()
    print('append → reader', latencies)
    console.log(`reader             ${events} events, ${((user + system) / events).toFixed(2)} µs CPU an event`)
    process.disconnect?.()
  })
  await follower.caughtUp
  process.send?.('ready')
} else await write()

async function write(): Promise<void> {
  const seconds = Number(process.argv[2] ?? 4)
  const rate = Number(process.argv[3] ?? 20_000)
  const durability = process.argv[4] === 'fsync' ? 'fsync' : 'os'
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-bench-'))
  const log = openFileLog({ dir, durability })
  const writer = await log.writer(topic)
  const reader = fork(new URL(import.meta.url), ['reader', dir], { stdio: 'inherit' })
  await new Promise(resolve => reader.once('message', resolve))

  const bodies = [{ text: 'x'.repeat(250) }, { text: 'x'.repeat(850) }]
  const made = bodies.map(body =>
    encode(
      { id: 'gateway-3f9a1c-0.7.421234', source: '/sluice/gateway', time: Date.now(), type: 'x', ...body },
      'run_1',
    ),
  )
  const latencies: number[] = []
  let taken = 0
  let sent = 0
  const appendOne = () => {
    const message = made[sent & 1]!
    const at = now()
    const sampled = sent % sampleEvery === 0
    sent++
    writer.append({ ...message, headers: { ...message.headers, sent: `${at}` } }, fault => {
      if (fault !== null) throw fault
      taken++
      if (sampled) latencies.push(now() - at)
    })
  }

  const started = now()
  const cpu = process.cpuUsage()
  const thread = process.threadCpuUsage()
  await new Promise<void>(resolve => {
    const tick = () => {
      const elapsed = now() - started
      if (elapsed > seconds * 1000) return resolve()
      // Flat out: as much as a busy turn of a gateway brings, and no more than a bounded queue would let through.
      const due = rate === 0 ? Math.max(0, Math.min(20, 20_000 - (sent - taken))) : (elapsed * rate) / 1000 - sent
      for (let i = 0; i < due; i++) appendOne()
      if (rate === 0) setImmediate(tick)
      else setTimeout(tick, 1)
    }
    tick()
  })
  const took = (now() - started) / 1000
  await writer.flush()
  const all = process.cpuUsage(cpu)
  const main = process.threadCpuUsage(thread)
  console.log(`durability ${durability}: ${sent} events in ${took.toFixed(1)} s, ${Math.round(sent / took)} a second`)
  console.log(
    `writer             ${((all.user + all.system) / sent).toFixed(2)} µs CPU an event, ` +
      `${((main.user + main.system) / sent).toFixed(2)} of them on the event loop (with the pacing and the measuring)`,
  )
  print('append → done', latencies)
  reader.send('done')
  await new Promise(resolve => reader.once('exit', resolve))
  await log.close()
  fs.rmSync(dir, { recursive: true })
}
