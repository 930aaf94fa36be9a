import { Fault, textOf } from '../../fault.ts'
import { errorCode } from './place.ts'

/** As a caller sees a disk that does not take what it is given. */
export function unavailable(error: unknown): Fault {
  const full = errorCode(error) === 'ENOSPC' || errorCode(error) === 'EDQUOT'
  const message = full ? 'The disk of the log is full.' : `The log cannot be written: ${textOf(error)}.`
  return new Fault('log_unavailable', message, { retriable: true, cause: error })
}

/** What the disk had confirmed is gone: told, and passed over, for what comes behind it is still worth reading. */
export const damaged = (where: string, what: string): Fault =>
  new Fault('log_damaged', 'The log has lost records that it had confirmed.', { cause: new Error(`${where}: ${what}`) })
