import { z } from 'zod'

/**
 * What surrounds every event, whatever its family.
 *
 * An event is written once, by one producer, in one life of it (epoch), as its how-manieth (sequence). Its id is these
 * three and nothing else, so writing it again gives the same id, and a number that is missing is an event that was lost.
 * On the log the envelope travels as CloudEvents attributes in record headers (binary mode), the body as JSON.
 */
export const producerName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/)

/** `<producer>.<epoch>.<sequence>`, e.g. `gateway-3f9a1c-0.7.42`. */
export const eventId = z.string().regex(/^[a-z][a-z0-9-]{0,62}\.\d{1,15}\.\d{1,15}$/)

export type Origin = { readonly producer: string; readonly epoch: number; readonly sequence: number }

export const formatEventId = (origin: Origin): string => `${origin.producer}.${origin.epoch}.${origin.sequence}`

/** Null where the text is not an id of ours (a foreign CloudEvent). */
export function parseEventId(id: string): Origin | null {
  const last = id.lastIndexOf('.')
  const middle = id.lastIndexOf('.', last - 1)
  if (middle <= 0) return null
  const epoch = Number(id.slice(middle + 1, last))
  const sequence = Number(id.slice(last + 1))
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(sequence)) return null
  return { producer: id.slice(0, middle), epoch, sequence }
}

/** The attributes of an event apart from its body. `time` is Unix milliseconds, UTC, of the producer's clock. */
export const envelope = z.object({ id: eventId, source: z.string(), time: z.number().int().nonnegative() })
export type Envelope = z.infer<typeof envelope>

/** Header names of CloudEvents' Kafka binding, binary content mode. */
export const header = {
  specversion: 'ce_specversion',
  id: 'ce_id',
  type: 'ce_type',
  source: 'ce_source',
  time: 'ce_time',
  contentType: 'content-type',
  /** Ours: the sequence of the event that this producer's epoch sent to this partition before; absent means sequence − 1. */
  previous: 'ce_previous',
} as const
