import { formatEventId, header } from '../../schemas/envelope.ts'
import { type Continued, encode, encodeContinued, type Fact } from '../../schemas/events.ts'
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
export type Recorder = {
  /** Resolves with where the event stands once a kill -9 can no longer lose it, or with the Fault `log_unavailable`. */
  try(fact: Fact | Continued, key: string): Promise<{ readonly id: string; readonly offset: number } | Fault>
  /** Gives the event's id; `told` is called once the log has it. */
  tell(fact: Fact | Continued, key: string, told?: () => void): string
  /** Facts that the log has not taken yet. */
  waiting(): number
  readonly written: () => number
  close(): Promise<void>
}

/** Long enough not to press a full disk, short enough that a log which is back is used at once. */
const retryMs = 250

export function openRecorder(options: {
  readonly writer: Writer
  readonly life: Life
  readonly now?: () => number
}): Recorder {
  const { writer, life } = options
  const now = options.now ?? Date.now
  const source = `/sluice/${life.producer}`
  let sequence = 0
  /** The last sequence that the log took, and whether a later one was lost to a fault: then the next event says so. */
  let lastTaken = -1
  let holed = false
  let written = 0
  const kept: { fact: Fact | Continued; key: string; time: number; told: (() => void) | undefined }[] = []
  let timer: NodeJS.Timeout | null = null
  let closing = false

  const append = (
    fact: Fact | Continued,
    key: string,
    time: number,
    done: (fault: Fault | null, offset: number) => void,
  ): string => {
    const mine = sequence++
    const id = formatEventId({ producer: life.producer, epoch: life.epoch, sequence: mine })
    const message =
      'opening' in fact ? encodeContinued({ id, source, time }, fact, key) : encode({ id, source, time, ...fact }, key)
    const sent = holed ? { ...message, headers: { ...message.headers, [header.previous]: String(lastTaken) } } : message
    holed = false
    writer.append(sent, (fault, offset) => {
      if (fault === null) {
        lastTaken = Math.max(lastTaken, mine)
        written++
      } else holed = true
      done(fault, offset)
    })
    return id
  }

  const again = () => {
    timer = null
    for (const { fact, key, time, told } of kept.splice(0)) keep(fact, key, time, told)
  }
  const keep = (fact: Fact | Continued, key: string, time: number, told: (() => void) | undefined): string =>
    append(fact, key, time, fault => {
      if (fault === null) return told?.()
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
    async close() {
      closing = true
      if (timer !== null) clearTimeout(timer)
      if (kept.length > 0) again() // the last chance; the drain of the pipeline came before
      await writer.flush()
      await writer.close()
    },
  }
}
