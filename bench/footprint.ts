import { atMost, type Figure } from './figures.ts'
import type { Measurement } from './measurement.ts'
import { memory } from './processes.ts'

/** The gateway's share of a small machine. */
const GATEWAY_MB = 200

/** From `npm start` to the first answer, and what each process holds before any load. Runs first. */
export const idle: Measurement = {
  name: 'start',
  needs: 'stack',
  run: async ({ stack }) => {
    if (stack === null) return []
    const figures: Figure[] = [
      {
        name: 'npm start to the first answer',
        ...atMost(stack.firstAnswerMs, 5_000, 'ms'),
        note: 'fresh data directory, one start',
      },
    ]
    for (const { pid, title } of stack.processes())
      figures.push({ name: `memory idle, ${title}`, ...resident(title, memory(pid).nowMb) })
    return figures
  },
}

/** What each process held at most under all that came before. Runs after the load. */
export const loaded: Measurement = {
  name: 'memory',
  needs: 'proxy',
  run: async ({ stack, bare }) => {
    const all = [...(stack?.processes() ?? []), { pid: bare.pid, title: 'bare proxy' }]
    return all.map(({ pid, title }) => ({ name: `memory at most, ${title}`, ...resident(title, memory(pid).peakMb) }))
  },
}

const resident = (title: string, mb: number): Pick<Figure, 'value' | 'unit' | 'goal'> =>
  title.startsWith('sluice:gateway') ? atMost(mb, GATEWAY_MB, 'MB') : { value: mb, unit: 'MB' }
