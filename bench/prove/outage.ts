import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from '../../test/support/books.ts'
import { openKafka, type TestKafka, whyNoKafka } from '../../test/support/broker.ts'
import type { Chance } from '../../test/support/chance.ts'
import { type Stack, startStack } from '../../test/support/stack.ts'
import { until } from '../../test/support/until.ts'
import { type Agent, agentOf, ask, configOf, drain, steady, type Try } from './agents.ts'
import { entriesOf, isPhantom, usual } from './flood.ts'
import { notShown, type Promised, shown, usd } from './promise.ts'
import { costOf, type Provider, startProvider } from './provider.ts'

/** Shorter than the default of a minute, so that its end falls into an outage that one can wait for. */
export const termMs = 10_000
export const outageCapNanoUsd = 50_000_000

/** The broker goes away under load, for longer than a lease's term. */
export const outage: Promised = {
  name: 'outage',
  says: 'the broker away is no outage, and no way around a cap',
  show: async trial => {
    const done = 'Kafka stopped under load'
    if (!trial.kafka) return [notShown(done, 'npm run prove -- --kafka starts one')]
    const why = await whyNoKafka({ own: true })
    if (why !== null) return [notShown(done, why)]
    const kafka = await openKafka({ own: true })
    trial.after(kafka.close)
    const ground = await outageGround(kafka)
    trial.after(ground.close)
    const awayMs = trial.quick ? 20_000 : 30_000
    const found = await breakBroker({ ...ground, kafka, awayMs, chance: trial.chance })
    trial.note('outage', found)
    const share = (100 * found.billed) / outageCapNanoUsd
    return [
      shown(
        `${done} for ${awayMs / 1000} s, 3 gateways: without a cap`,
        `${found.free.answered} answered, ${found.free.refused} not`,
        found.free.refused === 0,
      ),
      shown(
        '  … under a cap: goes on with what is leased, then log_unavailable',
        `${found.away.answered} answered for ${(found.lastMs / 1000).toFixed(1)} s, ${found.away.refused} ${found.away.codes}`,
        found.away.answered > 0 && found.away.codes === 'log_unavailable' && found.lastMs <= termMs,
      ),
      shown('  … spent', `${usd(found.billed)} of ${usd(outageCapNanoUsd)} (${share.toFixed(1)} %)`, share <= 100),
      shown('  … recovers alone', `${(found.backMs / 1000).toFixed(1)} s after the broker`, found.backMs < 15_000),
      shown(
        '  … and then can be used to its end; refused though it would have fitted; drift',
        `${share.toFixed(1)} %; ${found.phantoms}; ${found.driftNanoUsd} nano-$`,
        share >= 95 && found.phantoms === 0 && found.driftNanoUsd === 0,
      ),
    ]
  },
}

export type OutageGround = {
  readonly provider: Provider
  readonly stack: Stack
  readonly capped: Agent
  readonly free: Agent
  readonly close: () => Promise<void>
}

export async function outageGround(kafka: TestKafka): Promise<OutageGround> {
  const provider = await startProvider()
  const capped = agentOf('capped', { budgets: [{ limitUsd: outageCapNanoUsd / 1e9 }] })
  const free = agentOf('free')
  const stack = await startStack({
    config: configOf(provider.origin, [capped, free], { leases: { termMs } }),
    env: { KAFKA_BROKERS: kafka.brokers.join(','), SLUICE_WORKERS: '3' },
  })
  const close = async () => {
    await stack.close()
    await provider.close()
  }
  return { provider, stack, capped, free, close }
}

/** What became of calls that were sent while the broker was away. */
const fateOf = (tries: readonly Try[]) => {
  const refused = tries.filter(one => one.status !== 200 || one.how !== 'whole')
  return {
    answered: tries.length - refused.length,
    refused: refused.length,
    codes: [...new Set(refused.map(one => one.code))].sort().join(' '),
  }
}

/** Stops the broker under load, starts it again, and spends the cap to its end. */
export async function breakBroker(
  ground: OutageGround & { readonly kafka: TestKafka; readonly awayMs: number; readonly chance: Chance },
) {
  const { provider, stack, capped, free, kafka, awayMs, chance } = ground
  const url = stack.told('Gateway')
  const wish = () => usual(chance)
  // Every gateway has something in its pocket before the broker goes.
  const [ours, theirs] = [steady(url, capped, wish, 10), steady(url, free, wish, 5)]
  await sleep(4_000)
  // At once: an orderly end takes seconds, in which what is leased would be spent already.
  await kafka.kill9()
  const away = performance.now()
  await sleep(awayMs)
  await Promise.all([ours.stop(), theirs.stop()])
  const inside = ({ sentAt }: Try): boolean => sentAt >= away
  const [mine, others] = [ours.tries.filter(inside), theirs.tries.filter(inside)]
  await kafka.start()
  const back = performance.now()
  const again: Try[] = []
  await until(
    'the capped agent to be served again',
    async () => {
      const one = await ask(url, capped, wish())
      again.push(one)
      return one.status === 200
    },
    40_000,
    200,
  )
  const backMs = performance.now() - back
  const rest = await drain(url, capped, wish, performance.now() + 60_000, {
    wide: 6,
    again: one => one.status === 429 || one.status === 503,
  })
  // The last cents: one by one.
  const last = await drain(url, capped, () => ({ say: 100 }), performance.now() + 20_000, { wide: 1 })
  const all = [...ours.tries, ...again, ...rest, ...last]
  const entries = entriesOf(provider, all)
  const billed = entries.reduce((sum, entry) => sum + costOf(entry), 0)
  const read = async () => {
    const [row] = await sql<{ cost: number }>(
      stack,
      "SELECT sum(cost_nano_usd) AS cost FROM calls WHERE agent = 'capped'",
    )
    return Number(row?.cost ?? 0) - billed
  }
  await until('the tables', async () => (await read()) === 0, 20_000, 250).catch(() => {})
  const admitted = entriesOf(provider, mine).map(entry => entry.begunAt - away)
  return {
    away: fateOf(mine),
    free: fateOf(others),
    /** When the last call under the cap was let through, from when the broker was gone. */
    lastMs: Math.max(0, ...admitted),
    backMs,
    billed,
    phantoms: all.filter(one => one.status === 402 && isPhantom(one, entries, outageCapNanoUsd)).length,
    finals: all.filter(one => one.status === 402).length,
    driftNanoUsd: await read(),
  }
}
