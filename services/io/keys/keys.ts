import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { KeyOwner, KeyView } from '../../../schemas/agent-key.ts'
import { formatEventId } from '../../../schemas/envelope.ts'
import { decodeRaw, encode, type Message } from '../../../schemas/events.ts'
import { type KeyFact, keyFact } from '../../../schemas/key.ts'
import { topics } from '../../../schemas/topics.ts'
import { Fault } from '../fault.ts'
import type { EventLog } from '../log/port.ts'
import { followView } from '../log/view.ts'
import { writeOne } from '../log/write-one.ts'
import { within } from '../patience.ts'
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

/**
 * Resolves once the fact is on disk (or on all in-sync replicas). The key is told here and never again. Throws the Fault
 * `log_unavailable`.
 */
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

/** All keys that were ever issued, oldest first. Throws the Fault `log_unavailable`. */
export async function listKeys(log: EventLog): Promise<readonly KeyRow[]> {
  const view = followKeys(log)
  try {
    await within(view.caughtUp, 'did not tell the keys')
    return view.rows().sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0))
  } finally {
    await view.close()
  }
}

export type FollowedKeys = KeyView & {
  /** Resolves when it can be decided by: every key is known that was issued before, or that `file` remembers. */
  readonly known: Promise<void>
  /** Resolves when every key is known that was issued before the view began. */
  readonly caughtUp: Promise<void>
  /** Rejects where the log breaks: then revocations are no longer seen. */
  readonly ended: Promise<void>
  rows(): KeyRow[]
  close(): Promise<void>
}

export type FollowKeysOptions = {
  /** Called after each batch of facts: whatever was cached is stale then. */
  readonly changed?: () => void
  /** Where the view is kept for a start without the log; hashes stand in it, no keys. */
  readonly file?: string
  readonly onFault?: (error: unknown) => void
}

/** A live view of the issued keys. */
export function followKeys(log: EventLog, options: FollowKeysOptions = {}): FollowedKeys {
  let keys: Keys = new Map()
  let owners: ReadonlyMap<string, KeyOwner> = new Map()
  let byId: ReadonlyMap<string, KeyOwner> = new Map()
  const view = followView<Keys>({
    log,
    topic: topics.config.name,
    empty: () => new Map(),
    take,
    changed: state => {
      keys = state
      owners = ownersOf(state)
      byId = new Map([...owners.values()].map(owner => [owner.keyId, owner]))
      options.changed?.()
    },
    ...(options.file === undefined
      ? {}
      : {
          kept: {
            file: options.file,
            toJson: state => [...state.values()],
            ofJson: json =>
              new Map(
                z
                  .array(storedKey)
                  .parse(json)
                  .map(key => [key.id, key]),
              ),
            onFault: options.onFault ?? (() => {}),
          },
        }),
  })
  return {
    ...view,
    find: hash => owners.get(hash),
    byId: id => byId.get(id),
    rows: () => [...keys.values()].map(({ hash, ...row }) => row),
  }
}

const storedKey = z.object({
  id: z.string(),
  agent: z.string(),
  state: z.enum(['active', 'revoked']),
  createdAt: z.number().nullable(),
  revokedAt: z.number().nullable(),
  /** Null where compaction has left only the revocation. */
  hash: z.string().nullable(),
})
type Keys = Map<string, z.infer<typeof storedKey>>

function take(keys: Keys, message: Message): void {
  const told = read(message)
  if (told === null) return
  const { fact, time } = told
  const id = fact.key_id
  const before = keys.get(id) ?? { id, agent: '', state: 'active', createdAt: null, revokedAt: null, hash: null }
  if (fact.type === 'key.created') keys.set(id, { ...before, agent: fact.agent, createdAt: time, hash: fact.hash })
  else keys.set(id, { ...before, state: 'revoked', revokedAt: before.revokedAt ?? time })
}

const ownersOf = (keys: Keys): ReadonlyMap<string, KeyOwner> =>
  new Map(
    [...keys.values()].flatMap(({ id, agent, state, hash }) =>
      hash === null || state === 'revoked' ? [] : [[hash, { agent, keyId: id }] as const],
    ),
  )

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
  // A key has two facts in its life, so the sequence tells which one it is; told twice, it has the same id.
  const origin = { producer: `key-${fact.key_id}`, epoch: 0, sequence: fact.type === 'key.created' ? 0 : 1 }
  const time = Date.now()
  const message = encode({ id: formatEventId(origin), source: '/sluice/keys', time, ...fact }, fact.key_id)
  // A key that the log has not taken in time was told to nobody.
  await writeOne(log, topics.config, message, 'should it do so late, the list of keys shows it')
  return time
}
