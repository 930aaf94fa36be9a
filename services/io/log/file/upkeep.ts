import { Fault } from '../../fault.ts'
import { compact } from './compact.ts'
import type { Tail } from './tail.ts'
import type { TopicSettings } from './topic.ts'
import { trim } from './trim.ts'

/** How often retention is looked at where nothing else asks for it. */
const everyMs = 30_000
/** Not more often than this, however many appends are refused for want of room. */
const pauseMs = 100

/** What the writer of a partition does in the background: retention and compaction, one at a time. */
export class Upkeep {
  readonly #dir: string
  readonly #tail: Tail
  readonly #settings: TopicSettings
  readonly #segmentBytes: number
  readonly #waitFor: readonly string[]
  readonly #keepBytes: number
  readonly #onFault: (fault: Fault) => void
  readonly #timer: NodeJS.Timeout
  /** Bytes of closed segments that the last compaction has left. */
  #cleanBytes = 0
  #running: Promise<void> | null = null
  #asked = false
  #pause: NodeJS.Timeout | null = null
  #closed = false

  constructor(
    dir: string,
    tail: Tail,
    options: {
      readonly settings: TopicSettings
      readonly segmentBytes: number
      readonly waitFor: readonly string[]
      /** Above this only what `waitFor` still needs is kept, however young. */
      readonly keepBytes: number
      readonly onFault: (fault: Fault) => void
    },
  ) {
    this.#dir = dir
    this.#tail = tail
    this.#settings = options.settings
    this.#segmentBytes = options.segmentBytes
    this.#waitFor = options.waitFor
    this.#keepBytes = options.keepBytes
    this.#onFault = options.onFault
    this.#timer = setInterval(() => this.soon(), everyMs).unref()
    this.soon()
  }

  /** Something changed: a segment was closed, or there is no room. */
  soon(): void {
    if (this.#closed) return
    this.#asked = true
    if (this.#running !== null || this.#pause !== null) return
    this.#running = this.#look().finally(() => {
      this.#running = null
      if (this.#closed) return
      this.#pause = setTimeout(() => {
        this.#pause = null
        if (this.#asked) this.soon()
      }, pauseMs)
    })
  }

  async #look(): Promise<void> {
    this.#asked = false
    const { cleanup, retentionMs } = this.#settings
    const active = this.#tail.settledBase
    try {
      let changed = false
      if (cleanup !== 'compact') {
        const kept = { bytes: this.#tail.bytes, keepBytes: this.#keepBytes, waitFor: this.#waitFor }
        changed = await trim(this.#dir, { active, retentionMs, ...kept })
      }
      if (cleanup !== 'delete' && this.#isWorthwhile()) {
        const options = { active, segmentBytes: this.#segmentBytes, aborted: () => this.#closed }
        const left = await compact(this.#dir, options)
        // What was closed meanwhile is not among it.
        this.#cleanBytes = left ?? this.#cleanBytes
        changed ||= left !== null
      }
      if (changed) this.#tail.recount()
    } catch (cause) {
      this.#onFault(new Fault('log_upkeep', 'Old records of the log could not be cleared away.', { cause }))
    }
  }

  /** Half of what is there is new: then compaction reads and writes each byte but a few times in its life. */
  #isWorthwhile(): boolean {
    const fresh = this.#tail.closedBytes - this.#cleanBytes
    return fresh >= Math.max(this.#cleanBytes, this.#segmentBytes / 2)
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    if (this.#pause !== null) clearTimeout(this.#pause)
    await this.#running
  }
}
