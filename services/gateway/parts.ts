import type { BodyReader } from './caller.ts'
import type { openForwarding } from './forward.ts'
import type { Habits } from './habits.ts'
import type { Identities } from './identity.ts'
import type { Killswitch } from './killswitch.ts'
import type { Metrics } from './metrics.ts'
import type { Money } from './money.ts'
import type { OpenCalls } from './open-calls.ts'
import type { Peers } from './peers.ts'
import type { Policies } from './policies.ts'
import type { Prices } from './prices.ts'
import type { Queued } from './queued.ts'
import type { Recorder } from './recorder.ts'
import type { Replicated } from './replicated.ts'
import type { Runs } from './runs.ts'
import type { Reports } from './told.ts'
import type { Payloads } from './tools.ts'

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
