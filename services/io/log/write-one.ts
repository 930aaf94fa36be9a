import type { Message } from '../../../schemas/events.ts'
import type { TopicSpec } from '../../../schemas/topics.ts'
import { within } from '../patience.ts'
import type { EventLog } from './port.ts'

/**
 * Writes one record to a topic that is rarely written, and lets go of it. Resolves once it is on disk (or on all in-sync
 * replicas). Throws the Fault `log_unavailable`; `late`, of a log that was asked and did not answer, goes on from "it did
 * not take it".
 */
export async function writeOne(log: EventLog, topic: TopicSpec, message: Message, late: string): Promise<void> {
  await within(log.ensure([topic]), 'did not take it; nothing was changed')
  const writer = await log.writer(topic.name)
  try {
    const written = new Promise<void>((resolve, reject) =>
      writer.append(message, fault => (fault === null ? resolve() : reject(fault))),
    )
    await within(
      written.then(() => writer.flush()),
      `did not take it; ${late}`,
    )
  } finally {
    // What the log has not taken by now is let go of.
    await writer.close()
  }
}
