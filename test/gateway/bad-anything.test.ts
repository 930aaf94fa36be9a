import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allDoors, doors } from '../support/doors.ts'
import { send, startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { answerHonestly } from '../support/upstream-lies.ts'

test('no JSON and no header makes the gateway fail', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const logged: string[] = []
  // One made-up name for a run is asked the same too often to be let through.
  const breakers = {
    loop: 'off',
    cycle: 'off',
    errorStreak: 'off',
    deniedStreak: 'off',
    spawnStorm: 'off',
    retryStorm: 'off',
  }
  const gateway = await startTestGateway(t, { logged, config: { ...allDoors(up.origin), breakers } })
  answerHonestly(up)
  const fields = [
    'model',
    'stream',
    'stream_options',
    'messages',
    'input',
    'contents',
    'system',
    'tools',
    'n',
    'max_tokens',
    'max_completion_tokens',
    'max_output_tokens',
    'previous_response_id',
    'generationConfig',
    'metadata',
    'background',
  ]
  const inner = [
    'role',
    'content',
    'type',
    'text',
    'tool_calls',
    'id',
    'function',
    'name',
    'arguments',
    'parts',
    'functionCall',
    'functionResponse',
    'tool_use_id',
    'call_id',
    'output',
    '__proto__',
    'maxOutputTokens',
  ]
  const value = fc.letrec<{ any: unknown }>(tie => ({
    any: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom(
        null,
        true,
        false,
        0,
        -1,
        1.5,
        1e308,
        '',
        'made-up',
        'user',
        'assistant',
        'tool',
        'tool_use',
        'tool_result',
        'function_call',
        'text',
      ),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...inner), tie('any'), { maxKeys: 5 }),
    ),
  })).any
  const body = fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 6 })
  const header = fc.constantFrom(
    'x-sluice-run-id',
    'x-sluice-parent-run-id',
    'x-sluice-labels',
    'x-sluice-task',
    'x-sluice-user',
    'traceparent',
    'baggage',
    'x-portkey-trace-id',
    'anthropic-version',
  )
  const headerText = fc.oneof(
    fc.string({ maxLength: 40, unit: fc.constantFrom(...'{}[]":,;=%-aA0 _') }),
    fc.constantFrom(
      '{"__proto__":{"a":1}}',
      '{"a":{}}',
      '[]',
      '__proto__',
      'constructor',
      `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      'sluice.run.id=%zz',
      'sluice.run.id=x',
      'x'.repeat(3_000),
    ),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...doors),
      fc.constantFrom('made-up', 'simulator'),
      body,
      fc.dictionary(header, headerText, { maxKeys: 4 }),
      async (door, model, members, headers) => {
        const answer = await send(gateway.url + door.path(false).replace('made-up', model), {
          body: JSON.stringify({ model, ...members }),
          headers: { ...headers, 'x-api-key': gateway.key },
        })
        assert.ok(answer.status === 200 || answer.status === 400, `${answer.status} ${answer.text}`)
        assert.ok(answer.status === 200 || door.ownShape(JSON.parse(answer.text)), answer.text)
      },
    ),
    { numRuns: 600 },
  )
  assert.deepEqual(logged, [])
  await gateway.facts() // every one can be read
})
