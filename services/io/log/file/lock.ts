import { createHash } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode } from './place.ts'

/**
 * Whoever listens on the socket named after a directory (and a purpose) has it. The kernel frees the name when the
 * process is gone, however it went, which a lock file cannot promise; Node has no flock.
 *
 * On Linux the name is abstract: no file is left behind and no path can be too long (108 bytes). It holds within one
 * network namespace: two containers that share a data directory but not their network do not see each other.
 */
export type Lock = { readonly release: () => Promise<void> }

/** Longer than an event-loop turn, shorter than anyone notices when a role is taken over. */
const retryMs = 25

/** Null where another had it for all of `waitMs` or until `signal`. */
export async function takeLock(
  dir: string,
  purpose: string,
  waitMs: number,
  signal?: AbortSignal,
): Promise<Lock | null> {
  const name = socketName(dir, purpose)
  const deadline = performance.now() + waitMs
  for (;;) {
    const lock = await bind(name)
    if (lock !== null) return lock
    if (performance.now() + retryMs > deadline) return null
    await sleep(retryMs, undefined, signal === undefined ? {} : { signal }).catch(() => {})
    if (signal?.aborted === true) return null
  }
}

function socketName(dir: string, purpose: string): string {
  // The directory itself, not the path to it: a mount or a link must not make two of it.
  const { dev, ino } = fs.statSync(dir, { bigint: true })
  const name = `sluice-${createHash('sha256').update(`${dev}:${ino}:${purpose}`).digest('hex').slice(0, 32)}`
  if (process.platform === 'linux') return `\0${name}`
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : path.join(os.tmpdir(), `${name}.sock`)
}

async function bind(name: string): Promise<Lock | null> {
  const server = net.createServer(socket => socket.destroy())
  const bound = await new Promise<boolean>((resolve, reject) => {
    server.once('error', error => (errorCode(error) === 'EADDRINUSE' ? resolve(false) : reject(error)))
    // exclusive: without it workers of node:cluster would share one handle, and so the lock.
    server.listen({ path: name, exclusive: true }, () => resolve(true))
  })
  if (bound) {
    server.unref()
    return { release: () => new Promise(resolve => server.close(() => resolve())) }
  }
  if (!name.startsWith('\0') && process.platform !== 'win32') await removeIfDead(name)
  return null
}

/** Where sockets are files (macOS) one is left behind by a crash. Nobody answers on it: then it is nobody's. */
function removeIfDead(name: string): Promise<void> {
  return new Promise(resolve => {
    const socket = net.connect(name)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', error => {
      if (errorCode(error) === 'ECONNREFUSED') fs.rmSync(name, { force: true })
      resolve()
    })
  })
}
