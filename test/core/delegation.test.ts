import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actorsOf, brokenLink, type Delegation, delegationOf } from '../../services/core/access/delegation.ts'

const links: Delegation['links'] = [
  { agent: 'a', keyId: 'ka' },
  { agent: 'b', keyId: null },
  { agent: 'c', keyId: 'kc' },
]

test('the latest actor stands outside, and read again the chain is the same', () => {
  const said = actorsOf(links)
  assert.deepEqual(said, { sub: 'a', act: { sub: 'c', key_id: 'kc', act: { sub: 'b' } } })
  const rest = { iss: 'sluice', aud: 'sluice', key_id: 'ka', client_id: 'b', iat: 1, exp: 2, jti: 'j' } as const
  const read = delegationOf({ ...said, ...rest, scope: 'model:a tool:b' })
  assert.deepEqual(read, { links, scope: ['model:a', 'tool:b'], run: null, expiresAt: 2_000 })
  assert.deepEqual(actorsOf([links[0]]), { sub: 'a' })
})

test('a chain breaks at the first who may not hand on', () => {
  const may = (pairs: string) => (agent: string, to: string) => pairs.includes(agent + to)
  assert.equal(brokenLink({ links }, may('ab bc')), null)
  assert.deepEqual(brokenLink({ links }, may('bc')), { from: 'a', to: 'b' })
  assert.deepEqual(brokenLink({ links }, may('ab ac')), { from: 'b', to: 'c' })
})
