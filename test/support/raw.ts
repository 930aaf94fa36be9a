import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a client of bad manners writes: bytes as they stand, with pauses; `hangUp` ends its own half of the connection. */
export type Piece = string | Buffer | { readonly waitMs: number } | 'hangUp'

export type Heard = {
  /** Everything that came back, as latin1. */
  readonly text: string
  /** The status of each answer in it, in order. */
  readonly statuses: readonly number[]
  readonly closed: boolean
}

/**
 * One connection, spoken by hand. Listens until `enough` is true of what came back or the other side closes; neither
 * within `deadlineMs` is an error, for nothing may hang.
 */
export async function talk(
  port: number,
  pieces: readonly Piece[],
  options: { readonly enough?: (heard: Heard) => boolean; readonly deadlineMs?: number } = {},
): Promise<Heard> {
  const { enough = () => false, deadlineMs = 5_000 } = options
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const chunks: Buffer[] = []
  let closed = false
  const heard = (): Heard => {
    const text = Buffer.concat(chunks).toString('latin1')
    return { text, statuses: statusesIn(text), closed }
  }
  const ended = new Promise<void>((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`no end within ${deadlineMs} ms; heard ${JSON.stringify(heard().text.slice(0, 500))}`)),
      deadlineMs,
    )
    const done = () => {
      clearTimeout(late)
      resolve()
    }
    const over = () => {
      closed = true
      done()
    }
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (enough(heard())) done()
    })
    socket.on('end', over)
    socket.on('close', over)
    socket.on('error', over) // a reset is a way of closing
  })
  const speak = async () => {
    for (const piece of pieces) {
      if (socket.destroyed) return
      if (piece === 'hangUp') socket.end()
      else if (typeof piece === 'object' && 'waitMs' in piece) await sleep(piece.waitMs)
      else await new Promise<void>(resolve => socket.write(piece, () => resolve()))
    }
  }
  try {
    await Promise.all([ended, Promise.race([speak(), ended])])
    return heard()
  } finally {
    socket.destroy()
  }
}

const statusesIn = (text: string): number[] =>
  [...text.matchAll(/(?:^|\n|\})HTTP\/1\.1 (\d{3}) /g)].map(match => Number(match[1]))

/** A request's head, and its body where there is one. */
export const request = (first: string, headers: readonly string[], body = ''): string =>
  `${first}\r\n${headers.map(header => `${header}\r\n`).join('')}\r\n${body}`
