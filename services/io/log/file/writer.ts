import type { Message } from '../../../../schemas/events.ts'
import { Fault } from '../../fault.ts'
import { encodeRecord, maxRecordBytes, sizeBound } from '../codec.ts'
import type { Writer } from '../port.ts'
import { unavailable } from './fault.ts'
import type { Tail } from './tail.ts'

type Done = (fault: Fault | null, offset: number) => void

/** Consecutive appends with one fate: written together from offset `first` on, or refused together. */
type Group = {
  readonly dones: (Done | undefined)[]
  readonly first: number
  readonly since: number
  readonly fault: Fault | null
}

/** Where a turn's records are collected first. Grows, and is let go again above this. */
const bufferBytes = 256 * 1024
/** A turn that appends more than this is written in parts, so that a flood does not double its memory. */
const writeBytes = 1024 * 1024

/**
 * Collects the appends of one turn of the event loop in one buffer and writes them by one call when the turn is over, so
 * that the price of the system call is shared by all requests that were read in that turn.
 *
 * Callbacks are kept in groups in the order of the appends. A group is called back when it is written, or with
 * `durability: 'fsync'` when the disk has it; a refused group when its turn is over and those before it were called.
 */
export class FileWriter implements Writer {
  readonly #tail: Tail
  readonly #maxBytes: number
  readonly #waitForDisk: boolean
  readonly #onPressure: () => void
  readonly #onClose: () => Promise<void>
  #buffer = Buffer.allocUnsafe(bufferBytes)
  #length = 0
  #open: { dones: (Done | undefined)[]; readonly first: number; readonly since: number } | null = null
  #next: number
  readonly #groups: Group[] = []
  #waiting = 0
  /** Why the rest of this turn is refused. */
  #refusal: Fault | null = null
  #scheduled = false
  #settling = false
  #flushes: { readonly upTo: number; readonly resolve: () => void }[] = []
  #closing = false
  #closed: Promise<void> | null = null

  constructor(
    tail: Tail,
    options: {
      readonly maxBytes: number
      readonly durability: 'os' | 'fsync'
      /** There is no room: a good moment to look for what can go. */
      readonly onPressure: () => void
      readonly onClose: () => Promise<void>
    },
  ) {
    this.#tail = tail
    this.#maxBytes = options.maxBytes
    this.#waitForDisk = options.durability === 'fsync'
    this.#onPressure = options.onPressure
    this.#onClose = options.onClose
    this.#next = tail.next
  }

  append(message: Message, done?: Done): void {
    if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(this.#endTurn)
    }
    this.#waiting++
    const bound = sizeBound(message)
    const refusal = this.#refusal ?? this.#reasonToRefuse(bound)
    if (refusal === null && this.#length + bound > this.#buffer.length) this.#makeRoom(bound)
    // Making room may have written, and that may have failed.
    const fault = refusal ?? this.#refusal
    if (fault !== null) this.#refuse(fault, done)
    else {
      this.#open ??= { dones: [], first: this.#next, since: Date.now() }
      this.#length = encodeRecord(this.#buffer, this.#length, this.#next++, this.#open.since, message)
      this.#open.dones.push(done)
    }
  }

  #reasonToRefuse(bound: number): Fault | null {
    if (this.#closing) return new Fault('log_closed', 'The log was closed.')
    if (this.#tail.broken !== null) return this.#tail.broken
    if (bound > maxRecordBytes) return new Fault('log_refused', `A record is above ${maxRecordBytes} bytes.`)
    if (this.#tail.bytes + this.#length + bound <= this.#maxBytes) return null
    this.#onPressure()
    const message = `The log holds ${this.#tail.bytes} bytes of the ${this.#maxBytes} it may.`
    return new Fault('log_unavailable', message, { retriable: true })
  }

  #refuse(fault: Fault, done: Done | undefined): void {
    this.#writeOut()
    // A record that will never fit does not spoil the turn for others.
    if (fault.code !== 'log_refused') this.#refusal = fault
    this.#groups.push({ dones: [done], first: 0, since: Date.now(), fault })
  }

  #makeRoom(bound: number): void {
    if (this.#length >= writeBytes) this.#writeOut()
    if (this.#length + bound <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bound))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }

  readonly #endTurn = (): void => {
    this.#scheduled = false
    this.#writeOut()
    this.#refusal = null
    this.#settle()
  }

  /** Gives what was collected to the operating system, all or nothing. */
  #writeOut(): void {
    const open = this.#open
    if (open === null) return
    this.#open = null
    let fault: Fault | null = null
    try {
      this.#tail.write(this.#buffer.subarray(0, this.#length), this.#next)
    } catch (error) {
      fault = error instanceof Fault ? error : unavailable(error)
      this.#refusal = fault
      this.#next = open.first
      this.#onPressure()
    }
    this.#groups.push({ ...open, fault })
    this.#length = 0
    if (this.#buffer.length > writeBytes * 2) this.#buffer = Buffer.allocUnsafe(bufferBytes)
  }

  /** Calls back, in order, all groups whose fate is known. */
  readonly #settle = (): void => {
    if (this.#settling) return
    this.#settling = true
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      const fault = group.fault ?? (this.#waitForDisk ? this.#tail.broken : null)
      const end = group.first + group.dones.length
      if (fault === null && this.#waitForDisk && this.#tail.durable < end) break
      this.#groups.shift()
      this.#waiting -= group.dones.length
      for (let i = 0; i < group.dones.length; i++) call(group.dones[i], fault, fault === null ? group.first + i : -1)
    }
    this.#settling = false
    while (this.#flushes[0] !== undefined && this.#isDurable(this.#flushes[0].upTo)) this.#flushes.shift()?.resolve()
  }

  /** Called when the disk has more. */
  readonly durable = (): void => {
    if (this.#waitForDisk || this.#flushes.length > 0) this.#settle()
  }

  async flush(): Promise<void> {
    this.#endTurnNow()
    const upTo = this.#tail.next
    if (!this.#isDurable(upTo)) {
      this.#tail.hurry()
      await new Promise<void>(resolve => this.#flushes.push({ upTo, resolve }))
    }
    if (this.#tail.broken !== null) throw this.#tail.broken
  }

  /** Or never will be. */
  #isDurable(upTo: number): boolean {
    return this.#tail.broken !== null || this.#tail.durable >= upTo
  }

  #endTurnNow(): void {
    this.#writeOut()
    this.#settle()
  }

  backlog(): { readonly records: number; readonly ageMs: number } {
    const since = this.#groups[0]?.since ?? this.#open?.since
    return { records: this.#waiting, ageMs: since === undefined ? 0 : Math.max(0, Date.now() - since) }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    // Before anything is called back: what a callback appends now is refused, not written to files that are going away.
    this.#closing = true
    this.#endTurnNow()
    await this.#tail.close()
    this.#settle()
    await this.#onClose()
  }
}

/** A callback that throws is a mistake of the caller: it crashes loudly, but the others are called all the same. */
function call(done: Done | undefined, fault: Fault | null, offset: number): void {
  try {
    done?.(fault, offset)
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
