import { type PolicyFact, policyKey, policyVersionOf } from '../../../schemas/config-fact.ts'
import { formatEventId } from '../../../schemas/envelope.ts'
import { encode } from '../../../schemas/events.ts'
import { topics } from '../../../schemas/topics.ts'
import { Fault } from '../fault.ts'
import { mintId } from '../keys/mint.ts'
import type { EventLog, Writer } from '../log/port.ts'
import { followView, type View } from '../log/view.ts'
import { within } from '../patience.ts'
import { emptyFold, inForce, latest, type PolicyFold, take, unread, versionsIn } from './fold.ts'
import { type Change, changesBetween, type PolicyObjects, versionOfAll, versionsOf } from './objects.ts'

/** What an apply has done, or with `dryRun` would do. */
export type Published = {
  /** Of the policy in force afterwards; 0 where nothing was ever applied. */
  readonly number: number
  /** What decisions will name; null where nothing was ever applied. */
  readonly policyVersion: string | null
  /** Against what was applied last; the first apply adds everything. */
  readonly changes: readonly Change[]
}

export type PublishOptions = {
  /** Who applies: it stands in the fact. */
  readonly actor: string
  readonly dryRun?: boolean
}

/** Two administrators who apply at the same moment over Kafka cross each other; the one who sees it applies again. */
const attempts = 3

/** Records are handed over in portions, for a writer's queue has a bound that a large policy alone must not fill. */
const portion = 500

/**
 * Makes these objects the policy: those that differ from what was applied last are written, those that are not among them
 * are told as removed. Resolves once it is on disk (or on all in-sync replicas) and was read back. Where nothing differs,
 * nothing is written. Throws the Fault `log_unavailable`, retriable.
 */
export async function publishPolicy(
  log: EventLog,
  objects: PolicyObjects,
  options: PublishOptions,
): Promise<Published> {
  if (options.dryRun === true) return dryRun(log, objects)
  await within(log.ensure([topics.config]), 'did not take it; no policy was changed')
  // First of all: on the embedded log whoever has the writer is alone, and what is read next stays true.
  const writer = await log.writer(topics.config.name)
  try {
    for (let attempt = 1; ; attempt++) {
      const published = await publishOnce(log, writer, objects, options.actor, attempt > 1)
      if (published !== null) return published
      if (attempt === attempts)
        throw new Fault('policy_crossed', 'Somebody else applies a policy at the same time; apply it again.', {
          retriable: true,
        })
    }
  } finally {
    await writer.close()
  }
}

async function dryRun(log: EventLog, objects: PolicyObjects): Promise<Published> {
  const { fold, view } = reading(log)
  try {
    await within(view.caughtUp, 'did not tell the policy')
    const { applied } = fold()
    const changes = changesBetween(versionsIn(latest(fold())), versionsOf(objects))
    if (applied === null || changes.length > 0) {
      const number = fold().number + 1
      return { number, policyVersion: policyVersionOf({ number, version: versionOfAll(versionsOf(objects)) }), changes }
    }
    return { number: applied.number, policyVersion: policyVersionOf(applied), changes }
  } finally {
    await view.close()
  }
}

/**
 * Null where another apply came between: even where nothing of it is left, two policies would have one number.
 *
 * @param again so that this one is written even where it is what holds already, for a number of its own
 */
async function publishOnce(
  log: EventLog,
  writer: Writer,
  objects: PolicyObjects,
  actor: string,
  again: boolean,
): Promise<Published | null> {
  const { fold, view, until } = reading(log)
  try {
    await within(view.caughtUp, 'did not tell the policy; nothing was changed')
    const versions = versionsOf(objects)
    const version = versionOfAll(versions)
    const before = fold()
    const changes = changesBetween(versionsIn(latest(before)), versions)
    if (!again && changes.length === 0 && before.waiting.size === 0 && before.applied?.version === version)
      return { number: before.applied.number, policyVersion: policyVersionOf(before.applied), changes }

    const number = before.number + 1
    const { applies } = before
    const facts = changes.map(
      ({ object, change }): PolicyFact =>
        change === 'removed'
          ? { type: 'policy.removed', object, number }
          : { type: 'policy.defined', object, number, version: versions.get(object) ?? '', value: objects.get(object) },
    )
    const applied: PolicyFact = { type: 'policy.applied', number, version, objects: objects.size, actor }
    // Named after this apply, for two that cross have the same number.
    const producer = `policy-${mintId()}`
    const id = formatEventId({ producer, epoch: number, sequence: facts.length })
    const written = write(writer, producer, number, [...facts, applied])
    await within(written, 'did not take all of it; what was taken does not hold before it is applied again')
    await within(
      until(fold => fold.applied !== null && (fold.applied.id === id || fold.applied.number >= number)),
      'did not give it back; apply it again',
    )
    const after = fold()
    const held = inForce(after)
    const isAlone = after.applied?.id === id && after.applies === applies + 1
    const isOurs = isAlone && held !== null && versionOfAll(versionsIn(held)) === version
    return isOurs ? { number, policyVersion: policyVersionOf(applied), changes } : null
  } finally {
    await view.close()
  }
}

async function write(writer: Writer, producer: string, number: number, facts: readonly PolicyFact[]): Promise<void> {
  const time = Date.now()
  for (let from = 0; from < facts.length; from += portion) {
    const taken = facts.slice(from, from + portion).map((fact, i) => {
      const id = formatEventId({ producer, epoch: number, sequence: from + i })
      const key = fact.type === 'policy.applied' ? policyKey : fact.object
      const message = encode({ id, source: '/sluice/policy', time, ...fact }, key)
      return new Promise<void>((resolve, reject) =>
        writer.append(message, fault => (fault === null ? resolve() : reject(fault))),
      )
    })
    await Promise.all(taken)
  }
  await writer.flush()
}

type Reading = {
  /** As of the latest batch. */
  readonly fold: () => PolicyFold
  readonly view: View
  /** Resolves once it is true of the fold. */
  readonly until: (holds: (fold: PolicyFold) => boolean) => Promise<void>
}

function reading(log: EventLog): Reading {
  let known = emptyFold()
  let look = () => {}
  const view = followView({
    log,
    topic: topics.config.name,
    empty: emptyFold,
    take: (fold, message) => take(fold, message, () => {}, unread),
    changed: fold => {
      known = fold
      look()
    },
  })
  return {
    fold: () => known,
    view,
    until: holds =>
      new Promise((resolve, reject) => {
        view.ended.catch(reject)
        look = () => {
          if (holds(known)) resolve()
        }
        look()
      }),
  }
}
