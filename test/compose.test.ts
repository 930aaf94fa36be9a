import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { readSettings } from '../services/io/config/config.ts'
import { roles } from '../services/supervisor/plan.ts'

const root = path.join(import.meta.dirname, '..')
const compose = parse(fs.readFileSync(path.join(root, 'docker-compose.yml'), 'utf8'), { merge: true })
type Service = {
  readonly image: string
  readonly command?: readonly string[]
  readonly environment: Record<string, string>
  readonly ports?: readonly string[]
}
const services = Object.entries<Service>(compose.services)
const own = services.filter(([, service]) => service.image === 'sluice')

test('docker compose runs Kafka, ClickHouse, two gateways and the roles behind them, each by a name that the CLI knows', () => {
  const started = own.map(([, { command = [] }]) => command)
  for (const [verb, ...names] of started) {
    assert.equal(verb, 'start')
    for (const name of names)
      assert.ok(
        roles.some(role => role === name),
        `${name} is no role`,
      )
  }
  assert.equal(started.filter(command => command.includes('gateway')).length, 2)
  assert.ok(started.some(command => command.includes('sink') && command.includes('enforcer')))
  assert.ok(compose.services.kafka.image.startsWith('apache/kafka:4.'))
  assert.ok(compose.services.clickhouse.image.startsWith('clickhouse/clickhouse-server:'))
})

test('the environment that docker compose gives is one that the program takes', () => {
  for (const [name, service] of own) {
    const env = Object.fromEntries(
      Object.entries(service.environment).map(([key, value]) => [key, value.replace(/\$\{[^}]*\}/, 'x')]),
    )
    const settings = readSettings(env, '/')
    assert.deepEqual(settings.kafka?.brokers, ['kafka:9092'], name)
    assert.equal(settings.clickhouse?.url, 'http://clickhouse:8123', name)
    assert.deepEqual(settings.warnings, [], name)
  }
})

test('nothing is offered beyond this machine', () => {
  for (const [name, { ports = [] }] of services) for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name)
})

test('the image is made of what the program needs, and every file it copies is there', () => {
  const lines = fs.readFileSync(path.join(root, 'Dockerfile'), 'utf8').split('\n')
  const copied = lines.filter(line => /^COPY (?!--)/.test(line)).flatMap(line => line.split(/\s+/).slice(1, -1))
  for (const file of copied) assert.ok(fs.existsSync(path.join(root, file)), file)
  assert.ok(copied.includes('services') && copied.includes('schemas'))
})
