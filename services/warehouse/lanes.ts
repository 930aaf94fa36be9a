import { refusal } from './exception.ts'

/** `width` statements at once, `queue` waiting, none of them longer than `waitMs`. */
export type LaneLimits = { readonly width: number; readonly queue: number; readonly waitMs: number }

type Waiter = { readonly admit: () => void; readonly refuse: (error: Error) => void }

/**
 * A bounded way into the engine. Every running statement holds a thread of libuv's pool, the pool that also serves
 * files and zlib, and two of them fill a laptop; so there is a lane for each kind of caller and nobody's queue is
 * another's delay.
 */
export class Lane {
  readonly name: string
  readonly limits: LaneLimits
  #running = 0
  readonly #waiting = new Set<Waiter>()

  constructor(name: string, limits: LaneLimits) {
    this.name = name
    this.limits = limits
  }

  get running(): number {
    return this.#running
  }

  /** Resolves with the function that leaves the lane. Throws TOO_MANY_SIMULTANEOUS_QUERIES, or the signal's reason. */
  enter(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) return Promise.reject(signal.reason)
    if (this.#running < this.limits.width) return Promise.resolve(this.#admit())
    if (this.#waiting.size >= this.limits.queue) return Promise.reject(this.#full('and as many as may wait'))
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        this.#waiting.delete(waiter)
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
        act()
      }
      const waiter: Waiter = {
        admit: () => settle(() => resolve(this.#admit())),
        refuse: error => settle(() => reject(error)),
      }
      const abort = () => waiter.refuse(signal.reason)
      const timer = setTimeout(() => waiter.refuse(this.#full(`for ${this.limits.waitMs} ms`)), this.limits.waitMs)
      signal.addEventListener('abort', abort, { once: true })
      this.#waiting.add(waiter)
    })
  }

  #admit(): () => void {
    this.#running += 1
    let left = false
    return () => {
      if (left) return
      left = true
      this.#running -= 1
      const [next] = this.#waiting
      next?.admit()
    }
  }

  #full(detail: string): Error {
    return refusal(
      'TOO_MANY_SIMULTANEOUS_QUERIES',
      `Too many simultaneous queries. ${this.limits.width} statements of the lane '${this.name}' are running ${detail}`,
    )
  }
}
