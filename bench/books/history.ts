import path from 'node:path'
import { pino } from 'pino'
import { continued, encodeFact, openingOf } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import type { Work } from '../../schemas/work.ts'
import { cappedAbove } from '../../services/core/money/caps.ts'
import type { Toll } from '../../services/core/money/purse.ts'
import { type Money, openMoney } from '../../services/gateway/money/money.ts'
import type { CappedRun } from '../../services/gateway/money/tolls.ts'
import { openRecorder, type Recorder } from '../../services/gateway/recorder.ts'
import { followControl } from '../../services/gateway/stops/control.ts'
import { type Config, loadConfig } from '../../services/io/config/config.ts'
import { readSettings } from '../../services/io/config/settings.ts'
import { nextLife } from '../../services/io/epoch.ts'
import { Fault } from '../../services/io/fault.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'

/**
 * A gateway's history without its doors: calls of runs under caps, each held with the gateway's own till before it is
 * admitted and settled when it has ended, written as the gateway writes them, faster than anybody can ask. The enforcer
 * that lends the money and the sink that stores the rows are real ones.
 */
export type History = {
  readonly calls: number
  readonly callsOfRun: number
}

/** Agents at work at once. */
const wide = 256

export async function makeHistory(
  env: Readonly<Record<string, string>>,
  { calls, callsOfRun }: History,
  told: (calls: number) => void,
): Promise<void> {
  const settings = readSettings(env)
  const config = loadConfig(settings, env, { credentials: 'elsewhere' })
  const log = openFileLog({ dir: path.join(settings.dataDir, 'log'), durability: 'os' })
  const life = nextLife(settings.dataDir, 'gateway', 0)
  const recorder = openRecorder({
    writer: await log.writer(topics.events.name, { partition: 0 }),
    life,
    encode: encodeFact,
  })
  const money = await openMoney({
    log,
    partition: 0,
    life,
    nextLife: () => nextLife(settings.dataDir, 'gateway', 0),
    owners: 1,
    termMs: config.leases.termMs,
    former: [],
    eventsEnd: 0,
    logger: pino({ level: 'silent' }),
  })
  const control = followControl({
    log,
    listeners: [record => record.about === 'money' && money.hear(record.decision)],
  })
  await control.known
  const agents = [...config.agents.keys()]
  const short = life.producer.replace(/^gateway-/, '')
  let runs = 0
  let made = 0
  const work = async (): Promise<void> => {
    while (runs * callsOfRun < calls) {
      const number = runs++
      const agent = agents[number % agents.length] ?? ''
      await liveRun({ config, money, recorder, agent, runId: `run-${short}-${life.epoch}-${number}` }, callsOfRun)
      made += callsOfRun
      told(made)
    }
  }
  await Promise.all(Array.from({ length: wide }, work))
  await money.close()
  await recorder.close()
  await control.close()
  await log.close()
}

type Gateway = {
  readonly config: Config
  readonly money: Money
  readonly recorder: Recorder<Parameters<typeof encodeFact>[1]>
  readonly agent: string
  readonly runId: string
}

async function liveRun(gateway: Gateway, calls: number): Promise<void> {
  const { config, recorder, agent, runId } = gateway
  const run: Work = {
    ...(config.agents.get(agent)?.team === undefined ? {} : { team: config.agents.get(agent)?.team }),
    agent,
    key_id: `key-${agent}`,
    task: 'look after the gates',
    run_id: runId,
    root_run_id: runId,
    policy_version: config.policyVersion,
  }
  recorder.tell({ type: 'run.started', ...run, run_source: 'new', data: { started_at: Date.now() } }, runId)
  const capped = { id: `run:${runId}`, budgets: config.runs.defaults.budgets, version: 0, reckoned: null }
  // Its name is this gateway's own: with the first call comes its birthright, and most calls need no word of their own.
  await call(gateway, run, 1, { ...capped, isNew: true })
  for (let step = 2; step <= calls; step++) await call(gateway, run, step, capped)
  recorder.tell({ type: 'run.finished', ...run, reason: 'idle', actor: 'gateway' }, runId)
}

async function call(
  { config, money, recorder, agent, runId }: Gateway,
  run: Work,
  step: number,
  capped: CappedRun,
): Promise<void> {
  const requestId = `req-${runId}-${step}`
  const path = { runs: [capped], agent, above: aboveOf(config, agent) }
  const tolls = money.tolls.of(path, Date.now()).map(node => ({ ...node, holdNanoUsd }))
  const taken = await held(money, requestId, tolls)
  const opening = openingOf({
    ...run,
    run_source: step === 1 ? ('new' as const) : ('conversation' as const),
    step,
    request_id: requestId,
    operation: 'chat',
    protocol: 'openai' as const,
    model_requested: 'bench',
    stream: false,
  })
  const admitted = await recorder.try(
    continued('admission.granted', opening, {
      bound_input_tokens: 2_300,
      bound_output_tokens: 1_024,
      bound_nano_usd: holdNanoUsd,
      data: { nodes: tolls.map(({ node }) => node), epoch: taken.epoch },
    }),
    runId,
  )
  if (admitted instanceof Fault) throw admitted
  await taken.written
  const tokens = 20 + ((step * 37 + runId.length) % 400)
  const costNanoUsd = 1_000 * (230 + 2 * tokens)
  const ending = continued('llm.completed', opening, {
    provider: 'bench',
    model: 'bench',
    response_id: `chatcmpl-${requestId}`,
    input_tokens: 230,
    output_tokens: tokens,
    usage_source: 'provider',
    cost_nano_usd: costNanoUsd,
    outcome: 'success',
    http_status: 200,
    upstream_status: 200,
    finish_reason: 'stop',
    attempts: 1,
    latency_ms: 812.5,
    gateway_us: 310,
    data: {
      attempts: [{ n: 1, provider: 'bench', status: 200, latency_ms: 812.2, ttfb_ms: 790.1 }],
      usage: { prompt_tokens: 230, completion_tokens: tokens, total_tokens: 230 + tokens },
      thread: { length: 2 * step, first: runId, last: requestId, chain: requestId, answer: requestId, ids: [] },
    },
  })
  await new Promise<void>(resolve => {
    recorder.tell(ending, runId, offset => {
      money.till.settle(requestId, costNanoUsd, offset)
      resolve()
    })
  })
}

/** As a client that is told to come again; the enforcer may be busy with what came before. */
async function held({ till }: Money, requestId: string, tolls: readonly Toll[]) {
  for (const deadline = performance.now() + longestMs; ; ) {
    const taken = await till.admit(requestId, tolls)
    if (taken.verdict === 'admit') return taken
    if (taken.verdict === 'exceeded' || performance.now() > deadline) throw new Error(`${requestId}: ${taken.verdict}`)
  }
}
const longestMs = 60_000

/** More than any of these calls comes to. */
const holdNanoUsd = 4_348_000

/** The same array for each agent, by which the till knows that nothing has changed. */
const aboves = new Map<string, ReturnType<typeof cappedAbove>>()
function aboveOf(config: Config, agent: string): ReturnType<typeof cappedAbove> {
  const above = aboves.get(agent) ?? cappedAbove(config, agent)
  aboves.set(agent, above)
  return above
}
