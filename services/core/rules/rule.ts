import type { Action, Knobs, RuleName, ScopeKind } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import type { Step } from './step.ts'

/** `run:<id>`, `agent:<name>`, `team:<name>`, `org`, `model:<name>`, `tool:<name>`, `provider:<name>`. */
export type ScopeId = string

/** An event as rules see it. `step`: the call that it ended, read in the light of its run. */
export type Seen = { readonly event: Event; readonly step: Step | null }

/**
 * One breaker rule. The same events under the same policy always give the same rulings. A state is JSON, holds no more than
 * its knobs say, and is changed in place: with a hundred thousand scopes, a new one for each event is most of what rules
 * cost, for it outlives the young generation and the old one dies in the old.
 */
export type Rule<Name extends RuleName, State extends Armed> = {
  /** Stands in every signal that it causes. */
  readonly name: Name
  /** Of all other events it hears nothing. */
  readonly sees: readonly Event['type'][]
  /** Whose states the event touches, where that is not simply the scope of the kind that its knobs name. */
  readonly scopes?: (seen: Seen, knobs: Knobs<Name>) => readonly ScopeId[]
  /** Takes the event into what is known, or into a new state where nothing is; null for as long as nothing is to be known. */
  readonly evolve: (known: State | null, seen: Seen, knobs: Knobs<Name>, scope: ScopeId) => State | null
  /** Asked when the peak has risen from `before`. Speaks when a line is crossed, not on each event beyond it. */
  readonly decide: (before: number, state: State, seen: Seen, knobs: Knobs<Name>) => Ruling | null
}

/**
 * How far a rule has come, at most, since it last was far below its first line: in the unit of its lines. Kept as a level
 * and not as "has spoken", so that a policy with other lines goes on from the same state.
 */
export type Armed = { peak: number }

/** Where a rule does something. */
export type Line = { readonly at: number; readonly action: Action }

export type Ruling = {
  readonly line: Line
  /** Ids of events, the latest last; of more than `evidenceKept` the last are told. */
  readonly evidence: readonly string[]
  readonly data: Readonly<Record<string, string | number | boolean | null>>
}

export const linesOf = (
  knobs: { readonly action: Action; readonly stages?: readonly Line[] | undefined },
  at: number,
): readonly Line[] => knobs.stages ?? [{ at, action: knobs.action }]

/** The lowest line: below half of it a rule may speak again. */
export const firstOf = (lines: readonly Line[]): number => lines[0]?.at ?? Number.POSITIVE_INFINITY

/** The highest line: what a rule remembers must reach so far, or it could never get there. */
export const topOf = (lines: readonly Line[]): number => lines.at(-1)?.at ?? 0

/** To the end of a list, of which the last `most` are kept, and always the last one. */
export function append<Of>(list: Of[], item: Of, most: number): void {
  list.push(item)
  while (list.length > most && list.length > 1) list.shift()
}

export const peakOf = (peak: number, level: number, lines: readonly Line[]): number =>
  level > peak ? level : level < firstOf(lines) / 2 ? 0 : peak

/** The highest line that was reached just now. `strict`: it has to be passed. */
export function crossed(lines: readonly Line[], before: number, { peak: after }: Armed, strict = false): Line | null {
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = lines[i]
    if (line === undefined) continue
    if (strict ? after > line.at : after >= line.at)
      return (strict ? before > line.at : before >= line.at) ? null : line
  }
  return null
}

/** More would make an alert as long as the run. */
export const evidenceKept = 24
export const addEvidence = (ids: string[], id: string): void => append(ids, id, evidenceKept)

/** The scope of a kind that an event belongs to; null where the event has no such thing. */
export function scopeOf(event: Event, kind: ScopeKind): ScopeId | null {
  switch (kind) {
    case 'run':
      return runScope(event.run_id)
    case 'agent':
      return `agent:${event.agent}`
    case 'team':
      return event.team === undefined ? null : `team:${event.team}`
    case 'org':
      return 'org'
    case 'model': {
      const model =
        ('model' in event ? event.model : undefined) ?? ('model_requested' in event ? event.model_requested : undefined)
      return model === undefined ? null : `model:${model}`
    }
    case 'tool':
      return 'tool' in event ? `tool:${toolOf(event)}` : null
    case 'provider':
      return 'provider' in event && event.provider !== undefined ? `provider:${event.provider}` : null
    default:
      return kind satisfies never
  }
}

export const runScope = (runId: string): ScopeId => `run:${runId}`

/** `<server>.<tool>`, as policy names it. A tool that the provider runs is its own. */
export const toolOf = ({ server, tool }: { readonly server?: string | undefined; readonly tool: string }): string =>
  server === undefined || server === 'provider' || tool.startsWith(`${server}.`) ? tool : `${server}.${tool}`
