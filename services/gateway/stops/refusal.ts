import { durationRule } from '../../core/runs/acts.ts'
import type { Standing } from '../../core/runs/stops.ts'
import type { Refusal } from '../protocols/protocol.ts'

/** What a caller is told of a stop: who or which rule, why, and how it is lifted. `runId`: the run that called. */
export function stoppedRefusal({ stop, at }: Standing, runId: string, now: number): Refusal {
  const { scope, rule, actor, reason, evidence, data } = stop
  const facts = {
    scope,
    ...(rule === undefined ? {} : { rule }),
    ...(actor === undefined ? {} : { actor }),
    ...(reason === undefined ? {} : { reason }),
    evidence,
    at: new Date(at).toISOString(),
  }
  const by = rule === undefined ? `by ${actor ?? 'the enforcer'}` : `by the rule ${rule}`
  const why = reason === undefined || reason === 'run_expired' ? '' : `: ${reason}`
  const what = scope === `run:${runId}` ? 'This run' : `${scope} of this run`
  switch (stop.type) {
    case 'pause':
      return {
        code: 'run_paused',
        status: 423,
        message: `${what} was paused ${by}${why}. It goes on after ${howToResume(scope)}.`,
        facts: { ...facts, resume: howToResume(scope) },
      }
    case 'backoff': {
      const leftMs = Math.max(0, (data.until ?? now) - now)
      return {
        code: 'backoff',
        status: 429,
        message: `${what} was asked ${by} to wait${why}.`,
        retryAfterMs: leftMs,
        facts,
      }
    }
    default:
      return { code: killCode(rule), status: 403, message: `${what} was ended ${by}${why}.`, facts }
  }
}

/** The contract's word for what a rule has killed. */
const killCode = (rule: string | undefined): string => {
  if (rule === durationRule) return 'run_expired'
  return rule === 'loop' || rule === 'cycle' ? 'loop_detected' : 'run_killed'
}

const howToResume = (scope: string): string =>
  scope.startsWith('run:')
    ? `POST /v1/runs/${encodeURIComponent(scope.slice(4))}/resume`
    : `POST /admin/scopes/${encodeURIComponent(scope)}/resume`
