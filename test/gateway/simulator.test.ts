import assert from 'node:assert/strict'
import { test } from 'node:test'
import Ajv from 'ajv'
import { example } from '../../services/gateway/simulator/example.ts'
import { simulator } from '../../services/gateway/simulator/simulator.ts'
import type { Fault } from '../../services/io/fault.ts'

type Heard = { status: number; headers: readonly string[]; chunks: string[]; fault: Fault | null }

/** Asks the simulator itself; `slowly` pauses after each chunk and resumes a turn later. */
const ask = (path: string, body: unknown, options: { timeoutMs?: number; slowly?: boolean } = {}): Promise<Heard> =>
  new Promise(resolve => {
    const heard: Heard = { status: 0, headers: [], chunks: [], fault: null }
    const bytes = body === null ? null : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    const exchange = simulator.send(
      {
        method: body === null ? 'GET' : 'POST',
        origin: 'simulator://',
        path,
        headers: [],
        body: bytes,
        timeoutMs: options.timeoutMs ?? 5_000,
      },
      {
        head: (status, headers) => Object.assign(heard, { status, headers }),
        data: chunk => {
          heard.chunks.push(chunk.toString())
          if (options.slowly) setImmediate(() => exchange.resume())
          return options.slowly !== true
        },
        end: () => resolve(heard),
        fail: fault => resolve(Object.assign(heard, { fault })),
      },
    )
  })

const says = (content: string, more: object = {}) => ({
  model: 'simulator',
  messages: [{ role: 'user', content }],
  ...more,
})
const WEATHER = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 3 }, unit: { enum: ['C', 'F'] } },
  required: ['city', 'days', 'unit'],
  additionalProperties: false,
}

test('the same request is answered by the same bytes, another one by others', async () => {
  for (const stream of [false, true]) {
    const [a, b, c] = await Promise.all([
      ask('/v1/chat/completions', says('hello', { stream })),
      ask('/v1/chat/completions', says('hello', { stream })),
      ask('/v1/chat/completions', says('good bye', { stream })),
    ])
    assert.deepEqual(a, b)
    assert.notDeepEqual(a.chunks, c.chunks)
  }
})

