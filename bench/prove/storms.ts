import type { TestKafka } from '../../test/support/broker.ts'
import { startStack } from '../../test/support/stack.ts'
import { type Agent, agentOf, ask, configOf, openRun, post, type Try } from './agents.ts'
import { brokersOf, overKafka } from './kafka.ts'
import { ms, type Promised, type Shown, shown, type Trial } from './promise.ts'
import { metadataOf, startProvider } from './provider.ts'

/** What a runaway does, over real HTTP, under the rules as they come. */
type Storm = {
  readonly name: string
  readonly agent: Agent
  /** So many come through where the first one behind the line is refused. */
  readonly line: number
  /** How many take part, each of whom waits for its answer. */
  readonly wide: number
  /** Its rule looks at a single run, so a gateway that sees all of that needs nobody else to stop it. */
  readonly ofOneRun: boolean
  /** Gives what the how-manieth does over and over. */
  readonly begin: (url: string, agent: Agent) => Promise<(which: number) => Promise<Try>>
}

const storms: readonly Storm[] = [
  {
    name: 'an agent hears the same from the same tool, step after step',
    agent: agentOf('looper'),
    line: 4,
    wide: 1,
    ofOneRun: true,
    begin: loop,
  },
  {
    name: 'a run spawns runs',
    agent: agentOf('spawner'),
    line: 20,
    wide: 4,
    ofOneRun: true,
    async begin(url, agent) {
      const body = JSON.stringify({ parentRunId: await openRun(url, agent) })
      return () => post(url, agent.key, '/v1/runs', body, { agent: agent.name })
    },
  },
  {
    name: 'a run without money asks on',
    agent: agentOf('denied', { budgets: [{ limitUsd: 0.000001 }] }),
    line: 10,
    wide: 1,
    ofOneRun: true,
    begin: async (url, agent) => () => ask(url, agent, { headers: { 'x-sluice-run-id': 'denied' } }),
  },
  {
    name: 'a provider answers 500s, ten runs of an agent ask again at once',
    agent: agentOf('retrier'),
    line: 10 + 30,
    wide: 10,
    ofOneRun: false,
    begin: async (url, agent) => which => {
      const run = `retrier-${which}`
      const messages = [{ role: 'user', content: `Are the gates of ${run} open?` }]
      const body = JSON.stringify({ model: 'scripted', messages, metadata: metadataOf(run, { status: 500 }) })
      const about = { call: run, agent: agent.name, headers: { 'x-sluice-run-id': run } }
      return post(url, agent.key, '/v1/chat/completions', body, about)
    },
  },
]

/** Storms with one gateway, with two, and with two over Kafka. */
export const stormy: Promised = {
  name: 'storms',
  says: 'a runaway is stopped at the step where it begins',
  show: async trial => [
    ...(await blowing(trial, 1)),
    ...(await blowing(trial, 2)),
    ...(await overKafka(trial, kafka => blowing(trial, 2, kafka))),
  ],
}

/** For how long behind the evidence calls may come through: what the log and the enforcer take, where it takes them. */
const goalMs = { embedded: 100, kafka: 250 }

async function blowing(trial: Trial, gateways: number, kafka?: TestKafka): Promise<readonly Shown[]> {
  const provider = await startProvider()
  trial.after(provider.close)
  const agents = storms.map(({ agent }) => agent)
  const warm = agentOf('warm')
  const stack = await startStack({
    config: configOf(provider.origin, [...agents, warm]),
    env: { SLUICE_WORKERS: String(gateways), ...brokersOf(kafka) },
  })
  trial.after(stack.close)
  const url = stack.told('Gateway')
  await Promise.all(Array.from({ length: 40 }, () => ask(url, warm)))
  const on = `${gateways} gateway${gateways > 1 ? 's' : ''}${kafka === undefined ? '' : ', Kafka'}`
  const lines: Shown[] = []
  for (const storm of storms) {
    const found = await blow(url, storm)
    trial.note(`${storm.name}, ${on}`, found)
    const { rule, openMs, through, leaked, leakedForMs } = found
    const isSeen = storm.ofOneRun && gateways === 1
    const goal = kafka === undefined ? goalMs.embedded : goalMs.kafka
    lines.push(
      shown(
        `${storm.name}, ${on}`,
        rule === ''
          ? `not stopped after ${through} calls`
          : `${rule} after ${ms(openMs)}; ${through} came through (line ${storm.line}), ${leaked} of them sent behind the evidence, within ${ms(leakedForMs)}`,
        rule !== '' && (isSeen ? leaked === 0 : leakedForMs <= goal),
      ),
    )
  }
  return lines
}

/** A storm that nobody ends is none to wait for. */
const longestMs = 10_000
/** And one that was ended goes on for so long, to see that nothing comes through any more. */
const afterMs = 300

const stops: ReadonlySet<string> = new Set(['run_paused', 'run_killed', 'loop_detected', 'backoff'])

async function blow(url: string, { agent, wide, begin }: Storm) {
  const tries: Try[] = []
  const turn = await begin(url, agent)
  const begun = performance.now()
  let until = begun + longestMs
  const takePart = async (which: number): Promise<void> => {
    while (performance.now() < until) {
      const one = await turn(which)
      tries.push(one)
      if (stops.has(one.code)) until = Math.min(until, one.endedAt + afterMs)
    }
  }
  await Promise.all(Array.from({ length: wide }, (_, which) => takePart(which)))
  const refused = tries.filter(({ code }) => stops.has(code)).toSorted((a, b) => a.endedAt - b.endedAt)
  const through = tries.filter(({ code }) => !stops.has(code))
  const [first] = refused
  if (first === undefined) return { rule: '', openMs: 0, through: through.length, leaked: 0, leakedForMs: 0 }
  // A refusal names when what it is for happened, by the wall's clock.
  const evidenceAt = Date.parse(String(first.error['at'])) - (Date.now() - performance.now())
  // That clock has whole milliseconds.
  const behind = through.map(({ sentAt }) => sentAt - evidenceAt).filter(ms => ms > 1)
  return {
    rule: String(first.error['rule']),
    openMs: first.endedAt - begun,
    through: through.length,
    leaked: behind.length,
    leakedForMs: Math.max(0, ...behind),
  }
}

/** The simulator asks for the tool, and the tool says what it said before. */
async function loop(url: string, agent: Agent): Promise<() => Promise<Try>> {
  const wish = '[[tool=build_status args={"branch":"main"} repeat=500]]'
  const messages: unknown[] = [{ role: 'user', content: `Is the build green? ${wish}` }]
  const tools = [{ type: 'function', function: { name: 'build_status', parameters: { type: 'object' } } }]
  return async () => {
    const body = JSON.stringify({ model: 'simulator', messages, tools })
    const one = await post(url, agent.key, '/v1/chat/completions', body, { agent: agent.name })
    if (one.status !== 200) return one
    const { message } = (JSON.parse(one.text) as Answer).choices[0] ?? {}
    messages.push(message)
    for (const { id } of message?.tool_calls ?? []) messages.push({ role: 'tool', tool_call_id: id, content: 'queued' })
    return one
  }
}

type Answer = {
  readonly choices: readonly { readonly message: { readonly tool_calls?: readonly { readonly id: string }[] } }[]
}
