import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'

let warehouse: TestWarehouse
before(async () => {
  warehouse = await startTestWarehouse()
  await post('CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n')
})
after(() => warehouse.stop())

const asSluice = () => ({ 'x-clickhouse-user': 'sluice', 'x-clickhouse-key': warehouse.users.sluice })

async function send(method: string, params: string, body: string | Uint8Array<ArrayBuffer> | undefined, headers = {}) {
  const init: RequestInit = { method, headers: { ...asSluice(), ...headers } }
  const response = await fetch(`${warehouse.url}/${params}`, body === undefined ? init : { ...init, body })
  return { status: response.status, headers: response.headers, text: await response.text() }
}
const post = (body: string | Uint8Array<ArrayBuffer>, params = '', headers = {}) => send('POST', params, body, headers)
const get = (params: string, headers = {}) => send('GET', params, undefined, headers)
const query = (sql: string, more: Record<string, string> = {}) => `?${new URLSearchParams({ query: sql, ...more })}`
const count = async () => Number((await post('SELECT count() FROM t')).text)

test('health needs no password', async () => {
  for (const path of ['/ping', '/replicas_status', '/']) {
    const response = await fetch(warehouse.url + path)
    assert.deepEqual([response.status, await response.text()], [200, 'Ok.\n'], path)
  }
  assert.equal((await fetch(`${warehouse.url}/nothing/here`)).status, 404)
})

test('a user is known by headers, basic auth or URL, and by nothing else', async () => {
  const { sluice, analyst } = warehouse.users
  const ask = async (params: string, headers: Record<string, string>) => {
    const response = await fetch(`${warehouse.url}/?query=SELECT+1${params}`, { headers })
    return [response.status, response.headers.get('x-clickhouse-exception-code'), await response.text()] as const
  }
  const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })
  for (const [params, headers] of [
    ['', { 'x-clickhouse-user': 'analyst', 'x-clickhouse-key': analyst }],
    ['', basic('sluice', sluice)],
    [`&user=analyst&password=${analyst}`, {}],
  ] as const) {
    assert.deepEqual(await ask(params, headers), [200, null, '1\n'])
  }
  for (const [params, headers] of [
    ['', basic('sluice', analyst)],
    ['', basic('analyst', '')],
    ['', basic('default', sluice)],
    ['&user=sluice', {}],
    ['&user=__proto__&password=x', {}],
  ] as const) {
    const [status, code, text] = await ask(params, headers)
    assert.deepEqual([status, code], [403, '516'], text)
    assert.ok(!text.includes(sluice) && !text.includes(analyst))
  }
  const [status, code] = await ask('', {})
  assert.deepEqual([status, code], [401, '194'])
})

test('the statement comes from the URL, the body, or one after the other', async () => {
  assert.equal((await get(query('SELECT 1'))).text, '1\n')
  assert.equal((await post('SELECT 2')).text, '2\n')
  assert.equal((await post('3', query('SELECT'))).text, '3\n')
  assert.equal((await post('SELECT 4;\n-- the end\n')).text, '4\n')
  await post('1\ta\n2\tb\n', query('INSERT INTO t FORMAT TSV'))
  await post('INSERT INTO t FORMAT CSV\n3,c\n')
  await post("INSERT INTO t VALUES (4, 'd')")
  assert.equal(await count(), 4)
})

test('GET only reads', async () => {
  const before = await count()
  for (const sql of ["INSERT INTO t VALUES (1, 'x')", 'TRUNCATE TABLE t', 'DROP TABLE t']) {
    const { headers } = await get(query(sql))
    assert.equal(headers.get('x-clickhouse-exception-code'), '164', sql)
  }
  assert.equal(await count(), before)
})

test('an answer describes itself', async () => {
  const { headers } = await get(query('SELECT number FROM numbers(3)', { query_id: 'mine', default_format: 'JSON' }))
  assert.equal(headers.get('x-clickhouse-query-id'), 'mine')
  assert.equal(headers.get('x-clickhouse-format'), 'JSON')
  assert.equal(headers.get('content-type'), 'application/json; charset=UTF-8')
  assert.ok(headers.get('x-clickhouse-timezone'))
  assert.ok(headers.get('x-clickhouse-server-display-name'))
  assert.equal(JSON.parse(headers.get('x-clickhouse-summary') ?? '').result_rows, '3')
  const written = await post('5\te\n6\tf\n', query('INSERT INTO t FORMAT TSV'))
  assert.equal(JSON.parse(written.headers.get('x-clickhouse-summary') ?? '').written_rows, '2')
})

