import { encode, type Fact, type Message } from '../../schemas/events.ts'
import type { Work } from '../../schemas/work.ts'
import { readRow } from '../../services/sink/rows.ts'
import { openTable } from '../../services/sink/table.ts'
import type { Opened } from './opened.ts'

export type Told = { readonly type: string; readonly [field: string]: unknown }

/** A producer in one life: numbers what it is told and gives records as they stand on a log. */
export function producer(name = 'gateway-test-0', epoch = 1) {
  let sequence = 0
  return (fact: Told, time: number = Date.now(), key: string | null = null): Message =>
    encode({ id: `${name}.${epoch}.${sequence++}`, source: `/sluice/${name}`, time, ...fact }, key)
}

/** Puts records into the table `events` as the sink does, without a log. */
export async function store(
  opened: Opened,
  messages: readonly Message[],
  topic = 'sluice.events',
  from = 0,
): Promise<void> {
  const at = { topic, partition: 0 }
  const lines = messages.flatMap((message, i) => {
    const { line } = readRow(at, { ...message, offset: from + i })
    if ('unreadable' in line) throw new Error(line.unreadable)
    return line
  })
  await openTable(opened.client).insert(lines, `${topic}:${from}:${messages.length}`)
}

export const work = (run: string, more: Partial<Work> = {}): Work => ({
  org: 'acme',
  team: 'research',
  agent: 'researcher',
  user: 'ann',
  task: 'report',
  run_id: run,
  root_run_id: run,
  depth: 0,
  run_source: 'header',
  ...more,
})

/** A run under others, root first. */
export const under = (run: string, ...ancestors: readonly string[]): Work =>
  work(run, {
    root_run_id: ancestors[0]!,
    parent_run_id: ancestors.at(-1)!,
    ancestors: [...ancestors],
    depth: ancestors.length,
  })

export const llm = (who: Work, more: Partial<Extract<Fact, { type: 'llm.completed' }>> = {}) =>
  ({
    ...who,
    type: 'llm.completed',
    operation: 'chat',
    protocol: 'openai',
    provider: 'openai',
    model_requested: 'gpt-4o-mini',
    model: 'gpt-4o-mini-2024-07-18',
    input_tokens: 100,
    output_tokens: 20,
    usage_source: 'provider',
    cost_nano_usd: 1_000,
    outcome: 'success',
    http_status: 200,
    latency_ms: 250,
    attempts: 1,
    step: 1,
    ...more,
  }) satisfies Fact

export const tool = (who: Work, more: Partial<Extract<Fact, { type: 'tool.returned' }>> = {}) =>
  ({
    ...who,
    type: 'tool.returned',
    operation: 'execute_tool',
    tool: 'crm.lookup',
    tool_call_id: 'call_1',
    observed: 'conversation',
    args: '{"id":7}',
    args_hash: 'a7',
    outcome: 'success',
    latency_ms: 40,
    ...more,
  }) satisfies Fact
