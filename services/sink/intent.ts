import { randomUUID } from 'node:crypto'
import type { Mark } from '../io/log/port.ts'

/**
 * What the sink keeps with its mark on a partition.
 *
 * Before a batch goes to ClickHouse its end is put down here; whoever comes after a crash forms the very same batch, and
 * ClickHouse knows it by its token. `log` is drawn when a group begins on a partition and kept with the mark: a log that
 * is wiped loses it too, so offsets that begin again at 0 cannot be taken for batches of the old log.
 */
export type Standing = {
  readonly log: string
  /** Below this all is done. */
  readonly next: number
  /** Last offset of the batch that may or may not have been stored. */
  readonly to: number | null
  /**
   * Rows up to this offset may stand in ClickHouse without a mark that speaks of them: marks are lost more easily than
   * rows (Kafka forgets those of a group that is silent for a week). Null: it has to be asked.
   */
  readonly known: number | null
}

export function readMark(mark: Mark | null): Standing {
  const note = readNote(mark?.note)
  const next = mark?.offset ?? 0
  if (note === null) return { log: randomUUID().slice(0, 13), next, to: null, known: null }
  return { log: note.log, next, to: note.to !== null && note.to >= next ? note.to : null, known: note.known ?? -1 }
}

export function markOf({ log, next, to, known }: Standing): Mark {
  const note = { log, ...(to === null ? {} : { to }), ...(known === null || known < next ? {} : { known }) }
  return { offset: next, note: JSON.stringify(note) }
}

/** Null where it is no note of ours. */
function readNote(text: string | undefined): { log: string; to: number | null; known: number | null } | null {
  try {
    const note: unknown = JSON.parse(text ?? '')
    if (typeof note !== 'object' || note === null || !('log' in note) || typeof note.log !== 'string') return null
    const to = 'to' in note && typeof note.to === 'number' ? note.to : null
    return { log: note.log, to, known: 'known' in note && typeof note.known === 'number' ? note.known : null }
  } catch {
    return null
  }
}
