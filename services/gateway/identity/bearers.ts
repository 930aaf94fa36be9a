import type { Logger } from 'pino'
import { followKeys } from '../../io/keys/keys.ts'
import { followSigners } from '../../io/keys/signers.ts'
import { openTokenReader } from '../../io/keys/token-reader.ts'
import { openTokenSigner, type TokenSigner } from '../../io/keys/token-signer.ts'
import type { EventLog } from '../../io/log/port.ts'
import type { InForce } from '../policy/in-force.ts'
import { type Identities, openIdentities } from './identity.ts'
import { openTokens } from './tokens.ts'

/** Whoever can come in: by keys that the policy lists, by keys that were issued, and by tokens. */
export type Bearers = {
  readonly identities: Identities
  readonly signer: TokenSigner
  /** Resolves when keys can be decided by. */
  readonly keysKnown: Promise<void>
  /** Resolves when tokens of other gateways can be. */
  readonly signersKnown: Promise<void>
  /** Rejects where the log breaks: then revocations are no longer seen. */
  readonly ended: Promise<unknown>
  close(): Promise<void>
}

export type BearerFiles = {
  /** Where the issued keys are kept for a start without the shared log. */
  readonly keysFile?: string
  /** Likewise what is known of the keys of tokens. */
  readonly signersFile?: string
  /** Where the private key is kept that tokens are signed with; without it, it is one of this life alone. */
  readonly tokenKeyFile?: string
}

export function followBearers(
  log: EventLog,
  inForce: InForce,
  { keysFile, signersFile, tokenKeyFile }: BearerFiles,
  logger: Logger,
): Bearers {
  let forget = () => {}
  const following = (what: string, file: string | undefined) => ({
    changed: () => forget(),
    ...(file === undefined ? {} : { file }),
    onFault: (error: unknown) => logger.warn({ err: error }, `what is known of ${what} could not be kept`),
  })
  const issued = followKeys(log, following('keys', keysFile))
  const signers = followSigners(log, following('the keys of tokens', signersFile))
  const keys = [inForce.listed, inForce.withoutRemoved(issued)]
  const tokens = openTokens({ read: openTokenReader(signers.find), keys, removed: inForce.live.removed })
  const identities = openIdentities(keys, tokens)
  forget = identities.forget
  const ended = Promise.all([issued.ended, signers.ended])
  ended.catch(() => {}) // for whoever waits for the others
  return {
    identities,
    signer: openTokenSigner({ log, signers, ...(tokenKeyFile === undefined ? {} : { file: tokenKeyFile }) }),
    keysKnown: issued.known,
    signersKnown: signers.known,
    ended,
    async close() {
      await issued.close()
      await signers.close()
    },
  }
}
