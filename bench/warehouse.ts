import { request } from 'undici'

/** Asks one question of the warehouse and gives its rows. */
export type Sql = (query: string, params?: Readonly<Record<string, string>>) => Promise<readonly Row[]>
export type Row = Readonly<Record<string, unknown>>

/** Over ClickHouse's HTTP interface, as the user that analysts have. `credentials` is what the first start has kept. */
export const analyst = (origin: string, credentials: unknown): Sql => {
  const password = passwordIn(credentials)
  return async (query, params = {}) => {
    const url = new URL(origin)
    for (const [name, value] of Object.entries(params)) url.searchParams.set(`param_${name}`, value)
    const answer = await request(url, {
      method: 'POST',
      headers: { 'x-clickhouse-user': 'analyst', 'x-clickhouse-key': password },
      body: `${query} FORMAT JSONEachRow`,
    })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${query}: ${text.slice(0, 500)}`)
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Row) // JSONEachRow: an object a line
  }
}

/** Counts come quoted or not, as the server is set. */
export const numberOf = (row: Row | undefined, column: string): number => Number(row?.[column])

const passwordIn = (credentials: unknown): string => {
  if (typeof credentials === 'object' && credentials !== null && 'warehouse' in credentials) {
    const { warehouse } = credentials
    if (typeof warehouse === 'object' && warehouse !== null && 'analyst' in warehouse) return String(warehouse.analyst)
  }
  throw new Error('credentials.json names no password for the analyst')
}
