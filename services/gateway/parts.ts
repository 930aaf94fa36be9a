import type { BodyReader } from './caller.ts'
import type { Identities } from './identity/identity.ts'
import type { OpenCalls } from './memory/open-calls.ts'
import type { Peers } from './memory/peers.ts'
import type { Queued } from './memory/queued.ts'
import type { Reports } from './memory/reports.ts'
import type { Metrics } from './metrics.ts'
import type { Habits } from './money/habits.ts'
import type { Money } from './money/money.ts'
import type { Prices } from './money/prices.ts'
import type { Replicated } from './money/replicated.ts'
import type { Policies } from './policy/policies.ts'
import type { Recorder } from './recorder.ts'
import type { Runs } from './runs/runs.ts'
import type { Payloads } from './runs/tools.ts'
import type { Killswitch } from './stops/killswitch.ts'
import type { openForwarding } from './upstream/forward.ts'

/** Everything the path of a request needs; made once, by `gateway.ts`. */
export type Pipeline = {
  readonly policies: () => Policies
  readonly identities: Identities
  readonly runs: Runs
  readonly killswitch: Killswitch
  readonly peers: Peers
  readonly queued: Queued
  readonly recorder: Recorder
  /** Null where the log next to this process is enough. */
  readonly replicated: Replicated | null
  readonly forward: ReturnType<typeof openForwarding>
  readonly bodies: BodyReader
  readonly prices: Prices
  readonly money: Pick<Money, 'tolls' | 'till'>
  /** Null where each call is held to what it can cost at most. */
  readonly habits: Habits | null
  readonly metrics: Metrics
  readonly limits: { readonly bodyBytes: number; readonly bodyIdleTimeoutMs: number; readonly callsInFlight: number }
  readonly payloads: Payloads
  readonly reports: Reports
  readonly mintRequestId: () => string
  /** Calls under way; what a drain waits for. */
  readonly inFlight: { count: number; draining: boolean }
  readonly open: OpenCalls
}
