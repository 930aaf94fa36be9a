import fs from 'node:fs'
import { lowestMark } from './marks.ts'
import { listSegments, segmentFile, syncDir } from './place.ts'

/**
 * Deletes closed segments, the oldest first, as long as each is older than the retention and every known group is
 * beyond it. Readers that are still in one keep it until they let go; those that come later begin at the earliest.
 * Answers whether anything went.
 */
export async function trim(
  dir: string,
  options: { readonly active: number; readonly retentionMs: number; readonly waitFor: readonly string[] },
): Promise<boolean> {
  if (options.retentionMs < 0) return false
  const bases = listSegments(dir).filter(base => base <= options.active)
  const done = lowestMark(dir, options.waitFor)
  const youngest = Date.now() - options.retentionMs
  let any = false
  for (const [i, base] of bases.entries()) {
    const end = bases[i + 1]
    // The last one is active, and marks are kept by offset: what a group has not passed it may read again.
    if (end === undefined || end > done) break
    // The last write to a segment is its youngest record; compaction hands the time on.
    if (fs.statSync(segmentFile(dir, base)).mtimeMs > youngest) break
    await fs.promises.unlink(segmentFile(dir, base))
    any = true
  }
  if (any) await syncDir(dir)
  return any
}
