import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { eachMember, memberSpan, textOf, twiceIn, wanted, withMember } from '../../services/core/wire/json-spans.ts'

/** JSON as several languages' clients write it. */
const python = (value: unknown): string => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`
  return `{${Object.entries(value)
    .map(([key, v]) => `${JSON.stringify(key)}: ${python(v)}`)
    .join(', ')}}`
}
const ascii = (text: string) =>
  text.replace(/[\u0080-\uffff]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
const spellings = [
  JSON.stringify,
  python,
  (v: unknown) => ascii(python(v)),
  (v: unknown) => `${JSON.stringify(v, null, 2)}\n`,
]

const objects = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('model', 'n', 'a"b', '\\')), fc.jsonValue())
const spelled = fc
  .tuple(objects, fc.constantFrom(...spellings))
  .map(([object, spell]) => ({ object, text: spell(object) }))

test('a value is replaced where it stands, and nothing around it changes', () => {
  fc.assert(
    fc.property(spelled, fc.jsonValue(), ({ object, text }, value) => {
      const before = Buffer.from(text)
      const after = withMember(before, ['model'], JSON.stringify(value))
      assert.deepEqual(JSON.parse(after.toString()), { ...JSON.parse(text), model: JSON.parse(JSON.stringify(value)) })
      const span = memberSpan(before, 'model')
      const [start, end] = span !== null && span !== 'absent' ? [span.start, span.end] : [1, 1]
      assert.equal(span === 'absent', !Object.hasOwn(object, 'model'))
      assert.deepEqual(after.subarray(0, start), before.subarray(0, start))
      assert.deepEqual(after.subarray(after.length - (before.length - end)), before.subarray(end))
    }),
    { seed: 11 },
  )
})

test('a value is inserted as deep as it is asked for', () => {
  const put = (text: string) => withMember(Buffer.from(text), ['a', 'b'], '1').toString()
  assert.equal(put(' { }'), ' {"a":{"b":1} }')
  assert.equal(put('{"x":2}'), '{"a":{"b":1},"x":2}')
  assert.equal(put('{"x":2, "a" : { } }'), '{"x":2, "a" : {"b":1 } }')
  assert.equal(put('{"a":{"c":[{}]}}'), '{"a":{"b":1,"c":[{}]}}')
  assert.equal(put('{"a":{"b":[1,{"b":2}]}}'), '{"a":{"b":1}}')
  assert.equal(put('{"a":7}'), '{"a":7}', 'what is no object is left alone')
  assert.equal(put('[]'), '[]')
})

test('every member is visited with its key as it reads and its value as it stands', () => {
  fc.assert(
    fc.property(spelled, ({ text }) => {
      const bytes = Buffer.from(text)
      const seen: [string, unknown][] = []
      const whole = eachMember(bytes, undefined, (keyStart, keyEnd, start, end) => {
        seen.push([textOf(bytes, keyStart, keyEnd), JSON.parse(bytes.toString('utf8', start, end))])
      })
      assert.equal(whole, true)
      assert.deepEqual(Object.fromEntries(seen), JSON.parse(text))
    }),
    { seed: 12 },
  )
})

test('a key that stands twice is found in every spelling that some parser takes for it', () => {
  const keys = wanted('model', 'max_tokens', 'generationConfig')
  const twice = (text: string) => twiceIn(Buffer.from(text), keys)
  assert.equal(twice('{"model":1,"max_tokens":2}'), null)
  assert.equal(twice('{"model":1,"x":{"model":2},"y":[{"model":3}],"model ":4}'), null)
  assert.equal(twice('{"model":1,"model":2}'), 'model')
  assert.equal(twice('{"\\u006dodel":1,"mode\\u006C":2}'), 'model')
  assert.equal(twice('{"Model":1,"MODEL":2}'), 'model')
  assert.equal(twice('{"max_tokens":1,"maX_toKens":2}'), 'max_tokens')
  assert.equal(twice('{"max_tokens":1,"max_to\u212Aenſ":2}'), 'max_tokens')
  assert.equal(twice('{"generationConfig":1,"generationconfig":2}'), 'generationConfig')
  assert.equal(twice('{"x":"\\\\","model":1,"y":"\\"","model":2}'), 'model')
})

test('text that is no whole object is nothing, and nothing throws on it', () => {
  const keys = wanted('model')
  const broken = fc.oneof(
    fc.uint8Array().map(bytes => Buffer.from(bytes)),
    fc.tuple(spelled, fc.nat()).map(([{ text }, at]) => Buffer.from(text).subarray(0, at % (text.length + 1))),
    fc.tuple(spelled, fc.nat(), fc.constantFrom('"', '{', '}', ',', ':', '\\')).map(([{ text }, at, char]) => {
      const place = at % (text.length + 1)
      return Buffer.from(text.slice(0, place) + char + text.slice(place))
    }),
  )
  fc.assert(
    fc.property(broken, bytes => {
      twiceIn(bytes, keys)
      withMember(bytes, ['model', 'b'], '1')
      const span = memberSpan(bytes, 'model')
      if (span !== null && span !== 'absent') assert.ok(span.end > span.start && span.end <= bytes.length)
    }),
    { seed: 13, numRuns: 500 },
  )
  for (const text of [
    '',
    '{',
    '{"',
    '{"a',
    '{"a"',
    '{"a":',
    '{"a":"',
    '{"a":"\\',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    '{"a":1}x',
    '{a:1}',
    '{"a" 1}',
  ])
    assert.equal(memberSpan(Buffer.from(text), 'a'), null, text)
})

test('a long text is walked once', () => {
  // Quadratic work on any of these would take minutes.
  const long = 4_000_000
  const texts = ['\\"', '\\\\'].map(pair => `"${pair.repeat(long / 2)}"`)
  for (const value of [...texts, '['.repeat(long / 2) + ']'.repeat(long / 2)]) {
    const bytes = Buffer.from(`{"model":"m","x":${value},"model":"n"}`)
    const began = performance.now()
    assert.equal(twiceIn(bytes, wanted('model')), 'model')
    assert.ok(performance.now() - began < 2000)
  }
})
