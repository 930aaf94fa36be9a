import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * What an enforcer knows of many things, on this disk, each by its name: what has changed is kept, what idles is left to
 * the disk and read back when it is asked for, and a restart reads what it needs when it needs it. So neither memory, nor
 * the time that keeping takes, nor that of a restart grows with what was ever known.
 *
 * A shelf is worth nothing by itself: the head says how far the log had been read, and head and things are kept together
 * or not at all. One that is damaged or not there means folding from the beginning.
 */
export type Shelf = {
  /** Null where nothing was ever kept. */
  readonly head: () => unknown
  readonly take: (name: string) => unknown
  /** But for names that begin so. */
  readonly all: (except?: string) => Iterable<readonly [name: string, value: unknown]>
  /**
   * A null is taken off, and a text is a value's JSON already. Nothing else may be kept meanwhile; what is taken off is off
   * at once, all else is read from `changes` as it is written, slice by slice.
   */
  readonly keep: (head: unknown, changes: Iterable<readonly [name: string, value: unknown]>) => Promise<void>
  /** Whether it is time to let go of what nobody has changed for long: keep all that is still of use, then `turn`. */
  readonly isFull: () => boolean
  /** What was not kept again since the last turn is gone; what was since is next. */
  readonly turn: () => void
  readonly close: () => void
}

/** A slice of the event loop: others decide about money meanwhile, and a wait of 10 ms is nothing to them. */
const perSlice = 500
/** Pages of 4 KiB that are written before the disk is waited for: 64 MiB. */
const pagesBetween = 16_000

/**
 * KiB of pages in memory: each new run is looked for among the names of 300,000 things. With SQLite's own 2 MiB a row takes
 * twice as long to keep, 50 µs in place of 28.
 */
const cacheKib = 65_536

/** A former process that is still on its way out. */
const lockedMs = 5_000

export type ShelfLimits = {
  /** Of each of the two halves: what is kept lately, and what was before. */
  readonly rows: number
  /** What was not changed for so long may go, after twice as long it is gone. */
  readonly idleMs: number
}

export function openShelf(dir: string, name: string, { rows, idleMs }: ShelfLimits): Shelf {
  const file = fileOf(dir, name)
  fs.mkdirSync(dir, { recursive: true })
  const db = orAway(file, () => opened(file))
  const prepare = () => ({
    young: db.prepare('SELECT value FROM young WHERE name = ?'),
    old: db.prepare('SELECT value FROM old WHERE name = ?'),
    put: db.prepare(
      'INSERT INTO young (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    ),
    dropYoung: db.prepare('DELETE FROM young WHERE name = ?'),
    dropOld: db.prepare('DELETE FROM old WHERE name = ?'),
    note: db.prepare('INSERT OR REPLACE INTO notes (name, value) VALUES (?, ?)'),
    noted: db.prepare('SELECT value FROM notes WHERE name = ?'),
    most: db.prepare('SELECT max(rowid) AS value FROM young'),
  })
  let ask = prepare()
  const turnedAt = (): number => Number(read(ask.noted.get('turned')) ?? 0)
  if (turnedAt() === 0) ask.note.run('turned', `${Date.now()}`)

  return {
    ...lookedAt(db),
    take: name => orAway(file, () => read(ask.young.get(name) ?? ask.old.get(name))),
    async keep(head, changes) {
      db.exec('BEGIN')
      try {
        for (const [name, value] of changes)
          if (value === null) {
            ask.dropYoung.run(name)
            ask.dropOld.run(name)
          }
        let n = 0
        for (const [name, value] of changes) {
          if (value === null) continue
          ask.put.run(name, typeof value === 'string' ? value : JSON.stringify(value))
          if (++n % perSlice === 0) await nextTurn()
        }
        ask.note.run('head', JSON.stringify(head))
        db.exec('COMMIT')
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    isFull: () => Date.now() - turnedAt() > idleMs || Number(ask.most.get()?.['value'] ?? 0) > rows,
    turn() {
      db.exec(`BEGIN; DROP TABLE old; ALTER TABLE young RENAME TO old; ${tableOf('young')}; COMMIT`)
      ask = prepare()
      ask.note.run('turned', `${Date.now()}`)
    },
    close: () => db.close(),
  }
}

/** What stands on a shelf at one moment, for whoever only looks; null where there is none, or none that can be read. */
export function readShelf<Answer>(dir: string, name: string, look: (shelf: Looked) => Answer | null): Answer | null {
  const file = fileOf(dir, name)
  if (!fs.existsSync(file)) return null
  const db = new DatabaseSync(file, { readOnly: true, timeout: lockedMs })
  try {
    db.exec('BEGIN')
    return look(lookedAt(db))
  } catch (error) {
    if (isDamage(error)) return null
    throw error
  } finally {
    db.close()
  }
}

export type Looked = Pick<Shelf, 'head' | 'all'>

const lookedAt = (db: DatabaseSync): Looked => ({
  head: () => read(db.prepare("SELECT value FROM notes WHERE name = 'head'").get()),
  *all(except) {
    const both = db.prepare(
      `SELECT name, value FROM young WHERE ${others}
      UNION ALL SELECT name, value FROM old WHERE ${others} AND name NOT IN (SELECT name FROM young)`,
    )
    const range = except === undefined ? ['', ''] : [except, `${except}\u{10ffff}`]
    for (const row of both.iterate(...range, ...range)) yield [String(row['name']), read(row)]
  },
})

/** By their index, however many it leaves out. */
const others = '(name < ? OR name >= ?)'

const read = (row: Record<string, unknown> | undefined): unknown =>
  row === undefined ? null : JSON.parse(String(row['value']))

const fileOf = (dir: string, name: string): string => path.join(dir, `${name}.sqlite`)

const tableOf = (name: string): string =>
  `CREATE TABLE IF NOT EXISTS ${name} (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, value TEXT NOT NULL)`

function opened(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: lockedMs })
  // After a loss of power the last moments may be missing, and nothing else.
  db.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${pagesBetween}; PRAGMA cache_size = -${cacheKib}`,
  )
  const tables = ['young', 'old'].map(tableOf)
  db.exec([...tables, 'CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL)'].join('; '))
  return db
}

/** A damaged shelf is put away, and the process ends: the next one folds from the beginning. */
function orAway<Answer>(file: string, act: () => Answer): Answer {
  try {
    return act()
  } catch (error) {
    if (isDamage(error)) for (const end of ['', '-wal', '-shm']) fs.rmSync(file + end, { force: true })
    throw error
  }
}

/** SQLite's own words for a file that is damaged, and for one that is none of its own. */
const isDamage = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && (error.errcode === 11 || error.errcode === 26)
