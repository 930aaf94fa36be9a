import type { Breakers } from '../../schemas/breakers.ts'
import type { RuleSignal } from '../../schemas/signal.ts'
import { volatileOf } from '../../services/core/rules/args.ts'
import { fold, openRules } from '../../services/core/rules/rules.ts'
import { follow, newTrail } from '../../services/core/rules/step.ts'
import { eventsOf } from './events.ts'
import type { Recorded } from './recorded.ts'

/** What the rules had to say of one run. */
export type Judged = {
  readonly run: Recorded
  /** The first signal that stops it (pause or kill), and where. */
  readonly stopped: Spoken | null
  /** The first signal of all, a stop among them. */
  readonly warned: Spoken | null
  readonly rules: readonly string[]
  readonly toolSteps: number
  /** Human labels against "the same canonical call as the one before". */
  readonly labels: { readonly hit: number; readonly alarm: number; readonly missed: number }
  /** Stretches of one call whose result was new each time, three or more in a row; and those in which the run was stopped. */
  readonly polls: { readonly all: number; readonly stopped: number }
}
export type Spoken = {
  readonly signal: RuleSignal
  /** Index of the recorded step, and the place among the tool steps, from 1 on. */
  readonly step: number
  readonly toolStep: number
}

/** Each run for itself, with rules that know of no other. */
export function judge(run: Recorded, policy: Breakers): Judged {
  const rules = openRules(policy, 'measured')
  let stopped: Spoken | null = null
  let warned: Spoken | null = null
  const spoke = new Set<string>()
  const places = new Map(run.steps.filter(({ kind }) => kind === 'tool').map(({ i }, n) => [i, n + 1]))
  let toolStep = 0
  for (const { event, step } of eventsOf(run)) {
    toolStep = places.get(step.i) ?? toolStep
    for (const signal of fold(rules, event)) {
      spoke.add(signal.rule)
      const spoken: Spoken = { signal, step: step.i, toolStep }
      warned ??= spoken
      if (signal.mode === 'enforce' && (signal.action === 'pause' || signal.action === 'kill')) stopped ??= spoken
    }
    // A run that was stopped does nothing more.
    if (stopped !== null) break
  }
  return {
    run,
    stopped,
    warned,
    rules: [...spoke],
    toolSteps: places.size,
    labels: labelsOf(run, policy),
    polls: pollsOf(run, stopped?.toolStep ?? null),
  }
}

/** Repetition as people see it: the same call as the one before, whatever came back. It is what loops are made of. */
function labelsOf(run: Recorded, policy: Breakers): Judged['labels'] {
  const volatile = volatileOf(policy.volatile)
  const labels = { hit: 0, alarm: 0, missed: 0 }
  const trail = newTrail()
  let before: number | null = null
  for (const { event, step } of eventsOf(run)) {
    const read = follow(trail, event, volatile)
    if (read === null || read.lane !== 'tool') continue
    const says = read.call !== null && read.call === before
    before = read.call
    const label = step.upstream?.relation_to_previous_action
    if (label === undefined) continue
    if (says) labels[label === 'Repetition' ? 'hit' : 'alarm']++
    else if (label === 'Repetition') labels.missed++
  }
  return labels
}

function pollsOf(run: Recorded, stoppedAt: number | null): Judged['polls'] {
  const tools = run.steps.filter(({ kind }) => kind === 'tool')
  const polls = { all: 0, stopped: 0 }
  for (let from = 0; from < tools.length; ) {
    const results = new Set<string>()
    let to = from
    for (; to < tools.length; to++) {
      const [one, first] = [tools[to], tools[from]]
      if (one?.tool !== first?.tool || one?.args_sha !== first?.args_sha || results.has(one?.result_sha ?? '')) break
      results.add(one?.result_sha ?? '')
    }
    if (to - from >= 3) {
      polls.all++
      if (stoppedAt !== null && stoppedAt > from + 1 && stoppedAt <= to) polls.stopped++
    }
    from = Math.max(to, from + 1)
  }
  return polls
}
