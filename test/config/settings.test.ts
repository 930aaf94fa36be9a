import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { readSettings } from '../../services/io/config/settings.ts'

const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-settings-'))
test.after(() => fs.rmSync(cwd, { recursive: true }))
const read = (env: Record<string, string>) => readSettings(env, cwd)

test('an empty environment gives the documented defaults', () => {
  const settings = read({})
  assert.deepEqual(settings, {
    dataDir: path.join(cwd, '.sluice'),
    configFile: null,
    host: '127.0.0.1',
    port: 7070,
    consolePort: 7071,
    warehousePort: 7072,
    workers: 1,
    logLevel: 'info',
    url: null,
    adminToken: null,
    kafka: null,
    clickhouse: null,
    warnings: [],
  })
})

test('sluice.yaml in the directory is found by itself', () => {
  fs.writeFileSync(path.join(cwd, 'sluice.yaml'), '')
  assert.equal(read({}).configFile, path.join(cwd, 'sluice.yaml'))
})

const mistakes: readonly (readonly [Record<string, string>, string])[] = [
  [{ SLUICE_PORT: 'http' }, 'SLUICE_PORT: expected a whole number from 0 to 65535, got "http"'],
  [{ SLUICE_WORKERS: '0' }, 'SLUICE_WORKERS: expected a whole number from 1 to 12, got "0"'],
  [
    { SLUICE_LOG_LEVEL: 'loud' },
    'SLUICE_LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent, got "loud"',
  ],
  [{ CLICKHOUSE_URL: 'ch:9000' }, 'CLICKHOUSE_URL: expected an http:// or https:// URL'],
  [{ KAFKA_BROKERS: 'one:9092,two' }, 'KAFKA_BROKERS: expected host:port,host:port, got "two"'],
  [
    { KAFKA_BROKERS: 'one:9092', KAFKA_SASL_USERNAME: 'u' },
    'KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: expected both or neither',
  ],
  [{ SLUICE_CONFIG: 'gone.yaml' }, `SLUICE_CONFIG names ${path.join(cwd, 'gone.yaml')}, which is not there`],
]
for (const [env, message] of mistakes)
  test(`a wrong ${Object.keys(env).at(-1)} is told by name`, () =>
    assert.throws(() => read(env), { code: 'config_invalid', message }))

test('KAFKA_BROKERS and CLICKHOUSE_URL select the adapters, with their credentials apart from the address', () => {
  const settings = read({
    KAFKA_BROKERS: 'one:9092, two:9092',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: 'p',
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SSL: 'true',
    CLICKHOUSE_URL: 'http://someone:pass%2Fword@127.0.0.1:8123/',
  })
  assert.deepEqual(settings.kafka?.brokers, ['one:9092', 'two:9092'])
  assert.equal(settings.kafka?.ssl, true)
  assert.equal(settings.kafka?.sasl?.mechanism, 'scram-sha-512')
  assert.equal(settings.clickhouse?.url, 'http://127.0.0.1:8123')
  assert.deepEqual([settings.clickhouse?.user, settings.clickhouse?.password.reveal()], ['someone', 'pass/word'])
  assert.ok(!JSON.stringify(settings).includes('pass/word'))
})

test('a variable that is nearly one of ours is pointed out', () => {
  assert.deepEqual(read({ SLUICE_PROT: '1', SLUICE_TEST_KAFKA: '1' }).warnings, [
    'SLUICE_PROT is not a variable of Sluice; did you mean SLUICE_PORT?',
  ])
})
