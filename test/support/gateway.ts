import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { stringify } from 'yaml'
import { decode, type Event } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { type Gateway, startGateway } from '../../services/gateway/gateway.ts'
import { parseConfig } from '../../services/io/config/config.ts'
import { nextLife } from '../../services/io/epoch.ts'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { until } from './until.ts'

/** A gateway in this process, on a real socket and a real file log in a directory of its own. */
export type TestGateway = {
  readonly url: string
  readonly port: number
  readonly key: string
  readonly adminToken: string
  readonly log: EventLog
  readonly dataDir: string
  readonly gateway: Gateway
  /** All facts that the log has, once `enough` of them satisfy. */
  facts(enough?: (events: readonly Event[]) => boolean): Promise<readonly Event[]>
  close(): Promise<void>
}

export type GatewayTestOptions = {
  /** What `sluice.yaml` says, `agents` apart from the tester's own. */
  readonly config?: Record<string, unknown>
  /** What the configuration finds in its environment: nothing, unless it is given. */
  readonly env?: Readonly<Record<string, string>>
  /** A data directory that another life has used. */
  readonly dataDir?: string
  readonly key?: string
  readonly logMaxBytes?: number
  /** Takes every line that the gateway logs, at every level and unmasked: a key must not even come as far as the mask. */
  readonly logged?: string[]
}

export async function startTestGateway(t: TestContext, options: GatewayTestOptions = {}): Promise<TestGateway> {
  const dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-gateway-'))
  const key = options.key ?? mintAgentKey()
  const given = options.config ?? {}
  const agents = { tester: { keys: [`sha256:${hashOfKey(key)}`] }, ...(given['agents'] as object | undefined) }
  const config = parseConfig(stringify({ ...given, agents }), null, options.env ?? {})
  const log = openFileLog({
    dir: path.join(dataDir, 'log'),
    ...(options.logMaxBytes === undefined ? {} : { maxBytes: options.logMaxBytes }),
  })
  await log.ensure(Object.values(topics))
  const adminToken = 'admin-token-of-the-test'
  const gateway = await startGateway({
    config,
    host: '127.0.0.1',
    port: 0,
    log,
    at: { topic: topics.events.name, partition: 0 },
    shared: log,
    adminToken,
    tokenKeyFile: path.join(dataDir, 'token-key.json'),
    life: nextLife(dataDir, 'gateway', 0),
    nextLife: () => nextLife(dataDir, 'gateway', 0),
    ledgerOwners: 1,
    logger: loggerInto(options.logged),
  })
  let closed = false
  const close = async () => {
    if (closed) return
    closed = true
    await gateway.close(1_000)
    await log.close()
  }
  t.after(async () => {
    await close()
    if (options.dataDir === undefined) fs.rmSync(dataDir, { recursive: true, force: true })
  })
  return {
    url: `http://127.0.0.1:${gateway.port}`,
    port: gateway.port,
    key,
    adminToken,
    log,
    dataDir,
    gateway,
    facts: enough => factsOf(log, enough),
    close,
  }
}

const loggerInto = (logged: string[] | undefined) =>
  logged === undefined
    ? pino({ level: 'silent' })
    : pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) })

async function factsOf(
  log: EventLog,
  enough: (events: readonly Event[]) => boolean = () => true,
): Promise<readonly Event[]> {
  const events: Event[] = []
  const follower = log.follow(topics.events.name, {
    from: 'earliest',
    onBatch: batch => {
      for (const record of batch.records) {
        const read = decode(record)
        if ('unreadable' in read) throw new Error(`an event cannot be read: ${read.unreadable}`)
        events.push(read.event)
      }
    },
  })
  try {
    await follower.caughtUp
    await until('the facts', () => enough(events))
    return events
  } finally {
    await follower.close()
  }
}

export type Answer = {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  /** The answer ended as HTTP wants it to. */
  readonly complete: boolean
}

/** One request, with nothing added, retried or hidden. */
export function send(
  url: string,
  options: {
    readonly method?: string
    readonly headers?: Record<string, string>
    readonly body?: string | Buffer
    /** Leaves once this is true of what has arrived. */
    readonly leaveWhen?: (sofar: string) => boolean
    readonly timeoutMs?: number
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body } = options
    const headers = {
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
      ...options.headers,
    }
    const req = http.request(
      url,
      { method: options.method ?? (body === undefined ? 'GET' : 'POST'), headers, agent: false },
      res => {
        const chunks: Buffer[] = []
        const done = () => {
          clearTimeout(timer)
          const whole = Buffer.concat(chunks)
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            body: whole,
            text: whole.toString(),
            complete: res.complete,
          })
        }
        res.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          if (options.leaveWhen?.(Buffer.concat(chunks).toString())) {
            req.destroy()
            done()
          }
        })
        res.on('end', done)
        res.on('error', done)
      },
    )
    const timer = setTimeout(() => {
      req.destroy()
      reject(new Error(`no end within ${options.timeoutMs ?? 10_000} ms`))
    }, options.timeoutMs ?? 10_000)
    req.on('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    req.end(body)
  })
}

/** The events of a stream, as parsed `data` lines. */
export const sse = (text: string): unknown[] =>
  text
    .split(/\r?\n/)
    .filter(line => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map(line => JSON.parse(line.slice(6)))

/** What stands at a path of a JSON value, undefined where it leads nowhere. */
export const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<string | number, unknown>)[key] : undefined,
    value,
  )
