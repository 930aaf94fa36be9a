import fs from 'node:fs'
import { lowestMark } from './marks.ts'
import { listSegments, segmentFile, syncDir } from './place.ts'

/**
 * Deletes closed segments, the oldest first, as long as each is older than the retention and every known group is
 * beyond it. Above `keepBytes` neither age nor other groups hold it, only those of `waitFor`: what is kept for memory's
 * sake must not take the room of what is still to come. Readers that are still in a segment keep it until they let go;
 * those that come later begin at the earliest. Answers whether anything went.
 */
export async function trim(
  dir: string,
  options: {
    readonly active: number
    readonly retentionMs: number
    readonly waitFor: readonly string[]
    /** What the partition holds now, and how much of that may be history. */
    readonly bytes: number
    readonly keepBytes: number
  },
): Promise<boolean> {
  const { active, retentionMs, waitFor } = options
  let excess = options.bytes - options.keepBytes
  if (retentionMs < 0 && excess <= 0) return false
  const bases = listSegments(dir).filter(base => base <= active)
  const done = lowestMark(dir, waitFor)
  // Where nobody is named who must have read it, nobody can be said to have.
  const needed = waitFor.length === 0 ? 0 : lowestMark(dir, waitFor, waitFor)
  const youngest = retentionMs < 0 ? Number.NEGATIVE_INFINITY : Date.now() - retentionMs
  let any = false
  for (const [i, base] of bases.entries()) {
    const end = bases[i + 1]
    // The last one is active, and marks are kept by offset: what a group has not passed it may read again.
    if (end === undefined) break
    const { mtimeMs, size } = fs.statSync(segmentFile(dir, base))
    // The last write to a segment is its youngest record; compaction hands the time on.
    const isOld = end <= done && mtimeMs <= youngest
    const isInTheWay = excess > 0 && end <= needed
    if (!isOld && !isInTheWay) break
    await fs.promises.unlink(segmentFile(dir, base))
    excess -= size
    any = true
  }
  if (any) await syncDir(dir)
  return any
}
