import type { MoneyDecision } from '../../schemas/control.ts'
import { type Envelope, formatEventId } from '../../schemas/envelope.ts'
import type { Message } from '../../schemas/events.ts'
import { encodeDecision } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import type { Life } from '../io/epoch.ts'
import type { Fault } from '../io/fault.ts'
import type { EventLog } from '../io/log/port.ts'

/**
 * The one pen for `sluice.control`: what an enforcer decides stands there in the order in which it was said. Rejects where
 * the log does not take a word: then nobody knows what stands, and the process has to begin anew.
 */
export type Control = {
  /** Resolves when all of it is safe from a crash of this process. */
  readonly decide: (decisions: readonly MoneyDecision[]) => Promise<void>
  /** What has ids of its own, for it is a function of what caused it. */
  readonly write: (messages: readonly Message[]) => Promise<void>
  readonly close: () => Promise<void>
}

export async function openControl(log: EventLog, life: Life, now: () => number = Date.now): Promise<Control> {
  const writer = await log.writer(topics.control.name)
  const source = `/sluice/${life.producer}`
  let sequence = 0
  const envelope = (): Envelope => ({
    id: formatEventId({ ...life, sequence: sequence++ }),
    source,
    time: now(),
  })
  const write = async (messages: readonly Message[]): Promise<void> => {
    const written = messages.map(
      message =>
        new Promise<Fault | null>(resolve => {
          writer.append(message, resolve)
        }),
    )
    const fault = (await Promise.all(written)).find(each => each !== null)
    if (fault !== undefined) throw fault
  }
  return {
    decide: decisions => write(decisions.map(decision => encodeDecision(envelope(), decision))),
    write,
    close: () => writer.close(),
  }
}
