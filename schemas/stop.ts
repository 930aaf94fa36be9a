import { z } from 'zod'
import { mode } from './breakers.ts'
import { header } from './envelope.ts'
import { decodeRaw, type Message } from './events.ts'

/**
 * What stands on `sluice.control` about who may work: a scope is stopped (`kill`, `pause`, `backoff`) or raised again
 * (`resume`). A scope is `run:<id>`, `agent:<name>`, `team:<name>`, `org`, `model:<name>`, `tool:<name>` or
 * `provider:<name>`.
 *
 * A shadow record and an `alert` stop nobody: they say what a rule saw, and what it would have done.
 */
const detail = z.object({
  /** Rises with every stop or resume of this scope. */
  version: z.number().int().positive(),
  /** Id of the fact that made it. */
  cause: z.string(),
  /** Of a backoff: Unix milliseconds at which the scope may go on. */
  until: z.number().int().nonnegative().optional(),
  /** Ids of what was decided last about this scope, this record's own among them: deciding again is deciding nothing. */
  decided: z.array(z.string()),
  /** What a rule has to say for itself. */
  facts: z.record(z.string(), z.unknown()).optional(),
})

export const signal = z.object({
  type: z.enum(['kill', 'pause', 'resume', 'backoff', 'alert']),
  scope: z.string().min(1).max(400),
  /** Names of columns from here on. Where a run is concerned: its own, and its place. */
  run_id: z.string().optional(),
  root_run_id: z.string().optional(),
  parent_run_id: z.string().optional(),
  ancestors: z.array(z.string()).optional(),
  team: z.string().optional(),
  agent: z.string().optional(),
  /** Who decided: a rule, or somebody who asked for it. */
  rule: z.string().optional(),
  actor: z.string().optional(),
  reason: z.string().optional(),
  action: z.string().optional(),
  mode: mode.default('enforce'),
  /** Ids of the facts that show why. */
  evidence: z.array(z.string()).default([]),
  policy_version: z.string().optional(),
  data: detail,
})
export type Signal = z.infer<typeof signal>

/** A signal that is obeyed. */
export type StopType = 'kill' | 'pause' | 'resume' | 'backoff'
export type Stop = Signal & { readonly type: StopType; readonly mode: 'enforce' }

export const isStop = (it: Signal): it is Stop => it.type !== 'alert' && it.mode === 'enforce'

/** Whether a record of `sluice.control` is one of these, by its CloudEvents type. */
export const signalTypes: ReadonlySet<string> = new Set(signal.shape.type.options)

/** As it stands on control; null for what is none, or what a later program has written in words of its own. */
export function decodeSignal(
  message: Message,
): { readonly id: string; readonly time: number; readonly signal: Signal } | null {
  if (!signalTypes.has(message.headers[header.type] ?? '')) return null
  try {
    const raw = decodeRaw(message)
    const parsed = signal.safeParse(raw)
    return parsed.success ? { id: raw.id, time: raw.time, signal: parsed.data } : null
  } catch {
    return null // the sink tells the world about what cannot be read
  }
}

/**
 * The key under which compaction keeps the last record. Each kind of stop has its own: a pause after a kill must not hide
 * the kill.
 */
export const signalKey = (it: Pick<Signal, 'type' | 'mode' | 'scope' | 'rule'>): string =>
  it.type !== 'alert' && it.mode === 'enforce' ? `stop|${it.scope}|${it.type}` : `notice|${it.scope}|${it.rule ?? ''}`

/**
 * A function of rule, scope and cause, so that what is decided again after a crash is the same record. It ends in a word:
 * an id that ends in two numbers would be taken for an event of a producer, whose numbers have no gaps.
 */
export const signalId = (by: string, scope: string, cause: string): string => `${cause}/${scope}/${by}:signal`
