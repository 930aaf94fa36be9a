import { setTimeout as sleep } from 'node:timers/promises'
import type { TestKafka } from '../../test/support/broker.ts'
import { startStack } from '../../test/support/stack.ts'
import { until } from '../../test/support/until.ts'
import { percentile } from '../figures.ts'
import { type Agent, agentOf, ask, configOf, openRun, post, type Try } from './agents.ts'
import { brokersOf, overKafka } from './kafka.ts'
import { ms, type Promised, type Shown, shown, type Trial } from './promise.ts'
import { type Provider, startProvider } from './provider.ts'

/** From the kill's answer to the last byte, by where the gateways hear of it. */
const goalMs = { embedded: 20, kafka: 50 }
/** A call that was sent so long after the kill's answer must not reach the provider. */
const graceMs = 50
/** Between the chunks of a stream: what a bystander's chunk is late by is this machine's noise. */
const everyMs = 40

/** Fifty streams in flight, some of a run that is killed and of its child. */
export const kill: Promised = {
  name: 'kill',
  says: 'a kill is fast and final',
  show: async trial => [
    ...(await killing(trial, goalMs.embedded)),
    ...(await overKafka(trial, kafka => killing(trial, goalMs.kafka, kafka))),
  ],
}

async function killing(trial: Trial, goal: number, kafka?: TestKafka): Promise<readonly Shown[]> {
  const provider = await startProvider()
  trial.after(provider.close)
  const agent = agentOf('worker')
  const stack = await startStack({
    config: configOf(provider.origin, [agent]),
    env: { SLUICE_WORKERS: '2', ...brokersOf(kafka) },
  })
  trial.after(stack.close)
  const url = stack.told('Gateway')
  const { adminToken } = stack.credentials()
  // Gateways that have served something; nobody was killed before.
  await Promise.all(Array.from({ length: 40 }, (_, i) => ask(url, agent, { say: 20, stream: i % 2 === 0 })))
  const rounds: Round[] = []
  for (let i = 0; i < (trial.quick ? 1 : 5); i++) rounds.push(await round({ url, agent, adminToken, provider }))
  const sorted = (of: (round: Round) => readonly number[]) => rounds.flatMap(of).toSorted((a, b) => a - b)
  const all = <Item>(of: (round: Round) => readonly Item[]): readonly Item[] => rounds.flatMap(of)
  const [latency, fromSent, noise] = [sorted(of => of.latencyMs), sorted(of => of.fromSentMs), sorted(of => of.noise)]
  trial.note(
    'kill',
    rounds.map(({ latencyMs, fromSentMs, untidy }) => ({ latencyMs, fromSentMs, untidy })),
  )
  const p99 = percentile(latency, 0.99)
  const first = Math.max(...(rounds[0]?.fromSentMs ?? []))
  const untidy = all(of => of.untidy)
  const late = all(of => of.late)
  const leaked = late.filter(one => provider.books.some(entry => entry.call === one.call))
  const wrong = late.filter(one => one.status !== 403 || one.code !== 'run_killed')
  return [
    shown(
      `${latency.length} streams in flight at 2 gateways${kafka === undefined ? '' : ', Kafka'}: from the kill’s answer to the last byte, p50 / p99`,
      `${ms(percentile(latency, 0.5))} / ${ms(p99)} (goal ${ms(goal)}; bystanders’ chunks ${ms(percentile(noise, 0.99))} late)`,
      // Where others keep this machine busy, every byte is late by as much as the bystanders' are.
      p99 <= goal + percentile(noise, 0.99),
    ),
    shown(
      '  … from the sending of the kill, p50 / p99; the first one of these gateways’ lives',
      `${ms(percentile(fromSent, 0.5))} / ${ms(percentile(fromSent, 0.99))}; ${ms(first)}`,
      true,
    ),
    shown(
      '  … each ends with run_killed, its upstream closed, others undisturbed',
      `${untidy.length} did not`,
      untidy.length === 0,
    ),
    shown(
      `  … ${late.length} calls tried afterwards; reached the provider`,
      String(leaked.length),
      late.length > 0 && leaked.length === 0 && wrong.length === 0,
    ),
  ]
}

type Round = {
  readonly latencyMs: readonly number[]
  readonly fromSentMs: readonly number[]
  readonly noise: readonly number[]
  readonly untidy: readonly string[]
  readonly late: readonly Try[]
}

async function round(ground: {
  readonly url: string
  readonly agent: Agent
  readonly adminToken: string
  readonly provider: Provider
}): Promise<Round> {
  const { url, agent, adminToken, provider } = ground
  const parent = await openRun(url, agent)
  const doomed = [parent, await openRun(url, agent, { parentRunId: parent })]
  const spared = await Promise.all([1, 2, 3].map(() => openRun(url, agent)))
  const arrivals = new Map<string, number[]>()
  const streams = [...doomed, ...spared].flatMap(run =>
    Array.from({ length: 10 }, async (_, i) => {
      const at: number[] = []
      arrivals.set(`${run} ${i}`, at)
      const headers = { 'x-sluice-run-id': run }
      const say = 5 * 150 // six seconds: enough for all to flow, to be killed, and to be looked at
      const onPiece = (): void => void at.push(performance.now())
      return { run, at, one: await ask(url, agent, { stream: true, maxTokens: say, say, everyMs, headers, onPiece }) }
    }),
  )
  await until('all streams to flow', () => [...arrivals.values()].every(at => at.length >= 3), 20_000)
  const knocks: Promise<Try>[] = []
  const knocking = new AbortController()
  const knocker = (async () => {
    for (let i = 0; !knocking.signal.aborted; i++) {
      knocks.push(ask(url, agent, { say: 1, maxTokens: 5, headers: { 'x-sluice-run-id': doomed[i % 2] ?? parent } }))
      await sleep(20)
    }
  })()
  const killed = await post(url, adminToken, `/v1/runs/${parent}/kill`, '{}')
  if (killed.status >= 300) throw new Error(`the kill was answered ${killed.status} ${killed.code}`)
  await sleep(600)
  knocking.abort()
  await knocker
  const late = (await Promise.all(knocks)).filter(({ sentAt }) => sentAt > killed.endedAt + graceMs)
  const ended = await Promise.all(streams)
  const [dead, alive] = [
    ended.filter(({ run }) => doomed.includes(run)),
    ended.filter(({ run }) => spared.includes(run)),
  ]
  const entry = ({ call }: Try) => provider.books.find(entry => entry.call === call)
  const untidy = [
    ...dead.filter(({ one }) => one.code !== 'run_killed' || entry(one)?.state !== 'left'),
    ...alive.filter(({ one }) => one.how !== 'whole' || one.code !== '' || entry(one)?.state !== 'done'),
  ]
  return {
    latencyMs: dead.map(({ one }) => Math.max(0, one.lastAt - killed.endedAt)),
    fromSentMs: dead.map(({ one }) => one.lastAt - killed.sentAt),
    noise: alive.flatMap(({ at }) => at.slice(1).map((time, i) => Math.max(0, time - (at[i] ?? time) - everyMs))),
    untidy: untidy.map(({ one }) => `${one.call}: ${one.status} ${one.code} ${one.how} ${entry(one)?.state}`),
    late,
  }
}
