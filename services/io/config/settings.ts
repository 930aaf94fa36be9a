import fs from 'node:fs'
import path from 'node:path'
import { Secret } from '../../../schemas/secret.ts'
import { Fault } from '../fault.ts'
import { nearest } from './nearest.ts'
import type { Environment } from './resolve.ts'

/** What the environment says about this process: where it lives and whom it talks to. */
export type Settings = {
  /** Absolute. */
  readonly dataDir: string
  /** Absolute; null where there is none and none was named. */
  readonly configFile: string | null
  readonly host: string
  readonly port: number
  readonly consolePort: number
  readonly warehousePort: number
  readonly workers: number
  readonly logLevel: LogLevel
  /** Where the CLI finds a running stack, if not by the data directory. */
  readonly url: string | null
  readonly adminToken: Secret | null
  /** Null: the log is files under the data directory. */
  readonly kafka: KafkaSettings | null
  /** Null: ClickHouse is the warehouse on `warehousePort`. */
  readonly clickhouse: ClickHouseSettings | null
  readonly warnings: readonly string[]
}
export type KafkaSettings = {
  readonly brokers: readonly string[]
  readonly ssl: boolean
  readonly sasl: { readonly mechanism: SaslMechanism; readonly username: string; readonly password: Secret } | null
}
export type ClickHouseSettings = {
  readonly url: string
  readonly user: string
  readonly password: Secret
  readonly database: string
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]
const saslMechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
export type SaslMechanism = (typeof saslMechanisms)[number]

const own = [
  'SLUICE_CONFIG',
  'SLUICE_DATA_DIR',
  'SLUICE_HOST',
  'SLUICE_PORT',
  'SLUICE_CONSOLE_PORT',
  'SLUICE_WAREHOUSE_PORT',
  'SLUICE_ADMIN_TOKEN',
  'SLUICE_WORKERS',
  'SLUICE_LOG_LEVEL',
  'SLUICE_URL',
] as const

/** Throws the Fault `config_invalid` with a sentence that names the variable. */
export function readSettings(env: Environment = process.env, cwd = process.cwd()): Settings {
  const text = (name: string): string | null => {
    const value = env[name]?.trim()
    return value === undefined || value === '' ? null : value
  }
  const whole = (name: string, otherwise: number, least: number, most: number): number => {
    const value = text(name)
    if (value === null) return otherwise
    const number = Number(value)
    if (/^\d+$/.test(value) && number >= least && number <= most) return number
    throw invalid(`${name}: expected a whole number from ${least} to ${most}, got ${JSON.stringify(value)}`)
  }
  const oneOf = <Word extends string>(name: string, words: readonly Word[], otherwise: Word): Word => {
    const value = text(name)?.toLowerCase()
    if (value === undefined) return otherwise
    const word = words.find(word => word === value)
    if (word !== undefined) return word
    throw invalid(`${name}: expected one of ${words.join(', ')}, got ${JSON.stringify(value)}`)
  }
  const url = (name: string): string | null => {
    const value = text(name)
    if (value === null || (/^https?:\/\//.test(value) && URL.canParse(value))) return value?.replace(/\/+$/, '') ?? null
    throw invalid(`${name}: expected an http:// or https:// URL`)
  }
  const port = (name: string, otherwise: number) => whole(name, otherwise, 0, 65_535)
  return {
    dataDir: path.resolve(cwd, text('SLUICE_DATA_DIR') ?? '.sluice'),
    configFile: configFile(text('SLUICE_CONFIG'), cwd),
    host: text('SLUICE_HOST') ?? '127.0.0.1',
    port: port('SLUICE_PORT', 7070),
    consolePort: port('SLUICE_CONSOLE_PORT', 7071),
    warehousePort: port('SLUICE_WAREHOUSE_PORT', 7072),
    // Each is a process with a partition of its own; the topic has twelve.
    workers: whole('SLUICE_WORKERS', 1, 1, 12),
    logLevel: oneOf('SLUICE_LOG_LEVEL', logLevels, 'info'),
    url: url('SLUICE_URL'),
    adminToken: secretOf(text('SLUICE_ADMIN_TOKEN')),
    kafka: kafkaOf(text, oneOf),
    clickhouse: clickhouseOf(url('CLICKHOUSE_URL'), text),
    warnings: mistyped(env),
  }
}

function configFile(named: string | null, cwd: string): string | null {
  const file = path.resolve(cwd, named ?? 'sluice.yaml')
  if (fs.existsSync(file)) return file
  if (named === null) return null
  throw invalid(`SLUICE_CONFIG names ${file}, which is not there`)
}

type Text = (name: string) => string | null
type OneOf = <Word extends string>(name: string, words: readonly Word[], otherwise: Word) => Word

function kafkaOf(text: Text, oneOf: OneOf): KafkaSettings | null {
  const list = text('KAFKA_BROKERS')
  if (list === null) return null
  const brokers = list.split(',').map(broker => broker.trim())
  const wrong = brokers.find(broker => !/^[^\s:/]+:\d{1,5}$|^\[[0-9a-f:]+\]:\d{1,5}$/i.test(broker))
  if (wrong !== undefined) throw invalid(`KAFKA_BROKERS: expected host:port,host:port, got ${JSON.stringify(wrong)}`)
  const username = text('KAFKA_SASL_USERNAME')
  const password = text('KAFKA_SASL_PASSWORD')
  if ((username === null) !== (password === null))
    throw invalid('KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: expected both or neither')
  return {
    brokers,
    ssl: oneOf('KAFKA_SSL', ['true', 'false', '1', '0'], 'false').match(/true|1/) !== null,
    sasl:
      username === null || password === null
        ? null
        : {
            mechanism: oneOf('KAFKA_SASL_MECHANISM', saslMechanisms, 'plain'),
            username,
            password: new Secret(password),
          },
  }
}

function clickhouseOf(given: string | null, text: Text): ClickHouseSettings | null {
  if (given === null) return null
  const url = new URL(given)
  const user = text('CLICKHOUSE_USER') ?? (decodeURIComponent(url.username) || 'default')
  const password = text('CLICKHOUSE_PASSWORD') ?? decodeURIComponent(url.password)
  // A password in the URL would travel into logs with it.
  url.username = ''
  url.password = ''
  return {
    url: url.toString().replace(/\/+$/, ''),
    user,
    password: new Secret(password),
    database: text('CLICKHOUSE_DATABASE') ?? 'sluice',
  }
}

/** A variable that is nearly one of ours was meant to be it. */
function mistyped(env: Environment): readonly string[] {
  return Object.keys(env).flatMap(name => {
    if (!name.startsWith('SLUICE_') || own.some(known => known === name)) return []
    const near = nearest(bare(name), own.map(bare))
    return near === null ? [] : [`${name} is not a variable of Sluice; did you mean SLUICE_${near}?`]
  })
}

const bare = (name: string): string => name.slice('SLUICE_'.length)
const secretOf = (text: string | null): Secret | null => (text === null ? null : new Secret(text))
const invalid = (message: string): Fault => new Fault('config_invalid', message)
