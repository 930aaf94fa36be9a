import { z } from 'zod'
import {
  type PolicyFact,
  policyApplied,
  policyDefined,
  policyFact,
  policyRemoved,
} from '../../../schemas/config-fact.ts'
import { decodeRaw, type Message } from '../../../schemas/events.ts'
import { type PolicyObjects, type PolicyPart, partOf, type Versions, versionOfAll } from './objects.ts'

/**
 * What the facts of policy on `sluice.config` come to. Facts wait until the `policy.applied` behind them is read, so that
 * nobody decides by half of an apply.
 */
export type PolicyFold = {
  readonly held: Map<string, Held>
  /** Read, and not yet applied. */
  readonly waiting: Map<string, Held>
  applied: Applied | null
  /** The highest number that any fact has. */
  number: number
  /** How many were read, by this reader. */
  applies: number
}

/** The latest word on an object; no part where that is that it was removed. */
export type Held = { readonly fact: Defined | Removed; readonly part: PolicyPart | null }
type Defined = z.infer<typeof policyDefined>
type Removed = z.infer<typeof policyRemoved>
/** `at` in Unix milliseconds, `id` of the event. */
export type Applied = z.infer<typeof policyApplied> & { readonly at: number; readonly id: string }

export const emptyFold = (): PolicyFold => ({
  held: new Map(),
  waiting: new Map(),
  applied: null,
  number: 0,
  applies: 0,
})

/** `unread` for who wants the facts alone: checking an object is most of what it costs to take it. */
export type Reader = typeof partOf
export const unread: Reader = () => ({ kind: 'section', section: {} })

/**
 * In place. `unreadable` is called for an object that this version of the program does not understand.
 */
export function take(
  fold: PolicyFold,
  message: Message,
  unreadable: (sentence: string) => void,
  reader: Reader = partOf,
): void {
  const told = read(message)
  if (told === null) return
  const { fact, at, id } = told
  fold.number = Math.max(fold.number, fact.number)
  if (fact.type !== 'policy.applied') {
    fold.waiting.set(fact.object, heldOf(fact, fold, unreadable, reader))
    return
  }
  for (const [object, held] of fold.waiting) fold.held.set(object, held)
  fold.waiting.clear()
  fold.applied = { ...fact, at, id }
  fold.applies += 1
}

/** An object that cannot be read leaves in force what was known of it; of an agent never heard of, nothing is. */
function heldOf(
  fact: Defined | Removed,
  fold: PolicyFold,
  unreadable: (sentence: string) => void,
  reader: Reader = partOf,
): Held {
  if (fact.type === 'policy.removed') return { fact, part: null }
  const part = reader(fact.object, fact.value)
  if (part.kind !== 'unreadable') return { fact, part }
  unreadable(`${fact.object} of policy ${fact.number} cannot be read by this version of Sluice: ${part.why}`)
  return { fact, part: fold.held.get(fact.object)?.part ?? part }
}

/**
 * The objects in force, removed ones among them; null where nothing was ever applied.
 *
 * An apply that was cut off does not hold. Yet when compaction has taken what stood before under the same key, its facts
 * are the only word there is on these objects, and less than that would lift a limit.
 */
export function inForce(fold: PolicyFold): ReadonlyMap<string, Held> | null {
  if (fold.applied === null) return null
  const { held, waiting } = fold
  if (waiting.size === 0 || versionOfAll(versionsIn(held)) === fold.applied.version) return held
  return new Map([...held, ...waiting])
}

/** All that was told, whether applied or not: what a next apply goes on from. */
export const latest = (fold: PolicyFold): ReadonlyMap<string, Held> => new Map([...fold.held, ...fold.waiting])

export const versionsIn = (objects: ReadonlyMap<string, Held>): Versions =>
  new Map([...objects].flatMap(([id, { fact }]) => (fact.type === 'policy.removed' ? [] : [[id, fact.version]])))

export const valuesIn = (objects: ReadonlyMap<string, Held>): PolicyObjects =>
  new Map([...objects].flatMap(([id, { fact }]) => (fact.type === 'policy.removed' ? [] : [[id, fact.value]])))

/** For the disk: the facts in force and those that wait. */
export const toJson = (fold: PolicyFold): unknown => ({
  held: [...fold.held.values()].map(({ fact }) => fact),
  waiting: [...fold.waiting.values()].map(({ fact }) => fact),
  applied: fold.applied,
  number: fold.number,
})

/** Throws where it is none of ours. */
export function ofJson(json: unknown): PolicyFold {
  const { held, waiting, applied, number } = kept.parse(json)
  const fold = { ...emptyFold(), applied, number }
  for (const fact of held)
    fold.held.set(
      fact.object,
      heldOf(fact, fold, () => {}),
    )
  for (const fact of waiting)
    fold.waiting.set(
      fact.object,
      heldOf(fact, fold, () => {}),
    )
  return fold
}

const objectFact = z.discriminatedUnion('type', [policyDefined, policyRemoved])
const kept = z.object({
  held: z.array(objectFact),
  waiting: z.array(objectFact),
  applied: policyApplied.extend({ at: z.number(), id: z.string() }).nullable(),
  number: z.number(),
})

/** Null for what is not about policy: keys stand on the topic, too. */
function read(message: Message): { readonly fact: PolicyFact; readonly at: number; readonly id: string } | null {
  try {
    const raw = decodeRaw(message)
    const parsed = policyFact.safeParse(raw)
    return parsed.success ? { fact: parsed.data, at: raw.time, id: raw.id } : null
  } catch {
    return null // a record that is no JSON is none of ours
  }
}
