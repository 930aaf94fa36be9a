import type { Shelf as Beyond, Kept } from '../core/rules/kept.ts'
import type { ScopeId } from '../core/rules/rule.ts'
import type { Rules } from '../core/rules/rules.ts'
import { bringUp, type Turns } from '../core/rules/turns.ts'
import type { Shelf } from './shelf.ts'

/**
 * What the rules know, beyond this process's memory and life. In memory is what was heard of lately; the rest is on the
 * shelf, and comes back with the next event of it, as it was.
 */
export type Remembered = {
  /** By partition of the events: how far what is kept has read. */
  readonly offsets: Readonly<Record<number, number>>
  /** Keeps what has changed. One at a time. */
  readonly keep: (offsets: Readonly<Record<number, number>>) => Promise<void>
}

/** In memory for so long after its last event: any agent's next step comes sooner, or is in no hurry. */
const inMemoryMs = 600_000

/** What another version of this program has kept lies elsewhere, and is nothing to this one. */
export const rulesName = 'rules-3'
export const rulesLimits = {
  /** At two to four kilobytes each, in two halves: two gigabytes of a disk. */
  rows: 300_000,
  /** Longer than the longest window of a rule; what idles for so long begins afresh. */
  idleMs: 24 * 3_600_000,
}

/** `rules` are new, and go on from what is on the shelf. */
export function remember(rules: Rules, shelf: Shelf): Remembered {
  const head = shelf.head() as Head | null // as it was kept below
  if (head !== null) {
    for (const [life, sequence] of head.heard) rules.heard.set(life, sequence)
    rules.turns = head.turns
  }
  /** Since it was kept last. */
  let changed: ScopeId[] = []
  /** What is on its way to the disk, by and by: null, what is to be forgotten; a text, what has changed since. */
  let leaving = new Map<ScopeId, Row | string | null>()
  const beyond: Beyond = {
    gone: new Set(),
    round: 1,
    take(scope) {
      const row = shelf.take(scope) as Row | null // as it was put there below
      if (row === null) return null
      bringUp(row.kept, rules.turns, row.turn)
      return { ...row.kept, round: 0 }
    },
    changes(scope) {
      const row = leaving.get(scope)
      // It may not be written yet, and has to be as it was when the keep began.
      if (row != null && typeof row !== 'string') leaving.set(scope, JSON.stringify(row))
      changed.push(scope)
    },
  }
  rules.shelf = beyond

  return {
    offsets: head?.offsets ?? {},
    async keep(offsets) {
      const { gone } = beyond
      const before = changed
      changed = []
      Object.assign(beyond, { gone: new Set(), round: beyond.round + 1 })
      const { now: turn } = rules.turns
      leaving = new Map()
      let newest = 0
      for (const scope of gone) leaving.set(scope, null)
      for (const scope of before) {
        const kept = rules.scopes.get(scope)
        if (kept === undefined) continue // dismissed since, or given up
        newest = Math.max(newest, kept.at)
        leaving.set(scope, { turn, kept })
      }
      const next: Head = { offsets, heard: [...rules.heard], turns: rules.turns }
      try {
        await shelf.keep(next, leaving)
      } catch (error) {
        changed = [...before, ...changed]
        for (const scope of gone) if (!rules.scopes.has(scope)) beyond.gone.add(scope)
        throw error
      } finally {
        leaving.clear()
      }
      if (shelf.isFull()) shelf.turn()
      // By the clock of the events: whoever reads what was written while nobody read is in the midst of it.
      const idleSince = Math.min(newest, Date.now()) - inMemoryMs
      for (const [scope, { at, round }] of rules.scopes)
        if (at < idleSince && round !== beyond.round) rules.scopes.delete(scope)
    },
  }
}

type Row = { readonly turn: number; readonly kept: Kept }
type Head = {
  readonly offsets: Readonly<Record<number, number>>
  readonly heard: readonly (readonly [string, number])[]
  readonly turns: Turns
}
