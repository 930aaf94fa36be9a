import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { atMost, percentile } from './figures.ts'
import type { Ground } from './ground.ts'
import type { Measurement } from './measurement.ts'
import type { Stack } from './stack.ts'
import { numberOf } from './warehouse.ts'

/** How long after an answer's last byte SQL knows of it, beside some other load. */
export const freshness: Measurement = {
  name: 'freshness',
  needs: 'stack',
  run: async ground => {
    const { stack } = ground
    if (stack === null) return []
    const probes = ground.quick ? 30 : 150
    const waits: number[] = []
    const other = ground.drive(ground.gateway, { shape: { open: OTHER_RATE }, seconds: (probes * EVERY_MS) / 1000 })
    const begun = performance.now()
    const pending: Promise<unknown>[] = []
    for (let i = 0; i < probes; i++) {
      await sleep(Math.max(begun + i * EVERY_MS - performance.now(), 0))
      pending.push(probe(ground, stack).then(wait => waits.push(wait)))
    }
    await Promise.all(pending)
    await other
    const sorted = waits.toSorted((a, b) => a - b)
    const note = `${probes} answers, one every ${EVERY_MS} ms, beside ${OTHER_RATE} requests/s; asked again every ${POLL_MS} ms`
    return [
      { name: 'answer to row, p50', value: percentile(sorted, 0.5), unit: 'ms', note },
      { name: 'answer to row, p99', ...atMost(percentile(sorted, 0.99), 1_000, 'ms') },
      { name: 'answer to row, max', value: percentile(sorted, 1), unit: 'ms' },
    ]
  },
}

const OTHER_RATE = 100
const EVERY_MS = 200
const POLL_MS = 10
/** Far beyond the goal: a row that takes longer is taken for lost. */
const DEADLINE_MS = 15_000

const probe = async (ground: Ground, stack: Stack): Promise<number> => {
  const answer = await request(`${stack.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...stack.headers },
    body: JSON.stringify({ model: 'bench', messages: [{ role: 'user', content: `probe ${performance.now()}` }] }),
  })
  await answer.body.arrayBuffer()
  const ended = performance.now()
  const id = answer.headers['x-sluice-request-id']
  if (answer.statusCode !== 200 || typeof id !== 'string') throw new Error(`a probe got ${answer.statusCode}, id ${id}`)
  ground.count(1)
  while (performance.now() - ended < DEADLINE_MS) {
    const [row] = await stack.sql('SELECT count() AS rows FROM calls WHERE request_id = {id:String}', { id })
    if (numberOf(row, 'rows') > 0) return performance.now() - ended
    await sleep(POLL_MS)
  }
  throw new Error(`no row for request ${id} after ${DEADLINE_MS} ms`)
}
