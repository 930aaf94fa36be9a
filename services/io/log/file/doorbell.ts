import fs from 'node:fs'
import { isMissing } from './place.ts'

/** How long a reader rests at most where it is told of changes: a process has a dozen readers, and most of them idle. */
const restMs = 250
/** As many changes in a row of which nobody told are no coincidence: from then on it is looked every `pollMs`. */
const missesMost = 3

/**
 * Wakes a reader when a file changes: inotify and its like where they work, which is within a tenth of a millisecond,
 * and a look every `pollMs` where they do not (network and overlay file systems, watches used up).
 */
export class Doorbell {
  readonly #pollMs: number
  readonly #watch: boolean
  readonly #watchers = new Map<string, fs.FSWatcher>()
  #waitMs: number
  #misses = 0
  #rung = false
  #wake: (() => void) | null = null

  constructor(options: { readonly pollMs: number; readonly watch: boolean }) {
    this.#pollMs = options.pollMs
    this.#watch = options.watch
    this.#waitMs = options.pollMs
  }

  /** Rings on changes of a file or directory, from now on. What does not exist yet cannot be watched: ask again. */
  watch(file: string, changed: () => void = () => {}): void {
    if (!this.#watch || this.#watchers.has(file)) return
    try {
      const watcher = fs.watch(file, () => {
        changed()
        this.ring()
      })
      watcher.on('error', () => this.#forget(file))
      this.#watchers.set(file, watcher)
      this.ring() // it may have changed before the watch was there
    } catch (error) {
      if (!isMissing(error)) this.#forget(file) // no watches to be had: the poll does it
    }
  }

  #forget(file: string): void {
    this.#watchers.get(file)?.close()
    this.#watchers.delete(file)
  }

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** There was something new of which it did not ring. */
  missed(): void {
    this.#misses++
    this.#waitMs = this.#pollMs
  }

  /**
   * Resolves with true at the next ring, at once where it rang since the last call; else with false, after `pollMs` and
   * ever later for as long as its silence can be trusted.
   */
  async heard(): Promise<boolean> {
    if (!this.#rung) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, this.#waitMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = null
    }
    const rang = this.#rung
    this.#rung = false
    if (rang) {
      this.#misses = 0
      this.#waitMs = this.#pollMs
    } else if (this.#watchers.size > 0 && this.#misses < missesMost)
      this.#waitMs = Math.max(this.#pollMs, Math.min(restMs, this.#waitMs * 2))
    return rang
  }

  close(): void {
    for (const file of [...this.#watchers.keys()]) this.#forget(file)
    this.ring()
  }
}
