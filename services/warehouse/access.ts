import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { refusal } from './exception.ts'

export type User = 'sluice' | 'analyst'
export type Users = { readonly sluice: string; readonly analyst: string }

/**
 * Who asks: headers, then basic auth, then the URL, as on a server. Throws AUTHENTICATION_FAILED without saying
 * which of name and password was wrong, REQUIRED_PASSWORD (401) where there is neither.
 */
export function authenticate(users: Users, headers: IncomingHttpHeaders, query: URLSearchParams): User {
  const claim = fromHeaders(headers) ?? fromBasic(headers) ?? fromQuery(query)
  if (claim === undefined) throw refusal('REQUIRED_PASSWORD', 'default: Authentication failed: password is required')
  const user = claim.name === 'sluice' || claim.name === 'analyst' ? claim.name : undefined
  // Compared in any case, so that an unknown name takes as long as a wrong password.
  const right = sameSecret(claim.password, users[user ?? 'sluice'])
  if (user !== undefined && right) return user
  throw refusal(
    'AUTHENTICATION_FAILED',
    `${claim.name}: Authentication failed: password is incorrect, or there is no user with such name`,
  )
}

type Claim = { readonly name: string; readonly password: string }

function fromHeaders(headers: IncomingHttpHeaders): Claim | undefined {
  const name = headers['x-clickhouse-user']
  const password = headers['x-clickhouse-key']
  if (name === undefined && password === undefined) return undefined
  return { name: String(name ?? 'default'), password: String(password ?? '') }
}

function fromBasic({ authorization }: IncomingHttpHeaders): Claim | undefined {
  const encoded = /^basic\s+(\S+)$/i.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const pair = Buffer.from(encoded, 'base64').toString()
  const colon = pair.indexOf(':')
  return colon < 0 ? { name: pair, password: '' } : { name: pair.slice(0, colon), password: pair.slice(colon + 1) }
}

function fromQuery(query: URLSearchParams): Claim | undefined {
  if (!query.has('user') && !query.has('password')) return undefined
  return { name: query.get('user') ?? 'default', password: query.get('password') ?? '' }
}

function sameSecret(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}
