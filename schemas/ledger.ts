import { z } from 'zod'
import { producerName } from './envelope.ts'

/**
 * What gateways say of money. Amounts are running totals of one gateway epoch at one node since the epoch began, so a
 * message that comes twice, late or out of order changes nothing. Money is in nano-dollars.
 */
const count = z.number().int().nonnegative()

/** One life of one gateway process. */
export const life = z.object({ gateway: producerName, epoch: count })
export type Life = z.infer<typeof life>

/** A cap's place: one scope in one window, e.g. `agent:researcher/1d@2026-11-21`. */
export const nodeId = z.string().min(1).max(400)

/** Of a run, which no policy names: what it may spend. The highest version counts. Times are Unix ms, null: never. */
export const runCap = z.object({
  version: count,
  limit_nano_usd: count,
  opens_at: z.number().int(),
  closes_at: z.number().int().nullable(),
  alert_at: z.array(z.number().positive().max(1)).readonly().optional(),
})
export type RunCap = z.infer<typeof runCap>

/** Of a run: its cap, and where a gateway named it, who may spend at it without asking, and how much. */
const birth = z.object({
  cap: runCap.optional(),
  minted_by: life.optional(),
  birthright_nano_usd: count.optional(),
})

/** Asks for more. The latest one of an epoch at a node replaces those before it; `needs` 0 withdraws. */
export const leaseRequested = life.extend(birth.shape).extend({
  type: z.literal('lease.requested'),
  node: nodeId,
  /** Rises with every ask of this epoch at this node. */
  ask: count,
  /** The total of grants that would let the first waiting call in; 0 where none waits. */
  needs_nano_usd: count,
  /** The total of grants wished for. */
  wants_nano_usd: count,
  /** The total wished for where there is plenty: enough to go on for a term if nobody is heard. */
  stock_nano_usd: count.optional(),
  /** The hold of the first waiting call. */
  asked_nano_usd: count,
})
export type LeaseRequested = z.infer<typeof leaseRequested>

/** How an epoch stands at one node. */
export const leaseReport = birth.extend({
  node: nodeId,
  /** Rises with every report of this epoch at this node. */
  report: count,
  spent_nano_usd: count,
  /** The part of `spent` that providers billed beyond the holds. */
  beyond_nano_usd: count,
  returned_nano_usd: count,
  /** Bounds of the calls under way. The only amount that also falls: the highest `report` counts. */
  held_nano_usd: count,
  /** This epoch spends nothing more at this node, whatever it is granted. */
  final: z.boolean().optional(),
})
export type LeaseReport = z.infer<typeof leaseReport>

/** What one epoch has to report to one owner at a time, of all nodes at once. */
const reports = life.extend({
  reports: z.array(leaseReport).min(1).readonly(),
  /** The gateway's own events before this offset are in it, and none behind: a next life goes on counting from there. */
  events_offset: count.optional(),
  /** With those just before it, it tells of all nodes: of those not named, all that came before was told earlier. */
  is_all: z.literal(true).optional(),
})
/** Reports whose cause was a call: admitted or settled. */
export const leaseSettled = reports.extend({ type: z.literal('lease.settled') })
/** Reports whose cause was money given back. */
export const leaseReturned = reports.extend({ type: z.literal('lease.returned') })
export type LeaseReports = z.infer<typeof leaseSettled> | z.infer<typeof leaseReturned>

/** The epoch is alive. Extends its term once the owner has acknowledged it. */
export const gatewayBeat = life.extend({ type: z.literal('gateway.heartbeat'), beat: count })
export type GatewayBeat = z.infer<typeof gatewayBeat>

/** What was booked is not what was billed: the running total of one source's corrections at a node; may be negative. */
export const spendCorrected = z.object({
  type: z.literal('spend.corrected'),
  node: nodeId,
  source: z.string().min(1).max(200),
  /** Rises with every correction of this source at this node. */
  correction: count,
  total_nano_usd: z.number().int(),
})
export type SpendCorrected = z.infer<typeof spendCorrected>

export const ledgerMessage = z.discriminatedUnion('type', [
  leaseRequested,
  leaseSettled,
  leaseReturned,
  gatewayBeat,
  spendCorrected,
])
export type LedgerMessage = z.infer<typeof ledgerMessage>
