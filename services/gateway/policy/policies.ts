import type { Breakers } from '../../../schemas/breakers.ts'
import type { Policy } from '../../../schemas/policy.ts'
import type { Price } from '../../../schemas/provider.ts'
import type { ProtocolName } from '../../../schemas/work.ts'
import type { Capped, Caps } from '../../core/money/caps.ts'
import type { Retry, Weighted } from '../../core/plan.ts'
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts'

/** The policy as the pipeline asks it: compiled once from the configuration, immutable, replaced as a whole. */
export type Policies = {
  /** What decisions made under it are to name. */
  readonly version: string
  /** What a run may do that was given no limits of its own. */
  readonly runs: Policy['runs']['defaults']
  readonly breakers: Breakers
  /** Who may spend what. */
  readonly caps: Caps
  /** What becomes of a call under a cap whose price nobody knows. */
  readonly unpriced: Policy['unpriced']
  readonly provider: (name: string) => Provider | undefined
  /** Where a call of this protocol for this model can go; null where nobody knows the model. */
  readonly plan: (protocol: ProtocolName, model: string | null) => Plan | null
  /** A path that names its provider goes there and nowhere else. */
  readonly pinned: (provider: Provider) => Plan
  readonly teamOf: (agent: string) => string | undefined
  /** The caps above a run of this agent; the same array for as long as this policy holds. */
  readonly above: (agent: string) => readonly Capped[]
  readonly mayUse: (agent: string, model: string) => boolean
  readonly mayDelegate: (agent: string, to: string) => boolean
  /** Models to show to an agent that asks what there is; globs are no models and are left out. */
  readonly modelsFor: (agent: string, protocol: ProtocolName) => readonly string[]
}

export type Provider = {
  readonly name: string
  /** The built-in simulator speaks them all. */
  readonly speaks: (protocol: ProtocolName) => boolean
  readonly protocol: ProtocolName
  readonly baseUrl: string
  readonly origin: string
  /** What stands between the origin and a route's path, without a slash at its end. */
  readonly basePath: string
  /** Name, value, …: the provider's own credentials among them. */
  readonly headers: readonly string[]
  /** Adds what proves the request to be ours, where that depends on the request itself. */
  readonly sign: ((request: UpstreamRequest) => Promise<UpstreamRequest>) | null
  readonly upstream: Upstream
  /** USD per million tokens by model glob, the first that matches counts. */
  readonly prices: ReadonlyMap<string, Price>
  /** `POST /v1/files`: further paths that pass unread. */
  readonly passthrough: readonly string[]
}

export type Target = Weighted & {
  readonly provider: Provider
  readonly model: string | null
  readonly timeoutMs: number | null
}

export type Plan = {
  readonly targets: readonly Target[]
  readonly fallback: readonly Target[]
  readonly retry: Retry
  readonly timeoutMs: number
}
