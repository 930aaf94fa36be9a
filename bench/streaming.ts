import { type Figure, median } from './figures.ts'
import { clean, type Ground, type Target } from './ground.ts'
import type { Measurement } from './measurement.ts'
import { cpuSeconds } from './processes.ts'

/** What streams cost: the wait for the first event, and the gateway's CPU for each one that passes. */
export const streaming: Measurement = {
  name: 'streaming',
  needs: 'proxy',
  run: async ground => {
    const rounds = ground.quick ? 1 : 3
    const first = { direct: [] as Wait[], bare: [] as Wait[], gateway: [] as Wait[] }
    const cost = { bare: [] as number[], gateway: [] as number[] }
    for (let i = 0; i < rounds; i++) {
      for (const name of ['direct', 'bare', 'gateway'] as const)
        first[name].push(await firstEvent(ground, ground[name]))
      for (const name of ['bare', 'gateway'] as const) cost[name].push(await perEvent(ground, ground[name]))
    }
    const of = (name: keyof typeof first, share: keyof Wait): number => median(first[name].map(wait => wait[share]))
    const added = (name: 'bare' | 'gateway', share: keyof Wait): number => of(name, share) - of('direct', share)
    const figures: Figure[] = [
      {
        name: 'first event, upstream alone, p50',
        value: of('direct', 'p50'),
        unit: 'ms',
        note: `${FIRST_RATE} streams/s of 20 events, open loop`,
      },
      { name: 'first event, added by the bare proxy, p50', value: added('bare', 'p50'), unit: 'ms' },
      { name: 'first event, added by the bare proxy, p99', value: added('bare', 'p99'), unit: 'ms' },
      { name: 'first event, added by the gateway, p50', value: added('gateway', 'p50'), unit: 'ms' },
      { name: 'first event, added by the gateway, p99', value: added('gateway', 'p99'), unit: 'ms' },
      {
        name: 'CPU per event, bare proxy (piped)',
        value: median(cost.bare),
        unit: 'µs',
        note: '12 streams at once, an event every 2 ms',
      },
      { name: 'CPU per event, gateway (metered)', value: median(cost.gateway), unit: 'µs' },
    ]
    return figures
  },
}

type Wait = { readonly p50: number; readonly p99: number }

/** Low enough that no stream waits for another. */
const FIRST_RATE = 60

const firstEvent = async (ground: Ground, target: Target): Promise<Wait> => {
  const load = {
    model: 'bench,tokens=20,interval=5',
    stream: true,
    shape: { open: FIRST_RATE },
    seconds: ground.quick ? 2 : 6,
  }
  return clean(await ground.drive(target, load), target.name).firstMs
}

/** Long streams against short ones, so that what a request costs is not counted as its events. */
const perEvent = async (ground: Ground, target: Target): Promise<number> => {
  const spent = async (tokens: number, seconds: number): Promise<Spent> => {
    const before = cpuSeconds(target.pid)
    const model = `bench,tokens=${tokens},interval=2`
    const loaded = clean(
      await ground.drive(target, { model, stream: true, shape: { closed: 12 }, seconds }),
      target.name,
    )
    return { cpu: cpuSeconds(target.pid) - before, requests: loaded.answered, events: loaded.events }
  }
  const seconds = ground.quick ? 2 : 4
  const short = await spent(10, seconds)
  const long = await spent(400, seconds)
  // Two kinds of cost in two measurements: cpu = requests × a + events × b, solved for b.
  const ofRequests = (short.cpu * long.requests) / short.requests
  return ((long.cpu - ofRequests) / (long.events - (short.events * long.requests) / short.requests)) * 1e6
}

type Spent = { readonly cpu: number; readonly requests: number; readonly events: number }
