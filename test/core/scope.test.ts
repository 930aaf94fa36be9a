import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matches } from '../../services/core/access/glob.ts'
import { narrows, opensModel, opensTool, parseScope, wholeScope } from '../../services/core/access/scope.ts'

const glob = fc.string({ unit: fc.constantFrom('a', 'b', '-', '*'), minLength: 1, maxLength: 6 })
const name = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 8 })

test('nothing is open in a narrower scope that is not open in the wider one', () => {
  fc.assert(
    fc.property(fc.array(glob, { maxLength: 3 }), fc.array(glob, { maxLength: 3 }), name, (wide, asked, model) => {
      const [held, narrower] = [wide, asked].map(globs => globs.map(one => `model:${one}`)) as [string[], string[]]
      if (narrows(narrower, held) && opensModel(narrower, model)) assert.ok(opensModel(held, model))
    }),
    { numRuns: 5_000 },
  )
})

test('a glob that covers another is seen to', () => {
  fc.assert(
    fc.property(glob, fc.func(name), (wide, fill) => {
      // Whatever the stars of a glob are replaced with, stars included, it stays within it.
      let stars = 0
      const within = wide.replace(/\*/g, () => `${fill(++stars)}*`)
      assert.ok(narrows([`tool:${within}`], [`tool:${wide}`]))
      assert.ok(matches(wide, within))
    }),
  )
})

test('a scope opens what it names, and nothing of the other kind', () => {
  const scope = ['model:gpt-4o*', 'tool:crm.look*']
  assert.deepEqual(
    [opensModel(scope, 'gpt-4o-mini'), opensModel(scope, 'gpt-4'), opensModel(scope, 'crm.lookup')],
    [true, false, false],
  )
  assert.deepEqual([opensTool(scope, 'crm.lookup'), opensTool(scope, 'gpt-4o')], [true, false])
  assert.ok(opensModel(wholeScope, '') && opensTool(wholeScope, 'crm.drop'))
  assert.ok(!narrows(['tool:*'], ['model:*']))
})

test('what is no scope is none', () => {
  assert.deepEqual(parseScope(' model:a  tool:b.* model:a '), ['model:a', 'tool:b.*'])
  for (const text of [
    '',
    ' ',
    'openid',
    'model',
    'model:',
    'model:a tool:',
    'file:a',
    'model:"a"',
    `model:${'a'.repeat(300)}`,
  ])
    assert.equal(parseScope(text), null, text)
  assert.equal(parseScope(Array.from({ length: 400 }, (_, n) => `model:m${n}`).join(' ')), null)
})
