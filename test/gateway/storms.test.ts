import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { send, startTestGateway } from '../support/gateway.ts'

type Answer = Awaited<ReturnType<typeof send>>

test('of a run that spawns without end the twentieth child is the last, however many ask at once', async t => {
  const gateway = await startTestGateway(t)
  const open = (body: object) =>
    send(`${gateway.url}/v1/runs`, {
      body: JSON.stringify(body),
      headers: { authorization: `Bearer ${gateway.key}` },
    })
  const parentRunId = JSON.parse((await open({})).text).id
  const answers: Answer[] = []
  const spawn = async (): Promise<void> => {
    for (let n = 0; n < 10; n++) answers.push(await open({ parentRunId }))
  }
  await Promise.all([spawn(), spawn(), spawn(), spawn()])
  assert.equal(answers.filter(({ status }) => status === 201).length, 20)
  const refused = answers.filter(({ status }) => status !== 201)
  for (const { status, text } of refused) {
    assert.equal(status, 403, text)
    assert.partialDeepStrictEqual(JSON.parse(text).error, { code: 'run_killed', rule: 'spawnStorm' })
  }
})

test('a run that asks on for what it may not have is told so ten times, then it is dead', async t => {
  const key = 'slk_denied_0123456789abcdef0123456789abcdef'
  const gateway = await startTestGateway(t, {
    key,
    config: { agents: { tester: { keys: [`sha256:${hashOfKey(key)}`], models: { allow: ['simulator'] } } } },
  })
  const answers: Answer[] = []
  for (let n = 0; n < 13; n++)
    answers.push(
      await send(`${gateway.url}/v1/chat/completions`, {
        body: JSON.stringify({ model: 'gpt-9', messages: [{ role: 'user', content: `May I, for the ${n}th time?` }] }),
        headers: { authorization: `Bearer ${key}`, 'x-sluice-run-id': 'asker' },
      }),
    )
  assert.deepEqual(
    answers.map(({ text }) => JSON.parse(text).error.code),
    [...Array(10).fill('model_not_allowed'), ...Array(3).fill('run_killed')],
  )
})
