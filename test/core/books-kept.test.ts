import assert from 'node:assert/strict'
import { test } from 'node:test'
import { booksFrom, type KeptBooks, keepBooks } from './kept-books.ts'
import { enter, openActor, openBoss, openStage, own, pay, settleDown, tell, termMs, toll } from './simulation/stage.ts'

test('books that were kept on disk are the books that were kept', () => {
  const stage = openStage({ 'org:o': 1_000, 'run:a': 500 })
  const boss = openBoss('first')
  own(stage, boss)
  const a = openActor('a')
  const b = openActor('b')
  enter(stage, a, 'a1', [toll(stage, 'org:o', 100), toll(stage, 'run:a', 100)])
  enter(stage, b, 'b1', [toll(stage, 'org:o', 300)])
  settleDown(stage, boss, a, b)
  pay(a, 'a1', 80)
  tell(stage, a)
  stage.now += termMs / 2
  settleDown(stage, boss, a, b)
  enter(stage, b, 'b2', [toll(stage, 'org:o', 950)])
  settleDown(stage, boss, a, b)
  const { books } = boss.owner
  assert.ok(books.nodes.size === 2 && books.lives.size === 2 && books.nodes.get('org:o')!.exhausted !== null)

  const again = booksFrom(JSON.parse(JSON.stringify(keepBooks(books))) as KeptBooks)
  // Whatever waited is looked at again: that is all that may differ.
  for (const each of [books, again]) each.dirty.clear()
  assert.deepEqual(again, books)
})
