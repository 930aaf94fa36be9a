import { after, before, describe } from 'node:test'
import type { EventLog } from '../../services/io/log/port.ts'
import { followingContract } from './event-log/following.ts'
import type { Bench } from './event-log/probe.ts'
import { sharingContract } from './event-log/sharing.ts'
import { writingContract } from './event-log/writing.ts'

export type OpenedLog = {
  readonly log: EventLog
  /** A second log over the same records, as another process would have it. Without it, tests of restarts are skipped. */
  readonly reopen?: () => Promise<EventLog>
  /** Closes whatever is still open, `log` and all that `reopen` gave, and removes the records. */
  readonly cleanup: () => Promise<void>
}

/** What every adapter of the `EventLog` port keeps. Each test takes topics of its own, so one log serves all. */
export function eventLogContract(name: string, open: () => Promise<OpenedLog>): void {
  describe(`event log: ${name}`, () => {
    let opened: OpenedLog | undefined
    before(async () => {
      opened = await open()
    })
    after(async () => {
      await opened?.cleanup()
    })
    const bench: Bench = {
      log: () => {
        if (opened === undefined) throw new Error('the log is not open')
        return opened.log
      },
      reopen: () => opened?.reopen,
    }
    writingContract(bench)
    followingContract(bench)
    sharingContract(bench)
  })
}
