import fs from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import type { Mark, Partition } from '../port.ts'
import { unavailable } from './fault.ts'
import { isMissing, listGroups, markFile, partitionDir, replaceFile } from './place.ts'

const stored = z.object({ offset: z.number().int().nonnegative(), note: z.string().optional() })
const noteChars = 4_096

/** The marks of all groups, a file each: small, replaced whole, on disk when `put` resolves. */
export class Marks {
  readonly #dir: string
  /** The put under way for each file; the next waits for it, so that the last call stands. */
  readonly #puts = new Map<string, Promise<void>>()

  constructor(dir: string) {
    this.#dir = dir
  }

  async put(group: string, at: Partition, mark: Mark): Promise<void> {
    const { offset, note } = mark
    if (note !== undefined && note.length > noteChars)
      throw new RangeError(`a note has at most ${noteChars} characters`)
    const file = markFile(partitionDir(this.#dir, at), group)
    const before = this.#puts.get(file) ?? Promise.resolve()
    const put = before
      .catch(() => {}) // its own caller was told
      .then(async () => {
        await fs.promises.mkdir(path.dirname(file), { recursive: true })
        await replaceFile(file, JSON.stringify({ offset, note }))
      })
      .catch(error => {
        throw unavailable(error)
      })
    this.#puts.set(file, put)
    try {
      await put
    } finally {
      if (this.#puts.get(file) === put) this.#puts.delete(file)
    }
  }

  get(group: string, at: Partition): Mark | null {
    return readMark(markFile(partitionDir(this.#dir, at), group))
  }
}

function readMark(file: string): Mark | null {
  try {
    const { offset, note } = stored.parse(JSON.parse(fs.readFileSync(file, 'utf8')))
    return note === undefined ? { offset } : { offset, note }
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/**
 * Below this every group is done, of `among` or of all that are known; Infinity where there is none. `waitFor`: groups
 * that count before they began.
 */
export function lowestMark(dir: string, waitFor: readonly string[], among?: readonly string[]): number {
  const groups = listGroups(dir)
  if (waitFor.some(group => !groups.includes(group))) return 0
  return Math.min(...(among ?? groups).map(group => readMark(markFile(dir, group))?.offset ?? 0))
}
