import type { Command } from './command.ts'

type Entry = {
  readonly name: string
  readonly usage: string
  /** One line, for `sluice help`; absent: not for people. */
  readonly says?: string
  readonly load: () => Promise<{ readonly command: Command }>
}

/** Every command is a file and a line here. Each is loaded when it is run, so none pays for the others. */
export const commands: readonly Entry[] = [
  {
    name: 'start',
    usage: 'start [gateway|enforcer|sink|warehouse …]',
    says: 'run all roles of this machine, or those that are named',
    load: () => import('./start.ts'),
  },
  {
    name: 'keys',
    usage: 'keys create --agent A | list | revoke <id>',
    says: "make, list and revoke agents' keys",
    load: () => import('./keys.ts'),
  },
  {
    name: 'apply',
    usage: 'apply -f sluice.yaml [--dry-run] [--json]',
    says: 'make what the file says the policy of all gateways, at once',
    load: () => import('./apply.ts'),
  },
  {
    name: 'runs',
    usage: 'runs [--agent A] [--state running] [--task T] [--errors] [--since 1d] [--limit 20] [--watch] [--json]',
    says: 'what agents are doing and have done, the latest first',
    load: () => import('./runs.ts'),
  },
  {
    name: 'run',
    usage: 'run show|pause|resume|kill|finish <id> [--reason R] [--limit-usd N] [--json]',
    says: 'one run step by step, and everything that it spawned; stop it, or let it go on',
    load: () => import('./run-verbs.ts'),
  },
  {
    name: 'budgets',
    usage: 'budgets [--scope agent:A] [--runs] [--json]',
    says: 'what each cap allows, and what of it is spent and held',
    load: () => import('./budgets.ts'),
  },
  {
    name: 'verify',
    usage: 'verify [--log-only] [--json]',
    says: 'prove the books: log, ledger, decisions and ClickHouse say the same',
    load: () => import('./verify.ts'),
  },
  {
    name: 'sql',
    usage: 'sql "<query>" [--json] [--user analyst|sluice] [--param name=value]',
    says: 'ask ClickHouse; `-` reads the query from standard input',
    load: () => import('./sql.ts'),
  },
  {
    name: 'tail',
    usage: 'tail [--topic events] [--from earliest|latest|5m] [--no-follow] [--json]',
    says: 'print what is written to the log as it comes',
    load: () => import('./tail.ts'),
  },
  {
    name: 'kafka',
    usage: 'kafka [--dir .kafka] [--port 9092]',
    says: 'run a real Apache Kafka for development',
    load: () => import('./kafka.ts'),
  },
  { name: 'version', usage: 'version [--json]', says: 'print the version', load: () => import('./version.ts') },
  { name: 'help', usage: 'help [command]', says: 'print this', load: () => import('./help.ts') },
  { name: 'role', usage: 'role <roles> --slot N', load: () => import('./role.ts') },
]
