import type { Message } from '../../schemas/events.ts'
import { Fault } from '../../services/io/fault.ts'
import { partitionOf } from '../../services/io/log/partitioner.ts'
import type { EventLog, Writer } from '../../services/io/log/port.ts'

/** A log with several partitions in memory, which is away when the test says so. Only what a forwarder uses is there. */
export class ScriptedLog {
  readonly taken: (Message & { readonly partition: number })[] = []
  /** What an append meets: it is taken, refused at once, or kept without an answer. */
  mode: 'takes' | 'refuses' | 'is silent' = 'takes'
  /** How many appends go through before `mode` turns to `refuses`. */
  takesYet = Number.POSITIVE_INFINITY
  refusedForEver: (message: Message) => boolean = () => false
  onTaken: () => void = () => {}
  readonly #partitions: number

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  get log(): EventLog {
    const never = () => Promise.reject(new Error('not scripted'))
    return {
      ensure: async () => [],
      writer: async () => {
        if (this.mode === 'refuses') throw new Fault('log_unavailable', 'away', { retriable: true })
        return this.#writer()
      },
      follow: () => {
        throw new Error('not scripted')
      },
      consume: () => {
        throw new Error('not scripted')
      },
      commit: never,
      committed: never,
      bounds: never,
      partitions: async () => Array.from({ length: this.#partitions }, (_, i) => i),
      close: async () => {},
    }
  }

  #writer(): Writer {
    return {
      append: (message, done) => {
        if (this.takesYet-- <= 0) this.mode = 'refuses'
        const { mode } = this
        if (mode === 'is silent') return
        setImmediate(() => {
          if (mode === 'refuses') return done?.(new Fault('log_unavailable', 'away', { retriable: true }), -1)
          if (this.refusedForEver(message)) return done?.(new Fault('log_refused', 'too large'), -1)
          this.taken.push({ ...message, partition: partitionOf(message.key ?? '', this.#partitions) })
          done?.(null, this.taken.length - 1)
          this.onTaken()
        })
      },
      flush: async () => {},
      backlog: () => ({ records: 0, ageMs: 0 }),
      close: async () => {},
    }
  }
}
