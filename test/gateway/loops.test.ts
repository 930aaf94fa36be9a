import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send, startTestGateway, type TestGateway } from '../support/gateway.ts'

/** For which tool the simulator is to ask. */
const asks = '[[tool=build_status args={"branch":"main"}]]'

test('the request that brings the fourth equal result of an equal call is refused already, and says why', async t => {
  const gateway = await startTestGateway(t)
  const answers = await spin(gateway, 12, () => 'queued')
  const refused = answers.at(-1)!
  assert.equal(refused.status, 423, refused.text)
  const { error } = JSON.parse(refused.text)
  assert.equal(error.code, 'run_paused')
  assert.equal(error.rule, 'cycle')
  assert.equal(answers.length, 5, 'four rounds were made, the fifth request carries the evidence')
  const facts = await gateway.facts(all => all.filter(event => event.type === 'tool.returned').length === 4)
  const ids = facts.filter(event => event.type === 'tool.returned').map(event => event.id)
  assert.ok(error.evidence.length > 0 && error.evidence.every((id: string) => facts.some(event => event.id === id)))
  assert.equal(error.evidence.at(-1), ids.at(-1))
})

test('an agent that polls is left alone for as long as what it hears changes', async t => {
  const gateway = await startTestGateway(t)
  const answers = await spin(gateway, 30, round => `step ${round} of 30`)
  assert.deepEqual([...new Set(answers.map(answer => answer.status))], [200])
  assert.equal(answers.length, 30)
})

/** An agent that asks for one tool over and over, and hears what `result` says. Gives the answers to its requests. */
async function spin(gateway: TestGateway, rounds: number, result: (round: number) => string) {
  const messages: unknown[] = [{ role: 'user', content: `Is the build green? ${asks}` }]
  const tools = [{ type: 'function', function: { name: 'build_status', parameters: { type: 'object' } } }]
  const answers = []
  for (let round = 1; round <= rounds; round++) {
    const answer = await send(`${gateway.url}/v1/chat/completions`, {
      body: JSON.stringify({ model: 'simulator', messages, tools }),
      headers: { authorization: `Bearer ${gateway.key}` },
    })
    answers.push(answer)
    if (answer.status !== 200) break
    const said = JSON.parse(answer.text).choices[0].message
    const id = said.tool_calls?.[0]?.id
    assert.ok(id !== undefined, answer.text)
    messages.push(said, { role: 'tool', tool_call_id: id, content: result(round) })
    messages.push({ role: 'user', content: `And now? ${asks}` })
  }
  return answers
}

test('the same first question again and again is work that begins alike, unless its caller says that it is one run', async t => {
  const gateway = await startTestGateway(t)
  const ask = (headers: Record<string, string>) =>
    send(`${gateway.url}/v1/chat/completions`, {
      body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'Is it open today?' }] }),
      headers: { authorization: `Bearer ${gateway.key}`, ...headers },
    })
  for (let n = 0; n < 12; n++) assert.equal((await ask({})).status, 200)
  const named = []
  for (let n = 0; n < 6; n++) named.push((await ask({ 'x-sluice-run-id': 'asker' })).status)
  assert.deepEqual(named, [200, 200, 200, 200, 423, 423])
})
