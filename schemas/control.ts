import { z } from 'zod'
import { type Life, life, nodeId } from './ledger.ts'

/**
 * What the owner of a ledger partition decides about money. Where a record stands in `sluice.control` decides whether it
 * counts: a record of an owner is void after the marker of a later one. Money is in nano-dollars, times are Unix ms.
 */
const count = z.number().int().nonnegative()

const decided = z.object({
  /** The partition of `sluice.ledger` whose owner speaks. */
  partition: count,
  owner: z.string().min(1).max(200),
  owner_epoch: count,
  /** The decision knew the ledger up to here: of each partition the first offset that it had not folded. */
  ledger_offsets: z.record(z.string(), count),
})

/** From here on, this owner decides. Takes effect where its epoch is above that of every marker before it. */
export const ledgerOwned = decided.extend({ type: z.literal('ledger.owned') })
/** A node is known, or its limit has changed. */
export const windowOpened = decided.extend({
  type: z.literal('window.opened'),
  node: nodeId,
  /** Rises with every change of this node's limit. */
  version: count,
  limit_nano_usd: count,
  opens_at: z.number().int(),
  /** Null: never. */
  closes_at: z.number().int().nullable(),
})
/** This epoch may spend so much in all at this node: a running total. */
export const leaseGranted = decided.extend(life.shape).extend({
  type: z.literal('lease.granted'),
  node: nodeId,
  granted_nano_usd: count,
  /** The latest ask that this answers; -1 for a birthright, which answers none. */
  ask: z.number().int().min(-1),
})
/** Give back what no hold uses, and ask call by call for a while. */
export const leaseRecalled = decided.extend({ type: z.literal('lease.recalled'), node: nodeId })

const standing = decided.extend({
  node: nodeId,
  limit_nano_usd: count,
  spent_nano_usd: z.number().int(),
  /** Holds of dead epochs, until the truth arrives. */
  presumed_nano_usd: count,
})
/** The ask does not fit what is unspent: `spent + presumed + asked > limit`. Final until the standing changes. */
export const budgetExhausted = standing.extend(life.shape).extend({
  type: z.literal('budget.exhausted'),
  ask: count,
  asked_nano_usd: count,
  resets_at: z.number().int().nullable(),
})
/** How a node stands that was exhausted and no longer is. */
export const budgetBalance = standing.extend({ type: z.literal('budget.balance') })
/** What was spent has come to this part of the limit, for the first time in this window. */
export const budgetThreshold = standing.extend({
  type: z.literal('budget.threshold'),
  threshold: z.number().positive().max(1),
})
/** The heartbeat was read: the epoch's term counts from when it was sent. */
export const gatewayHeard = decided.extend(life.shape).extend({ type: z.literal('gateway.heard'), beat: count })
/** The epoch's term is over. `keeps_lease`: what it was granted stays out until the epoch itself has told the truth. */
export const gatewayExpired = decided
  .extend(life.shape)
  .extend({ type: z.literal('gateway.expired'), keeps_lease: z.boolean() })

export const moneyDecision = z.discriminatedUnion('type', [
  ledgerOwned,
  windowOpened,
  leaseGranted,
  leaseRecalled,
  budgetExhausted,
  budgetBalance,
  budgetThreshold,
  gatewayHeard,
  gatewayExpired,
])
export type MoneyDecision = z.infer<typeof moneyDecision>

/** Whether a key is that of what was granted to this life. */
export const isGrantOf = (key: string | null, { gateway, epoch }: Life): boolean =>
  key?.includes(`|${gateway}.${epoch}|`) === true

/**
 * The key under which compaction keeps the last record. The owner's epoch is part of it, lest a void record of an earlier
 * owner hide a valid one; markers stay for ever, because they tell which records are void.
 */
export function controlKey(record: MoneyDecision): string {
  const by = `${record.partition}/${record.owner_epoch}`
  switch (record.type) {
    case 'ledger.owned':
      return `owner|${by}|${record.owner}`
    case 'lease.granted':
      return `granted|${record.node}|${record.gateway}.${record.epoch}|${by}`
    case 'gateway.heard':
    case 'gateway.expired':
      return `${record.type}|${record.gateway}.${record.epoch}|${by}`
    case 'budget.exhausted':
    case 'budget.balance':
      return `standing|${record.node}|${by}`
    case 'budget.threshold':
      return `threshold|${record.node}|${record.threshold}|${by}`
    case 'window.opened':
    case 'lease.recalled':
      return `${record.type}|${record.node}|${by}`
  }
}
