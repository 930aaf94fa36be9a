import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import { createSigner } from 'fast-jwt'
import { z } from 'zod'
import { type TokenClaims, tokenForm } from '../../../schemas/token.ts'
import { replaceFile } from '../epoch.ts'
import type { EventLog } from '../log/port.ts'
import { within } from '../patience.ts'
import { type FollowedSigners, publishSigner, signerIdOf } from './signers.ts'

/** Signs tokens with this directory's key. */
export type TokenSigner = {
  /** Resolves once whoever follows the log can verify what it gives. Throws the Fault `log_unavailable`. */
  ready(): Promise<(claims: TokenClaims) => string>
}

/** A key that leaks unseen is of use for so long; another one costs a record on the log. */
const lifeMs = 90 * 86_400_000
/** Another one is made while what the old one signs can still live to its end, and a day is more than any token lives. */
const renewMs = 86_400_000

/** @param options.file where the private key is kept (mode 0600); without it, it is one of this life alone. */
export function openTokenSigner(options: {
  readonly log: EventLog
  readonly signers: FollowedSigners
  readonly file?: string
}): TokenSigner {
  const { log, signers, file } = options
  let own: OwnKey | null = null
  let making: Promise<OwnKey> | null = null

  const isGood = (key: OwnKey): boolean => key.expiresAt - renewMs > Date.now() && !signers.isRevoked(key.id)
  const make = async (): Promise<OwnKey> => {
    const stored = file === undefined ? null : readKey(file)
    const key = stored !== null && isGood(stored) ? stored : freshKey(file)
    if (signers.find(key.id) === undefined) await publishSigner(log, key.publicKey, key.expiresAt)
    // Others read what we read: a token is not given to be refused next door.
    await within(signers.seen(key.id), 'did not tell the key of the tokens')
    return key
  }
  return {
    async ready() {
      if (own === null || !isGood(own)) {
        making ??= make().finally(() => {
          making = null
        })
        own = await making
      }
      return own.sign
    },
  }
}

type OwnKey = {
  readonly id: string
  readonly publicKey: string
  readonly expiresAt: number
  readonly sign: (claims: TokenClaims) => string
}

const stored = z.object({ privateKey: z.string(), expiresAt: z.number() })

/** Processes of one directory that make theirs at the same moment both publish it; the file keeps one of them. */
function freshKey(file: string | undefined): OwnKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  const expiresAt = Date.now() + lifeMs
  if (file !== undefined) {
    const text: z.infer<typeof stored> = { privateKey: pemOf(privateKey), expiresAt }
    replaceFile(file, `${JSON.stringify(text, null, 2)}\n`, 0o600)
  }
  return ownKey(privateKey, expiresAt)
}

/** Null where there is none, or none that can be read: what it has signed can be verified all the same. */
function readKey(file: string): OwnKey | null {
  try {
    const { privateKey, expiresAt } = stored.parse(JSON.parse(fs.readFileSync(file, 'utf8')))
    return ownKey(createPrivateKey(privateKey), expiresAt)
  } catch {
    return null
  }
}

function ownKey(privateKey: KeyObject, expiresAt: number): OwnKey {
  const { x } = z.object({ x: z.string() }).parse(createPublicKey(privateKey).export({ format: 'jwk' }))
  const id = signerIdOf(x)
  const header = { alg: 'EdDSA', typ: tokenForm }
  const sign = createSigner({ key: pemOf(privateKey), algorithm: 'EdDSA', kid: id, header })
  return { id, publicKey: x, expiresAt, sign }
}

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
