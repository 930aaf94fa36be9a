import { randomBytes } from 'node:crypto'
import { formatAgentKey } from '../../../schemas/agent-key.ts'

/** Secrets that are made here: 192 bits, in letters that no shell and no URL minds. */
export const mintSecret = (): string => randomBytes(24).toString('hex')

export const mintId = (): string => randomBytes(6).toString('hex')
export const mintAgentKey = (id = mintId()): string => formatAgentKey({ id, secret: mintSecret() })
export const mintAdminToken = (): string => `sla_${mintSecret()}`
