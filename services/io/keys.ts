import { createHash } from 'node:crypto'
import type { KeyOwner, KeyView } from '../../schemas/agent-key.ts'
import { formatEventId } from '../../schemas/envelope.ts'
import { decodeRaw, encode, type Message } from '../../schemas/events.ts'
import { type KeyFact, keyFact } from '../../schemas/key.ts'
import { topics } from '../../schemas/topics.ts'
import { Fault } from './fault.ts'
import type { EventLog } from './log/port.ts'
import { mintAgentKey, mintId } from './mint.ts'

/**
 * Agents' keys are facts on `sluice.config`: `key.created` with the hash of the key, `key.revoked`. A key is revoked for
 * good: whatever else is said of its id, before or after, does not bring it back.
 */
export type KeyRow = {
  readonly id: string
  /** Empty where compaction has left only the revocation. */
  readonly agent: string
  readonly state: 'active' | 'revoked'
  /** Unix milliseconds. */
  readonly createdAt: number | null
  readonly revokedAt: number | null
}

/** SHA-256 in hex of the whole key, as the client sends it. */
export const hashOfKey = (key: string): string => createHash('sha256').update(key).digest('hex')

/** Resolves once the fact is on disk (or on all in-sync replicas). The key is told here and never again. */
export async function createKey(log: EventLog, agent: string): Promise<{ readonly id: string; readonly key: string }> {
  if (!/^[\w.@:-]{1,128}$/.test(agent))
    throw new Fault('invalid_agent', 'An agent has a name of up to 128 letters, digits, dots and dashes.')
  const id = mintId()
  const key = mintAgentKey(id)
  await write(log, { type: 'key.created', key_id: id, agent, hash: hashOfKey(key) })
  return { id, key }
}

/** Null where there is no such key. */
export async function revokeKey(log: EventLog, id: string): Promise<KeyRow | null> {
  const row = (await listKeys(log)).find(key => key.id === id)
  if (row === undefined) return null
  if (row.state === 'revoked') return row
  const revokedAt = await write(log, { type: 'key.revoked', key_id: id })
  return { ...row, state: 'revoked', revokedAt }
}

/** All keys that were ever issued, oldest first. */
export async function listKeys(log: EventLog): Promise<readonly KeyRow[]> {
  const view = followKeys(log)
  try {
    await view.caughtUp
    return view.rows().sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0))
  } finally {
    await view.close()
  }
}

export type FollowedKeys = KeyView & {
  /** Resolves when every key is known that was issued before the view began. */
  readonly caughtUp: Promise<void>
  /** Rejects where the log breaks: then revocations are no longer seen. */
  readonly ended: Promise<void>
  rows(): KeyRow[]
  close(): Promise<void>
}

/** A live view of the issued keys. `changed` is called after each batch of facts: whatever was cached is stale then. */
export function followKeys(log: EventLog, changed: () => void = () => {}): FollowedKeys {
  const rows = new Map<string, KeyRow>()
  const owners = new Map<string, KeyOwner>()
  const hashes = new Map<string, string>()
  const follower = log.follow(topics.config.name, {
    from: 'earliest',
    onBatch: batch => {
      for (const record of batch.records) {
        const told = read(record)
        if (told === null) continue
        const { fact, time } = told
        const id = fact.key_id
        const before = rows.get(id) ?? { id, agent: '', state: 'active', createdAt: null, revokedAt: null }
        if (fact.type === 'key.created') {
          rows.set(id, { ...before, agent: fact.agent, createdAt: time })
          hashes.set(id, fact.hash)
          if (before.state === 'active') owners.set(fact.hash, { agent: fact.agent, keyId: id })
        } else {
          rows.set(id, { ...before, state: 'revoked', revokedAt: before.revokedAt ?? time })
          owners.delete(hashes.get(id) ?? '')
        }
      }
      changed()
    },
  })
  return {
    caughtUp: follower.caughtUp,
    ended: follower.ended,
    find: hash => owners.get(hash),
    rows: () => [...rows.values()],
    close: () => follower.close(),
  }
}

/** Null for what is not about keys: the topic holds other objects too. */
function read(message: Message): { readonly fact: KeyFact; readonly time: number } | null {
  try {
    const raw = decodeRaw(message)
    const parsed = keyFact.safeParse(raw)
    return parsed.success ? { fact: parsed.data, time: raw.time } : null
  } catch {
    return null // a record that is no JSON is none of ours
  }
}

/** Gives the time under which the fact was written. */
async function write(log: EventLog, fact: KeyFact): Promise<number> {
  await log.ensure([topics.config])
  const writer = await log.writer(topics.config.name)
  try {
    // A key has two facts in its life, so the sequence tells which one it is; told twice, it has the same id.
    const origin = { producer: `key-${fact.key_id}`, epoch: 0, sequence: fact.type === 'key.created' ? 0 : 1 }
    const time = Date.now()
    const message = encode({ id: formatEventId(origin), source: '/sluice/keys', time, ...fact }, fact.key_id)
    await new Promise<void>((resolve, reject) =>
      writer.append(message, fault => (fault === null ? resolve() : reject(fault))),
    )
    await writer.flush()
    return time
  } finally {
    await writer.close()
  }
}
