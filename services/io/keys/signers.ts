import { createHash, createPublicKey } from 'node:crypto'
import { z } from 'zod'
import { formatEventId } from '../../../schemas/envelope.ts'
import { decodeRaw, encode, type Message } from '../../../schemas/events.ts'
import { type SignerFact, signerFact, signerId, signerKey } from '../../../schemas/signer.ts'
import { topics } from '../../../schemas/topics.ts'
import type { EventLog } from '../log/port.ts'
import { followView, type View } from '../log/view.ts'
import { writeOne } from '../log/write-one.ts'
import { within } from '../patience.ts'

/**
 * The keys that tokens are signed with, as `sluice.config` tells of them. Like an agent's key, one that is revoked stays
 * so, whatever else is said of it.
 */
export type Signer = {
  readonly id: string
  /** PEM. */
  readonly publicKey: string
  /** Unix milliseconds. */
  readonly expiresAt: number
}

export type FollowedSigners = View & {
  /** One that counts now. */
  find(id: string): Signer | undefined
  isRevoked(id: string): boolean
  /** Resolves when it is known here. Never where it does not come. */
  seen(id: string): Promise<void>
}

export type FollowSignersOptions = {
  /** Called after each batch of facts: tokens that were remembered may be void. */
  readonly changed?: () => void
  /** Where the view is kept for a start without the log. */
  readonly file?: string
  readonly onFault?: (error: unknown) => void
}

/** Keys of agents have shorter ids. */
export const isSignerId = (text: string): boolean => signerId.safeParse(text).success

export const signerIdOf = (publicKey: string): string =>
  createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex').slice(0, 32)

export function followSigners(log: EventLog, options: FollowSignersOptions = {}): FollowedSigners {
  let known: Known = new Map()
  const waiting = new Map<string, () => void>()
  const view = followView<Known>({
    log,
    topic: topics.config.name,
    empty: () => new Map(),
    take,
    changed(state) {
      known = state
      for (const [id, tell] of waiting) if (known.has(id) && waiting.delete(id)) tell()
      options.changed?.()
    },
    ...(options.file === undefined
      ? {}
      : {
          kept: {
            file: options.file,
            toJson: state => [...state],
            ofJson: json => new Map(kept.parse(json)),
            onFault: options.onFault ?? (() => {}),
          },
        }),
  })
  return {
    ...view,
    find(id) {
      const signer = known.get(id)
      return signer == null || signer.expiresAt <= Date.now() ? undefined : signer
    },
    isRevoked: id => known.get(id) === null,
    async seen(id) {
      if (known.has(id)) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const before = waiting.get(id)
      waiting.set(id, () => {
        before?.()
        resolve()
      })
      await promise
    },
  }
}

/** By id; null is one that was revoked. */
type Known = Map<string, Signer | null>
const kept = z.array(
  z.tuple([z.string(), z.object({ id: z.string(), publicKey: z.string(), expiresAt: z.number() }).nullable()]),
)

function take(known: Known, message: Message): void {
  const fact = read(message)
  if (fact === null) return
  const id = fact.signer_id
  if (fact.type === 'signer.revoked') known.set(id, null)
  // One that expired long ago, or that names itself after another, is not even remembered.
  else if (known.get(id) !== null && fact.expires_at > Date.now() && signerIdOf(fact.public_key) === id)
    known.set(id, { id, publicKey: pemOf(fact.public_key), expiresAt: fact.expires_at })
}

const pemOf = (x: string): string =>
  createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    .export({ type: 'spki', format: 'pem' })
    .toString()

/** Null for what is not about signers: the topic holds other objects too. */
function read(message: Message): SignerFact | null {
  try {
    return signerFact.safeParse(decodeRaw(message)).data ?? null
  } catch {
    return null // a record that is no JSON is none of ours
  }
}

/** Resolves once it is on disk (or on all in-sync replicas). Throws the Fault `log_unavailable`. */
export function publishSigner(log: EventLog, publicKey: string, expiresAt: number): Promise<void> {
  const fact = { type: 'signer.created', signer_id: signerIdOf(publicKey), public_key: publicKey } as const
  return write(log, { ...fact, expires_at: expiresAt })
}

/** Whatever it has signed counts nowhere any more. False where there is no such signer. */
export async function revokeSigner(log: EventLog, id: string): Promise<boolean> {
  const view = followSigners(log)
  try {
    await within(view.caughtUp, 'did not tell the signers')
    if (view.isRevoked(id)) return true
    if (view.find(id) === undefined) return false
  } finally {
    await view.close()
  }
  await write(log, { type: 'signer.revoked', signer_id: id })
  return true
}

function write(log: EventLog, fact: SignerFact): Promise<void> {
  // Told twice, by two processes of one directory, it has the same id.
  const origin = { producer: `signer-${fact.signer_id}`, epoch: 0, sequence: fact.type === 'signer.created' ? 0 : 1 }
  const event = { id: formatEventId(origin), source: '/sluice/signers', time: Date.now(), ...fact }
  return writeOne(log, topics.config, encode(event, signerKey(fact.signer_id)), 'another try tells whether it did')
}
