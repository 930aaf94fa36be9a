import { policyVersionOf } from '../../../schemas/config-fact.ts'
import { topics } from '../../../schemas/topics.ts'
import type { Config } from '../config/config.ts'
import type { EventLog } from '../log/port.ts'
import { followView } from '../log/view.ts'
import { type Applied, emptyFold, type Held, inForce, ofJson, take, toJson, valuesIn, versionsIn } from './fold.ts'
import { type Change, changesBetween, type PolicyObjects, policyOf, versionOfAll, versionsOf } from './objects.ts'

/**
 * The policy in force, live. Until something was applied that is the file which the process was started with. From then
 * on agents, teams, run defaults, breakers, routes, guardrails and payloads are those that were applied, all of them,
 * whatever the file says; the rest of the file (providers, MCP servers, webhooks, limits, durability, leases) stays.
 */
export type LivePolicy = {
  /** Immutable; another value after each change. Its `policyVersion` is what decisions are to name. */
  config(): Config
  /** Null where the file holds. */
  applied(): AppliedPolicy | null
  /** An apply has removed this agent: none of its keys may be taken, whoever issued them. */
  removed(agent: string): boolean
  /** In what the file of this process differs from what was applied; empty where the file holds. */
  differences(): readonly Change[]
  /** Resolves when the apply of this number, or a later one, is in force here. Never where it does not come. */
  reached(number: number): Promise<void>
  /** Resolves when it can be decided by: all is known that was applied before, or what `file` remembers of it. */
  readonly known: Promise<void>
  readonly caughtUp: Promise<void>
  /** Rejects where the log breaks: then changes are no longer seen. */
  readonly ended: Promise<void>
  close(): Promise<void>
}
export type AppliedPolicy = {
  readonly number: number
  /** What `config().policyVersion` says. */
  readonly policyVersion: string
  /** Unix milliseconds. */
  readonly at: number
  readonly actor: string
  /** In the words of the file. */
  readonly objects: PolicyObjects
}

export type FollowPolicyOptions = {
  /** Called after each change, and once when it is first known, if something was applied; perhaps before this returns. */
  readonly changed?: (config: Config, applied: AppliedPolicy | null) => void
  /** Absolute; where what is known is kept for a start without the log. It holds hashes of keys, no secrets. */
  readonly file?: string
  /** What could not be kept in `file`. */
  readonly onFault?: (error: unknown) => void
  /** A sentence about an object that this version of the program does not understand. */
  readonly unreadable?: (sentence: string) => void
}

type State = {
  readonly config: Config
  readonly applied: Applied | null
  readonly objects: ReadonlyMap<string, Held>
  readonly removed: ReadonlySet<string>
}

export function followPolicy(log: EventLog, start: Config, options: FollowPolicyOptions = {}): LivePolicy {
  const unreadable = options.unreadable ?? (() => {})
  const fromFile: State = { config: start, applied: null, objects: new Map(), removed: new Set() }
  let state = fromFile
  const waiting = new Set<{ readonly number: number; readonly resolve: () => void }>()

  const view = followView({
    log,
    topic: topics.config.name,
    empty: emptyFold,
    take: (fold, message) => take(fold, message, unreadable),
    changed(fold) {
      // Keys stand on the topic too; most batches are theirs.
      if (fold.applied?.id === state.applied?.id) return
      const objects = inForce(fold)
      state = objects === null || fold.applied === null ? fromFile : stateOf(start, fold.applied, objects)
      options.changed?.(state.config, appliedOf(state))
      for (const one of waiting)
        if ((state.applied?.number ?? 0) >= one.number) {
          waiting.delete(one)
          one.resolve()
        }
    },
    ...(options.file === undefined
      ? {}
      : { kept: { file: options.file, toJson, ofJson, onFault: options.onFault ?? (() => {}) } }),
  })

  return {
    ...view,
    config: () => state.config,
    applied: () => appliedOf(state),
    removed: agent => state.removed.has(agent),
    differences: () =>
      state.applied === null ? [] : changesBetween(versionsIn(state.objects), versionsOf(start.objects)),
    reached(number) {
      if ((state.applied?.number ?? 0) >= number) return Promise.resolve()
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.add({ number, resolve })
      return promise
    },
  }
}

function appliedOf({ applied, config, objects }: State): AppliedPolicy | null {
  if (applied === null) return null
  const { number, at, actor } = applied
  return { number, policyVersion: config.policyVersion, at, actor, objects: valuesIn(objects) }
}

function stateOf(start: Config, applied: Applied, objects: ReadonlyMap<string, Held>): State {
  const parts = [...objects.values()].flatMap(({ part }) => (part === null ? [] : [part]))
  // Said of what is held, not of what was meant: where two applies crossed, decisions still name what they went by.
  const version = versionOfAll(versionsIn(objects))
  const policyVersion = policyVersionOf({ number: applied.number, version })
  return {
    config: { ...start, ...policyOf(parts), policyVersion },
    applied,
    objects: new Map(objects), // the fold goes on changing its own
    removed: new Set(
      [...objects].flatMap(([id, { part }]) =>
        id.startsWith('agent:') && (part === null || part.kind === 'unreadable') ? [id.slice('agent:'.length)] : [],
      ),
    ),
  }
}
