import type { Settings } from '../io/config/settings.ts'
import type { Credentials } from '../io/keys/credentials.ts'

export type Up = {
  readonly version: string
  readonly seconds: number
  readonly settings: Settings
  readonly credentials: Credentials
  /** What was made by this start, and so is told by it and by none after it. */
  readonly made: readonly ('adminToken' | 'agentKey')[]
  readonly gateway: string | null
  /** The version of the policy that was applied; null where the file holds. */
  readonly policy: string | null
  readonly warehouse: string | null
  /** How this program is called here. */
  readonly cli: string
}

/** What a start says once all is up: where to knock, with what, and two lines to try. Plain text, whoever reads it. */
export function banner(up: Up): string {
  const { settings, credentials, made, gateway, warehouse } = up
  const file = `${settings.dataDir}/credentials.json`
  const sql = settings.clickhouse?.url ?? warehouse
  const rows: (readonly [string, string | null, string])[] = [
    ['Gateway', gateway, 'for the SDKs of OpenAI, Anthropic and Google, as base URL'],
    [
      'SQL',
      sql,
      settings.clickhouse === null
        ? 'ClickHouse over HTTP, database sluice, user analyst'
        : `ClickHouse, database ${settings.clickhouse.database}`,
    ],
    ['Agent key', made.includes('agentKey') && gateway !== null ? credentials.agentKey.reveal() : null, ''],
    ['Admin token', made.includes('adminToken') && gateway !== null ? credentials.adminToken.reveal() : null, ''],
    ['Log', settings.kafka === null ? `${settings.dataDir}/log` : `Kafka at ${settings.kafka.brokers.join(', ')}`, ''],
    ['Credentials', file, made.length > 0 ? 'keys are shown this once and kept here' : 'keys are kept here'],
    ['Policy', up.policy ?? settings.configFile, up.policy === null ? '' : appliedOver(settings.configFile)],
  ]
  const shown = rows.flatMap(([name, value, says]) =>
    value === null ? [] : [`  ${name.padEnd(12)}${value}${says === '' ? '' : `   ${says}`}`],
  )
  const tries = [
    ...(gateway === null
      ? []
      : [
          curl(
            gateway,
            made.includes('agentKey') ? credentials.agentKey.reveal() : `$(node -p 'require("${file}").agentKey')`,
          ),
        ]),
    ...(sql === null
      ? []
      : [`  ${up.cli} sql "SELECT agent, model, input_tokens, output_tokens, cost_nano_usd, outcome FROM calls"`]),
  ]
  return [
    `Sluice ${up.version} is up after ${up.seconds.toFixed(1)} s.`,
    '',
    ...shown,
    ...(tries.length === 0 ? [] : ['', 'Try it:', '', ...tries]),
    '',
    'Ctrl-C stops it.',
    '',
  ].join('\n')
}

/** Whoever edits the file must not wonder why nothing changes. */
const appliedOver = (file: string | null): string =>
  file === null ? 'as it was applied' : `as it was applied, whatever ${file} says; sluice apply changes it`

const curl = (gateway: string, key: string): string =>
  `  curl -s ${gateway}/v1/chat/completions -H "authorization: Bearer ${key}" -H "content-type: application/json" -d '{"model":"simulator","messages":[{"role":"user","content":"Hello"}]}'\n`
