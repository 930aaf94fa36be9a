import fs from 'node:fs'
import path from 'node:path'
import { Secret } from '../../../schemas/secret.ts'
import type { Settings } from '../config/settings.ts'
import { replaceFile } from '../epoch.ts'
import { Fault, textOf } from '../fault.ts'
import { mintAdminToken, mintAgentKey, mintSecret } from './mint.ts'

/** What a first start makes and every later one uses again. */
export type Credentials = {
  readonly adminToken: Secret
  /** The quick start's key, of the agent `quickstart`. */
  readonly agentKey: Secret
  readonly warehouse: { readonly sluice: Secret; readonly analyst: Secret }
}

export const quickstartAgent = 'quickstart'

/** As it stands in `<data dir>/credentials.json`. Without `adminToken` where the environment has always given one. */
type Stored = {
  readonly adminToken?: string
  readonly agentKey: string
  readonly warehouse: { readonly sluice: string; readonly analyst: string }
}

/** Reads them, making what is missing. `made`: which of them were made just now and so are to be told once. */
export function openCredentials(settings: Pick<Settings, 'dataDir' | 'adminToken'>): {
  readonly credentials: Credentials
  readonly made: readonly ('adminToken' | 'agentKey')[]
} {
  // 0700: the directory holds what agents said.
  fs.mkdirSync(settings.dataDir, { recursive: true, mode: 0o700 })
  const file = fileIn(settings.dataDir)
  const before = read(file)
  const adminToken = settings.adminToken === null ? { adminToken: before?.adminToken ?? mintAdminToken() } : {}
  const stored: Stored = before === null ? make(file, adminToken) : { ...before, ...adminToken }
  const isNew = stored.adminToken !== undefined && stored.adminToken !== before?.adminToken
  if (before !== null && isNew) replaceFile(file, `${JSON.stringify(stored, null, 2)}\n`, 0o600)
  const made = [...(isNew ? ['adminToken' as const] : []), ...(before === null ? ['agentKey' as const] : [])]
  return { credentials: revealed(stored, settings.adminToken), made }
}

/** Null where the data directory has none: nothing was ever started on it. */
export function readCredentials(settings: Pick<Settings, 'dataDir' | 'adminToken'>): Credentials | null {
  const stored = read(fileIn(settings.dataDir))
  if (stored === null) return null
  return revealed(stored, settings.adminToken)
}

function revealed(stored: Stored, given: Secret | null): Credentials {
  return {
    // Where neither the file nor the environment has one, nobody is admin: a token that was never told opens nothing.
    adminToken: given ?? new Secret(stored.adminToken ?? mintAdminToken()),
    agentKey: new Secret(stored.agentKey),
    warehouse: { sluice: new Secret(stored.warehouse.sluice), analyst: new Secret(stored.warehouse.analyst) },
  }
}

/** Of several processes that start together on a new directory, one makes the file and the others read it. */
function make(file: string, adminToken: Pick<Stored, 'adminToken'>): Stored {
  const fresh: Stored = {
    ...adminToken,
    agentKey: mintAgentKey(),
    warehouse: { sluice: mintSecret(), analyst: mintSecret() },
  }
  const mine = `${file}.${process.pid}`
  fs.writeFileSync(mine, `${JSON.stringify(fresh, null, 2)}\n`, { mode: 0o600, flush: true })
  try {
    fs.linkSync(mine, file)
    return fresh
  } catch (error) {
    const theirs = read(file)
    if (theirs === null) throw error
    return { ...theirs, ...(theirs.adminToken === undefined ? adminToken : {}) }
  } finally {
    fs.rmSync(mine, { force: true })
  }
}

function read(file: string): Stored | null {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return null
    throw new Fault('credentials_unreadable', `${file} cannot be read: ${textOf(error)}`, { cause: error })
  }
  const stored = parsed(text)
  if (stored !== null) return stored
  throw new Fault(
    'credentials_unreadable',
    `${file} does not hold credentials; move it away and the next start makes new ones.`,
  )
}

function parsed(text: string): Stored | null {
  try {
    const value: unknown = JSON.parse(text)
    return isStored(value) ? value : null
  } catch {
    return null // not JSON: told by the caller, with the file's name
  }
}

function isStored(value: unknown): value is Stored {
  const of = (inner: unknown, key: string): unknown =>
    typeof inner === 'object' && inner !== null ? Object.getOwnPropertyDescriptor(inner, key)?.value : undefined
  const token = of(value, 'adminToken')
  const texts = [of(value, 'agentKey'), of(of(value, 'warehouse'), 'sluice'), of(of(value, 'warehouse'), 'analyst')]
  return [...texts, token ?? 'none'].every(text => typeof text === 'string' && text !== '')
}

const fileIn = (dataDir: string): string => path.join(dataDir, 'credentials.json')
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'
