import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lex } from '../../services/warehouse/lexer.ts'
import { readStatement } from '../../services/warehouse/statement.ts'

const shapes = (sql: string) => lex(sql).tokens.map(({ kind, value }) => `${kind}:${value}`)

test('text is not code', () => {
  for (const [sql, wanted] of [
    ["'a;b'", ['text:a;b']],
    ["'it''s' 'b\\'; --'", ["text:it's", "text:b'; --"]],
    ['`a``b` "c""d" `e\\`f`', ['name:a`b', 'name:c"d', 'name:e`f']],
    ['1 -- ; \n 2', ['number:1', 'number:2']],
    ['1 # ; \n 2 #! x', ['number:1', 'number:2']],
    ['1 /* /* ; */ ; */ 2', ['number:1', 'number:2']],
    ["$$ ; ' $$ 1", ['text:$', 'number:1']],
    ['$t$ $$ ; $t$ 1', ['text:$', 'number:1']],
    ["x'41;' b'01'", ['text:41;', 'text:01']],
    ['a.b', ['word:a', 'mark:.', 'word:b']],
    ['t.1.2', ['word:t', 'mark:.', 'number:1', 'mark:.', 'number:2']],
    ['1.5e-3, .5, 0x1F 1. x', ['number:1.5e-3', 'mark:,', 'number:.5', 'mark:,', 'number:0x1F', 'number:1.', 'word:x']],
  ] as const) {
    assert.deepEqual(shapes(sql), wanted, sql)
  }
})

test('what could be read two ways is doubted', () => {
  for (const sql of [
    "'open",
    '`open',
    '/* open',
    '$a$ open',
    'a$b',
    "x'4\\'",
    '‘a’',
    'SELECT\u00a01',
    '\\',
    '#x',
    '\u0001',
  ]) {
    assert.ok(lex(sql).doubt, sql)
  }
  for (const sql of ['SELECT \'ä ‘x’\' AS "é" -- ü', 'SELECT $$ö$$', "SELECT x'4F'"])
    assert.equal(lex(sql).doubt, undefined, sql)
})

test('the end of a statement is found, and a second one', () => {
  assert.equal(readStatement(" SELECT ';' ; -- ; \n ;").text, " SELECT ';'")
  for (const sql of ['SELECT 1; SELECT 2', ';;1', "SELECT '\\\\'; x"])
    assert.throws(() => readStatement(sql), /Multi-statements/, sql)
  for (const sql of ['', ' -- x', ';', '/* */']) assert.throws(() => readStatement(sql), /Empty query/, sql)
})

test('the format is the one at the end', () => {
  const parts = (sql: string) => {
    const { body, format, tail } = readStatement(sql)
    return [body.trim(), format, tail.trim()]
  }
  assert.deepEqual(parts('SELECT 1 FORMAT JSON'), ['SELECT 1', 'JSON', ''])
  assert.deepEqual(parts('SELECT 1 SETTINGS a = 1 format `CSV` SETTINGS b=2;'), [
    'SELECT 1 SETTINGS a = 1',
    'CSV',
    'SETTINGS b=2',
  ])
  for (const sql of [
    "SELECT format('{}', 1)",
    'SELECT (SELECT 1 FORMAT JSON)',
    'SELECT x AS format FROM t',
    "SELECT 'FORMAT JSON'",
    'SELECT t.format json',
  ]) {
    assert.equal(readStatement(sql).format, undefined, sql)
  }
})

test('every SETTINGS clause is seen', () => {
  const settings = (sql: string) =>
    readStatement(sql)
      .settings.flat()
      .map(({ name, value }) => `${name}=${value}`)
  assert.deepEqual(settings("SELECT 1 SETTINGS a = 1, `b`='x', c=-0.5 FORMAT CSV SETTINGS d=e"), [
    'a=1',
    'b=x',
    'c=-0.5',
    'd=e',
  ])
  assert.deepEqual(settings('SELECT * FROM (SELECT 1. SETTINGS a=0) SETTINGS b={x:UInt8}, c=1'), ['a=0', 'b={'])
  assert.deepEqual(settings('SELECT settings FROM settings WHERE settings = 1'), [])
})
