import { DatabaseSync } from 'node:sqlite'

/**
 * What is many and seldom looked at, out of memory: in a file that nobody else sees and that is gone with this process,
 * however it ends. So what a proof needs of memory does not grow with the runs that it proves.
 */
export type Drawer = {
  /** Values are kept as JSON. */
  readonly aside: <Value>() => Aside<Value>
  readonly close: () => void
}

export type Aside<Value> = {
  readonly put: (name: string, value: Value) => void
  readonly look: (name: string) => Value | null
  /** Nothing may be put meanwhile. */
  readonly all: () => Iterable<readonly [name: string, value: Value]>
}

/** Of what lies aside so much is in memory, in KiB: the upper pages of an index over a million names. */
const cachedKib = 32 * 1024

export function openDrawer(): Drawer {
  // Without a name it is a temporary file. Nothing of it is ever taken back, so it needs neither journal nor commit.
  const db = new DatabaseSync('')
  db.exec(`PRAGMA journal_mode = OFF; PRAGMA cache_size = -${cachedKib}; BEGIN`)
  let tables = 0
  return {
    aside<Value>(): Aside<Value> {
      const table = `aside_${tables++}`
      db.exec(`CREATE TABLE ${table} (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID`)
      const put = db.prepare(`INSERT OR REPLACE INTO ${table} (name, value) VALUES (?, ?)`)
      const look = db.prepare(`SELECT value FROM ${table} WHERE name = ?`)
      const all = db.prepare(`SELECT name, value FROM ${table}`)
      const read = (row: Record<string, unknown>): Value => JSON.parse(String(row['value'])) // as it was put
      return {
        put: (name, value) => void put.run(name, JSON.stringify(value)),
        look(name) {
          const row = look.get(name)
          return row === undefined ? null : read(row)
        },
        *all() {
          for (const row of all.iterate()) yield [String(row['name']), read(row)] as const
        },
      }
    },
    close: () => db.close(),
  }
}

/**
 * Values by name that are changed in place; those of which nobody has asked since `most` others were asked for lie aside.
 */
export type Many<Value> = {
  readonly of: (name: string, make: () => Value) => Value
  readonly look: (name: string) => Value | null
  /** Nothing may be asked `of` meanwhile. */
  readonly all: () => Iterable<readonly [name: string, value: Value]>
}

export function openMany<Value>(aside: Aside<Value>, most: number): Many<Value> {
  let young = new Map<string, Value>()
  let old = new Map<string, Value>()
  return {
    of(name, make) {
      const known = young.get(name)
      if (known !== undefined) return known
      const value = old.get(name) ?? aside.look(name) ?? make()
      old.delete(name)
      if (young.size >= most) {
        for (const [idle, its] of old) aside.put(idle, its)
        old = young
        young = new Map()
      }
      young.set(name, value)
      return value
    },
    look: name => young.get(name) ?? old.get(name) ?? aside.look(name),
    *all() {
      yield* old
      yield* young
      for (const entry of aside.all()) if (!old.has(entry[0]) && !young.has(entry[0])) yield entry
    },
  }
}
