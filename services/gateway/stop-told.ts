import type { Fact } from '../../schemas/events.ts'
import type { Signal } from '../../schemas/stop.ts'
import { byRule, durationRule } from '../core/acts.ts'
import type { Observed } from './killswitch.ts'
import type { Metrics } from './metrics.ts'
import type { Recorder } from './recorder.ts'
import { workOfRun } from './run-facts.ts'
import type { Runs } from './runs.ts'
import { defined } from './settle.ts'

/** What a gateway tells of the stops that it obeys. */
export function tellStops(told: { readonly recorder: Recorder; readonly runs: Runs; readonly metrics: Metrics }) {
  const { recorder, runs, metrics } = told
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
     * What a rule does to a run is a fact of the run as well. It is told where the run's last sign of life was seen; what
     * somebody asked for was told by whoever asked.
     */
    heard(signal: Signal): void {
      if (signal.rule === undefined || signal.rule === durationRule || signal.mode !== 'enforce') return
      const type = stated[signal.type]
      const run = signal.scope.startsWith('run:') ? runs.get(signal.scope.slice(4)) : undefined
      const work = run?.ours === true ? workOfRun(run) : null
      if (work === null || type === null) return
      const fact: Fact = { type, ...work, reason: signal.rule, actor: byRule(signal.rule) }
      recorder.tell(fact, work.root_run_id)
    },
  }
}

const stated = {
  kill: 'run.killed',
  pause: 'run.paused',
  resume: 'run.resumed',
  backoff: null,
  alert: null,
} as const
