import { Fault } from '../../fault.ts'
import type { Mark, Partition } from '../port.ts'
import { errorType, isFenced, peer } from './protocol.ts'
import type { Session } from './session.ts'

/** Who commits. Generation −1 and no member: nobody; Kafka takes that only while the group has no members. */
export type Committer = { readonly group: string; readonly generation: number; readonly memberId: string }
export const nobody = (group: string): Committer => ({ group, generation: -1, memberId: '' })

/** The port's limit, and the broker's usual one (`offset.metadata.max.bytes`), which counts bytes. */
const maxNoteBytes = 4_096

/** The mark is the group's committed offset, the note its metadata. */
export async function putMark(session: Session, as: Committer, at: Partition, mark: Mark, ms: number): Promise<void> {
  const note = mark.note ?? ''
  if (Buffer.byteLength(note) > maxNoteBytes) {
    throw new Fault('note_too_long', `the note of a mark is at most ${maxNoteBytes} bytes`)
  }
  try {
    await session.ask('take a commit', ms, async cluster => {
      const coordinator = peer(await cluster.findGroupCoordinator({ groupId: as.group }))
      await coordinator.offsetCommit({
        groupId: as.group,
        groupGenerationId: as.generation,
        memberId: as.memberId,
        topics: [
          { topic: at.topic, partitions: [{ partition: at.partition, offset: String(mark.offset), metadata: note }] },
        ],
      })
    })
  } catch (error) {
    const type = errorType(error)
    // A rebalance that is past its joining does not take commits of the term before.
    if (isFenced(type) || type === 'REBALANCE_IN_PROGRESS') throw fencedOff(as.group, at, error)
    throw error
  }
}

export const fencedOff = (group: string, at: Partition, cause?: unknown): Fault =>
  new Fault('log_fenced', `${at.topic}/${at.partition} is another member's of ${group} now`, { cause })

/** The marks there are, by `markKey`. */
export async function fetchMarks(
  session: Session,
  group: string,
  partitions: readonly Partition[],
  ms: number,
): Promise<ReadonlyMap<string, Mark>> {
  if (partitions.length === 0) return new Map()
  const { responses } = await session.ask('give marks', ms, async cluster => {
    const coordinator = peer(await cluster.findGroupCoordinator({ groupId: group }))
    return coordinator.offsetFetch({
      groupId: group,
      topics: partitions.map(({ topic, partition }) => ({ topic, partitions: [{ partition }] })),
    })
  })
  const marks = new Map<string, Mark>()
  for (const { topic, partitions: found } of responses) {
    for (const { partition, offset, metadata } of found) {
      if (Number(offset) < 0) continue // nothing committed
      const mark = { offset: Number(offset), ...(metadata ? { note: metadata } : {}) }
      marks.set(markKey({ topic, partition }), mark)
    }
  }
  return marks
}

export const markKey = (at: Partition): string => `${at.topic}/${at.partition}`
