import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { stringify } from 'yaml'
import { decode, type Event } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { startEnforcer } from '../../services/enforcer/enforcer.ts'
import { openSnapshots } from '../../services/enforcer/snapshots.ts'
import { type Gateway, startGateway } from '../../services/gateway/gateway.ts'
import { parseConfig } from '../../services/io/config/config.ts'
import { nextLife } from '../../services/io/epoch.ts'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { send } from '../support/gateway.ts'
import { until } from '../support/until.ts'

/** Some gateways and an enforcer on one log in a directory, as processes of one machine are. */
export type Fleet = {
  readonly log: EventLog
  readonly key: string
  readonly otherKey: string
  readonly urls: readonly string[]
  /** Asks the nth gateway, with the admin token unless a key is given. */
  ask(path: string, options?: Ask): Promise<Told>
  /** A model call under these headers. */
  call(run: string | null, options?: CallOptions): ReturnType<typeof send>
  /** All gateways end and begin again. */
  restart(): Promise<void>
}
export type Told = { readonly status: number; readonly json: Record<string, unknown>; readonly text: string }
type Ask = { readonly key?: string; readonly body?: object; readonly at?: number; readonly method?: string }
type CallOptions = {
  readonly at?: number
  readonly key?: string
  readonly headers?: Record<string, string>
  readonly body?: object
  readonly route?: string
  readonly leaveWhen?: (sofar: string) => boolean
}

export const adminToken = 'admin-token-of-the-test'

export async function startFleet(
  t: TestContext,
  options: {
    readonly gateways?: number
    readonly config?: Record<string, unknown>
    readonly enforcer?: boolean
    /** To whom the tester may delegate. */
    readonly mayDelegateTo?: readonly string[]
  } = {},
): Promise<Fleet> {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-fleet-'))
  const [key, otherKey] = [mintAgentKey(), mintAgentKey()]
  const agents = {
    tester: { keys: [`sha256:${hashOfKey(key)}`], mayDelegateTo: options.mayDelegateTo ?? [] },
    other: { keys: [`sha256:${hashOfKey(otherKey)}`] },
  }
  const config = parseConfig(stringify({ ...options.config, agents }), null, {})
  const log = openFileLog({ dir: path.join(dataDir, 'log') })
  await log.ensure(Object.values(topics))
  const count = options.gateways ?? 1
  const start = (slot: number): Promise<Gateway> =>
    startGateway({
      config,
      host: '127.0.0.1',
      port: 0,
      log,
      at: { topic: topics.events.name, partition: slot },
      shared: log,
      adminToken,
      life: nextLife(dataDir, 'gateway', slot),
      nextLife: () => nextLife(dataDir, 'gateway', slot),
      ledgerOwners: 1,
      peers: count > 1,
      logger: pino({ level: 'silent' }),
    })
  const startAll = () => Promise.all(Array.from({ length: count }, (_, slot) => start(slot)))
  let gateways = await startAll()
  const enforcer =
    options.enforcer === false
      ? null
      : await startEnforcer({
          log,
          life: nextLife(dataDir, 'enforcer', 0),
          config,
          settings: { termMs: 60_000, marginMs: 5_000, keepsLease: false },
          owners: 'one',
          snapshots: openSnapshots(path.join(dataDir, 'enforcer')),
          logger: pino({ level: 'silent' }),
        })
  t.after(async () => {
    await Promise.all(gateways.map(gateway => gateway.close(500)))
    await enforcer?.close()
    await log.close()
    fs.rmSync(dataDir, { recursive: true, force: true })
  })
  const url = (at: number) => `http://127.0.0.1:${gateways[at]?.port}`
  return {
    log,
    key,
    otherKey,
    get urls() {
      return gateways.map((_, at) => url(at))
    },
    async ask(route, { key: given = adminToken, body, at = 0, method } = {}) {
      const answer = await send(`${url(at)}${route}`, {
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(method === undefined ? {} : { method }),
        headers: { authorization: `Bearer ${given}` },
      })
      return { status: answer.status, text: answer.text, json: JSON.parse(answer.text || '{}') }
    },
    call: (run, { at = 0, key: given = key, headers, body, route = '/v1/chat/completions', leaveWhen } = {}) =>
      send(`${url(at)}${route}`, {
        body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'hi' }], ...body }),
        headers: { authorization: `Bearer ${given}`, ...(run === null ? {} : { 'x-sluice-run-id': run }), ...headers },
        ...(leaveWhen === undefined ? {} : { leaveWhen }),
      }),
    async restart() {
      await Promise.all(gateways.map(gateway => gateway.close(500)))
      gateways = await startAll()
    },
  }
}

/** The code of a refusal, in whatever shape. */
export const codeOf = (text: string): string | undefined => /"code":\s*"(\w+)"/.exec(text)?.[1]

/** What stands on the log of a kind, once there is as much of it. */
export async function factsOf(
  log: EventLog,
  count: number,
  isOne: (event: Event) => boolean,
): Promise<readonly Event[]> {
  let found: readonly Event[] = []
  await until(`${count} facts`, async () => {
    found = (await eventsOf(log)).filter(isOne)
    return found.length >= count
  })
  return found
}

/** All that was said so far. */
export async function eventsOf(log: EventLog): Promise<readonly Event[]> {
  const events: Event[] = []
  const follower = log.follow(topics.events.name, {
    from: 'earliest',
    onBatch: ({ records }) => {
      for (const record of records) {
        const read = decode(record)
        if ('unreadable' in read) throw new Error(read.unreadable)
        events.push(read.event)
      }
    },
  })
  await follower.caughtUp
  await follower.close()
  return events
}
