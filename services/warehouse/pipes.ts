import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'

/**
 * A result on its way out of the engine. chdb returns a result whole, or in blocks that are each a document of
 * their own and whose start blocks the event loop for as long as a subquery runs. But it writes a result into a file as it
 * is made, in any format, headers and totals where they belong, and the file may be a named pipe: then we read
 * while it writes, a slow reader slows the query instead of filling memory, and a reader that leaves ends it.
 */
export type Pipe = {
  readonly path: string
  /** The reading end, paused. It ends once `finish` was called and what was written is read. */
  readonly body: Readable
  /** The statement is over: nothing more will be written. */
  readonly finish: () => void
}

export type Pipes = {
  /** Undefined where all are in use or the system has none; then the result has to be held in memory. */
  take(): Pipe | undefined
  close(): void
}

export function makePipes(dataDir: string, count: number, onFailure: (error: unknown) => void): Pipes {
  const directory = join(resolve(dataDir), 'pipes')
  const idle: string[] = []
  try {
    // What a killed process left behind; the engine's lock on the directory says that it is gone.
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(directory, { mode: 0o700 })
    const paths = Array.from({ length: count }, (_, index) => join(directory, String(index)))
    execFileSync('mkfifo', ['-m', '600', ...paths], { stdio: 'ignore', timeout: 5000 })
    idle.push(...paths)
  } catch (error) {
    onFailure(error)
  }
  return {
    take: () => {
      const path = idle.pop()
      if (path === undefined) return undefined
      return openPipe(path, () => idle.push(path))
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  }
}

function openPipe(path: string, release: () => void): Pipe {
  // A reader first, or the writer's open would fail; a writer of our own, or the reader would see the end at once.
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writing = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  const body = new Socket({ fd: reading, readable: true, writable: false })
  body.pause()
  let open = 2
  const closed = () => {
    open -= 1
    // With both ends shut the kernel forgets unread bytes, so the next statement finds the pipe empty.
    if (open === 0) release()
  }
  body.once('close', closed)
  let finished = false
  return {
    path,
    body,
    finish: () => {
      if (finished) return
      finished = true
      closeSync(writing)
      closed()
    },
  }
}
