import type { Ask } from './ask.ts'
import { refusal } from './exception.ts'
import { lex, type Token } from './lexer.ts'
import { type AnalystLimits, judgeAnalystSetting, type Setup } from './settings.ts'
import type { Statement } from './statement.ts'

/** The engine's own limit for a statement's text; larger ones are data, and data comes with INSERT. */
const openingBytes = 65_536

/** A minute and some seconds is what Grafana's driver sends. */
const driverDeadlineSeconds = 120

/** Whether the answer has to be in another revision of the Native format than the engine's. */
export const isRevised = (ask: Ask, format: string | undefined): boolean =>
  ask.protocolVersion > 0 && /^native$/i.test(format ?? '')

/** The beginning of what was asked; of a body that may be data, no more than can matter. */
export function openingTokens(ask: Ask): readonly Token[] {
  const text = ask.query.trim() === '' ? ask.body.subarray(0, openingBytes).toString('latin1') : ask.query
  return lex(text.slice(0, openingBytes)).tokens
}

/** Throws BAD_ARGUMENTS where it is not UTF-8: the engine takes statements as text, and replacing bytes would change them. */
export function statementText(ask: Ask): string {
  try {
    const body = new TextDecoder('utf-8', { fatal: true }).decode(ask.body)
    const text = ask.query === '' ? body : body === '' ? ask.query : `${ask.query}\n${body}`
    if (text.includes('\0')) throw refusal('SYNTAX_ERROR', 'Syntax error: a NUL character in a statement')
    return text
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw refusal('BAD_ARGUMENTS', 'A statement has to be valid UTF-8')
  }
}

/** What the connection is set to before the statement. Throws where an analyst asks for more than is theirs. */
export function makeSetup(own: string, limits: AnalystLimits, ask: Ask, statement: Statement | undefined): Setup {
  const params = [...ask.params]
  // JSON as text is the one shape of it that can be told by its length.
  const revised = isRevised(ask, statement?.format ?? ask.defaultFormat)
  const asked = revised ? [...ask.settings, ['output_format_native_write_json_as_string', '1'] as const] : ask.settings
  if (ask.user === 'sluice') return { database: ask.database, settings: asked, params, readonly: false }
  // `default` is what JDBC tools call the database they were not told; to an analyst there is only one.
  if (ask.database !== own && ask.database !== 'default') {
    throw refusal(
      'ACCESS_DENIED',
      `analyst: Not enough privileges. To execute this query, it's necessary to have access to the database ${ask.database}`,
    )
  }
  const inText = (statement?.settings ?? []).flat().map(({ name, value }) => [name, value] as const)
  const settings = [...asked.filter(([name, value]) => !isCourtesy(name, value, limits)), ...inText]
  for (const [name, value] of settings) judgeAnalystSetting(name, value, limits)
  // Set beforehand, those in the text change nothing any more, and that is all the readonly mode allows them.
  return { database: own, settings, params, readonly: true }
}

/**
 * What drivers send with every request, without a question behind it: that they only read, and as a limit of time
 * their own deadline. Both are stricter here already.
 */
function isCourtesy(name: string, value: string, limits: AnalystLimits): boolean {
  if (name === 'readonly') return value === '1' || value === '2'
  return (
    name === 'max_execution_time' &&
    Number(value) > limits.maxExecutionSeconds &&
    Number(value) <= driverDeadlineSeconds
  )
}
