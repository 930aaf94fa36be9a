import { refusal } from './exception.ts'
import type { Token } from './lexer.ts'
import { isMark, isWord } from './statement.ts'

const subjects = new Set(
  'TABLES DATABASES SCHEMAS COLUMNS FIELDS INDEX INDEXES INDICES KEYS FUNCTIONS ENGINES CREATE'.split(' '),
)
const modifiers = new Set(['FULL', 'EXTENDED'])

/**
 * SHOW is several statements under one word, and the engine's tree prints most of them as the same leaf. Taken is
 * `SHOW <list> [FROM name [FROM database]] [[NOT] [I]LIKE 'x'] [LIMIT n]` and `SHOW CREATE TABLE|VIEW|DATABASE name`.
 * Not SHOW PROCESSLIST, GRANTS, USERS and their kin, and no WHERE: its expression would not be seen by anyone.
 */
export function judgeShow(database: string, tokens: readonly Token[]): void {
  const rest = tokens.slice(1)
  while (rest[0] !== undefined && modifiers.has(rest[0].value.toUpperCase())) rest.shift()
  const subject = rest.shift()?.value.toUpperCase() ?? ''
  if (!subjects.has(subject)) throw refused(`SHOW ${subject}`)
  const readable = [database, 'system', 'information_schema', 'INFORMATION_SCHEMA']
  let sources = 0
  for (const [index, token] of rest.entries()) {
    if (isWord(token, 'WHERE')) throw refused('SHOW … WHERE')
    if (token.kind === 'mark' && !'.=,'.includes(token.value)) throw refused(`SHOW … ${token.value}`)
    const isSource = isWord(rest[index - 1], 'FROM') || isWord(rest[index - 1], 'IN')
    if (isSource) sources += 1
    const isDatabase =
      isMark(rest[index + 1], '.') || (isSource && sources === (subject === 'TABLES' ? 1 : 2)) || sources > 2
    if (isDatabase && !readable.includes(token.value)) throw refused(`SHOW … FROM ${token.value}`)
  }
}

const refused = (what: string) =>
  refusal('READONLY', `Cannot execute query in readonly mode. An analyst may not ${what}`)
