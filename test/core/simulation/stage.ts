import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LedgerMessage, Life } from '../../../schemas/ledger.ts'
import { admit, hear, outgoing, settle, wake } from '../../../services/core/money/lease.ts'
import {
  decide,
  type Owner,
  openOwner,
  readControl,
  readLedger,
  takeOver,
} from '../../../services/core/money/ledger.ts'
import { openPurse, type Purse, type Toll, usualSettings } from '../../../services/core/money/purse.ts'

/** The core with two logs and a clock that a test moves by hand. Amounts are nano-dollars. */
export type Stage = {
  now: number
  readonly ledger: LedgerMessage[]
  readonly control: MoneyDecision[]
  /** Caps; what has none here is 100. */
  readonly limits: Map<string, number>
  readonly spans: Map<string, { readonly opensAt: number; readonly closesAt: number | null }>
}
export const wall0 = 1_800_000_000_000
export const termMs = usualSettings.termMs
export const marginMs = 1_000

export const openStage = (limits: Readonly<Record<string, number>> = {}): Stage => ({
  now: 0,
  ledger: [],
  control: [],
  limits: new Map(Object.entries(limits)),
  spans: new Map(),
})
const spanOf = (stage: Stage, node: string) => stage.spans.get(node) ?? { opensAt: 0, closesAt: null }
export const limitOf = (stage: Stage, node: string): number => stage.limits.get(node) ?? 100

export function toll(
  stage: Stage,
  node: string,
  holdNanoUsd: number,
  run: { mintedBy?: Life; isNew?: boolean; version?: number } = {},
): Toll {
  return {
    node,
    scope: node,
    partition: 0,
    limitNanoUsd: limitOf(stage, node),
    ...spanOf(stage, node),
    holdNanoUsd,
    ...run,
  }
}

export type Actor = { readonly purse: Purse; controlAt: number; readonly off: number }
export const openActor = (gateway: string, epoch = 1, off = 0): Actor => ({
  purse: openPurse({ gateway, epoch }, { ...usualSettings, aheadShare: 0 }),
  controlAt: 0,
  off,
})

export const enter = (stage: Stage, { purse, off }: Actor, call: string, tolls: readonly Toll[]) =>
  admit(purse, call, tolls, stage.now + off).verdict
export const pay = ({ purse }: Actor, call: string, cost: number): boolean => settle(purse, call, cost)
/** What the gateway has to say; on the ledger at once, unless it `keeps` it. */
export function tell(stage: Stage, { purse, off }: Actor, keeps = false): readonly LedgerMessage[] {
  const said = outgoing(purse, [0], stage.now + off).map(({ message }) => message)
  if (!keeps) stage.ledger.push(...said)
  return said
}
export function read(stage: Stage, actor: Actor): ReadonlyMap<string, string> {
  for (; actor.controlAt < stage.control.length; actor.controlAt++)
    hear(actor.purse, stage.control[actor.controlAt]!, stage.now + actor.off)
  return new Map(wake(actor.purse, stage.now + actor.off).map(([call, { verdict }]) => [call, verdict]))
}

/** Of a ledger with one partition. */
export const placeOf = (offset: number) => ({ partition: 0, offset })

export type Boss = { readonly owner: Owner; ledgerAt: number; controlAt: number }
export const openBoss = (name: string, keepsLease = false): Boss => ({
  owner: openOwner(name, 0, { termMs, marginMs, keepsLease }),
  ledgerAt: 0,
  controlAt: 0,
})
const clockOf = (stage: Stage) => ({ monotonicMs: stage.now, wallMs: wall0 + stage.now })
export function fold(stage: Stage, boss: Boss, upTo = stage.ledger.length): void {
  for (; boss.ledgerAt < upTo; boss.ledgerAt++)
    readLedger(boss.owner, stage.ledger[boss.ledgerAt]!, placeOf(boss.ledgerAt), clockOf(stage))
}
export function follow(stage: Stage, boss: Boss): void {
  for (; boss.controlAt < stage.control.length; boss.controlAt++)
    readControl(boss.owner, stage.control[boss.controlAt]!, boss.controlAt, clockOf(stage))
}
/** A batch that its owner has decided and not yet sent. */
export function think(stage: Stage, { owner }: Boss, ledgerEnd = stage.ledger.length): readonly MoneyDecision[] {
  const nodeAt = (node: string) => ({ limitNanoUsd: limitOf(stage, node), ...spanOf(stage, node) })
  return decide(owner, { ...clockOf(stage), ledgerEnd: { 0: ledgerEnd }, nodeAt })
}
export function own(stage: Stage, boss: Boss): void {
  follow(stage, boss)
  stage.control.push(takeOver(boss.owner))
  follow(stage, boss)
}
/** All that an owner does in a quiet moment. */
export function rule(stage: Stage, boss: Boss): readonly MoneyDecision[] {
  fold(stage, boss)
  follow(stage, boss)
  const batch = think(stage, boss)
  stage.control.push(...batch)
  follow(stage, boss)
  return batch
}
/** Until nobody has anything to say: the answers that waiting calls got. */
export function settleDown(stage: Stage, boss: Boss, ...actors: readonly Actor[]): ReadonlyMap<string, string> {
  const answers = new Map<string, string>()
  for (let quiet = 0, round = 0; quiet < 2 && round < 100; round++) {
    const before = stage.ledger.length + stage.control.length
    for (const actor of actors) tell(stage, actor)
    rule(stage, boss)
    for (const actor of actors) for (const [call, verdict] of read(stage, actor)) answers.set(call, verdict)
    quiet = stage.ledger.length + stage.control.length === before ? quiet + 1 : 0
  }
  return answers
}
