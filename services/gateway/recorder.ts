import { type Envelope, formatEventId, header } from '../../schemas/envelope.ts'
import type { Continued, Fact, Message } from '../../schemas/events.ts'
import type { Life } from '../io/epoch.ts'
import type { Fault } from '../io/fault.ts'
import type { Writer } from '../io/log/port.ts'

/**
 * Where every exit of the pipeline passes. Facts get their ids here and go to the log next to this process; a forwarder
 * takes them further where the log is Kafka.
 *
 * Two ways to tell a fact, because the log can be full:
 * - `try` before something happens (an admission): a fault means that it must not happen.
 * - `tell` after it happened: the fact is kept and told again until the log takes it. What is kept is bounded by the
 *   calls in flight, for nothing new is admitted meanwhile.
 */
export type Recorder<Said = Fact | Continued> = {
  /** Resolves with where the event stands once a kill -9 can no longer lose it, or with the Fault `log_unavailable`. */
  try(fact: Said, key: string): Promise<{ readonly id: string; readonly offset: number } | Fault>
  /** Gives the event's id; `told` is called once the log has it, with where it stands there. */
  tell(fact: Said, key: string, told?: (offset: number) => void): string
  /** Facts that the log has not taken yet. */
  waiting(): number
  readonly written: () => number
  /** Somebody waits for what was told: readers of the log are shown it at once. */
  hurry(): void
  close(): Promise<void>
}

type Told = (offset: number) => void

/** Long enough not to press a full disk, short enough that a log which is back is used at once. */
const retryMs = 250

export function openRecorder<Said>(options: {
  readonly writer: Writer
  readonly life: Life
  readonly encode: (envelope: Envelope, fact: Said, key: string) => Message
  /** Who listens to what is said here, as it is said. */
  readonly said?: (envelope: Envelope, fact: Said) => void
  readonly now?: () => number
}): Recorder<Said> {
  const { writer, life, encode } = options
  const now = options.now ?? Date.now
  const source = `/sluice/${life.producer}`
  let sequence = 0
  /** The last sequence that the log took, and whether a later one was lost to a fault: then the next event says so. */
  let lastTaken = -1
  let holed = false
  let written = 0
  const kept: { fact: Said; key: string; time: number; told: Told | undefined }[] = []
  let timer: NodeJS.Timeout | null = null
  let closing = false

  const append = (
    fact: Said,
    key: string,
    time: number,
    done: (fault: Fault | null, offset: number) => void,
  ): string => {
    const mine = sequence++
    const id = formatEventId({ producer: life.producer, epoch: life.epoch, sequence: mine })
    const envelope = { id, source, time }
    const message = encode(envelope, fact, key)
    const sent = holed ? { ...message, headers: { ...message.headers, [header.previous]: String(lastTaken) } } : message
    holed = false
    writer.append(sent, (fault, offset) => {
      if (fault === null) {
        lastTaken = Math.max(lastTaken, mine)
        written++
      } else holed = true
      done(fault, offset)
    })
    options.said?.(envelope, fact)
    return id
  }

  const again = () => {
    timer = null
    for (const { fact, key, time, told } of kept.splice(0)) keep(fact, key, time, told)
  }
  const keep = (fact: Said, key: string, time: number, told: Told | undefined): string =>
    append(fact, key, time, (fault, offset) => {
      if (fault === null) return told?.(offset)
      kept.push({ fact, key, time, told })
      if (!closing) timer ??= setTimeout(again, retryMs)
    })

  return {
    try: (fact, key) =>
      new Promise(resolve => {
        const id = append(fact, key, now(), (fault, offset) => resolve(fault ?? { id, offset }))
      }),
    tell: (fact, key, told) => keep(fact, key, now(), told),
    waiting: () => kept.length,
    written: () => written,
    hurry: () => void writer.flush().catch(() => {}), // a log that broke tells by its refusals
    async close() {
      closing = true
      if (timer !== null) clearTimeout(timer)
      if (kept.length > 0) again() // the last chance; the drain of the pipeline came before
      await writer.flush()
      await writer.close()
    },
  }
}
