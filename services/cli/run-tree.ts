import { dollars, duration, short } from './show.ts'

/** A run and what it spawned, as a person likes to read it: pure, from rows to lines. */

export type RunOfTree = {
  readonly run_id: string
  readonly parent_run_id: string
  readonly run_source: string
  readonly agent: string
  readonly task: string
  readonly state: string
  readonly reason: string
  readonly steps: number
  readonly tool_calls: number
  readonly errors: number
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cost_nano_usd: number
  readonly tree_cost_nano_usd: number
  readonly lasted_ms: number
}

export type CallOfTree = {
  readonly run_id: string
  readonly kind: 'llm' | 'tool' | 'agent'
  readonly step: number
  readonly request_id: string
  readonly model: string
  readonly model_requested: string
  readonly tool: string
  readonly args: string
  readonly args_hash: string
  readonly result: string
  readonly result_empty: boolean
  readonly outcome: string
  readonly reason: string
  readonly finish_reason: string
  readonly input_tokens: number | null
  readonly output_tokens: number | null
  readonly cost_nano_usd: number | null
  readonly latency_ms: number
  readonly attempts: number
}

/** `calls` in the order of time. */
export function runTree(root: string, runs: readonly RunOfTree[], calls: readonly CallOfTree[]): string {
  const byParent = Map.groupBy(runs, run => run.parent_run_id)
  const byRun = Map.groupBy(calls, call => call.run_id)
  const lines: string[] = []
  const print = (run: RunOfTree, indent: string) => {
    lines.push(`${indent}${headOf(run)}`, `${indent}${sumsOf(run)}`)
    for (const line of stepsOf(byRun.get(run.run_id) ?? [])) lines.push(`${indent}${line}`)
    for (const child of byParent.get(run.run_id) ?? []) {
      lines.push(`${indent}│`)
      print(child, `${indent}│  `)
    }
  }
  const top = runs.find(run => run.run_id === root)
  if (top === undefined) return ''
  print(top, '')
  return `${lines.map(line => line.trimEnd()).join('\n')}\n`
}

const headOf = (run: RunOfTree): string =>
  [
    `run ${run.run_id}`,
    run.agent,
    ...(run.task === '' ? [] : [short(run.task, 40)]),
    run.reason === '' ? run.state : `${run.state} (${run.reason})`,
    ...(run.run_source === 'inferred' ? ['parent inferred'] : []),
  ].join(' · ')

const sumsOf = (run: RunOfTree): string =>
  [
    counted(run.steps, 'step'),
    counted(run.tool_calls, 'tool call'),
    ...(run.errors === 0 ? [] : [counted(run.errors, 'error')]),
    `${run.input_tokens} → ${run.output_tokens} tokens`,
    dollars(run.cost_nano_usd),
    ...(run.tree_cost_nano_usd === run.cost_nano_usd ? [] : [`${dollars(run.tree_cost_nano_usd)} with its tree`]),
    duration(run.lasted_ms),
  ].join(' · ')

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** Each step with the tools it asked for below it; tools that were told without a step stand by themselves. */
function stepsOf(calls: readonly CallOfTree[]): readonly string[] {
  const seen = new Map<string, number>()
  const tools = Map.groupBy(
    calls.filter(call => call.kind !== 'llm'),
    call => call.request_id,
  )
  const steps = calls.filter(call => call.kind === 'llm')
  const known = new Set(steps.map(step => step.request_id))
  const toolLine = (call: CallOfTree): string => {
    const key = `${call.tool} ${call.args_hash}`
    const times = (seen.get(key) ?? 0) + 1
    seen.set(key, times)
    const said =
      call.outcome === 'unanswered' ? 'never answered' : call.result_empty ? '(empty)' : short(call.result, 60)
    const again = times > 1 ? ` ↻ ${times}` : ''
    return `│    └ ${call.tool}(${short(call.args, 60)}) → ${said}  ${duration(call.latency_ms)}${again}${markOf(call)}`
  }
  return [
    ...steps.flatMap(step => [stepLine(step), ...(tools.get(step.request_id) ?? []).map(toolLine)]),
    ...calls.filter(call => call.kind !== 'llm' && !known.has(call.request_id)).map(toolLine),
  ]
}

const stepLine = (step: CallOfTree): string =>
  [
    `● ${String(step.step === 0 ? '–' : step.step).padEnd(3)}`,
    step.model === '' ? step.model_requested : step.model,
    step.input_tokens === null ? '' : `${step.input_tokens} → ${step.output_tokens ?? '?'}`,
    step.cost_nano_usd === null ? 'unpriced' : dollars(step.cost_nano_usd),
    duration(step.latency_ms),
    step.finish_reason,
    step.attempts > 1 ? `${step.attempts} attempts` : '',
  ]
    .filter(Boolean)
    .join('  ') + markOf(step)

const markOf = (call: CallOfTree): string =>
  call.outcome === 'success' || call.outcome === 'unanswered'
    ? ''
    : `  ✗ ${call.outcome}${call.reason === '' ? '' : ` ${call.reason}`}`
