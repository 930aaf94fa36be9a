import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ProtocolName } from '../../schemas/work.ts'
import { frameOf } from '../../services/core/wire/frames.ts'
import { matchPinned, matchRoute, protocols } from '../../services/gateway/protocols/protocols.ts'
import { answerOf, golden } from './golden.ts'

/** Every key that some reader looks at, so that odd values stand where they hurt. */
const keys = [
  ...new Set(
    golden.flatMap(exchange =>
      [...`${answerOf(exchange)}${exchange.request}`.matchAll(/"([a-zA-Z_-]+)":/g)].map(match => match[1] ?? ''),
    ),
  ),
]
const value = fc.letrec(tie => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      null,
      true,
      0,
      -1,
      1.5,
      Number.MAX_VALUE,
      2 ** 60,
      '',
      'x',
      '[DONE]',
      'response.completed',
      'message_delta',
      'message_start',
      'message-end',
      'tool-call-delta',
      'content-delta',
    ),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...keys, '__proto__', 'constructor'), tie('any'), { maxKeys: 6 }),
  ),
})).any

const hits = protocols.flatMap(protocol =>
  protocol.routes.map(route => {
    const path = route.path.replace(/\{[a-z+]+\}/, 'x')
    const hit = matchRoute(route.method, path, protocol.name === 'anthropic' ? '2023-06-01' : null)
    assert.equal(hit?.matched.route, route, route.path)
    return hit
  }),
)
const hit = fc.constantFrom(...hits.filter(hit => hit !== null))

test('no body makes a protocol throw, and what it says of it is sound', () => {
  fc.assert(
    fc.property(hit, value, fc.string(), ({ protocol, matched }, body, model) => {
      const text = JSON.stringify(body) ?? 'null'
      const bytes = Buffer.from(text)
      const ask = protocol.ask(matched, JSON.parse(text), bytes, text)
      assert.ok(ask.maxTokens === null || (Number.isSafeInteger(ask.maxTokens) && ask.maxTokens >= 0))
      assert.ok(ask.choices >= 1)
      protocol.prepare(matched, ask, bytes)
      protocol.withModel(matched, bytes, model)
    }),
    { seed: 61, numRuns: 2000 },
  )
})

test('no answer makes a meter throw, and every byte of it passes', () => {
  const event = fc.tuple(
    fc.constantFrom(
      '',
      'event: error\n',
      'event: message_delta\n',
      'event: response.completed\n',
      'event: content_block_delta\n',
    ),
    value,
  )
  const answer = fc.oneof(
    value.map(json => JSON.stringify(json) ?? ''),
    fc
      .array(event, { maxLength: 5 })
      .map(events => events.map(([name, json]) => `${name}data: ${JSON.stringify(json)}\n\n`).join('')),
    fc.array(value, { maxLength: 3 }).map(list => JSON.stringify(list, null, 1)),
    fc.string({ unit: 'binary' }),
  )
  const frame = fc.tuple(
    fc.constantFrom('messageStart', 'contentBlockStart', 'contentBlockDelta', 'messageStop', 'metadata', 'chunk', ''),
    value.map(json => JSON.stringify(json) ?? ''),
    fc.constantFrom(':event-type', ':exception-type', ':error-code', ':error-message', 'x'),
    fc.boolean(),
  )
  const frames = fc
    .array(frame, { maxLength: 5 })
    .map(list =>
      Buffer.concat(
        list.map(([name, json, header, wrapped]) =>
          frameOf({ [header]: name }, wrapped ? JSON.stringify({ bytes: Buffer.from(json).toString('base64') }) : json),
        ),
      ),
    )
  const options = fc.record({ hideUsage: fc.constant(false), wholeEvents: fc.boolean() })
  fc.assert(
    fc.property(
      hit,
      fc.oneof(
        { arbitrary: answer.map(text => Buffer.from(text)), weight: 3 },
        { arbitrary: frames, weight: 1 },
        { arbitrary: fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.from([0, 0, 0, ...bytes])), weight: 1 },
      ),
      fc.constantFrom(200, 400, 500),
      options,
      fc.boolean(),
      fc.nat(),
      ({ protocol, matched }, bytes, status, option, whole, at) => {
        const header = (name: string) => (at % 3 === 0 ? `${name}${at}` : at % 3 === 1 ? String(at) : null)
        const meter = protocol.meter(
          matched,
          protocol.ask(matched, null),
          { status, contentType: 'text/event-stream', header },
          option,
        )
        const place = at % (bytes.length + 1)
        const out = [...meter.push(bytes.subarray(0, place)), ...meter.push(bytes.subarray(place))]
        const { rest, reading } = meter.end(whole)
        if (whole || option.wholeEvents === false) assert.deepEqual(Buffer.concat([...out, ...rest]), bytes)
        for (const count of Object.values(reading.usage ?? {}))
          assert.ok(Number.isSafeInteger(count) && Number(count) >= 0)
        assert.ok(Number.isSafeInteger(reading.outputBytes) && Number.isSafeInteger(reading.estimatedOutputTokens))
        assert.equal(typeof (reading.error?.type ?? ''), 'string')
      },
    ),
    { seed: 62, numRuns: 3000 },
  )
})

test('no path makes the doors throw', () => {
  const segment = fc.constantFrom(
    'v1',
    'v1beta',
    'models',
    'm:generateContent',
    '%',
    '%3A',
    '..',
    '',
    'chat',
    'completions',
    'responses',
    'cancel',
    'model',
    'converse',
    'v2',
    '😀',
  )
  const path = fc.array(segment, { maxLength: 8 }).map(parts => `/${parts.join('/')}`)
  const name = fc.constantFrom<ProtocolName>('openai', 'anthropic', 'gemini', 'bedrock', 'cohere', 'mcp')
  fc.assert(
    fc.property(fc.constantFrom('GET', 'POST', 'PUT'), fc.oneof(path, fc.string()), name, (method, at, protocol) => {
      matchRoute(method, at)
      const hit = matchPinned(protocol, method, at)
      if (hit !== null) assert.ok(!hit.matched.upstreamPath.split('/').includes('..'))
    }),
    { seed: 63, numRuns: 2000 },
  )
})
