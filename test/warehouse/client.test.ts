import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import {
  type ClickHouseClient,
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'

let warehouse: TestWarehouse
let client: ClickHouseClient

before(async () => {
  warehouse = await startTestWarehouse()
  client = connect()
})
after(async () => {
  await client.close()
  await warehouse.stop()
})

function connect(options: Parameters<typeof createClient>[0] = {}): ClickHouseClient {
  const { url, users } = warehouse
  return createClient({
    url,
    username: 'sluice',
    password: users.sluice,
    log: { level: ClickHouseLogLevel.OFF },
    ...options,
  })
}

const rowsOf = async <T>(query: string, params: Record<string, unknown> = {}): Promise<T[]> =>
  (await client.query({ query, query_params: params, format: 'JSONEachRow' })).json<T>()

async function table(name: string, rest = 'ENGINE = MergeTree ORDER BY n'): Promise<string> {
  await client.command({ query: `CREATE TABLE ${name} (n UInt64, s String) ${rest}` })
  return name
}

test('ping answers by path and by statement, and says so when the password is wrong', async () => {
  assert.equal((await client.ping()).success, true)
  assert.equal((await client.ping({ select: true })).success, true)
  const stranger = connect({ password: 'wrong' })
  const refused = await stranger.ping({ select: true })
  assert.equal(refused.success, false)
  assert.ok(!refused.success && refused.error instanceof ClickHouseError && refused.error.code === '516')
  await stranger.close()
})

test('a parameter keeps its value and type, whatever it is', async () => {
  const values = {
    s: `a'b"c\\d\n\t;-- /* {x:UInt8} \u00e9\u{1f600}`,
    n: 42,
    f: 0.5,
    b: true,
    d: new Date('2026-01-02T03:04:05.678Z'),
  }
  const [row] = await rowsOf<Record<string, unknown>>(
    `SELECT {s:String} AS s, {n:UInt64} AS n, {f:Float64} AS f, {b:Bool} AS b, {nothing:Nullable(String)} AS nothing,
     {list:Array(String)} AS list, {map:Map(String, UInt8)} AS map, {d:DateTime64(3, 'UTC')} AS d, length({long:String}) AS long`,
    { ...values, nothing: null, list: ["it's", 'b\\', 'c\n'], map: { k: 1 }, long: 'x'.repeat(50_000) },
  )
  const expected = {
    ...values,
    d: '2026-01-02 03:04:05.678',
    nothing: null,
    list: ["it's", 'b\\', 'c\n'],
    map: { k: 1 },
    long: 50_000,
  }
  assert.deepEqual(row, expected)
  const [named] = await rowsOf<{ c: number }>('SELECT count() AS c FROM {db:Identifier}.{t:Identifier}', {
    db: 'system',
    t: 'one',
  })
  assert.equal(named?.c, 1)
  await assert.rejects(rowsOf('SELECT {absent:String}'), { code: '456' })
})

test('parameters too long for a URL come in a form', async () => {
  const ids = Array.from({ length: 40_000 }, (_, index) => `id-${index}`)
  const result = await client.query({
    query: 'SELECT length({ids:Array(String)}) AS n, {s:String} AS s',
    query_params: { ids, s: "a'b\r\n--" },
    format: 'JSONEachRow',
    use_multipart_params: true,
  })
  assert.deepEqual(await result.json(), [{ n: 40_000, s: "a'b\r\n--" }])
})

test('every format of the client comes out as from a server', async () => {
  const query = 'SELECT number AS n, toString(number) AS s FROM numbers(3)'
  const text = async (format: 'JSON' | 'CSV') => (await client.query({ query, format: format as 'JSON' })).text()
  const expected: Record<string, string> = {
    JSONEachRow: '{"n":0,"s":"0"}\n{"n":1,"s":"1"}\n{"n":2,"s":"2"}\n',
    JSONStringsEachRow: '{"n":"0","s":"0"}\n{"n":"1","s":"1"}\n{"n":"2","s":"2"}\n',
    JSONCompactEachRow: '[0, "0"]\n[1, "1"]\n[2, "2"]\n',
    JSONCompactEachRowWithNames: '["n", "s"]\n[0, "0"]\n[1, "1"]\n[2, "2"]\n',
    JSONCompactEachRowWithNamesAndTypes: '["n", "s"]\n["UInt64", "String"]\n[0, "0"]\n[1, "1"]\n[2, "2"]\n',
    CSV: '0,"0"\n1,"1"\n2,"2"\n',
    CSVWithNames: '"n","s"\n0,"0"\n1,"1"\n2,"2"\n',
    CSVWithNamesAndTypes: '"n","s"\n"UInt64","String"\n0,"0"\n1,"1"\n2,"2"\n',
    TabSeparated: '0\t0\n1\t1\n2\t2\n',
    TabSeparatedRaw: '0\t0\n1\t1\n2\t2\n',
    TabSeparatedWithNames: 'n\ts\n0\t0\n1\t1\n2\t2\n',
    TabSeparatedWithNamesAndTypes: 'n\ts\nUInt64\tString\n0\t0\n1\t1\n2\t2\n',
    CustomSeparated: '0\t0\n1\t1\n2\t2\n',
    JSONColumns: '{\n\t"n": [0, 1, 2],\n\t"s": ["0", "1", "2"]\n}\n',
    JSONObjectEachRow: '{\n\t"row_1": {"n":0,"s":"0"},\n\t"row_2": {"n":1,"s":"1"},\n\t"row_3": {"n":2,"s":"2"}\n}\n',
  }
  for (const [format, wanted] of Object.entries(expected)) assert.equal(await text(format as 'JSON'), wanted, format)
  for (const format of ['JSON', 'JSONStrings', 'JSONCompact', 'JSONCompactStrings', 'JSONColumnsWithMetadata']) {
    const { rows, meta } = await (await client.query({ query, format: format as 'JSON' })).json()
    assert.deepEqual([rows, meta?.[0]], [3, { name: 'n', type: 'UInt64' }], format)
  }
  const parquet = await client.exec({ query: `${query} FORMAT Parquet` })
  const bytes = Buffer.concat(await Array.fromAsync(parquet.stream as AsyncIterable<Buffer>))
  assert.equal(bytes.subarray(0, 4).toString() + bytes.subarray(-4).toString(), 'PAR1PAR1')
})

test('rows arrive before the query has ended, and memory does not hold them all', async () => {
  const result = await client.query({
    query: 'SELECT number, randomPrintableASCII(200) AS s FROM numbers(300000)',
    format: 'JSONEachRow',
  })
  let rows = 0
  let runningAtFirst: number | undefined
  for await (const chunk of result.stream()) {
    rows += chunk.length
    runningAtFirst ??= Number(
      (
        await rowsOf<{ c: number }>(
          "SELECT count() AS c FROM system.processes WHERE query LIKE '%randomPrintable%' AND query NOT LIKE '%processes%'",
        )
      )[0]?.c,
    )
  }
  assert.equal(rows, 300_000)
  assert.equal(runningAtFirst, 1)
})

test('inserts take arrays, streams and text in every format, and report what was written', async () => {
  const name = await table('inserts')
  const counts = async () =>
    (await rowsOf<{ c: number; sum: number }>(`SELECT count() AS c, sum(n) AS sum FROM ${name}`))[0]
  const array = await client.insert({
    table: name,
    values: [
      { n: 1, s: 'a' },
      { n: 2, s: 'b' },
    ],
    format: 'JSONEachRow',
  })
  assert.equal(array.summary?.written_rows, '2')
  await client.insert({ table: name, values: [[3, 'c']], format: 'JSONCompactEachRow' })
  await client.insert({ table: name, columns: ['n'], values: [[4]], format: 'JSONCompactEachRow' })
  const objects = Readable.from(
    Array.from({ length: 1000 }, () => ({ n: 1, s: 'x' })),
    { objectMode: true },
  )
  await client.insert({ table: name, values: objects, format: 'JSONEachRow' })
  await client.insert({
    table: name,
    values: Readable.from(['5,"e', '\nf"\n6,g\n'], { objectMode: false }),
    format: 'CSV',
  })
  const meta = [
    { name: 'n', type: 'UInt64' },
    { name: 's', type: 'String' },
  ]
  await client.insert({
    table: name,
    values: Readable.from(['n\ts\n7\th\n'], { objectMode: false }),
    format: 'TabSeparatedWithNames',
  })
  await client.insert({ table: name, values: { meta, data: [{ n: 8, s: 'j' }] }, format: 'JSON' })
  await client.insert({ table: name, values: Readable.from([], { objectMode: true }), format: 'JSONEachRow' })
  await client.command({ query: `INSERT INTO ${name} VALUES (9, 'k;')` })
  await client.command({ query: `INSERT INTO ${name} SELECT 10, 'l'` })
  await client.exec({ query: `INSERT INTO ${name} FORMAT CSV`, values: Readable.from(['11,m\n']) })
  const parquet = await client.exec({ query: `SELECT toUInt64(12) AS n, 'n' AS s FORMAT Parquet` })
  await client.exec({ query: `INSERT INTO ${name} FORMAT Parquet`, values: parquet.stream })
  assert.deepEqual(await counts(), { c: 1012, sum: 1000 + 78 })
  await assert.rejects(
    client.insert({ table: name, values: [{ n: 'not a number' }], format: 'JSONEachRow' }),
    ClickHouseError,
  )
  await assert.rejects(client.insert({ table: 'nowhere', values: [{ n: 1 }], format: 'JSONEachRow' }), {
    code: '60',
    type: 'UNKNOWN_TABLE',
  })
})

test('compressed in both directions, by every codec the client has', async () => {
  const name = await table('compressed')
  for (const codec of ['gzip', 'zstd'] as const) {
    const squeezed = connect({ compression: { request: { codec }, response: { codec } } })
    const values = Array.from({ length: 500 }, (_, n) => ({ n, s: 'x'.repeat(100) }))
    await squeezed.insert({ table: name, values, format: 'JSONEachRow' })
    const result = await squeezed.query({ query: `SELECT * FROM ${name}`, format: 'JSONEachRow' })
    assert.equal(result.response_headers['content-encoding'], codec)
    assert.ok((await result.json()).length >= 500)
    await assert.rejects(squeezed.query({ query: 'SELECT nothing' }), { code: '47' })
    const large = await squeezed.query({
      query: 'SELECT number, toString(number) FROM numbers(500000)',
      format: 'JSONEachRow',
    })
    assert.equal((await large.json()).length, 500_000)
    await squeezed.close()
  }
})

test('errors are typed, before the first row and after it', async () => {
  await assert.rejects(client.query({ query: 'SELECT * FROM nope' }), {
    name: 'Error',
    code: '60',
    type: 'UNKNOWN_TABLE',
  })
  await assert.rejects(client.query({ query: 'SELEC 1' }), { code: '62' })
  await assert.rejects(
    client.query({ query: 'SELECT 1', clickhouse_settings: { no_such_setting: 1 } as ClickHouseSettings }),
    {
      code: '115',
    },
  )
  await assert.rejects(client.command({ query: 'CREATE TABLE broken' }), ClickHouseError)
  const late = await client.query({
    query:
      'SELECT number, toString(number) AS s, throwIf(number = 2900000) AS x FROM numbers(3000000) SETTINGS max_threads = 1',
    format: 'JSONEachRow',
  })
  await assert.rejects(
    (async () => {
      for await (const _ of late.stream());
    })(),
    { code: '395', type: 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO' },
  )
})

test('a query that is aborted stops in the engine', async () => {
  const abort = new AbortController()
  const query = 'SELECT count() /* to be aborted */ FROM numbers(1e13) WHERE cityHash64(number) % 7 = 1'
  const asked = client.query({ query, abort_signal: abort.signal })
  asked.catch(() => {})
  const running = async () =>
    (
      await rowsOf<{ c: number }>(
        "SELECT count() AS c FROM system.processes WHERE query LIKE '%to be aborted%' AND query NOT LIKE '%processes%'",
      )
    )[0]?.c
  await until(async () => (await running()) === 1)
  abort.abort()
  await assert.rejects(asked)
  await until(async () => (await running()) === 0)
})

test('a reader that leaves in the middle stops the query', async () => {
  const result = await client.query({
    query: 'SELECT number AS left_in_the_middle FROM numbers(1e11)',
    format: 'JSONEachRow',
  })
  for await (const _ of result.stream()) break
  result.close()
  await until(
    async () =>
      (
        await rowsOf<{ c: number }>(
          "SELECT count() AS c FROM system.processes WHERE query LIKE '%left_in_the_middle%' AND query NOT LIKE '%processes%'",
        )
      )[0]?.c === 0,
  )
})

test('settings of one statement are not those of the next', async () => {
  const name = await table(
    'deduplicated',
    'ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100',
  )
  const insert = (n: number, token?: string) =>
    client.insert({
      table: name,
      values: [{ n, s: 'x' }],
      format: 'JSONEachRow',
      ...(token === undefined ? {} : { clickhouse_settings: { insert_deduplication_token: token } }),
    })
  const count = async () => (await rowsOf<{ c: number }>(`SELECT count() AS c FROM ${name}`))[0]?.c
  await insert(1, 'batch-1')
  await insert(2)
  await insert(3)
  assert.equal(await count(), 3)
  await insert(4, 'batch-1')
  assert.equal(await count(), 3)
  await insert(5, 'batch-2')
  assert.equal(await count(), 4)
  const setting = async (settings: ClickHouseSettings) =>
    (
      await (
        await client.query({
          query: "SELECT getSetting('max_threads') AS t, getSetting('insert_deduplication_token') AS d",
          format: 'JSONEachRow',
          clickhouse_settings: settings,
        })
      ).json()
    )[0]
  const before = await setting({})
  assert.deepEqual(await setting({ max_threads: 1, insert_deduplication_token: 'q' }), { t: 1, d: 'q' })
  assert.deepEqual(await setting({}), before)
  await assert.rejects(rowsOf('SELECT {leaked:String}'), { code: '456' })
  await rowsOf('SELECT {leaked:String}', { leaked: 'x' })
  await assert.rejects(rowsOf('SELECT {leaked:String}'), { code: '456' })
})

test('a batch sent twice is there once, in the table and in its materialized view', async () => {
  const window = 'SETTINGS non_replicated_deduplication_window = 100'
  const name = await table('base', `ENGINE = MergeTree ORDER BY n ${window}`)
  await client.command({
    query: `CREATE TABLE sums (k UInt8, total UInt64, rows UInt64) ENGINE = SummingMergeTree ORDER BY k ${window}`,
  })
  await client.command({
    query: `CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT n % 2 AS k, sum(n) AS total, count() AS rows FROM ${name} GROUP BY k`,
  })
  const batch = (from: number) => ({
    table: name,
    values: Array.from({ length: 100 }, (_, index) => ({ n: from + index, s: 'x' })),
    format: 'JSONEachRow' as const,
    clickhouse_settings: {
      insert_deduplication_token: `0:${from}-${from + 99}`,
      deduplicate_blocks_in_dependent_materialized_views: 1 as const,
    },
  })
  for (const from of [0, 100, 0, 100, 200, 0]) await client.insert(batch(from))
  assert.deepEqual(await rowsOf(`SELECT count() AS c, uniqExact(n) AS u FROM ${name}`), [{ c: 300, u: 300 }])
  assert.deepEqual(await rowsOf('SELECT sum(rows) AS c, sum(total) AS t FROM sums'), [{ c: 300, t: 44_850 }])
})

test('a long query with parameters does not hold up another', async () => {
  const long = client.query({
    query: 'SELECT count() FROM numbers(1e13) WHERE cityHash64(number) % {m:UInt64} = 1',
    query_params: { m: 7 },
    clickhouse_settings: { max_execution_time: 2 },
  })
  long.catch(() => {})
  const started = performance.now()
  for (let n = 0; n < 10; n += 1) assert.deepEqual(await rowsOf('SELECT {n:UInt8} AS n', { n }), [{ n }])
  assert.ok(performance.now() - started < 1500)
  await assert.rejects(long, { code: '159' })
})

test('many statements at once keep their own parameters', async () => {
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, n) => rowsOf<{ n: number }>('SELECT {n:UInt32} AS n', { n })),
  )
  assert.deepEqual(
    answers.map(([row]) => row?.n),
    Array.from({ length: 60 }, (_, n) => n),
  )
})

async function until(holds: () => Promise<boolean>, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await holds())) assert.ok(performance.now() < deadline, 'it did not come true in time')
}
