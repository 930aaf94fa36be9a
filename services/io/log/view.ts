import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from '../../../schemas/events.ts'
import { Fault } from '../fault.ts'
import type { EventLog, Follower } from './port.ts'

/**
 * What is known from a small compacted topic: a fold of all that stands on it, held in memory.
 *
 * With a `file`, what was known last is kept on this disk as well. So a process that starts while the log is away begins
 * with what it knew, as one that runs goes on with what it knows. Once the log can be read, its word replaces the file's.
 */
export type View = {
  /** Resolves when something is known: from the file, or when all was read that stood on the topic. */
  readonly known: Promise<void>
  /** Resolves when all was read that stood on the topic as it could be read for the first time. */
  readonly caughtUp: Promise<void>
  /** Resolves after `close`; rejects with what the log broke on, or what `take` threw. */
  readonly ended: Promise<void>
  readonly close: () => Promise<void>
}

export type ViewOptions<State> = {
  readonly log: EventLog
  readonly topic: string
  readonly empty: () => State
  /** Takes a message into the state, in place. */
  readonly take: (state: State, message: Message) => void
  /** This is what is known from now on. Called for each batch. */
  readonly changed: (state: State) => void
  /** Absent: nothing is kept. */
  readonly kept?: Kept<State>
}

export type Kept<State> = {
  /** Absolute; one process at a time. */
  readonly file: string
  readonly toJson: (state: State) => unknown
  /** Throws where it is none of ours. */
  readonly ofJson: (json: unknown) => State
  /** It could not be written: a start without the log would begin with what it held before. */
  readonly onFault: (error: unknown) => void
}

/** A topic that is still to be made, or was made anew, is looked for again after this. */
const againMs = 1_000

export function followView<State>(options: ViewOptions<State>): View {
  const { log, topic, take, changed } = options
  const closing = new AbortController()
  const known = Promise.withResolvers<void>()
  const caughtUp = Promise.withResolvers<void>()
  known.promise.catch(() => {}) // `ended` tells the same to whoever does not wait for these
  caughtUp.promise.catch(() => {})
  const keep = options.kept === undefined ? null : keeper(options.kept)
  let follower: Follower | null = null

  const follow = async (): Promise<void> => {
    const state = options.empty()
    let whole = false
    const told = () => {
      changed(state)
      keep?.put(state)
    }
    const reading = log.follow(topic, {
      from: 'earliest',
      onBatch({ records }) {
        for (const record of records) take(state, record)
        if (whole) told()
      },
    })
    follower = reading
    const read = reading.caughtUp.then(() => {
      whole = true
      told()
      caughtUp.resolve()
      known.resolve()
    })
    await Promise.all([reading.ended, read])
  }

  const run = async (): Promise<void> => {
    const before = options.kept === undefined ? null : readKept(options.kept)
    if (before !== null) {
      changed(before)
      known.resolve()
    }
    await againWhileAnew(follow, closing.signal)
  }

  const ended = run().catch(error => {
    known.reject(error)
    caughtUp.reject(error)
    throw error
  })
  ended.catch(() => {}) // for whoever waits for the others
  return {
    known: known.promise,
    caughtUp: caughtUp.promise,
    ended,
    async close() {
      closing.abort()
      await follower?.close()
      await ended.catch(() => {}) // told by `ended` itself
      const closed = new Fault('log_closed', `the view of ${topic} was closed before it had caught up`)
      known.reject(closed)
      caughtUp.reject(closed)
      await keep?.done()
    },
  }
}

/** The topic is not there, or is another one than was read: then it is read from its beginning. */
const anew: readonly string[] = ['topic_unknown', 'log_truncated']
/** Follows a topic from its beginning, and once more whenever it was made anew, until told to stop. */
export async function againWhileAnew(follow: () => Promise<unknown>, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    try {
      await follow()
    } catch (error) {
      if (stop.aborted) return
      if (!isAnew(error)) throw error
      await sleep(againMs, undefined, { signal: stop }).catch(() => {})
    }
  }
}

/** Whether a topic that broke a follower with this is to be read again, from its beginning. */
export const isAnew = (error: unknown): boolean =>
  causes(error).some(cause => cause instanceof Fault && anew.includes(cause.code))
const causes = (error: unknown): readonly unknown[] =>
  error instanceof Error && error.cause !== undefined ? [error, ...causes(error.cause)] : [error]

/** Writes the state as it is by then; one write at a time, and of those that wait only the last. */
export function keeper<State>({ file, toJson, onFault }: Kept<State>) {
  let next: { readonly state: State } | null = null
  let writing: Promise<void> | null = null
  const write = async (): Promise<void> => {
    await fs.promises.mkdir(path.dirname(file), { recursive: true })
    while (next !== null) {
      const text = JSON.stringify(toJson(next.state))
      next = null
      await fs.promises.writeFile(`${file}.new`, text, { mode: 0o600, flush: true })
      await fs.promises.rename(`${file}.new`, file)
    }
  }
  return {
    put(state: State): void {
      next = { state }
      writing ??= write()
        .catch(onFault)
        .finally(() => {
          writing = null
        })
    },
    done: async (): Promise<void> => (await writing) ?? undefined,
  }
}

/** Null where there is none. One that cannot be read is none either: the log has it all. */
export function readKept<State>({ file, ofJson }: Kept<State>): State | null {
  try {
    return ofJson(JSON.parse(fs.readFileSync(file, 'utf8')))
  } catch {
    return null
  }
}
