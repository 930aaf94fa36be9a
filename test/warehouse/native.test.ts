import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { NativeReader } from '../../services/warehouse/native-columns.ts'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'

let warehouse: TestWarehouse
before(async () => {
  warehouse = await startTestWarehouse()
})
after(() => warehouse.stop())

async function native(sql: string, version?: string): Promise<Buffer> {
  const params = new URLSearchParams({
    default_format: 'Native',
    ...(version === undefined ? {} : { client_protocol_version: version }),
  })
  const headers = { 'x-clickhouse-user': 'analyst', 'x-clickhouse-key': warehouse.users.analyst }
  const response = await fetch(`${warehouse.url}/?${params}`, { method: 'POST', body: sql, headers })
  const bytes = Buffer.from(await response.arrayBuffer())
  assert.equal(response.status, 200, `${sql}: ${bytes}`)
  return bytes
}

/** Walks over all blocks; what precedes a block and a column in a newer revision is counted and must be there. */
function walk(bytes: Buffer, newer: boolean): { blocks: number; columns: number } {
  const seen = { blocks: 0, columns: 0 }
  let at = 0
  while (at < bytes.length) {
    if (newer) {
      assert.deepEqual([...bytes.subarray(at, at + 8)], [1, 0, 2, 255, 255, 255, 255, 0])
      at += 8
    }
    const reader = new NativeReader(bytes, at)
    const columns = reader.varint()
    const rows = reader.varint()
    for (let column = 0; column < columns; column += 1) {
      reader.string()
      const type = reader.string()
      if (newer) {
        assert.equal(bytes.readUInt8(reader.at), 0)
        reader.skip(1)
      }
      reader.column(type, rows)
    }
    at = reader.at
    seen.blocks += 1
    seen.columns += columns
  }
  assert.equal(at, bytes.length)
  return seen
}

const walkOf = (type: string, bytes: Buffer) => {
  try {
    return walk(bytes, false)
  } catch (error) {
    throw new Error(`${type} is not walked over`, { cause: error })
  }
}

const types = [
  'number',
  'toInt8(number)',
  'toUInt256(number)',
  'toFloat32(number)',
  'number % 2 = 0',
  'toString(number)',
  "repeat('x', number % 300)",
  "toFixedString('ab', 5)",
  'toDate(number)',
  'toDate32(number)',
  "toDateTime(number, 'UTC')",
  "toDateTime64(number, 6, 'Europe/Berlin')",
  'toDecimal32(1.5, 2)',
  'toDecimal64(1.5, 2)',
  'toDecimal128(1.5, 20)',
  'toDecimal256(1.5, 40)',
  "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
  "toIPv4('1.2.3.4')",
  "toIPv6('::1')",
  "CAST('it\\'s, (a' AS Enum8('it\\'s, (a' = 1, 'b' = 2))",
  "CAST('a' AS Enum16('a' = 1))",
  'if(number % 3 = 0, NULL, number)',
  'NULL',
  'range(number % 5)',
  'arrayMap(x -> (x, toString(x)), range(number % 3))',
  '[[1], []]::Array(Array(UInt8))',
  "map('k', number)",
  'map(number, [number])',
  "(number, 'x', [1])",
  "CAST((1, 'x') AS Tuple(a UInt8, `b (c` String))",
  'tuple()',
  'toLowCardinality(toString(number % 300))',
  'toLowCardinality(number % 7 = 0 ? NULL : toString(number))',
  "['a', 'b']::Array(LowCardinality(String))",
  "map('a', 'b')::Map(LowCardinality(String), LowCardinality(Nullable(String)))",
  'INTERVAL 1 DAY',
  '(1.0, 2.0)::Point',
  '[[(1., 2.)]]::Polygon',
  'CAST(1 AS SimpleAggregateFunction(sum, UInt64))',
  '\'{"a": 1, "b": [1, "x"]}\'::JSON',
  "toTime('10:00:00')",
  'toBFloat16(1)',
]

test('every type is walked over to its last byte, and comes in the revision that was asked for', async () => {
  for (const type of types) {
    const sql = `SELECT 1 AS first, ${type} AS value, number AS last FROM numbers(1000) SETTINGS output_format_native_write_json_as_string = 1`
    const plain = await native(sql)
    const seen = walkOf(type, plain)
    assert.ok(seen.blocks > 0)
    assert.equal((await native(sql, '54453')).length, plain.length + 8 * seen.blocks, type)
    const newer = await native(sql, '54460')
    assert.equal(newer.length, plain.length + 8 * seen.blocks + seen.columns, type)
    assert.deepEqual(walk(newer, true), seen)
  }
})

test('blocks larger than what comes at once are put together', async () => {
  const sql = "SELECT number, repeat('x', 200) FROM numbers(50000)"
  assert.deepEqual(walk(await native(sql, '54460'), true), walk(await native(sql), false))
})

test('nothing is still something', async () => {
  walk(await native('SELECT 1 WHERE 0', '54460'), true)
})
