import { z } from 'zod'
import { header, type Origin, parseEventId } from '../../../schemas/envelope.ts'
import type { Message } from '../../../schemas/events.ts'
import { partitionOf } from './partitioner.ts'
import type { Mark } from './port.ts'

/**
 * Events of one producer are numbered, and on one partition a missing number is a lost event. Spread over several
 * partitions the numbers have holes on each, so an event says which of its producer came before it on its own partition
 * (`ce_previous`; −1: none of this epoch). A chain knows that: the last sequence shipped to each partition.
 *
 * Only the latest epoch of one producer is known, for a spool is written by one process and epochs follow each other.
 */
export type Chain = {
  readonly producer: string
  readonly epoch: number
  /** The last sequence taken from the spool, whatever its partition; null where the chain began in the middle. */
  readonly sequence: number | null
  /** By partition of the target; −1: none yet. */
  readonly last: readonly number[]
}

/** The message as it goes to the target, and the chain with it. `isFirst`: nothing came before it on the spool, ever. */
export function link(
  chain: Chain | null,
  message: Message,
  partitions: number,
  isFirst: boolean,
): { readonly chain: Chain | null; readonly message: Message } {
  const origin = parseEventId(message.headers[header.id] ?? '')
  const partition = partitions === 1 ? 0 : message.key === null ? null : partitionOf(message.key, partitions)
  if (origin === null || partition === null) return { chain, message } // not an event of ours, or no saying where it goes
  const now = continued(chain, origin, isFirst)
  const before = now.last[partition] ?? -1
  if (origin.sequence <= before) return { chain, message } // told again: the same event keeps what it said
  const claimed = message.headers[header.previous]
  const expected = claimed === undefined ? origin.sequence - 1 : Number(claimed)
  // Where the spool itself lacks events, the next one says so on its partition; else the hole would be papered over here.
  const holed = now.sequence !== null && expected > now.sequence
  const last = Array.from({ length: Math.max(partitions, now.last.length) }, (_, i) => now.last[i] ?? -1)
  last[partition] = origin.sequence
  return {
    chain: { ...now, sequence: origin.sequence, last },
    message: withPrevious(message, origin.sequence, holed ? expected : before),
  }
}

function continued(chain: Chain | null, { producer, epoch }: Origin, isFirst: boolean): Chain {
  if (chain?.producer === producer && chain.epoch === epoch) return chain
  // An epoch that begins behind another on the spool, or with the spool, is there from its first event.
  return { producer, epoch, sequence: isFirst || chain !== null ? -1 : null, last: [] }
}

function withPrevious(message: Message, sequence: number, previous: number): Message {
  const { [header.previous]: claimed, ...headers } = message.headers
  if (previous !== sequence - 1) return { ...message, headers: { ...headers, [header.previous]: `${previous}` } }
  return claimed === undefined ? message : { ...message, headers }
}

/** What a note holds. Some hundreds of partitions fit. */
const noteChars = 4_096

/**
 * As a mark, with the offset: distances from the last sequence in base 36, for a few characters a partition. A chain that
 * does not fit is left out; it begins anew after a restart, and until then a loss on the spool is seen all the same.
 */
export function markOf(offset: number, chain: Chain | null): Mark {
  if (chain === null) return { offset }
  const { producer, epoch, sequence, last } = chain
  const distances = last.map(one => (one < 0 || sequence === null ? '' : (sequence - one).toString(36)))
  const note = JSON.stringify({ producer, epoch, sequence, last: distances.join(',') })
  return note.length > noteChars ? { offset } : { offset, note }
}

const noted = z.object({
  producer: z.string(),
  epoch: z.number().int(),
  sequence: z.number().int().nullable(),
  last: z.string(),
})

/** Null where the note is empty. */
export function chainOf(note: string | undefined): Chain | null {
  if (note === undefined || note === '') return null
  const { producer, epoch, sequence, last } = noted.parse(JSON.parse(note))
  const distances = last === '' ? [] : last.split(',')
  const from = sequence ?? -1
  return {
    producer,
    epoch,
    sequence,
    last: distances.map(distance => (distance === '' ? -1 : from - Number.parseInt(distance, 36))),
  }
}
