import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'

/** What a number is worth nothing without. */
export type Conditions = {
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly system: string
  readonly node: string
  readonly commit: string
  /** Of the last minute, before the first measurement: above 0.5 something else was running. */
  readonly loadAverage: number
  readonly mode: string
}

export const conditions = (mode: string): Conditions => ({
  date: new Date().toISOString(),
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  system: `${process.platform} ${release()}`,
  node: process.version,
  commit: commit(),
  loadAverage: loadavg()[0] ?? Number.NaN,
  mode,
})

export const describe = (c: Conditions): string =>
  [
    `${c.date}  ${c.mode}  commit ${c.commit}`,
    `${c.cpu}, ${c.cores} cores, ${c.memoryGb} GB, ${c.system}, Node ${c.node}, load average ${c.loadAverage.toFixed(2)}`,
    'Load, upstream and all proxies share this machine. Latencies count from the intended send time (open loop).',
  ].join('\n')

const commit = (): string => {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'unknown'
  }
}
