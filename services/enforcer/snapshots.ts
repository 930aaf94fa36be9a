import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { replaceFile } from '../io/epoch.ts'
import { openShelf, type Shelf, type ShelfLimits } from './shelf.ts'

/**
 * What an enforcer knows, on this disk: a restart folds minutes and not months. A snapshot is worth nothing by itself: it
 * says how far it had read, carries a checksum, and one that is damaged or not there means folding from the beginning.
 */
export type Snapshots = {
  /** Null where there is none that can be trusted. */
  readonly read: (name: string) => unknown
  readonly write: (name: string, value: unknown) => void
  /** For what is many, of which little changes at a time. */
  readonly shelf: (name: string, limits: ShelfLimits) => Shelf
}

export function openSnapshots(dir: string): Snapshots {
  fs.mkdirSync(dir, { recursive: true })
  const fileOf = (name: string): string => path.join(dir, `${name}.json`)
  return {
    read(name) {
      try {
        const text = fs.readFileSync(fileOf(name), 'utf8')
        const at = text.indexOf('\n')
        const [sum, body] = [text.slice(0, at), text.slice(at + 1)]
        return sum === sumOf(body) ? JSON.parse(body) : null
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return null
        throw error
      }
    },
    write(name, value) {
      const body = JSON.stringify(value)
      replaceFile(fileOf(name), `${sumOf(body)}\n${body}`)
    },
    shelf: (name, limits) => openShelf(dir, name, limits),
  }
}

const sumOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
