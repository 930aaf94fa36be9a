-- Spend without reading calls. Rows with equal keys are added up in the background: always read it with sum() and GROUP BY.
-- Run, task and user are not keys: with them a minute would have nearly as many rows as calls.
CREATE TABLE IF NOT EXISTS spend_by_minute
(
  minute DateTime('UTC') COMMENT 'Minute in which the calls ended',
  org LowCardinality(String) COMMENT 'Organisation',
  team LowCardinality(String) COMMENT 'Team',
  agent LowCardinality(String) COMMENT 'Agent',
  kind LowCardinality(String) COMMENT 'llm, tool or agent',
  provider LowCardinality(String) COMMENT 'Provider that answered',
  model LowCardinality(String) COMMENT 'Model that answered, else the one that was asked for',
  calls SimpleAggregateFunction(sum, UInt64) COMMENT 'Calls that ended, whatever their outcome',
  errors SimpleAggregateFunction(sum, UInt64) COMMENT 'Calls with outcome error',
  blocked SimpleAggregateFunction(sum, UInt64) COMMENT 'Calls that were refused',
  unpriced SimpleAggregateFunction(sum, UInt64) COMMENT 'Model calls that used tokens and have no price',
  input_tokens SimpleAggregateFunction(sum, UInt64) COMMENT 'Input tokens, as far as known',
  output_tokens SimpleAggregateFunction(sum, UInt64) COMMENT 'Output tokens, as far as known',
  cache_read_tokens SimpleAggregateFunction(sum, UInt64) COMMENT 'Input tokens read from the cache, as far as known',
  cost_nano_usd SimpleAggregateFunction(sum, Int64) COMMENT 'Cost in nano-dollars, as far as priced',
  latency_ms SimpleAggregateFunction(sum, Float64) COMMENT 'Latencies added up, milliseconds; divide by calls'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (agent, minute, kind, provider, model, team, org)
TTL minute + toIntervalDay({rollup_retention_days}) DELETE
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000
COMMENT 'Calls, tokens and cost per minute, agent and model: read with sum() and GROUP BY';

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_minute_feed TO spend_by_minute
AS SELECT
  toStartOfMinute(toDateTime(e.ts, 'UTC')) AS minute,
  e.org AS org,
  e.team AS team,
  e.agent AS agent,
  e.kind AS kind,
  e.provider AS provider,
  if(e.model = '', e.model_requested, e.model) AS model,
  toUInt64(count()) AS calls,
  countIf(e.outcome = 'error') AS errors,
  countIf(e.outcome = 'blocked') AS blocked,
  countIf(e.kind = 'llm' AND e.cost_nano_usd IS NULL AND ifNull(e.input_tokens, 0) + ifNull(e.output_tokens, 0) > 0) AS unpriced,
  sum(ifNull(e.input_tokens, 0)) AS input_tokens,
  sum(ifNull(e.output_tokens, 0)) AS output_tokens,
  sum(ifNull(e.cache_read_tokens, 0)) AS cache_read_tokens,
  sum(ifNull(e.cost_nano_usd, 0)) AS cost_nano_usd,
  sum(ifNull(e.latency_ms, 0)) AS latency_ms
FROM events AS e
WHERE e.kind IN ('llm', 'tool', 'agent')
GROUP BY minute, org, team, agent, kind, provider, model;
