import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { protocolOf } from '../protocols/recorded.ts'
import { startTestGateway } from '../support/gateway.ts'
import { bodyOf, loadRecorded, type Recorded, startReplay, TRAFFIC, trafficAbsent } from '../support/replay.ts'

/** The provider's entry in the configuration; one vendor may speak two protocols. */
const nameOf = (recorded: Recorded): string => `${recorded.provider}-${protocolOf(recorded)}`

const credentialOf = (recorded: Recorded, key: string): Record<string, string> => {
  switch (protocolOf(recorded)) {
    case 'anthropic':
      return { 'x-api-key': key, 'anthropic-version': '2023-06-01' }
    case 'gemini':
      return { 'x-goog-api-key': key }
    default:
      return { authorization: `Bearer ${key}` }
  }
}

/**
 * Usage that was asked for on the client's behalf is taken out again; who tells it unasked cannot be told apart from who
 * was asked.
 */
const isSame = (recorded: Recorded, body: Buffer): boolean => {
  const whole = bodyOf(recorded)
  if (body.equals(whole)) return true
  if (recorded.api !== 'openai.chat' || !recorded.streaming) return false
  if (/include_usage/.test(JSON.stringify(recorded.request_body))) return false
  const events = whole.toString().split(/(?<=\n\n)/)
  return body.toString() === events.filter(event => !/"choices":\s*\[\].*"usage":\s*\{/.test(event)).join('')
}

type Answer = { readonly status: number; readonly body: Buffer; readonly headers: http.IncomingHttpHeaders }

test('everything recorded over HTTP goes through as it was, or is a 404 that says so', {
  skip: trafficAbsent,
  timeout: 120_000,
}, async t => {
  // Some recordings have lost their request's body, so nobody can send it again.
  const all = loadRecorded(TRAFFIC).filter(one => one.method !== 'POST' || one.request_body !== null)
  const replay = await startReplay(all)
  t.after(replay.close)
  const providers = Object.fromEntries(
    all
      .filter(one => one.api !== 'mcp')
      .map(one => {
        const protocol = protocolOf(one)
        const baseUrl = `${replay.origin}/${nameOf(one)}${protocol === 'openai' ? '/v1' : ''}`
        return [nameOf(one), { protocol, baseUrl, apiKey: 'key-of-the-provider', region: 'us-east-1' }]
      }),
  )
  const gateway = await startTestGateway(t, { config: { providers } })
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())

  const ask = (recorded: Recorded): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const body = recorded.request_body === null ? '' : JSON.stringify(recorded.request_body)
      const headers = { ...credentialOf(recorded, gateway.key), 'content-type': 'application/json' }
      const path = `/${nameOf(recorded)}${recorded.path}`
      const req = http.request(`${gateway.url}${path}`, { method: recorded.method, headers, agent }, res => {
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('error', reject)
        res.on('end', () => resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks), headers: res.headers }))
      })
      req.on('error', reject)
      req.end(body)
    })

  const through = new Map<string, number>()
  const nowhere = new Map<string, number>()
  const wrong: string[] = []
  for (const recorded of all) {
    const before = replay.served.length
    const answer = await ask(recorded)
    const arrived = replay.served.length - before
    const same = answer.status === recorded.status && isSame(recorded, answer.body)
    const refused = answer.status === 404 && arrived === 0 && /There is no route/.test(answer.body.toString())
    if (arrived === 1 && same) through.set(recorded.api, (through.get(recorded.api) ?? 0) + 1)
    else if (refused && /^(other|mcp)$/.test(recorded.api)) {
      const route = `${recorded.method} ${recorded.path.split('?')[0]?.split('/').slice(0, 3).join('/')}`
      nowhere.set(route, (nowhere.get(route) ?? 0) + 1)
    } else wrong.push(`${recorded.id} ${recorded.method} ${recorded.path}: ${answer.status}, arrived ${arrived} times`)
  }
  const sum = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((a, b) => a + b, 0)
  for (const [api, n] of through) t.diagnostic(`${api}: ${n}`)
  for (const [route, n] of nowhere) t.diagnostic(`a 404: ${route}: ${n}`)
  t.diagnostic(
    `${sum(through)} of ${all.length} went through, ${sum(nowhere)} are no doors, ${wrong.length} went wrong`,
  )
  assert.deepEqual(wrong, [])
  assert.equal(replay.strangers.length, 0)
})
