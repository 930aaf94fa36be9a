import { plain } from './table.ts'

/** A record of the log: its envelope, and whatever its body says. */
export type Entry = {
  readonly id: string
  readonly source: string
  readonly type: string
  /** Unix milliseconds. */
  readonly time: number
  readonly [field: string]: unknown
}

/** One line for eyes: when, what, whose, and the few facts that tell one call from another. */
export function lineOf(entry: Entry): string {
  const text = (name: string): string => (typeof entry[name] === 'string' ? entry[name] : '')
  const number = (name: string): number | null => (typeof entry[name] === 'number' ? entry[name] : null)
  const step = number('step')
  const call = [text('provider'), text('model') || text('model_requested')].filter(part => part !== '').join('/')
  const [input, output] = [number('input_tokens'), number('output_tokens')]
  const cost = number('cost_nano_usd')
  const latency = number('latency_ms')
  const facts = [
    text('run_id') || text('scope') || text('key_id') || text('object'),
    step === null ? '' : `#${step}`,
    call,
    [text('server'), text('tool')].filter(part => part !== '').join('.'),
    input === null && output === null ? '' : `${input ?? '?'}→${output ?? '?'} tokens`,
    cost === null ? '' : `$${dollars(cost)}`,
    text('outcome'),
    text('reason') || text('rule'),
    text('mode') === 'shadow' ? 'shadow' : '',
    ...detailsOf(entry['data']),
    latency === null ? '' : `${Math.round(latency)} ms`,
  ]
  const head = [
    new Date(entry.time).toISOString().slice(11, 23),
    entry.type.padEnd(18),
    (text('agent') || '-').padEnd(12),
  ]
  return `${plain([...head, ...facts.filter(fact => fact !== '')].join('  '))}\n`
}

/** What an alert or a decision says beside its columns: how far, of how much, by whom. */
function detailsOf(data: unknown): readonly string[] {
  if (typeof data !== 'object' || data === null) return []
  const said = data as Readonly<Record<string, unknown>> // an object can be asked for any key
  const number = (name: string): number | null => (typeof said[name] === 'number' ? said[name] : null)
  const [threshold, spent, limit] = [number('threshold'), number('spent_nano_usd'), number('limit_nano_usd')]
  const [asked, cost] = [number('asked_nano_usd'), number('cost_nano_usd')]
  const times = number('repeats') ?? number('rounds') ?? number('count')
  return [
    threshold === null ? '' : `at ${Math.round(threshold * 100)} %`,
    spent === null || limit === null ? '' : `$${dollars(spent)} of $${dollars(limit)}`,
    asked === null || limit === null ? '' : `asked for $${dollars(asked)}`,
    typeof said['call'] === 'string' ? `${said['call']}${times === null ? '' : ` ×${times}`}` : '',
    cost === null ? '' : `cost $${dollars(cost)}`,
    typeof said['actor'] === 'string' ? `by ${said['actor']}` : '',
  ]
}

/** Nano-dollars as dollars, without zeros that say nothing. */
const dollars = (nano: number): string => (nano / 1e9).toFixed(9).replace(/0{1,7}$/, '')
