import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

/** One life of one producer. Every start on a data directory is a new epoch, so no id is ever given twice. */
export type Life = { readonly producer: string; readonly epoch: number }

/**
 * Begins the next epoch of `role` in `slot` and puts it on disk before anything is written under it. The producer's name
 * holds a random part made once per data directory: two machines never share one.
 */
export function nextLife(dataDir: string, role: string, slot: number): Life {
  const dir = path.join(dataDir, 'epochs')
  fs.mkdirSync(dir, { recursive: true })
  const place = placeOf(dir)
  const file = path.join(dir, `${role}-${slot}`)
  const before = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0
  if (!Number.isSafeInteger(before)) throw new Error(`${file} does not hold a number; what wrote it was not Sluice`)
  replaceFile(file, String(before + 1))
  return { producer: `${role}-${place}-${slot}`, epoch: before + 1 }
}

function placeOf(dir: string): string {
  const file = path.join(dir, 'place')
  try {
    // `wx`: of several processes that start together, one makes the name and the others read it.
    const made = randomBytes(4).toString('hex')
    fs.writeFileSync(`${file}.${process.pid}`, made, { flush: true })
    fs.linkSync(`${file}.${process.pid}`, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    fs.rmSync(`${file}.${process.pid}`, { force: true })
  }
  return fs.readFileSync(file, 'utf8')
}

/** All of the new text or all of the old one, whatever breaks in between. */
export function replaceFile(file: string, text: string, mode = 0o644): void {
  const next = `${file}.${process.pid}.new`
  fs.writeFileSync(next, text, { flush: true, mode })
  fs.renameSync(next, file)
  const dir = fs.openSync(path.dirname(file), 'r')
  fs.fsyncSync(dir)
  fs.closeSync(dir)
}
