import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { requestReader, type WireRequest } from './upstream-http.ts'
import { answersJson, type Reply, type Step } from './upstream-replies.ts'

/**
 * An upstream on a real socket that does exactly what a test says, and keeps what arrived. `upstream-replies.ts` has the
 * honest and the evil replies.
 */
export type ScriptedUpstream = {
  /** `http://127.0.0.1:port` */
  readonly origin: string
  readonly port: number
  /** Everything that arrived, in order. */
  readonly arrived: readonly Arrived[]
  /** What is answered when no `next` is waiting. At first: an empty JSON object. */
  readonly always: (script: Script) => void
  /** What the next requests get, in order. */
  readonly next: (...scripts: readonly Script[]) => void
  /** The nth request (from 1), as soon as it is there; rejects after `deadlineMs`. */
  readonly request: (nth: number, deadlineMs?: number) => Promise<Arrived>
  readonly openConnections: () => number
  readonly close: () => Promise<void>
}

export type Script = Reply | ((request: Arrived) => Reply | Promise<Reply>)

export type Arrived = WireRequest & {
  /** Which connection brought it, from 1. */
  readonly connection: number
  /** `answered`: every step was played. `left`: the client closed first. `broken`: the script ended the connection. */
  readonly ending: Promise<'answered' | 'left' | 'broken'>
}

export const startUpstream = async (): Promise<ScriptedUpstream> => {
  const arrived: Arrived[] = []
  const waiting: Script[] = []
  const sockets = new Set<Socket>()
  const watchers = new Set<() => void>()
  let usual: Script = answersJson({})
  let connections = 0

  const server = createServer({ noDelay: true }, socket => {
    const connection = ++connections
    const incoming = requestReader()
    // Requests of one connection are answered one after the other.
    let last: Promise<unknown> = Promise.resolve()
    sockets.add(socket)
    const left = new Promise<'left'>(resolve => {
      socket.once('close', () => {
        sockets.delete(socket)
        resolve('left')
      })
    })
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      for (const request of incoming(chunk)) {
        const { promise: ending, resolve } = Promise.withResolvers<'answered' | 'left' | 'broken'>()
        const one: Arrived = { ...request, connection, ending }
        arrived.push(one)
        for (const watcher of watchers) watcher()
        const script = waiting.shift() ?? usual
        last = last.then(async () =>
          resolve(await play(socket, typeof script === 'function' ? await script(one) : script, left)),
        )
      }
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // listening on TCP, so not a pipe's name

  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    arrived,
    always: script => {
      usual = script
    },
    next: (...scripts) => {
      waiting.push(...scripts)
    },
    request: (nth, deadlineMs = 5_000) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = arrived[nth - 1]
          if (found === undefined) return
          clearTimeout(deadline)
          watchers.delete(look)
          resolve(found)
        }
        const deadline = setTimeout(() => {
          watchers.delete(look)
          reject(new Error(`request ${nth} did not arrive within ${deadlineMs} ms, ${arrived.length} did`))
        }, deadlineMs)
        watchers.add(look)
        look()
      }),
    openConnections: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const play = async (socket: Socket, reply: Reply, left: Promise<'left'>): Promise<'answered' | 'left' | 'broken'> => {
  for (const step of reply) {
    if ('finally' in step) return ended(socket, step.finally, left)
    if ((await Promise.race([played(socket, step), left])) === 'left') return 'left'
  }
  return 'answered'
}

const ended = async (
  socket: Socket,
  how: 'close' | 'reset' | 'hang',
  left: Promise<'left'>,
): Promise<'left' | 'broken'> => {
  if (how === 'hang') return left
  if (how === 'close') socket.end()
  else socket.resetAndDestroy()
  await left
  return 'broken'
}

const played = async (socket: Socket, step: Exclude<Step, { finally: unknown }>): Promise<void> => {
  if ('waitMs' in step) {
    // Without a wait, still a turn of the loop: slices shall be packets of their own.
    await (step.waitMs > 0 ? sleep(step.waitMs, undefined, { ref: false }) : new Promise(setImmediate))
  } else if ('until' in step) await step.until
  else if ('write' in step) await written(socket, step.write)
  else while (!socket.destroyed) await written(socket, step.forever)
}

const written = (socket: Socket, bytes: Buffer): Promise<void> =>
  new Promise(resolve => {
    if (socket.destroyed || bytes.length === 0 || socket.write(bytes)) resolve()
    // A socket that closes instead never drains: whoever waits here also waits for `left`.
    else socket.once('drain', resolve)
  })
