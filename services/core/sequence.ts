import type { Origin } from '../../schemas/envelope.ts'

/**
 * Once and only once, per partition of a topic.
 *
 * A producer numbers its events, life by life, and whoever sends them again after a crash sends them in the same order.
 * So within one partition a number that is not above the last one of its life was heard before, and a number that was
 * announced but skipped is lost. This rests on the order that the log promises; nothing here could repair disorder.
 */
export type Telling = {
  /** Null for a foreign event, whose id says nothing about order: it is always taken as new. */
  readonly origin: Origin | null
  /** The number that this life sent to this partition before, −1 for none; null where it is simply the one below. */
  readonly previous: number | null
}

/** Last number heard of each life, least recently heard first. −1: known never to have been heard. */
export type Heard = ReadonlyMap<string, number>

/** Numbers from `from` to `to` of a life went missing; some of them may have gone to other partitions. */
export type Gap = { readonly producer: string; readonly epoch: number; readonly from: number; readonly to: number }

export type Hearing = {
  readonly heard: Heard
  /** For each telling, in order, whether it is new. */
  readonly fresh: readonly boolean[]
  readonly gaps: readonly Gap[]
}

/**
 * Lives remembered per partition. A fleet has tens of producers; one that is forgotten is only looked up again (see
 * `strangers`), so this bounds memory and costs nothing in truth.
 */
export const livesRemembered = 1_000

export const lifeOf = (origin: Origin): string => `${origin.producer}.${origin.epoch}`

/** The first telling of each life that `heard` knows nothing of: their past has to be looked up before `hear`. */
export function strangers(heard: Heard, tellings: readonly Telling[]): ReadonlyMap<string, Telling> {
  const unknown = new Map<string, Telling>()
  for (const telling of tellings) {
    if (telling.origin === null) continue
    const life = lifeOf(telling.origin)
    if (!heard.has(life) && !unknown.has(life)) unknown.set(life, telling)
  }
  return unknown
}

/**
 * Adds what was found of strangers. `whole` says whether the past is all there: then a life of which nothing is found has
 * never been heard, and what it says came before is lost. Otherwise its first telling is believed, for what came before
 * may well have been read and forgotten.
 */
export function introduce(
  heard: Heard,
  unknown: ReadonlyMap<string, Telling>,
  found: ReadonlyMap<string, number>,
  whole: boolean,
): Heard {
  const all = new Map(heard)
  for (const [life, first] of unknown) all.set(life, found.get(life) ?? (whole ? -1 : before(first)))
  return all
}

/** Tells new from heard before. The same tellings after the same past always give the same answer. */
export function hear(heard: Heard, tellings: readonly Telling[], remember: number = livesRemembered): Hearing {
  const now = new Map(heard)
  const gaps: Gap[] = []
  const fresh = tellings.map(telling => {
    const { origin } = telling
    if (origin === null) return true
    const life = lifeOf(origin)
    const last = now.get(life) ?? -1
    const isNew = origin.sequence > last
    // Taken out and put in again, so that the order of the map is the order of hearing.
    now.delete(life)
    now.set(life, isNew ? origin.sequence : last)
    if (isNew && before(telling) > last) {
      gaps.push({ producer: origin.producer, epoch: origin.epoch, from: last + 1, to: before(telling) })
    }
    return isNew
  })
  for (const life of now.keys()) {
    if (now.size <= remember) break
    now.delete(life)
  }
  return { heard: now, fresh, gaps }
}

/** A `previous` that is not below the number itself is nonsense and announces nothing more than its neighbour. */
function before(telling: Telling): number {
  const sequence = telling.origin?.sequence ?? 0
  return Math.min(telling.previous ?? sequence - 1, sequence - 1)
}
