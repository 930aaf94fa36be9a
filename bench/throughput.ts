import { atLeast, type Figure, median } from './figures.ts'
import { clean, type Ground, type Target } from './ground.ts'
import type { Measurement } from './measurement.ts'
import { cpuSeconds } from './processes.ts'

/** Requests a core can carry: per second of the proxy's own CPU, since load and upstream share the machine's cores. */
export const throughput: Measurement = {
  name: 'throughput',
  needs: 'proxy',
  run: async ground => {
    const seconds = ground.quick ? 2 : 6
    // The compiler has done its work after some ten thousand requests.
    for (const target of [ground.bare, ground.gateway, ground.bare, ground.gateway])
      await round(ground, target, seconds)
    const rounds: { readonly bare: Round; readonly gateway: Round; readonly others: number }[] = []
    for (let i = 0; i < (ground.quick ? 4 : 7); i++) {
      const bare = await round(ground, ground.bare, seconds)
      const before = others(ground)
      const gateway = await round(ground, ground.gateway, seconds)
      rounds.push({ bare, gateway, others: (others(ground) - before) / gateway.answered })
    }
    const of = (pick: (round: (typeof rounds)[number]) => number): number => median(rounds.map(pick))
    const ratios = rounds.map(({ bare, gateway }) => gateway.perCpuSecond / bare.perCpuSecond)
    const note = `median of ${rounds.length} rounds of ${seconds} s each, in turn, 32 under way`
    const spread = `rounds: ${ratios.map(ratio => ratio.toFixed(2)).join(' ')}`
    const figures: Figure[] = [
      { name: 'bare proxy', value: of(r => r.bare.perCpuSecond), unit: 'requests/CPU s', note },
      { name: 'gateway', value: of(r => r.gateway.perCpuSecond), unit: 'requests/CPU s' },
      { name: 'gateway against bare proxy, per core', ...atLeast(median(ratios), 0.6, ''), note: spread },
      { name: 'bare proxy, wall clock', value: of(r => r.bare.perSecond), unit: 'requests/s' },
      { name: 'gateway, wall clock', value: of(r => r.gateway.perSecond), unit: 'requests/s' },
      { name: 'CPU of the gateway', value: 1000 / of(r => r.gateway.perCpuSecond), unit: 'CPU s/1,000 requests' },
    ]
    if (ground.stack !== null)
      figures.push({
        name: 'CPU of the other roles, meanwhile',
        value: of(r => r.others) * 1000,
        unit: 'CPU s/1,000 requests',
      })
    return figures
  },
}

type Round = { readonly perCpuSecond: number; readonly perSecond: number; readonly answered: number }

const round = async (ground: Ground, target: Target, seconds: number): Promise<Round> => {
  const before = cpuSeconds(target.pid)
  const { answered, perSecond } = clean(await ground.drive(target, { shape: { closed: 32 }, seconds }), target.name)
  return { perCpuSecond: answered / (cpuSeconds(target.pid) - before), perSecond, answered }
}

const others = ({ stack, gateway }: Ground): number =>
  (stack?.processes() ?? []).filter(({ pid }) => pid !== gateway.pid).reduce((sum, { pid }) => sum + cpuSeconds(pid), 0)
