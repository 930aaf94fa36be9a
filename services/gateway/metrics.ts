import prometheus from 'prom-client'
import type { LlmCall } from '../../schemas/llm.ts'
import { registerMoney } from './money/metrics.ts'
import type { TillFigures } from './money/till.ts'
import type { Settled } from './settle.ts'
import { counter, histogram } from './tally.ts'

/** What a gateway tells Prometheus. Labels are bounded: names from the configuration, codes of ours, never a client's text. */
export type Metrics = {
  ended(call: Pick<LlmCall, 'protocol' | 'operation' | 'agent'>, settled: Settled, facts: EndFacts): void
  refused(code: string, agent: string | null): void
  /** From the decision until the last call was ended, how many there were, and of what: `run`, `agent`, `team`, … */
  killed(latencyMs: number, calls: number, kind: string): void
  text(): Promise<string>
  readonly contentType: string
}

export type EndFacts = {
  readonly status: number
  readonly provider: string
  readonly latencyMs: number
  readonly ttftMs: number | null
  readonly costNanoUsd: number | null
}

/** Read when Prometheus asks, so that the path of a request pays nothing for them. */
export type Gauges = {
  readonly inFlight: () => number
  readonly written: () => number
  readonly waiting: () => number
  readonly queueAgeMs: () => number
  readonly money: () => TillFigures
}

const seconds = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

export function openMetrics(gauges: Gauges): Metrics {
  const registry = new prometheus.Registry()
  const registers = [registry]
  prometheus.collectDefaultMetrics({ register: registry })
  const requests = counter({
    name: 'sluice_requests_total',
    help: 'Calls that ended, by how they ended.',
    labels: ['protocol', 'operation', 'provider', 'outcome', 'status'],
  })
  const latency = histogram({
    name: 'sluice_request_duration_seconds',
    help: 'From the arrival of a request to the end of its answer.',
    labels: ['protocol', 'operation', 'provider'],
    bounds: seconds,
  })
  const ttft = histogram({
    name: 'sluice_time_to_first_token_seconds',
    help: 'From the upstream request to the first chunk of a stream that carried content.',
    labels: ['protocol', 'provider'],
    bounds: seconds,
  })
  const refusals = counter({
    name: 'sluice_refusals_total',
    help: 'Requests refused by the gateway, by code.',
    labels: ['code'],
  })
  const tokens = counter({
    name: 'sluice_tokens_total',
    help: 'Tokens used, as providers count them or as estimated where they do not.',
    labels: ['provider', 'direction'],
  })
  const cost = counter({
    name: 'sluice_cost_usd_total',
    help: 'Cost of ended calls in US dollars, of those that have a price.',
    labels: ['provider'],
  })
  const unpriced = counter({
    name: 'sluice_unpriced_calls_total',
    help: 'Successful calls for whose model there is no price.',
    labels: ['provider'],
  })
  const kills = histogram({
    name: 'sluice_kill_duration_seconds',
    help: 'From the decision to kill until the last call of the killed scope was ended here.',
    labels: ['kind'],
    bounds: [0.001, 0.002, ...seconds],
  })
  const killedCalls = counter({
    name: 'sluice_killed_calls_total',
    help: 'Calls in flight ended by a kill.',
    labels: ['kind'],
  })
  const gauge = (name: string, help: string, read: () => number) =>
    new prometheus.Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('sluice_calls_in_flight', 'Calls under way.', gauges.inFlight)
  gauge('sluice_events_written', 'Events that the log took from this gateway since it started.', gauges.written)
  gauge('sluice_events_waiting', 'Events that happened and that the log has not taken yet.', gauges.waiting)
  gauge(
    'sluice_log_queue_age_seconds',
    'Age of the oldest event that has not reached its log.',
    () => gauges.queueAgeMs() / 1000,
  )

  registerMoney(registry, gauges.money)

  return {
    ended(call, settled, facts) {
      const { protocol, operation } = call
      const { provider } = facts
      requests.add(1, protocol, operation, provider, settled.outcome, facts.status)
      latency.observe(facts.latencyMs / 1000, protocol, operation, provider)
      if (facts.ttftMs !== null) ttft.observe(facts.ttftMs / 1000, protocol, provider)
      const { input_tokens, output_tokens } = settled.usage
      if (input_tokens !== undefined) tokens.add(input_tokens, provider, 'input')
      if (output_tokens !== undefined) tokens.add(output_tokens, provider, 'output')
      if (facts.costNanoUsd !== null) cost.add(facts.costNanoUsd / 1e9, provider)
      else if (settled.outcome === 'success') unpriced.add(1, provider)
    },
    refused: code => refusals.add(1, code),
    killed(latencyMs, calls, kind) {
      kills.observe(latencyMs / 1000, kind)
      killedCalls.add(calls, kind)
    },
    async text() {
      const ours = [requests, latency, ttft, refusals, tokens, cost, unpriced, kills, killedCalls].map(metric =>
        metric.text(),
      )
      return [await registry.metrics(), ...ours].join('\n')
    },
    contentType: registry.contentType,
  }
}
