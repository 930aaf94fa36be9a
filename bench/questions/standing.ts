import fs from 'node:fs'

/** A question as it stands in `docs/sql.md`. */
export type Question = { readonly title: string; readonly sql: string; readonly params: readonly string[] }

/** Each heading of the third level with the statement under it. */
export function readQuestions(): readonly Question[] {
  const text = fs.readFileSync(new URL('../../docs/sql.md', import.meta.url), 'utf8')
  return text.split(/^### /m).flatMap(part => {
    const sql = /^```sql\n([\s\S]*?)^```/m.exec(part)?.[1]
    if (sql === undefined) return []
    const params = [...sql.matchAll(/\{(\w+):[^}]+\}/g)].map(match => match[1]!)
    return [{ title: part.slice(0, part.indexOf('\n')), sql: sql.trim(), params: [...new Set(params)] }]
  })
}
