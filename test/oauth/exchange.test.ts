import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import { send } from '../support/gateway.ts'
import { accessToken, answerOf, call, exchange, exchangeGrant, openRun, partsOf, startDelegating } from './asking.ts'

const llm = (events: readonly Event[]) => events.flatMap(event => (event.type === 'llm.completed' ? [event] : []))

test('a sub-agent works by its token in a run of its own below the parent’s, and every fact says for whom', async t => {
  const gateway = await startDelegating(t)
  const { url, key } = gateway
  const parent = await openRun(url, key)
  const given = await exchange(url, key, { agent: 'writer', run_id: parent })
  assert.equal(given.status, 200)
  const { access_token: _, run_id: run, ...said } = given.json
  assert.deepEqual(said, {
    issued_token_type: accessToken,
    token_type: 'Bearer',
    expires_in: 900,
    scope: 'model:* tool:*',
  })
  assert.deepEqual([given.headers['cache-control'], given.headers['pragma']], ['no-store', 'no-cache'])
  const { header, claims } = partsOf(given.token)
  assert.deepEqual([header['alg'], header['typ']], ['EdDSA', 'at+jwt'])
  assert.partialDeepStrictEqual(claims, {
    iss: 'sluice',
    aud: 'sluice',
    sub: 'tester',
    client_id: 'tester',
    act: { sub: 'writer' },
    txn: parent,
    run_id: run,
    parent_run_id: parent,
  })

  const body = JSON.stringify({ model: 'simulator', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] })
  const gemini = JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'hi' }] }] })
  const answers = [
    await call(url, given.token),
    await send(`${url}/v1/messages`, { headers: { 'x-api-key': given.token }, body }),
    await send(`${url}/v1beta/models/simulator:generateContent`, {
      headers: { 'x-goog-api-key': given.token },
      body: gemini,
    }),
    await send(`${url}/v1beta/models/simulator:generateContent?key=${given.token}`, { body: gemini }),
  ]
  assert.deepEqual(
    answers.map(({ status, headers }) => [status, headers['x-sluice-run-id'], headers['x-sluice-step']]),
    ['1', '2', '3', '4'].map(step => [200, run, step]),
  )

  const facts = await gateway.facts(events => llm(events).length === 4)
  const whose = {
    agent: 'writer',
    key_id: claims['key_id'],
    run_id: run,
    root_run_id: parent,
    parent_run_id: parent,
    ancestors: [parent],
    depth: 1,
    run_source: 'token',
    chain: ['tester', 'writer'],
    chain_verified: true,
  }
  for (const event of llm(facts)) assert.partialDeepStrictEqual(event, whose)
  assert.partialDeepStrictEqual(
    facts.find(event => event.type === 'run.started' && event.run_id === run),
    whose,
  )
  const { run_source, ...issued } = whose
  assert.partialDeepStrictEqual(
    facts.find(event => event.type === 'token.issued'),
    { ...issued, actor: 'agent:tester', data: { jti: claims['jti'], scope: 'model:* tool:*' } },
  )
})

test('what a token opens only ever gets narrower', async t => {
  const { url, key } = await startDelegating(t)
  const narrow = await exchange(url, key, { agent: 'writer', scope: 'model:simulator-* model:gpt-4o tool:crm.look*' })
  assert.equal(narrow.json['scope'], 'model:simulator-* model:gpt-4o tool:crm.look*')
  const codes = async (token: string) =>
    Promise.all(
      ['simulator-1', 'simulator', 'gpt-4o'].map(async model => {
        const { status, text } = await call(url, token, { model })
        return status === 200 ? 'ok' : `${status} ${JSON.parse(text).error.code}`
      }),
    )
  const refused = '403 model_not_allowed'
  // The token does not open `simulator`, the policy of its agent not `gpt-4o`.
  const [first, ...others] = await codes(narrow.token)
  assert.notEqual(first, refused)
  assert.deepEqual(others, [refused, refused])

  for (const scope of ['model:*', 'model:sim*', 'tool:*', 'model:simulator', 'tool:crm.look* tool:mail.*']) {
    const wider = await exchange(url, narrow.token, { agent: 'checker', scope })
    assert.deepEqual([wider.status, wider.json['error']], [400, 'invalid_scope'], scope)
  }
  const next = await exchange(url, narrow.token, { agent: 'checker', scope: 'model:simulator-mini*' })
  assert.equal(next.json['scope'], 'model:simulator-mini*')
  assert.deepEqual(await codes(next.token), [refused, refused, refused])
  const same = await exchange(url, narrow.token, { agent: 'checker' })
  assert.equal(same.json['scope'], narrow.json['scope'])

  const models = await send(`${url}/v1/models`, { headers: { authorization: `Bearer ${next.token}` } })
  assert.deepEqual(JSON.parse(models.text).data, [])
})

