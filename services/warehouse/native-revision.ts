import { Transform, type TransformCallback } from 'node:stream'
import { Incomplete, NativeReader } from './native-columns.ts'

/**
 * The Native format as a newer protocol writes it. The embedded engine only knows the oldest; drivers in Go (and so
 * Grafana) announce a `client_protocol_version` and expect two things more: a header before every block, and before
 * every column a byte that says that it is stored in the ordinary way.
 */
export class NativeRevision extends Transform {
  readonly #withFlags: boolean
  #pending: Buffer = Buffer.alloc(0)
  #chunks: Buffer[] = []
  #size = 0
  /** A block that was not whole is not looked at again before there is twice as much of it. */
  #wanted = 0

  constructor(protocolVersion: number) {
    super()
    this.#withFlags = protocolVersion >= withColumnFlags
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    done(this.#size < this.#wanted ? null : this.#blocks())
  }

  override _flush(done: TransformCallback): void {
    const error = this.#blocks()
    done(
      error ?? (this.#pending.length === 0 ? null : new Error('the Native format broke off in the middle of a block')),
    )
  }

  /** Sends on all blocks that are whole. */
  #blocks(): Error | null {
    this.#pending = Buffer.concat([this.#pending, ...this.#chunks])
    this.#chunks = []
    let start = 0
    try {
      while (start < this.#pending.length) start = this.#block(start)
    } catch (error) {
      if (!(error instanceof Incomplete)) return error instanceof Error ? error : new Error(String(error))
    }
    this.#pending = this.#pending.subarray(start)
    this.#size = this.#pending.length
    this.#wanted = this.#size * 2
    return null
  }

  #block(start: number): number {
    const pieces: Buffer[] = [blockInfo]
    const reader = new NativeReader(this.#pending, start)
    const columns = reader.varint()
    const rows = reader.varint()
    let from = start
    for (let column = 0; column < columns; column += 1) {
      reader.string()
      const type = reader.string()
      pieces.push(this.#pending.subarray(from, reader.at))
      if (this.#withFlags) pieces.push(ordinary)
      from = reader.at
      reader.column(type, rows)
    }
    pieces.push(this.#pending.subarray(from, reader.at))
    this.push(Buffer.concat(pieces))
    return reader.at
  }
}

const withColumnFlags = 54_454
/** Fields by number: 1, not an overflow block; 2, bucket -1 (none); 0, the end. */
const blockInfo = Buffer.from([1, 0, 2, 255, 255, 255, 255, 0])
const ordinary = Buffer.from([0])
