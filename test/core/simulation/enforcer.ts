import type { MoneyDecision } from '../../../schemas/control.ts'
import {
  decide,
  type Owner,
  openOwner,
  readControl,
  readLedger,
  takeOver,
} from '../../../services/core/money/ledger.ts'
import { count, decideOn, endOf, limitAt, spanOf, times, type World, wallOf } from './world.ts'

/** One enforcer process: it owns the partition, owned it, or wants to. */
export type Enforcer = {
  readonly owner: Owner
  readonly monotonicOffset: number
  /** By partition: they are read in whatever order. */
  readonly ledgerAt: Map<number, number>
  controlAt: number
  pausedUntil: number
  /** Decided, on its way to control. */
  readonly sending: (readonly MoneyDecision[])[]
}

export const openEnforcer = (world: World, name: string): Enforcer => ({
  owner: openOwner(name, 0, { ...times, keepsLease: world.keepsLease }),
  monotonicOffset: world.draw.below(1e7),
  ledgerAt: new Map(),
  controlAt: 0,
  pausedUntil: 0,
  sending: [],
})

const clock = (world: World, { monotonicOffset }: Enforcer) => ({
  monotonicMs: world.now + monotonicOffset,
  wallMs: wallOf(world),
})

export function fold(world: World, enforcer: Enforcer, most: number): void {
  const { owner, ledgerAt } = enforcer
  for (let i = 0; i < most; i++) {
    const behind = [...world.ledger].filter(([partition, all]) => (ledgerAt.get(partition) ?? 0) < all.length)
    const [partition, messages] = behind[behind.length > 1 ? world.draw.below(behind.length) : 0] ?? []
    if (partition === undefined || messages === undefined) return
    const offset = ledgerAt.get(partition) ?? 0
    readLedger(owner, messages[offset]!, { partition, offset }, clock(world, enforcer))
    ledgerAt.set(partition, offset + 1)
  }
}

export function follow(world: World, enforcer: Enforcer, most: number): void {
  for (let i = 0; i < most && enforcer.controlAt < world.control.length; i++) {
    const record = world.control[enforcer.controlAt]!
    const isForeign = record.type === 'ledger.owned' && record.owner !== enforcer.owner.name
    if (!(world.flaw === 'no fencing' && isForeign && enforcer.owner.epoch > 0))
      readControl(enforcer.owner, record, enforcer.controlAt, clock(world, enforcer))
    enforcer.controlAt += 1
  }
  const { owner } = enforcer
  const isAtEnd = enforcer.controlAt === world.control.length
  if (owner.phase === 'reading' && isAtEnd && enforcer.sending.length === 0) enforcer.sending.push([takeOver(owner)])
}

export function think(world: World, enforcer: Enforcer): void {
  const { owner } = enforcer
  if (world.flaw === 'granting before the fold caught up') owner.books.named = {}
  if (world.flaw === 'decisions out of order' && enforcer.sending.length < 3) owner.unread = 0
  const nodeAt = (node: string) =>
    node.startsWith('run:') ? null : { limitNanoUsd: limitAt(world, node), ...spanOf(node) }
  const ledgerEnd = world.flaw === 'expiry before the holds are read' ? {} : endOf(world)
  const batch = decide(owner, { ...clock(world, enforcer), ledgerEnd, nodeAt })
  if (batch.length > 0) enforcer.sending.push(batch)
}

/** A batch arrives, at last. Its writer may have been replaced, or have died, since. */
export function arrive(world: World, enforcer: Enforcer): void {
  const isOrdered = world.flaw !== 'decisions out of order'
  const batch = isOrdered
    ? enforcer.sending.shift()
    : enforcer.sending.splice(world.draw.below(enforcer.sending.length), 1)[0]
  for (const record of batch ?? []) {
    const last = world.auditor.fence.get(0)
    const isUnfenced = world.flaw === 'no fencing' && record.type !== 'ledger.owned' && last !== undefined
    decideOn(world, isUnfenced ? { ...record, owner: last.owner, owner_epoch: last.epoch } : record)
    if (record.type === 'ledger.owned') count(world, 'takeovers')
  }
}
