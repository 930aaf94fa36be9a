import { type Conditions, describe } from '../conditions.ts'
import { atLeast, atMost, type Figure, median } from '../figures.ts'
import type { Judged } from './judge.ts'
import type { Opened } from './storms.ts'

type Goal = { readonly what: string; readonly value: string; readonly wanted: string; readonly met: boolean }

/** Tables in Markdown, and the same as numbers. */
export function report(judged: readonly Judged[], around: Conditions, storms: readonly Opened[] = []) {
  const goals = goalsOf(judged)
  const figures = { conditions: around, goals, groups: groupsOf(judged), rules: rulesOf(judged), storms }
  const text = [
    describe(around).split('\n').slice(0, 2).join('\n'),
    '',
    table(
      ['promise', 'measured', 'wanted', ''],
      goals.map(({ what, value, wanted, met }) => [what, value, wanted, met ? 'holds' : 'MISSED']),
    ),
    '',
    table(
      [
        'source',
        'runs',
        'exact loops',
        'of them stopped by round 5',
        'successes',
        'of them stopped',
        'of them warned of',
        'other runs stopped',
        'tool steps',
        'of them saved',
        'tokens saved',
      ],
      groupsOf(judged).map(group => Object.values(group).map(String)),
    ),
    '',
    table(
      ['rule', 'stops', 'runs it spoke of', 'of them successes'],
      rulesOf(judged).map(rule => Object.values(rule).map(String)),
    ),
    '',
    table(
      ['storm, injected', 'rule', 'does', 'to', 'calls until then', 'seconds'],
      storms.map(storm => Object.values(storm).map(String)),
    ),
  ].join('\n')
  return { text, goals, figures }
}

/** Where a cycle's fifth round ends, and its first, counted in tool steps. */
const endOfRound = ({ run }: Judged, n: number): number => {
  const cycle = run.facts.cycle_calls_and_results
  return cycle === null ? Number.NaN : cycle.start + n * cycle.period - 1
}
const inTime = (it: Judged): boolean => it.stopped !== null && it.stopped.toolStep <= endOfRound(it, 5)
const succeeded = ({ run }: Judged): boolean => run.outcome === 'success'
const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((all, item) => all + of(item), 0)

function goalsOf(judged: readonly Judged[]): readonly Goal[] {
  const loops = judged.filter(({ run }) => run.facts.exact_loop)
  const delays = loops.flatMap(it => (it.stopped === null ? [] : [it.stopped.toolStep - endOfRound(it, 1)]))
  const workers = judged.filter(it => succeeded(it) && /^(coding|tool)-agents$/.test(it.run.kind))
  const guiltless = workers.filter(({ run }) => !run.facts.exact_loop)
  const told = judged.filter(({ run }) => run.label === 'loop')
  const firstReport = ({ run }: Judged) => run.steps.findIndex(({ upstream }) => upstream?.is_in_loop === true)
  const foretold = told.filter(it => it.warned !== null && it.warned.step <= firstReport(it))
  const successes = judged.filter(succeeded)
  const alarms = successes.filter(({ warned }) => warned !== null)
  const hit = sum(judged, ({ labels }) => labels.hit)
  const alarm = sum(judged, ({ labels }) => labels.alarm)
  const missed = sum(judged, ({ labels }) => labels.missed)
  const percent = (a: number, b: number) => (100 * a) / b
  const goal = (what: string, of: string, figure: Pick<Figure, 'value' | 'unit' | 'goal'>): Goal => ({
    what,
    value:
      `${typeof figure.value === 'number' ? Number(figure.value.toFixed(3)) : figure.value} ${figure.unit}${of}`.trim(),
    wanted: figure.goal?.text ?? '',
    met: figure.goal?.met ?? true,
  })
  const inTimeLoops = loops.filter(inTime).length
  return [
    goal(
      'exact loops stopped by round 5 of their cycle',
      ` (${inTimeLoops} of ${loops.length})`,
      atLeast(percent(inTimeLoops, loops.length), 100, '%'),
    ),
    goal('tool steps from the end of round 1 to the stop, median', '', atMost(median(delays), 3, '')),
    goal(
      'successful coding and tool runs stopped, without an exact loop',
      ` of ${guiltless.length}`,
      atMost(guiltless.filter(it => it.stopped !== null).length, 0, ''),
    ),
    goal(
      'polling with changing results that was stopped',
      ` of ${sum(judged, ({ polls }) => polls.all)} stretches`,
      atMost(
        sum(judged, ({ polls }) => polls.stopped),
        0,
        '',
      ),
    ),
    goal(
      'loops that their own orchestrator reports: warned of no later',
      ` (${foretold.length} of ${told.length})`,
      atLeast(percent(foretold.length, told.length), 50, '%'),
    ),
    goal(
      'successful runs with any warning',
      ` (${alarms.length} of ${successes.length})`,
      atMost(percent(alarms.length, successes.length), 5, '%'),
    ),
    goal(
      'what people call repetition: precision',
      ` (${hit} of ${hit + alarm})`,
      atLeast(hit / (hit + alarm), 0.9, ''),
    ),
    goal(
      'what people call repetition: recall',
      ` (${hit} of ${hit + missed})`,
      atLeast(hit / (hit + missed), 0.65, ''),
    ),
  ]
}

function groupsOf(judged: readonly Judged[]) {
  const sources = [...Map.groupBy(judged, ({ run }) => `${run.kind}: ${run.source}`)].sort(([a], [b]) =>
    a < b ? -1 : 1,
  )
  return [...sources, ['all', judged] as const].map(([source, runs]) => {
    const loops = runs.filter(({ run }) => run.facts.exact_loop)
    const successes = runs.filter(succeeded)
    return {
      source,
      runs: runs.length,
      exactLoops: loops.length,
      inTime: loops.filter(inTime).length,
      successes: successes.length,
      successesStopped: successes.filter(({ stopped }) => stopped !== null).length,
      successesWarned: successes.filter(({ warned }) => warned !== null).length,
      othersStopped: runs.filter(it => it.stopped !== null && !it.run.facts.exact_loop && !succeeded(it)).length,
      toolSteps: sum(runs, ({ toolSteps }) => toolSteps),
      stepsSaved: sum(runs, it => (it.stopped === null ? 0 : it.toolSteps - it.stopped.toolStep)),
      tokensSaved: sum(runs, tokensAfter),
    }
  })
}

/** Tokens of all steps behind the stop, where a recording has them. */
const tokensAfter = ({ run, stopped }: Judged): number =>
  stopped === null
    ? 0
    : sum(run.steps, ({ i, tokens }) => (i <= stopped.step ? 0 : (tokens?.in ?? 0) + (tokens?.out ?? 0)))

function rulesOf(judged: readonly Judged[]) {
  const names = new Set(judged.flatMap(({ rules }) => rules))
  return [...names].sort().map(rule => {
    const spoken = judged.filter(({ rules }) => rules.includes(rule))
    return {
      rule,
      stops: judged.filter(({ stopped }) => stopped?.signal.rule === rule).length,
      runs: spoken.length,
      successes: spoken.filter(succeeded).length,
    }
  })
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n')
