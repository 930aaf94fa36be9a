import fs from 'node:fs'
import path from 'node:path'
import { type Policy, policy } from '../../../schemas/policy.ts'
import { Fault, textOf } from '../fault.ts'
import { objectsOf, type PolicyObjects } from '../policy/objects.ts'
import { versionOf } from '../policy/version.ts'
import { problemsOf } from './errors.ts'
import { type Provider, providersOf } from './providers.ts'
import { checkReferences } from './references.ts'
import type { Credentials, Environment } from './resolve.ts'
import type { Settings } from './settings.ts'
import { type Problem, readConfigText } from './text.ts'

export type { Provider, SimulatorProvider, UpstreamProvider } from './providers.ts'
export { readSettings, type Settings } from './settings.ts'

/** The effective policy: the file, its defaults, and the providers that the environment holds keys for. */
export type Config = Omit<Policy, 'providers'> & {
  /** By name; the built-in `simulator` is always there. */
  readonly providers: ReadonlyMap<string, Provider>
  /** Twelve hex digits of the policy's SHA-256. Secrets are no part of it: a new key is not a new policy. */
  readonly policyVersion: string
  /** What the file says of the policy, piece by piece and in its own words: what `sluice apply` publishes. */
  readonly objects: PolicyObjects
  /** Absolute; null where there is no file. */
  readonly file: string | null
  readonly warnings: readonly string[]
}

/** A mistake in the file is one of many lines at most: whoever has more begins again anyway. */
const problemsShown = 20

/** Throws the Fault `config_invalid`, a line for each problem: `file:line:column: path: what was expected`. */
export function loadConfig(
  settings: Pick<Settings, 'configFile'>,
  env: Environment = process.env,
  options: ReadingOptions = {},
): Config {
  const file = settings.configFile
  return parseConfig(file === null ? '' : read(file), file, env, options)
}

/** `elsewhere`: whoever reads the file wants no provider, so that what its credentials are borrowed from may be missing. */
export type ReadingOptions = { readonly credentials?: Credentials }

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    throw new Fault('config_invalid', `${file} cannot be read: ${textOf(error)}`, { cause: error })
  }
}

/** `file` is named in messages and is what relative secret files are relative to. */
export function parseConfig(
  source: string,
  file: string | null,
  env: Environment,
  { credentials = 'here' }: ReadingOptions = {},
): Config {
  const dir = file === null ? '.' : path.dirname(file)
  const text = readConfigText(source, { dir, env, credentials })
  refuse(file, text.problems)
  const parsed = policy.safeParse(text.value, { reportInput: true })
  if (!parsed.success) throw refused(file, problemsOf(parsed.error.issues, text, policy))
  const { providers: entries, ...rest } = parsed.data
  const { found, problems } = providersOf(entries, env, text)
  refuse(file, problems)
  const references = checkReferences(parsed.data, found, text, credentials)
  refuse(file, references.problems)
  const effective = { ...rest, routes: references.routes, providers: found }
  return {
    ...effective,
    policyVersion: versionOf(effective),
    objects: objectsOf(text.value),
    file,
    warnings: references.warnings,
  }
}

function refuse(file: string | null, problems: readonly Problem[]): void {
  if (problems.length > 0) throw refused(file, problems)
}

function refused(file: string | null, problems: readonly Problem[]): Fault {
  const near = file === null ? 'sluice.yaml' : path.relative(process.cwd(), file)
  const name = file === null || !near.startsWith('..') ? near : file
  const lines = problems
    .slice(0, problemsShown)
    .map(({ line, column, path, message }) => `${name}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`)
  const more = problems.length - lines.length
  return new Fault('config_invalid', [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'))
}
