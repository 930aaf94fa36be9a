import { z } from 'zod'

/**
 * Facts of `sluice.config` about the policy. Each object of it has a key of its own, so that the compacted topic holds
 * the latest word on each; an apply is its facts and, behind them, `policy.applied` under the key `policy`. Facts that no
 * `policy.applied` follows were cut off and do not hold.
 */

/** Counts the applies: of two policies the later has the higher one. */
const number = z.number().int().positive()
/** The first twelve hex digits of a SHA-256. */
const version = z.string().regex(/^[0-9a-f]{12}$/)
/** `agent:researcher`, `team:research`, `org`, `runs`, `breakers`, `routes`, `guardrails`, `payloads`, `unpriced` */
const object = z.string().min(1).max(200)

export const policyDefined = z.object({
  type: z.literal('policy.defined'),
  object,
  number,
  /** Of `value` with sorted keys. */
  version,
  /** What `sluice.yaml` says of the object, in its words, references to the environment resolved. */
  value: z.unknown(),
})
/** The object is in the file no more. An agent of which this is said is refused, whoever issued its keys. */
export const policyRemoved = z.object({ type: z.literal('policy.removed'), object, number })
export const policyApplied = z.object({
  type: z.literal('policy.applied'),
  number,
  /** Of the names and versions of all objects. */
  version,
  objects: z.number().int().nonnegative(),
  actor: z.string(),
})
export const policyFact = z.discriminatedUnion('type', [policyDefined, policyRemoved, policyApplied])
export type PolicyFact = z.infer<typeof policyFact>

/** The key under which `policy.applied` stands; the others stand under their object. */
export const policyKey = 'policy'

/** What decisions name: which apply, and what it held. */
export const policyVersionOf = (applied: { readonly number: number; readonly version: string }): string =>
  `${applied.number}-${applied.version}`
