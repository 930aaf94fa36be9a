import { setTimeout as sleep } from 'node:timers/promises'
import { atMost } from './figures.ts'
import type { Measurement } from './measurement.ts'
import { numberOf } from './warehouse.ts'

/** Whether every answer of this run is in SQL, once. Runs last. */
export const stored: Measurement = {
  name: 'stored',
  needs: 'stack',
  run: async ({ stack, answered, drive, gateway, quick }) => {
    if (stack === null) return []
    const count = async () => {
      const [row] = await stack.sql(
        `SELECT count() AS rows, uniqExact(request_id) AS requests FROM calls WHERE agent = 'bench' AND provider = 'bench' AND outcome = 'success'`,
      )
      return { rows: numberOf(row, 'rows'), requests: numberOf(row, 'requests') }
    }
    const seconds = quick ? 3 : 10
    const before = await count()
    const burst = await drive(gateway, { shape: { closed: 32 }, seconds })
    const ended = performance.now()
    const during = await count()
    let now = during
    while (now.requests < answered() && performance.now() - ended < CATCH_UP_MS) {
      await sleep(50)
      now = await count()
    }
    const seen = answered()
    return [
      { name: 'answers of this run', value: seen, unit: '' },
      { name: 'lost: answered, but not in SQL', ...atMost(Math.max(seen - now.requests, 0), 0, '') },
      { name: 'duplicated: in SQL more than once', ...atMost(now.rows - now.requests, 0, '') },
      {
        name: 'rows to SQL under full load',
        value: (during.rows - before.rows) / seconds,
        unit: 'rows/s',
        note: `against ${Math.round(burst.perSecond)} answers/s`,
      },
      { name: 'until the last row, after full load', value: performance.now() - ended, unit: 'ms' },
    ]
  },
}

/** A backlog that takes longer is a finding of its own. */
const CATCH_UP_MS = 60_000
