import assert from 'node:assert/strict'
import { test } from 'node:test'
import { breakers } from '../../../schemas/breakers.ts'
import { alike, wordsIn } from '../../../services/core/rules/words.ts'
import { history, play, rulesOf, told, tool } from './given.ts'

const tell = (said: Parameters<typeof history>[0], knobs = {}) => play(rulesOf({ nearRepeat: knobs }), history(said))
const delegated = (...wishes: readonly string[]) =>
  wishes.map((wish, i) => tool('surfer', JSON.stringify({ task: wish }), `page ${i}`))

const wishes = [
  'Find out what a yearly pass for a family of four costs at the harbour museum in Bergen.',
  'Please find what the yearly family pass costs at the harbour museum in Bergen, for four people.',
  'Look at the web page of the harbour museum in Bergen and find what a yearly pass for a family costs.',
]

test('the same wish in other words is warned of, and never killed for', () => {
  const [signal, ...more] = tell(delegated(...wishes))
  assert.deepEqual(more, [])
  assert.equal(signal?.action, 'alert')
  assert.deepEqual(signal?.data, { alike: 2, within: 4, call: 'surfer' })
  assert.throws(() => breakers.parse({ nearRepeat: { action: 'kill' } }))
  assert.throws(() => breakers.parse({ nearRepeat: { stages: [{ action: 'kill', at: 9 }] } }))
})

test('other wishes are no repeat, nor is the same wish to somebody else', () => {
  const others = [
    'Count the ferries that leave the harbour of Bergen on a Sunday in winter and name their destinations.',
    'Which painter lived in the yellow house behind the fish market before it burned down, and when was that?',
    'Write a short letter to the municipality that asks for the opening hours of the archive next spring.',
  ]
  assert.deepEqual(tell(delegated(...others)), [])
  assert.deepEqual(told(tell(wishes.map((wish, i) => tool(`agent${i}`, JSON.stringify({ task: wish }), 'x')))), [])
})

test('edits, queries and paths resemble each other by nature: they are not compared', () => {
  const edit = (n: number) =>
    `if (value > ${n}) { return [value, ${n}] } else { throw new Error('too small: ' + value) } // see the notes above`
  assert.deepEqual(tell([1, 2, 3, 4, 5, 6].map(n => tool('edit', JSON.stringify({ code: edit(n) }), `${n}`))), [])
  const query = (n: number) =>
    `SELECT name FROM ships WHERE ship_id = (SELECT ship_id FROM accidents WHERE total = ${n}) AND class <> 'x_${n}'`
  assert.deepEqual(tell([1, 2, 3, 4, 5, 6].map(n => tool('sql', query(n), `${n}`))), [])
})

test('words are told apart in any script, and escapes of JSON are white space', () => {
  const words = wordsIn('{"task":"博物館の年間パスの値段を調べてください。よろしくお願いします"}', 12)
  assert.ok(words !== null && words.length > 12)
  const broken = wordsIn('{"task":"one two three\\nfour five six\\nseven eight nine ten eleven twelve"}', 12)
  const plain = wordsIn('one two three four five six seven eight nine ten eleven twelve', 12)
  assert.deepEqual(broken, plain)
  assert.equal(wordsIn('{"a":"short","b":["shorter"]}', 12), null)
  assert.equal(wordsIn('{"task":"cut off in the middle of what is asked of somebody by somebody els', 12)?.length, 12)
})

test('two texts are as alike as the share of words that they have in common', () => {
  assert.equal(alike([1, 2, 3, 4], [3, 4, 5, 6]), 2 / 6)
  assert.equal(alike([], [1]), 0)
})
