import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Meter } from '../../services/gateway/protocols/protocol.ts'
import { matchPinned, protocols } from '../../services/gateway/protocols/protocols.ts'
import { answerOf, golden } from './golden.ts'
import { cut, seeded } from './recorded.ts'

for (const exchange of golden)
  test(`${exchange.protocol}: ${exchange.name}`, () => {
    const hit = matchPinned(exchange.protocol, exchange.method, exchange.path)
    assert.ok(hit, 'the path has a route')
    const request = exchange.request === null ? undefined : Buffer.from(exchange.request)
    const ask = hit.protocol.ask(hit.matched, request && JSON.parse(exchange.request ?? ''), request)
    assert.equal(ask.invalid, null)

    const answer = answerOf(exchange)
    const random = seeded(7)
    const { status, content_type: contentType, headers = {} } = exchange
    const head = { status, contentType, header: (name: string) => headers[name] ?? null }
    for (const pieces of [[answer], cut(answer, random, 200), cut(answer, random, 20), cut(answer, random, 1)])
      for (const wholeEvents of [false, true]) {
        const meter: Meter = hit.protocol.meter(hit.matched, ask, head, { hideUsage: false, wholeEvents })
        const out = pieces.flatMap(piece => [...meter.push(piece)])
        const { rest, reading } = meter.end(true)
        assert.deepEqual(Buffer.concat([...out, ...rest]), answer, 'the bytes pass as they were')
        assert.deepEqual(
          {
            model: reading.model,
            response_id: reading.responseId,
            usage: reading.usage,
            finish_reason: reading.finishReason,
            error: reading.error?.type ?? null,
            complete: reading.complete,
            queued: reading.queued,
            wire_cost_usd: reading.wireCostUsd,
          },
          exchange.reading,
        )
      }
  })

test('the golden exchanges knock at every door', () => {
  const knocked = new Set(
    golden.map(({ protocol, method, path }) => matchPinned(protocol, method, path)?.matched.route),
  )
  const missing = protocols.flatMap(({ name, routes }) =>
    routes
      .filter(route => !knocked.has(route) && !spared.has(route.operation) && !route.path.includes('tuned'))
      .map(route => `${name} ${route.path}`),
  )
  assert.deepEqual(missing, [])
})

/** They say nothing that is read. */
const spared = new Set(['list_models', 'get_model'])
