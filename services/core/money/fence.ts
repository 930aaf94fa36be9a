import type { MoneyDecision } from '../../../schemas/control.ts'

/**
 * Which records of control count. One total order decides: after the marker of a later owner, whatever an earlier one
 * still writes is void for every reader, so a paused enforcer that wakes up can do no harm.
 */
export type Fence = Map<number, { readonly owner: string; readonly epoch: number }>

/** Takes the next record of control, in its order; false where it is void. */
export function passes(fence: Fence, record: MoneyDecision): boolean {
  const last = fence.get(record.partition)
  if (record.type !== 'ledger.owned') return last?.owner === record.owner && last.epoch === record.owner_epoch
  // Of two candidates that chose the same number the first has it.
  if (last !== undefined && record.owner_epoch <= last.epoch)
    return last.owner === record.owner && last.epoch === record.owner_epoch
  fence.set(record.partition, { owner: record.owner, epoch: record.owner_epoch })
  return true
}
