import type { RunChanged } from '../../../schemas/run.ts'
import type { Signal } from '../../../schemas/stop.ts'
import { defined } from '../../core/defined.ts'
import { byRule, durationRule } from '../../core/runs/acts.ts'
import type { Metrics } from '../metrics.ts'
import type { Recorder } from '../recorder.ts'
import { workOfRun } from '../runs/facts.ts'
import type { Run } from '../runs/run.ts'
import type { Runs } from '../runs/runs.ts'
import type { Observed } from './killswitch.ts'

/** What a gateway tells of the stops that it obeys. */
export function tellStops(told: { readonly recorder: Recorder; readonly runs: Runs; readonly metrics: Metrics }) {
  const { recorder, runs, metrics } = told
  /** What the runs above them did to runs. */
  const because = new WeakMap<Run, RunChanged['type']>()
  return {
    /** A kill was obeyed: how long after its decision the last of its calls here was ended. */
    observed({ signal, calls, latencyMs, id }: Observed): void {
      metrics.killed(latencyMs, calls, signal.scope.split(':', 1)[0] ?? '')
      const runId = signal.run_id ?? ''
      recorder.tell(
        {
          type: 'kill.observed',
          agent: signal.agent ?? '',
          run_id: runId,
          root_run_id: signal.root_run_id ?? runId,
          ...defined({ parent_run_id: signal.parent_run_id, ancestors: signal.ancestors, team: signal.team }),
          scope: signal.scope,
          evidence: [id],
          latency_ms: latencyMs,
          data: { calls },
        },
        signal.root_run_id ?? signal.scope,
      )
    },

    /**
     * What a rule does to a run is a fact of the run as well, and so is what happens to it because it happened to a run
     * above it. It is told where the run's last sign of life was seen; what somebody asked for was told by whoever asked.
     */
    heard(signal: Signal): void {
      const type = stated[signal.type]
      if (type === null || signal.mode !== 'enforce' || !signal.scope.startsWith('run:')) return
      const run = runs.get(signal.scope.slice(4))
      if (run === undefined) return
      if (signal.rule !== undefined && signal.rule !== durationRule) tell(run, type, signal.rule)
      if (run.children === 0) return
      // Not now: calls are being ended.
      setImmediate(() => {
        for (const below of runs.below(run.id)) {
          const before = because.get(below)
          // A run that was stopped by itself stays so when the one above it is raised.
          if (type === 'run.resumed' ? before === undefined : before === type) continue
          if (type === 'run.resumed') because.delete(below)
          else because.set(below, type)
          tell(below, type, parentRule)
        }
      })
    },
  }

  function tell(run: Run, type: RunChanged['type'], rule: string): void {
    const work = run.ours ? workOfRun(run) : null
    if (work !== null) recorder.tell({ type, ...work, reason: rule, actor: byRule(rule) }, work.root_run_id)
  }
}

/** As the reason of what happens to a run because it happened above it. */
const parentRule = 'parent'

const stated = {
  kill: 'run.killed',
  pause: 'run.paused',
  resume: 'run.resumed',
  backoff: null,
  alert: null,
} as const