test('errors have the status, code and text of a server', async () => {
  const cases = [
    ['SELECT * FROM nope', 404, '60', /^Code: 60\. DB::Exception: .* \(UNKNOWN_TABLE\) \(version \d+/],
    ['SELECT nope', 404, '47', /UNKNOWN_IDENTIFIER/],
    ['SELECT', 400, '62', /SYNTAX_ERROR/],
    ['', 400, '62', /SYNTAX_ERROR/],
    ['SELECT 1; SELECT 2', 400, '62', /Multi-statements are not allowed/],
    ['SELECT 1 FORMAT Nope', 404, '73', /UNKNOWN_FORMAT/],
    ['SELECT nope(1)', 404, '46', /UNKNOWN_FUNCTION/],
    ['SELECT throwIf(1)', 500, '395', /FUNCTION_THROW_IF/],
    ["INSERT INTO t VALUES (1, 'a'); DROP TABLE t", 400, '62', /Multi-statements/],
    ["INSERT INTO t VALUES ('x', 'a')", 400, '6', /CANNOT_PARSE_TEXT/],
    ["SELECT 1 INTO OUTFILE '/tmp/sluice-never'", 500, '154', /INTO OUTFILE is not allowed/],
  ] as const
  for (const [sql, status, code, text] of cases) {
    const got = await post(sql)
    assert.equal(got.headers.get('x-clickhouse-exception-code'), code, `${sql}: ${got.text}`)
    assert.equal(got.status, status, sql)
    assert.match(got.text, text)
  }
  assert.equal((await post('SELECT 1', '?database=nope')).headers.get('x-clickhouse-exception-code'), '81')
  assert.equal((await post('SELECT 1', '?role=nope')).headers.get('x-clickhouse-exception-code'), '511')
  assert.equal((await post('SELECT 1', '?nope=1')).headers.get('x-clickhouse-exception-code'), '115')
  assert.equal((await post('SELECT 1', '?decompress=1')).headers.get('x-clickhouse-exception-code'), '48')
})

test('bodies may be compressed, answers are when asked for', async () => {
  const rows = '7\tg\n8\th\n'
  for (const [encoding, body] of [
    ['gzip', gzipSync(rows)],
    ['deflate', deflateSync(rows)],
    ['br', brotliCompressSync(rows)],
    ['zstd', zstdCompressSync(rows)],
  ] as const) {
    const got = await post(new Uint8Array(body), query('INSERT INTO t FORMAT TSV'), { 'content-encoding': encoding })
    assert.equal(got.status, 200, `${encoding}: ${got.text}`)
  }
  const unknown = await post('x', query('INSERT INTO t FORMAT TSV'), { 'content-encoding': 'snappy' })
  assert.equal(unknown.status, 501)
  const broken = await post('not gzip', query('INSERT INTO t FORMAT TSV'), { 'content-encoding': 'gzip' })
  assert.equal(broken.status, 400, broken.text)
  const cut = await post(new Uint8Array(gzipSync(rows).subarray(0, 15)), query('INSERT INTO t FORMAT TSV'), {
    'content-encoding': 'gzip',
  })
  assert.equal(cut.status, 400, cut.text)

  const url = `${warehouse.url}/${query('SELECT 1', { enable_http_compression: '1' })}`
  const response = await raw(`GET ${new URL(url).pathname}${new URL(url).search}`, { 'Accept-Encoding': 'gzip' })
  assert.match(response.head, /content-encoding: gzip/i)
  assert.equal(gunzipSync(response.body).toString(), '1\n')
  const plain = await raw('GET /?query=SELECT+1', { 'Accept-Encoding': 'gzip' })
  assert.doesNotMatch(plain.head, /content-encoding/i)
})

test('an error after the first rows is told in the body, and the body does not end', async () => {
  const sql = 'SELECT number, throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1'
  const { head, body } = await raw(`GET /?query=${encodeURIComponent(sql)}`, {})
  const tag = /x-clickhouse-exception-tag: (\w{16})/i.exec(head)?.[1]
  assert.match(head, /^HTTP\/1.1 200/)
  assert.ok(tag)
  const text = body.toString()
  assert.match(
    text.slice(-400),
    new RegExp(`__exception__\r\n${tag}\r\nCode: 395[\\s\\S]*\n\\d+ ${tag}\r\n__exception__\r\n`),
  )
  assert.ok(!text.endsWith('0\r\n\r\n'), 'the last chunk was sent')
})

test('wait_end_of_query tells the same error by its status', async () => {
  const sql = 'SELECT number, throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1'
  const got = await get(query(sql, { wait_end_of_query: '1' }))
  assert.deepEqual([got.status, got.headers.get('x-clickhouse-exception-code')], [500, '395'])
})

test('a body that breaks off leaves nothing in the table', async () => {
  const before = await count()
  const { hostname, port } = new URL(warehouse.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  const head = Object.entries(asSluice())
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
  socket.write(
    `POST /${query('INSERT INTO t FORMAT TSV')} HTTP/1.1\r\nHost: x\r\n${head}Transfer-Encoding: chunked\r\n\r\n8\r\n1\ta\n2\tb\n\r\n`,
  )
  socket.end()
  socket.resume()
  await once(socket, 'close')
  assert.equal(await count(), before)
})

test('a body announced too large is refused, and the connection answers', async () => {
  const { head } = await raw(`POST /${query('INSERT INTO t FORMAT TSV')}`, { 'Content-Length': '300000000' })
  assert.match(head, /^HTTP\/1.1 413/)
  assert.match(head, /x-clickhouse-exception-code: 165/i)
})

test('nonsense on the wire is an error, not a crash', async () => {
  const cases = [
    'GET /?query=%ff%fe',
    'GET /?query=SELECT+1%00',
    'GET //',
    'GET /?param_=1&query=SELECT+1',
    'GET /?__proto__=1&query=SELECT+1',
    'PUT /?query=SELECT+1',
  ]
  for (const line of cases) assert.match((await raw(line, {})).head, /^HTTP\/1.1 [2345]\d\d/, line)
  assert.equal((await post(new Uint8Array([0xff, 0xfe, 0x53]))).status, 400)
  assert.equal((await post(`SELECT ${'('.repeat(5000)}1`)).headers.get('x-clickhouse-exception-code'), '306')
  assert.equal((await post('SELECT 1')).text, '1\n')
})

test('sessions are not kept, and what needs one says so', async () => {
  assert.equal((await post('SELECT 1', '?session_id=x')).text, '1\n')
  assert.equal((await post('SET max_threads = 1', '?session_id=x')).status, 501)
  assert.equal((await post('CREATE TEMPORARY TABLE x (a UInt8)')).status, 501)
})

test('an insert is on disk in the way the engine was told', async () => {
  const { text } = await post(
    "SELECT name, value FROM system.merge_tree_settings WHERE name LIKE 'fsync_%' ORDER BY name",
  )
  assert.equal(text, 'fsync_after_insert\t1\nfsync_part_directory\t1\n')
})

/** One request by hand, read until the server is done with it. */
async function raw(line: string, headers: Record<string, string>): Promise<{ head: string; body: Buffer }> {
  const { hostname, port } = new URL(warehouse.url)
  const socket = connect(Number(port), hostname)
  const all = { Host: 'x', Connection: 'close', ...asSluice(), ...headers }
  socket.write(
    `${line} HTTP/1.1\r\n${Object.entries(all)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`,
  )
  const chunks: Buffer[] = []
  const deadline = setTimeout(() => socket.destroy(new Error('no answer')), 10_000)
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  clearTimeout(deadline)
  const whole = Buffer.concat(chunks)
  const split = whole.indexOf('\r\n\r\n')
  return { head: whole.subarray(0, split).toString(), body: whole.subarray(split + 4) }
}
