import { topics } from '../../schemas/topics.ts'
import { type Gap, type Heard, hear, introduce, strangers, type Telling } from '../core/sequence.ts'
import type { EventLog, LogRecord, Mark, Partition } from '../io/log/port.ts'
import { markOf, readMark } from './intent.ts'
import type { Letter, Letters } from './letters.ts'
import type { Persist } from './patience.ts'
import { type Reading, readRow, unreadableRow } from './rows.ts'
import { blamesARow, type Since, type Table } from './table.ts'

/** Facts that a producer wrote and that never came, seen by the gap in its numbers. */
export type Lost = Partition & Gap

export type Stored = {
  readonly rows: number
  readonly duplicates: number
  readonly unreadable: number
  readonly bytes: number
}

export type Keeping = {
  readonly log: EventLog
  readonly group: string
  readonly table: Table
  readonly letters: Letters
  readonly persist: Persist
  readonly onLost: (lost: readonly Lost[]) => Promise<void> | void
  /** Falls when the partition is to be let go: what goes well is finished, what fails is not tried again. */
  readonly stopping: AbortSignal
  /** Falls when it is somebody else's: nothing may be begun any more, above all no mark be set. */
  readonly gone: AbortSignal
}

/**
 * Brings batches of one partition into ClickHouse, each exactly once.
 *
 * 1. Which events of the batch are new is folded from what stands below it in the table (`core/sequence.ts`).
 * 2. The batch's end is put down with the group's mark.
 * 3. It is inserted under a token that names its place. After a crash the same batch is formed from the same mark, and
 *    the token makes the table, and each table filled from it, take only what it does not have.
 * 4. What could not be read goes to the dead letters, gaps are told, and the mark moves behind the batch.
 *
 * A crash before 3 has stored nothing; between 3 and 4 the batch is stored again, to no effect, and told again.
 */
export type Keeper = {
  /** Where to read on. */
  readonly next: () => number
  /** Last offset of the batch that was begun before this keeper was; null where none was. It has to be the first again. */
  readonly owed: number | null
  /** Consecutive records from `next` on; the first time up to `owed`, if something is. */
  readonly store: (records: readonly LogRecord[]) => Promise<Stored>
}

export function openKeeper(at: Partition, mark: Mark | null, by: Keeping): Keeper {
  const { table } = by
  let standing = readMark(mark)
  let heard: Heard = new Map()
  let whole: boolean | null = null

  const persist = <T>(act: () => Promise<T>): Promise<T> => {
    by.gone.throwIfAborted()
    return by.persist(act, by.stopping)
  }
  const commit = (next: number, to: number | null) => {
    standing = { ...standing, next, to }
    return persist(() => by.log.commit(by.group, at, markOf(standing)))
  }

  /** The past of lives that are heard for the first time since this partition was taken. */
  const meet = async (readings: readonly Reading[], from: number): Promise<Heard> => {
    const unknown = strangers(heard, readings)
    if (unknown.size === 0) return heard
    const times = new Map(readings.map(reading => [reading as Telling, reading.time]))
    const lives = new Map<string, Since>(
      [...unknown].map(([life, telling]) => [life, { telling, time: times.get(telling) ?? null }]),
    )
    whole ??= (await persist(() => by.log.bounds(at))).earliest === 0
    return introduce(heard, unknown, await persist(() => table.lastHeard(at, lives, from)), whole)
  }

  /** Without a mark of ours the table is asked what it has. */
  const absent = async (readings: readonly Reading[], from: number, to: number): Promise<readonly Reading[]> => {
    const known = standing.known ?? (await persist(() => table.highest(at))) ?? -1
    standing = { ...standing, known }
    if (from > known) return readings
    const there = await persist(() => table.present(at, from, to))
    return readings.filter(reading => reading.offset > known || there.get(reading.offset) !== reading.id)
  }

  const insert = async (
    readings: readonly Reading[],
    token: string,
  ): Promise<{ bytes: number; whys: ReadonlyMap<number, string> }> => {
    const whys = new Map<number, string>()
    let time = readings.find(reading => reading.time !== null)?.time ?? Date.now()
    const lines = readings.map((reading, i) => {
      time = reading.time ?? time
      if (!('unreadable' in reading.line)) return reading.line
      whys.set(i, reading.line.unreadable)
      return [unreadableRow(at, reading, time, reading.line.unreadable)]
    })
    await persist(async () => {
      try {
        await table.insert(lines.flat(), token)
      } catch (error) {
        if (!blamesARow(error)) throw error
        const refused = await table.refused(lines)
        if (refused.size === 0) throw error
        for (const [i, why] of refused) {
          whys.set(i, why)
          lines[i] = [unreadableRow(at, readings[i]!, readings[i]!.time ?? time, why)]
        }
        await table.insert(lines.flat(), token)
      }
    })
    const bytes = lines.flat().reduce((sum, line) => sum + line.length, 0)
    return { bytes, whys }
  }

  return {
    next: () => standing.next,
    owed: standing.to,
    async store(records) {
      const from = records[0]?.offset ?? standing.next
      const to = records.at(-1)?.offset ?? standing.to ?? standing.next - 1
      // An empty value is how a compacted topic forgets a key; it says nothing of its own.
      const readings = records.filter(record => record.value.length > 0).map(record => readRow(at, record))
      const hearing = hear(await meet(readings, from), readings)
      const fresh = await absent(
        readings.filter((_, i) => hearing.fresh[i]),
        from,
        to,
      )
      let stored = { bytes: 0, whys: new Map() as ReadonlyMap<number, string> }
      if (fresh.length > 0) {
        await commit(from, to)
        stored = await insert(fresh, `${standing.log}:${at.topic}-${at.partition}:${from}-${to}`)
      }
      if (stored.whys.size > 0 && at.topic !== topics.deadletters.name) {
        const byOffset = new Map(records.map(record => [record.offset, record]))
        const letters = [...stored.whys].map(
          ([i, why]): Letter => ({ at, record: byOffset.get(fresh[i]!.offset)!, why }),
        )
        await persist(() => by.letters(letters))
      }
      if (hearing.gaps.length > 0) await persist(async () => by.onLost(hearing.gaps.map(gap => ({ ...at, ...gap }))))
      await commit(to + 1, null)
      heard = hearing.heard
      return {
        rows: fresh.length,
        duplicates: readings.length - fresh.length,
        unreadable: stored.whys.size,
        bytes: stored.bytes,
      }
    },
  }
}
