import OpenAI from 'openai'
import { sql } from '../../test/support/books.ts'
import type { TestKafka } from '../../test/support/broker.ts'
import { type Stack, startStack } from '../../test/support/stack.ts'
import { until } from '../../test/support/until.ts'
import { type Agent, agentOf, configOf, drain } from './agents.ts'
import { flood, judge } from './flood.ts'
import { brokersOf, overKafka } from './kafka.ts'
import { type Promised, type Shown, shown, type Trial, usd } from './promise.ts'
import { startProvider } from './provider.ts'

const capNanoUsd = 10_000_000
/** Less is left over by a call that does not fit, at most. */
const usable = 0.95

/** $0.01 for one of five agents, and two hundred calls at once. */
export const cap: Promised = {
  name: 'cap',
  says: 'a cap of $0.01 stops the right agent, with an error it can catch',
  show: async trial => [
    ...(await withGateways(1, trial)),
    ...(await withGateways(3, trial)),
    ...(await overKafka(trial, kafka => withGateways(3, trial, kafka))),
  ],
}

async function withGateways(gateways: number, trial: Trial, kafka?: TestKafka): Promise<readonly Shown[]> {
  const provider = await startProvider()
  trial.after(provider.close)
  const capped = agentOf('capped', { budgets: [{ limitUsd: capNanoUsd / 1e9 }] })
  const others = [1, 2, 3, 4].map(i => agentOf(`other-${i}`))
  const stack = await startStack({
    config: configOf(provider.origin, [capped, ...others]),
    env: { SLUICE_WORKERS: String(gateways), ...brokersOf(kafka) },
  })
  trial.after(stack.close)
  const url = stack.told('Gateway')
  const calls = trial.quick ? 60 : 200
  const begun = performance.now()
  const flooded = await flood({ url, capped, others, calls, chance: trial.chance })
  const seconds = (performance.now() - begun) / 1000
  // What the flood has left is spent by calls that come one by one.
  const rest = await drain(url, capped, () => ({ say: 100 }), performance.now() + 15_000, { wide: 1 })
  const found = judge(provider, { ...flooded, mine: [...flooded.mine, rest] }, capNanoUsd)
  const caught = await sdkCatches(url, capped)
  const books = await bookedAt(stack, found.billed)
  trial.note(`${gateways} gateways`, { ...found, ...books, caught, seconds })
  const on = `${calls} calls at once, ${gateways} gateway${gateways > 1 ? 's' : ''}${kafka === undefined ? '' : ', Kafka'}`
  const share = (100 * found.billed) / capNanoUsd
  return [
    shown(on, `${usd(found.billed)} billed of ${usd(capNanoUsd)}`, found.billed <= capNanoUsd),
    shown('  … and it can be used', `${share.toFixed(2)} % in ${seconds.toFixed(1)} s`, share >= 100 * usable),
    shown(
      '  … only that agent is refused, and each call ends',
      `${found.answered} answered, ${found.refused} refused, ${found.strangersRefused} of others, ${found.unended.length} without end`,
      found.refused > 0 && found.strangersRefused === 0 && found.unended.length === 0 && found.wrong.length === 0,
    ),
    shown('  … refused though it would have fitted', String(found.phantoms.length), found.phantoms.length === 0),
    shown(
      '  … OpenAI’s SDK catches it, and does not try again',
      `${caught.status} ${caught.code}, ${caught.requests} request`,
      caught.status === 402 && caught.code === 'budget_exceeded' && caught.requests === 1,
    ),
    shown(
      '  … our books less the provider’s; bounds violated',
      `${books.driftNanoUsd} nano-$; ${books.violations}`,
      books.driftNanoUsd === 0 && books.violations === 0,
    ),
  ]
}

/** As it comes out of the box: it would try twice more whatever is not said to be final. */
async function sdkCatches(url: string, agent: Agent) {
  let requests = 0
  const client = new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: agent.key,
    fetch: (input, init) => {
      requests++
      return fetch(input, init)
    },
  })
  try {
    await client.chat.completions.create({
      model: 'scripted',
      max_tokens: 3_000,
      messages: [{ role: 'user', content: 'Is there anything left?' }],
    })
    return { status: 200, code: '', requests }
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error
    return { status: error.status ?? 0, code: error.code ?? '', requests }
  }
}

/** What the tables say, once they say it; else what they say after a while. */
async function bookedAt(stack: Stack, billed: number) {
  const read = async () => {
    const [row] = await sql<{ cost: number; violations: number }>(
      stack,
      `SELECT (SELECT sum(cost_nano_usd) FROM calls WHERE agent = 'capped') AS cost,
       (SELECT count() FROM events WHERE type = 'admission.bound_violated') AS violations`,
    )
    return { driftNanoUsd: Number(row?.cost ?? 0) - billed, violations: Number(row?.violations ?? 0) }
  }
  await until('the tables', async () => (await read()).driftNanoUsd === 0, 10_000, 250).catch(() => {})
  return read()
}
