import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from '../../../schemas/events.ts'
import { type Fault, textOf } from '../fault.ts'
import type { EventLog, Writer } from './port.ts'

/** As pino has it. */
export type Teller = {
  info(facts: object, text: string): void
  warn(facts: object, text: string): void
  error(facts: object, text: string): void
}

/** Between two tries while the log is away. The longer one bounds how late it is noticed that the log is back. */
const leastRetryMs = 100
const mostRetryMs = 2_000
/** How often it is asked how many partitions the topic has; adding some is a rare act of an operator. */
const partitionsMs = 60_000

/** A topic of a log that may be away for hours: what is sent waits until it is there, in its order. */
export class Target {
  readonly #to: EventLog
  readonly #topic: string
  readonly #signal: AbortSignal
  readonly #log: Teller
  #writer: Writer | null = null
  #partitions = 0
  #askedAt = 0
  #retryMs = leastRetryMs
  #awaySince: number | null = null

  /** `signal`: nothing is sent or waited for any more. */
  constructor(to: EventLog, topic: string, signal: AbortSignal, log: Teller) {
    this.#to = to
    this.#topic = topic
    this.#signal = signal
    this.#log = log
  }

  /** How many partitions the topic has, at least one; null when it was given up. */
  async partitions(): Promise<number | null> {
    while (this.#partitions === 0 || performance.now() - this.#askedAt > partitionsMs) {
      if (this.#signal.aborted) return null
      try {
        const found = await this.#unlessGivenUp(this.#to.partitions(this.#topic))
        if (found === null) return null
        this.#partitions = Math.max(1, found.length)
        this.#askedAt = performance.now()
      } catch (error) {
        await this.#away(error)
      }
    }
    return this.#partitions
  }

  /** True when all were taken, in this order; false when it was given up, and then some may have been taken. */
  async send(messages: readonly Message[]): Promise<boolean> {
    let left = messages
    while (left.length > 0) {
      if (this.#signal.aborted) return false
      try {
        this.#writer ??= await this.#unlessGivenUp(this.#to.writer(this.#topic))
        if (this.#writer === null) return false
      } catch (error) {
        await this.#away(error)
        continue
      }
      const { taken, fault } = await this.#append(this.#writer, left)
      left = left.slice(taken)
      if (taken > 0) this.#back()
      if (fault === null) continue
      if (!fault.retriable) this.#writer = null // it was closed or is broken; another may do
      await this.#away(fault)
    }
    return true
  }

  /** Null as soon as it is given up; a log that is away may take its time to say so. */
  async #unlessGivenUp<T>(answer: Promise<T>): Promise<T | null> {
    answer.catch(() => {}) // of no interest once it is given up
    const { promise: givenUp, resolve } = Promise.withResolvers<null>()
    const giveUp = () => resolve(null)
    if (this.#signal.aborted) return null
    this.#signal.addEventListener('abort', giveUp)
    try {
      return await Promise.race([answer, givenUp])
    } finally {
      this.#signal.removeEventListener('abort', giveUp)
    }
  }

  /** How many were taken before the first that was not. What was taken behind it is sent again, and dropped by its id. */
  #append(writer: Writer, messages: readonly Message[]): Promise<{ taken: number; fault: Fault | null }> {
    return new Promise(resolve => {
      let open = messages.length
      let taken = messages.length
      let first: Fault | null = null
      const settle = () => {
        this.#signal.removeEventListener('abort', giveUp)
        resolve({ taken, fault: first })
      }
      const giveUp = () => {
        taken = 0
        settle()
      }
      this.#signal.addEventListener('abort', giveUp)
      for (const [i, message] of messages.entries()) {
        writer.append(message, fault => {
          if (fault?.code === 'log_refused') this.#lose(message, fault)
          else if (fault !== null && i < taken) {
            taken = i
            first = fault
          }
          if (--open === 0) settle()
        })
      }
    })
  }

  /** Waiting would keep all that comes behind it for ever. Its number will be missed downstream: that is the alarm. */
  #lose({ key, headers }: Message, fault: Fault): void {
    this.#log.error({ topic: this.#topic, key, headers, err: fault }, 'a record will never be taken: it is lost')
  }

  async #away(error: unknown): Promise<void> {
    if (this.#awaySince === null) {
      this.#awaySince = Date.now()
      this.#log.warn({ topic: this.#topic, err: error }, `the log is away, the spool grows: ${textOf(error)}`)
    }
    await sleep(this.#retryMs, undefined, { signal: this.#signal }).catch(() => {})
    this.#retryMs = Math.min(this.#retryMs * 2, mostRetryMs)
  }

  #back(): void {
    this.#retryMs = leastRetryMs
    if (this.#awaySince === null) return
    this.#log.info({ topic: this.#topic, awayMs: Date.now() - this.#awaySince }, 'the log is back')
    this.#awaySince = null
  }

  async close(): Promise<void> {
    await this.#writer?.close()
  }
}
