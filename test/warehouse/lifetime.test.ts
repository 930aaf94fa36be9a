import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'sluice-lifetime-'))
after(() => rmSync(dataDir, { recursive: true, force: true }))

const connect = (warehouse: TestWarehouse) =>
  createClient({
    url: warehouse.url,
    username: 'sluice',
    password: warehouse.users.sluice,
    log: { level: ClickHouseLogLevel.OFF },
  })

test('what was acknowledged survives kill -9, and a batch sent again is not there twice', async () => {
  let acknowledged = 0
  for (let round = 0; round < 3; round += 1) {
    await using warehouse = await startTestWarehouse({ dataDir })
    const client = connect(warehouse)
    await client.command({
      query: `CREATE TABLE IF NOT EXISTS events (n UInt64) ENGINE = MergeTree ORDER BY n
              SETTINGS non_replicated_deduplication_window = 1000`,
    })
    const insert = (batch: number) =>
      client.insert({
        table: 'events',
        values: Array.from({ length: 500 }, (_, index) => ({ n: batch * 500 + index })),
        format: 'JSONEachRow',
        clickhouse_settings: { insert_deduplication_token: `0:${batch}` },
      })
    // The batch that was on its way when the process died is sent again, as the sink does.
    const upTo = acknowledged + 8
    const dying = (async () => {
      for (let batch = acknowledged; ; batch += 1) {
        await insert(batch)
        acknowledged = batch + 1
        if (batch === upTo) await warehouse.kill9()
      }
    })()
    await assert.rejects(dying)
    await client.close()
  }
  await using warehouse = await startTestWarehouse({ dataDir })
  const client = connect(warehouse)
  const result = await client.query({
    query: 'SELECT count() AS c, uniqExact(n) AS u FROM events',
    format: 'JSONEachRow',
  })
  assert.deepEqual(await result.json(), [{ c: acknowledged * 500, u: acknowledged * 500 }])
  await client.close()
})

test('one process at a time: the second is told, the first goes on', async () => {
  await using warehouse = await startTestWarehouse({ dataDir })
  await assert.rejects(startTestWarehouse({ dataDir }), /another process/)
  const client = connect(warehouse)
  assert.equal((await client.ping({ select: true })).success, true)
  await client.close()
})

test('told to stop, it finishes what is short, cancels what is long, and is gone within its time', async () => {
  const warehouse = await startTestWarehouse({ dataDir })
  const client = connect(warehouse)
  const long = client.query({ query: 'SELECT count() FROM numbers(1e13) WHERE cityHash64(number) % 7 = 1' })
  long.catch(() => {})
  const short = client.query({
    query: 'SELECT sum(cityHash64(number)) > 0 AS ok FROM numbers(1e8)',
    format: 'JSONEachRow',
  })
  const running = async () =>
    (
      await (
        await client.query({
          query:
            "SELECT count() AS c FROM system.processes WHERE query LIKE '%cityHash64%' AND query NOT LIKE '%processes%'",
          format: 'JSONEachRow',
        })
      ).json<{ c: number }>()
    )[0]?.c
  while ((await running()) !== 2);
  const started = performance.now()
  const stopped = warehouse.stop()
  assert.deepEqual(await (await short).json(), [{ ok: 1 }])
  await assert.rejects(long)
  await stopped
  assert.ok(performance.now() - started < 8000)
  await client.close()
  assert.ok(!readdirSync(dataDir).includes('pipes'))
})

test('more statements than may run wait, more than may wait are told, and nobody else waits for them', async () => {
  await using warehouse = await startTestWarehouse({ dataDir })
  const enough = new AbortController()
  let told = 0
  const ask = async (user: 'analyst' | 'sluice', body: string, signal?: AbortSignal) => {
    const headers = { 'x-clickhouse-user': user, 'x-clickhouse-key': warehouse.users[user] }
    const init = { method: 'POST', body, headers }
    const response = await fetch(warehouse.url, signal === undefined ? init : { ...init, signal })
    await response.text()
    return response.headers.get('x-clickhouse-exception-code')
  }
  const slow = Promise.allSettled(
    Array.from({ length: 40 }, async () => {
      const code = await ask(
        'analyst',
        'SELECT count() FROM numbers(1e13) WHERE cityHash64(number) % 7 = 1',
        enough.signal,
      )
      assert.equal(code, '202')
      told += 1
      if (told === 5) enough.abort()
    }),
  )
  // Three run, thirty-two wait. The sink has a lane of its own.
  const started = performance.now()
  assert.equal(await ask('sluice', 'INSERT INTO events SELECT number FROM numbers(10)'), null)
  assert.ok(performance.now() - started < 3000)
  const ends = await slow
  assert.equal(ends.filter(end => end.status === 'fulfilled').length, 5)
  // Those who left free their places at once.
  assert.equal(await ask('analyst', 'SELECT 1'), null)
})
