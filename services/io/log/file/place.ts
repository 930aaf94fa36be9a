import fs from 'node:fs'
import path from 'node:path'
import type { Partition } from '../port.ts'

/**
 * Where things lie:
 *
 *     <dir>/<topic>/topic.json                      the settings it was made with
 *     <dir>/<topic>/<partition>/<base offset>.seg   records, the first of which has at least this offset
 *     <dir>/<topic>/<partition>/hwm                 the high-water mark
 *     <dir>/<topic>/<partition>/<group>.mark        how far a group has come
 */
export const topicDir = (dir: string, topic: string): string => path.join(dir, named('topic', topic))
export const partitionDir = (dir: string, at: Partition): string =>
  path.join(topicDir(dir, at.topic), `${at.partition}`)
export const segmentFile = (dir: string, base: number): string => path.join(dir, `${base}`.padStart(16, '0') + suffix)
export const watermarkFile = (dir: string): string => path.join(dir, 'hwm')
export const markFile = (dir: string, group: string): string => path.join(dir, named('group', group) + markSuffix)

const suffix = '.seg'
const markSuffix = '.mark'

/** Topics and groups are names of files; nothing that comes from outside may climb out of the directory. */
function named(what: string, name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(name)) throw new TypeError(`not the name of a ${what}: ${name}`)
  return name
}

/** The base offsets of the segments in a partition's directory, rising; empty where there is no such directory. */
export const listSegments = (dir: string): number[] =>
  numbers(
    list(dir)
      .filter(name => name.endsWith(suffix))
      .map(name => name.slice(0, -suffix.length)),
  )

/** The partitions of a topic, rising. */
export const listPartitions = (dir: string, topic: string): number[] => numbers(list(topicDir(dir, topic)))

/** The groups that have a mark on a partition. */
export const listGroups = (dir: string): string[] =>
  list(dir)
    .filter(name => name.endsWith(markSuffix))
    .map(name => name.slice(0, -markSuffix.length))

const numbers = (names: readonly string[]): number[] =>
  names
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)

function list(dir: string): string[] {
  try {
    return fs.readdirSync(dir)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** `as`: what node:fs throws always has a code. */
export const errorCode = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null)?.code
export const isMissing = (error: unknown): boolean => errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR'

/** Makes names that were added to or taken from a directory survive a crash of the machine. */
export async function syncDir(dir: string): Promise<void> {
  if (process.platform === 'win32') return // directories cannot be opened there, NTFS journals names itself
  const handle = await fs.promises.open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

let replaced = 0
/** All of the new text or all of the old one, whatever breaks in between. */
export async function replaceFile(file: string, text: string): Promise<void> {
  // Several processes may begin on one directory at once: each writes a file of its own, and the last one's stands.
  const next = `${file}.${process.pid}-${++replaced}.tmp`
  await fs.promises.writeFile(next, text, { flush: true })
  await fs.promises.rename(next, file)
  await syncDir(path.dirname(file))
}