test('a chain names everybody in it, ends where the policy ends it, and nobody is in it twice', async t => {
  const gateway = await startDelegating(t)
  const { url, key, writerKey } = gateway
  const run = await openRun(url, key)
  const writer = await exchange(url, key, { actor_token: writerKey, actor_token_type: accessToken, run_id: run })
  const checker = await exchange(url, writer.token, { audience: 'checker' })
  assert.equal(checker.status, 200)
  assert.partialDeepStrictEqual(partsOf(checker.token).claims, {
    sub: 'tester',
    client_id: 'writer',
    act: { sub: 'checker', act: { sub: 'writer' } },
    txn: run,
    parent_run_id: writer.json['run_id'],
  })
  const answer = await call(url, checker.token)
  assert.equal(answer.headers['x-sluice-run-id'], checker.json['run_id'])
  const facts = await gateway.facts(events => llm(events).length === 1)
  assert.partialDeepStrictEqual(llm(facts)[0], {
    chain: ['tester', 'writer', 'checker'],
    ancestors: [run, writer.json['run_id']],
  })

  const denied = [
    await exchange(url, key, { agent: 'checker' }),
    await exchange(url, key, { agent: 'nobody' }),
    await exchange(url, checker.token, { agent: 'writer' }),
    await exchange(url, writer.token, { agent: 'tester' }),
  ]
  for (const { status, json } of denied)
    assert.deepEqual([status, json['error'], json['code']], [403, 'invalid_target', 'delegation_not_allowed'])
})

test('a token for oneself stands for the run itself, and one for an agent’s run for that run', async t => {
  const gateway = await startDelegating(t)
  const { url, key } = gateway
  const run = await openRun(url, key)
  const own = await exchange(url, key, { run_id: run, scope: 'model:simulator' })
  assert.equal(own.json['run_id'], run)
  assert.equal(partsOf(own.token).claims['act'], undefined)
  assert.equal((await call(url, own.token)).headers['x-sluice-run-id'], run)
  const [completed] = llm(await gateway.facts(events => llm(events).length === 1))
  assert.deepEqual([completed?.run_source, completed?.chain], ['token', undefined])

  const child = await openRun(url, key, { agent: 'writer', parentRunId: run, maxSteps: 1 })
  const handed = await exchange(url, key, { agent: 'writer', run_id: child })
  assert.equal(handed.json['run_id'], child)
  assert.equal((await call(url, handed.token)).status, 200)
  assert.equal((await call(url, handed.token)).status, 403)
  const renewed = await exchange(url, key, { agent: 'writer', run_id: String(handed.json['run_id']) })
  assert.equal(renewed.json['run_id'], child)
})

test('a request that is none is told so in the words of OAuth', async t => {
  const { url, key, writerKey } = await startDelegating(t)
  const run = await openRun(url, writerKey)
  const wrong: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    [{ grant_type: '' }, 'invalid_request'],
    [{ subject_token: '' }, 'invalid_request'],
    [{ subject_token: 'slk_nobody_0123456789abcdef' }, 'invalid_request'],
    [{ subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 'invalid_request'],
    [{ actor_token: writerKey }, 'invalid_request'],
    [{ actor_token: 'slk_nobody_0123456789abcdef', actor_token_type: accessToken }, 'invalid_request'],
    [{ actor_token: writerKey, actor_token_type: accessToken, agent: 'tester' }, 'invalid_request'],
    [{ agent: 'writer', audience: 'checker' }, 'invalid_request'],
    [{ requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, 'invalid_request'],
    [{ resource: 'https://api.example.com/' }, 'invalid_target'],
    [{ resource: 'writer' }, 'invalid_target'],
    [{ audience: 'https://api.example.com/' }, 'invalid_target'],
    [{ scope: 'openid' }, 'invalid_scope'],
    [{ scope: 'model:' }, 'invalid_scope'],
    [{ expires_in: '-1' }, 'invalid_request'],
    [{ run_id: 'unheard-of' }, 'invalid_request'],
    [{ run_id: run }, 'invalid_request'],
  ]
  for (const [fields, error] of wrong) {
    const { status, json, headers } = await exchange(url, key, fields)
    const about = JSON.stringify([fields, json])
    assert.equal(json['error'], error, about)
    assert.ok(status >= 400 && status < 500 && typeof json['error_description'] === 'string', about)
    assert.equal(headers['cache-control'], 'no-store')
    assert.ok(!JSON.stringify(json).includes(key) && !JSON.stringify(json).includes(writerKey), about)
  }
  const raw = (type: string, body: string) =>
    send(`${url}/oauth/token`, { headers: { 'content-type': type }, body }).then(answerOf)
  const form = 'application/x-www-form-urlencoded'
  for (const [type, body] of [
    [form, 'scope=a&scope=b'],
    [form, ''],
    [form, '%'],
    ['application/json', '{'],
    ['application/json', '[]'],
    ['application/json', '{"grant_type":{}}'],
  ] as const)
    assert.equal((await raw(type, body)).json['error'], 'invalid_request', body)
  assert.equal((await raw(form, 'x'.repeat(70_000))).status, 413)

  const json = { grant_type: exchangeGrant, subject_token: key, subject_token_type: accessToken, expires_in: 60 }
  const mine = await openRun(url, key)
  const named = await send(`${url}/oauth/token`, {
    headers: { 'x-sluice-run-id': mine },
    body: JSON.stringify({ ...json, requested_token_type: 'urn:ietf:params:oauth:token-type:jwt' }),
  })
  assert.equal(JSON.parse(named.text).run_id, mine)
  assert.match(JSON.parse(named.text).issued_token_type, /:jwt$/)
  const given = await raw('application/json', JSON.stringify({ ...json, resource: `${url}/v1`, audience: url }))
  assert.deepEqual([given.status, given.json['expires_in']], [200, 60])
})
