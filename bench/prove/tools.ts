import { sql } from '../../test/support/books.ts'
import { startStack } from '../../test/support/stack.ts'
import { until } from '../../test/support/until.ts'
import { type Agent, agentOf, configOf, post } from './agents.ts'
import { type Promised, shown } from './promise.ts'

/** Ten runs of agents that use tools, without a header, and one question. */
export const tools: Promised = {
  name: 'tools',
  says: 'all tool calls of an agent in the last hour, by tool, in one query',
  show: async trial => {
    const agents = [agentOf('researcher'), agentOf('writer')] as const
    // The built-in simulator answers, so there is no provider to ask.
    const stack = await startStack({ config: configOf('http://127.0.0.1:9', agents) })
    trial.after(stack.close)
    const url = stack.told('Gateway')
    const made: string[] = []
    for (let run = 0; run < 10; run++) {
      const agent = agents[run % 2] ?? agents[0]
      const used = await runOf(url, agent, run, trial.chance.between(2, 6))
      if (agent === agents[0]) made.push(...used)
    }
    const truth = Object.fromEntries(Map.groupBy(made, tool => tool))
    const wanted = JSON.stringify(
      Object.entries(truth)
        .map(([tool, calls]) => [tool, calls?.length])
        .sort(),
    )
    const told = async () => {
      const rows = await sql<{ tool: string; calls: number }>(stack, query)
      return JSON.stringify(rows.map(({ tool, calls }) => [tool, Number(calls)]).sort())
    }
    const since = performance.now()
    await until('the rows', async () => (await told()) === wanted, 10_000, 50).catch(() => {})
    const freshMs = performance.now() - since
    const asked = performance.now()
    const answer = await told()
    const askedMs = performance.now() - asked
    trial.note('tool calls', { wanted, answer, freshMs })
    return [
      shown(
        `ten runs of two agents, ${made.length} tool calls of the one`,
        `${made.length} by ${Object.keys(truth).length} tools, in ${askedMs.toFixed(0)} ms`,
        answer === wanted,
      ),
    ]
  },
}

/** As docs/sql.md has it. */
const query = `SELECT tool, count() AS calls FROM calls
  WHERE kind = 'tool' AND agent = 'researcher' AND ts > now() - INTERVAL 1 HOUR GROUP BY tool ORDER BY calls DESC`

const known = ['search', 'read_page', 'summarise', 'weather'] as const

type Message = { readonly role: string; readonly content: string | null; readonly [more: string]: unknown }

/** One agent's run to its end: gives the tools that it used. */
async function runOf(url: string, agent: Agent, number: number, turns: number): Promise<readonly string[]> {
  const wished = Array.from({ length: turns }, (_, i) => known[(number + i) % known.length] ?? known[0])
  const markers = wished.map((tool, i) => `[[${i === 0 ? '' : 'then '}tool=${tool} args={"q":"${number}.${i}"}]]`)
  const messages: Message[] = [{ role: 'user', content: `Task ${number} of ${agent.name}. ${markers.join(' ')}` }]
  const used: string[] = []
  const offered = known.map(name => ({ type: 'function', function: { name, parameters: { type: 'object' } } }))
  for (let step = 0; step <= turns; step++) {
    const body = JSON.stringify({ model: 'simulator', messages, tools: offered })
    const answer = await post(url, agent.key, '/v1/chat/completions', body)
    if (answer.status !== 200) throw new Error(`the run ${number} was answered ${answer.status} ${answer.code}`)
    const { message } = (JSON.parse(answer.text) as Answer).choices[0] ?? {}
    if (message === undefined || message.tool_calls === undefined) return used
    messages.push(message)
    for (const { id, function: called } of message.tool_calls) {
      used.push(called.name)
      messages.push({ role: 'tool', tool_call_id: id, content: `{"found": "${number}.${step}"}` })
    }
  }
  return used
}

type Answer = {
  readonly choices: readonly {
    readonly message: Message & {
      readonly tool_calls?: readonly { readonly id: string; readonly function: { readonly name: string } }[]
    }
  }[]
}
