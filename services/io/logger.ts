import pino from 'pino'
import type { Secret } from '../../schemas/secret.ts'
import type { LogLevel } from './config/settings.ts'
import { readable } from './logger-readable.ts'

export type Logger = pino.Logger

/**
 * The log for operators: JSON lines on stderr, or lines for eyes where stderr is a terminal. A key in it would outlive
 * every rotation, so each line is searched for known secrets and for all that looks like a key before it is written.
 */
export function openLogger(options: {
  /** `gateway`, `supervisor`, … */
  readonly name: string
  readonly level: LogLevel
  /** Secrets of whatever form that must not be seen. */
  readonly secrets?: readonly Secret[]
  /** For tests: where lines go instead of stderr. */
  readonly write?: (line: string) => void
}): { readonly logger: Logger; readonly flush: () => void } {
  const forEyes = options.write === undefined && process.stderr.isTTY
  const mask = masker(options.secrets ?? [])
  // Asynchronous, for a terminal that scrolls slowly must not stop a gateway; at most 1 MiB waits, then lines are
  // dropped, for a log that nobody reads must not eat the memory.
  const stderr = pino.destination({ fd: 2, sync: false, maxLength: 1024 * 1024 })
  stderr.on('error', () => {}) // a closed terminal is no reason to stop serving
  const write =
    options.write ?? (forEyes ? (line: string) => stderr.write(readable(line)) : (line: string) => stderr.write(line))
  const logger = pino(
    {
      base: { role: options.name, pid: process.pid },
      level: options.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: level => ({ level }) },
      redact: {
        paths: hiddenFields.flatMap(name => [bracket(name), `*${bracket(name)}`, `*.*${bracket(name)}`]),
        censor: '[secret]',
      },
    },
    { write: (line: string) => void write(mask(line)) },
  )
  return {
    logger,
    flush: () => {
      try {
        stderr.flushSync()
      } catch {
        // nobody is there to read it
      }
    },
  }
}

const hiddenFields = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'x-clickhouse-key',
  'apiKey',
  'adminToken',
  'agentKey',
  'password',
  'secret',
  'token',
  'access_token',
  'subject_token',
  'actor_token',
  'privateKey',
]
const bracket = (name: string): string => `["${name}"]`

/** Keys by their looks: ours, vendors', bearers, tokens, and `key=` in a query or a form. The id of ours may be seen. */
const looks: readonly (readonly [RegExp, string])[] = [
  [/\b(slk_[A-Za-z0-9-]{1,64})_[A-Za-z0-9_-]+/g, '$1_[secret]'],
  [/\bsla_[0-9a-f]+/g, '[secret]'],
  [/\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g, '[secret]'],
  [/\b(?:sk|pk|rk|gsk|xai|hf|AIza|ghp|csk)[-_][A-Za-z0-9_-]{16,}/g, '[secret]'],
  [/\bAIza[A-Za-z0-9_-]{20,}/g, '[secret]'],
  [/\b(Bearer|Basic)\s+(?!\[secret\])[^\s"'\\,]+/gi, '$1 [secret]'],
  [/([?&](?:key|api_key|token)=|\b(?:subject|actor|access)_token=)[^&\s"'\\]+/gi, '$1[secret]'],
]

/** Shorter ones would be found in the middle of ordinary words. */
const shortestSecret = 6

function masker(secrets: readonly Secret[]): (line: string) => string {
  const known = secrets
    .map(secret => JSON.stringify(secret.reveal()).slice(1, -1))
    .filter(text => text.length >= shortestSecret)
    .sort((a, b) => b.length - a.length)
  return line => {
    const unknown = looks.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line)
    return known.reduce((text, secret) => text.replaceAll(secret, '[secret]'), unknown)
  }
}
