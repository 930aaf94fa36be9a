import fs from 'node:fs'
import { isMissing } from './place.ts'

/**
 * Wakes a reader when a file changes: inotify and its like where they work, which is within a tenth of a millisecond,
 * and a look every `pollMs` where they do not (network and overlay file systems, watches used up).
 */
export class Doorbell {
  readonly #pollMs: number
  readonly #watch: boolean
  readonly #watchers = new Map<string, fs.FSWatcher>()
  #rung = false
  #wake: (() => void) | null = null

  constructor(options: { readonly pollMs: number; readonly watch: boolean }) {
    this.#pollMs = options.pollMs
    this.#watch = options.watch
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

  /** Resolves at the next ring, at once where it rang since the last call, and after `pollMs` at the latest. */
  async heard(): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, this.#pollMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = null
    }
    this.#rung = false
  }

  close(): void {
    for (const file of [...this.#watchers.keys()]) this.#forget(file)
    this.ring()
  }
}