test('what a gateway adds to a request does not change what is said', async () => {
  const plain = await ask('/chat/completions', says('hello', { stream: true }))
  const counted = await ask(
    '/chat/completions',
    says('hello', { stream: true, stream_options: { include_usage: true } }),
  )
  const words = (heard: Heard) =>
    [...heard.chunks.join('').matchAll(/"content":"([^"]*)"/g)].map(match => match[1]).join('')
  assert.equal(words(plain), words(counted))
  assert.doesNotMatch(plain.chunks.join(''), /"usage"/)
  assert.match(counted.chunks.at(-2) ?? '', /"choices":\[\],"usage":\{"prompt_tokens":\d+/)
  assert.match(counted.chunks[0] ?? '', /"usage":null/)
})

test('Gemini without alt=sse streams one JSON array, also where it fails', async () => {
  for (const [marker, last] of [
    ['', /STOP/],
    ['[[error=2]]', /UNAVAILABLE/],
    ['[[error=0]]', /UNAVAILABLE/],
  ] as const) {
    const body = { contents: [{ role: 'user', parts: [{ text: `hello ${marker}` }] }] }
    const heard = await ask('/v1beta/models/simulator:streamGenerateContent', body)
    const pieces = JSON.parse(heard.chunks.join(''))
    assert.ok(Array.isArray(pieces))
    assert.match(JSON.stringify(pieces.at(-1)), last)
  }
})

test('markers script tool calls turn by turn', async () => {
  const tools = ['a', 'b'].map(name => ({ type: 'function', function: { name, parameters: {} } }))
  const messages: object[] = [
    { role: 'user', content: 'go [[tool=a args={"x":[[1]]}]] [[tool=b]] and [[then tool=b repeat=2]]' },
  ]
  const turns: string[] = []
  for (;;) {
    const heard = await ask('/chat/completions', { model: 'simulator', messages, tools })
    const { message } = JSON.parse(heard.chunks.join('')).choices[0]
    messages.push(message)
    if (message.tool_calls === undefined) break
    turns.push(
      message.tool_calls
        .map((call: { function: { name: string; arguments: string } }) => call.function.name + call.function.arguments)
        .join(' '),
    )
    for (const call of message.tool_calls) messages.push({ role: 'tool', tool_call_id: call.id, content: 'ok' })
  }
  assert.deepEqual(turns, ['a{"x":[[1]]} b{}', 'b{}', 'b{}'])
})

test('markers set length, usage, chunks and the words themselves', async () => {
  const heard = await ask('/chat/completions', says('[[tokens=12 input=1000 cached=400 reasoning=64]]'))
  const { usage } = JSON.parse(heard.chunks.join(''))
  assert.deepEqual(
    [
      usage.prompt_tokens,
      usage.completion_tokens,
      usage.prompt_tokens_details.cached_tokens,
      usage.completion_tokens_details.reasoning_tokens,
    ],
    [1000, 76, 400, 64],
  )
  const silent = await ask('/chat/completions', says('[[usage=none say="a, \\"b\\" c"]]'))
  assert.equal(JSON.parse(silent.chunks.join('')).usage, undefined)
  assert.equal(JSON.parse(silent.chunks.join('')).choices[0].message.content, 'a, "b" c')
  for (const stream of [false, true])
    for (const path of ['/chat/completions', '/v1/messages'])
      assert.doesNotMatch(
        (await ask(path, says('[[usage=none]]', { stream, max_tokens: 50 }))).chunks.join(''),
        /"usage"/,
      )
  const coarse = await ask('/chat/completions', says('[[tokens=12 chunk=6]]', { stream: true }))
  assert.equal(coarse.chunks.length, 1 + 2 + 1 + 1)
  const short = await ask('/chat/completions', says('[[tokens=12]]', { max_tokens: 5 }))
  const cut = JSON.parse(short.chunks.join(''))
  assert.deepEqual([cut.choices[0].finish_reason, cut.usage.completion_tokens], ['length', 5])
})

test('markers make it fail: an error answer, a break, a silence', async () => {
  const refused = await ask('/chat/completions', says('[[status=503 retry-after=2]]'))
  assert.equal(refused.status, 503)
  assert.equal(refused.headers[refused.headers.indexOf('retry-after') + 1], '2')
  const cut = await ask('/chat/completions', says('[[cut=3]]', { stream: true }))
  assert.deepEqual([cut.chunks.length, cut.fault?.code], [3, 'upstream_reset'])
  const half = await ask('/chat/completions', says('[[cut=1]]'))
  assert.equal(half.fault?.code, 'upstream_reset')
  assert.throws(() => JSON.parse(half.chunks.join('')))
  const headless = await ask('/chat/completions', says('[[cut=0]]'))
  assert.deepEqual([headless.status, headless.fault?.code], [0, 'upstream_reset'])
  const stalled = await ask('/chat/completions', says('[[stall=2]]', { stream: true }), { timeoutMs: 20 })
  assert.deepEqual([stalled.chunks.length, stalled.fault?.code], [2, 'upstream_timeout'])
  const late = await ask('/chat/completions', says('[[delay=5000]]'), { timeoutMs: 20 })
  assert.equal(late.fault?.code, 'upstream_timeout')
})

test('a paused stream waits for resume and loses nothing', async () => {
  const request = says('[[tokens=100]]', { stream: true })
  const [fast, slow] = await Promise.all([
    ask('/chat/completions', request),
    ask('/chat/completions', request, { slowly: true }),
  ])
  assert.deepEqual(slow.chunks, fast.chunks)
})

test('nothing is heard after abort, and no timer is left', { timeout: 5_000 }, async () => {
  let chunks = 0
  const timers = () => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
  const before = timers()
  await new Promise<void>(resolve => {
    const exchange = simulator.send(
      {
        method: 'POST',
        origin: 'simulator://',
        path: '/chat/completions',
        headers: [],
        body: Buffer.from(JSON.stringify(says('[[interval=60000]]', { stream: true }))),
        timeoutMs: 120_000,
      },
      {
        head: () => {},
        data: () => {
          chunks++
          setImmediate(() => {
            assert.equal(timers(), before + 1)
            exchange.abort()
            resolve()
          })
          return true
        },
        end: () => assert.fail('ended'),
        fail: () => assert.fail('failed'),
      },
    )
  })
  assert.equal(chunks, 1)
  assert.equal(timers(), before)
})

test('what is no request is refused in the protocol’s own shape', async () => {
  const deep = `{"model":"simulator","messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  for (const body of ['{', '[]', '"x"', deep]) assert.equal((await ask('/chat/completions', body)).status, 400)
  for (const body of [
    {},
    { model: 'simulator' },
    { model: 'simulator', messages: [null, 1, { role: 'user', content: 7 }], tools: 'x' },
  ])
    assert.ok([200, 404].includes((await ask('/chat/completions', body)).status))
  assert.equal((await ask('/v1/nothing', {})).status, 404)
  assert.match((await ask('/v1/messages', says('x'))).chunks.join(''), /"type":"error".*max_tokens/)
})

test('example arguments are valid for the schema they are made from', () => {
  const ajv = new Ajv.default({ strict: false })
  const schemas = [
    WEATHER,
    {
      type: 'object',
      properties: { a: { $ref: '#/$defs/a' } },
      required: ['a'],
      $defs: { a: { type: ['null', 'number'], exclusiveMinimum: 3 } },
    },
    {
      allOf: [
        { properties: { a: { const: 1 } }, required: ['a'] },
        { properties: { b: { type: 'array', minItems: 2, items: { type: 'boolean' } } }, required: ['b'] },
      ],
    },
    { anyOf: [{ type: 'string', minLength: 30 }, { type: 'null' }] },
    { type: 'integer', multipleOf: 7, minimum: 8 },
    { type: 'string', maxLength: 2 },
  ]
  for (const schema of schemas) assert.ok(ajv.validate(schema, example(schema)), JSON.stringify(schema))
  assert.deepEqual(example({ type: 'OBJECT', properties: { n: { type: 'INTEGER' } }, required: ['n'] }), { n: 1 })
  const endless = { $ref: '#' }
  assert.equal(example(endless), null)
})
