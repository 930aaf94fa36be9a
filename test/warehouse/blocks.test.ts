import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { cityHash128 } from '../../services/warehouse/cityhash.ts'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'

let warehouse: TestWarehouse
before(async () => {
  warehouse = await startTestWarehouse()
})
after(() => warehouse.stop())

async function post(body: string, params = ''): Promise<{ status: number; bytes: Buffer }> {
  const headers = { 'x-clickhouse-user': 'sluice', 'x-clickhouse-key': warehouse.users.sluice }
  const response = await fetch(`${warehouse.url}/${params}`, { method: 'POST', body, headers })
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
}

/** The blocks of a file or an answer: checksum, size of what it covers, method, data. */
function* blocksOf(bytes: Buffer) {
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32LE(at + 17)
    const covered = bytes.subarray(at + 16, at + 16 + size)
    const right = [bytes.readBigUInt64LE(at), bytes.readBigUInt64LE(at + 8)]
    yield {
      right,
      covered,
      method: bytes.readUInt8(at + 16),
      unpacked: bytes.readUInt32LE(at + 21),
      data: covered.subarray(9),
    }
    at += 16 + size
  }
}

test('our checksum is the one the engine puts on its own files, at every length', async () => {
  const columns = Array.from({ length: 180 }, (_, index) => `c${index} String CODEC(NONE)`)
  await post(`CREATE TABLE lengths (${columns}) ENGINE = MergeTree ORDER BY () SETTINGS min_bytes_for_wide_part = 0`)
  const lengths = columns.map((_, index) => `randomString(${index < 170 ? index : 2 ** (index - 162)})`)
  await post(`INSERT INTO lengths SELECT ${lengths}`)
  const files = readdirSync(join(warehouse.dataDir, 'store'), { recursive: true, encoding: 'utf8' })
  const sizes = new Set<number>()
  for (const file of files.filter(name => name.endsWith('.bin'))) {
    for (const { right, covered } of blocksOf(readFileSync(join(warehouse.dataDir, 'store', file)))) {
      assert.deepEqual(cityHash128(covered), right, `${covered.length} bytes`)
      sizes.add(covered.length)
    }
  }
  assert.ok(sizes.size > 150, `${sizes.size} lengths`)
  for (const size of [0, 3, 7, 8, 12, 15, 16, 17]) assert.equal(cityHash128(Buffer.alloc(size, 1)).length, 2)
})

test('an answer in blocks unpacks to the answer', async () => {
  for (const rows of [0, 1, 14, 1000, 400_000]) {
    const sql = `SELECT number FROM numbers(${rows}) FORMAT TSV`
    const plain = await post(sql)
    const packed = await post(sql, '?compress=1')
    assert.deepEqual(Buffer.concat([...blocksOf(packed.bytes)].map(unpack)), plain.bytes, `${rows} rows`)
  }
  const wrong = await post('SELECT nope', '?compress=1')
  assert.equal(wrong.status, 404)
  assert.match(Buffer.concat([...blocksOf(wrong.bytes)].map(unpack)).toString(), /^Code: 47/)
})

function unpack({
  right,
  covered,
  method,
  unpacked,
  data,
}: ReturnType<typeof blocksOf> extends Generator<infer B> ? B : never): Buffer {
  assert.deepEqual(cityHash128(covered), right)
  assert.equal(method, 0x82)
  const token = data.readUInt8(0)
  assert.equal(token & 15, 0)
  let at = 1
  let literals = token >> 4
  while (literals >= 15 && at > 0) {
    const more = data.readUInt8(at)
    literals += more
    at += 1
    if (more < 255) break
  }
  assert.deepEqual([literals, at + literals], [unpacked, data.length])
  return data.subarray(at)
}
