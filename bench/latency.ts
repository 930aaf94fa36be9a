import { type Figure, median } from './figures.ts'
import { clean, type Ground, type Target } from './ground.ts'
import type { Measurement } from './measurement.ts'

/** What a request has to wait for longer because a proxy stands between, while the proxy is a third busy. */
export const latency: Measurement = {
  name: 'latency',
  needs: 'proxy',
  run: async ground => {
    const knee = await kneeOf(ground, ground.gateway)
    const rate = Math.round(knee.rate / 3)
    const seconds = ground.quick ? 2 : 8
    const targets = [ground.direct, ground.bare, ground.gateway] as const
    const rounds: (readonly [Percentiles, Percentiles, Percentiles])[] = []
    for (let i = 0; i < (ground.quick ? 3 : 5); i++) {
      const [direct, bare, gateway] = targets
      rounds.push([
        await at(ground, direct, rate, seconds),
        await at(ground, bare, rate, seconds),
        await at(ground, gateway, rate, seconds),
      ])
    }
    const of = (target: 0 | 1 | 2, share: keyof Percentiles): number =>
      median(rounds.map(round => round[target][share]))
    const added = (target: 1 | 2, share: keyof Percentiles): number => of(target, share) - of(0, share)
    const note = `open loop, median of ${rounds.length} rounds of ${seconds} s each, in turn`
    const figures: Figure[] = [
      { name: 'knee of the gateway', value: knee.rate, unit: 'requests/s', note: knee.note },
      { name: 'a third of the knee', value: rate, unit: 'requests/s', note },
      { name: 'upstream alone, p50', value: of(0, 'p50'), unit: 'ms' },
      { name: 'upstream alone, p99', value: of(0, 'p99'), unit: 'ms' },
      { name: 'added by the bare proxy, p50', value: added(1, 'p50'), unit: 'ms' },
      { name: 'added by the bare proxy, p99', value: added(1, 'p99'), unit: 'ms' },
      { name: 'added by the gateway, p50', value: added(2, 'p50'), unit: 'ms' },
      { name: 'added by the gateway, p99', value: added(2, 'p99'), unit: 'ms' },
    ]
    return figures
  },
}

type Percentiles = { readonly p50: number; readonly p99: number }

/** Beyond it requests queue rather than pass; without a load an answer takes about one. */
const KNEE_P99_MS = 50

const at = async (ground: Ground, target: Target, rate: number, seconds: number): Promise<Percentiles> =>
  clean(await ground.drive(target, { shape: { open: rate }, seconds }), target.name).latencyMs

/** From a closed loop's throughput, which is about the capacity, downwards in steps until the latency is calm. */
const kneeOf = async (ground: Ground, target: Target): Promise<{ readonly rate: number; readonly note: string }> => {
  const seconds = ground.quick ? 2 : 5
  const { perSecond } = clean(await ground.drive(target, { shape: { closed: 32 }, seconds }), target.name)
  for (const share of ground.quick ? [1, 0.8, 0.6, 0.4] : [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]) {
    const rate = Math.round(perSecond * share)
    const loaded = await ground.drive(target, { shape: { open: rate }, seconds })
    const whole = loaded.failed === 0 && loaded.dropped === 0
    if (whole && loaded.latencyMs.p99 <= KNEE_P99_MS)
      return { rate, note: `highest rate tried with p99 ≤ ${KNEE_P99_MS} ms` }
  }
  // On a machine that is busy with other things no rate is calm. What follows is then an upper bound.
  return { rate: Math.round(perSecond * 0.3), note: `no rate tried had p99 ≤ ${KNEE_P99_MS} ms: is the machine busy?` }
}
